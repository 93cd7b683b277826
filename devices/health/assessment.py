"""A device's health from its remembered days: the figures of all looks, joined.

Refuses to know where the days come from and what is done with the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from devices.health.battery import Battery, Cell, forecast
from devices.health.clock import clock
from devices.health.days import DEVICE, day_of
from devices.health.findings import Firmware, Health
from devices.health.history import KEPT_DAYS, Days, History
from devices.health.link import GatewayLink, Link, link
from devices.health.reporting import WEEK_DAYS, expected_interval_s, reporting
from devices.health.sensing import Around, Sensing, judge
from devices.readings import Float64s

COURSE_POINTS: Final = 60
_BATTERIES: Final = ("battery.voltage", "battery.level")


@dataclass(frozen=True, slots=True)
class Subject:
    """The device and what the registry and the network say of it, as of ``now`` (ms UTC).

    ``series``: its quantities and their series ids. ``lost`` and ``frames``: numbered messages of
    the last week that never came, and that did. ``around`` by quantity.
    """

    now: int
    interval_s: float
    silence_after_s: float
    in_service_since: int
    series: Mapping[str, int]
    is_adaptive: bool = False
    heard_at: int | None = None
    replaced_on: tuple[int, ...] = ()
    cell: Cell = field(default_factory=Cell)
    has_external_power: bool = False
    gateways: Sequence[GatewayLink] = ()
    uplinks: float = 0.0
    gateways_there: int = 0
    margin_db: float | None = None
    lost: int = 0
    frames: int = 0
    firmware: Firmware = field(default_factory=Firmware)
    around: Mapping[str, Around] = field(default_factory=dict)


def assess(subject: Subject, history: History, battery: Battery) -> Health:
    """All figures of the device; ``battery`` is `battery_of`'s, which changes once a day."""
    days = history.device.between(day_of(subject.now) - KEPT_DAYS + 1, day_of(subject.now) + 1)
    return Health(
        at=subject.now,
        battery=battery,
        link=_link(subject, history),
        firmware=subject.firmware,
        clock=clock(days.day, days.figures),
        reporting=reporting(
            days.day,
            days.figures,
            now=subject.now,
            in_service_since=subject.in_service_since,
            expected_s=expected_of(subject, history),
            heard_at=subject.heard_at,
            lost=subject.lost,
            frames=subject.frames,
        ),
        sensing=_sensing(subject, history),
        is_heard_ever=subject.heard_at is not None or bool(np.nan_to_num(_samples(days)).sum()),
        silence_after_s=subject.silence_after_s,
        interval_s=subject.interval_s,
    )


def battery_of(subject: Subject, history: History, temperature: Days | None) -> Battery:
    """The battery's forecast from the days before today; ``temperature`` of the city by day."""
    today = day_of(subject.now)
    if subject.has_external_power:
        return Battery("external")
    for quantity in _BATTERIES:
        days = history.medians.get(subject.series.get(quantity, -1))
        if days is None or not np.isfinite(days.figures).any():
            continue
        warm = None if temperature is None else temperature.between(days.first, days.end)
        return forecast(
            days.day,
            days.figures[:, 0],
            today=today,
            unit="%" if quantity == "battery.level" else "V",
            cell=subject.cell,
            replaced_on=subject.replaced_on,
            temperature=None if warm is None else warm.figures[:, 0],
        )
    return Battery("none")


def course_of(
    subject: Subject, history: History, battery: Battery
) -> tuple[tuple[int, float], ...]:
    """Day and level of the present battery, at most ``COURSE_POINTS``, for a small picture."""
    quantity = "battery.level" if battery.unit == "%" else "battery.voltage"
    days = history.medians.get(subject.series.get(quantity, -1))
    if days is None or battery.since is None:
        return ()
    level = days.figures[:, 0]
    rows = np.flatnonzero(np.isfinite(level) & (days.day >= battery.since))
    parts = np.array_split(rows, min(len(rows), COURSE_POINTS)) if len(rows) else []
    return tuple(
        (int(days.first + part[-1]), round(float(np.median(level[part])), 4)) for part in parts
    )


def expected_of(subject: Subject, history: History) -> float:
    """The interval at which samples of the device are to be expected (s)."""
    return expected_interval_s(
        history.device.figures,
        subject.interval_s,
        subject.silence_after_s,
        is_adaptive=subject.is_adaptive,
    )


def _samples(days: Days) -> Float64s:
    return days.figures[:, DEVICE["samples"]]


def _week(subject: Subject, history: History, quantity: str) -> Float64s | None:
    days = history.series.get(subject.series.get(quantity, -1))
    if days is None:
        return None
    today = day_of(subject.now)
    return days.between(today - WEEK_DAYS + 1, today + 1).figures


def _link(subject: Subject, history: History) -> Link:
    return link(
        _week(subject, history, "radio.rssi"),
        _week(subject, history, "radio.snr"),
        gateways=subject.gateways,
        uplinks=subject.uplinks,
        gateways_there=subject.gateways_there,
        margin_db=subject.margin_db,
    )


def _sensing(subject: Subject, history: History) -> tuple[Sensing, ...]:
    found = []
    for quantity, number in sorted(subject.series.items()):
        days = history.series.get(number)
        if days is None:
            continue
        around = subject.around.get(quantity, Around())
        judged = judge(quantity, days.day, days.figures, now=subject.now, around=around)
        if judged is not None:
            found.append(judged)
    return tuple(found)
