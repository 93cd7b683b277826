"""Readings of the store → days of histories: today each time, closed days once and once more.

::

    today - 35        closed_until              today
        │────────────────│ · · · · · · │──────────│
        already known     read now, at most three days a step
                  ◀── 3 days ──▶ read once more, for what came late

Refuses to know what a day is good for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from dashboards.stored import StoredReadings
from devices.health.days import DAY_MS, day_of, summarise
from devices.health.history import KEPT_DAYS, History, add_days, closed
from devices.health.reporting import expected_interval_s
from devices.kinds import KINDS
from devices.readings import Float64s, Int32s, Readings, concatenate
from devices.registry import Device

log = structlog.get_logger()

LATE_DAYS: Final = 3
"""For so long after its end a day is read once more."""
BATTERY_DAYS: Final = 400
"""How far back the batteries' days are read at the first look."""
KEPT_LONG: Final = frozenset({"battery.voltage", "battery.level", "air.temperature"})
_DAYS_A_STEP: Final = 3
_BATTERY_DAYS_A_STEP: Final = 60
_MOST_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Closing:
    """The closed days that are to be read now; ``is_behind``: more remain for the next step.

    ``long_only``: of the days before all figures are kept, only the long-kept series are read.
    """

    days: tuple[int, ...] = ()
    is_behind: bool = False
    long_only: bool = False

    @staticmethod
    def of(devices: Sequence[Device], histories: Mapping[int, History], today: int) -> Closing:
        """What is to be read for these devices, by the one that is furthest behind.

        A device has no readings from before it was registered.
        """
        until = min(
            (
                max(histories[d.id].closed_until, day_of(d.registered_at) - LATE_DAYS)
                for d in devices
            ),
            default=today,
        )
        if until >= today:
            return Closing()
        oldest = today - KEPT_DAYS
        if until < oldest:
            first = max(until, today - BATTERY_DAYS)
            end = min(first + _BATTERY_DAYS_A_STEP, oldest)
            return Closing(tuple(range(first, end)), is_behind=True, long_only=True)
        first = max(until - LATE_DAYS, oldest) if until > oldest else oldest
        end = min(until + _DAYS_A_STEP, today)
        return Closing(tuple(range(first, end)), is_behind=end < today)


def read_days(
    stored: StoredReadings,
    series: Mapping[int, Mapping[str, int]],
    devices: Sequence[Device],
    histories: Mapping[int, History],
    closing: Closing,
    today: int,
) -> dict[int, History]:
    """The histories with the closing days and today added; may raise StoreOutage.

    ``series``: series id by device id and quantity.
    """
    reader = _Reader(stored, series, devices, histories)
    if closing.long_only:
        found = reader.read_span(closing.days)
    else:
        found = dict(histories)
        for day in closing.days:
            found = reader.read_day(found, day)
    if closing.days:
        found = closed(found, closing.days[-1] + 1)
    return reader.read_day(found, today)


class _Reader:
    """Which series are whose, and at which interval samples are expected."""

    def __init__(
        self,
        stored: StoredReadings,
        series: Mapping[int, Mapping[str, int]],
        devices: Sequence[Device],
        histories: Mapping[int, History],
    ) -> None:
        self._stored, self._histories = stored, histories
        of_devices = {device.id: series.get(device.id, {}) for device in devices}
        self._device_of_series = {n: d for d, own in of_devices.items() for n in own.values()}
        self._long = frozenset(
            number
            for own in of_devices.values()
            for quantity, number in own.items()
            if quantity in KEPT_LONG
        )
        self._device_of = _column(self._device_of_series)
        self._expected_s = _expected(devices, histories)

    def read_day(self, histories: Mapping[int, History], day: int) -> dict[int, History]:
        """Add one day of all series."""
        readings = self._scan(sorted(self._device_of_series), day, day + 1)
        return self._add(histories, readings, day)

    def read_span(self, days: Sequence[int]) -> dict[int, History]:
        """Add many days of the series whose medians are kept long, and nothing else of them."""
        readings = self._scan(sorted(self._long), days[0], days[-1] + 1)
        found = dict(self._histories)
        for day in days:
            is_of_day = readings.measured_at // DAY_MS == day
            found = self._add(found, readings.take(is_of_day), day, only_long=True)
        return found

    def _add(
        self,
        histories: Mapping[int, History],
        readings: Readings,
        day: int,
        *,
        only_long: bool = False,
    ) -> dict[int, History]:
        summary = summarise(readings, day, self._device_of, self._expected_s)
        added = add_days(histories, summary, self._device_of_series, self._long)
        if not only_long:
            return added
        return {
            device: History(
                history.closed_until, histories[device].device, histories[device].series,
                history.medians,
            )
            for device, history in added.items()
        }  # fmt: skip

    def _scan(self, series: Sequence[int], first_day: int, end_day: int) -> Readings:
        """Readings of the days; of a flood of them the first ones."""
        batches: list[Readings] = []
        rows = 0
        for batch in self._stored.scan(series, first_day * DAY_MS, end_day * DAY_MS):
            batches.append(batch)
            rows += len(batch)
            if rows > _MOST_ROWS:
                log.warning("web.device_health.too_many_readings", day=first_day, rows=rows)
                break
        return concatenate(batches)


def _column(series: Mapping[int, int]) -> Int32s:
    column = np.full(max(series, default=-1) + 1, -1, np.int32)
    for number, device in series.items():
        column[number] = device
    return column


def _expected(devices: Iterable[Device], histories: Mapping[int, History]) -> Float64s:
    known = list(devices)
    column = np.full(max((d.id for d in known), default=-1) + 1, np.inf)
    for device in known:
        column[device.id] = expected_interval_s(
            histories[device.id].device.figures,
            float(device.interval_s),
            device.silence_after_s,
            is_adaptive=KINDS[device.kind].interval_is_adaptive,
        )
    return column
