"""The days of one device that are remembered, and how they are kept as bytes.

Weeks of all figures, years of the battery's daily median. Values: a day that is known again
replaces what was known of it. Refuses to know where the bytes lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from devices.health.days import DEVICE, DEVICE_FIGURES, SERIES, SERIES_FIGURES, Summary
from devices.readings import Float64s, Int64s

KEPT_DAYS: Final = 35
KEPT_MEDIAN_DAYS: Final = 800
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Days:
    """Figures by day: row i is the day ``first + i``, NaN where nothing is known."""

    first: int
    figures: Float64s

    @property
    def end(self) -> int:
        """The day after the last one."""
        return self.first + len(self.figures)

    @property
    def day(self) -> Int64s:
        """The day of each row."""
        return np.arange(self.first, self.end)

    def put(self, day: int, row: Float64s, keep: int) -> Days:
        """With this row for the day; only the newest ``keep`` days stay."""
        if len(self.figures) == 0:
            return Days(day, row[None, :].copy())
        first, end = min(self.first, day), max(self.end, day + 1)
        first = max(first, end - keep)
        if day < first:
            return self
        figures = np.full((end - first, self.figures.shape[1]), np.nan)
        kept = slice(max(self.first, first), self.end)
        figures[kept.start - first : kept.stop - first] = self.figures[kept.start - self.first :]
        figures[day - first] = row
        return Days(first, figures)

    def between(self, start: int, end: int) -> Days:
        """The days of [start, end), NaN where nothing is known."""
        figures = np.full((max(end - start, 0), self.figures.shape[1]), np.nan)
        low, high = max(start, self.first), min(end, self.end)
        if low < high:
            figures[low - start : high - start] = self.figures[low - self.first : high - self.first]
        return Days(start, figures)


def no_days(figures: tuple[str, ...]) -> Days:
    """Nothing remembered, with the columns of ``figures``."""
    return Days(0, np.empty((0, len(figures))))


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a device; ``medians``: one column by series, kept for years.

    ``closed_until``: every day before it was summarised from all that had come by then; 0: none.
    """

    closed_until: int = 0
    device: Days = field(default_factory=lambda: no_days(DEVICE_FIGURES))
    series: Mapping[int, Days] = field(default_factory=dict)
    medians: Mapping[int, Days] = field(default_factory=dict)


def add_days(
    histories: Mapping[int, History],
    summary: Summary,
    device_of_series: Mapping[int, int],
    kept_long: frozenset[int],
) -> dict[int, History]:
    """The histories (by device id) with one more day; ``kept_long``: series of which the
    daily medians are kept for years."""
    devices = {device: history.device for device, history in histories.items()}
    series = {device: dict(history.series) for device, history in histories.items()}
    medians = {device: dict(history.medians) for device, history in histories.items()}
    for device, row in zip(summary.device.tolist(), summary.of_device, strict=True):
        if device in devices:
            devices[device] = devices[device].put(summary.day, row, KEPT_DAYS)
    for number, row in zip(summary.series.tolist(), summary.of_series, strict=True):
        device = device_of_series.get(number, -1)
        if device not in histories:
            continue
        before = series[device].get(number, no_days(SERIES_FIGURES))
        series[device][number] = before.put(summary.day, row, KEPT_DAYS)
        if number in kept_long:
            long = medians[device].get(number, no_days(("median",)))
            level = row[SERIES["median"]][None]
            medians[device][number] = long.put(summary.day, level, KEPT_MEDIAN_DAYS)
    return {
        device: replace(
            history, device=devices[device], series=series[device], medians=medians[device]
        )
        for device, history in histories.items()
    }


def closed(histories: Mapping[int, History], until: int) -> dict[int, History]:
    """The histories with every day before ``until`` looked at."""
    return {d: replace(h, closed_until=max(h.closed_until, until)) for d, h in histories.items()}


class _Table(msgspec.Struct, array_like=True):
    first: int
    columns: int
    figures: bytes


class _Kept(msgspec.Struct, array_like=True):
    format: int
    closed_until: int
    device: _Table
    series: dict[int, _Table]
    medians: dict[int, _Table]


def packed(history: History) -> bytes:
    """The history as bytes (float32: seven digits are more than a sensor has)."""
    return msgspec.msgpack.encode(
        _Kept(
            _FORMAT,
            history.closed_until,
            _table(history.device),
            {number: _table(days) for number, days in history.series.items()},
            {number: _table(days) for number, days in history.medians.items()},
        )
    )


def unpacked(data: bytes) -> History:
    """What `packed` gave; an empty history for bytes of another release or damaged ones."""
    try:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        if kept.format != _FORMAT:
            return History()
        history = History(
            kept.closed_until,
            _days(kept.device),
            {number: _days(table) for number, table in kept.series.items()},
            {number: _days(table) for number, table in kept.medians.items()},
        )
    except ValueError:  # msgspec's among them
        return History()
    return history if _fits(history) else History()


def _fits(history: History) -> bool:
    widths: Iterable[tuple[int, int]] = [
        (history.device.figures.shape[1], len(DEVICE)),
        *((days.figures.shape[1], len(SERIES)) for days in history.series.values()),
        *((days.figures.shape[1], 1) for days in history.medians.values()),
    ]
    return all(found == wanted for found, wanted in widths)


def _table(days: Days) -> _Table:
    return _Table(days.first, days.figures.shape[1], days.figures.astype("<f4").tobytes())


def _days(table: _Table) -> Days:
    figures = np.frombuffer(table.figures, "<f4").astype(np.float64)
    return Days(table.first, figures.reshape(-1, max(table.columns, 1)))
