"""The places of a stages or event rule: where each stands, what is open there, what was told.

A *place* is one series of the rule. It has two *slots*: ``place`` for what is real, and
``place + count`` for drills. Everything here is state and the few ways to change it; what a reading
means is decided in ``alerts.stages`` and ``alerts.late_stages``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, expect_shapes
from alerts.evaluator import TICK_ROW, Finding, Past
from alerts.ladder import NEVER, LadderShape, next_due
from alerts.peaks import NOTHING, Peaks
from alerts.place import PlaceState, Step
from alerts.rerun import Retold
from alerts.scribe import Place, Scribe, Shown, When
from alerts.standings import Standings
from alerts.trail import Told, Trace, Trail
from devices.readings import Float64s, Int32s


class Places:
    """All places of a rule. ``since``: nothing that was measured until then is run again."""

    def __init__(
        self,
        covered: Iterable[tuple[int, int, Sequence[float | None]]],
        scribe: Scribe,
        shape: LadderShape,
        age_limit_ms: int,
        limit: int,
        since: int,
    ) -> None:
        """``covered`` are (device, series, thresholds by stage), None where there is no such stage;
        ids of series are below ``limit``."""
        places = list(covered)
        self.scribe, self.shape, self.age_limit_ms = scribe, shape, age_limit_ms
        self.device: Int32s = np.array([d for d, _, _ in places], np.int32)
        self.series: Int32s = np.array([s for _, s, _ in places], np.int32)
        self.of_series = _places(self.series, limit)
        thresholds: Float64s = np.array([t for _, _, t in places], np.float64)
        self.table = Standings(thresholds.reshape(len(places), len(scribe.stages)), shape)
        self.peaks = Peaks(2 * self.table.count)
        self.trail = Trail()
        self.since = since

    # ── names ───────────────────────────────────────────────────────────────────────────────

    def slot(self, series: int, is_drill: bool) -> int | None:
        """The slot of a series, None if it is no place of the rule."""
        place = int(self.of_series[series]) if series < len(self.of_series) else -1
        return None if place < 0 else place + self.table.count * is_drill

    def key(self, slot: int) -> tuple[int, bool]:
        """(series, is it a drill), by which open alarms are known."""
        return int(self.series[slot % self.table.count]), slot >= self.table.count

    def place(self, slot: int) -> Place:
        """Device and series, as a transition names them."""
        number = slot % self.table.count
        return Place(int(self.device[number]), int(self.series[number]))

    def alarm_at(self, slot: int) -> str:
        """Id of the open alarm; raises KeyError where there is none."""
        return self.scribe.open[self.key(slot)]

    def open_at(self, place: int) -> tuple[str | None, str | None]:
        """Ids of the open alarms of a place (real, drill)."""
        series = int(self.series[place])
        return self.scribe.open.get((series, False)), self.scribe.open.get((series, True))

    def thresholds_of(self, place: int) -> list[float]:
        """Thresholds by stage, NaN where a stage does not exist."""
        found: list[float] = self.table.thresholds[place].tolist()
        return found

    def is_held(self, state: PlaceState) -> bool:
        """True if a hold is running there."""
        return any(next_due(standing, self.shape) != NEVER for standing in state.standings)

    # ── what happens ────────────────────────────────────────────────────────────────────────

    def tell(self, place: int, step: Step, received_at: int) -> Told:
        """Write the transition of a step; the alarm opens, goes on or ends by it."""
        is_historic = received_at - step.at > self.age_limit_ms
        when = When(step.at, received_at, is_historic, is_exercise=step.is_drill)
        value = None if np.isnan(step.value) else step.value
        told = () if step.before[0] else self.trail.way(place).told
        taken = {one.transition.alarm for one in told}
        transition = self.scribe.write(
            self.place(place), Shown(*step.before), Shown(*step.after), value, when, None, taken
        )
        slot = place + self.table.count * step.is_drill
        if transition.is_clearing:
            self.peaks.end(slot, transition.alarm)
        elif transition.is_opening:
            is_peak = transition.is_verified and value is not None
            self.peaks.open(slot, step.value if is_peak else NOTHING)
        return Told(step.nominal, transition)

    def remember(
        self, place: int, traces: Iterable[Trace], told: Iterable[Told], past: Past
    ) -> None:
        """Let the way of a place go on."""
        kept_from = past.history.kept_from(int(self.series[place]))
        self.trail.add(place, traces, told, kept_from)

    def stand(self, place: int, state: PlaceState, retold: Retold) -> None:
        """Stand as going again has found, with the alarms that are open then."""
        self.table.keep_place(place, state)
        for which, alarm in enumerate(retold.open):
            slot = place + self.table.count * which
            key = self.key(slot)
            if self.scribe.open.get(key) == alarm:
                continue
            self.peaks.end(slot, self.scribe.open.pop(key, ""))
            if alarm is not None:
                self.scribe.open[key] = alarm
                self.peaks.open(slot, NOTHING)

    def raise_peak(self, slot: int, alarm: str, peak: float) -> None:
        """An alarm, open or ended, reached at least this value."""
        if self.scribe.open.get(self.key(slot)) == alarm:
            self.peaks.take_in(np.array([slot]), np.array([peak]))
        else:
            self.peaks.raise_ended(alarm, peak)

    def draw_line(self, place: int, at: int) -> None:
        """Nothing until ``at`` is run again."""
        state = self.table.load_place(place)
        self.trail.draw_line(place, Trace(at, state, self.open_at(place)))

    def withdraw(self, slot: int, at: int) -> list[Finding]:
        """End what is open there: rule or place went."""
        shown = self.table.load(slot).shown
        if shown[0] == 0:
            return []
        at = max(at, int(self.table.changed_at[slot]) + 1)
        when = When(at, at, is_historic=False, is_exercise=slot >= self.table.count)
        transition = self.scribe.withdraw(self.place(slot), Shown(*shown), when)
        self.peaks.end(slot, transition.alarm)
        return [Finding(TICK_ROW, transition)]

    # ── snapshot ────────────────────────────────────────────────────────────────────────────

    def state(self) -> Arrays:
        """All state: places and thresholds whole, standings only where they are not normal."""
        places = {
            "series": self.series,
            "device": self.device,
            "limit": np.array(len(self.of_series)),
            "peak": self.peaks.value,
            "valid_from": np.array(self.since),
        }
        trail = self.trail.state(self.table.rungs, self.scribe)
        return self.table.state() | self.scribe.state() | places | trail

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand as ``state`` said; the places and thresholds are those of then, too."""
        places, rungs = len(arrays["series"]), len(self.scribe.stages)
        expect_shapes(arrays, device=(places,), thresholds=(places, rungs), peak=(2 * places,))
        self.series = arrays["series"]
        self.device = arrays["device"]
        self.of_series = _places(self.series, int(arrays["limit"]))
        self.table = Standings.restored(arrays, self.shape)
        self.scribe.restore(arrays)
        self.since = int(arrays["valid_from"])
        owners = list(zip(self.device.tolist(), self.series.tolist(), strict=True))
        self.trail = Trail.restored(arrays, rungs, owners, self.scribe)
        self.peaks = Peaks(2 * self.table.count)
        for key in self.scribe.open:  # the ledger may not have them all yet
            slot = self.slot(*key)
            if slot is not None:
                self.peaks.open(slot, float(arrays["peak"][slot]))


def _places(series: Int32s, limit: int) -> Int32s:
    """The place of each series id below ``limit``, -1 where there is none."""
    places: Int32s = np.full(limit, -1, np.int32)
    places[series] = np.arange(len(series), dtype=np.int32)
    return places
