"""YAML 1.2 core schema, as the published device repositories are written and read.

PyYAML reads YAML 1.1: there ``on`` is true, ``12:30:45`` a number and ``2021-04-09`` a date. Source
of the rules: YAML 1.2.2, chapter 10.3.2.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_TAG: Final = "tag:yaml.org,2002:"


class _CoreLoader(yaml.CSafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Safe: no tag makes an object."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 — PyYAML's own way to say it


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _CoreLoader.add_implicit_resolver(_TAG + _tag, re.compile(f"^(?:{_pattern})$"), _first)


def _integer(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    return int(text)


_CoreLoader.add_constructor(_TAG + "int", _integer)


def load(text: str) -> Any:
    """The document as plain values. Raises yaml.YAMLError, which says line and column."""
    return yaml.load(text, _CoreLoader)  # noqa: S506 — a safe loader, see above
