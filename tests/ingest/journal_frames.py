"""Frames of every type for the journal's tests: examples, strategies, and what makes them equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from devices.frames import (
    BrokerFrame,
    Entry,
    Frame,
    Lane,
    Position,
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
from devices.readings import Readings, readings_from_columns
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.segments import list_segments

RIVER = SeriesDefinition(7, 3, "sendai-01", "river-gauge", "water.level")
FLOOD = SeriesDefinition(8, 4, "underpass-02", "flood-sensor", "flood.depth")


def readings_frame(rows: int, *, first_at: int = 1_760_000_000_000) -> ReadingsFrame:
    """``rows`` readings of one river, three a message."""
    at = np.arange(first_at, first_at + rows, dtype=np.int64)
    messages = (rows + 2) // 3
    return ReadingsFrame(
        readings_from_columns([RIVER.series] * rows, at, at + 40, at % 997 / 100, [0] * rows),
        Receipts(
            "intake-urgent-0",
            np.arange(messages, dtype=np.uint16),
            np.arange(messages, dtype=np.uint64) * np.uint64(2**60),
            np.full(messages, RIVER.device, np.int32),
            np.full(messages, -1, np.int64),
        ),
    )


def same(left: object, right: object) -> bool:
    """Equal in type and value, columns by dtype and bytes."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    if is_dataclass(left) and type(left) is type(right):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    return type(left) is type(right) and left == right


def same_frames(left: Iterable[Frame], right: Iterable[Frame]) -> bool:
    return all(same(a, b) for a, b in zip(left, right, strict=True))


def write_ticks(writer: JournalWriter, ats: Iterable[int]) -> list[Position]:
    """One append a tick."""
    return [writer.append([TickFrame(at)]) for at in ats]


def read_all(
    follower: JournalFollower, after: Position | None = None, *, max_bytes: int = 1 << 22
) -> list[Entry]:
    """Everything published after a position."""
    entries: list[Entry] = []
    while new := follower.read(after, max_bytes=max_bytes):
        entries += new
        after = new[-1].position
    return entries


def ticks(entries: Iterable[Entry]) -> list[int]:
    """The ticks among the entries; heads of segments are left out."""
    return [entry.frame.at for entry in entries if isinstance(entry.frame, TickFrame)]


_int64 = st.integers(-(2**63), 2**63 - 1)
_uint64 = st.integers(0, 2**64 - 1)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_definitions = st.builds(
    SeriesDefinition, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), _text, _text, _text
)


@st.composite
def _readings_frames(draw: st.DrawFn) -> ReadingsFrame:
    rows, messages = draw(st.integers(0, 20)), draw(st.integers(0, 20))
    values = draw(hnp.arrays(np.float64, rows))
    return ReadingsFrame(
        Readings(
            draw(hnp.arrays(np.int32, rows)),
            draw(hnp.arrays(np.int64, rows)),
            draw(hnp.arrays(np.int64, rows)),
            values,
            draw(hnp.arrays(np.uint8, rows)),
        ),
        Receipts(
            draw(_text),
            draw(hnp.arrays(np.uint16, messages)),
            draw(hnp.arrays(np.uint64, messages)),
            draw(hnp.arrays(np.int32, messages)),
            draw(hnp.arrays(np.int64, messages)),
        ),
    )


_source = (_text, st.integers(0, 65_535), _uint64)

FRAMES: st.SearchStrategy[Frame] = st.one_of(
    _readings_frames(),
    st.builds(RejectedFrame, _text, st.binary(max_size=50), _int64, _text, _text, *_source, _text),
    st.builds(RawFrame, _text, _text, st.binary(max_size=50), _int64, *_source),
    st.builds(StatusFrame, st.integers(0, 2**31 - 1), _int64, st.binary(max_size=50), *_source),
    st.builds(SequenceGapFrame, st.integers(0, 2**31), _int64, _int64, _int64, st.booleans()),
    st.builds(TickFrame, _int64),
    st.builds(BrokerFrame, _int64, _text, st.booleans()),
    st.builds(RevisionFrame, _int64, _int64),
    st.builds(SeriesFrame, st.lists(_definitions, max_size=5).map(tuple)),
)


class Place:
    """A journal directory, and all that was opened there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._opened: list[JournalWriter | JournalFollower] = []

    def writer(self, lane: Lane = Lane.URGENT, **options: Any) -> JournalWriter:
        writer = JournalWriter(self.directory, lane, **options)
        self._opened.append(writer)
        return writer

    def follower(self, reader: str = "test", wake_socket: Path | None = None) -> JournalFollower:
        follower = JournalFollower(self.directory, Lane.URGENT, reader, wake_socket)
        self._opened.append(follower)
        return follower

    def ticks(self) -> list[int]:
        """All ticks that a new reader finds."""
        follower = self.follower("fresh")
        found = ticks(read_all(follower))
        follower.close()
        return found

    def segments(self) -> list[Path]:
        return [segment.path for segment in list_segments(self.directory)]

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
