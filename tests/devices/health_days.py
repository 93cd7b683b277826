"""Readings of made-up devices, and what is remembered of them, for the tests of health."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from devices.health.assessment import Subject, assess, battery_of, expected_of
from devices.health.days import DAY_MS, summarise
from devices.health.findings import Health, findings
from devices.health.history import History, add_days
from devices.readings import Readings, concatenate, readings_from_columns

FIRST_DAY = 20_000
DEVICE = 1
SERIES = {"water.level": 10, "battery.voltage": 11, "radio.rssi": 12, "air.temperature": 13}
DEVICE_OF = np.full(20, -1, np.int32)
DEVICE_OF[list(SERIES.values())] = DEVICE


def every(interval_s: float, days: float, *, first_day: int = FIRST_DAY) -> np.ndarray:
    """Moments (ms UTC) at this interval, for so many days."""
    count = int(days * 86_400 / interval_s)
    return first_day * DAY_MS + (np.arange(count) * interval_s * 1000).astype(np.int64)


def series(
    quantity: str,
    at: np.ndarray,
    value: Callable[[np.ndarray], np.ndarray] | float,
    *,
    late_ms: np.ndarray | int = 2000,
    quality: int = 0,
) -> Readings:
    """Readings of one quantity; ``value`` of the days since FIRST_DAY; received ``late_ms``."""
    since = (at - FIRST_DAY * DAY_MS) / DAY_MS
    values = value(since) if callable(value) else np.full(len(at), value)
    return readings_from_columns(
        np.full(len(at), SERIES[quantity]), at, at + late_ms, values, np.full(len(at), quality)
    )


def remembered(batches: Sequence[Readings], who: Subject | None = None) -> History:
    """The history of the device after all of these readings."""
    who = who or subject(0)
    readings = concatenate(list(batches))
    histories = {DEVICE: History()}
    owners = dict.fromkeys(SERIES.values(), DEVICE)
    kept = frozenset((SERIES["battery.voltage"], SERIES["air.temperature"]))
    days = np.unique(readings.measured_at // DAY_MS)
    for day in days.tolist():
        expected = np.full(DEVICE + 1, expected_of(who, histories[DEVICE]))
        summary = summarise(readings, day, DEVICE_OF, expected)
        histories = add_days(histories, summary, owners, kept)
    return histories[DEVICE]


def subject(now: int, **more: Any) -> Subject:
    """The device, in service since the first day, heard just now."""
    said: dict[str, Any] = {
        "now": now,
        "interval_s": 600.0,
        "silence_after_s": 1800.0,
        "in_service_since": FIRST_DAY * DAY_MS,
        "series": SERIES,
        "heard_at": now,
        **more,
    }
    return Subject(**said)


def health_of(batches: Sequence[Readings], now: int, **more: Any) -> Health:
    """The device's health at ``now``."""
    who = subject(now, **more)
    history = remembered(batches, who)
    return assess(who, history, battery_of(who, history, None))


def codes(health: Health) -> list[str]:
    """The findings by code, worst first."""
    return [one.code for one in findings(health)]
