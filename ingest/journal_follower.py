"""A reader of the journal: only what is published, from any process, at its own pace.

Refuses to know what a frame means and what its reader does with it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from devices.frames import Entry, Lane, Position
from ingest.frame_codec import FrameUnreadable, decode_frame
from ingest.journal_retention import check_reader_name, locate, save_reader
from ingest.journal_tail import Tail, TailFile
from ingest.journal_wake import WakeSocket
from ingest.segments import (
    ENVELOPE_BYTES,
    HEADER_BYTES,
    BrokenFrame,
    Buffer,
    JournalDamaged,
    Segment,
    SegmentHeader,
    claimed_bytes,
    find_frame,
    list_segments,
    n_at,
    open_frame,
)

log = structlog.get_logger()

_MIB: Final = 1 << 20
_LEAVE_OUT: Final = 64  # so many damaged frames in a row are searched across


class PositionLost(Exception):
    """The frames after a position are gone, or are of another epoch (a restored backup).

    Go on with ``read(after=None)``, which begins at ``oldest``, and expect to see frames again.
    """

    def __init__(self, after: Position, oldest: Position | None) -> None:
        super().__init__(f"no frames are kept after {after}; the oldest kept is {oldest}")
        self.after, self.oldest = after, oldest


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The next frame: number ``n`` at ``offset`` of a segment of ``epoch``; ``after`` it is read."""

    after: Position | None
    segment: Segment
    epoch: int
    offset: int
    n: int


class JournalFollower:
    """One reader of one lane; one per reader name. Not to be called from two threads at once."""

    def __init__(
        self, directory: Path, lane: Lane, reader: str, wake_socket: Path | None = None
    ) -> None:
        """Follow the journal in ``directory``, which need not exist yet.

        ``wake_socket`` is where the reader's socket is bound; by default in the journal's
        directory.
        """
        self.directory, self.lane = directory, lane
        self.reader = check_reader_name(reader)
        self._wake = WakeSocket(directory, reader, wake_socket)
        self._tail_file: TailFile | None = None
        self._cursor: _Cursor | None = None
        self._previous: _Cursor | None = None
        self._fd = -1
        self._fd_segment: Segment | None = None

    def head(self) -> Position | None:
        """The newest published position; None while there is no journal."""
        tail = self._published()
        return tail.position if tail else None

    def read(self, after: Position | None, *, max_bytes: int = 4 * _MIB) -> list[Entry]:
        """Published frames after a position (None: from the oldest kept), in order.

        At least one if there is any, at most ``max_bytes`` of them beyond that; [] when nothing is
        new. Raises PositionLost and JournalDamaged.
        """
        tail = self._published()
        if tail is None:
            if after is not None:
                raise PositionLost(after, None)
            return []
        cursor = self._cursor_after(after, tail)
        while True:
            limit = self._limit(cursor.segment, tail)
            if cursor.offset < limit:
                return self._read_segment(cursor, limit, max_bytes)
            if cursor.segment.first_n >= tail.first_n:
                return []
            cursor = self._next_segment(cursor)

    async def wait(self, timeout_s: float = 0.2) -> None:
        """Return when the writer has published something, after ``timeout_s`` at the latest."""
        await self._wake.wait(timeout_s)

    def retain(self, position: Position | None) -> None:
        """Let segments up to ``position`` go; those after it wait for this reader from now on.

        None registers a reader that has passed nothing yet.
        """
        save_reader(self.directory, self.reader, position)

    def tail_entries(self, max_bytes: int) -> list[Entry]:
        """The newest entries, oldest first: as many as fit in ``max_bytes``, at least one.

        Damaged frames are left out and logged.
        """
        tail = self._published()
        segments = [s for s in list_segments(self.directory) if tail and s.first_n <= tail.first_n]
        newest_first: list[list[Entry]] = []
        for segment in reversed(segments):
            if tail is None or max_bytes <= 0:
                break
            entries, size = self._newest_of(segment, self._limit(segment, tail), max_bytes)
            newest_first.append(entries)
            max_bytes -= size
        return [entry for entries in reversed(newest_first) for entry in entries]

    def close(self) -> None:
        """Leave the journal; what was retained stays."""
        self._wake.close()
        if self._tail_file is not None:
            self._tail_file.close()
            self._tail_file = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._fd_segment = -1, None

    # -- finding the place

    def _published(self) -> Tail | None:
        if self._tail_file is None:
            try:
                self._tail_file = TailFile(self.directory, is_writable=False)
            except FileNotFoundError:
                return None
        return self._tail_file.read()

    def _cursor_after(self, after: Position | None, tail: Tail) -> _Cursor:
        for known in (self._cursor, self._previous):
            is_known = known is not None and after is not None and known.after == after
            if known and is_known and known.epoch == tail.epoch and known.n <= tail.last_n + 1:
                return known
        self._previous = None
        self._cursor = self._seek(after, tail) if after else self._oldest()
        return self._cursor

    def _oldest(self) -> _Cursor:
        segment = list_segments(self.directory)[0]
        header = self._header(segment)
        return _Cursor(None, segment, header.epoch, HEADER_BYTES, segment.first_n)

    def _seek(self, after: Position, tail: Tail) -> _Cursor:
        segments = [s for s in list_segments(self.directory) if s.first_n <= tail.first_n]
        if after.epoch == tail.epoch and after.n > tail.last_n:
            raise self._lost(after)
        held = [s for s in segments if s.first_n <= after.n + 1]
        segment = held[-1] if held else None
        header = self._header(segment) if segment else None
        if segment is None or header is None or locate(after, segments) is None:
            raise self._lost(after)
        offset = self._offset_of(segment, after.n + 1, self._limit(segment, tail))
        return _Cursor(after, segment, header.epoch, offset, after.n + 1)

    def _offset_of(self, segment: Segment, n: int, limit: int) -> int:
        """Where frame ``n`` stands or will stand, found across damaged frames if need be."""
        with _mapped(self._open(segment), limit) as data:
            offset = HEADER_BYTES
            for passed_n in range(segment.first_n, n):
                if n_at(data, offset) != passed_n:
                    found = find_frame(data, offset, n)
                    if found is None:
                        raise self._damaged(segment, offset, limit, n, "no frame stands here")
                    return found
                offset += claimed_bytes(data, offset)
            return offset

    def _next_segment(self, cursor: _Cursor) -> _Cursor:
        segments = list_segments(self.directory)
        passed = Position(cursor.epoch, cursor.n - 1)
        if segments[0].first_n > cursor.n:
            raise self._lost(passed)
        following = next((s for s in segments if s.first_n >= cursor.n), None)
        if following is None or following.first_n > cursor.n:
            raise self._damaged(
                cursor.segment, cursor.offset, cursor.offset, cursor.n, "frames are missing"
            )
        header = self._header(following)
        if header.before != passed:
            raise self._lost(passed)
        return _Cursor(cursor.after, following, header.epoch, HEADER_BYTES, cursor.n)

    def _lost(self, after: Position) -> PositionLost:
        segments = list_segments(self.directory)
        oldest = self._header(segments[0]) if segments else None
        return PositionLost(after, Position(oldest.epoch, oldest.first_n) if oldest else None)

    # -- reading

    def _read_segment(self, cursor: _Cursor, limit: int, max_bytes: int) -> list[Entry]:
        fd = self._open(cursor.segment)
        data = os.pread(
            fd, min(limit - cursor.offset, max(max_bytes, ENVELOPE_BYTES)), cursor.offset
        )
        if claimed_bytes(data, 0) > len(data):
            data = os.pread(fd, min(limit - cursor.offset, claimed_bytes(data, 0)), cursor.offset)
        is_all = cursor.offset + len(data) >= limit
        entries: list[Entry] = []
        at, n = 0, cursor.n
        while at < len(data) and (is_all or at + claimed_bytes(data, at) <= len(data)):
            try:
                entry, at = _entry(data, at, Position(cursor.epoch, n))
            except (BrokenFrame, FrameUnreadable) as broken:
                if entries:
                    break  # what is sound first; the next read meets the damage
                raise self._damaged(
                    cursor.segment, cursor.offset, limit, cursor.n + 1, str(broken)
                ) from broken
            entries.append(entry)
            n += 1
        after = entries[-1].position
        self._previous = cursor
        self._cursor = _Cursor(after, cursor.segment, cursor.epoch, cursor.offset + at, n)
        return entries

    def _newest_of(self, segment: Segment, limit: int, max_bytes: int) -> tuple[list[Entry], int]:
        """The newest entries of one segment and their bytes."""
        with _mapped(self._open(segment), limit) as data:
            spans = list(_spans(data, segment.first_n))
            entries: list[Entry] = []
            size = 0
            epoch = self._header(segment).epoch
            for offset, n in reversed(spans):
                size += claimed_bytes(data, offset)
                if size > max_bytes and entries:
                    break
                try:
                    entries.append(_entry(data, offset, Position(epoch, n))[0])
                except (BrokenFrame, FrameUnreadable) as broken:
                    log.error(
                        "journal.segment.damaged",
                        path=str(segment.path),
                        offset=offset,
                        reason=str(broken),
                    )
        return entries[::-1], size

    def _damaged(
        self, segment: Segment, offset: int, limit: int, next_n: int, reason: str
    ) -> JournalDamaged:
        """Damage at ``offset``, and where reading can go on: at ``next_n`` or soon after."""
        with _mapped(self._open(segment), limit) as data:
            for n in range(next_n, next_n + _LEAVE_OUT):
                if offset < limit and find_frame(data, offset, n) is not None:
                    resume = Position(segment.header().epoch, n - 1)
                    return JournalDamaged(segment.path, offset, reason, resume)
        return JournalDamaged(segment.path, offset, reason, self._start_after(segment, next_n))

    def _start_after(self, segment: Segment, n: int) -> Position | None:
        for following in list_segments(self.directory):
            if following.first_n > segment.first_n and following.first_n >= n:
                try:
                    return following.header().before
                except JournalDamaged:
                    continue
        return None

    def _header(self, segment: Segment) -> SegmentHeader:
        try:
            return segment.header()
        except JournalDamaged as damaged:
            resume = self._start_after(segment, segment.first_n)
            raise JournalDamaged(damaged.path, 0, damaged.reason, resume) from damaged

    # -- files

    def _limit(self, segment: Segment, tail: Tail) -> int:
        if segment.first_n == tail.first_n:
            return tail.offset
        return os.fstat(self._open(segment)).st_size

    def _open(self, segment: Segment) -> int:
        if segment != self._fd_segment:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self._fd_segment = -1, None
            self._fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            self._fd_segment = segment
        return self._fd


def _mapped(fd: int, limit: int) -> mmap.mmap:
    return mmap.mmap(fd, limit, prot=mmap.PROT_READ)


def _entry(data: Buffer, offset: int, position: Position) -> tuple[Entry, int]:
    code, payload, end = open_frame(data, offset, position.n)
    return Entry(position, decode_frame(code, payload)), end


def _spans(data: Buffer, n: int) -> Iterator[tuple[int, int]]:
    """Offset and number of each frame of a segment, as far as the frames hang together."""
    offset = HEADER_BYTES
    while offset < len(data):
        found = offset if n_at(data, offset) == n else find_frame(data, offset, n)
        if found is not None:
            yield found, n
            offset = found + claimed_bytes(data, found)
        n += 1
