"""A mapping as people type it: ``path=quantity[*scale][+offset]``, one entry a text.

distance=water.distance*0.001      Bat=battery.voltage unit:V
log[].volume=water.total*0.001 every:3600       (one value an hour, the newest first)
log[].volume=water.total*0.001 at:time          (each element has its time)
closed=contact.open*-1+1 if:mode=2              (only where mode is 2; != for all but 2)
normalizeUplink                                  (take what the codec's own function says)
normalizeUplink-battery.voltage                  (all but this)
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from devices.codecs.mapping import Condition, Entry, MappingError, Past, QuantityMapping, checked
from devices.codecs.paths import PathError, parse, split, text_of

NORMALIZED: Final = "normalizeUplink"
_TIME: Final = "time:"

_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ENTRY: Final = re.compile(
    rf"(?P<path>.+)=(?P<quantity>[a-zA-Z][a-zA-Z0-9.]*)"
    rf"(?:\*(?P<scale>{_NUMBER})|/(?P<divisor>{_NUMBER}))?(?P<offset>[-+](?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)?"
)
_WORD: Final = re.compile(r"\s+(?=(?:unit|every|at|if):)")


def from_text(texts: Sequence[str]) -> QuantityMapping:
    """Read entries. Raises MappingError, which says which one and why."""
    entries: list[Entry] = []
    past: dict[str, Past] = {}
    uses_normalized, time = False, ""
    distrusts: tuple[str, ...] = ()
    for text in texts:
        if text.startswith(_TIME):
            time = text[len(_TIME) :].strip()
            continue
        if text.startswith(NORMALIZED):
            uses_normalized = True
            distrusts = tuple(part for part in text[len(NORMALIZED) :].split("-") if part)
            continue
        entry, about = _entry(text)
        entries.append(entry)
        past |= {about.path: about} if about else {}
    return checked(
        QuantityMapping(tuple(entries), uses_normalized, time, tuple(past.values()), distrusts)
    )


def to_text(mapping: QuantityMapping) -> tuple[str, ...]:
    """The entries as `from_text` reads them."""
    past = {one.path: one for one in mapping.past}
    lines = [NORMALIZED + "".join(f"-{q}" for q in mapping.distrusts)] * mapping.uses_normalized
    lines += [f"{_TIME}{mapping.time}"] * bool(mapping.time)
    return (*lines, *(_entry_text(entry, past) for entry in mapping.entries))


def _entry(text: str) -> tuple[Entry, Past | None]:
    head, *words = _WORD.split(text.strip())
    found = _ENTRY.fullmatch(head)
    if found is None:
        raise MappingError(f"{text!r}: path=quantity, path=quantity*scale or …*scale+offset")
    said = dict(word.split(":", 1) for word in words)
    conditions = tuple(_condition(word[3:]) for word in words if word.startswith("if:"))
    scale = float(found["scale"] or 1.0)
    divisor = float(found["divisor"] or 1.0)
    if not divisor:
        raise MappingError(f"{text!r}: nothing can be divided by 0")
    entry = Entry(
        found["path"].strip(), found["quantity"], scale / divisor, float(found["offset"] or 0.0),
        said.get("unit", "").strip(), conditions,
    )  # fmt: skip
    return entry, _past(entry, said, text)


def _past(entry: Entry, said: dict[str, str], text: str) -> Past | None:
    try:
        parts = split(parse(entry.path))
        if parts is None:
            return None
        every = said.get("every", "")
        interval_s = float(every.removeprefix("-")) if every else None
    except (PathError, ValueError) as error:
        raise MappingError(f"{text!r}: {error}") from None
    is_newest_first = not every.startswith("-")
    return Past(text_of(parts[0]), said.get("at", "").strip(), interval_s, is_newest_first)


def _condition(text: str) -> Condition:
    path, _, value = text.strip().partition("=")
    return Condition(path.removesuffix("!").strip(), _value(value.strip()), path[-1:] != "!")


def _value(text: str) -> str | float | bool:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, (str, int, float, bool)) else text


def _entry_text(entry: Entry, past: dict[str, Past]) -> str:
    text = f"{entry.path}={entry.quantity}"
    text += f"*{entry.scale}" if entry.scale != 1.0 else ""
    text += f"{entry.offset:+}" if entry.offset else ""
    text += f" unit:{entry.unit}" if entry.unit else ""
    for one in entry.when:
        value = one.value if isinstance(one.value, str) else json.dumps(one.value)
        text += f" if:{one.path}{'' if one.is_equal else '!'}={value}"
    parts = split(parse(entry.path))
    about = past.get(text_of(parts[0])) if parts else None
    if about and about.time:
        text += f" at:{about.time}"
    elif about:
        text += f" every:{'' if about.is_newest_first else '-'}{about.interval_s}"
    return text
