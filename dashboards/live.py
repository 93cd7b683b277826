"""Keeps the board in step with journal, alarms, registry and processes, and tells the hub.

The shell around ``board``: it waits, reads and hands over, and decides nothing. An outage of what
it reads is named in ``troubles`` and shown to people; the map never goes quietly stale.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from alerts.ledger import AlarmBook
from dashboards import auth
from dashboards.board import Board
from dashboards.device_said import FrameInbox
from dashboards.events import EventHub
from dashboards.processes import Clock, ProcessReport, Status, clock, read_statuses, write_status
from dashboards.readiness import Since, notes_of, reasons_of
from dashboards.stored import QuarantineCounts, StoredReadings, store_status
from dashboards.wake import WakeSocket
from devices.frames import (
    Entry,
    Frame,
    Lane,
    Position,
    ReadingsFrame,
    RevisionFrame,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from devices.readings import Readings, concatenate
from devices.registry import Registry
from ingest.journal_follower import JournalFollower, PositionLost
from ingest.segments import JournalDamaged
from ingest.stores.series_store import StoreOutage

log = structlog.get_logger()

READ_EVERY_S: Final = 0.1
"""The page is told four times a second: what comes meanwhile is cheaper to take in one piece."""
ALARMS_EVERY_S: Final = 0.25
REGISTRY_EVERY_S: Final = 1.0
CLOCK_EVERY_S: Final = 1.0
TELL_CLOCK_EVERY: Final = 5  # times CLOCK_EVERY_S
SESSIONS_EVERY: Final = 15  # times CLOCK_EVERY_S
FORGET_EVERY: Final = 3600  # times CLOCK_EVERY_S
_STORE_RETRY_S: Final = 5.0
_JOURNAL_RETRY_S: Final = 1.0
_TICK_LATE_MS: Final = 10_000
_HISTORY_MS: Final = 80 * 60_000
_AHEAD_MS: Final = 10 * 60_000
_TAIL_BYTES: Final = 16 << 20
_NOT_OF_THE_MAP: Final = frozenset({"store", "store_writer", "status"})
"""Troubles with which the map is still true: charts and figures lack something."""
_HIDES: Final = MappingProxyType({"journal": "intake", "ticks": "intake", "alarms": "alerts"})
"""Whose work a trouble of ours keeps from the page."""


class Live:
    """The tasks that feed one board and one hub."""

    def __init__(
        self,
        *,
        database: Engine,
        registry: Registry,
        followers: Mapping[Lane, JournalFollower],
        stored: StoredReadings,
        quarantine: QuarantineCounts,
        status_dir: Path,
        now: Callable[[], int],
        wake_socket: Path | None,
        inbox: FrameInbox | None = None,
        reports: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        """``followers`` are live's own: nothing is retained for them.

        ``inbox`` is given what frames say of devices; ``reports`` add their parts to ``web.json``.
        """
        self._inbox, self._reports = inbox, reports or {}
        self.board = Board()
        self.hub = EventHub(self.board, now, self.clock_json)
        self.troubles: dict[str, str] = {}
        self.since = Since()
        self._database, self._registry = database, registry
        self._followers, self._stored = followers, stored
        self._quarantine = quarantine
        self._status_dir, self._now, self._wake_socket = status_dir, now, wake_socket
        self._book = AlarmBook(database)
        self._alarm_revision = 0
        self._positions: dict[Lane, Position | None] = {}
        self._started_at = now()
        self._ticked_at: dict[Lane, int] = {}
        self._registry_due = asyncio.Event()
        self._statuses: dict[str, Status] = {}
        self.alarm_reads = 0

    # -- what is asked

    @property
    def statuses(self) -> Mapping[str, Status]:
        """The status files as they were read last, at most a second ago."""
        return self._statuses

    def clock(self) -> Clock:
        """The processes as seen from here; web itself is stale while it has troubles.

        A process whose work does not reach web is as good as stale to whoever looks at the page.
        """
        now = self._now()
        read = clock(self._statuses, now)
        is_true = self.troubles.keys() <= _NOT_OF_THE_MAP
        reports = {**read.processes, "web": ProcessReport("up" if is_true else "stale", now)}
        for trouble in self.troubles:
            hidden = _HIDES.get(trouble.partition(".")[0])
            if hidden and reports[hidden].state == "up":
                reports[hidden] = ProcessReport("stale", reports[hidden].seen_at)
        return replace(read, processes=reports)

    def clock_json(self) -> bytes:
        """``clock`` as JSON."""
        return msgspec.json.encode(self.clock())

    # -- starting and running

    async def start(self) -> None:
        """Fill the board: registry, open alarms, and what the store knows if it answers."""
        self.board.take_registry(await asyncio.to_thread(self._registry.snapshot))
        self._alarm_revision = await asyncio.to_thread(self._book.revision)
        self.board.take_alarms(await asyncio.to_thread(self._book.open_alarms))
        await self._load(with_history=True)
        self._positions = await self._starting_positions()
        await self._look_at_processes()
        self.board.pass_time(self._now())

    async def run(self) -> None:
        """Keep the board in step until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._followers:
                tasks.create_task(self._follow(lane), name=f"web.live.{lane}")
            tasks.create_task(self._watch_store(), name="web.live.store")
            tasks.create_task(self._watch_alarms(), name="web.live.alarms")
            tasks.create_task(self._watch_registry(), name="web.live.registry")
            tasks.create_task(self._watch_clock(), name="web.live.clock")
            tasks.create_task(self.hub.run(), name="web.live.hub")

    # -- store

    async def _load(self, *, with_history: bool) -> bool:
        """Take what the store holds; False while it does not answer."""
        try:
            if with_history:
                for batch in await asyncio.to_thread(self._history):
                    self.board.take_level_history(batch)
            self.board.take_readings(await asyncio.to_thread(self._stored.latest))
        except StoreOutage as outage:
            self._trouble("store", outage.reason)
            return False
        self._fine("store")
        self.hub.changed()
        return True

    def _history(self) -> list[Readings]:
        now = self._now()
        series = self.board.level_series()
        return list(self._stored.scan(series, now - _HISTORY_MS, now + _AHEAD_MS)) if series else []

    async def _starting_positions(self) -> dict[Lane, Position | None]:
        """From where to follow: what the store does not hold yet; the tail while it is away."""
        try:
            stored = await asyncio.to_thread(self._stored.positions)
        except StoreOutage as outage:
            self._trouble("store", outage.reason)
            return {
                lane: await asyncio.to_thread(self._take_tail, lane) for lane in self._followers
            }
        return {lane: stored.get(lane) for lane in self._followers}

    def _take_tail(self, lane: Lane) -> Position | None:
        """Without a store: the newest that the journal keeps, so that the map is not empty."""
        entries = self._followers[lane].tail_entries(_TAIL_BYTES)
        self._take_in(lane, [entry.frame for entry in entries])
        return entries[-1].position if entries else self._followers[lane].head()

    async def _watch_store(self) -> None:
        """After an outage at the start: load again until the store has passed where we began."""
        wanted = dict(self._positions)
        is_loaded = "store" not in self.troubles
        while not is_loaded:
            await asyncio.sleep(_STORE_RETRY_S)
            if await self._load(with_history=False):
                is_loaded = await self._has_passed(wanted)

    async def _has_passed(self, wanted: Mapping[Lane, Position | None]) -> bool:
        try:
            stored = await asyncio.to_thread(self._stored.positions)
        except StoreOutage:
            return False
        return all(
            position is None or (lane in stored and stored[lane].n >= position.n)
            for lane, position in wanted.items()
        )

    # -- journal

    async def _follow(self, lane: Lane) -> None:
        follower, position = self._followers[lane], self._positions.get(lane)
        lost_before = ""
        while True:
            entries: list[Entry] = []
            try:
                entries = await asyncio.to_thread(follower.read, position)
                self._fine(f"journal.{lane}")
            except PositionLost as lost:
                if str(lost) == lost_before:  # at a segment of another journal: no way on
                    self._trouble(f"journal.{lane}", str(lost))
                    await asyncio.sleep(_JOURNAL_RETRY_S)
                    continue
                lost_before = str(lost)
                log.warning("web.live.position_lost", lane=lane, after=str(lost.after))
                position = None  # from the oldest kept; what is known already changes nothing
            except JournalDamaged as damaged:
                self._trouble(f"journal.{lane}", str(damaged))
                position = damaged.resume_after or follower.head()
            except OSError as error:
                self._trouble(f"journal.{lane}", str(error))
            if entries:
                position = entries[-1].position
                self._take_in(lane, [entry.frame for entry in entries])
                self.hub.changed()
                await asyncio.sleep(READ_EVERY_S)
            else:
                await follower.wait()

    def _take_in(self, lane: Lane, frames: Sequence[Frame]) -> None:
        """All readings as one batch: neither the board nor what is heard minds the order."""
        batches = [frame.readings for frame in frames if isinstance(frame, ReadingsFrame)]
        if batches:
            self.board.take_readings(concatenate(batches))
        if self._inbox is not None:
            self._inbox.offer(frames)
        for frame in frames:
            self._take(lane, frame)

    def _take(self, lane: Lane, frame: Frame) -> None:
        match frame:
            case StatusFrame(device=device, received_at=received_at):
                if frame.is_heard:
                    self.board.take_heard(device, received_at)
            case TickFrame(at=at):
                self._ticked_at[lane] = at
            case RevisionFrame() | SeriesFrame():
                self._registry_due.set()

    # -- alarms and registry

    async def _watch_alarms(self) -> None:
        with WakeSocket(self._wake_socket) as wake:
            while True:
                with self._outages("alarms"):
                    await self._read_alarms()
                await wake.wait(ALARMS_EVERY_S)

    async def _read_alarms(self) -> None:
        changed = await asyncio.to_thread(self._book.alarms_after, self._alarm_revision)
        self.alarm_reads += 1
        if changed:
            self._alarm_revision = changed[-1].revision
            self.board.take_alarms(changed)
            self.hub.changed()

    async def _watch_registry(self) -> None:
        while True:
            with self._outages("registry"):
                await self._read_registry()
            await _wait_for(self._registry_due, REGISTRY_EVERY_S)

    async def _read_registry(self) -> None:
        shown = self.board.registry
        if shown and await asyncio.to_thread(self._registry.revision) == shown.revision:
            return
        if self.board.take_registry(await asyncio.to_thread(self._registry.snapshot)):
            self.hub.start_all_afresh()
        self.board.pass_time(self._now())
        self.hub.changed()

    # -- clock, processes, sessions

    async def _watch_clock(self) -> None:
        told: tuple[str, ...] = ()
        for turn in itertools.count():
            await self._look_at_processes()
            self.board.pass_time(self._now())
            self.hub.changed()
            seen = self.clock()
            self.since.look([*reasons_of(seen, self.troubles), *notes_of(seen)], seen.at)
            states = _states(seen)
            if states != told or turn % TELL_CLOCK_EVERY == 0:
                told = states
                self.hub.tell_clock()
            with self._outages("sessions"):
                await self._look_at_sessions(turn)
            await asyncio.sleep(CLOCK_EVERY_S)

    async def _look_at_processes(self) -> None:
        self._statuses = await asyncio.to_thread(read_statuses, self._status_dir)
        self._look_at_ticks()
        if outage := self._stored.lag().outage:
            self._trouble("store_writer", outage)
        else:
            self._fine("store_writer")
        try:
            await asyncio.to_thread(write_status, self._status_dir / "web.json", self._own_status())
            self._fine("status")
        except OSError as error:
            self._trouble("status", str(error))

    def _look_at_ticks(self) -> None:
        """Intake says it is up: then its ticks must arrive here, or we are the ones who sleep."""
        now = self._now()
        intake_is_up = clock(self._statuses, now).processes["intake"].state == "up"
        for lane in self._followers:
            ticked_at = max(self._ticked_at.get(lane, 0), self._started_at)
            if intake_is_up and now - ticked_at > _TICK_LATE_MS:
                self._trouble(f"ticks.{lane}", "intake is up but its ticks do not arrive")
            else:
                self._fine(f"ticks.{lane}")

    def _own_status(self) -> dict[str, object]:
        counts = self.hub.counts
        return {
            "at": self._now(),
            "pid": os.getpid(),
            "started_at": self._started_at,
            "streams": len(self.hub),
            "frames": counts.frames,
            "snapshots": counts.snapshots,
            "dropped_to_snapshot": counts.dropped_to_snapshot,
            "troubles": dict(self.troubles),
            "store": store_status(self._stored.lag()),
            "quarantine": {"rows": self._quarantine.rows, "dropped": self._quarantine.dropped},
            **{name: report() for name, report in self._reports.items()},
        }

    async def _look_at_sessions(self, turn: int) -> None:
        if turn % FORGET_EVERY == 0:
            await asyncio.to_thread(auth.forget_expired, self._database, self._now())
        if turn % SESSIONS_EVERY == 0 and (held := self.hub.sessions):
            self.hub.keep_sessions(
                await asyncio.to_thread(auth.living_sessions, self._database, held, self._now()),
                held,
            )

    # -- outages

    @contextlib.contextmanager
    def _outages(self, name: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            self._trouble(name, type(error).__name__)
        else:
            self._fine(name)

    def _trouble(self, name: str, reason: str) -> None:
        if self.troubles.get(name) != reason:
            log.warning("web.live.trouble", what=name, reason=reason)
            self.troubles[name] = reason

    def _fine(self, name: str) -> None:
        if self.troubles.pop(name, None) is not None:
            log.info("web.live.recovered", what=name)


def _states(seen: Clock) -> tuple[str, ...]:
    processes = (report.state for report in seen.processes.values())
    lanes = (f"{lane.state} {lane.behind}" for lane in seen.lanes.values())
    return (*processes, *lanes, seen.broker, seen.store.state)


async def _wait_for(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    event.clear()
