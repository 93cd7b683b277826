"""What a device sends: our own JSON, the same in CBOR, SenML in either; one message or many.

    {"t": 1767225600000, "n": 41, "boot": 3, "v": {"water.level": 1.23, "battery.voltage": 3.6}}

``v`` alone is required. ``true``/``false`` are 1 and 0. An element of a gateway's message names
its device in ``"d"``. Other keys are ignored. A key that stands twice: the last one holds, as in
every JSON reader. Types are checked here and nothing else: limits, clocks and spikes are
`ingest.check`'s, devices and series the registry's.

A good message in our JSON costs one msgspec decode and one dict lookup a value. What this refuses
is read again: its first byte tells CBOR from JSON (`devices.cbor`), its shape a SenML pack
(`devices.senml`) from our own form, which is then read field by field (`devices.mending`): what is
good in it is kept, the rest is said in Remarks. No input raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from devices import cbor, senml
from devices.elements import (
    MAX_PAYLOAD_BYTES,
    MAX_REMARKS,
    MAX_SAMPLES,
    NO_TIME,
    NOT_GIVEN,
    QUANTITY_CODES,
    QUANTITY_NAMES,
    SENDABLE,
    Element,
    Elements,
)
from devices.mending import mend
from devices.outcomes import Rejected, Remark, shown
from devices.readings import Float64s, Int32s, Int64s, UInt8s

__all__ = [
    "MAX_PAYLOAD_BYTES", "MAX_REMARKS", "MAX_SAMPLES", "NOT_GIVEN", "NO_TIME", "QUANTITY_CODES",
    "QUANTITY_NAMES", "Batch", "Decoded", "Sample", "decode", "decode_batch", "encode",
]  # fmt: skip


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
    ``relative`` are the rows of samples whose time was said as so long before it was received;
    ``sender`` what a message calls whom it is about, by row, where that is not in ``device``.
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
    relative: list[int]
    sender: dict[int, str]


_decode_strictly = msgspec.json.Decoder(Element | list[Element]).decode
_code_of = dict(QUANTITY_CODES).__getitem__
_TOO_LARGE = f"at most {MAX_PAYLOAD_BYTES} bytes"


def decode(payload: bytes, received_at: int | None = None) -> Decoded | Rejected:
    """Decode one message. Nothing raises: what cannot be read at all is Rejected.

    ``received_at`` (ms UTC) is the "now" of times that are counted from it, as SenML may; without
    it such values are left out.
    """
    elements = _strict_elements(payload)
    if elements is not None:
        return Decoded(tuple(map(_sample, elements)))
    read = _read_slowly(payload, received_at)
    if isinstance(read, Rejected):
        return read
    return Decoded(tuple(map(_sample, read.found)), tuple(read.remarks))


def decode_batch(payloads: Sequence[bytes], received_at: Int64s | None = None) -> Batch:
    """Decode many messages into columns; one bad message never touches another.

    ``received_at`` int64 ms UTC, one a message, as for `decode`.
    """
    columns = _Columns(received_at)
    codes, values, add = columns.quantity, columns.value, columns.add
    for index, payload in enumerate(payloads):
        read = None
        try:
            if len(payload) <= MAX_PAYLOAD_BYTES:
                read = _decode_strictly(payload)
                if type(read) is Element and read.v:
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

    def __init__(self, received_at: Int64s | None) -> None:
        self._received_at = received_at
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
        self.relative: list[int] = []
        self.sender: dict[int, str] = {}

    def add(self, index: int, element: Element, count: int) -> None:
        self.message.append(index)
        self.measured_at.append(element.t)
        self.sequence.append(element.n)
        self.boot.append(element.boot)
        self.count.append(count)
        self.device.append(element.d)

    def add_slowly(self, index: int, payload: bytes, read: Element | list[Element] | None) -> None:
        """Take an array, another format, or a message that needs mending."""
        elements = _if_good(read)
        if elements is None:
            received_at = None if self._received_at is None else int(self._received_at[index])
            slowly = _read_slowly(payload, received_at)
            if isinstance(slowly, Rejected):
                self.rejected.append((index, slowly))
                return
            elements = slowly.found
            self._note(index, slowly)
        for element in elements:
            self.quantity.extend(map(_code_of, element.v))
            self.value.extend(element.v.values())
            self.add(index, element, len(element.v))

    def _note(self, index: int, read: Elements) -> None:
        """What was said besides values, before they are added."""
        row = len(self.message)
        self.remarks.extend((index, remark) for remark in read.remarks)
        self.relative.extend(row + k for k in sorted(read.relative))
        if read.sender:
            self.sender |= dict.fromkeys(range(row, row + len(read.found)), read.sender)

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
            relative=self.relative,
            sender=self.sender,
        )


def _sample(element: Element) -> Sample:
    return Sample(
        values={name: float(value) for name, value in element.v.items()},
        measured_at=None if element.t == NO_TIME else element.t,
        sequence=None if element.n == NOT_GIVEN else element.n,
        device=element.d or None,
        boot=None if element.boot == NOT_GIVEN else element.boot,
    )


def _strict_elements(payload: bytes) -> list[Element] | None:
    """All elements of a message that is good throughout, else None."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        return _if_good(_decode_strictly(payload))
    except (ValueError, RecursionError):
        return None


def _if_good(read: Element | list[Element] | None) -> list[Element] | None:
    if read is None:
        return None
    elements = [read] if isinstance(read, Element) else read
    is_good = 0 < len(elements) <= MAX_SAMPLES and all(
        e.v and SENDABLE.issuperset(e.v) for e in elements
    )
    return elements if is_good else None


# --- The slow path: other formats, and what needs mending ----------------------------------------


def _read_slowly(payload: bytes, received_at: int | None) -> Elements | Rejected:
    document = _parse(payload)
    if isinstance(document, Rejected):
        return document
    return senml.read(document, received_at) if senml.is_pack(document) else mend(document)


def _parse(payload: bytes) -> Any:
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Rejected("too_large", f"{len(payload)} bytes, {_TOO_LARGE}")
    return cbor.decode(payload) if cbor.is_cbor(payload) else _parse_json(payload)


def _parse_json(payload: bytes) -> Any:
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
