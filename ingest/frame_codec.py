"""Frames as bytes and back: columns as they lie in memory, everything else as MessagePack.

Refuses to know files, checksums and positions (``ingest.segments``). A type code is for ever: a
changed layout gets a new code, an added field of a MessagePack frame gets a default.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.frames import (
    BrokerFrame,
    Frame,
    RawFrame,
    ReadingsFrame,
    Receipts,
    RejectedFrame,
    RevisionFrame,
    SequenceGapFrame,
    SeriesDefinition,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from devices.readings import Readings


class FrameUnreadable(ValueError):
    """The checksum is right and yet the bytes mean nothing to this version of Satomori."""


_COUNTS: Final = struct.Struct("<IIHxxxxxx")  # readings, receipts, bytes of the connection's name

# Widest first, so that every column is aligned when the payload is.
_I8: Final = np.dtype("<i8")
_U8: Final = np.dtype("<u8")
_F8: Final = np.dtype("<f8")
_I4: Final = np.dtype("<i4")
_U2: Final = np.dtype("<u2")
_U1: Final = np.dtype("u1")


def _encode_readings(frame: ReadingsFrame) -> bytes:
    readings, receipts = frame.readings, frame.receipts
    connection = receipts.connection.encode()
    columns: tuple[tuple[NDArray[Any], np.dtype[Any]], ...] = (
        (readings.measured_at, _I8),
        (readings.received_at, _I8),
        (readings.value, _F8),
        (receipts.payload_hash, _U8),
        (receipts.sequence, _I8),
        (readings.series, _I4),
        (receipts.device, _I4),
        (receipts.packet_id, _U2),
        (readings.quality, _U1),
    )
    counts = _COUNTS.pack(len(readings), len(receipts.packet_id), len(connection))
    parts = [counts, *(np.asarray(column, dtype).tobytes() for column, dtype in columns)]
    return b"".join([*parts, connection])


class _Columns:
    """Takes one column after the other out of a payload, as read-only views."""

    def __init__(self, payload: bytes, offset: int) -> None:
        self._payload, self.offset = payload, offset

    def take(self, dtype: np.dtype[Any], rows: int) -> NDArray[Any]:
        column = np.frombuffer(self._payload, dtype, rows, self.offset)
        self.offset += column.nbytes
        return column


_BYTES_PER_READING: Final = 8 + 8 + 8 + 4 + 1
_BYTES_PER_RECEIPT: Final = 8 + 8 + 4 + 2


def _decode_readings(payload: bytes) -> ReadingsFrame:
    if len(payload) < _COUNTS.size:
        raise FrameUnreadable("readings frame shorter than its counts")
    rows, messages, name_bytes = _COUNTS.unpack_from(payload)
    expected = _COUNTS.size + rows * _BYTES_PER_READING + messages * _BYTES_PER_RECEIPT + name_bytes
    if len(payload) != expected:
        raise FrameUnreadable(f"readings frame of {len(payload)} bytes, its counts say {expected}")
    columns = _Columns(payload, _COUNTS.size)
    measured_at, received_at = columns.take(_I8, rows), columns.take(_I8, rows)
    value = columns.take(_F8, rows)
    payload_hash, sequence = columns.take(_U8, messages), columns.take(_I8, messages)
    series, device = columns.take(_I4, rows), columns.take(_I4, messages)
    packet_id, quality = columns.take(_U2, messages), columns.take(_U1, rows)
    connection = payload[columns.offset :].decode()
    return ReadingsFrame(
        Readings(series, measured_at, received_at, value, quality),
        Receipts(connection, packet_id, payload_hash, device, sequence),
    )


_pack = msgspec.msgpack.Encoder().encode
_unpack_definitions = msgspec.msgpack.Decoder(tuple[SeriesDefinition, ...]).decode


def _encode_series(frame: SeriesFrame) -> bytes:
    return _pack(frame.definitions)


def _decode_series(payload: bytes) -> SeriesFrame:
    return SeriesFrame(_unpack_definitions(payload))


def _encode_rejected(frame: RejectedFrame) -> bytes:
    try:
        return _pack(frame)
    except UnicodeEncodeError:  # half a surrogate pair, from a payload's JSON or a codec's text
        return _pack(
            dataclasses.replace(
                frame, topic=_printable(frame.topic), detail=_printable(frame.detail)
            )
        )


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    code: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Frame]


def _packed(code: int, frame_type: Any) -> _Codec:
    return _Codec(code, _pack, msgspec.msgpack.Decoder(frame_type).decode)


_CODECS: Final = {
    ReadingsFrame: _Codec(1, _encode_readings, _decode_readings),
    RejectedFrame: _Codec(2, _encode_rejected, msgspec.msgpack.Decoder(RejectedFrame).decode),
    StatusFrame: _packed(3, StatusFrame),
    SequenceGapFrame: _packed(4, SequenceGapFrame),
    TickFrame: _packed(5, TickFrame),
    BrokerFrame: _packed(6, BrokerFrame),
    RevisionFrame: _packed(7, RevisionFrame),
    SeriesFrame: _Codec(8, _encode_series, _decode_series),
    RawFrame: _packed(9, RawFrame),
}
_BY_CODE: Final = {codec.code: codec for codec in _CODECS.values()}


def encode_frame(frame: Frame) -> tuple[int, bytes]:
    """The frame's type code and its bytes."""
    codec = _CODECS[type(frame)]
    return codec.code, codec.encode(frame)


def decode_frame(code: int, payload: bytes) -> Frame:
    """The frame of a type code and its bytes; columns are read-only views of ``payload``.

    Raises FrameUnreadable for a code that this version does not know and for bytes that do not fit
    the code.
    """
    codec = _BY_CODE.get(code)
    if codec is None:
        raise FrameUnreadable(f"frame type {code} is unknown: written by a newer Satomori?")
    try:
        return codec.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FrameUnreadable(f"frame type {code}: {error}") from error
