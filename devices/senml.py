"""SenML packs (RFC 8428, secondary units of RFC 8798) → elements.

    [{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1.7672256e9,"n":"water.level","u":"mm","v":1234},
     {"n":"battery.voltage","u":"V","v":3.6}, {"n":"water.level","t":-600,"v":1230}]

Base fields hold from their record on. A record is taken when its name, or the part behind the last
``/``, ``:`` or ``_``, is one of our quantities, and its unit is known and of that quantity; all
else is left out and said. Times below 2**28 s count from the moment at which the message was
received. Records of one name and time are one element, whose sender is the part before the
quantity. String and data values, sums and update times are not used.

Works on what a JSON or CBOR reader gives; CBOR has integers for labels. Refuses to know encodings,
devices and what the clock of a device is worth. No input raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final

from devices.elements import (
    FURTHEST,
    MAX_SAMPLES,
    NO_TIME,
    SENDABLE,
    Element,
    Elements,
    Remarks,
    summary,
)
from devices.outcomes import Rejected, shown
from devices.quantities import QUANTITIES
from devices.senml_units import to_ours

MAX_NAME_CHARS: Final = 256
RELATIVE_BELOW_S: Final = 2**28
"""Times below are relative to now (RFC 8428, 4.5.3)."""
VERSIONS: Final = (*range(1, 11), 26)
"""RFC 8428 and its drafts, and the same with secondary units (RFC 9100)."""

_LABELS: Final[Mapping[Any, str]] = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_BASES: Final = frozenset(("bver", "bn", "bt", "bu", "bv", "bs"))
_VALUES: Final = ("v", "vb", "vs", "vd")
_SEPARATOR: Final = re.compile(r"[/:_]")


class _Broken(Exception):
    """What a pack says from here on cannot be understood; never leaves this module."""

    def __init__(self, path: str, what: str) -> None:
        self.rejected = Rejected("bad_senml", f"{path}: {what}")


class _Unusable(Exception):
    """One record cannot be taken; never leaves this module."""

    def __init__(self, label: str, value: object, reason: str) -> None:
        self.label, self.value, self.reason = label, value, reason


@dataclass(frozen=True, slots=True)
class _Bases:
    """Base fields as they stand at a record."""

    bn: str = ""
    bt: float = 0.0
    bu: str = ""
    bv: float = 0.0


@dataclass(slots=True)
class _Gathered:
    """Values by whom and when; ``relative`` are those counted from the time of reception."""

    received_at: int | None
    remarks: Remarks = field(default_factory=Remarks)
    values: dict[tuple[str, int], dict[str, float | bool]] = field(default_factory=dict)
    relative: set[tuple[str, int]] = field(default_factory=set)


def is_pack(document: object) -> bool:
    """Whether a document is a SenML pack: an array that begins with a record of one.

    A record names itself in text or has a base field or an integer for a label; an array in which
    any object has an object in ``v`` is of our own form.
    """
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        return False
    first = document[0]
    is_record = isinstance(first.get("n"), str) or any(
        key in _BASES or isinstance(key, int) for key in first
    )
    return is_record and not any(
        isinstance(raw, dict) and isinstance(raw.get("v"), dict) for raw in document
    )


def read(pack: list[Any], received_at: int | None) -> Elements | Rejected:
    """The elements of a pack; ``received_at`` (ms UTC) is the "now" of relative times.

    Without it, what has a relative time is left out.
    """
    if len(pack) > MAX_SAMPLES:
        return Rejected("too_large", f"{len(pack)} records, at most {MAX_SAMPLES}")
    gathered = _Gathered(received_at)
    bases = _Bases()
    for number, raw in enumerate(pack):
        path = f"[{number}]"
        if not isinstance(raw, dict):
            gathered.remarks.add(path, raw, "bad_type")
            continue
        record = {_LABELS.get(key, key): value for key, value in raw.items()}
        try:
            bases = _rebased(bases, record, path)
            _take(record, bases, gathered)
        except _Broken as broken:
            return broken.rejected
        except _Unusable as unusable:
            dot = f"{path}.{unusable.label}" if unusable.label else path
            gathered.remarks.add(dot, unusable.value, unusable.reason)
    return _elements(gathered)


def _rebased(bases: _Bases, record: Mapping[Any, Any], path: str) -> _Bases:
    """The base fields from this record on. One that cannot be read spoils all that follow."""
    if _BASES.isdisjoint(record) and not any(_must_be_understood(key) for key in record):
        return bases
    for key in record:
        if _must_be_understood(key):
            raise _Broken(path, f"{shown(key)} must be understood and is not")
    if "bver" in record and record["bver"] not in VERSIONS:
        raise _Broken(f"{path}.bver", f"version {shown(record['bver'])} is not known")
    changes: dict[str, Any] = {}
    for label in ("bn", "bu"):
        if label in record:
            changes[label] = _text(record[label], f"{path}.{label}")
    for label in ("bt", "bv"):
        if label in record:
            changes[label] = _number(record[label], f"{path}.{label}")
    return replace(bases, **changes)


def _must_be_understood(key: object) -> bool:
    """RFC 8428, 4.4: a label that ends so changes the meaning of the others."""
    return isinstance(key, str) and key.endswith("_")


def _text(raw: object, path: str) -> str:
    if not isinstance(raw, str) or len(raw) > MAX_NAME_CHARS:
        raise _Broken(path, f"text of at most {MAX_NAME_CHARS} characters expected: {shown(raw)}")
    return raw


def _number(raw: object, path: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not isfinite(raw):
        raise _Broken(path, f"number expected: {shown(raw)}")
    return raw


def _take(record: Mapping[str, Any], bases: _Bases, gathered: _Gathered) -> None:
    """Add what a record measured; raises _Unusable."""
    given = [label for label in _VALUES if label in record]
    if not given and "s" not in record and not _BASES.isdisjoint(record):
        return  # only sets what holds from here on
    if given not in (["v"], ["vb"]):
        label = given[0] if given else "s"
        raise _Unusable(label, record.get(label, "nothing"), "not_used")
    sender, quantity = _named(record.get("n", ""), bases)
    value = _value(given[0], record, bases, quantity)
    key = (sender, _time(record.get("t", 0), bases, gathered))
    gathered.values.setdefault(key, {})[quantity] = value
    if _is_relative(record.get("t", 0) + bases.bt):
        gathered.relative.add(key)


def _named(name: object, bases: _Bases) -> tuple[str, str]:
    """Who is meant ("" where nobody is named) and which of our quantities."""
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
        raise _Unusable("n", name, "bad_type")
    full = bases.bn + name
    if full in SENDABLE:
        return "", full
    *before, quantity = _SEPARATOR.split(full)
    if quantity not in SENDABLE:
        raise _Unusable("n", full, "unknown_quantity")
    return next((part for part in reversed(before) if part), ""), quantity


def _value(label: str, record: Mapping[str, Any], bases: _Bases, quantity: str) -> float:
    raw, unit = record[label], record.get("u", bases.bu)
    if label == "vb":
        if not isinstance(raw, bool) or not QUANTITIES[quantity].is_flag:
            raise _Unusable(label, raw, "bad_type")
        return float(raw)
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise _Unusable(label, raw, "bad_type")
    if not isinstance(unit, str):
        raise _Unusable("u", unit, "bad_type")
    value = to_ours(quantity, unit, raw + bases.bv)
    if isinstance(value, str):
        raise _Unusable("u", unit, value)
    if not isfinite(value):
        raise _Unusable(label, raw, "not_finite")
    return float(value)


def _is_relative(seconds: float) -> bool:
    return seconds != 0 and seconds < RELATIVE_BELOW_S


def _time(raw: object, bases: _Bases, gathered: _Gathered) -> int:
    """When it was measured, ms UTC; NO_TIME for now."""
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise _Unusable("t", raw, "bad_type")
    seconds = raw + bases.bt
    if not isfinite(seconds):
        raise _Unusable("t", raw, "not_finite")
    if abs(seconds) > FURTHEST // 2000:
        raise _Unusable("t", raw, "out_of_range")
    if seconds == 0:
        return NO_TIME
    if not _is_relative(seconds):
        return round(seconds * 1000)
    if gathered.received_at is None:
        raise _Unusable("t", raw, "relative_time")
    return gathered.received_at + round(seconds * 1000)


def _elements(gathered: _Gathered) -> Elements | Rejected:
    """One element for each sender and time; a pack of one sender does not say it in each."""
    if not gathered.values:
        return Rejected("no_values", summary(gathered.remarks) or "no record has a value")
    senders = {sender for sender, _ in gathered.values}
    is_of_one = len(senders) == 1
    found = [
        Element(v=values, t=at, d="" if is_of_one else sender)
        for (sender, at), values in gathered.values.items()
    ]
    relative = frozenset(k for k, key in enumerate(gathered.values) if key in gathered.relative)
    return Elements(found, gathered.remarks, relative, senders.pop() if is_of_one else "")
