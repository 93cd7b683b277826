"""What a writer finds when it opens a journal, and where it may go on.

::

    segment   ────frames────┬──frames──┬─ half a frame ─┐
                            ▲          ▲
                     published        kept: whole frames after the published offset are synced and
                                      published; what follows them is a torn tail and is cut off

Damage *before* the published offset is not a torn tail: the file is left as it is for readers to
report, and writing goes on in a new segment. A segment that ends before the published offset, or a
journal without its ``published`` file, was restored from somewhere: a new epoch begins.
"""

from __future__ import annotations

import mmap
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import structlog

from devices.frames import Lane
from ingest.journal_tail import Tail
from ingest.segments import (
    HEADER_BYTES,
    BrokenFrame,
    Buffer,
    JournalDamaged,
    Segment,
    list_segments,
    open_frame,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recovery:
    """Where to go on: in ``segment`` at ``offset``, or in a new one where ``segment`` is None."""

    epoch: int
    previous_epoch: int
    next_n: int
    segment: Segment | None = None
    offset: int = 0


def new_epoch() -> int:
    """A random number from 1 to 2**63 - 1."""
    return secrets.randbelow(2**63 - 1) + 1


def recover(directory: Path, lane: Lane, tail: Tail | None) -> Recovery:
    """Cut off a torn tail and say where to go on; what is kept is durable.

    Raises JournalDamaged if the last segment's header is unreadable and nothing else tells where
    the journal ended, ValueError if the directory holds the other lane.
    """
    for draft in directory.glob("*.new"):
        draft.unlink()
    segments = list_segments(directory)
    if not segments:
        return Recovery(new_epoch(), 0, 1)
    last = segments[-1]
    try:
        header = last.header()
    except JournalDamaged as damaged:
        return _after_lost_header(damaged, last, tail)
    if header.lane is not lane:
        raise ValueError(f"{directory} is the journal of lane {header.lane}, not of {lane}")
    return _go_on(last, header.epoch, tail)


def _after_lost_header(damaged: JournalDamaged, last: Segment, tail: Tail | None) -> Recovery:
    if tail is None or tail.first_n != last.first_n:
        raise damaged
    _report(damaged)
    return Recovery(tail.epoch, tail.epoch, tail.last_n + 1)


def _go_on(last: Segment, epoch: int, tail: Tail | None) -> Recovery:
    size = last.path.stat().st_size
    is_told = tail is not None and tail.epoch == epoch and tail.first_n <= last.first_n
    published = tail.offset if tail and is_told and tail.first_n == last.first_n else HEADER_BYTES
    end, next_n, reason = _scan(last, HEADER_BYTES, last.first_n)
    is_rotten = end < published <= size
    if is_rotten and tail:
        _report(JournalDamaged(last.path, end, reason))
        end, next_n, _ = _scan(last, published, tail.last_n + 1)
    _cut(last, end, size)
    if not is_told or size < published:
        log.warning("journal.epoch.begun", path=str(last.path), was_published=published, size=size)
        return Recovery(new_epoch(), epoch, next_n)
    if is_rotten:
        return Recovery(epoch, epoch, next_n)
    return Recovery(epoch, epoch, next_n, last, end)


def _scan(segment: Segment, offset: int, n: int) -> tuple[int, int, str]:
    """End and number of the next frame after the whole frames that stand from ``offset`` on."""
    with segment.path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        return _walk(data, offset, n)


def _walk(data: Buffer, offset: int, n: int) -> tuple[int, int, str]:
    while offset < len(data):
        try:
            _, _, offset = open_frame(data, offset, n)
        except BrokenFrame as broken:
            return offset, n, str(broken)
        n += 1
    return offset, n, "segment ends"


def _cut(segment: Segment, end: int, size: int) -> None:
    fd = os.open(segment.path, os.O_RDWR)
    try:
        if end < size:
            log.warning("journal.tail.cut", path=str(segment.path), offset=end, cut=size - end)
            os.ftruncate(fd, end)
        os.fsync(fd)
    finally:
        os.close(fd)


def _report(damaged: JournalDamaged) -> None:
    log.error(
        "journal.segment.damaged",
        path=str(damaged.path),
        offset=damaged.offset,
        reason=damaged.reason,
    )
