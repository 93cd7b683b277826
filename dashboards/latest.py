"""The newest reading of every series and the last hour of every level, in memory.

Vectorised: the cost is per batch, not per reading. Refuses to know devices' names, alarms, files
and people.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dashboards.rise import WINDOW_MS, Rise, rise
from devices.readings import SUSPECT, Int32s, Int64s, Quality, Readings, rounds, rows_by_time

NEVER: Final = np.iinfo(np.int64).min
"""``measured_at`` of a series that has no reading."""

_SPACING_MS: Final = 120_000
_THINNED: Final = 40  # 40 x 2 min: the last 80 minutes
_RECENT: Final = 16
_NOT_OF_A_LEVEL: Final = np.uint8(SUSPECT | Quality.EXERCISE)


class LatestValues:
    """Columns indexed by series id; ids are small integers, so the arrays stay dense."""

    def __init__(self) -> None:
        self.measured_at: Int64s = np.full(0, NEVER, np.int64)
        self.received_at: Int64s = np.zeros(0, np.int64)
        self.value = np.zeros(0, np.float64)
        self.quality = np.zeros(0, np.uint8)

    def take(self, readings: Readings) -> Int32s:
        """Keep what is not older than what is known; of equal times the last wins.

        A clock may be up to five minutes ahead of ours. A reading counts as measured when it came
        at the latest, so that one from the future does not hide those that come after it::

            received   10:00   10:01   10:02
            measured   10:04   10:01   10:02    (the clock was set right)
            latest     10:04   10:01   10:02

        Returns the series that changed, each once.
        """
        if len(readings) == 0:
            return readings.series
        self._reserve(int(readings.series.max()) + 1)
        came = np.minimum(readings.measured_at, readings.received_at)
        order = rows_by_time(readings)
        if (came != readings.measured_at).any():
            order = np.lexsort((readings.measured_at, came, readings.series))
        series = readings.series[order]
        newest = order[np.append(series[1:] != series[:-1], True)]
        at = readings.series[newest]
        known = np.minimum(self.measured_at[at], self.received_at[at])
        is_newer = came[newest] > known
        is_again = (came[newest] == known) & (readings.measured_at[newest] >= self.measured_at[at])
        newest = newest[is_newer | is_again]
        changed: Int32s = readings.series[newest]
        self.measured_at[changed] = readings.measured_at[newest]
        self.received_at[changed] = readings.received_at[newest]
        self.value[changed] = readings.value[newest]
        self.quality[changed] = readings.quality[newest]
        return changed

    def has(self, series: int) -> bool:
        """Whether the series has a reading."""
        return series < len(self.measured_at) and self.measured_at[series] != NEVER

    def sound(self) -> NDArray[np.float64]:
        """The newest values by series id, NaN where there is none, or a suspect or a drill's."""
        is_sound = (self.measured_at != NEVER) & ((self.quality & _NOT_OF_A_LEVEL) == 0)
        return np.where(is_sound, self.value, np.nan)

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
    """The newest readings of each followed series, and one each two minutes of its last 80.

    Suspect readings, drills and late ones are left out: a spike is no flood.
    """

    def __init__(self) -> None:
        self._slot: Int64s = np.full(0, -1, np.int64)  # by series id; -1: not followed
        self._recent = _Ring(_RECENT, spacing_ms=1)
        self._thinned = _Ring(_THINNED, spacing_ms=_SPACING_MS)
        self._count = 0

    def follow(self, series: Int32s) -> None:
        """Keep history of these series from now on; those followed already keep theirs."""
        if len(series) == 0:
            return
        self._slot = _grown(self._slot, int(series.max()) + 1, -1)
        new = np.unique(series[self._slot[series] < 0])
        self._slot[new] = self._count + np.arange(len(new))
        self._count += len(new)
        self._recent.grow(len(new))
        self._thinned.grow(len(new))

    def take(self, readings: Readings) -> None:
        """Remember the readings of the followed series that are newer than those before."""
        is_followed = readings.series < len(self._slot)
        is_followed[is_followed] = self._slot[readings.series[is_followed]] >= 0
        wanted = readings.take(is_followed & ((readings.quality & _NOT_OF_A_LEVEL) == 0))
        for rows in rounds(wanted.series):
            slot = self._slot[wanted.series[rows]]
            for ring in (self._recent, self._thinned):
                ring.put(slot, wanted.measured_at[rows], wanted.value[rows])

    def rise(self, series: int, latest_at: int, latest_value: float) -> Rise | None:
        """The rise at the latest reading, see ``dashboards.rise``; None if nobody can say."""
        if series >= len(self._slot) or self._slot[series] < 0:
            return None
        slot = int(self._slot[series])
        at = np.concatenate((self._thinned.at[slot], self._recent.at[slot]))
        value = np.concatenate((self._thinned.value[slot], self._recent.value[slot]))
        is_wanted = (at >= latest_at - WINDOW_MS) & (at < latest_at)
        at, first = np.unique(at[is_wanted], return_index=True)
        return rise(np.append(at, latest_at), np.append(value[is_wanted][first], latest_value))


class _Ring:
    """The last ``size`` samples of each slot, at least ``spacing_ms`` apart."""

    def __init__(self, size: int, spacing_ms: int) -> None:
        self._size, self._spacing_ms = size, spacing_ms
        self.at: NDArray[np.int64] = np.full((0, size), NEVER, np.int64)
        self.value = np.zeros((0, size), np.float64)
        self._next = np.zeros(0, np.int64)  # column that is written next

    def grow(self, more: int) -> None:
        self.at = np.concatenate((self.at, np.full((more, self._size), NEVER, np.int64)))
        self.value = np.concatenate((self.value, np.zeros((more, self._size))))
        self._next = np.concatenate((self._next, np.zeros(more, np.int64)))

    def put(self, slot: Int64s, measured_at: Int64s, value: NDArray[np.float64]) -> None:
        newest = self.at[slot, (self._next[slot] - 1) % self._size]
        is_due = (newest == NEVER) | (measured_at >= newest + self._spacing_ms)
        slot = slot[is_due]
        column = self._next[slot] % self._size
        self.at[slot, column] = measured_at[is_due]
        self.value[slot, column] = value[is_due]
        self._next[slot] += 1


def _grown(column: Int64s, size: int, fill: int) -> Int64s:
    if size <= len(column):
        return column
    return np.concatenate((column, np.full(size - len(column), fill, np.int64)))
