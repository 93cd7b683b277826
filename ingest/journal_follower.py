"""A reader of the journal: only what is published, from any process, at its own pace.

Refuses to know what a frame means and what its reader does with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from devices.frames import Entry, Lane, Position
from ingest.frame_codec import FrameUnreadable, decode_frame
from ingest.journal_retention import check_reader_name, follows, holding, save_reader
from ingest.journal_tail import Tail, TailFile
from ingest.journal_wake import WakeSocket
from ingest.segments import (
    ENVELOPE_BYTES,
    HEADER_BYTES,
    BrokenFrame,
    JournalDamaged,
    Segment,
    SegmentFile,
    SegmentHeader,
    claimed_bytes,
    find_frame,
    find_next_frame,
    list_segments,
    n_at,
    open_frame,
)

log = structlog.get_logger()

_MIB: Final = 1 << 20


class PositionLost(LookupError):
    """The frames after a position are gone, or are of another epoch (a restored backup).

    Go on with ``read(after=None)``, which begins at ``oldest``, and expect to see frames again.
    A LookupError, which readers that may not import this package (alerts) catch.
    """

    def __init__(self, after: Position, oldest: Position | None) -> None:
        super().__init__(f"no frames are kept after {after}; the oldest kept is {oldest}")
        self.after, self.oldest = after, oldest


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Frame ``n``, at ``offset`` of a segment of ``epoch``, is the one after position ``after``."""

    after: Position | None
    segment: Segment
    epoch: int
    offset: int
    n: int


class JournalFollower:
    """One reader of one lane; one per reader name. Not to be called from two threads at once."""

    def __init__(
        self,
        directory: Path,
        lane: Lane,
        reader: str,
        wake_socket: Path | None = None,
        *,
        is_woken: bool = True,
    ) -> None:
        """Follow the journal in ``directory``, which need not exist yet.

        ``wake_socket`` is where the reader's socket is bound; by default in the journal's
        directory. One that is not woken only polls: a reader in no hurry reads more at a time.
        """
        self.directory, self.lane = directory, lane
        self.reader = check_reader_name(reader)
        self._wake = WakeSocket(directory, reader, wake_socket) if is_woken else None
        self._tail_file: TailFile | None = None
        self._file = SegmentFile()
        self._cursor: _Cursor | None = None
        self._previous: _Cursor | None = None

    def head(self) -> Position | None:
        """The newest published position; None while there is no journal."""
        tail = self._published()
        return tail.position if tail else None

    def read(self, after: Position | None, *, max_bytes: int = 4 * _MIB) -> list[Entry]:
        """Published frames after a position (None: from the oldest kept), in order.

        At least one if there is any, no more than fit in ``max_bytes``; [] when nothing is new or
        no writer has been here yet. Raises PositionLost and JournalDamaged.
        """
        tail = self._published()
        if tail is None:
            return []
        try:
            return self._read(after, tail, max_bytes)
        except FileNotFoundError:  # the segment expired between listing and opening
            if after is None:
                return []
            raise self._lost(after) from None

    async def wait(self, timeout_s: float = 0.2) -> None:
        """Return when the writer has published something, after ``timeout_s`` at the latest."""
        if self._wake is None:
            await asyncio.sleep(timeout_s)
        else:
            await self._wake.wait(timeout_s)

    def retain(self, position: Position | None) -> None:
        """Let segments up to ``position`` go; those after it wait for this reader from now on.

        None registers a reader that has passed nothing yet.
        """
        save_reader(self.directory, self.reader, position)

    def tail_entries(self, max_bytes: int) -> list[Entry]:
        """The newest entries, oldest first, as many as it takes to reach ``max_bytes``.

        Damaged frames are left out and logged.
        """
        tail = self._published()
        if tail is None:
            return []
        kept = [s for s in list_segments(self.directory) if s.first_n <= tail.first_n]
        newest_first: list[Entry] = []
        for segment in reversed(kept):
            if max_bytes <= 0:
                break
            entries, size = self._newest_of(segment, tail, max_bytes)
            newest_first += entries
            max_bytes -= size
        return newest_first[::-1]

    def close(self) -> None:
        """Leave the journal; what was retained stays."""
        if self._wake is not None:
            self._wake.close()
        self._file.close()
        if self._tail_file is not None:
            self._tail_file.close()
            self._tail_file = None

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
        segment = holding(after.n + 1, segments)
        is_unpublished = after.epoch == tail.epoch and after.n > tail.last_n
        if segment is None or is_unpublished:
            raise self._lost(after)
        header = self._header(segment)
        if not follows(after, header):
            raise self._lost(after)
        is_head = after == tail.position
        offset = tail.offset if is_head else self._offset_of(segment, tail, after.n + 1)
        return _Cursor(after, segment, header.epoch, offset, after.n + 1)

    def _offset_of(self, segment: Segment, tail: Tail, n: int) -> int:
        """Where frame ``n`` stands, found across damaged frames if need be."""
        limit = self._limit(segment, tail)
        with self._file.mapped(segment, limit) as data:
            sound = offset = HEADER_BYTES
            for own_n in range(segment.first_n, n + 1):
                if n_at(data, offset) != own_n:
                    break
                sound, offset = offset, offset + claimed_bytes(data, offset)
            else:
                return sound
            found = find_frame(data[:], sound, n)
        if found is None:
            raise self._damaged(segment, sound, limit, n, "the frames do not hang together")
        return found

    def _next_segment(self, cursor: _Cursor) -> _Cursor:
        segments = list_segments(self.directory)
        passed = Position(cursor.epoch, cursor.n - 1)
        following = next((s for s in segments if s.first_n >= cursor.n), None)
        if not segments or segments[0].first_n > cursor.n:
            raise self._lost(passed)
        if following is None or following.first_n > cursor.n:
            resume = self._start_after(cursor.segment, cursor.n)
            reason = f"frames from {cursor.n} on are missing"
            raise JournalDamaged(cursor.segment.path, cursor.offset, reason, resume)
        header = self._header(following)
        if header.before != passed:
            raise self._lost(passed)
        return _Cursor(cursor.after, following, header.epoch, HEADER_BYTES, cursor.n)

    def _lost(self, after: Position) -> PositionLost:
        segments = list_segments(self.directory)
        oldest = self._header(segments[0]) if segments else None
        return PositionLost(after, Position(oldest.epoch, oldest.first_n) if oldest else None)

    # -- reading

    def _read(self, after: Position | None, tail: Tail, max_bytes: int) -> list[Entry]:
        cursor = self._cursor_after(after, tail)
        while True:
            limit = self._limit(cursor.segment, tail)
            if cursor.offset < limit:
                return self._read_segment(cursor, limit, max_bytes)
            if cursor.segment.first_n >= tail.first_n:
                return []
            cursor = self._next_segment(cursor)

    def _read_segment(self, cursor: _Cursor, limit: int, max_bytes: int) -> list[Entry]:
        data = self._chunk(cursor, limit, max_bytes)
        is_last = cursor.offset + len(data) >= limit
        entries: list[Entry] = []
        at = 0
        while at < len(data) or not entries:
            if entries and not is_last and at + claimed_bytes(data, at) > len(data):
                break
            try:
                entry, at = _entry(data, at, Position(cursor.epoch, cursor.n + len(entries)))
            except (BrokenFrame, FrameUnreadable) as broken:
                if entries:
                    break  # what is sound first; the next read meets the damage
                raise self._damaged(
                    cursor.segment, cursor.offset, limit, cursor.n + 1, str(broken)
                ) from broken
            entries.append(entry)
        self._move(cursor, entries[-1].position, at)
        return entries

    def _chunk(self, cursor: _Cursor, limit: int, max_bytes: int) -> bytes:
        """Bytes from the cursor on, at least one frame."""
        fd, offset = self._file.fd(cursor.segment), cursor.offset
        data = os.pread(fd, min(limit - offset, max(max_bytes, ENVELOPE_BYTES)), offset)
        if claimed_bytes(data, 0) > len(data):
            return os.pread(fd, min(limit - offset, claimed_bytes(data, 0)), offset)
        return data

    def _move(self, cursor: _Cursor, after: Position, by: int) -> None:
        """Remember the new place, and the old one for a reader that has to read again."""
        self._previous = cursor
        self._cursor = _Cursor(after, cursor.segment, cursor.epoch, cursor.offset + by, after.n + 1)

    def _newest_of(self, segment: Segment, tail: Tail, max_bytes: int) -> tuple[list[Entry], int]:
        """The newest entries of one segment, newest first, and their bytes."""
        data = self._file.content(segment, self._limit(segment, tail))
        entries: list[Entry] = []
        size = 0
        try:
            epoch = segment.header().epoch
        except JournalDamaged as damaged:
            _log_damage(segment, 0, damaged)
            return entries, size
        for offset, n in reversed(list(_frames_in(data, segment))):
            if size >= max_bytes:
                break
            size += claimed_bytes(data, offset)
            try:
                entries.append(_entry(data, offset, Position(epoch, n))[0])
            except FrameUnreadable as unreadable:
                _log_damage(segment, offset, unreadable)
        return entries, size

    # -- damage

    def _damaged(
        self, segment: Segment, offset: int, limit: int, next_n: int, reason: str
    ) -> JournalDamaged:
        """Damage at ``offset``, and where reading can go on: at ``next_n`` or soon after."""
        found = find_next_frame(self._file.content(segment, limit), offset, next_n)
        if found is None:
            resume = self._start_after(segment, next_n)
        else:
            resume = Position(segment.header().epoch, found[1] - 1)
        return JournalDamaged(segment.path, offset, reason, resume)

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

    def _limit(self, segment: Segment, tail: Tail) -> int:
        return tail.offset if segment.first_n == tail.first_n else self._file.size(segment)


def _entry(data: bytes, offset: int, position: Position) -> tuple[Entry, int]:
    code, payload, end = open_frame(data, offset, position.n)
    return Entry(position, decode_frame(code, payload)), end


def _frames_in(data: bytes, segment: Segment) -> Iterator[tuple[int, int]]:
    """Offset and number of each sound frame of a segment; what is damaged is logged."""
    offset, n = HEADER_BYTES, segment.first_n
    while offset < len(data):
        try:
            end = open_frame(data, offset, n)[2]
        except BrokenFrame as broken:
            _log_damage(segment, offset, broken)
            found = find_next_frame(data, offset, n + 1)
            if found is None:
                return
            offset, n = found
        else:
            yield offset, n
            offset, n = end, n + 1


def _log_damage(segment: Segment, offset: int, error: Exception) -> None:
    log.error("journal.segment.damaged", path=str(segment.path), offset=offset, reason=str(error))
