"""Whether a reading is plausible: the device's clock, physical limits, spikes, sensors that stand.

Pure and vectorised; the state is a few arrays indexed by series. Refuses to know payloads, the
journal and rules. Nothing is dropped here: a doubtful reading is kept and flagged.

A spike is a reading that differs from the series' last plausible one by more than nature moves
(`Quantity.step`, ``rate_per_s``, ``step_cap``). Three suspects in a row that agree with each other
are a new level, not three spikes; all three stay flagged::

    value  ·  ·  ·     ·  ·                   ·: plausible     x: flagged SPIKE
                    x           x  x  x  ·  ·
    agreeing        1           1  2  3→ new reference

A reading older than the reference is late: it is compared with it over the time between the two,
and moves nothing. More than 24 h from the reference anything is plausible, and taken as the new one
if it is newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.frames import SeriesDefinition
from devices.payload import NO_TIME
from devices.quantities import QUANTITIES
from devices.readings import (
    Float64s,
    Indices,
    Int32s,
    Int64s,
    Quality,
    Readings,
    UInt8s,
    grouped_rows,
    is_first_of_group,
    preceding,
)
from ingest.stillness import Stillness

FUTURE_MS: Final = 5 * 60_000
"""How far ahead of ours a device's clock may be."""
EARLIEST_AT: Final = 946_684_800_000
"""2000-01-01 UTC: nothing that reports over MQTT measured anything before."""
REFERENCE_MS: Final = 24 * 3_600_000
"""How long a plausible reading says something about the next one."""
AGREEING: Final = 3
"""Suspects in a row, consistent with each other, that make a new level."""

_NEVER: Final = -(2**62)
_RANGE = np.uint8(Quality.RANGE)
_SPIKE = np.uint8(Quality.SPIKE)
_STUCK = np.uint8(Quality.STUCK)


@dataclass(frozen=True, slots=True)
class Placed:
    """Times after the check of the clock.

    ``measured_at`` as it is to be stored; ``is_ours`` where it is our received_at; ``too_late`` and
    ``too_early`` the rows whose own time was impossible (no time at all is no fault).
    """

    measured_at: Int64s
    is_ours: NDArray[np.bool_]
    too_late: Indices
    too_early: Indices


def place_in_time(measured_at: Int64s, received_at: Int64s) -> Placed:
    """Put received_at where a device's time is absent (NO_TIME), before 2000 or 5 min ahead of us.

    Exactly 5 min ahead and exactly 2000-01-01T00:00Z are still possible times.
    """
    is_absent = measured_at == NO_TIME
    is_late = measured_at > received_at + FUTURE_MS
    is_early = (measured_at < EARLIEST_AT) & ~is_absent
    is_ours = is_absent | is_late | is_early
    return Placed(
        np.where(is_ours, received_at, measured_at),
        is_ours,
        np.flatnonzero(is_late),
        np.flatnonzero(is_early),
    )


@dataclass(frozen=True, slots=True)
class CheckState:
    """What the spike check remembers of the series it has met, one row a series, for a snapshot."""

    series: Int32s
    reference_at: Int64s
    reference: Float64s
    suspect_at: Int64s
    suspect: Float64s
    suspects: UInt8s


class Checker:
    """Flags RANGE, SPIKE and STUCK; remembers for each series its last plausible reading."""

    def __init__(self) -> None:
        self.stillness = Stillness()
        self._low = np.empty(0)
        self._high = np.empty(0)
        self._step = np.empty(0)
        self._rate_per_ms = np.empty(0)
        self._cap = np.empty(0)
        self._reference_at = np.empty(0, np.int64)
        self._reference = np.empty(0)
        self._suspect_at = np.empty(0, np.int64)
        self._suspect = np.empty(0)
        self._suspects = np.empty(0, np.uint8)

    def define(self, definitions: Iterable[SeriesDefinition]) -> None:
        """Learn the limits of these series; what is remembered of them stays."""
        known = list(definitions)
        self.stillness.define(known)
        self._grow(max((d.series for d in known), default=-1) + 1)
        for definition in known:
            quantity, series = QUANTITIES[definition.quantity], definition.series
            self._low[series], self._high[series] = quantity.low, quantity.high
            self._step[series], self._cap[series] = quantity.step, quantity.step_cap
            self._rate_per_ms[series] = quantity.rate_per_s / 1000.0

    def check(self, readings: Readings) -> Readings:
        """The same readings with RANGE, SPIKE and STUCK added to their quality, state advanced.

        Rows of a series count as arrived in their order; one that is not defined has no limits.
        """
        series, value = readings.series, readings.value
        self._grow(int(series.max(initial=-1)) + 1)
        is_outside = (value < self._low[series]) | (value > self._high[series])
        quality = readings.quality | np.where(is_outside, _RANGE, np.uint8(0))
        rows = np.flatnonzero(np.isfinite(self._step[series]))
        if len(rows):
            spikes = self._spikes(series[rows], readings.measured_at[rows], value[rows],
                                  is_outside[rows])  # fmt: skip
            quality[rows[spikes]] |= _SPIKE
        quality[self.stillness.stuck(readings)] |= _STUCK
        return Readings(series, readings.measured_at, readings.received_at, value, quality)

    def state(self) -> CheckState:
        """A copy of all that is remembered, but for what `stillness` does."""
        met = np.flatnonzero((self._reference_at != _NEVER) | (self._suspects > 0))
        return CheckState(
            met.astype(np.int32),
            self._reference_at[met],
            self._reference[met],
            self._suspect_at[met],
            self._suspect[met],
            self._suspects[met],
        )

    def restore(self, state: CheckState) -> None:
        """Remember what ``state`` says; limits come from `define`."""
        self._grow(int(state.series.max(initial=-1)) + 1)
        self._reference_at[state.series] = state.reference_at
        self._reference[state.series] = state.reference
        self._suspect_at[state.series] = state.suspect_at
        self._suspect[state.series] = state.suspect
        self._suspects[state.series] = state.suspects

    def _spikes(
        self, series: Int32s, at: Int64s, value: Float64s, is_outside: NDArray[np.bool_]
    ) -> Indices:
        """Rows that are spikes. Series whose rows are all plausible are taken in one step."""
        order = grouped_rows(series)
        series, at, value = series[order], at[order], value[order]
        is_first = is_first_of_group(series)
        starts = np.flatnonzero(is_first)
        before_at = np.where(is_first, self._reference_at[series], preceding(at))
        before = np.where(is_first, self._reference[series], preceding(value))
        is_plausible = ~is_outside[order] & (self._suspects[series] == 0)
        is_plausible &= self._is_plausible(series, at - before_at, value - before)
        is_quiet = np.logical_and.reduceat(is_plausible, starts)
        ends = np.append(starts[1:], len(series))
        last = ends[is_quiet] - 1
        self._reference_at[series[last]], self._reference[series[last]] = at[last], value[last]
        spikes = [
            row
            for k in np.flatnonzero(~is_quiet)
            for row in range(starts[k], ends[k])
            if self._step_once(int(series[row]), int(at[row]), float(value[row]),
                               bool(is_outside[order[row]]))
        ]  # fmt: skip
        return order[np.array(spikes, np.intp)]

    def _is_plausible(
        self, series: Int32s, elapsed_ms: Int64s, change: Float64s
    ) -> NDArray[np.bool_]:
        allowed = self._step[series] + self._rate_per_ms[series] * elapsed_ms
        allowed = np.minimum(self._cap[series], allowed)
        is_near = (elapsed_ms >= 0) & (np.abs(change) <= allowed)
        return is_near | (elapsed_ms > REFERENCE_MS)

    def _step_once(self, series: int, at: int, value: float, is_outside: bool) -> bool:
        """Advance one series by one reading; True if the reading is a spike."""
        if is_outside:
            self._suspects[series] = 0
            return False
        elapsed_ms = at - int(self._reference_at[series])
        if elapsed_ms < 0:
            return not self._was_possible(series, -elapsed_ms, value)
        if elapsed_ms > REFERENCE_MS or self._agrees(
            series, elapsed_ms, value - self._reference[series]
        ):
            self._accept(series, at, value)
            return False
        self._count_suspect(series, at, value)
        if self._suspects[series] >= AGREEING:
            self._accept(series, at, value)
        return True

    def _was_possible(self, series: int, before_ms: int, value: float) -> bool:
        """Whether a late reading agrees with the reference, measured ``before_ms`` after it."""
        is_far = before_ms > REFERENCE_MS
        return is_far or self._agrees(series, before_ms, value - self._reference[series])

    def _count_suspect(self, series: int, at: int, value: float) -> None:
        """One more suspect in a row; the same moment told twice counts once."""
        apart_ms = abs(at - int(self._suspect_at[series]))
        agrees = self._agrees(series, apart_ms, value - self._suspect[series])
        if not (self._suspects[series] and agrees):
            self._suspects[series] = 1
        elif apart_ms:
            self._suspects[series] += 1
        self._suspect_at[series], self._suspect[series] = at, value

    def _agrees(self, series: int, apart_ms: int, change: float) -> bool:
        allowed = self._step[series] + self._rate_per_ms[series] * apart_ms
        return bool(abs(change) <= min(self._cap[series], allowed))

    def _accept(self, series: int, at: int, value: float) -> None:
        self._reference_at[series], self._reference[series] = at, value
        self._suspects[series] = 0

    def _grow(self, size: int) -> None:
        """Room for series ids below ``size``; the new ones have no limits and no past."""
        more = size - len(self._low)
        if more <= 0:
            return
        more = max(more, len(self._low) // 2)
        self._low = np.r_[self._low, np.full(more, -np.inf)]
        self._high = np.r_[self._high, np.full(more, np.inf)]
        self._step = np.r_[self._step, np.full(more, np.inf)]
        self._rate_per_ms = np.r_[self._rate_per_ms, np.zeros(more)]
        self._cap = np.r_[self._cap, np.full(more, np.inf)]
        self._reference_at = np.r_[self._reference_at, np.full(more, _NEVER)]
        self._reference = np.r_[self._reference, np.zeros(more)]
        self._suspect_at = np.r_[self._suspect_at, np.full(more, _NEVER)]
        self._suspect = np.r_[self._suspect, np.zeros(more)]
        self._suspects = np.r_[self._suspects, np.zeros(more, np.uint8)]
