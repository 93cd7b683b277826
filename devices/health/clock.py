"""Whether a device knows what time it is, and how fast its clock runs away.

Refuses to know how a clock is set right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.health.days import DEVICE
from devices.health.robust import line
from devices.readings import Float64s, Int64s

_FEWEST_PROMPT: Final = 1
_FEWEST_DAYS: Final = 4
_SET_RIGHT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Clock:
    """``late_s``: by how much its times are behind ours, the way of a message included.

    ``drift_s_per_day`` positive: it falls behind more each day (None: too few days since it was
    last set right). ``without_clock``: share (0..1) of a week's readings without a usable time.
    """

    late_s: float | None = None
    drift_s_per_day: float | None = None
    without_clock: float | None = None


def clock(day: Int64s, device_days: Float64s) -> Clock:
    """Judge from device-days (`days.DEVICE_FIGURES`), NaN where nothing is known."""
    late = device_days[:, DEVICE["late_s"]]
    prompt = np.nan_to_num(device_days[:, DEVICE["prompt"]])
    is_known = np.isfinite(late) & (prompt >= _FEWEST_PROMPT)
    samples = np.nan_to_num(device_days[:, DEVICE["samples"]])
    share = device_days[:, DEVICE["without_clock"]]
    week = (samples > 0) & np.isfinite(share) & (day > day.max(initial=0) - 7)
    missing = float(np.average(share[week], weights=samples[week])) if week.any() else None
    if not is_known.any():
        return Clock(without_clock=missing)
    at, late = day[is_known].astype(np.float64), late[is_known]
    return Clock(round(float(np.median(late[-2:])), 1), _drift(at, late), missing)


def _drift(at: Float64s, late: Float64s) -> float | None:
    """s/day since the clock was set right last::

    late   /|   /|  /
          / |  / | /      the fall is no drift
         /  | /  |/
    """
    falls = np.flatnonzero(np.abs(np.diff(late)) > _SET_RIGHT_S + 3.0 * _usual(late))
    begin = int(falls[-1]) + 1 if len(falls) else 0
    at, late = at[begin:], late[begin:]
    if len(at) < _FEWEST_DAYS:
        return None
    fitted = line(at, late)
    return None if fitted is None else round(fitted.slope, 2)


def _usual(late: Float64s) -> float:
    return float(np.median(np.abs(np.diff(late)))) if len(late) > 1 else 0.0
