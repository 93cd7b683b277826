"""Which firmware a device says it runs, and which of two versions is the newer one.

Refuses to know what is new in a version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

_KEYS: Final = (
    "fw", "firmware", "firmware_version", "firmwareVersion", "fw_version", "fwVersion",
    "software_version", "version",
)  # fmt: skip
_LONGEST: Final = 40
_NUMBER: Final = re.compile(r"\d+")
_MOST_BYTES: Final = 4096


def version_in(payload: bytes) -> str | None:
    """The version in a status message (``{"fw": "1.4.2"}``); None where it says none."""
    if len(payload) > _MOST_BYTES or not payload.lstrip().startswith(b"{"):
        return None
    try:
        said = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return version_of(said) if isinstance(said, dict) else None


def version_of(said: Mapping[str, object]) -> str | None:
    """The version among decoded fields; None where there is none that could be one."""
    for key in _KEYS:
        value = said.get(key)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        text = str(value).strip()
        if text and len(text) <= _LONGEST and text.isprintable() and _NUMBER.search(text):
            return text
    return None


def newest(versions: Iterable[str]) -> str | None:
    """The highest version by its numbers (1.10 is newer than 1.9); None of none."""
    return max(versions, key=lambda text: (_numbers(text), text), default=None)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number[:18]) for number in _NUMBER.findall(text))
