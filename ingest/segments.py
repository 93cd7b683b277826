"""Segment files of the journal: names, headers, the envelope of a frame, and what is damage.

::

    00000000000000000001.seg     header | frame 1 | frame 2 | … | frame 811
    00000000000000000812.seg     header | frame 812 (series definitions) | …

    header   magic 8 | version u16 | lane u8 | 0 ×5 | epoch u64 | previous epoch u64 | first n u64
             | crc32 u32
    frame    length u32 | crc32 u32 | n u64 | type u8 | payload     (both of n, type and payload)

Integers are little-endian, checksums those of zlib.

Refuses to know what a frame means (``ingest.frame_codec``), who writes and who reads.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import Final

from devices.frames import Lane, Position

Buffer = bytes | mmap

_MAGIC: Final = b"SATOJRNL"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sHBxxxxxQQQ")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size

_ENVELOPE: Final = struct.Struct("<IIQB")
_LENGTH_AND_CRC: Final = 8
_N_AND_TYPE: Final = struct.Struct("<QB")
ENVELOPE_BYTES: Final = _ENVELOPE.size
MAX_FRAME_BYTES: Final = 1 << 30
_LEAVE_OUT: Final = 64  # so many damaged frames in a row are searched across

_LANES: Final = (Lane.URGENT, Lane.ROUTINE)


class JournalDamaged(Exception):
    """Bytes that were published cannot be read any more; never raised for a torn tail.

    The reader must say so to somebody, and may then go on with ``read(after=resume_after)``, which
    leaves out what is damaged; ``resume_after`` is None where nothing readable follows yet.
    """

    def __init__(
        self, path: Path, offset: int, reason: str, resume_after: Position | None = None
    ) -> None:
        super().__init__(f"{path}: offset {offset}: {reason}")
        self.path, self.offset, self.reason = path, offset, reason
        self.resume_after = resume_after


class BrokenFrame(Exception):
    """No whole frame stands here: a torn tail for the writer, damage for a reader."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """``previous_epoch`` is the epoch of frame ``first_n - 1`` (0: there is none)."""

    lane: Lane
    epoch: int
    previous_epoch: int
    first_n: int

    @property
    def before(self) -> Position:
        """The position after which this segment is read from its beginning."""
        return Position(self.previous_epoch, self.first_n - 1)

    def encode(self) -> bytes:
        fields = (_LANES.index(self.lane), self.epoch, self.previous_epoch, self.first_n)
        head = _HEADER.pack(_MAGIC, _VERSION, *fields)
        return head + _CRC.pack(zlib.crc32(head))


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment file; its name tells the number of its first frame."""

    path: Path
    first_n: int

    def header(self) -> SegmentHeader:
        """Read the header; raises JournalDamaged for one that cannot be right."""
        with self.path.open("rb") as file:
            data = file.read(HEADER_BYTES)
        if len(data) < HEADER_BYTES:
            raise JournalDamaged(self.path, 0, "segment header is cut off")
        if zlib.crc32(data[: _HEADER.size]) != _CRC.unpack_from(data, _HEADER.size)[0]:
            raise JournalDamaged(self.path, 0, "segment header has a wrong checksum")
        magic, version, lane, epoch, previous_epoch, first_n = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION or lane >= len(_LANES):
            raise JournalDamaged(self.path, 0, f"not a journal segment of version {_VERSION}")
        if first_n != self.first_n:
            raise JournalDamaged(self.path, 0, f"named for frame {self.first_n}, holds {first_n}")
        return SegmentHeader(_LANES[lane], epoch, previous_epoch, first_n)


def segment_of(directory: Path, first_n: int) -> Segment:
    """The segment that begins with frame ``first_n``, whether or not it exists."""
    return Segment(directory / f"{first_n:020d}.seg", first_n)


def list_segments(directory: Path) -> list[Segment]:
    """All segments kept, oldest first."""
    names = sorted(path.stem for path in directory.glob("*.seg") if path.stem.isdecimal())
    return [segment_of(directory, int(name)) for name in names]


def create_segment(directory: Path, header: SegmentHeader, frames: bytes) -> Segment:
    """Make a segment durable, file and directory entry, before anybody can see its name."""
    segment = segment_of(directory, header.first_n)
    draft = segment.path.with_suffix(".new")
    with draft.open("wb") as file:
        file.write(header.encode() + frames)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(segment.path)
    sync_directory(directory)
    return segment


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def enclose(n: int, code: int, payload: bytes) -> tuple[bytes, bytes]:
    """Envelope and payload of frame ``n``, to be written one after the other."""
    length = _N_AND_TYPE.size + len(payload)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
    checksum = zlib.crc32(payload, zlib.crc32(_N_AND_TYPE.pack(n, code)))
    return _ENVELOPE.pack(length, checksum, n, code), payload


def claimed_bytes(buffer: Buffer, offset: int) -> int:
    """How long the frame here says it is, envelope included; at least ENVELOPE_BYTES."""
    if offset + 4 > len(buffer):
        return ENVELOPE_BYTES
    length: int = _CRC.unpack_from(buffer, offset)[0]
    return max(ENVELOPE_BYTES, _LENGTH_AND_CRC + length)


def n_at(buffer: Buffer, offset: int) -> int | None:
    """The number of the frame that seems to stand here, unchecked."""
    if offset + ENVELOPE_BYTES > len(buffer):
        return None
    n: int = _ENVELOPE.unpack_from(buffer, offset)[2]
    return n


def open_frame(buffer: Buffer, offset: int, n: int) -> tuple[int, bytes, int]:
    """Type code, payload and end of the frame at ``offset``.

    Raises BrokenFrame unless a whole frame ``n`` stands there.
    """
    if offset + ENVELOPE_BYTES > len(buffer):
        raise BrokenFrame("frame is cut off")
    length, checksum, own_n, code = _ENVELOPE.unpack_from(buffer, offset)
    if not _N_AND_TYPE.size <= length <= MAX_FRAME_BYTES:
        raise BrokenFrame(f"impossible frame length {length}")
    end = offset + _LENGTH_AND_CRC + length
    if end > len(buffer):
        raise BrokenFrame("frame is cut off")
    payload = buffer[offset + ENVELOPE_BYTES : end]
    if zlib.crc32(payload, zlib.crc32(_N_AND_TYPE.pack(own_n, code))) != checksum:
        raise BrokenFrame("frame has a wrong checksum")
    if own_n != n:
        raise BrokenFrame(f"frame {own_n} stands where frame {n} belongs")
    return code, payload, end


def find_frame(buffer: Buffer, offset: int, n: int) -> int | None:
    """Where frame ``n`` stands at or after ``offset``, found by its number and checksum."""
    wanted = n.to_bytes(8, "little")
    at = buffer.find(wanted, offset + _LENGTH_AND_CRC)
    while at >= 0:
        try:
            open_frame(buffer, at - _LENGTH_AND_CRC, n)
        except BrokenFrame:
            at = buffer.find(wanted, at + 1)
        else:
            return at - _LENGTH_AND_CRC
    return None


def find_next_frame(buffer: Buffer, offset: int, n: int) -> tuple[int, int] | None:
    """Offset and number of the first sound frame from ``n`` on, a few damaged ones left out."""
    for wanted in range(n, n + _LEAVE_OUT):
        found = find_frame(buffer, offset, wanted)
        if found is not None:
            return found, wanted
    return None


class SegmentFile:
    """Keeps the file open that was read last."""

    def __init__(self) -> None:
        self._fd = -1
        self._segment: Segment | None = None

    def fd(self, segment: Segment) -> int:
        """A descriptor for reading; good until another segment is asked for."""
        if segment != self._segment:
            self.close()
            self._fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            self._segment = segment
        return self._fd

    def size(self, segment: Segment) -> int:
        """Bytes that the file has now."""
        return os.fstat(self.fd(segment)).st_size

    def content(self, segment: Segment, limit: int) -> bytes:
        """The file's first ``limit`` bytes, or all that there are."""
        with self.mapped(segment, limit) as data:
            return data[:]

    def mapped(self, segment: Segment, limit: int) -> mmap:
        """The same without reading it."""
        return mmap(self.fd(segment), min(limit, self.size(segment)), prot=PROT_READ)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._segment = -1, None
