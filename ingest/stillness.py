"""Whether a series stands still for longer than its quantity can: the sensor is stuck.

    value   a  b  c  c  c  …  c  c  c  d          x: flagged STUCK
                  |—— still_s ——|x  x  ·          and 12 readings at least since the first c

Only quantities that have ``still_s`` (`devices.quantities`) are watched; those that may rest for
good (levels, counters, flags, gates, positions) have none. 0 and the quantity's limits are rests of
the others: no wind, no rain, saturated air. A gap of more than half of ``still_s`` ends a stand,
since nobody knows what was in it; a late reading begins one that counts from the newest. The first
other value is good at once.

Pure and vectorised; the state is a few arrays indexed by series. Refuses to know alarms and how
sound a sensor is otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.frames import SeriesDefinition
from devices.quantities import QUANTITIES
from devices.readings import (
    Float64s,
    Indices,
    Int32s,
    Int64s,
    Readings,
    grouped_rows,
    is_first_of_group,
    preceding,
)

FEWEST_READINGS: Final = 12
"""Of one value, the first included, before a series can be stuck."""

_NEVER: Final = -(2**62)
_NOT_WATCHED: Final = np.iinfo(np.int64).max
_MOST: Final = np.iinfo(np.int32).max // 2


@dataclass(frozen=True, slots=True)
class StillState:
    """What is remembered of the watched series that were met, one row a series, for a snapshot."""

    series: Int32s
    value: Float64s
    since: Int64s
    newest_at: Int64s
    count: Int32s


class Stillness:
    """Remembers for each watched series its value and since when it stands there."""

    def __init__(self) -> None:
        self._still_ms = np.empty(0, np.int64)
        self._low = np.empty(0)
        self._high = np.empty(0)
        self._value = np.empty(0)
        self._since = np.empty(0, np.int64)
        self._newest_at = np.empty(0, np.int64)
        self._count = np.empty(0, np.int32)

    def define(self, definitions: Iterable[SeriesDefinition]) -> None:
        """Learn which series to watch; what is remembered of them stays."""
        known = list(definitions)
        self._grow(max((d.series for d in known), default=-1) + 1)
        for definition in known:
            quantity, series = QUANTITIES[definition.quantity], definition.series
            if isfinite(quantity.still_s):
                self._still_ms[series] = int(quantity.still_s * 1000)
            else:
                self._still_ms[series] = _NOT_WATCHED
            self._low[series], self._high[series] = quantity.low, quantity.high

    def stuck(self, readings: Readings) -> Indices:
        """The rows that are stuck, state advanced. Rows of a series count in their order."""
        self._grow(int(readings.series.max(initial=-1)) + 1)
        rows = np.flatnonzero(self._still_ms[readings.series] != _NOT_WATCHED)
        if not len(rows):
            return rows
        rows = rows[grouped_rows(readings.series[rows])]
        is_stuck = self._follow(
            readings.series[rows], readings.measured_at[rows], readings.value[rows]
        )
        return rows[is_stuck]

    def state(self) -> StillState:
        """A copy of all that is remembered."""
        met = np.flatnonzero(self._count > 0)
        return StillState(
            met.astype(np.int32),
            self._value[met],
            self._since[met],
            self._newest_at[met],
            self._count[met],
        )

    def restore(self, state: StillState) -> None:
        """Remember what ``state`` says; what is watched comes from `define`."""
        self._grow(int(state.series.max(initial=-1)) + 1)
        self._value[state.series] = state.value
        self._since[state.series] = state.since
        self._newest_at[state.series] = state.newest_at
        self._count[state.series] = state.count

    def _follow(self, series: Int32s, at: Int64s, value: Float64s) -> NDArray[np.bool_]:
        """Mask of stuck rows among those of watched series, grouped by series."""
        row = np.arange(len(series))
        is_first = is_first_of_group(series)
        newest_at = self._newest_at[series]
        still_ms = self._still_ms[series]
        before = np.where(is_first, self._value[series], preceding(value))
        before_at = np.where(is_first, newest_at, preceding(at))
        is_begin = (value != before) | (at - before_at > still_ms // 2)
        is_begin |= is_first & (self._count[series] == 0)
        begin = np.maximum.accumulate(np.where(is_begin | is_first, row, 0))
        goes_on = ~is_begin[begin]  # from the batch before
        since = np.where(goes_on, self._since[series], np.maximum(at[begin], newest_at))
        count = row - begin + 1 + np.where(goes_on, self._count[series], 0)
        self._remember(series, at, value, since, count)
        is_rest = (value == 0) | (value <= self._low[series]) | (value >= self._high[series])
        stuck: NDArray[np.bool_] = (at - since >= still_ms) & (count >= FEWEST_READINGS) & ~is_rest
        return stuck

    def _remember(
        self,
        series: Int32s,
        at: Int64s,
        value: Float64s,
        since: Int64s,
        count: NDArray[np.int64],
    ) -> None:
        last = np.append(np.flatnonzero(is_first_of_group(series))[1:], len(series)) - 1
        of = series[last]
        self._value[of], self._since[of] = value[last], since[last]
        self._newest_at[of] = np.maximum(self._newest_at[of], at[last])
        self._count[of] = np.minimum(count[last], _MOST)

    def _grow(self, size: int) -> None:
        """Room for series ids below ``size``; the new ones are not watched and have no past."""
        more = size - len(self._value)
        if more <= 0:
            return
        more = max(more, len(self._value) // 2)
        self._still_ms = np.r_[self._still_ms, np.full(more, _NOT_WATCHED)]
        self._low = np.r_[self._low, np.full(more, -np.inf)]
        self._high = np.r_[self._high, np.full(more, np.inf)]
        self._value = np.r_[self._value, np.zeros(more)]
        self._since = np.r_[self._since, np.full(more, _NEVER)]
        self._newest_at = np.r_[self._newest_at, np.full(more, _NEVER)]
        self._count = np.r_[self._count, np.zeros(more, np.int32)]
