"""The engine of one lane: frames of the journal in, transitions out. Live and replay alike.

Pure: its clock is the ticks in the frames, its state a set of numpy arrays, its rules and its
registry arguments. It refuses to know journals, SQL and people. The same frames give the same
transitions however they are cut into calls.

A reading that is not newer than the newest of its series is late: the rules run its series again
from the state before it, and what comes out is a ``Correction`` (docs/late-readings.md). One that
is ahead of our clock counts as of the moment at which we had it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, OtherLayout, expect_layout, expect_shapes
from alerts.batch import by_our_clock, fresh_of, is_in_order
from alerts.evaluator import (
    TICK_ROW,
    Evaluator,
    Finding,
    Heard,
    Late,
    OpenAlarm,
    Past,
    SeriesMemory,
    World,
)
from alerts.history import History, Insertion
from alerts.listening import UNKNOWN, Listening
from alerts.place import Sample
from alerts.rules import Rule, RuleSet, SilenceRule
from alerts.silence import Silence
from alerts.stages import Stages
from alerts.transitions import Change, Transition
from devices.frames import (
    BrokerFrame,
    Frame,
    Lane,
    ReadingsFrame,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from devices.kinds import KINDS
from devices.readings import (
    Indices,
    Int32s,
    Quality,
    Readings,
    concatenate,
    distinct_ids,
    rounds,
)
from devices.registry import RegistrySnapshot

APART_MS: Final = 1_000
"""What came together stays together: readings that were ahead are set apart within this."""

_DRILL: Final = np.uint8(Quality.EXERCISE)


class Engine:
    """All rules of a rule set over the devices of one lane."""

    def __init__(self, lane: Lane, rules: RuleSet, registry: RegistrySnapshot) -> None:
        self.lane = lane
        self.rules = rules
        self.revision = registry.revision
        self.late: Counter[Insertion] = Counter()
        self._listening = Listening()
        self._memory = SeriesMemory.of(0)
        self._history = History.of((), registry, 0)
        self._evaluators: dict[str, Evaluator] = {}
        self._peaks: dict[str, float] = {}  # alarm id → highest value that is still to be told
        self.switch(rules, registry, at=0)

    def run(self, frames: Iterable[Frame]) -> list[Change]:
        """Take frames in, in the journal's order; returns what changed, in the order of telling.

        Adjacent readings frames are taken as one batch. RevisionFrames say nothing here: whoever
        feeds the engine calls ``switch`` at them.
        """
        told: list[Change] = []
        for is_readings, group in groupby(frames, key=lambda f: isinstance(f, ReadingsFrame)):
            if is_readings:
                batch = concatenate([f.readings for f in group if isinstance(f, ReadingsFrame)])
                told += self._read(batch)
            else:
                for frame in group:
                    told += self._take(frame)
        return told

    def switch(self, rules: RuleSet, registry: RegistrySnapshot, at: int) -> list[Change]:
        """Let another rule set or registry hold from ``at`` on (int ms UTC).

        The state of rules and places that stay is kept; what is open elsewhere is withdrawn.
        """
        self.rules = rules
        self.revision = registry.revision
        world = _world(self.lane, registry, len(self._memory.measured_at), at)
        self._memory = self._memory.grow(world.limit)
        self._listening.know(*_who(world))
        self._gather_peaks()
        old, self._evaluators = self._evaluators, {}
        found: list[Finding] = []
        for rule in rules.rules:
            fresh = _evaluator(rule, rules.version, world)
            previous = old.get(rule.name)
            if previous is not None and type(previous) is type(fresh):
                found += fresh.carry_over(previous, at)
                del old[rule.name]
            self._evaluators[rule.name] = fresh
        for gone in old.values():
            found += gone.withdraw_all(at)  # its peaks were gathered above
        self._keep_history_of(registry, world.limit)
        return _in_order([found])

    def _keep_history_of(self, registry: RegistrySnapshot, limit: int) -> None:
        """Keep the readings of all series that a rule looks at."""
        wanted = np.concatenate(
            [np.zeros(0, np.int32), *(e.series() for e in self._evaluators.values())]
        )
        history = History.of(wanted.tolist(), registry, limit)
        if history.is_like(self._history):
            self._history.widen(limit)
            return
        history.carry_over(self._history)
        self._history = history

    def knows(self, frame: SeriesFrame) -> bool:
        """False if the frame defines a series of this lane that the registry did not have yet."""
        mine = {name for name, kind in KINDS.items() if kind.lane is self.lane}
        series = np.array([d.series for d in frame.definitions if d.kind in mine], np.int32)
        is_known = series < len(self._memory.measured_at)
        return bool(is_known.all() and (self._listening.devices_of(series) != UNKNOWN).all())

    def open_alarms(self) -> dict[str, tuple[str, tuple[int, bool]]]:
        """Id of each open alarm → (rule, key of its place)."""
        return {
            alarm: (name, key)
            for name, evaluator in self._evaluators.items()
            for key, alarm in evaluator.open_ids().items()
        }

    def take_peaks(self, alarms: Collection[str] | None = None) -> dict[str, float]:
        """Alarm id → highest plausible value while it is open, where it rose since it was taken.

        Of the given alarms only; of all if None.
        """
        self._gather_peaks()
        wanted = list(self._peaks) if alarms is None else self._peaks.keys() & set(alarms)
        return {alarm: self._peaks.pop(alarm) for alarm in wanted}

    def reconcile(self, alarms: Sequence[OpenAlarm]) -> list[OpenAlarm]:
        """Stand as the ledger says about this lane's open alarms; returns those without a place.

        After an orderly restart there is nothing to do. There is after the loss of a snapshot, or
        where a re-run over a registry that has changed since came to something else.
        """
        known = self.open_alarms()
        in_ledger = {alarm.id for alarm in alarms}
        for alarm, (rule, key) in known.items():
            if alarm not in in_ledger:
                self._evaluators[rule].forget(key)
        return [a for a in alarms if a.id not in known and not self._adopt(a)]

    def state(self) -> Arrays:
        """All state as named arrays, for a snapshot."""
        arrays: Arrays = {f"listening/{k}": v for k, v in self._listening.state().items()}
        arrays["revision"] = np.array(self.revision)
        arrays["memory/measured_at"] = self._memory.measured_at
        arrays["memory/received_at"] = self._memory.received_at
        arrays["memory/value"] = self._memory.value
        arrays["late"] = np.array([self.late[kind] for kind in Insertion], np.int64)
        arrays |= {f"history/{k}": v for k, v in self._history.state().items()}
        for name, evaluator in self._evaluators.items():
            arrays |= {f"rule/{name}/{k}": v for k, v in evaluator.state().items()}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand as ``state`` said, under the same rule set.

        Raises OtherLayout or IndexError if it was another, or another release's; the engine is
        of no use then.
        """
        expect_layout(arrays, self.state())
        limit = len(arrays["memory/measured_at"])
        expect_shapes(
            arrays,
            **{"memory/received_at": (limit,), "memory/value": (2, limit)},
            **{"listening/device_of": (limit,)},
        )
        expect_shapes(arrays, late=(len(Insertion),))
        self.revision = int(arrays["revision"])
        self.late = Counter(dict(zip(Insertion, arrays["late"].tolist(), strict=True)))
        self._history = History.restored(_under("history/", arrays))
        self._listening.restore(_under("listening/", arrays))
        self._memory = SeriesMemory(**{k: v.copy() for k, v in _under("memory/", arrays).items()})
        for name, evaluator in self._evaluators.items():
            evaluator.restore(_under(f"rule/{name}/", arrays))
            if not self._history.covers(evaluator.series()).all():
                raise OtherLayout(f"history does not keep what rule {name} looks at")

    def _take(self, frame: Frame) -> list[Change]:
        if isinstance(frame, TickFrame):
            return self._tick(frame.at)
        if isinstance(frame, BrokerFrame):
            self._listening.broker(frame)
        if isinstance(frame, StatusFrame) and frame.is_heard:
            return self._hear(frame)
        return []

    def _hear(self, frame: StatusFrame) -> list[Change]:
        """A device that has nothing to measure still says that it is there."""
        heard = Heard(np.array([frame.device], np.int32), np.array([frame.received_at], np.int64))
        self._listening.hear(heard.devices, heard.received_at)
        return _in_order([e.on_heard(heard, self._listening) for e in self._evaluators.values()])

    def _tick(self, at: int) -> list[Change]:
        self._listening.tick(at)
        past = self._past()
        return _in_order([e.on_tick(at, past, self._listening) for e in self._evaluators.values()])

    def _read(self, batch: Readings) -> list[Change]:
        rows = np.flatnonzero(batch.series < len(self._memory.measured_at))
        if len(rows) < len(batch):
            batch = batch.take(rows)  # a series of no registry revision yet: the store keeps it
        heard = Heard(self._listening.devices_of(batch.series), batch.received_at)
        self._listening.hear(heard.devices, heard.received_at)
        found = {name: [*e.on_heard(heard, self._listening)] for name, e in self._named()}
        is_ahead = batch.measured_at > batch.received_at
        if has_ahead := bool(is_ahead.any()):
            batch = by_our_clock(batch)
        past = self._past()
        for rows in self._loud_rounds(batch, is_ahead):
            chosen = rows
            if has_ahead:
                self._set_apart(batch, rows[is_ahead[rows]])
            is_newer = batch.measured_at[chosen] > self._memory.measured_at[batch.series[chosen]]
            if not is_newer.all():
                self._take_late(batch, chosen[~is_newer], found)
                chosen = chosen[is_newer]
            fresh = fresh_of(batch, chosen)
            self._history.append(fresh.readings)
            for name, evaluator in self._named():
                found[name] += evaluator.on_readings(fresh, past)
            self._memory.take_in(fresh)
        return _in_order(found.values())

    def _loud_rounds(self, batch: Readings, is_ahead: NDArray[np.bool_]) -> Iterator[Indices]:
        """Row numbers, no series twice in a round. Series that stand more than once and change
        nothing are kept at once instead: a day's worth of a meter must not hold up others."""
        if len(distinct_ids(batch.series)) == len(batch):
            yield np.arange(len(batch))
            return
        is_quiet = self._is_quiet(batch, is_ahead)
        self._pass_by(batch, np.flatnonzero(is_quiet))
        rest = np.flatnonzero(~is_quiet)
        yield from (rest[rows] for rows in rounds(batch.series[rest]))

    def _is_quiet(self, batch: Readings, is_ahead: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mask of the readings of series that come in order and change nothing.

        None of them would change anything if it were the next of its series: so nothing has
        changed after the first, nor after the second, and so on.
        """
        changes = is_ahead | ~is_in_order(batch, self._memory.measured_at)
        everything = fresh_of(batch, np.arange(len(batch)))
        for evaluator in self._evaluators.values():
            changes |= evaluator.would_change(everything)
        is_loud = np.zeros(len(self._memory.measured_at), np.bool_)
        is_loud[batch.series[changes]] = True
        quiet: NDArray[np.bool_] = ~is_loud[batch.series]
        return quiet

    def _pass_by(self, batch: Readings, rows: Indices) -> None:
        if len(rows) == 0:
            return
        fresh = fresh_of(batch, rows)
        self._history.append_runs(fresh.readings)
        for evaluator in self._evaluators.values():
            evaluator.pass_by(fresh)
        self._memory.take_in(fresh)

    def _set_apart(self, batch: Readings, ahead: Indices) -> None:
        """Give readings that were ahead of us, and came together, moments of their own.

        A device whose clock runs ahead may say several things at once: by our clock they would all
        be of the moment at which they came, and each would take the place of the one before.
        """
        newest = self._memory.measured_at[batch.series[ahead]]
        came = batch.measured_at[ahead]
        is_taken = (newest >= came) & (newest - came < APART_MS)
        batch.measured_at[ahead[is_taken]] = newest[is_taken] + 1

    def _take_late(
        self, batch: Readings, rows: Indices, found: Mapping[str, list[Finding]]
    ) -> None:
        """Put late readings where they belong, and let the rules run again from there."""
        for row in rows[self._history.covers(batch.series[rows])].tolist():
            series, at = int(batch.series[row]), int(batch.measured_at[row])
            value, quality = float(batch.value[row]), int(batch.quality[row])
            newest = int(self._memory.measured_at[series])
            outcome = self._history.insert(series, at, value, quality, newest)
            if outcome in (Insertion.INSERTED, Insertion.CHANGED):
                sample = Sample(at, value, bool(batch.is_suspect[row]), bool(quality & _DRILL))
                late = Late(row, series, sample, int(batch.received_at[row]),
                            outcome is Insertion.CHANGED)  # fmt: skip
                if not self._run_again(late, found):
                    outcome = Insertion.BEYOND
            self.late[outcome] += 1

    def _run_again(self, late: Late, found: Mapping[str, list[Finding]]) -> bool:
        """False if a rule could not go back so far."""
        past = self._past()
        values = np.array(self._history.remembered(late.series))
        known = self._memory.value[:, late.series]
        self._memory.value[:, late.series] = np.where(np.isnan(values), known, values)
        has_gone = True
        for name, evaluator in self._named():
            findings = evaluator.on_late(late, past)
            found[name].extend(findings or ())
            has_gone &= findings is not None
        return has_gone

    def _past(self) -> Past:
        tick_at = self._listening.tick_at
        return Past(self._memory, self._history, -1 if tick_at is None else tick_at)

    def _gather_peaks(self) -> None:
        for evaluator in self._evaluators.values():
            self._peaks |= evaluator.take_peaks()

    def _named(self) -> Iterator[tuple[str, Evaluator]]:
        return iter(self._evaluators.items())

    def _adopt(self, alarm: OpenAlarm) -> bool:
        evaluator = self._evaluators.get(alarm.rule)
        return evaluator is not None and evaluator.adopt(alarm)


def _evaluator(rule: Rule, version: str, world: World) -> Evaluator:
    if isinstance(rule, SilenceRule):
        return Silence(rule, version, world)
    return Stages(rule, version, world)


def _world(lane: Lane, registry: RegistrySnapshot, at_least: int, since: int) -> World:
    limit = max(at_least, max(registry.definitions, default=-1) + 1)
    devices = tuple(
        device
        for device in registry.devices.values()
        if device.decommissioned_at is None and KINDS[device.kind].lane is lane
    )
    return World(lane, registry, limit, devices, since)


def _who(world: World) -> tuple[Int32s, Int32s]:
    """(device id by series id, all device ids), of the lane's devices in service."""
    ids: Int32s = np.array([d.id for d in world.devices], np.int32)
    in_lane = set(ids.tolist())
    device_of: Int32s = np.full(world.limit, UNKNOWN, np.int32)
    for series, definition in world.registry.definitions.items():
        if definition.device in in_lane:
            device_of[series] = definition.device
    return device_of, ids


def _in_order(found: Iterable[Sequence[Finding]]) -> list[Change]:
    """By the reading that brought them, then by rule; what the clock brought, by event time."""
    keyed = [
        ((f.row, _clocked_at(f), rule, step), f.change)
        for rule, findings in enumerate(found)
        for step, f in enumerate(findings)
    ]
    return [change for _, change in sorted(keyed, key=lambda pair: pair[0])]


def _clocked_at(finding: Finding) -> int:
    change = finding.change
    if finding.row != TICK_ROW or not isinstance(change, Transition):
        return 0
    return change.measured_at


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    if not found:
        raise KeyError(prefix)
    return found
