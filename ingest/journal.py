"""The journal's writer: one append is one write and one fdatasync; the commit point of intake.

Refuses to know where frames come from, what they mean, and who reads them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from devices.failpoints import failpoint
from devices.frames import Frame, Lane, Position, SeriesDefinition, SeriesFrame
from devices.histogram import DISK_S, Histogram
from ingest.frame_codec import encode_frame
from ingest.journal_recovery import Recovery, recover
from ingest.journal_retention import expired, load_readers
from ingest.journal_tail import Tail, TailFile
from ingest.journal_wake import Waker
from ingest.segments import (
    ENVELOPE_BYTES,
    HEADER_BYTES,
    Segment,
    SegmentHeader,
    create_segment,
    enclose,
    list_segments,
    sync_directory,
)

log = structlog.get_logger()

MIB: Final = 1 << 20


class JournalFull(Exception):
    """The disk is full: nothing of this append was written. Keep the messages and try again."""

    def __init__(self, directory: Path, free_bytes: int) -> None:
        super().__init__(f"{directory}: only {free_bytes / MIB:.0f} MiB of disk left")
        self.directory, self.free_bytes = directory, free_bytes


class JournalInUse(Exception):
    """Another process writes this journal; there can be only one."""


def free_disk_bytes(directory: Path) -> int:
    """What an ordinary process may still write on the disk of ``directory``."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


class JournalWriter:
    """The only writer of one lane's journal; safe to call from several threads."""

    def __init__(
        self,
        directory: Path,
        lane: Lane,
        *,
        segment_bytes: int = 64 * MIB,
        definitions: Callable[[], Iterable[SeriesDefinition]] = tuple,
        reserve_bytes: int = 32 * MIB,
        low_water_bytes: int = 256 * MIB,
        free_bytes: Callable[[Path], int] = free_disk_bytes,
    ) -> None:
        """Open or create the journal in ``directory`` and recover what a crash left.

        ``definitions`` gives all series known, for the head of each segment. Below
        ``low_water_bytes`` of free disk the routine lane refuses; urgent goes on to the last byte,
        then on the ``reserve_bytes`` that it has put by. Raises JournalInUse.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.lane = directory, lane
        self._segment_bytes, self._definitions = segment_bytes, definitions
        self._low_water_bytes, self._free_bytes = low_water_bytes, free_bytes
        self._reserve = Reserve(directory, reserve_bytes if lane is Lane.URGENT else 0)
        self._mutex = threading.Lock()
        self._fd = -1
        self._must_rotate = False
        self.sync_s = Histogram(DISK_S)
        """How long the disk took to make each append durable."""
        with ExitStack() as opened:
            opened.callback(os.close, _lock(directory))
            opened.callback(self._close_segment)
            self._waker = opened.enter_context(closing(Waker(directory)))
            self._tail_file = opened.enter_context(closing(TailFile(directory, is_writable=True)))
            self._tail = self._open(self._tail_file.read())
            self._opened = opened.pop_all()

    @property
    def position(self) -> Position:
        """The newest published frame."""
        return self._tail.position

    @property
    def is_short_of_disk(self) -> bool:
        """Whether the disk is near the mark at which the routine lane stops."""
        return self._free_bytes(self.directory) < 2 * self._low_water_bytes

    def size(self) -> tuple[int, int, int]:
        """(segments, bytes, ms UTC of the oldest segment's last write)."""
        stats = [segment.path.stat() for segment in list_segments(self.directory)]
        oldest_at = min((int(stat.st_mtime * 1000) for stat in stats), default=0)
        return len(stats), sum(stat.st_size for stat in stats), oldest_at

    def append(self, frames: Sequence[Frame]) -> Position:
        """Make the frames durable together, publish them, wake the readers.

        Returns the position of the last one (of the newest published for no frames). Blocks for one
        disk sync. After any exception nothing of this append is or will be published: JournalFull
        and OSError may be tried again as they are.
        """
        with self._mutex:
            if frames:
                self._append([encode_frame(frame) for frame in frames])
            return self.position

    def expire(self, older_than_at: int) -> int:
        """Remove segments last written before ``older_than_at`` that all readers have passed."""
        with self._mutex:
            segments = list_segments(self.directory)
            gone = expired(segments, load_readers(self.directory), older_than_at)
            for segment in gone:
                segment.path.unlink()
            return len(gone)

    def close(self) -> None:
        """Let go of the journal; another writer may open it."""
        with self._mutex:
            if self._fd >= 0:
                self._tail_file.sync()
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- opening and rotating

    def _open(self, tail: Tail | None) -> Tail:
        found = recover(self.directory, self.lane, tail)
        self._tail = tail or Tail(0, 0, 0, 0, 0)
        if found.segment is None:
            self._begin_segment(found.epoch, found.previous_epoch, found.next_n)
        else:
            self._continue_segment(found, found.segment)
        self._tail_file.sync()
        return self._tail

    def _continue_segment(self, found: Recovery, segment: Segment) -> None:
        self._use(segment)
        self._publish(found.epoch, segment.first_n, found.offset, found.next_n - 1)

    def _begin_segment(self, epoch: int, previous_epoch: int, first_n: int) -> None:
        header = SegmentHeader(self.lane, epoch, previous_epoch, first_n)
        head = enclose(first_n, *encode_frame(SeriesFrame(tuple(self._definitions()))))
        frames = b"".join(head)
        self._use(create_segment(self.directory, header, frames))
        self._publish(epoch, first_n, HEADER_BYTES + len(frames), first_n)
        self._reserve.refill(self._free_bytes(self.directory) - self._low_water_bytes)

    def _use(self, segment: Segment) -> None:
        self._close_segment()
        self._fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
        self._must_rotate = False

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _rotate_if_due(self, coming_bytes: int) -> None:
        tail = self._tail
        is_full = tail.offset + coming_bytes > self._segment_bytes and tail.last_n > tail.first_n
        if not (is_full or self._must_rotate):
            return
        os.ftruncate(self._fd, tail.offset)  # nothing unpublished may stand in a finished segment
        os.fsync(self._fd)
        self._begin_segment(tail.epoch, tail.epoch, tail.last_n + 1)

    # -- appending

    def _append(self, encoded: Sequence[tuple[int, bytes]]) -> None:
        coming_bytes = sum(ENVELOPE_BYTES + len(payload) for _, payload in encoded)
        self._heed_disk(coming_bytes)
        try:
            self._rotate_and_commit(encoded, coming_bytes)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            if not self._reserve.release():
                raise JournalFull(self.directory, self._free_bytes(self.directory)) from error
            self._rotate_and_commit(encoded, coming_bytes)

    def _rotate_and_commit(self, encoded: Sequence[tuple[int, bytes]], coming_bytes: int) -> None:
        self._rotate_if_due(coming_bytes)
        self._commit(encoded)

    def _commit(self, encoded: Sequence[tuple[int, bytes]]) -> None:
        first_n = self._tail.last_n + 1
        parts = [part for n, e in enumerate(encoded, first_n) for part in enclose(n, *e)]
        block = b"".join(parts)
        self._write(block)
        failpoint("journal.written")
        self._sync()
        failpoint("journal.synced")
        end = self._tail.offset + len(block)
        self._publish(self._tail.epoch, self._tail.first_n, end, self._tail.last_n + len(encoded))

    def _write(self, block: bytes) -> None:
        try:
            _write_all(self._fd, block, self._tail.offset)
        except OSError:
            self._must_rotate = True
            os.ftruncate(self._fd, self._tail.offset)
            self._must_rotate = False
            raise

    def _sync(self) -> None:
        began = time.monotonic()
        try:
            os.fdatasync(self._fd)
        except OSError:
            # What the kernel still holds of a file after a failed sync is unknown: write another.
            self._must_rotate = True
            raise
        self.sync_s.observe(time.monotonic() - began)

    def _publish(self, epoch: int, first_n: int, offset: int, last_n: int) -> None:
        self._tail = Tail(self._tail.generation + 1, epoch, first_n, offset, last_n)
        self._tail_file.write(self._tail)
        self._waker.wake_all()

    def _heed_disk(self, coming_bytes: int) -> None:
        free = self._free_bytes(self.directory)
        if self.lane is Lane.ROUTINE and free - coming_bytes < self._low_water_bytes:
            raise JournalFull(self.directory, free)
        if free - coming_bytes < MIB:
            self._reserve.release()


class Reserve:
    """Disk space put by for the urgent lane, given back when the disk is full."""

    def __init__(self, directory: Path, size: int) -> None:
        self._path, self._size = directory / "reserve", size

    def refill(self, spare_bytes: int) -> None:
        """Put the space by again if so much can be spared."""
        if self._size == 0 or self._path.exists() or spare_bytes < self._size:
            return
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self._size)

    def release(self) -> bool:
        """Give the space back to the disk; says whether there was any left to give."""
        if not self._path.exists():
            return False
        log.error("journal.reserve.released", path=str(self._path), freed=self._size)
        self._path.unlink()
        sync_directory(self._path.parent)
        return True


def _write_all(fd: int, block: bytes, offset: int) -> None:
    written = os.pwrite(fd, block, offset)
    while written < len(block):  # only on a nearly full disk or a signal
        written += os.pwrite(fd, block[written:], offset + written)


def _lock(directory: Path) -> int:
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise JournalInUse(f"{directory} is written by another process") from error
    return fd
