"""Quarantine and sequence gaps: kept once, bounded, closed as numbers come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, func, select
from structlog.testing import capture_logs

from devices.database import metadata, open_database, writing
from devices.frames import (
    Frame,
    Lane,
    Position,
    RawFrame,
    RejectedFrame,
    SequenceGapFrame,
    TickFrame,
)
from ingest.gap_rows import note_gap
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.quarantine import QuarantineWriter, resubmit
from ingest.tables import quarantine, resubmission, sequence_gap, web_position
from tests.running import running

T0 = 1_790_000_000_000


def refused(k: int, payload: bytes = b'{"v": {}}') -> RejectedFrame:
    return RejectedFrame(f"field/v1/trap/T-{k}/up", payload, T0 + k, "no_values", "v: empty")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/satomori.db")
    metadata.create_all(engine, [quarantine, sequence_gap, resubmission, web_position])
    yield engine
    engine.dispose()


class Bench:
    def __init__(self, directory: Path, database: Engine) -> None:
        self.directory, self.database = directory, database
        self.journals = {lane: JournalWriter(directory / lane, lane) for lane in Lane}

    def journal(self, lane: Lane, *frames: Frame) -> Position:
        return self.journals[lane].append(frames)

    @asynccontextmanager
    async def keeping(self, **options: Any) -> AsyncIterator[QuarantineWriter]:
        followers = {
            lane: JournalFollower(self.directory / lane, lane, "quarantine") for lane in Lane
        }
        writer = QuarantineWriter(self.database, followers, **options)
        try:
            async with running(writer.run()):
                yield writer
        finally:
            for follower in followers.values():
                follower.close()

    def topics(self) -> list[str]:
        with self.database.connect() as connection:
            rows = connection.execute(select(quarantine.c.topic).order_by(quarantine.c.id))
            return list(rows.scalars())


@pytest.fixture
def bench(tmp_path: Path, database: Engine) -> Iterator[Bench]:
    bench = Bench(tmp_path / "journal", database)
    yield bench
    for journal in bench.journals.values():
        journal.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        await asyncio.sleep(0.005)


async def test_a_refused_message_is_kept_whole_and_once(bench: Bench) -> None:
    bench.journal(Lane.URGENT, refused(1, b"\x00\xff not json"))
    for _ in range(3):
        async with bench.keeping():
            await until(lambda: len(bench.topics()) == 1, "kept")
    with bench.database.connect() as connection:
        row = connection.execute(select(quarantine)).one()
    assert row.payload == b"\x00\xff not json"
    assert (row.reason, row.detail) == ("no_values", "v: empty")
    assert (row.received_at, row.lane) == (T0 + 1, "urgent")


async def test_the_position_moves_with_the_rows(bench: Bench) -> None:
    bench.journal(Lane.ROUTINE, TickFrame(T0))
    last = bench.journal(Lane.ROUTINE, *(refused(k) for k in range(2500)))
    async with bench.keeping():
        await until(lambda: len(bench.topics()) == 2500, "kept")
    with bench.database.connect() as connection:
        mine = select(web_position).where(web_position.c.lane == "routine")
        place = connection.execute(mine).one()
    assert (place.epoch, place.n, place.dropped) == (last.epoch, last.n, 0)


async def test_through_an_outage_of_the_database_each_message_is_kept_once(bench: Bench) -> None:
    """It refuses the rows for a while: that is said once, and what came meanwhile is kept."""
    with writing(bench.database) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refusal BEFORE INSERT ON quarantine"
            " BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    with capture_logs() as logs:
        async with bench.keeping():
            bench.journal(Lane.URGENT, refused(1))
            await until(lambda: bool(logs), "the outage is said")
            bench.journal(Lane.URGENT, refused(2))
            with writing(bench.database) as connection:
                connection.exec_driver_sql("DROP TRIGGER refusal")
            await until(lambda: len(bench.topics()) == 2, "both are kept")
    assert bench.topics() == ["field/v1/trap/T-1/up", "field/v1/trap/T-2/up"]
    assert [line["event"] for line in logs] == [
        "quarantine.outage.begun", "quarantine.outage.ended",
    ]  # fmt: skip


async def test_the_oldest_are_dropped_over_the_bound_and_counted(bench: Bench) -> None:
    bench.journal(Lane.URGENT, *(refused(k) for k in range(30)))
    async with bench.keeping(keep_rows=10) as writer:
        await until(lambda: writer.dropped == 20, "dropped")
    bench.journal(Lane.URGENT, *(refused(k) for k in range(30, 35)))
    async with bench.keeping(keep_rows=10) as writer:
        await until(lambda: writer.dropped == 25, "dropped")
    assert bench.topics() == [f"field/v1/trap/T-{k}/up" for k in range(25, 35)]


async def test_the_bound_counts_bytes_too(bench: Bench) -> None:
    bench.journal(Lane.URGENT, *(refused(k, b"x" * 1000) for k in range(30)))
    async with bench.keeping(keep_bytes=10_000) as writer:
        await until(lambda: writer.dropped == 20, "dropped")
    assert len(bench.topics()) == 10


def test_a_message_is_resubmitted_as_it_came(database: Engine) -> None:
    with writing(database) as connection:
        connection.execute(
            quarantine.insert().values(
                id=7, received_at=T0, lane="urgent", topic="t", payload=b"p", reason="r", detail="d"
            )
        )
        assert resubmit(connection, 7, T0 + 99) == 1
        assert resubmit(connection, 8, T0 + 99) is None
        row = connection.execute(select(resubmission)).one()
    assert (row.quarantine, row.created_at, row.topic, row.payload, row.received_at) == (
        (7, T0 + 99, "t", b"p", T0)
    )


def _gaps(database: Engine) -> list[tuple[int, int, bool]]:
    with database.connect() as connection:
        found = connection.execute(select(sequence_gap).order_by(sequence_gap.c.first)).all()
    return [(row.first, row.last, row.is_filled) for row in found]


def test_numbers_that_come_split_the_gap(database: Engine) -> None:
    with writing(database) as connection:
        note_gap(connection, SequenceGapFrame(3, T0, 10, 19, is_filled=False))
        note_gap(connection, SequenceGapFrame(3, T0 + 5, 13, 15, is_filled=True))
        note_gap(connection, SequenceGapFrame(4, T0 + 5, 16, 19, is_filled=True))  # another device
    assert _gaps(database) == [(10, 12, False), (13, 15, True), (16, 19, False)]


def test_a_gap_said_twice_is_one_gap(database: Engine) -> None:
    with writing(database) as connection:
        note_gap(connection, SequenceGapFrame(3, T0, 10, 19, is_filled=False))
        note_gap(connection, SequenceGapFrame(3, T0 + 1, 10, 19, is_filled=False))
        note_gap(connection, SequenceGapFrame(3, T0 + 2, 5, 25, is_filled=False))
    assert _gaps(database) == [(5, 9, False), (10, 19, False), (20, 25, False)]


_RANGES = st.tuples(st.integers(0, 40), st.integers(0, 12), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(_RANGES, max_size=12))
def test_open_gaps_are_exactly_the_numbers_that_are_missing(
    said: list[tuple[int, int, bool]],
) -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine, [sequence_gap])
    missing: set[int] = set()
    with engine.begin() as connection:
        for first, length, is_filled in said:
            frame = SequenceGapFrame(1, T0, first, first + length, is_filled)
            note_gap(connection, frame)
            numbers = set(range(first, first + length + 1))
            missing = missing - numbers if is_filled else missing | numbers
        rows = connection.execute(
            select(sequence_gap).where(sequence_gap.c.is_filled.is_(False))
        ).all()
        covered = [n for row in rows for n in range(row.first, row.last + 1)]
        total = connection.execute(select(func.count()).select_from(sequence_gap)).scalar_one()
    engine.dispose()
    assert sorted(covered) == sorted(missing)
    assert total >= len(rows)


async def test_what_awaited_its_series_is_resubmitted_by_itself(bench: Bench) -> None:
    """Only the database was missing, and now it is here: nobody has to press a button."""
    waits = RejectedFrame("field/v1/water-meter/M-1/up", b"{}", T0, "awaits_series", "locked")
    bench.journal(Lane.ROUTINE, refused(1), waits)
    for _ in range(2):
        async with bench.keeping() as writer:
            await until(lambda: writer.rows == 2, "both are kept")
    with bench.database.connect() as connection:
        (asked,) = connection.execute(select(resubmission)).all()
    assert (asked.topic, asked.payload, asked.received_at) == (waits.topic, b"{}", T0)
    assert asked.lane == Lane.ROUTINE


async def test_a_flood_kept_unread_drives_nothing_else_out(bench: Bench) -> None:
    """A quarter of the bound is for messages over budget; the newest of them stay."""
    flood = [RejectedFrame("a/b", b"%d" % k, T0 + k, "over_budget", "") for k in range(50)]
    bench.journal(Lane.URGENT, refused(1), *flood[:30])
    async with bench.keeping(keep_rows=20) as writer:
        await until(lambda: writer.dropped == 25, "dropped")
    bench.journal(Lane.URGENT, *flood[30:], refused(2))
    async with bench.keeping(keep_rows=20) as writer:
        await until(lambda: writer.dropped == 45, "dropped more")
        assert writer.rows == 7
    with bench.database.connect() as connection:
        rows = connection.execute(select(quarantine.c.reason, quarantine.c.payload)).all()
    assert [row.payload for row in rows if row.reason == "over_budget"] == [
        b"%d" % k for k in range(45, 50)
    ]
    assert sum(row.reason == "no_values" for row in rows) == 2


class _Ear:
    """Keeps the payloads that it wants in the table of gaps, for want of one of its own."""

    def __init__(self) -> None:
        self.starts = 0

    def start(self) -> None:
        self.starts += 1

    def wants(self, frame: RawFrame) -> bool:
        return frame.network == "city"

    def note(self, connection: Connection, frames: Sequence[RawFrame]) -> None:
        for frame in frames:
            number = int(frame.payload)
            note_gap(connection, SequenceGapFrame(number, T0, 1, 1, is_filled=False))


async def test_what_is_kept_of_raw_frames_is_kept_with_the_position(bench: Bench) -> None:
    """Only what is wanted of them, once, through an outage and another start."""
    with writing(bench.database) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refusal BEFORE INSERT ON sequence_gap"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    frames = [RawFrame(("city", "")[k % 2], "t", str(k).encode(), T0) for k in range(20)]
    bench.journal(Lane.URGENT, *frames)
    ear = _Ear()

    def kept() -> list[int]:
        with bench.database.connect() as connection:
            return list(connection.execute(select(sequence_gap.c.device)).scalars())

    async with bench.keeping(raw_keeper=ear):
        await until(lambda: ear.starts > 1, "tried again")
        with writing(bench.database) as connection:
            connection.exec_driver_sql("DROP TRIGGER refusal")
        await until(lambda: len(kept()) == 10, "kept")
    async with bench.keeping(raw_keeper=ear):
        bench.journal(Lane.URGENT, RawFrame("city", "t", b"99", T0))
        await until(lambda: 99 in kept(), "kept")
    assert kept() == [*range(0, 20, 2), 99]
