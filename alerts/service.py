"""The alerts process: follows the journal, runs the engine, commits, tells people.

A thin shell: it reads, hands on and commits, and decides nothing. Refuses to know rules (engine),
routes (routing) and protocols (channels).

One step is: entries → engine → one transaction (changes, outbox, positions) → snapshot. A
crash or a refused commit anywhere in it re-runs from the snapshot; what comes out again up to the
committed positions is discarded, for it is in the ledger already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError

from alerts.delivery import Channel, Courier
from alerts.feed import JournalReader
from alerts.follower import LaneFollower, Switch
from alerts.ledger import AlarmBook, DeliveryDraft, Ledger
from alerts.outbox import Outbox
from alerts.own_clock import OwnClock, is_own, with_fallback
from alerts.people import people
from alerts.routing import drafts_for
from alerts.rule_store import stored_rules
from alerts.rules import RuleError, RuleSet, default_rules_text, load_rules
from alerts.saver import SnapshotSaver
from alerts.snapshot import LaneSnapshot, load_snapshot
from alerts.status import AlarmLags, write_status
from alerts.transitions import Change, alarms_of
from devices.failpoints import failpoint
from devices.frames import Lane, Position
from devices.registry import Registry, RegistrySnapshot

log = structlog.get_logger()

URGENT_BYTES: Final = 4 << 20
ROUTINE_BYTES: Final = 256 << 10  # what urgent may have to wait for
COMMIT_POSITION_MS: Final = 1_000
PEAKS_MS: Final = 1_000  # a peak is told at a transition of its alarm, else so often at most
SNAPSHOT_MS: Final = 10_000
STATUS_MS: Final = 1_000
LOOK_S: Final = 0.2
WORK_MS: Final = 50
INBOX_MS: Final = 100
AGAIN_S: Final = 0.5


class AlertService:
    """The whole of the alerts process; ``run`` it once."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        readers: Mapping[Lane, JournalReader],
        state_dir: Path,
        channels: Mapping[str, Channel],
        now: Callable[[], int],
        status_path: Path | None = None,
        wake: Callable[[], None] | None = None,
        public_url: str = "",
    ) -> None:
        """``wake`` is called after each commit that changed an alarm; ``now`` gives ms UTC."""
        self._database = database
        self._registry = registry
        self._ledger = Ledger(database)
        self._book = AlarmBook(database)
        self._outbox = Outbox(database)
        self._snapshot_path = state_dir / "snapshot.npz"
        self._saver = SnapshotSaver(self._snapshot_path)
        self._channels = channels
        self._now = now
        self._status_path = status_path
        self._wake = wake or (lambda: None)
        self._readers = readers
        self._lanes: dict[Lane, LaneFollower] = {}
        self._own_clock = OwnClock(readers)
        self._lags = AlarmLags()
        self._known = RegistrySnapshot(0, {}, {}, {}, {})
        self._lock = Lock()
        self._has_queued = False
        self._is_whole = True  # False from the first entry that is run until it is committed
        self._troubles: dict[str, str] = {}
        self._committed_at = self._peaks_at = self._snapshot_at = self._status_at = (
            self._inbox_at
        ) = 0
        self._courier = Courier(
            self._outbox, channels, now=now, registry=lambda: self._known, public_url=public_url
        )

    async def run(self) -> None:
        """Follow and tell until cancelled; then finish the step, commit, save, and return.

        When the database refuses (full, locked) everything begins again from the snapshot, as
        after a crash but at once: an alarm must not wait for the pauses of a supervisor.
        """
        while True:
            try:
                await self._run_once()
            except* SQLAlchemyError as refused:
                self._note_refusal(refused)
            await asyncio.sleep(AGAIN_S)

    async def _run_once(self) -> None:
        await asyncio.to_thread(self._start)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="alerts.follow")
                tasks.create_task(self._courier.run(), name="alerts.delivery")
        finally:
            self._stop()

    async def _follow(self) -> None:
        while True:
            has_worked = await asyncio.to_thread(self._steps)
            if self._has_queued:
                self._has_queued = False
                self._courier.nudge()
            if not has_worked:
                await self._wait()

    def _steps(self) -> bool:
        """Steps while there is something to read and nobody to be told; a short while at most.

        One hop to this thread for several of them: at many small batches the hops cost most.
        """
        until = self._now() + WORK_MS
        while has_worked := self._step():
            if self._has_queued or self._now() >= until:
                break
        return has_worked

    def _step(self) -> bool:
        """One round of the process's work; True if there was anything to read."""
        with self._lock:
            self._is_whole = False
            lane = self._read_next()
            changes = lane.run(self._switch) if lane else []
            if changes:
                failpoint("engine.ran")
            self._commit(changes)
            self._is_whole = True
            self._apply_inbox()
            self._snapshot_if_due()
            self._status_if_due()
        return lane is not None

    # ── start and stop ──────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self._is_whole, self._has_queued = True, False
        self._finish_snapshot()  # what was begun before the database refused
        self._known = self._registry.snapshot()
        committed = self._ledger.positions()
        saved = load_snapshot(self._snapshot_path) or {}
        rules = self._rules_now()
        for lane, reader in self._readers.items():
            follower = LaneFollower(reader, rules, self._known, committed.get(lane))
            snapshot = saved.get(lane)
            if snapshot is None or not self._restore(follower, snapshot):
                log.info("alerts.engine.started_without_snapshot", lane=str(lane))
            self._lanes[lane] = follower
        self._own_clock.stand(self._book.open_alarms())
        self._save_if_caught_up(self._now())
        self._finish_snapshot()
        self._commit([])

    def _restore(self, follower: LaneFollower, snapshot: LaneSnapshot) -> bool:
        rules = self._rules_of(snapshot.rule_version)
        return rules is not None and follower.restore(snapshot, rules, self._known)

    def _stop(self) -> None:
        """Save how far we are; after a failed step no more, so that its entries are run again."""
        with self._lock:
            self._finish_snapshot()
            if self._is_whole:
                now = self._now()
                self._write([], [], now, self._peaks())
                self._save_if_caught_up(now)
                self._finish_snapshot()

    # ── steps ───────────────────────────────────────────────────────────────────────────────

    def _read_next(self) -> LaneFollower | None:
        """The lane that has something to run: urgent as long as it has, then a slice of routine."""
        for lane, limit in ((Lane.URGENT, URGENT_BYTES), (Lane.ROUTINE, ROUTINE_BYTES)):
            follower = self._lanes.get(lane)
            if follower is not None and self._read(follower, limit):
                return follower
        return None

    def _read(self, follower: LaneFollower, limit: int) -> bool:
        has_news = follower.read(limit)
        self._own_clock.look(
            follower.lane, follower.last_tick_at, is_empty=not has_news, monotonic_s=monotonic()
        )
        return has_news

    def _switch(self) -> Switch:
        """The registry and the rules that hold from now on; the registry is read first, so that
        the rules are never older than its revision."""
        self._known = self._registry.snapshot()
        return Switch(self._rules_now(), self._known)

    def _commit(self, changes: list[Change]) -> None:
        now = self._now()
        changes = changes + self._reconcile(now) + self._unfed(now)
        if not changes and now - self._committed_at < COMMIT_POSITION_MS:
            return
        drafts = self._drafts(changes) if changes else []
        is_due = now - self._peaks_at >= PEAKS_MS
        peaks = self._peaks(None if is_due else alarms_of(changes))
        self._peaks_at = now if is_due else self._peaks_at
        self._write(changes, drafts, now, peaks)
        if changes:
            failpoint("alarms.committed")
            self._has_queued |= bool(drafts)
        if changes or peaks:
            self._wake()

    def _write(
        self,
        changes: list[Change],
        drafts: list[DeliveryDraft],
        now: int,
        peaks: Mapping[str, float],
    ) -> None:
        self._ledger.commit(changes, drafts, self._positions(), now, peaks)
        self._lags.note(changes, self._now())
        self._committed_at = now
        if self._troubles.pop("database", None):
            log.warning("alerts.database.accepted")

    def _peaks(self, alarms: Collection[str] | None = None) -> dict[str, float]:
        """Highest values that the ledger does not have yet, of these alarms or of all."""
        lanes = [follower.engine.take_peaks(alarms) for follower in self._lanes.values()]
        return {alarm: peak for peaks in lanes for alarm, peak in peaks.items()}

    def _drafts(self, changes: list[Change]) -> list[DeliveryDraft]:
        routes = with_fallback(self._lanes[Lane.URGENT].engine.rules.routes)
        return drafts_for(
            changes, routes, self._known.devices, people(self._database), self._channels
        )

    def _reconcile(self, now: int) -> list[Change]:
        """Once a lane has come to where the ledger is: make the two agree."""
        waiting = [f for f in self._lanes.values() if f.is_to_be_reconciled]
        if not waiting:
            return []
        alarms = [alarm for alarm in self._book.open_alarms() if not is_own(alarm)]
        return [t for follower in waiting for t in follower.reconcile(alarms, self._known, now)]

    def _unfed(self, now: int) -> list[Change]:
        """What our own clock says of the ticks."""
        version = next(iter(self._lanes.values())).engine.rules.version
        return [*self._own_clock.transitions(self._known, version, now)]

    def _positions(self) -> dict[str, Position]:
        found = {lane: follower.committable for lane, follower in self._lanes.items()}
        return {str(lane): position for lane, position in found.items() if position}

    def _apply_inbox(self) -> None:
        now = self._now()
        if now - self._inbox_at < INBOX_MS:
            return
        self._inbox_at = now
        if self._ledger.apply_inbox(now):
            self._wake()

    def _snapshot_if_due(self) -> None:
        now = self._now()
        if self._saver.is_busy and self._saver.is_done:
            self._finish_snapshot()
        if not self._saver.is_busy and now - self._snapshot_at >= SNAPSHOT_MS:
            self._write([], [], now, self._peaks())  # never behind the snapshot
            self._save_if_caught_up(now)

    def _save_if_caught_up(self, now: int) -> None:
        """Begin to save; the alarms go on meanwhile."""
        self._snapshot_at = now
        if not any(follower.is_catching_up for follower in self._lanes.values()):
            self._saver.begin({lane: f.snapshot() for lane, f in self._lanes.items()})

    def _finish_snapshot(self) -> None:
        """Let the journal go up to what is saved."""
        if self._saver.is_busy:
            with self._outages("snapshot"):
                for lane, position in self._saver.finish().items():
                    self._lanes[lane].reader.retain(position)

    def _status_if_due(self) -> None:
        now = self._now()
        if self._status_path is not None and now - self._status_at >= STATUS_MS:
            self._status_at = now
            with self._outages("status"):
                counts = self._outbox.counts()
                write_status(self._status_path, now, self._lanes, counts, self._lags)

    @contextmanager
    def _outages(self, what: str) -> Iterator[None]:
        """A file that cannot be written (a full disk) is said once; the alarms go on without."""
        try:
            yield
        except OSError as error:
            if self._troubles.get(what) != str(error):
                self._troubles[what] = str(error)
                log.error("alerts.file.not_written", file=what, reason=str(error))
        else:
            self._troubles.pop(what, None)

    def _note_refusal(self, refused: BaseExceptionGroup[SQLAlchemyError]) -> None:
        error: BaseException = refused
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = str(error).partition("\n")[0]
        if self._troubles.get("database") != reason:
            self._troubles["database"] = reason
            log.error("alerts.database.refused", reason=reason)

    # ── rules ───────────────────────────────────────────────────────────────────────────────

    def _rules_now(self) -> RuleSet:
        """The stored rules; what held before if they cannot be read; else the default ones."""
        try:
            return stored_rules(self._database) or load_rules(default_rules_text())
        except RuleError as error:
            log.error("alerts.rules.refused", problems=str(error))
            held = [f.engine.rules for f in self._lanes.values()]
            return held[0] if held else load_rules(default_rules_text())

    def _rules_of(self, version: str) -> RuleSet | None:
        default = load_rules(default_rules_text())
        if version == default.version:
            return default
        try:
            return stored_rules(self._database, version)
        except RuleError:
            return None

    # ── waiting ─────────────────────────────────────────────────────────────────────────────

    async def _wait(self) -> None:
        """Until one of the journals may have something new."""
        waits = [asyncio.ensure_future(reader.wait(LOOK_S)) for reader in self._readers.values()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
