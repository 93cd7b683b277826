"""Stages and events over all series of a rule: the vectorised outside of ``alerts.place``.

A reading inside the band in which nothing changes, before a hold is due, costs a few array
look-ups; the few others are stepped one by one and leave a trace, so that a late reading can be
run again from the state before it (``alerts.late_stages``). Refuses to know clocks and SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays
from alerts.coverage import covered, rungs_of, shape_of
from alerts.evaluator import TICK_ROW, Finding, Fresh, Heard, Late, OpenAlarm, Past, World
from alerts.ladder import NEVER
from alerts.late_stages import run_again, take_late
from alerts.listening import Listening
from alerts.peaks import NOTHING
from alerts.place import Sample, normal, settle_until, take
from alerts.places import Places
from alerts.rules import EventRule, StagesRule
from alerts.scribe import Scribe
from alerts.standings import renumber
from alerts.trail import Trace
from devices.readings import Float64s, Indices, Int32s


class Stages:
    """One stages or event rule over all its series in a lane (an ``Evaluator``)."""

    def __init__(self, rule: StagesRule | EventRule, version: str, world: World) -> None:
        self.name = rule.name
        self._has_holds = bool(rule.hold_up_ms or rule.hold_down_ms)
        self._places = Places(
            covered(rule, world),
            Scribe(rule.name, rule.kind, version, rungs_of(rule)),
            shape_of(rule),
            rule.age_limit_ms,
            world.limit,
            world.since,
        )

    # ── readings ────────────────────────────────────────────────────────────────────────────

    def would_change(self, fresh: Fresh, /) -> NDArray[np.bool_]:
        """Mask of the readings that would change something, were each the next of its series."""
        places = self._places.of_series[fresh.readings.series]
        mine = np.flatnonzero(places >= 0)
        changes = np.zeros(len(places), np.bool_)
        changes[mine] = ~self._is_calm(fresh, mine, places[mine])
        return changes

    def pass_by(self, fresh: Fresh, /) -> None:
        """Take in readings none of which ``would_change`` anything: a peak may rise."""
        places = self._places.of_series[fresh.readings.series]
        mine = np.flatnonzero(places >= 0)
        self._raise_peaks(fresh, mine, places)

    def on_readings(self, fresh: Fresh, past: Past, /) -> Sequence[Finding]:
        """Step with readings; the memory is as it was before them, the history has them."""
        places = self._places.of_series[fresh.readings.series]
        mine = np.flatnonzero(places >= 0)
        if len(mine) == 0:
            return ()
        found: list[Finding] = []
        for i in mine[~self._is_calm(fresh, mine, places[mine])].tolist():
            found += self._step(int(places[i]), fresh, i, past)
        self._raise_peaks(fresh, mine, places)
        return found

    def _raise_peaks(self, fresh: Fresh, mine: Indices, places: Int32s) -> None:
        if not self._places.scribe.open:
            return
        sound = mine[~fresh.is_suspect[mine]] if fresh.has_suspect else mine
        slots = places[sound] + self._places.table.count * fresh.is_drill[sound]
        self._places.peaks.take_in(slots, fresh.readings.value[sound])

    def on_late(self, late: Late, past: Past, /) -> Sequence[Finding] | None:
        """Run again from a late reading on; None where this rule cannot go back that far."""
        return take_late(self._places, late, past)

    def series(self) -> Int32s:
        """The series whose readings are to be kept so that they can be run again."""
        return self._places.series

    def _is_calm(self, fresh: Fresh, mine: Indices, places: Int32s) -> NDArray[np.bool_]:
        """Mask of the readings that change nothing."""
        table = self._places.table
        value = fresh.readings.value[mine]
        slots = places if not fresh.has_drill else places + table.count * fresh.is_drill[mine]
        calm: NDArray[np.bool_] = value >= table.stay_from[slots]
        if fresh.has_suspect:
            calm |= fresh.is_suspect[mine]
        calm &= value < table.stay_below[slots]
        if table.earliest < NEVER:
            calm &= table.due[slots] > fresh.readings.measured_at[mine]
        if self._has_holds:
            calm &= table.settled_at[slots] <= fresh.readings.measured_at[mine]
        if table.drills:
            calm &= ~np.isin(places, list(table.drills))
        return calm

    def _step(self, place: int, fresh: Fresh, i: int, past: Past) -> list[Finding]:
        places, readings, row = self._places, fresh.readings, int(fresh.rows[i])
        received_at, series = int(readings.received_at[i]), int(places.series[place])
        sample = Sample(
            int(readings.measured_at[i]),
            float(readings.value[i]),
            bool(fresh.is_suspect[i]),
            bool(fresh.is_drill[i]),
        )
        state = places.table.load_place(place)
        if max(state.settled_at) > sample.at:  # the clock was ahead of it: a hold may not hold
            late = Late(row, series, sample, received_at, has_changed=False)
            return run_again(places, place, late, past, is_late=False)
        before = state.copy()
        remembered = past.memory.value[:, series].tolist()
        steps = take(state, sample, places.thresholds_of(place), places.shape, remembered)
        told = [places.tell(place, step, received_at) for step in steps]
        places.table.keep_place(place, state)
        traces = [] if state == before else [Trace(sample.at, state, places.open_at(place))]
        places.remember(place, traces, told, past)
        return [Finding(row, one.transition) for one in told]

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
        places, found = self._places, []
        for slot in places.table.due_by(at):
            place, which = slot % places.table.count, slot // places.table.count
            series = int(places.series[place])
            state = places.table.load_place(place)
            value = float(past.memory.value[which, series])
            steps = settle_until(state, which, past.reached(series), value, places.shape)
            told = [places.tell(place, step, at) for step in steps]
            places.table.keep_place(place, state)
            places.remember(place, [], told, past)
            found += [Finding(TICK_ROW, one.transition) for one in told]
        return found

    # ── revisions ───────────────────────────────────────────────────────────────────────────

    def carry_over(self, previous: Self, at: int, /) -> Sequence[Finding]:
        """Take the state of the same rule before a revision; withdraws what has no place now.

        Stages are recognised by name; where one went, the place starts again from normal. What was
        measured before is run again by the thresholds of then, or not at all: where a place's
        thresholds or the rule's holds have changed, late readings of before are passed over.
        """
        old, new = previous._places, self._places
        is_same = old.shape == new.shape and old.scribe.stages == new.scribe.stages
        new.since = old.since if is_same else at
        numbers = [0, *(new.scribe.stage_named(name) for name, _ in old.scribe.stages)]
        found: list[Finding] = []
        for old_slot in old.table.touched().tolist():
            key = old.key(old_slot)
            slot = new.slot(*key)
            standing = renumber(old.table.load(old_slot), numbers, new.table.rungs)
            if slot is None or standing is None:
                found += old.withdraw(old_slot, at)
                continue
            new.table.changed_at[slot] = old.table.changed_at[old_slot]
            new.table.settled_at[slot] = old.table.settled_at[old_slot]
            new.table.keep(slot, standing)
            if key in old.scribe.open:
                new.scribe.open[key] = old.scribe.open[key]
                new.peaks.open(slot, float(old.peaks.value[old_slot]))
        new.peaks.take_over_ended(old.peaks)
        _carry_trail(old, new, at, is_same=is_same)
        return found

    def withdraw_all(self, at: int, /) -> Sequence[Finding]:
        """End all open alarms: the rule went."""
        places = self._places
        return [f for slot in places.table.touched().tolist() for f in places.withdraw(slot, at)]

    # ── ledger, snapshot ────────────────────────────────────────────────────────────────────

    def open_ids(self) -> Mapping[tuple[int, bool], str]:
        """(series, is it a drill) → id of the open alarm."""
        return self._places.scribe.open

    def take_peaks(self) -> dict[str, float]:
        """Alarm id → highest plausible value, of the alarms where it rose since the last call."""
        return self._places.peaks.take_risen(self._places.alarm_at)

    def adopt(self, alarm: OpenAlarm, /) -> bool:
        """Stand as the ledger says; False if there is no such place or stage any more."""
        places = self._places
        stage = places.scribe.stage_named(alarm.stage)
        slot = None if alarm.series is None else places.slot(alarm.series, alarm.is_exercise)
        if stage is None or slot is None or alarm.series is None:
            return False
        standing = normal(places.table.rungs)
        if alarm.is_verified:
            standing.raw = standing.confirmed = stage
        else:
            standing.doubt_raw = standing.doubt = stage
        places.table.changed_at[slot] = alarm.changed_at
        places.scribe.open[alarm.series, alarm.is_exercise] = alarm.id
        places.peaks.open(slot, NOTHING if alarm.peak_value is None else alarm.peak_value)
        places.table.keep(slot, standing)
        places.draw_line(slot % places.table.count, alarm.changed_at)
        return True

    def forget(self, key: tuple[int, bool], /) -> None:
        """Stand as if the alarm under this key of ``open_ids`` had never been."""
        places = self._places
        del places.scribe.open[key]
        slot = places.slot(*key)
        if slot is not None:
            places.table.keep(slot, normal(places.table.rungs))
            places.peaks.close(slot)
            at = int(places.table.changed_at[slot])
            places.draw_line(slot % places.table.count, at)

    def state(self) -> Arrays:
        """All state as named arrays."""
        return self._places.state()

    def restore(self, arrays: Mapping[str, NDArray[Any]], /) -> None:
        """Stand as ``state`` said; the places and thresholds are those of then, too."""
        self._places.restore(arrays)


def _carry_trail(old: Places, new: Places, at: int, *, is_same: bool) -> None:
    """Take over the ways of the places that are judged as before; a line for the others."""
    theirs = np.full(new.table.count, -1, np.int32)
    known = new.series < len(old.of_series)
    theirs[known] = old.of_series[new.series[known]]
    stays = np.flatnonzero(theirs >= 0)
    if is_same:
        is_kept = _same_rows(old.table.thresholds[theirs[stays]], new.table.thresholds[stays])
    else:
        is_kept = np.full(len(stays), False)
    for place, old_place in zip(stays[is_kept], theirs[stays[is_kept]], strict=True):
        if int(old_place) in old.trail.ways:
            new.trail.take_over(int(place), old.trail.way(int(old_place)))
    for place, old_place in zip(stays[~is_kept], theirs[stays[~is_kept]], strict=True):
        if is_same or int(old_place) in old.trail.ways:
            new.draw_line(int(place), at)


def _same_rows(some: Float64s, others: Float64s) -> NDArray[np.bool_]:
    """Mask of the rows that are equal, NaN being equal to NaN."""
    same: NDArray[np.bool_] = ((some == others) | (np.isnan(some) & np.isnan(others))).all(axis=1)
    return same
