"""Which segments may go: those that every registered reader has passed and that are old enough.

A reader is registered by ``readers/<name>.json`` in the journal's directory, from its first
``retain`` until ``retire_reader``. A file that cannot be read keeps everything.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from devices.frames import Position
from ingest.segments import JournalDamaged, Segment, SegmentHeader

log = structlog.get_logger()

_READERS: Final = "readers"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_reader_name(name: str) -> str:
    """Return the name; raises ValueError for one that is no file name."""
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise ValueError(f"reader name {name!r}: use 1 to 64 of A-Z a-z 0-9 _ . -")
    return name


def save_reader(directory: Path, name: str, position: Position | None) -> None:
    """Note how far a reader has come (None: registered, nothing passed yet), atomically.

    Not synced: an older note after a power cut only keeps segments longer.
    """
    path = directory / _READERS / f"{check_reader_name(name)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    epoch, n = (position.epoch, position.n) if position else (0, 0)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"epoch": epoch, "n": n}))
    draft.rename(path)


def load_readers(directory: Path) -> Mapping[str, Position]:
    """How far each registered reader has come; n = 0 where nothing is passed or readable."""
    paths = sorted((directory / _READERS).glob("*.json"))
    return {path.stem: _load(path) for path in paths}


def _load(path: Path) -> Position:
    try:
        saved = json.loads(path.read_text())
        return Position(int(saved["epoch"]), int(saved["n"]))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("journal.reader.unreadable", path=str(path), error=str(error))
        return Position(0, 0)


def retire_reader(directory: Path, name: str) -> bool:
    """Forget a reader, so that segments no longer wait for it; says whether there was one."""
    path = directory / _READERS / f"{check_reader_name(name)}.json"
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def holding(n: int, segments: Sequence[Segment]) -> Segment | None:
    """The segment that holds frame ``n``, by the names; the last one is taken to go on for ever."""
    return next((segment for segment in reversed(segments) if segment.first_n <= n), None)


def follows(position: Position, header: SegmentHeader) -> bool:
    """Whether a reader at ``position`` may go on with the frame after it, held by the segment."""
    is_start = header.first_n == position.n + 1
    return position.epoch == (header.previous_epoch if is_start else header.epoch)


def expired(
    segments: Sequence[Segment], readers: Mapping[str, Position], older_than_at: int
) -> list[Segment]:
    """The oldest segments that may go; the last segment never does.

    The age of a segment is the time of its last write (ms UTC).
    """
    passed_n = min((_passed_n(p, segments) for p in readers.values()), default=None)
    gone = []
    for segment, following in itertools.pairwise(segments):
        is_passed = passed_n is None or following.first_n - 1 <= passed_n
        written_at = segment.path.stat().st_mtime_ns // 1_000_000
        if not is_passed or written_at >= older_than_at:
            break
        gone.append(segment)
    return gone


def _passed_n(position: Position, segments: Sequence[Segment]) -> int:
    segment = holding(position.n + 1, segments)
    try:
        return position.n if segment and follows(position, segment.header()) else 0
    except JournalDamaged:
        return 0
