"""Where all series of a rule stand on their ladder, as arrays: slot i is one series.

Real readings stand in the slots ``0..count-1``, drills in ``count..2*count-1``. Beside each
standing the table keeps the band of values in which nothing changes (``stay_from <= value <
stay_below``) and the time ``due`` at which a hold is fulfilled. Refuses to know rules and devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import expect_shapes
from alerts.ladder import NEVER, ROUNDING, LadderShape, Standing, next_due
from alerts.place import DRILL, REAL, PlaceState, is_on, normal
from devices.readings import Float64s, Indices, Int64s

_COLUMNS: Final = (
    "raw",
    "confirmed",
    "since",
    "doubt_raw",
    "doubt",
    "doubt_since",
    "doubt_value",
    "changed_at",
    "settled_at",
)


class Standings:
    """Standings of ``len(thresholds)`` series and of their drills; all normal at first.

    ``thresholds`` is (series, stage), NaN where a stage does not exist. ``changed_at`` is the
    event time of the last transition of a slot and ``settled_at`` that of its last hold that was
    fulfilled (-1 before the first), ``earliest`` no later than the first ``due``, ``drills`` the
    series whose drill stands anywhere but at normal.
    """

    def __init__(self, thresholds: Float64s, shape: LadderShape) -> None:
        self.thresholds = thresholds
        self.shape = shape
        self.count: int = thresholds.shape[0]
        self.rungs: int = thresholds.shape[1]
        slots = 2 * self.count
        self.raw = np.zeros(slots, np.int8)
        self.confirmed = np.zeros(slots, np.int8)
        self.since: Int64s = np.zeros((slots, self.rungs), np.int64)
        self.doubt_raw = np.zeros(slots, np.int8)
        self.doubt = np.zeros(slots, np.int8)
        self.doubt_since: Int64s = np.zeros(slots, np.int64)
        self.doubt_value: Float64s = np.zeros(slots, np.float64)
        self.changed_at: Int64s = np.full(slots, -1, np.int64)
        self.settled_at: Int64s = np.full(slots, -1, np.int64)
        self.due: Int64s = np.full(slots, NEVER, np.int64)
        self.earliest: int = NEVER
        self.drills: set[int] = set()
        lowest = np.fmin.reduce(thresholds, axis=1, initial=np.inf)
        self.stay_below: Float64s = np.tile(lowest - ROUNDING, 2)
        self.stay_from: Float64s = np.full(slots, -np.inf)

    def load(self, slot: int) -> Standing:
        """The standing in a slot, to be stepped and kept again."""
        return Standing(
            int(self.raw[slot]),
            int(self.confirmed[slot]),
            self.since[slot].tolist(),
            int(self.doubt_raw[slot]),
            int(self.doubt[slot]),
            int(self.doubt_since[slot]),
            float(self.doubt_value[slot]),
        )

    def keep(self, slot: int, standing: Standing) -> None:
        """Put a standing into a slot, with its band and its due time."""
        self.raw[slot] = standing.raw
        self.confirmed[slot] = standing.confirmed
        self.since[slot] = standing.since
        self.doubt_raw[slot] = standing.doubt_raw
        self.doubt[slot] = standing.doubt
        self.doubt_since[slot] = standing.doubt_since
        self.doubt_value[slot] = standing.doubt_value
        due = next_due(standing, self.shape)
        self.due[slot] = due
        self.earliest = min(self.earliest, due)
        self._set_band(slot, standing)
        if slot >= self.count:
            (self.drills.add if is_on(standing) else self.drills.discard)(slot - self.count)

    def load_place(self, place: int) -> PlaceState:
        """Both standings of a place, to be stepped and kept again."""
        slots = (place, place + self.count)
        drill = self.load(slots[DRILL]) if place in self.drills else normal(self.rungs)
        return PlaceState(
            [self.load(place), drill],
            [int(self.changed_at[slot]) for slot in slots],
            [int(self.settled_at[slot]) for slot in slots],
        )

    def keep_place(self, place: int, state: PlaceState) -> None:
        """Put both standings of a place back."""
        for which, slot in ((REAL, place), (DRILL, place + self.count)):
            self.changed_at[slot] = state.changed_at[which]
            self.settled_at[slot] = state.settled_at[which]
            if which == REAL or place in self.drills or is_on(state.standings[DRILL]):
                self.keep(slot, state.standings[which])

    def due_by(self, at: int) -> list[int]:
        """Slots with a hold that is fulfilled at or before ``at``."""
        if self.earliest > at:
            return []
        self.earliest = int(self.due.min(initial=NEVER))
        return np.flatnonzero(self.due <= at).tolist()

    def touched(self) -> Indices:
        """Slots that do not stand as at first."""
        return np.flatnonzero(
            (self.raw != 0) | (self.confirmed != 0) | (self.doubt_raw != 0) | (self.changed_at >= 0)
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """The touched slots, as named arrays."""
        touched = self.touched()
        columns = {name: getattr(self, name)[touched] for name in _COLUMNS}
        return columns | {"touched": touched, "thresholds": self.thresholds}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], shape: LadderShape) -> Standings:
        """Standings as ``state`` said, with the thresholds of then."""
        table = cls(arrays["thresholds"], shape)
        touched = arrays["touched"]
        expect_shapes(
            arrays,
            **dict.fromkeys(_COLUMNS, touched.shape) | {"since": (len(touched), table.rungs)},
        )
        for name in _COLUMNS:
            getattr(table, name)[touched] = arrays[name]
        for slot in touched.tolist():
            table.keep(slot, table.load(slot))
        return table

    def _set_band(self, slot: int, standing: Standing) -> None:
        thresholds = self.thresholds[slot % self.count]
        higher = np.fmin.reduce(thresholds[standing.raw :], initial=np.inf)
        self.stay_below[slot] = higher - ROUNDING
        if standing.doubt_raw:
            self.stay_from[slot] = np.inf  # the next plausible reading decides, whatever it is
        elif standing.raw:
            lower = thresholds[standing.raw - 1] - self.shape.hysteresis
            self.stay_from[slot] = lower - ROUNDING  # NaN where the stage went: never calm
        else:
            self.stay_from[slot] = -np.inf


def renumber(standing: Standing, numbers: list[int | None], rungs: int) -> Standing | None:
    """The same standing on a ladder of ``rungs`` where old stage i is ``numbers[i]``.

    None if a stage that it stands on went.
    """
    old = (standing.raw, standing.confirmed, standing.doubt_raw, standing.doubt)
    new = [number for number in (numbers[stage] for stage in old) if number is not None]
    if len(new) < len(old):
        return None
    since = [0] * rungs
    for before, number in zip(standing.since, numbers[1:], strict=True):
        if number is not None:
            since[number - 1] = before
    raw, confirmed, doubt_raw, doubt = new
    return Standing(
        raw, confirmed, since, doubt_raw, doubt, standing.doubt_since, standing.doubt_value
    )
