"""One lane of the alerts process: a reader, its engine, and how far both have come.

Refuses to know the ledger's SQL and the other lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from alerts.arrays import OtherLayout
from alerts.engine import Engine
from alerts.evaluator import OpenAlarm
from alerts.feed import JournalReader
from alerts.ledger import Alarm
from alerts.rules import RuleSet
from alerts.snapshot import LaneSnapshot
from alerts.transitions import WITHDRAWN, Change, Transition, transition_id
from devices.frames import Entry, Frame, Lane, Position, RevisionFrame, SeriesFrame, TickFrame
from devices.kinds import KINDS
from devices.registry import RegistrySnapshot

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Switch:
    """What holds from a revision on."""

    rules: RuleSet
    registry: RegistrySnapshot


class LaneFollower:
    """Runs the entries of one lane through its engine.

    ``position`` is how far the engine has come, ``committed`` how far the ledger has; after a
    crash the engine is behind and what it says again is discarded.
    """

    def __init__(
        self,
        reader: JournalReader,
        rules: RuleSet,
        registry: RegistrySnapshot,
        committed: Position | None,
    ) -> None:
        self.reader = reader
        self.lane: Lane = reader.lane
        self.engine = Engine(self.lane, rules, registry)
        self.position = committed
        self.committed = committed
        self.is_to_be_reconciled = True
        self.last_tick_at: int | None = None
        self._entries: list[Entry] = []

    def restore(self, snapshot: LaneSnapshot, rules: RuleSet, registry: RegistrySnapshot) -> bool:
        """Stand as the snapshot says; False if it is not of this journal, from its future, or not
        in the layout of this release (which is logged): then what the ledger has open is adopted.

        A snapshot ahead of the ledger is of another ledger (a restored database): what lies
        between would be lost.
        """
        if not _is_before(snapshot.position, self.committed):
            return False
        engine = Engine(self.lane, rules, registry)
        try:
            engine.restore(snapshot.arrays)
        except (OtherLayout, IndexError) as error:
            log.error("alerts.snapshot.other_layout", lane=str(self.lane), reason=str(error))
            return False
        self.engine, self.position = engine, snapshot.position
        self.is_to_be_reconciled = not self.is_catching_up
        return True

    @property
    def is_catching_up(self) -> bool:
        """True while the engine is behind the ledger."""
        return self.position != self.committed and _is_before(self.position, self.committed)

    @property
    def committable(self) -> Position | None:
        """The position for the ledger: it never goes back within a journal."""
        return self.committed if self.is_catching_up else self.position

    def read(self, max_bytes: int) -> bool:
        """Fetch entries to run; False if there is nothing new."""
        try:
            self._entries = self.reader.read(self.position, max_bytes=max_bytes)
        except LookupError as error:
            log.error("alerts.journal.position_lost", lane=str(self.lane), reason=str(error))
            self.position = self.committed = None
            self._entries = self.reader.read(None, max_bytes=max_bytes)
        return bool(self._entries)

    def run(self, switch: Callable[[], Switch]) -> list[Change]:
        """Run what was read; returns the changes that the ledger does not have yet.

        While catching up only what the ledger has passed is run, and the rest is read again: the
        engine must stand exactly where the ledger does when the two are reconciled.
        """
        known, new = self._split()
        if known:
            self._run(known, switch)
            self.is_to_be_reconciled |= not self.is_catching_up
            return []
        told = self._run(new, switch)
        self.committed = self.position
        return told

    def reconcile(
        self, alarms: Sequence[Alarm], registry: RegistrySnapshot, now: int
    ) -> list[Change]:
        """Stand as the ledger says; returns the ends of alarms that have no place any more."""
        self.is_to_be_reconciled = False
        mine = [a for a in alarms if _lane_of(a, registry) is self.lane]
        homeless = {a.id for a in self.engine.reconcile([_open(a) for a in mine])}
        version = self.engine.rules.version
        return [_withdrawal(a, version, now) for a in mine if a.id in homeless]

    def snapshot(self) -> LaneSnapshot:
        """State and position, to be saved."""
        return LaneSnapshot(self.position, self.engine.rules.version, self.engine.state())

    def _split(self) -> tuple[list[Entry], list[Entry]]:
        """(entries that the ledger has passed, entries that it has not)."""
        entries, self._entries = self._entries, []
        done = self.committed
        passed = [e for e in entries if done and _is_before(e.position, done)]
        return passed, entries[len(passed) :]

    def _run(self, entries: list[Entry], switch: Callable[[], Switch]) -> list[Change]:
        told: list[Change] = []
        for part in self._parts(entries):
            head = part[0]
            if isinstance(head, RevisionFrame | SeriesFrame) and self._is_news(head):
                told += self._switch(head, switch())
            told += self.engine.run(part)
        if entries:
            self.position = entries[-1].position
        return told

    def _parts(self, entries: list[Entry]) -> Iterator[list[Frame]]:
        """Frames in runs; each RevisionFrame and SeriesFrame begins one."""
        part: list[Frame] = []
        for entry in entries:
            if isinstance(entry.frame, RevisionFrame | SeriesFrame) and part:
                yield part
                part = []
            if isinstance(entry.frame, TickFrame):
                self.last_tick_at = entry.frame.at
            part.append(entry.frame)
        if part:
            yield part

    def _is_news(self, frame: RevisionFrame | SeriesFrame) -> bool:
        if isinstance(frame, SeriesFrame):
            return not self.engine.knows(frame)
        return frame.revision != self.engine.revision

    def _switch(self, frame: RevisionFrame | SeriesFrame, to: Switch) -> list[Change]:
        at = frame.at if isinstance(frame, RevisionFrame) else self.last_tick_at or 0
        return self.engine.switch(to.rules, to.registry, at)


def _is_before(position: Position | None, other: Position | None) -> bool:
    """At or before ``other``, in the same journal."""
    if position is None:
        return True
    return other is not None and position.epoch == other.epoch and position.n <= other.n


def _lane_of(alarm: Alarm, registry: RegistrySnapshot) -> Lane:
    device = registry.devices.get(alarm.device)
    return Lane.URGENT if device is None else KINDS[device.kind].lane


def _open(alarm: Alarm) -> OpenAlarm:
    return OpenAlarm(
        alarm.id,
        alarm.rule,
        alarm.device,
        alarm.series,
        alarm.stage,
        alarm.level,
        alarm.changed_at,
        alarm.is_verified,
        alarm.is_exercise,
        alarm.peak_value,
    )


def _withdrawal(alarm: Alarm, version: str, now: int) -> Transition:
    """The end of an alarm whose rule or place went while nobody looked."""
    at = max(now, alarm.changed_at + 1)
    subject = f"d{alarm.device}" if alarm.series is None else f"s{alarm.series}"
    state = f"{WITHDRAWN}/{alarm.is_verified:d}/{alarm.is_exercise:d}"
    return Transition(
        id=transition_id(alarm.rule, version, subject, at, state),
        alarm=alarm.id,
        rule=alarm.rule,
        rule_kind=alarm.rule_kind,
        rule_version=version,
        device=alarm.device,
        series=alarm.series,
        measured_at=at,
        received_at=now,
        from_level=alarm.level,
        to_level=0,
        from_stage=alarm.stage,
        to_stage=WITHDRAWN,
        value=None,
        is_verified=alarm.is_verified,
        is_historic=False,
        is_exercise=alarm.is_exercise,
    )
