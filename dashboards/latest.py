"""The newest reading of every series and the last hour of every level, in memory.

Vectorised: the cost is per batch, not per reading. Refuses to know devices' names, alarms, files
and people.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import Int32s, Int64s, Readings, rounds

NEVER: Final = np.iinfo(np.int64).min
"""``measured_at`` of a series that has no reading."""

_SPACING_MS: Final = 120_000
_SAMPLES: Final = 40  # 40 x 2 min: the last 80 minutes
_WINDOW_MS: Final = 3_600_000
_LEAST_SPAN_MS: Final = 240_000


class LatestValues:
    """Columns indexed by series id; ids are small integers, so the arrays stay dense."""

    def __init__(self) -> None:
        self.measured_at: Int64s = np.full(0, NEVER, np.int64)
        self.received_at: Int64s = np.zeros(0, np.int64)
        self.value = np.zeros(0, np.float64)
        self.quality = np.zeros(0, np.uint8)

    def take(self, readings: Readings) -> Int32s:
        """Keep what is not older than what is known; of equal times the last wins.

        Returns the series that changed, each once.
        """
        if len(readings) == 0:
            return readings.series
        self._reserve(int(readings.series.max()) + 1)
        order = np.lexsort((readings.measured_at, readings.series))  # stable: ties stay in order
        series = readings.series[order]
        newest = order[np.append(series[1:] != series[:-1], True)]
        at = readings.series[newest]
        newest = newest[readings.measured_at[newest] >= self.measured_at[at]]
        changed: Int32s = readings.series[newest]
        self.measured_at[changed] = readings.measured_at[newest]
        self.received_at[changed] = readings.received_at[newest]
        self.value[changed] = readings.value[newest]
        self.quality[changed] = readings.quality[newest]
        return changed

    def has(self, series: int) -> bool:
        """Whether the series has a reading."""
        return series < len(self.measured_at) and self.measured_at[series] != NEVER

    def _reserve(self, size: int) -> None:
        if size <= len(self.measured_at):
            return
        size = max(size, 2 * len(self.measured_at), 1024)
        self.measured_at = _grown(self.measured_at, size, NEVER)
        self.received_at = _grown(self.received_at, size, 0)
        more = size - len(self.value)
        self.value = np.concatenate((self.value, np.zeros(more)))
        self.quality = np.concatenate((self.quality, np.zeros(more, np.uint8)))


class LevelHistory:
    """A thinned ring of the last 80 minutes of each followed series, for the rise per hour.

    Suspect and late readings are left out: a spike is no flood.
    """

    def __init__(self) -> None:
        self._slot: Int64s = np.full(0, -1, np.int64)  # by series id; -1: not followed
        self._at: NDArray[np.int64] = np.full((0, _SAMPLES), NEVER, np.int64)
        self._value = np.zeros((0, _SAMPLES), np.float64)
        self._next = np.zeros(0, np.int64)  # column that is written next

    def follow(self, series: Int32s) -> None:
        """Keep history of these series from now on; those followed already keep theirs."""
        if len(series) == 0:
            return
        self._slot = _grown(self._slot, int(series.max()) + 1, -1)
        new = np.unique(series[self._slot[series] < 0])
        self._slot[new] = len(self._next) + np.arange(len(new))
        self._at = np.concatenate((self._at, np.full((len(new), _SAMPLES), NEVER, np.int64)))
        self._value = np.concatenate((self._value, np.zeros((len(new), _SAMPLES))))
        self._next = np.concatenate((self._next, np.zeros(len(new), np.int64)))

    def take(self, readings: Readings) -> None:
        """Remember one sample every two minutes of each followed series."""
        is_followed = readings.series < len(self._slot)
        is_followed[is_followed] = self._slot[readings.series[is_followed]] >= 0
        wanted = readings.take(is_followed & ~readings.is_suspect)
        for rows in rounds(wanted.series):
            slot = self._slot[wanted.series[rows]]
            newest = self._at[slot, (self._next[slot] - 1) % _SAMPLES]
            is_due = (newest == NEVER) | (wanted.measured_at[rows] >= newest + _SPACING_MS)
            slot, rows_due = slot[is_due], rows[is_due]
            column = self._next[slot] % _SAMPLES
            self._at[slot, column] = wanted.measured_at[rows_due]
            self._value[slot, column] = wanted.value[rows_due]
            self._next[slot] += 1

    def rise_per_h(self, series: int, latest_at: int, latest_value: float) -> float | None:
        """Slope over the hour that ends with the latest reading, unit per hour; see ``slope``."""
        if series >= len(self._slot) or self._slot[series] < 0:
            return None
        slot = self._slot[series]
        is_recent = (self._at[slot] >= latest_at - _WINDOW_MS) & (self._at[slot] < latest_at)
        at = np.append(self._at[slot][is_recent], latest_at)
        return slope_per_h(at, np.append(self._value[slot][is_recent], latest_value))


def slope_per_h(measured_at: Int64s, value: NDArray[np.float64]) -> float | None:
    """Least-squares slope per hour of samples at ``measured_at`` ms; order does not matter.

    None for fewer than two samples or less than four minutes between the first and the last.
    """
    if len(measured_at) < 2 or measured_at.max() - measured_at.min() < _LEAST_SPAN_MS:
        return None
    hours = (measured_at - measured_at.min()) / 3_600_000.0
    hours = hours - hours.mean()
    return float((hours * (value - value.mean())).sum() / (hours * hours).sum())


def _grown(column: Int64s, size: int, fill: int) -> Int64s:
    if size <= len(column):
        return column
    return np.concatenate((column, np.full(size - len(column), fill, np.int64)))
