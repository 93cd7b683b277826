"""From what a codec says to our quantities: a table a person has confirmed, applied to an answer.

    {"distance": 1834, "Bat": "3.6V"}  ──▶  water.distance 1.834 m, battery.voltage 3.6 V

Nothing is ever guessed here: a value that is absent, not finite or not readable is left out, and a
past value whose time is not known too. Refuses to know where mappings are kept and who may change
them (`devices.codecs.library`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final

import msgspec

from devices.codecs.codec import Answer
from devices.codecs.normalized import values_of
from devices.codecs.paths import Path, PathError, look_up, parse, split
from devices.codecs.values import moment, number, state
from devices.payload import QUANTITY_CODES, Sample
from devices.quantities import QUANTITIES

MAX_ENTRIES: Final = 64
MAX_SAMPLES: Final = 256
"""A LoRaWAN payload has 242 bytes: no more past values than that can be in it."""

_NULL_ISLAND_DEG: Final = 1e-6


class MappingError(ValueError):
    """A mapping that cannot be; the text says which entry and why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must (or, with ``is_equal`` false, must not) stand at ``path`` for an entry to hold."""

    path: str
    value: str | float | bool
    is_equal: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """``quantity`` (in our unit) is what stands at ``path``, times ``scale``, plus ``offset``.

    ``unit`` is what must stand behind the number where the codec gives a text such as ``3.6 V``.
    A flag (``QUANTITIES[…].is_flag``) is read from a boolean, 0, 1 or a word such as ``open``.
    """

    path: str
    quantity: str
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """When the elements of the list at ``path`` were measured: entries name them as ``path[]``.

    Either each element has its ``time`` (a path within it), or they are ``interval_s`` apart, the
    one that is nearest to now being that of the message::

        newest_first:   [0] = message, [1] = message - interval, …
    """

    path: str
    time: str = ""
    interval_s: float | None = None
    is_newest_first: bool = True


@dataclass(frozen=True, slots=True)
class QuantityMapping:
    """How a codec's answers are read. Of two entries for a quantity the first that is there holds.

    ``uses_normalized``: what ``normalizeUplink`` says is taken for all that no entry gives, but for
    the quantities in ``distrusts`` (some codecs put percent where volts belong).
    ``time`` is the path of the time of measurement where the codec knows it.
    """

    entries: tuple[Entry, ...] = ()
    uses_normalized: bool = False
    time: str = ""
    past: tuple[Past, ...] = ()
    distrusts: tuple[str, ...] = ()


NORMALIZED: Final = QuantityMapping(uses_normalized=True)
"""Takes what the codec's own ``normalizeUplink`` says, and nothing else."""


def to_samples(
    answer: Answer, mapping: QuantityMapping, measured_at: int | None
) -> tuple[Sample, ...]:
    """What an answer gives, oldest first; empty where nothing in it is mapped.

    ``measured_at`` (ms UTC) holds for what has no time of its own; None: it is not known. Units
    are ours. At most MAX_SAMPLES samples.
    """
    found = _Found()
    taken_at = _taken_at(answer, mapping) or measured_at
    past = _past_by_path(mapping)
    for entry in mapping.entries:
        if _holds(entry, answer.data):
            for at, raw in _raw_values(entry, answer.data, past, taken_at):
                found.add(at, entry.quantity, _read(entry, raw))
    if mapping.uses_normalized:
        for measurement in (answer.normalized or ())[:MAX_SAMPLES]:
            at = moment(measurement.get("time")) or taken_at
            for quantity, value in values_of(measurement).items():
                if quantity not in mapping.distrusts:
                    found.add(at, quantity, value)
    return found.samples()


def _taken_at(answer: Answer, mapping: QuantityMapping) -> int | None:
    return moment(look_up(answer.data, parse(mapping.time))) if mapping.time else None


def _past_by_path(mapping: QuantityMapping) -> dict[Path, Past]:
    """The list itself may be all that the codec gives: its path is empty then."""
    return {parse(one.path) if one.path else (): one for one in mapping.past}


def _raw_values(
    entry: Entry, data: Any, past: Mapping[Path, Past], taken_at: int | None
) -> Iterator[tuple[int | None, Any]]:
    """What stands at the entry's path, with its time: one value, or one an element of a list."""
    path = parse(entry.path)
    parts = split(path)
    if parts is None:
        yield taken_at, look_up(data, path)
        return
    for at, element in _elements(look_up(data, parts[0]), past.get(parts[0]), taken_at):
        yield at, look_up(element, parts[1])


class _Found:
    """Values by the time at which they were measured; bounded."""

    def __init__(self) -> None:
        self._by_time: dict[int | None, dict[str, float]] = {}

    def add(self, at: int | None, quantity: str, value: float | None) -> None:
        if value is None or (at not in self._by_time and len(self._by_time) >= MAX_SAMPLES):
            return
        self._by_time.setdefault(at, {}).setdefault(quantity, value)

    def samples(self) -> tuple[Sample, ...]:
        ordered = sorted(self._by_time.items(), key=lambda item: (item[0] is None, item[0] or 0))
        placed = ((at, _without_null_island(values)) for at, values in ordered)
        return tuple(Sample(values, at) for at, values in placed if values)


def _without_null_island(values: dict[str, float]) -> dict[str, float]:
    """A receiver without a fix says 0° N, 0° E: no place of ours is there."""
    where = ("position.latitude", "position.longitude")
    if all(abs(values.get(name, 1.0)) < _NULL_ISLAND_DEG for name in where):
        return {name: value for name, value in values.items() if name not in where}
    return values


def _read(entry: Entry, raw: Any) -> float | None:
    is_flag = QUANTITIES[entry.quantity].is_flag
    read = state(raw) if is_flag else number(raw, entry.unit)
    if read is None:
        return None
    value = read * entry.scale + entry.offset
    return value if isfinite(value) else None


def _holds(entry: Entry, data: Any) -> bool:
    return all(
        _is_same(look_up(data, parse(one.path)), one.value) is one.is_equal for one in entry.when
    )


def _is_same(found: Any, value: str | float | bool) -> bool:
    is_same_type = isinstance(found, bool) is isinstance(value, bool)
    return is_same_type and bool(found == value)


def _elements(found: Any, past: Past | None, taken_at: int | None) -> Iterator[tuple[int, Any]]:
    """Each element of a list whose time is known, with that time."""
    if past is None or not isinstance(found, list):
        return
    elements = found[:MAX_SAMPLES]
    if past.time:
        for element in elements:
            at = moment(look_up(element, parse(past.time)))
            if at is not None:
                yield at, element
    elif past.interval_s and taken_at is not None:
        ordered = elements if past.is_newest_first else elements[::-1]
        for ago, element in enumerate(ordered):
            yield taken_at - round(ago * past.interval_s * 1000), element


# -- as it is kept


def from_json(document: Any) -> QuantityMapping:
    """A mapping as `to_json` gives it, checked throughout. Raises MappingError."""
    try:
        mapping = msgspec.convert(document, QuantityMapping)
    except msgspec.ValidationError as error:
        raise MappingError(str(error)) from None
    return checked(mapping)


def to_json(mapping: QuantityMapping) -> dict[str, Any]:
    """The mapping as JSON keeps it."""
    return asdict(mapping)


def checked(mapping: QuantityMapping) -> QuantityMapping:
    """The mapping itself. Raises MappingError where it names what is not there."""
    lists = (mapping.entries, mapping.past, mapping.distrusts)
    if any(len(one) > MAX_ENTRIES for one in lists):
        raise MappingError(f"a mapping has at most {MAX_ENTRIES} entries")
    for one in mapping.past:
        if problem := _past_problem(one):
            raise MappingError(f"past {one.path}: {problem}")
    for number_, entry in enumerate(mapping.entries, 1):
        if problem := _problem(entry, mapping):
            raise MappingError(f"entry {number_} ({entry.path}): {problem}")
    if mapping.time and (problem := _path_problem(mapping.time)):
        raise MappingError(f"time: {problem}")
    return mapping


def _problem(entry: Entry, mapping: QuantityMapping) -> str:
    if problem := _path_problem(entry.path, may_spread=True):
        return problem
    if entry.quantity not in QUANTITY_CODES:
        return f"no quantity is called {entry.quantity!r}"
    if not (isfinite(entry.scale) and isfinite(entry.offset) and entry.scale):
        return "scale is a finite number other than 0, offset a finite one"
    parts = split(parse(entry.path))
    if parts is not None and parts[0] not in {
        parse(p.path) if p.path else () for p in mapping.past
    }:
        return "[] needs a word on when its elements were measured"
    return next((p for c in entry.when if (p := _path_problem(c.path))), "")


def _past_problem(one: Past) -> str:
    if one.path and (problem := _path_problem(one.path)):
        return problem
    if one.time and one.interval_s is None:
        return _path_problem(one.time)
    if one.time or one.interval_s is None:
        return "either a time or an interval"
    is_possible = isfinite(one.interval_s) and 0 < one.interval_s <= 366 * 86_400
    return "" if is_possible else "the interval is more than 0 s and at most a year"


def _path_problem(text: str, *, may_spread: bool = False) -> str:
    try:
        path = parse(text)
    except PathError as error:
        return str(error)
    return "" if may_spread or split(path) is None else f"{text!r}: no [] here"
