"""Devices that report more often when it matters, and how soon they are silent then.

A crisis-management gauge reports once a day while the river is low. From its observation-start
level on it reports each ten minutes, and a day without a word is then far too long::

    level   ——————————————╱‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾   value ≥ active_from
    limit   3 days        | 30 min           of the newest value: a device that dies there is missed

Refuses to know when a device was heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from devices.kinds import KINDS
from devices.readings import Float64s, Indices, Int32s, Int64s

if TYPE_CHECKING:
    from devices.snapshot import Device


@dataclass(frozen=True, slots=True)
class ActiveLimits:
    """Of each device that has two intervals, by row: its place (in the arrays of whoever asks), the
    series of its main quantity, the value from which it is active, after how long it is silent."""

    place: Int64s
    series: Int32s
    active_from: Float64s
    after_ms: Int64s

    def applied(self, normal_ms: Int64s, value: Float64s) -> Int64s:
        """The limits that hold now: ``normal_ms`` by place, shortened where a device is active.

        ``value`` is the newest by series id; where there is none (NaN, or beyond its end) a device
        is not active.
        """
        if not len(self.place):
            return normal_ms
        is_known = self.series < len(value)
        newest = value[np.where(is_known, self.series, 0)] if len(value) else np.nan
        rows: Indices = np.flatnonzero(is_known & (newest >= self.active_from))
        limits = normal_ms.copy()
        limits[self.place[rows]] = np.minimum(limits[self.place[rows]], self.after_ms[rows])
        return limits


def active_limits(
    devices: Iterable[tuple[int, Device]], series: Mapping[tuple[int, str], int]
) -> ActiveLimits:
    """Those of the devices, each with its place, that say how often they report when active.

    ``series`` is the registry's. A device that has no level to be active from is left out.
    """
    rows = [
        (place, number, device.is_active_from, device.silence_after_active_s * 1000)
        for place, device in devices
        if device.silence_after_active_s is not None
        and device.is_active_from is not None
        and (number := series.get((device.id, KINDS[device.kind].quantities[0]))) is not None
    ]
    columns = tuple(zip(*rows, strict=True)) or ((), (), (), ())
    return ActiveLimits(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.float64),
        np.array(columns[3], np.int64),
    )
