"""Carries readings from the journal into the store, urgent first, in large steps.

Refuses to know which store it is. The journal is the spool: while the store is away, at most one
step is held here and everything else waits on disk::

    journal   ───●────────────────●──────────▶
                 │ stored         │ read (held: charts see it merged into range)
                 └ position       └ written after flush_rows or flush_s
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

import structlog

from devices.frames import Entry, Lane, Position, ReadingsFrame, SeriesDefinition, SeriesFrame
from devices.readings import Readings, concatenate, no_readings
from ingest.journal_follower import PositionLost
from ingest.segments import JournalDamaged
from ingest.stores.series_store import (
    Samples,
    SeriesStore,
    StoreCounts,
    StoreOutage,
    distinct,
    merge_samples,
    thin,
)

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0


class Follower(Protocol):
    """A reader of one lane's journal (``ingest.journal_follower``)."""

    lane: Lane

    def head(self) -> Position | None: ...
    def read(self, after: Position | None, *, max_bytes: int = ...) -> list[Entry]: ...
    async def wait(self, timeout_s: float = ...) -> None: ...
    def retain(self, position: Position | None) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreLag:
    """How far the store is behind.

    ``frames`` of each lane not yet stored (None: not known, no journal yet); ``held_rows`` read but
    not stored; ``outage`` why the store does not take them, since ``outage_since_s`` seconds;
    ``losses`` how often journal frames were gone or damaged before they could be stored.
    """

    frames: Mapping[Lane, int | None]
    held_rows: int
    outage: str | None
    outage_since_s: float
    losses: int
    counts: StoreCounts


@dataclass(slots=True)
class _Held:
    """What was read and is not yet stored."""

    batches: list[Readings] = field(default_factory=list)
    definitions: dict[int, SeriesDefinition] = field(default_factory=dict)
    positions: dict[Lane, Position] = field(default_factory=dict)
    rows: int = 0

    def take(self, lane: Lane, entries: list[Entry]) -> None:
        for entry in entries:
            frame = entry.frame
            if isinstance(frame, ReadingsFrame):
                self.batches.append(frame.readings)
                self.rows += len(frame.readings)
            elif isinstance(frame, SeriesFrame):
                self.definitions |= {d.series: d for d in frame.definitions}
            self.positions[lane] = entry.position


class StoreWriter:
    """One reader ("store") of both lanes; ``run`` is its task, ``range`` is for everybody."""

    def __init__(
        self,
        store: SeriesStore,
        followers: Mapping[Lane, Follower],
        *,
        flush_rows: int = 50_000,
        flush_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write at ``flush_rows`` rows (urgent and routine together) or after ``flush_s``."""
        self._store, self._followers = store, followers
        self._flush_rows, self._flush_s = flush_rows, flush_s
        self._monotonic = monotonic
        self._lanes = [lane for lane in (Lane.URGENT, Lane.ROUTINE) if lane in followers]
        self._read_to: dict[Lane, Position | None] = dict.fromkeys(self._lanes)
        self._held = _Held()  # growing
        self._in_flight = _Held()  # being written
        self._tail = threading.Lock()  # guards both
        self._stored: dict[Lane, Position] = {}
        self._due_at = 0.0
        self._outage: tuple[str, float] | None = None
        self._losses = 0
        self._pause_s = _FIRST_PAUSE_S
        self._is_started = False

    async def run(self) -> None:
        """Follow the journal until cancelled; then write what is held, if the store takes it."""
        with ThreadPoolExecutor(1, "store-writer") as worker:
            try:
                while True:
                    await self._turn(worker)
            finally:
                await _finish(worker, self._drain)

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        """Like the store's ``range``, with the readings that are not yet stored; any thread."""
        held = self._held_samples(series, start_at, end_at)  # first: what is stored meanwhile is
        stored = self._store.range(series, start_at, end_at, max_points=max_points)  # in both
        return thin(merge_samples(stored, held), start_at, end_at, max_points)

    def latest(self) -> Readings:
        """The newest reading of every series that is stored."""
        return self._store.latest()

    def lag(self) -> StoreLag:
        """How far the store is behind, for status pages and metrics; any thread."""
        with self._tail:
            held_rows = self._held.rows + self._in_flight.rows
        since = self._monotonic() - self._outage[1] if self._outage else 0.0
        return StoreLag(
            frames={lane: self._frames_behind(lane) for lane in self._lanes},
            held_rows=held_rows,
            outage=self._outage[0] if self._outage else None,
            outage_since_s=since,
            losses=self._losses,
            counts=replace(self._store.counts),
        )

    async def _turn(self, worker: ThreadPoolExecutor) -> None:
        """Read what is new; write when a step is full or due; else wait for more."""
        try:
            if not self._is_started:
                await _finish(worker, self._start)
            has_more = await _finish(worker, self._read)
            if self._is_due():
                await _finish(worker, self._flush)
            elif not has_more:
                await self._wait()
        except StoreOutage as outage:
            self._note_outage(outage)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _start(self) -> None:
        self._stored = dict(self._store.positions())
        for lane in self._lanes:
            position = self._stored.get(lane)
            self._read_to[lane] = position
            self._followers[lane].retain(position)
        self._is_started = True

    def _read(self) -> bool:
        """Read the first lane that has something, urgent before routine; False: nothing new."""
        if self._in_flight.positions or self._held.rows >= self._flush_rows:
            return True  # a step waits for the store: the journal keeps the rest
        for lane in self._lanes:
            if entries := self._entries(lane):
                with self._tail:
                    if not self._held.positions:
                        self._due_at = self._monotonic() + self._flush_s
                    self._held.take(lane, entries)
                self._read_to[lane] = entries[-1].position
                return True
        return False

    def _entries(self, lane: Lane) -> list[Entry]:
        follower = self._followers[lane]
        try:
            return follower.read(self._read_to[lane])
        except PositionLost as lost:
            self._losses += 1
            log.error("store.position.lost", lane=lane, after=lost.after, oldest=lost.oldest)
            self._read_to[lane] = None
            return []
        except JournalDamaged as damaged:
            if damaged.resume_after is not None:
                self._losses += 1
                log.error("store.journal.damaged", lane=lane, reason=str(damaged))
                self._read_to[lane] = damaged.resume_after
            return []

    def _is_due(self) -> bool:
        if self._in_flight.positions or self._held.rows >= self._flush_rows:
            return True
        return bool(self._held.positions) and self._monotonic() >= self._due_at

    def _flush(self) -> None:
        """Store one step and let the journal go up to it; a failed step is tried again whole."""
        with self._tail:
            if not self._in_flight.positions:
                self._in_flight, self._held = self._held, _Held()
        step = self._in_flight
        if step.definitions:
            self._store.define(list(step.definitions.values()))
        self._store.append(concatenate(step.batches), step.positions)
        with self._tail:
            self._in_flight = _Held()
        self._stored |= step.positions
        for lane, position in step.positions.items():
            self._followers[lane].retain(position)
        self._note_success()

    def _drain(self) -> None:
        try:
            while self._in_flight.positions or self._held.positions:
                self._flush()
        except StoreOutage as outage:
            self._note_outage(outage)  # the journal has it all

    async def _wait(self) -> None:
        """Until any lane has something new, or the held step is due."""
        timeout_s = 0.2
        if self._held.positions:
            timeout_s = min(timeout_s, max(self._due_at - self._monotonic(), 0.0))
        waits = [
            asyncio.ensure_future(self._followers[lane].wait(timeout_s)) for lane in self._lanes
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _held_samples(self, series: int, start_at: int, end_at: int) -> Samples:
        with self._tail:
            batches = [*self._in_flight.batches, *self._held.batches]
        chosen = [
            batch.take(mask)
            for batch in batches
            if (
                mask := (batch.series == series)
                & (batch.measured_at >= start_at)
                & (batch.measured_at < end_at)
            ).any()
        ]
        rows = distinct(concatenate(chosen), StoreCounts()) if chosen else no_readings()
        return Samples(rows.measured_at, rows.value, rows.quality)

    def _frames_behind(self, lane: Lane) -> int | None:
        head, stored = self._followers[lane].head(), self._stored.get(lane)
        if head is None:
            return None
        return head.n - stored.n if stored and stored.n <= head.n else head.n

    def _note_outage(self, outage: StoreOutage) -> None:
        if self._outage is None:
            log.error("store.outage.begun", reason=outage.reason, can_retry=outage.can_retry)
            self._outage = (outage.reason, self._monotonic())
        elif self._outage[0] != outage.reason:
            self._outage = (outage.reason, self._outage[1])

    def _note_success(self) -> None:
        if self._outage is not None:
            log.warning("store.outage.ended", seconds=self._monotonic() - self._outage[1])
        self._outage, self._pause_s = None, _FIRST_PAUSE_S


async def _finish(worker: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run in the worker thread; a cancellation waits for the end of the work before it goes on."""
    task = asyncio.get_running_loop().run_in_executor(worker, work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen; what failed is still held and in the journal
        raise
