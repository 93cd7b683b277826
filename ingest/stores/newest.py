"""The newest reading of every series, in memory: arrays indexed by series id.

Refuses to know where readings are stored. Ids are small integers (decision 5 of the design), so
an array of the highest id's length is cheaper than any look-up; 20,000 devices of three
quantities take 1.6 MB.
"""

from __future__ import annotations

import numpy as np

from devices.readings import Int32s, Int64s, Readings

_NEVER = np.iinfo(np.int64).min


class Newest:
    """Holds one row a series; ``update`` takes batches sorted by series and time."""

    def __init__(self) -> None:
        self._rows = _empty(1024)

    def update(self, rows: Readings) -> None:
        """Take over rows that are not older than what is held; of a series' rows the last."""
        if len(rows) == 0:
            return
        is_last = np.append(rows.series[1:] != rows.series[:-1], True)
        rows = rows.take(is_last)
        self._reach(int(rows.series[-1]))
        rows = rows.take(rows.measured_at >= self._rows.measured_at[rows.series])
        at, held = rows.series, self._rows
        held.series[at] = rows.series
        held.measured_at[at] = rows.measured_at
        held.received_at[at] = rows.received_at
        held.value[at] = rows.value
        held.quality[at] = rows.quality

    def measured_at(self, series: Int32s) -> Int64s:
        """Newest time of each of the series; the lowest int64 where there is none."""
        if len(series):
            self._reach(int(series.max()))
        return self._rows.measured_at[series]

    def readings(self) -> Readings:
        """A copy of all that is held, by series."""
        return self._rows.take(self._rows.measured_at != _NEVER)

    def forget_before(self, at: int) -> None:
        """Drop the series whose newest reading was measured before ``at``."""
        self._rows.measured_at[self._rows.measured_at < at] = _NEVER

    def _reach(self, series: int) -> None:
        if series < len(self._rows):
            return
        grown = _empty(max(series + 1, 2 * len(self._rows)))
        n = len(self._rows)
        for name in ("series", "measured_at", "received_at", "value", "quality"):
            getattr(grown, name)[:n] = getattr(self._rows, name)
        self._rows = grown


def _empty(n: int) -> Readings:
    return Readings(
        np.zeros(n, np.int32),
        np.full(n, _NEVER, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.float64),
        np.zeros(n, np.uint8),
    )
