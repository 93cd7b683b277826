"""Proposes how a codec's answers could be read, from what it said to its examples.

    {"TempC_SHT": 21.3, "Bat_V": 3.6}  ──▶  TempC_SHT is air.temperature: its name says temperature
                                            and c, its values fit;  Bat_V is battery.voltage: …

A proposal with a reason a line, for a person to confirm; it never holds by itself. Names and units
decide, values only where a unit is not named. Of several fields for one quantity the plainest wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from devices.codecs.codec import Answer
from devices.codecs.guess_rules import RULES, Rule
from devices.codecs.guess_words import is_foreign, is_neutral, words_of
from devices.codecs.mapping import Entry, QuantityMapping
from devices.codecs.normalized import values_of
from devices.codecs.paths import MAX_STEPS, Chosen, Path, text_of
from devices.codecs.units import conversion
from devices.codecs.values import number, split_unit, state
from devices.kinds import KINDS
from devices.outcomes import shown
from devices.quantities import QUANTITIES

MAX_EXAMPLES: Final = 40
MAX_FIELDS: Final = 2000

_NAMING: Final = (
    "name",
    "type",
    "measurement",
    "quantity",
    "sensor",
    "label",
    "displayName",
    "key",
)
_UNIT_KEYS: Final = ("unit", "units", "uom")
_NO_FRACTIONS_BELOW: Final = {"%": 1.0, "percent": 15.0}
_CLEAR_WITHOUT_UNIT: Final = ("c", "%")
_FRACTIONAL: Final = frozenset({"m", "m3"})
_REMOTE: Final = frozenset({"ext", "external", "probe", "ds"})  # beside a built-in sensor
_ENOUGH: Final = 4
_MOST_BATTERY_V: Final = 36.0


@dataclass(frozen=True, slots=True)
class Line:
    """One proposed entry, and why."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Guess:
    """A proposed mapping. ``lines`` explain its entries; ``unread`` are fields left without one."""

    mapping: QuantityMapping
    lines: tuple[Line, ...]
    unread: tuple[str, ...]


@dataclass(slots=True)
class _Field:
    """What stood at one path, over all examples; ``unit`` as it stood beside the value."""

    path: Path
    values: list[Any] = field(default_factory=list)
    units: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Candidate:
    score: int
    entry: Entry
    reason: str


def guess(answers: Sequence[Answer], kind: str | None = None) -> Guess:
    """Propose a mapping from what a codec said; ``kind`` is the kind of device, where known."""
    answers = answers[:MAX_EXAMPLES]
    normalized, distrusted = _normalized(answers)
    fields = _fields([answer.data for answer in answers])
    candidates = [c for one in fields if (c := _candidate(one, kind)) is not None]
    chosen: dict[str, _Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: -c.score):
        if candidate.entry.quantity not in normalized:
            chosen.setdefault(candidate.entry.quantity, candidate)
    lines = tuple(Line(c.entry, c.reason) for c in chosen.values())
    read = {line.entry.path for line in lines}
    return Guess(
        QuantityMapping(
            tuple(line.entry for line in lines),
            uses_normalized=bool(normalized),
            distrusts=tuple(sorted(distrusted)),
        ),
        lines,
        tuple(text for one in fields if (text := text_of(one.path)) not in read),
    )


def _normalized(answers: Sequence[Answer]) -> tuple[set[str], set[str]]:
    """What ``normalizeUplink`` gives, and of what else its figures cannot be meant."""
    said = [pair for a in answers for m in a.normalized or () for pair in values_of(m).items()]
    wrong = {q for q, value in said if q == "battery.voltage" and value > _MOST_BATTERY_V}
    return {q for q, _ in said} - wrong, wrong


# -- what the examples hold


def _fields(examples: Sequence[Any]) -> list[_Field]:
    fields: dict[Path, _Field] = {}
    for data in examples:
        for path, value, unit in _walk(data, (), ""):
            if path not in fields and len(fields) >= MAX_FIELDS:
                break
            one = fields.setdefault(path, _Field(path))
            one.values.append(value)
            one.units.add(unit)
    return list(fields.values())


def _walk(data: Any, path: Path, unit: str) -> Iterator[tuple[Path, Any, str]]:
    """Each number, text and boolean with its path and the unit that stands beside it."""
    if len(path) >= MAX_STEPS:
        return
    if isinstance(data, dict):
        beside = next((u for key in _UNIT_KEYS if isinstance(u := data.get(key), str)), "")
        for key, value in data.items():
            if key not in _UNIT_KEYS:
                yield from _walk(value, (*path, str(key)), beside)
    elif isinstance(data, list):
        for at, value in enumerate(data[:16]):
            yield from _walk(value, (*path, _chosen(value) or at), unit)
    elif data is not None and path:
        yield path, data, unit


def _chosen(element: Any) -> Chosen | None:
    """How an element of a list is found by its name, if it has one."""
    if not isinstance(element, dict):
        return None
    for key in _NAMING:
        name = element.get(key)
        if isinstance(name, str) and 0 < len(name) <= 60 and not set(name) & set("[]"):
            return Chosen(key, name)
    return None


# -- what a field could be


def _candidate(one: _Field, kind: str | None) -> _Candidate | None:
    words, unit = _named(one.path)
    if any(is_foreign(word) for word in words):
        return None
    concepts = {word for word in words if not is_neutral(word)}
    for rule in RULES:
        unknown = concepts - rule.needs - rule.allows
        if rule.needs <= concepts and all(word not in _CONCEPTS for word in unknown):
            found = _by_rule(one, rule, unit, kind, closed="closed" in words)
            if found is not None:
                score = found.score - 3 * len(unknown) - rule.penalty - _distance(one.path)
                return _Candidate(score, found.entry, found.reason) if score >= _ENOUGH else None
    return None


_CONCEPTS: Final = frozenset(word for rule in RULES for word in rule.needs | rule.allows)


def _named(path: Path) -> tuple[list[str], str]:
    """All words along a path; the unit is the last field's."""
    words: list[str] = []
    unit = ""
    for step in path:
        text = step if isinstance(step, str) else step.value if isinstance(step, Chosen) else ""
        found, said = words_of(text)
        words += found
        unit = said or unit
    return words, unit


def _distance(path: Path) -> int:
    """How far from plain a path is: nested, in a list, numbered."""
    numbered = next((int(c) for s in path[::-1] if isinstance(s, str) for c in s[-1:]
                     if c.isdecimal()), 0)  # fmt: skip
    remote = sum(word in _REMOTE for word in _named(path)[0])
    listed = sum(2 + min(step, 2) for step in path if isinstance(step, int))
    return len(path) - 1 + remote + listed + min(max(numbered - 1, 0), 3)


def _by_rule(
    one: _Field, rule: Rule, unit: str, kind: str | None, *, closed: bool
) -> _Candidate | None:
    quantity = dict(rule.of_kind).get(kind or "", rule.quantity)
    expected = kind in KINDS and quantity in KINDS[kind].quantities if kind else False
    score = 10 + 3 * expected
    name = f"its name says {' and '.join(sorted(rule.needs))}"
    if QUANTITIES[quantity].is_flag:
        entry = _flag_entry(one, quantity, closed=closed)
        why = f"{name}, its values are yes or no ({_few(one)})"
        return _Candidate(score, entry, why) if entry else None
    numbers, suffix = _numbers(one)
    if not numbers:
        return None
    said = _said_unit(one, suffix, unit)
    if said:
        found = conversion(said, quantity)
        if found is None:
            return None
        score, why = score + 2, f"unit {said}"
        scale, offset = found.scale, found.offset
    else:
        fitting = next((u for u, low, high in rule.units if _fits(numbers, low, high, u)), None)
        if fitting is None and rule.units[0][0] not in _CLEAR_WITHOUT_UNIT:
            return None
        unit_text = rule.units[0][0] if fitting is None else fitting
        found = conversion(unit_text, quantity) if unit_text else None
        scale, offset = (found.scale, found.offset) if found else (1.0, 0.0)
        why = f"no unit is named: its values would be {unit_text}" if unit_text else "values fit"
    if not _is_possible(numbers, quantity, scale, offset):
        score, why = score - 4, f"{why}, but its examples are not possible"
    entry = Entry(text_of(one.path), quantity, scale, offset, suffix)
    return _Candidate(score, entry, f"{name}, {why} ({_few(one)})")


def _flag_entry(one: _Field, quantity: str, *, closed: bool) -> Entry | None:
    if any(state(value) is None for value in one.values):
        return None
    is_inverted = closed and not any(isinstance(value, str) for value in one.values)
    return (
        Entry(text_of(one.path), quantity, -1.0, 1.0)
        if is_inverted
        else Entry(text_of(one.path), quantity)
    )


def _numbers(one: _Field) -> tuple[list[float], str]:
    """All values as numbers, and the unit text behind each; nothing if they are not all alike."""
    texts = [split_unit(value) for value in one.values if isinstance(value, str)]
    suffixes = {unit for read, unit in texts if read is not None} or {""}
    if len(suffixes) > 1:
        return [], ""
    suffix = suffixes.pop()
    read = [number(value, suffix) for value in one.values]
    found = [value for value in read if value is not None]
    return (found, suffix) if len(found) * 2 > len(read) else ([], "")


def _said_unit(one: _Field, suffix: str, unit: str) -> str:
    beside = one.units.pop() if len(one.units) == 1 else ""
    one.units.add(beside)
    return suffix or beside or unit


def _fits(numbers: Sequence[float], low: float, high: float, unit: str) -> bool:
    """Whether numbers can be in this unit.

    Whole numbers are no metres and no cubic metres; shares of 1 are no ``%``; 3.05 is no
    ``percent`` of a battery.
    """
    is_whole = all(value == int(value) for value in numbers)
    is_within = all(low <= value <= high for value in numbers if value or low > 0)
    if unit in _FRACTIONAL:
        return is_within and not is_whole
    if unit in _NO_FRACTIONS_BELOW:
        below = _NO_FRACTIONS_BELOW[unit]
        return is_within and not all(0 < v < below and v != int(v) for v in numbers)
    return is_within


def _is_possible(numbers: Sequence[float], quantity: str, scale: float, offset: float) -> bool:
    """Whether most of the values lie within what nature allows."""
    limits = QUANTITIES[quantity]
    within = sum(limits.low <= value * scale + offset <= limits.high for value in numbers)
    return within * 2 > len(numbers)


def _few(one: _Field) -> str:
    return ", ".join(dict.fromkeys(shown(value)[:20] for value in one.values[:3]))
