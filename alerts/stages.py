"""Stages and events over all series of a rule: the vectorised outside of ``alerts.place``.

A reading inside the band in which nothing changes, before a hold is due, costs a few array
look-ups; the few others are stepped one by one and leave a trace, so that a late reading can be
run again from the state before it (``alerts.rerun``). Refuses to know clocks and SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, expect_shapes
from alerts.coverage import covered, rungs_of, shape_of
from alerts.evaluator import TICK_ROW, Finding, Fresh, Heard, Late, OpenAlarm, Past, World
from alerts.ladder import NEVER, next_due
from alerts.listening import Listening
from alerts.peaks import NOTHING, Peaks
from alerts.place import (
    PlaceState,
    Sample,
    Step,
    normal,
    normal_place,
    settle_until,
    take,
)
from alerts.rerun import Retold, Teller, episodes, go_again, retell
from alerts.rules import EventRule, StagesRule
from alerts.scribe import Place, Scribe, Shown, When
from alerts.standings import Standings, renumber
from alerts.trail import NO_FLOOR, Told, Trace, Trail, Way
from alerts.transitions import Correction
from devices.readings import Float64s, Indices, Int32s


class Stages:
    """One stages or event rule over all its series in a lane (an ``Evaluator``)."""

    def __init__(self, rule: StagesRule | EventRule, version: str, world: World) -> None:
        self.name = rule.name
        self._age_limit_ms = rule.age_limit_ms
        self._shape = shape_of(rule)
        self._has_holds = bool(rule.hold_up_ms or rule.hold_down_ms)
        self._scribe = Scribe(rule.name, rule.kind, version, rungs_of(rule))
        places = covered(rule, world)
        self._series: Int32s = np.array([s for _, s, _ in places], np.int32)
        self._device: Int32s = np.array([d for d, _, _ in places], np.int32)
        thresholds: Float64s = np.array([t for _, _, t in places], np.float64)
        rungs = len(self._scribe.stages)
        self._table = Standings(thresholds.reshape(len(places), rungs), self._shape)
        self._slot_of = _slots(self._series, world.limit)
        self._peaks = Peaks(2 * self._table.count)
        self._last_peaks: dict[str, float] = {}  # of alarms that have ended
        self._trail = Trail()
        self._since = world.since

    # ── readings ────────────────────────────────────────────────────────────────────────────

    def on_readings(self, fresh: Fresh, past: Past, /) -> Sequence[Finding]:
        """Step with readings; the memory is as it was before them, the history has them."""
        slots = self._slot_of[fresh.readings.series]
        mine = np.flatnonzero(slots >= 0)
        if len(mine) == 0:
            return ()
        found: list[Finding] = []
        for i in mine[~self._is_calm(fresh, mine, slots[mine])].tolist():
            found += self._step(int(slots[i]), fresh, i, past)
        if self._scribe.open:
            sound = mine[~fresh.is_suspect[mine]] if fresh.has_suspect else mine
            at = slots[sound] + self._table.count * fresh.is_drill[sound]
            self._peaks.take_in(at, fresh.readings.value[sound])
        return found

    def series(self) -> Int32s:
        """The series whose readings are to be kept so that they can be run again."""
        return self._series

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
        if self._has_holds:
            calm &= table.settled_at[at] <= fresh.readings.measured_at[mine]
        if table.drills:
            calm &= ~np.isin(slots, list(table.drills))
        return calm

    def _step(self, place: int, fresh: Fresh, i: int, past: Past) -> list[Finding]:
        readings, row = fresh.readings, int(fresh.rows[i])
        received_at = int(readings.received_at[i])
        sample = Sample(
            int(readings.measured_at[i]),
            float(readings.value[i]),
            bool(fresh.is_suspect[i]),
            bool(fresh.is_drill[i]),
        )
        state = self._table.load_place(place)
        if max(state.settled_at) > sample.at:  # the clock was ahead of it: a hold may not hold
            late = Late(row, int(self._series[place]), sample, received_at, has_changed=False)
            return self._run_again(place, late, past, is_late=False) or []
        before = state.copy()
        remembered = past.memory.value[:, self._series[place]].tolist()
        steps = take(state, sample, self._table.thresholds[place].tolist(), self._shape, remembered)
        told = [self._tell(place, step, received_at) for step in steps]
        self._table.keep_place(place, state)
        traces = [] if state == before else [Trace(sample.at, state, self._open(place))]
        self._remember(place, traces, told, past)
        return [Finding(row, one.transition) for one in told]

    def _tell(self, place: int, step: Step, received_at: int) -> Told:
        is_historic = received_at - step.at > self._age_limit_ms
        when = When(step.at, received_at, is_historic, is_exercise=step.is_drill)
        value = None if np.isnan(step.value) else step.value
        told = () if step.before[0] else self._trail.way(place).told
        taken = {one.transition.alarm for one in told}
        transition = self._scribe.write(
            self._place(place), Shown(*step.before), Shown(*step.after), value, when, None, taken
        )
        slot = place + self._table.count * step.is_drill
        if transition.is_clearing:
            self._end_peak(slot, transition.alarm)
        elif transition.is_opening:
            is_peak = transition.is_verified and value is not None
            self._peaks.open(slot, step.value if is_peak else NOTHING)
        return Told(step.nominal, transition)

    def _remember(
        self, place: int, traces: Iterable[Trace], told: Iterable[Told], past: Past
    ) -> None:
        kept_from = past.history.kept_from(int(self._series[place]))
        self._trail.add(place, traces, told, kept_from)

    def _open(self, place: int) -> tuple[str | None, str | None]:
        series = int(self._series[place])
        return self._scribe.open.get((series, False)), self._scribe.open.get((series, True))

    def _end_peak(self, slot: int, alarm: str) -> None:
        peak = self._peaks.close(slot)
        if peak is not None:
            self._last_peaks[alarm] = peak

    # ── late readings ───────────────────────────────────────────────────────────────────────

    def on_late(self, late: Late, past: Past, /) -> Sequence[Finding] | None:
        """Run again from a late reading on; None where this rule cannot go back that far.

        Most late readings change nothing: the state before them is the state after them.
        """
        place = int(self._slot_of[late.series])
        if place < 0:
            return ()
        way = self._trail.way(place)
        if late.sample.at <= max(way.floor, self._since):
            return None
        trace = way.before(late.sample.at)
        if not late.has_changed and self._is_indifferent(place, trace, late.sample):
            if trace is not None and not late.sample.is_suspect:
                self._raise_peak(place, trace, late.sample)
            return ()
        return self._run_again(place, late, past, is_late=True)

    def _is_indifferent(self, place: int, trace: Trace | None, sample: Sample) -> bool:
        """True if nothing would be otherwise with the sample, and no hold is running there."""
        before = normal_place(self._table.rungs) if trace is None else trace.state
        if self._is_held(before):
            return False
        state = before.copy()
        thresholds = self._table.thresholds[place].tolist()
        return not take(state, sample, thresholds, self._shape, (np.nan, np.nan)) and (
            state == before
        )

    def _raise_peak(self, place: int, trace: Trace, sample: Sample) -> None:
        alarm = trace.open[sample.is_drill]
        if alarm is not None:
            slot = place + self._table.count * sample.is_drill
            self._raise(slot, alarm, sample.value)

    def _raise(self, slot: int, alarm: str, value: float) -> None:
        if self._scribe.open.get(self._key(slot)) == alarm:
            self._peaks.take_in(np.array([slot]), np.array([value]))
        elif value > NOTHING:
            self._last_peaks[alarm] = max(value, self._last_peaks.get(alarm, NOTHING))

    def _run_again(
        self, place: int, late: Late, past: Past, *, is_late: bool
    ) -> list[Finding] | None:
        way, series = self._trail.way(place), late.series
        start = self._start_of(way, late.sample.at)
        now = self._table.load_place(place)
        samples = past.history.since(series, start.at + 1)
        gone = go_again(
            start.state,
            samples,
            self._table.thresholds[place].tolist(),
            self._shape,
            past.history.remembered(series, start.at + 1),
            max(*now.settled_at, past.reached(series)),
        )
        old = [one for one in way.told if one.nominal > start.at]
        taken = {one.transition.alarm for one in way.told}
        teller = Teller(
            self._scribe, self._place(place), late.received_at, self._age_limit_ms, is_late
        )
        retold = retell(gone, old, start.open, now.shown, taken, teller)
        self._trail.cut(place, start.at)
        self._stand(place, gone.state, retold)
        self._remember(place, retold.traces, retold.told, past)
        peaks = self._peaks_since(place, start.at, past)
        if not retold.is_different and not late.has_changed:
            for slot, alarm, peak, _ in peaks:
                self._raise(slot, alarm, peak)
            return []
        lost = {w.transition.alarm for w in retold.withdrawn} | {a for a, _ in retold.heirs}
        exact: dict[str, float | None] = dict.fromkeys(lost - {a for _, a, _, _ in peaks})
        exact |= {a: None if p == NOTHING else p for _, a, p, is_exact in peaks if is_exact}
        self._set_peaks(peaks, lost)
        if not retold.is_different and not exact:
            return []
        return [Finding(late.row, _correction(late, retold, exact))]

    def _peaks_since(self, place: int, at: int, past: Past) -> list[tuple[int, str, float, bool]]:
        """(slot, alarm, peak, is it exact) of the alarms that did not end before ``at``.

        It is not where the alarm opened before the oldest reading that is kept.
        """
        way, series = self._trail.way(place), int(self._series[place])
        begun = (None, None) if way.floor == NO_FLOOR else way.traces[0].open
        samples = past.history.since(series, 0)
        kept_from = past.history.kept_from(series)
        found = []
        for one in episodes(way.told, begun):
            if one.end < at:
                continue
            peak = max(
                (
                    s.value
                    for s in samples
                    if one.begin <= s.at < one.end
                    and s.is_drill == one.is_exercise
                    and not s.is_suspect
                ),
                default=NOTHING,
            )
            peak = peak if one.opening_value is None else max(peak, one.opening_value)
            slot = place + self._table.count * one.is_exercise
            found.append((slot, one.alarm, peak, one.since > max(way.floor, kept_from - 1)))
        return found

    def _set_peaks(
        self, peaks: Iterable[tuple[int, str, float, bool]], withdrawn: Iterable[str]
    ) -> None:
        for alarm in withdrawn:
            self._last_peaks.pop(alarm, None)
        for slot, alarm, peak, is_exact in peaks:
            if not is_exact:
                self._raise(slot, alarm, peak)
                continue
            self._last_peaks.pop(alarm, None)
            if self._scribe.open.get(self._key(slot)) == alarm:
                self._peaks.put(slot, peak)

    def _start_of(self, way: Way, at: int) -> Trace:
        """Where to go again from for a reading at ``at``: no alarm is open there if we can help it.

        What lies between the newest trace and the reading changed nothing, and is passed over.
        """
        start = way.calm_before(at)
        is_newest = start is way.before(at)
        if start is None:
            floor = max(way.floor, self._since)
            start = Trace(floor, normal_place(self._table.rungs), (None, None))
        if is_newest and not self._is_held(start.state):
            return replace(start, at=at - 1)
        return start

    def _is_held(self, state: PlaceState) -> bool:
        return any(next_due(standing, self._shape) != NEVER for standing in state.standings)

    def _stand(self, place: int, state: PlaceState, retold: Retold) -> None:
        self._table.keep_place(place, state)
        for which, alarm in enumerate(retold.open):
            slot = place + self._table.count * which
            key = self._key(slot)
            if self._scribe.open.get(key) == alarm:
                continue
            self._end_peak(slot, self._scribe.open.pop(key, ""))
            if alarm is not None:
                self._scribe.open[key] = alarm
                self._peaks.open(slot, NOTHING)

    # ── clock ───────────────────────────────────────────────────────────────────────────────

    def on_heard(self, _heard: Heard, _listening: Listening, /) -> Sequence[Finding]:
        """Being heard means nothing to a stage."""
        return ()

    def on_tick(self, at: int, past: Past, _listening: Listening, /) -> Sequence[Finding]:
        """Fulfil the holds that are due.

        A series whose readings reach us late (a backlog sent in order) has an event time that is
        behind our clock by as much: its holds wait for that, so that they fire as they would have
        fired by its readings alone.
        """
        found: list[Finding] = []
        for slot in self._table.due_by(at):
            place, which = slot % self._table.count, slot // self._table.count
            series = int(self._series[place])
            state = self._table.load_place(place)
            value = float(past.memory.value[which, series])
            steps = settle_until(state, which, past.reached(series), value, self._shape)
            told = [self._tell(place, step, at) for step in steps]
            self._table.keep_place(place, state)
            self._remember(place, [], told, past)
            found += [Finding(TICK_ROW, one.transition) for one in told]
        return found

    # ── revisions, ledger, snapshot ─────────────────────────────────────────────────────────

    def carry_over(self, previous: Self, at: int, /) -> Sequence[Finding]:
        """Take the state of the same rule before a revision; withdraws what has no place now.

        Stages are recognised by name; where one went, the place starts again from normal. What was
        measured before is run again by the thresholds of then, or not at all: where a place's
        thresholds or the rule's holds have changed, late readings of before are passed over.
        """
        found: list[Finding] = []
        is_same = previous._shape == self._shape and previous._scribe.stages == self._scribe.stages
        self._since = previous._since if is_same else at
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
            self._table.settled_at[slot] = old.settled_at[old_slot]
            self._table.keep(slot, standing)
            if key in previous._scribe.open:
                self._scribe.open[key] = previous._scribe.open[key]
                self._peaks.open(slot, float(previous._peaks.value[old_slot]))
        self._last_peaks |= previous._last_peaks
        self._carry_trail(previous, at, is_same=is_same)
        return found

    def _carry_trail(self, previous: Self, at: int, *, is_same: bool) -> None:
        theirs = np.full(self._table.count, -1, np.int32)
        known = self._series < len(previous._slot_of)
        theirs[known] = previous._slot_of[self._series[known]]
        stays = np.flatnonzero(theirs >= 0)
        if is_same:
            before = previous._table.thresholds[theirs[stays]]
            is_kept = _same_rows(before, self._table.thresholds[stays])
        else:
            is_kept = np.full(len(stays), False)
        for place, old_place in zip(stays[is_kept], theirs[stays[is_kept]], strict=True):
            if int(old_place) in previous._trail.ways:
                self._trail.take_over(int(place), previous._trail.way(int(old_place)))
        for place, old_place in zip(stays[~is_kept], theirs[stays[~is_kept]], strict=True):
            if is_same or int(old_place) in previous._trail.ways:
                self._draw_line(int(place), at)

    def _draw_line(self, place: int, at: int) -> None:
        """Nothing until ``at`` is run again."""
        state = self._table.load_place(place)
        self._trail.draw_line(place, Trace(at, state, self._open(place)))

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
        standing = normal(self._table.rungs)
        if alarm.is_verified:
            standing.raw = standing.confirmed = stage
        else:
            standing.doubt_raw = standing.doubt = stage
        self._table.changed_at[slot] = alarm.changed_at
        self._scribe.open[alarm.series, alarm.is_exercise] = alarm.id
        self._peaks.open(slot, NOTHING if alarm.peak_value is None else alarm.peak_value)
        self._table.keep(slot, standing)
        self._draw_line(slot % self._table.count, alarm.changed_at)
        return True

    def forget(self, key: tuple[int, bool], /) -> None:
        """Stand as if the alarm under this key of ``open_ids`` had never been."""
        del self._scribe.open[key]
        slot = self._slot(*key)
        if slot is not None:
            self._table.keep(slot, normal(self._table.rungs))
            self._peaks.close(slot)
            self._draw_line(slot % self._table.count, int(self._table.changed_at[slot]))

    def state(self) -> Arrays:
        """All state: places and thresholds whole, standings only where they are not normal."""
        places = {
            "series": self._series,
            "device": self._device,
            "limit": np.array(len(self._slot_of)),
            "peak": self._peaks.value,
            "valid_from": np.array(self._since),
        }
        trail = self._trail.state(self._table.rungs, self._scribe)
        return self._table.state() | self._scribe.state() | places | trail

    def restore(self, arrays: Mapping[str, NDArray[Any]], /) -> None:
        """Stand as ``state`` said; the places and thresholds are those of then, too."""
        places, rungs = len(arrays["series"]), len(self._scribe.stages)
        expect_shapes(arrays, device=(places,), thresholds=(places, rungs), peak=(2 * places,))
        self._series = arrays["series"]
        self._device = arrays["device"]
        self._slot_of = _slots(self._series, int(arrays["limit"]))
        self._table = Standings.restored(arrays, self._shape)
        self._scribe.restore(arrays)
        self._since = int(arrays["valid_from"])
        owners = list(zip(self._device.tolist(), self._series.tolist(), strict=True))
        self._trail = Trail.restored(arrays, rungs, owners, self._scribe)
        self._peaks = Peaks(2 * self._table.count)
        for key in self._scribe.open:  # the ledger may not have them all yet
            slot = self._slot(*key)
            if slot is not None:
                self._peaks.open(slot, float(arrays["peak"][slot]))

    def _withdraw(self, slot: int, at: int) -> list[Finding]:
        shown = self._table.load(slot).shown
        if shown[0] == 0:
            return []
        at = max(at, int(self._table.changed_at[slot]) + 1)
        when = When(at, at, is_historic=False, is_exercise=slot >= self._table.count)
        transition = self._scribe.withdraw(self._place(slot), Shown(*shown), when)
        self._end_peak(slot, transition.alarm)
        return [Finding(TICK_ROW, transition)]

    def _slot(self, series: int, is_drill: bool) -> int | None:
        place = int(self._slot_of[series]) if series < len(self._slot_of) else -1
        return None if place < 0 else place + int(self._table.count) * is_drill

    def _key(self, slot: int) -> tuple[int, bool]:
        return int(self._series[slot % self._table.count]), bool(slot >= self._table.count)

    def _place(self, slot: int) -> Place:
        place = slot % self._table.count
        return Place(int(self._device[place]), int(self._series[place]))


def _slots(series: Int32s, limit: int) -> Int32s:
    slots: Int32s = np.full(limit, -1, np.int32)
    slots[series] = np.arange(len(series), dtype=np.int32)
    return slots


def _same_rows(some: Float64s, others: Float64s) -> NDArray[np.bool_]:
    """Mask of the rows that are equal, NaN being equal to NaN."""
    same: NDArray[np.bool_] = ((some == others) | (np.isnan(some) & np.isnan(others))).all(axis=1)
    return same


def _correction(late: Late, retold: Retold, peaks: Mapping[str, float | None]) -> Correction:
    return Correction(
        late.received_at,
        tuple(retold.news),
        retold.to_tell,
        tuple(retold.withdrawn),
        peaks,
        retold.heirs,
    )
