"""Where a value stands in what a codec says: ``a.b[0].c`` as a tuple of steps.

::

    battery              a key
    sensor.values[1]     the second element of a list
    channels[type=temp].value   of a list of objects the first whose ``type`` is ``temp``
    log[].volume         each element of a list of past values
    ["odd.key"].b        a key with a dot, a bracket or a quote in it, as JSON text

Refuses to know what the values mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

MAX_PATH_CHARS: Final = 300
MAX_STEPS: Final = 16

_KEY: Final = re.compile(r"[^.\[\]\"]+")
_BRACKET: Final = re.compile(
    r"\[(?:(?P<each>)|(?P<index>-?\d{1,6})|(?P<key>[^\[\]=\"]+)=(?P<value>[^\[\]]*)"
    r"|(?P<quoted>\"(?:[^\"\\]|\\.)*\"))\]"
)


@dataclass(frozen=True, slots=True)
class Each:
    """Stands for every element of a list."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The first object of a list whose ``key`` has this value, compared as text."""

    key: str
    value: str


Step = str | int | Each | Chosen
Path = tuple[Step, ...]


class PathError(ValueError):
    """A path that cannot be read; the text says where and what."""


@lru_cache(maxsize=8192)
def parse(text: str) -> Path:
    """Read a path. Raises PathError."""
    if len(text) > MAX_PATH_CHARS:
        raise PathError(f"a path has at most {MAX_PATH_CHARS} characters")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        step, at = _step(text, at, is_first=not steps)
        steps.append(step)
    if not steps or len(steps) > MAX_STEPS:
        raise PathError(f"{text!r}: a path has 1 to {MAX_STEPS} steps")
    if sum(isinstance(step, Each) for step in steps) > 1:
        raise PathError(f"{text!r}: [] stands once at most")
    return tuple(steps)


def _step(text: str, at: int, *, is_first: bool) -> tuple[Step, int]:
    if bracket := _BRACKET.match(text, at):
        return _bracketed(bracket), bracket.end()
    start = at if is_first else at + 1
    if (is_first or text[at] == ".") and (key := _KEY.match(text, start)):
        return key.group(), key.end()
    raise PathError(f"{text!r}: cannot be read at character {at + 1}")


def _bracketed(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    if found["key"] is not None:
        return Chosen(found["key"], found["value"])
    if found["quoted"] is not None:
        try:
            return str(json.loads(found["quoted"]))
        except ValueError:
            raise PathError(f"{found.group()!r} is no JSON text") from None
    return Each()


def text_of(steps: Path) -> str:
    """The path as `parse` reads it."""
    parts = []
    for step in steps:
        match step:
            case str() if _KEY.fullmatch(step):
                parts.append(f".{step}")
            case str():
                parts.append(f"[{json.dumps(step, ensure_ascii=False)}]")
            case int():
                parts.append(f"[{step}]")
            case Chosen(key, value):
                parts.append(f"[{key}={value}]")
            case Each():
                parts.append("[]")
    return "".join(parts).removeprefix(".")


def split(path: Path) -> tuple[Path, Path] | None:
    """The path of the list and that within each element; None without ``[]``."""
    at = next((n for n, step in enumerate(path) if isinstance(step, Each)), None)
    return None if at is None else (path[:at], path[at + 1 :])


def look_up(data: Any, path: Path) -> Any:
    """What stands there; None where nothing does. ``path`` is one without ``[]``."""
    for step in path:
        data = _into(data, step)
        if data is None:
            return None
    return data


def _into(data: Any, step: Step) -> Any:
    if isinstance(step, str):
        return data.get(step) if isinstance(data, dict) else None
    if not isinstance(data, list):
        return None
    if isinstance(step, int):
        return data[step] if -len(data) <= step < len(data) else None
    if isinstance(step, Chosen):
        return next((e for e in data if _is_chosen(e, step)), None)
    return None


def _is_chosen(element: Any, step: Chosen) -> bool:
    found = element.get(step.key) if isinstance(element, dict) else None
    if isinstance(found, bool):
        return step.value == ("true" if found else "false")
    return isinstance(found, (str, int, float)) and f"{found}" == step.value


def leaves(data: Any, limit: int = 2000) -> Iterator[tuple[Path, Any]]:
    """Each number, text or boolean in ``data`` with its path, at most ``limit``.

    Elements of a list have their index; what is nested deeper than a path may be is left out.
    """
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting and limit > 0:
        path, value = waiting.pop()
        inner: list[tuple[Path, Any]] = []
        if isinstance(value, dict):
            inner = [((*path, str(key)), one) for key, one in value.items()]
        elif isinstance(value, list):
            inner = [((*path, n), one) for n, one in enumerate(value)]
        elif value is not None and path:
            limit -= 1
            yield path, value
        if len(path) < MAX_STEPS:
            waiting.extend(reversed(inner[: limit + 1]))
