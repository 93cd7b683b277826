"""Stages and events over all series of a rule: the vectorised outside of ``alerts.ladder``.

A reading inside the band in which nothing changes, before a hold is due, costs a few array
look-ups; the few others are stepped one by one. A drill is another world: the same thresholds, a
standing of its own; it ends with the first real reading if no drill reading has ended it before.
Refuses to know clocks and SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, expect_shapes
from alerts.evaluator import TICK_ROW, Finding, Fresh, Heard, OpenAlarm, SeriesMemory, World
from alerts.ladder import NEVER, LadderShape, Standing, settle, step_plausible, step_suspect
from alerts.listening import Listening
from alerts.peaks import NOTHING, Peaks
from alerts.rules import EventRule, StagesRule
from alerts.scribe import Place, Scribe, Shown, When
from alerts.standings import Standings, renumber
from devices.readings import Float64s, Indices, Int32s
from devices.registry import Device

FLAG_THRESHOLD: Final = 0.5
"""A flag is set at 0.5 and above."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """What makes a place step: a reading, or the clock (``row`` is TICK_ROW)."""

    row: int
    value: float
    measured_at: int
    received_at: int
    is_suspect: bool = False
    is_drill: bool = False


class Stages:
    """One stages or event rule over all its series in a lane (an ``Evaluator``)."""

    def __init__(self, rule: StagesRule | EventRule, version: str, world: World) -> None:
        self.name = rule.name
        self._age_limit_ms = rule.age_limit_ms
        self._shape = _shape(rule)
        self._scribe = Scribe(rule.name, rule.kind, version, _rungs(rule))
        covered = _covered(rule, world)
        self._series: Int32s = np.array([s for _, s, _ in covered], np.int32)
        self._device: Int32s = np.array([d for d, _, _ in covered], np.int32)
        thresholds: Float64s = np.array([t for _, _, t in covered], np.float64)
        rungs = len(self._scribe.stages)
        self._table = Standings(thresholds.reshape(len(covered), rungs), self._shape)
        self._slot_of = _slots(self._series, world.limit)
        self._peaks = Peaks(2 * self._table.count)
        self._last_peaks: dict[str, float] = {}  # of alarms that have ended

    # ── readings ────────────────────────────────────────────────────────────────────────────

    def on_readings(self, fresh: Fresh, memory: SeriesMemory, /) -> Sequence[Finding]:
        """Step with readings; ``memory`` is as it was before them."""
        slots = self._slot_of[fresh.readings.series]
        mine = np.flatnonzero(slots >= 0)
        if len(mine) == 0:
            return ()
        found: list[Finding] = []
        for i in mine[~self._is_calm(fresh, mine, slots[mine])].tolist():
            found += self._step(int(slots[i]), _cause(fresh, i), memory)
        if self._scribe.open:
            sound = mine[~fresh.is_suspect[mine]] if fresh.has_suspect else mine
            at = slots[sound] + self._table.count * fresh.is_drill[sound]
            self._peaks.take_in(at, fresh.readings.value[sound])
        return found

    def _is_calm(self, fresh: Fresh, mine: Indices, slots: Int32s) -> NDArray[np.bool_]:
        """Mask of the readings that change nothing."""
        table = self._table
        value = fresh.readings.value[mine]
        at = slots if not fresh.has_drill else slots + table.count * fresh.is_drill[mine]
        calm: NDArray[np.bool_] = value >= table.stay_from[at]
        if fresh.has_suspect:
            calm |= fresh.is_suspect[mine]
        calm &= value < table.stay_below[at]
        if table.earliest < NEVER:
            calm &= table.due[at] > fresh.readings.measured_at[mine]
        if table.drills:
            calm &= ~np.isin(slots, list(table.drills))
        return calm

    def _step(self, place: int, cause: _Cause, memory: SeriesMemory) -> list[Finding]:
        found: list[Finding] = []
        if place in self._table.drills and not cause.is_drill:
            found += self._end_drill(place, cause)
        slot = place + self._table.count * cause.is_drill
        standing = self._table.load(slot)
        remembered = float(memory.value[int(cause.is_drill), self._series[place]])
        found += self._settle(slot, standing, cause, remembered)
        before = standing.shown
        step = step_suspect if cause.is_suspect else step_plausible
        thresholds = self._table.thresholds[place].tolist()
        step(standing, thresholds, self._shape, cause.value, cause.measured_at)
        if standing.shown != before:
            found.append(self._tell(slot, before, standing.shown, cause, value=cause.value))
        found += self._settle(slot, standing, cause, cause.value)
        self._table.keep(slot, standing)
        return found

    def _settle(self, slot: int, standing: Standing, cause: _Cause, value: float) -> list[Finding]:
        """Fulfil holds up to the cause's event time, ``value`` being the last plausible one."""
        found = []
        before = standing.shown
        for due in settle(standing, self._shape, cause.measured_at):
            if standing.shown != before:
                told = value if standing.shown[1] else standing.doubt_value
                found.append(self._tell(slot, before, standing.shown, cause, at=due, value=told))
                before = standing.shown
        return found

    def _end_drill(self, place: int, cause: _Cause) -> list[Finding]:
        slot = place + self._table.count
        shown = self._table.load(slot).shown
        self._table.keep(slot, self._table.normal())
        if shown[0] == 0:
            return []
        return [self._tell(slot, shown, (0, True), cause, value=cause.value)]

    def _tell(
        self,
        slot: int,
        before: tuple[int, bool],
        after: tuple[int, bool],
        cause: _Cause,
        *,
        at: int | None = None,
        value: float,
    ) -> Finding:
        when = self._when(slot, cause.measured_at if at is None else at, cause.received_at)
        kept = None if np.isnan(value) else value
        transition = self._scribe.write(
            self._place(slot), Shown(*before), Shown(*after), kept, when
        )
        if transition.is_clearing:
            self._end_peak(slot, transition.alarm)
        elif transition.is_opening:
            is_peak = transition.is_verified and kept is not None
            self._peaks.open(slot, value if is_peak else NOTHING)
        return Finding(cause.row, transition)

    def _end_peak(self, slot: int, alarm: str) -> None:
        peak = self._peaks.close(slot)
        if peak is not None:
            self._last_peaks[alarm] = peak

    def _when(self, slot: int, at: int, received_at: int) -> When:
        """Event times of a place only rise, so that no two of its transitions have the same id."""
        at = max(at, int(self._table.changed_at[slot]) + 1)
        self._table.changed_at[slot] = at
        is_historic = received_at - at > self._age_limit_ms
        return When(at, received_at, is_historic, is_exercise=slot >= self._table.count)

    # ── clock ───────────────────────────────────────────────────────────────────────────────

    def on_heard(self, _heard: Heard, _listening: Listening, /) -> Sequence[Finding]:
        """Being heard means nothing to a stage."""
        return ()

    def on_tick(self, at: int, memory: SeriesMemory, _listening: Listening, /) -> Sequence[Finding]:
        """Fulfil the holds that are due.

        A series whose readings reach us late (a backlog sent in order) has an event time that is
        behind our clock by as much: its holds wait for that, so that they fire as they would have
        fired by its readings alone.
        """
        found: list[Finding] = []
        for slot in self._table.due_by(at):
            place, is_drill = slot % self._table.count, slot // self._table.count
            series = self._series[place : place + 1]
            reached = at - int(memory.lag_ms(series)[0])
            value = float(memory.value[is_drill, series[0]])
            standing = self._table.load(slot)
            found += self._settle(slot, standing, _Cause(TICK_ROW, value, reached, at), value)
            self._table.keep(slot, standing)
        return found

    # ── revisions, ledger, snapshot ─────────────────────────────────────────────────────────

    def carry_over(self, previous: Self, at: int, /) -> Sequence[Finding]:
        """Take the state of the same rule before a revision; withdraws what has no place now.

        Stages are recognised by name; where one went, the place starts again from normal.
        """
        found: list[Finding] = []
        old = previous._table
        numbers = [0, *(self._scribe.stage_named(name) for name, _ in previous._scribe.stages)]
        for old_slot in old.touched().tolist():
            key = (int(previous._series[old_slot % old.count]), old_slot >= old.count)
            slot = self._slot(*key)
            standing = renumber(old.load(old_slot), numbers, self._table.rungs)
            if slot is None or standing is None:
                found += previous._withdraw(old_slot, at)
                continue
            self._table.changed_at[slot] = old.changed_at[old_slot]
            self._table.keep(slot, standing)
            if key in previous._scribe.open:
                self._scribe.open[key] = previous._scribe.open[key]
                self._peaks.open(slot, float(previous._peaks.value[old_slot]))
        self._last_peaks |= previous._last_peaks
        return found

    def withdraw_all(self, at: int, /) -> Sequence[Finding]:
        """End all open alarms: the rule went."""
        return [f for slot in self._table.touched().tolist() for f in self._withdraw(slot, at)]

    def open_ids(self) -> Mapping[tuple[int, bool], str]:
        """(series, is it a drill) → id of the open alarm."""
        return self._scribe.open

    def take_peaks(self) -> dict[str, float]:
        """Alarm id → highest plausible value, of the alarms where it rose since the last call."""
        peaks, self._last_peaks = self._last_peaks, {}
        for slot, peak in self._peaks.take_risen().items():
            is_drill = slot >= self._table.count
            key = (int(self._series[slot % self._table.count]), bool(is_drill))
            peaks[self._scribe.open[key]] = peak
        return peaks

    def adopt(self, alarm: OpenAlarm, /) -> bool:
        """Stand as the ledger says; False if there is no such place or stage any more."""
        stage = self._scribe.stage_named(alarm.stage)
        slot = None if alarm.series is None else self._slot(alarm.series, alarm.is_exercise)
        if stage is None or slot is None or alarm.series is None:
            return False
        standing = self._table.normal()
        if alarm.is_verified:
            standing.raw = standing.confirmed = stage
        else:
            standing.doubt_raw = standing.doubt = stage
        self._table.changed_at[slot] = alarm.changed_at
        self._scribe.open[alarm.series, alarm.is_exercise] = alarm.id
        self._peaks.open(slot, NOTHING if alarm.peak_value is None else alarm.peak_value)
        self._table.keep(slot, standing)
        return True

    def forget(self, key: tuple[int, bool], /) -> None:
        """Stand as if the alarm under this key of ``open_ids`` had never been."""
        del self._scribe.open[key]
        slot = self._slot(*key)
        if slot is not None:
            self._table.keep(slot, self._table.normal())
            self._peaks.close(slot)

    def state(self) -> Arrays:
        """All state: places and thresholds whole, standings only where they are not normal."""
        places = {
            "series": self._series,
            "device": self._device,
            "limit": np.array(len(self._slot_of)),
            "peak": self._peaks.value,
        }
        return self._table.state() | self._scribe.state() | places

    def restore(self, arrays: Mapping[str, NDArray[Any]], /) -> None:
        """Stand as ``state`` said; the places and thresholds are those of then, too."""
        places, rungs = len(arrays["series"]), len(self._scribe.stages)
        expect_shapes(arrays, device=(places,), thresholds=(places, rungs), peak=(2 * places,))
        self._series = arrays["series"]
        self._device = arrays["device"]
        self._slot_of = _slots(self._series, int(arrays["limit"]))
        self._table = Standings.restored(arrays, self._shape)
        self._scribe.restore(arrays)
        self._peaks = Peaks(2 * self._table.count)
        for key in self._scribe.open:  # the ledger may not have them all yet
            slot = self._slot(*key)
            if slot is not None:
                self._peaks.open(slot, float(arrays["peak"][slot]))

    def _withdraw(self, slot: int, at: int) -> list[Finding]:
        shown = self._table.load(slot).shown
        if shown[0] == 0:
            return []
        transition = self._scribe.withdraw(
            self._place(slot), Shown(*shown), self._when(slot, at, at)
        )
        self._end_peak(slot, transition.alarm)
        return [Finding(TICK_ROW, transition)]

    def _slot(self, series: int, is_drill: bool) -> int | None:
        place = int(self._slot_of[series]) if series < len(self._slot_of) else -1
        return None if place < 0 else place + int(self._table.count) * is_drill

    def _place(self, slot: int) -> Place:
        place = slot % self._table.count
        return Place(int(self._device[place]), int(self._series[place]))


def _slots(series: Int32s, limit: int) -> Int32s:
    slots: Int32s = np.full(limit, -1, np.int32)
    slots[series] = np.arange(len(series), dtype=np.int32)
    return slots


def _cause(fresh: Fresh, i: int) -> _Cause:
    readings = fresh.readings
    return _Cause(
        int(fresh.rows[i]),
        float(readings.value[i]),
        int(readings.measured_at[i]),
        int(readings.received_at[i]),
        bool(fresh.is_suspect[i]),
        bool(fresh.is_drill[i]),
    )


def _shape(rule: StagesRule | EventRule) -> LadderShape:
    hysteresis = rule.hysteresis if isinstance(rule, StagesRule) else 0.0
    return LadderShape(hysteresis, rule.hold_up_ms, rule.hold_down_ms)


def _rungs(rule: StagesRule | EventRule) -> tuple[tuple[str, int], ...]:
    if isinstance(rule, EventRule):
        return ((rule.stage, rule.level),)
    return tuple((s.name, s.level) for s in rule.stages)


def _thresholds(rule: StagesRule | EventRule, device: Device) -> list[float | None]:
    """The value of each stage at a device: the registry's, else the rule's, else None (absent)."""
    if isinstance(rule, EventRule):
        return [FLAG_THRESHOLD]
    return [device.thresholds.get(stage.name, stage.value) for stage in rule.stages]


def _covered(
    rule: StagesRule | EventRule, world: World
) -> list[tuple[int, int, list[float | None]]]:
    """(device id, series id, thresholds) of each place where at least one stage exists."""
    covered = []
    for device in world.devices:
        series = world.registry.series.get((device.id, rule.quantity))
        if series is None or not rule.where.covers(device):
            continue
        thresholds = _thresholds(rule, device)
        if any(value is not None for value in thresholds):
            covered.append((device.id, series, thresholds))
    return covered
