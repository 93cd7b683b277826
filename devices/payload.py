"""Our own JSON payload: ``{"t": ms UTC, "n": sequence, "v": {quantity: number}}``, or an array.

    {"t": 1767225600000, "n": 41, "boot": 3, "v": {"water.level": 1.23, "battery.voltage": 3.6}}

``v`` alone is required. ``true``/``false`` are 1 and 0. An element of a gateway's message names
its device in ``"d"``. Other keys are ignored. A key that stands twice: the last one holds, as in
every JSON reader. Types are checked here and nothing else: limits, clocks and spikes are
`ingest.check`'s, devices and series the registry's.

A good message costs one msgspec decode and one dict lookup a value. A message that this refuses is
read again field by field (`_mend`): what is good in it is kept, the rest is said in Remarks. No
input raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from devices.outcomes import Rejected, Remark, shown
from devices.quantities import QUANTITIES
from devices.readings import Float64s, Int32s, Int64s, UInt8s

MAX_PAYLOAD_BYTES: Final = 1 << 20
MAX_SAMPLES: Final = 10_000
"""Most elements of one message; an array with more is refused as ``too_large``."""
MAX_REMARKS: Final = 16
"""Most remarks made on one message; the last one then says ``more_remarks``."""

NOT_GIVEN: Final = -1
"""Stands in `Batch` for a sequence or boot number that was not sent."""
NO_TIME: Final = -(2**63)
"""Stands in `Batch` for a time that was not sent."""
_FURTHEST: Final = 2**62  # keeps differences of two times inside int64

QUANTITY_NAMES: Final = tuple(name for name, q in QUANTITIES.items() if not q.is_own)
"""Names by code of the quantities that a device may send: ``QUANTITY_NAMES[batch.quantity[i]]``."""
QUANTITY_CODES: Final[Mapping[str, int]] = MappingProxyType(
    {name: code for code, name in enumerate(QUANTITY_NAMES)}
)
"""The small integer that stands for a quantity in `Batch`; holds within one process only."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One timestamped set of values. ``device`` is None when the topic names it."""

    values: Mapping[str, float]
    measured_at: int | None = None
    sequence: int | None = None
    device: str | None = None
    boot: int | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a message gave: at least one sample, and what was left out of it."""

    samples: tuple[Sample, ...]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Many messages decoded into columns, in the order in which they came.

    One row a sample: ``message`` int32 index of its payload in the input, ``measured_at`` int64 ms
    UTC or NO_TIME, ``sequence`` and ``boot`` int64 or NOT_GIVEN, ``device`` the name given inside
    the message or "", ``first`` and ``count`` int32, its span in the value columns.
    One row a value: ``quantity`` uint8 code, ``value`` float64 (finite), ``sample`` int32 row.
    ``rejected`` and ``remarks`` carry the index of the payload. A payload has either samples or one
    entry in ``rejected``.
    """

    message: Int32s
    measured_at: Int64s
    sequence: Int64s
    boot: Int64s
    device: list[str]
    first: Int32s
    count: Int32s
    sample: Int32s
    quantity: UInt8s
    value: Float64s
    rejected: list[tuple[int, Rejected]]
    remarks: list[tuple[int, Remark]]


_Time = Annotated[int, msgspec.Meta(ge=-_FURTHEST, le=_FURTHEST)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=_FURTHEST)]


class _Element(msgspec.Struct, gc=False):
    """One element as it stands on the wire; absent fields hold their sentinels."""

    v: dict[str, float | bool]
    t: _Time = NO_TIME
    n: _Number = NOT_GIVEN
    d: str = ""
    boot: _Number = NOT_GIVEN


_decode_strictly = msgspec.json.Decoder(_Element | list[_Element]).decode
_code_of = dict(QUANTITY_CODES).__getitem__
_KNOWN = frozenset(QUANTITY_NAMES)
_TOO_LARGE = f"at most {MAX_PAYLOAD_BYTES} bytes"


def decode(payload: bytes) -> Decoded | Rejected:
    """Decode one message. Nothing raises: what cannot be read at all is Rejected."""
    elements = _strict_elements(payload)
    remarks: list[Remark] = []
    if elements is None:
        mended = _mend(payload)
        if isinstance(mended, Rejected):
            return mended
        elements, remarks = mended
    return Decoded(tuple(map(_sample, elements)), tuple(remarks))


def decode_batch(payloads: Sequence[bytes]) -> Batch:
    """Decode many messages into columns; one bad message never touches another."""
    columns = _Columns()
    codes, values, add = columns.quantity, columns.value, columns.add
    for index, payload in enumerate(payloads):
        read = None
        try:
            if len(payload) <= MAX_PAYLOAD_BYTES:
                read = _decode_strictly(payload)
                if type(read) is _Element and read.v:
                    codes.extend(map(_code_of, read.v))
                    values.extend(read.v.values())
                    add(index, read, len(read.v))
                    continue
        except (ValueError, KeyError, RecursionError):
            del codes[len(values) :]
        columns.add_slowly(index, payload, read)
    return columns.batch()


def encode(samples: Sequence[Sample]) -> bytes:
    """The payload that `decode` reads as these samples: an object for one, else an array."""
    elements = [
        {
            key: value
            for key, value in (
                ("t", s.measured_at),
                ("n", s.sequence),
                ("boot", s.boot),
                ("d", s.device),
                ("v", dict(s.values)),
            )
            if value is not None
        }
        for s in samples
    ]
    return msgspec.json.encode(elements[0] if len(elements) == 1 else elements)


class _Columns:
    """The columns of a Batch while they grow."""

    def __init__(self) -> None:
        self.message: list[int] = []
        self.measured_at: list[int] = []
        self.sequence: list[int] = []
        self.boot: list[int] = []
        self.count: list[int] = []
        self.device: list[str] = []
        self.quantity: list[int] = []
        self.value: list[float] = []
        self.rejected: list[tuple[int, Rejected]] = []
        self.remarks: list[tuple[int, Remark]] = []

    def add(self, index: int, element: _Element, count: int) -> None:
        self.message.append(index)
        self.measured_at.append(element.t)
        self.sequence.append(element.n)
        self.boot.append(element.boot)
        self.count.append(count)
        self.device.append(element.d)

    def add_slowly(
        self, index: int, payload: bytes, read: _Element | list[_Element] | None
    ) -> None:
        """Take an array, or a message that needs mending."""
        elements = _if_good(read)
        if elements is None:
            mended = _mend(payload)
            if isinstance(mended, Rejected):
                self.rejected.append((index, mended))
                return
            elements, remarks = mended
            self.remarks.extend((index, remark) for remark in remarks)
        for element in elements:
            self.quantity.extend(map(_code_of, element.v))
            self.value.extend(element.v.values())
            self.add(index, element, len(element.v))

    def batch(self) -> Batch:
        count = np.fromiter(self.count, np.int32)
        first = np.zeros(len(count), np.int32)
        np.cumsum(count[:-1], out=first[1:])
        return Batch(
            message=np.fromiter(self.message, np.int32),
            measured_at=np.fromiter(self.measured_at, np.int64),
            sequence=np.fromiter(self.sequence, np.int64),
            boot=np.fromiter(self.boot, np.int64),
            device=self.device,
            first=first,
            count=count,
            sample=np.repeat(np.arange(len(count), dtype=np.int32), count),
            quantity=np.frombuffer(bytes(self.quantity), np.uint8),
            value=np.fromiter(self.value, np.float64),
            rejected=self.rejected,
            remarks=self.remarks,
        )


def _sample(element: _Element) -> Sample:
    return Sample(
        values={name: float(value) for name, value in element.v.items()},
        measured_at=None if element.t == NO_TIME else element.t,
        sequence=None if element.n == NOT_GIVEN else element.n,
        device=element.d or None,
        boot=None if element.boot == NOT_GIVEN else element.boot,
    )


def _strict_elements(payload: bytes) -> list[_Element] | None:
    """All elements of a message that is good throughout, else None."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        return _if_good(_decode_strictly(payload))
    except (ValueError, RecursionError):
        return None


def _if_good(read: _Element | list[_Element] | None) -> list[_Element] | None:
    if read is None:
        return None
    elements = [read] if isinstance(read, _Element) else read
    is_good = 0 < len(elements) <= MAX_SAMPLES and all(
        e.v and _KNOWN.issuperset(e.v) for e in elements
    )
    return elements if is_good else None


# --- The slow path: field by field -------------------------------------------------------------


class _Remarks(list[Remark]):
    """Remarks on one message, bounded."""

    @property
    def is_full(self) -> bool:
        return len(self) > MAX_REMARKS

    def add(self, path: str, value: object, reason: str) -> None:
        if len(self) < MAX_REMARKS:
            self.append(Remark(path, shown(value), reason))
        elif len(self) == MAX_REMARKS:
            self.append(Remark("", f"more than {MAX_REMARKS}", "more_remarks"))


def _mend(payload: bytes) -> tuple[list[_Element], list[Remark]] | Rejected:
    document = _parse(payload)
    if isinstance(document, Rejected):
        return document
    if not isinstance(document, (dict, list)):
        return Rejected("bad_shape", f"object or array expected, found {shown(document)}")
    found = document if isinstance(document, list) else [document]
    if len(found) > MAX_SAMPLES:
        return Rejected("too_large", f"{len(found)} elements, at most {MAX_SAMPLES}")
    remarks = _Remarks()
    paths = (f"[{i}]" for i in range(len(found))) if isinstance(document, list) else iter([""])
    elements = [
        element
        for path, raw in zip(paths, found, strict=True)
        if (element := _mend_element(path, raw, remarks)) is not None
    ]
    if not elements:
        return Rejected("no_values", _summary(remarks) or "no element")
    return elements, remarks


def _parse(payload: bytes) -> Any:
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Rejected("too_large", f"{len(payload)} bytes, {_TOO_LARGE}")
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = shown(payload[error.start : error.start + 8])
        return Rejected("bad_json", f"not UTF-8 at byte {error.start}: {what}")
    try:
        return json.loads(text, parse_int=_bounded_int)
    except json.JSONDecodeError as error:
        where = shown(text[error.pos : error.pos + 16]) or "the end"
        return Rejected("bad_json", f"{error.msg} at character {error.pos}: {where}")
    except RecursionError:
        return Rejected("bad_json", "nested too deeply")


def _bounded_int(digits: str) -> int | float:
    """Python refuses to read integers of over 4,300 digits and is slow below; JSON has no limit."""
    return int(digits) if len(digits) < 40 else float(digits)


def _mend_element(path: str, raw: object, remarks: _Remarks) -> _Element | None:
    """The good part of an element, or None when no value is left."""
    if not isinstance(raw, dict):
        remarks.add(path, raw, "bad_type")
        return None
    dot = f"{path}." if path else ""
    device = raw.get("d")
    if device is not None and not isinstance(device, str):
        remarks.add(f"{dot}d", device, "bad_type")  # whose values these are is not known
        return None
    values = _mend_values(f"{dot}v", raw.get("v"), remarks)
    if not values:
        return None
    return _Element(
        v=values,
        t=_mend_integer(f"{dot}t", raw.get("t"), (-_FURTHEST, NO_TIME), remarks),
        n=_mend_integer(f"{dot}n", raw.get("n"), (0, NOT_GIVEN), remarks),
        d=device or "",
        boot=_mend_integer(f"{dot}boot", raw.get("boot"), (0, NOT_GIVEN), remarks),
    )


def _mend_values(path: str, raw: object, remarks: _Remarks) -> dict[str, float | bool]:
    if not isinstance(raw, dict):
        remarks.add(path, "nothing" if raw is None else raw, "bad_type")
        return {}
    if not raw:
        remarks.add(path, raw, "empty")
    values: dict[str, float | bool] = {}
    for name, value in raw.items():
        reason = _fault(name, value)
        if reason and remarks.is_full:
            continue
        if reason:
            remarks.add(f'{path}["{shown(name)}"]', value, reason)
        else:
            values[name] = float(value)
    return values


def _fault(name: str, value: object) -> str | None:
    if name not in _KNOWN:
        return "unknown_quantity"
    if not isinstance(value, (int, float)):
        return "bad_type"
    return None if isfinite(value) else "not_finite"


def _mend_integer(path: str, raw: object, low_absent: tuple[int, int], remarks: _Remarks) -> int:
    """The integer, or ``absent`` with a remark. A whole float is an integer: JSON has numbers."""
    low, absent = low_absent
    if raw is None:
        return absent
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        remarks.add(path, raw, "bad_type")
    elif not isfinite(raw):
        remarks.add(path, raw, "not_finite")
    elif raw != int(raw):
        remarks.add(path, raw, "bad_type")
    elif not low <= raw <= _FURTHEST:
        remarks.add(path, raw, "out_of_range")
    else:
        return int(raw)
    return absent


def _summary(remarks: Iterable[Remark]) -> str:
    return "; ".join(f"{r.path or 'message'}: {r.reason} ({r.value})" for r in remarks)
