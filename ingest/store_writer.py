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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from devices.frames import (
    Entry,
    Lane,
    Position,
    ReadingsFrame,
    SeriesDefinition,
    SeriesFrame,
    TickFrame,
)
from devices.histogram import WAITS_S, Histogram
from devices.readings import Readings, concatenate, no_readings
from ingest.lanes_reader import Follower, LanesReader, finish
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

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class StoreLag:
    """How far the store is behind.

    ``frames`` of each lane not yet stored (None: not known, no journal yet); ``held_rows`` read but
    not stored; ``outage`` why the store does not take them, since ``outage_since_s`` seconds;
    ``losses`` how often journal frames were gone or damaged before they could be stored;
    ``stored_until`` the newest tick of each lane that is behind what is stored; ``write`` how long
    writes took (``devices.histogram``).
    """

    frames: Mapping[Lane, int | None]
    held_rows: int
    outage: str | None
    outage_since_s: float
    losses: int
    counts: StoreCounts
    stored_until: Mapping[Lane, int] = field(default_factory=dict)
    write: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Held:
    """What was read and is not yet stored."""

    batches: list[Readings] = field(default_factory=list)
    definitions: dict[int, SeriesDefinition] = field(default_factory=dict)
    positions: dict[Lane, Position] = field(default_factory=dict)
    rows: int = 0
    ticked_at: dict[Lane, int] = field(default_factory=dict)

    def take(self, lane: Lane, entries: list[Entry]) -> None:
        for entry in entries:
            frame = entry.frame
            if isinstance(frame, ReadingsFrame):
                self.batches.append(frame.readings)
                self.rows += len(frame.readings)
            elif isinstance(frame, SeriesFrame):
                self.definitions |= {d.series: d for d in frame.definitions}
            elif isinstance(frame, TickFrame):
                self.ticked_at[lane] = frame.at
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
        read_bytes: int = 4 << 20,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write at ``flush_rows`` rows (both lanes together) or after ``flush_s``.

        One read of ``read_bytes`` (30 bytes a row) may exceed ``flush_rows``.
        """
        self._store, self._reader = store, LanesReader("store", followers, read_bytes=read_bytes)
        self._flush_rows, self._flush_s = flush_rows, flush_s
        self._monotonic = monotonic
        self._held = _Held()  # growing
        self._in_flight = _Held()  # being written
        self._tail = threading.Lock()  # guards both
        self._stored: dict[Lane, Position] = {}
        self._stored_until: dict[Lane, int] = {}
        self._write_s = Histogram(WAITS_S)
        self._due_at = 0.0
        self._outage: tuple[str, float] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._is_started = False

    async def run(self) -> None:
        """Follow the journal until cancelled; then write what is held, if the store takes it."""
        with ThreadPoolExecutor(1, "store-writer") as worker:
            try:
                while True:
                    await self._turn(worker)
            finally:
                await finish(worker, self._drain)

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

    def positions(self) -> Mapping[Lane, Position]:
        """How far the journal is in the store."""
        return self._store.positions()

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        """Like the store's ``scan``: what is stored, without the readings that are held."""
        return self._store.scan(series, start_at, end_at)

    def lag(self) -> StoreLag:
        """How far the store is behind, for status pages and metrics; any thread."""
        with self._tail:
            held_rows = self._held.rows + self._in_flight.rows
        since = self._monotonic() - self._outage[1] if self._outage else 0.0
        return StoreLag(
            frames={lane: self._frames_behind(lane) for lane in self._reader.lanes},
            held_rows=held_rows,
            outage=self._outage[0] if self._outage else None,
            outage_since_s=since,
            losses=self._reader.losses,
            counts=replace(self._store.counts),
            stored_until=dict(self._stored_until),
            write=self._write_s.fields(),
        )

    async def _turn(self, worker: ThreadPoolExecutor) -> None:
        """Read what is new; write when a step is full or due; else wait for more."""
        try:
            if not self._is_started:
                await finish(worker, self._start)
            has_more = await finish(worker, self._read)
            if self._is_due():
                await finish(worker, self._flush)
            elif not has_more:
                await self._reader.wait(self._patience_s())
        except (StoreOutage, OSError) as outage:  # OSError: the disk of journal or positions
            self._note_outage(outage)
            asked_s = outage.wait_s or 0.0 if isinstance(outage, StoreOutage) else 0.0
            await asyncio.sleep(min(max(self._pause_s, asked_s), _LONGEST_PAUSE_S))
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _start(self) -> None:
        self._stored = dict(self._store.positions())
        self._reader.start(self._stored)
        self._is_started = True

    def _read(self) -> bool:
        """Hold what is new in one lane; False where nothing is."""
        self._reader.look()
        if self._is_full():
            return True  # this step waits for the store, the journal keeps the rest
        if (found := self._reader.read()) is None:
            return False
        with self._tail:
            if not self._held.positions:
                self._due_at = self._monotonic() + self._flush_s
            self._held.take(*found)
            for lane, ticked_at in self._held.ticked_at.items():  # before: not known, none stored
                self._stored_until.setdefault(lane, ticked_at)
        return True

    def _is_full(self) -> bool:
        return bool(self._in_flight.positions) or self._held.rows >= self._flush_rows

    def _is_due(self) -> bool:
        is_time = bool(self._held.positions) and self._monotonic() >= self._due_at
        return self._is_full() or is_time

    def _flush(self) -> None:
        """Store one step and let the journal go up to it; a failed step is tried again whole."""
        with self._tail:
            if not self._in_flight.positions:
                self._in_flight, self._held = self._held, _Held()
        step = self._in_flight
        if step.definitions:
            self._store.define(list(step.definitions.values()))
        began = self._monotonic()
        self._store.append(concatenate(step.batches), step.positions)
        self._write_s.observe(self._monotonic() - began)
        with self._tail:
            self._in_flight = _Held()
        self._stored |= step.positions
        self._stored_until |= step.ticked_at
        self._reader.retain(step.positions)
        self._note_success()

    def _drain(self) -> None:
        try:
            while self._in_flight.positions or self._held.positions:
                self._flush()
        except (StoreOutage, OSError) as outage:
            self._note_outage(outage)  # the journal has it all

    def _patience_s(self) -> float:
        """How long to wait for news: not beyond the time at which the held step is due."""
        if not self._held.positions:
            return 0.2
        return min(0.2, max(self._due_at - self._monotonic(), 0.0))

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
        head, stored = self._reader.heads[lane], self._stored.get(lane)
        if head is None:
            return None
        return head.n - stored.n if stored and stored.n <= head.n else head.n

    def _note_outage(self, outage: StoreOutage | OSError) -> None:
        reason = outage.reason if isinstance(outage, StoreOutage) else str(outage)
        if self._outage is None:
            can_retry = not isinstance(outage, StoreOutage) or outage.can_retry
            log.error("store.outage.begun", reason=reason, can_retry=can_retry)
            self._outage = (reason, self._monotonic())
        elif self._outage[0] != reason:
            self._outage = (reason, self._outage[1])

    def _note_success(self) -> None:
        if self._outage is not None:
            log.warning("store.outage.ended", seconds=self._monotonic() - self._outage[1])
        self._outage, self._pause_s = None, _FIRST_PAUSE_S
