"""What the store writer promises between the journal and the store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.frames import Lane, Position, ReadingsFrame, SeriesFrame, TickFrame
from devices.readings import Readings
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.store_writer import StoreWriter
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.series_store import StoreOutage
from tests.ingest.store_contract import DEFINITIONS, METER, RIVER, T0, pairs, rows
from tests.ingest.test_store_crashes import no_receipts
from tests.running import running


class Recorder(DuckDBStore):
    """A DuckDB store that remembers its steps and may be away."""

    def __init__(self, path: Path) -> None:
        self.steps: list[tuple[list[int], dict[Lane, Position]]] = []
        self.is_away = False
        self.attempts = 0
        super().__init__(path)

    def append(self, readings: Readings, positions: Mapping[Lane, Position]) -> None:
        self.attempts += 1
        if self.is_away:
            raise StoreOutage("away for the test", can_retry=True)
        super().append(readings, positions)
        self.steps.append((readings.series.tolist(), dict(positions)))


class Bench:
    """Both journals, a store and what a test does with them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Recorder(directory / "readings.duckdb")
        self.journals = {lane: JournalWriter(directory / lane, lane) for lane in Lane}
        self.journals[Lane.URGENT].append([SeriesFrame(DEFINITIONS)])

    def journal(self, lane: Lane, *columns: tuple[int, int, float]) -> Position:
        return self.journals[lane].append([ReadingsFrame(rows(*columns), no_receipts())])

    def close(self) -> None:
        self.store.close()
        for journal in self.journals.values():
            journal.close()

    def noted(self, lane: Lane) -> int:
        note = self.directory / lane / "readers" / "store.json"
        return int(json.loads(note.read_text())["n"]) if note.exists() else -1

    @asynccontextmanager
    async def writing(self, **options: float) -> AsyncIterator[StoreWriter]:
        followers = {lane: JournalFollower(self.directory / lane, lane, "store") for lane in Lane}
        writer = StoreWriter(self.store, followers, **options)  # type: ignore[arg-type]  # by name
        try:
            async with running(writer.run()):
                yield writer
        finally:
            for follower in followers.values():
                follower.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        await asyncio.sleep(0.005)


async def test_what_is_journaled_comes_to_the_store(bench: Bench) -> None:
    last = bench.journal(Lane.URGENT, (RIVER, 0, 1.0), (RIVER, 1000, 2.0))
    async with bench.writing(flush_s=0.05):
        await until(lambda: bench.store.positions().get(Lane.URGENT) == last, "position stored")
        await until(lambda: bench.noted(Lane.URGENT) == last.n, "journal may go")
    assert pairs(bench.store.range(RIVER, T0, T0 + 5000)) == [(0, 1.0), (1000, 2.0)]


async def test_urgent_readings_are_written_before_older_routine_ones(bench: Bench) -> None:
    """A backlog of meters waits while urgent frames are there."""
    for k in range(20):
        bench.journal(Lane.ROUTINE, (METER, k, float(k)))
    for k in range(20):
        bench.journal(Lane.URGENT, (RIVER, k, float(k)))
    async with bench.writing(flush_rows=20, read_bytes=1):
        await until(lambda: len(bench.store.steps) >= 2, "two steps")
    assert set(bench.store.steps[0][0]) == {RIVER}
    assert set(bench.store.steps[1][0]) == {METER}


async def test_charts_see_readings_that_are_not_stored_yet(bench: Bench) -> None:
    bench.journal(Lane.URGENT, (RIVER, 0, 1.0), (RIVER, 1000, 2.0))
    async with bench.writing(flush_s=0.01) as writer:
        await until(lambda: bench.store.counts.rows == 2, "stored")
    bench.journal(Lane.URGENT, (RIVER, 1000, 2.5), (RIVER, 2000, 3.0), (METER, 500, 9.0))
    async with bench.writing(flush_s=60.0) as writer:
        await until(lambda: writer.lag().held_rows == 3, "held")
        assert pairs(writer.range(RIVER, T0, T0 + 5000)) == [(0, 1.0), (1000, 2.5), (2000, 3.0)]
        assert pairs(writer.range(RIVER, T0, T0 + 2000)) == [(0, 1.0), (1000, 2.5)]
        assert len(bench.store.range(RIVER, T0, T0 + 5000)) == 2


async def test_cancelled_it_writes_what_it_holds(bench: Bench) -> None:
    bench.journal(Lane.URGENT, (RIVER, 0, 1.0))
    async with bench.writing(flush_s=60.0) as writer:
        await until(lambda: writer.lag().held_rows == 1, "held")
    assert bench.store.counts.rows == 1


async def test_while_the_store_is_away_the_journal_keeps_everything(bench: Bench) -> None:
    bench.store.is_away = True
    bench.journal(Lane.URGENT, (RIVER, 0, 1.0))
    async with bench.writing(flush_s=0.01, flush_rows=2) as writer:
        await until(lambda: bench.store.attempts >= 1, "first attempt")
        for k in range(1, 50):
            last = bench.journal(Lane.URGENT, (RIVER, k, float(k)))
        await until(lambda: bench.store.attempts >= 2, "second attempt")
        await until(lambda: (writer.lag().frames[Lane.URGENT] or 0) >= 50, "lag seen")
        lag = writer.lag()
        assert lag.outage == "away for the test"
        assert lag.held_rows == 1
        assert bench.noted(Lane.URGENT) == 0
        bench.store.is_away = False
        await until(lambda: bench.store.positions().get(Lane.URGENT) == last, "caught up")
        await until(lambda: writer.lag().frames[Lane.URGENT] == 0, "no lag")
        assert writer.lag().outage is None
    assert len(bench.store.range(RIVER, T0, T0 + 100)) == 50


async def test_a_position_that_cannot_be_noted_ends_no_writing(bench: Bench) -> None:
    """A full disk under the journal's notes: readings are stored on, the notes follow later."""
    readers = bench.directory / Lane.URGENT / "readers"
    (readers / "store.new").mkdir(parents=True)
    bench.journal(Lane.URGENT, (RIVER, 0, 1.0))
    async with bench.writing(flush_s=0.01) as writer:
        await until(lambda: writer.lag().outage is not None, "the outage")
        (readers / "store.new").rmdir()
        last = bench.journal(Lane.URGENT, (RIVER, 1, 2.0))
        await until(lambda: bench.store.positions().get(Lane.URGENT) == last, "stored")
        await until(lambda: bench.noted(Lane.URGENT) == last.n, "noted")
        await until(lambda: writer.lag().outage is None, "the outage is over")
    assert bench.store.counts.rows == 2


async def test_ticks_alone_move_the_position(bench: Bench) -> None:
    last = bench.journals[Lane.ROUTINE].append([TickFrame(T0), TickFrame(T0 + 1000)])
    async with bench.writing(flush_s=0.05):
        await until(lambda: bench.noted(Lane.ROUTINE) == last.n, "journal may go")


async def test_a_position_of_another_epoch_starts_from_the_oldest_and_repeats_nothing(
    bench: Bench,
) -> None:
    bench.journal(Lane.URGENT, (RIVER, 0, 1.0))
    bench.store.append(rows((RIVER, 0, 1.0)), {Lane.URGENT: Position(4711, 900)})
    last = bench.journal(Lane.URGENT, (RIVER, 1, 2.0))
    async with bench.writing(flush_s=0.01) as writer:
        await until(lambda: bench.store.positions()[Lane.URGENT] == last, "caught up")
        assert writer.lag().losses == 1
    assert (bench.store.counts.rows, bench.store.counts.repeated) == (2, 1)


async def test_a_start_again_goes_on_where_the_store_is(bench: Bench) -> None:
    for k in range(5):
        last = bench.journal(Lane.URGENT, (RIVER, k, float(k)))
        async with bench.writing(flush_s=0.01):
            await until(
                lambda: bench.store.positions().get(Lane.URGENT) == last,  # noqa: B023 - at once
                "stored",
            )
    assert (bench.store.counts.rows, bench.store.counts.repeated) == (5, 0)
