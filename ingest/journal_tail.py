"""The published tail: how far readers of a journal may look. One small file, two slots.

The writer fills the slot that is not the newest, and only after fdatasync of what it speaks of; a
reader takes the newest slot whose checksum is right, so it never meets a half-written one. The
file itself is not synced: after a power cut it is at worst too modest, and recovery looks further.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devices.frames import Position

_SLOT: Final = struct.Struct("<QQQQQ")
_CRC: Final = struct.Struct("<I")
_SLOT_STRIDE: Final = 64
TAIL_NAME: Final = "published"


@dataclass(frozen=True, slots=True)
class Tail:
    """Frames up to ``last_n`` are published: ``offset`` bytes of segment ``first_n``."""

    generation: int
    epoch: int
    first_n: int
    offset: int
    last_n: int

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.last_n)


def _encode(tail: Tail) -> bytes:
    fields = (tail.generation, tail.epoch, tail.first_n, tail.offset, tail.last_n)
    slot = _SLOT.pack(*fields)
    return slot + _CRC.pack(zlib.crc32(slot))


def _decode(slot: bytes) -> Tail | None:
    if len(slot) < _SLOT.size + _CRC.size or slot.count(0) == len(slot):
        return None
    if zlib.crc32(slot[: _SLOT.size]) != _CRC.unpack_from(slot, _SLOT.size)[0]:
        return None
    return Tail(*_SLOT.unpack_from(slot))


class TailFile:
    """The file ``published`` of a journal directory, for its one writer or for a reader."""

    def __init__(self, directory: Path, *, is_writable: bool) -> None:
        """Open it; raises FileNotFoundError for a reader whose writer has not been here yet."""
        flags = os.O_RDWR | os.O_CREAT if is_writable else os.O_RDONLY
        self._fd = os.open(directory / TAIL_NAME, flags | os.O_CLOEXEC, 0o644)

    def read(self) -> Tail | None:
        """The newest tail; None before anything was published."""
        data = os.pread(self._fd, 2 * _SLOT_STRIDE, 0)
        tails = [_decode(data[:_SLOT_STRIDE]), _decode(data[_SLOT_STRIDE:])]
        return max((t for t in tails if t), key=lambda t: t.generation, default=None)

    def write(self, tail: Tail) -> None:
        """Publish; generations must rise by one."""
        os.pwrite(self._fd, _encode(tail), tail.generation % 2 * _SLOT_STRIDE)

    def sync(self) -> None:
        """Make the newest tail durable."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
