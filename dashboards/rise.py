"""How fast a level rises or falls now, from its readings of the last hour.

One hour is right for a river that reports every ten minutes and wrong for a road that floods and
drains within one. So the window is the longest tail of the readings that is one line: tails are
the last hour, its newer half, the half of that, and so on, down to the newest six readings where
they lie within ten minutes (reports are dense) and else three. A tail holds unless the slope of a
shorter one differs from its own by more than the noise explains::

    level      . · ˙ ˙ · .
          . ·              ·            the last hour rises on the whole: refused,
      . ·                    · .        its newest quarter is one line: the water is falling
      |--------------- hour -----|
                     |-- half ---|
                           |-qtr-|

Slopes are Theil-Sen: the median over all pairs (Sen 1968), which one odd reading does not move.
Refuses to know series, quality flags and the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.readings import Float64s, Int64s

WINDOW_MS: Final = 3_600_000
"""Readings older than this before the newest say nothing about now."""

_DENSE_MS: Final = 600_000
_LEAST_DENSE: Final = 6
_LEAST: Final = 3
_LEAST_SPAN_MS: Final = 240_000
_CLEAR: Final = 5.0  # standard errors: of the looks at a steady river few must be wrong
_NOISE_M: Final = (0.005, 0.03)
"""A level's noise is taken to be between half a centimetre (what gauges resolve) and three (waves);
what is more than that is no noise but a bend."""
_STALE_GAPS: Final = 3
_STALE_LEAST_MS: Final = 60_000
_MS_PER_H: Final = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Rise:
    """``per_h`` in m/h, true until ``stale_at`` (int ms UTC): three gaps of its readings later."""

    per_h: float
    stale_at: int


def rise(measured_at: Int64s, value: Float64s) -> Rise | None:
    """The rise at the newest of these levels; times ascend (int ms UTC), none twice, values in m.

    None where nobody can say: for fewer than two readings, fewer than six within four minutes,
    and while less than ten minutes are known and the slope does not stand out of the noise.
    """
    if len(measured_at) < 2:
        return None
    span = int(measured_at[-1] - measured_at[0])
    if len(measured_at) < _LEAST_DENSE and span < _LEAST_SPAN_MS:
        return None
    hours = (measured_at - measured_at[0]) / _MS_PER_H
    noise = _noise(hours, value)
    starts = _tails(measured_at)
    slopes = [_slope(hours[start:], value[start:]) for start in starts]
    errors = [_CLEAR * noise / _spread(hours[start:]) for start in starts]
    chosen = _longest_straight(slopes, errors)
    if span < _DENSE_MS and abs(slopes[chosen]) <= errors[chosen]:
        return None
    longest_gap = int(np.diff(measured_at[starts[chosen] :]).max())
    stale_after = max(_STALE_LEAST_MS, _STALE_GAPS * longest_gap)
    return Rise(slopes[chosen], int(measured_at[-1]) + stale_after)


def _tails(measured_at: Int64s) -> list[int]:
    """Where each tail begins, the longest first."""
    count = len(measured_at)
    newest = int(measured_at[-1])
    is_dense = count >= _LEAST_DENSE and newest - measured_at[-_LEAST_DENSE] <= _DENSE_MS
    last = max(0, count - (_LEAST_DENSE if is_dense else _LEAST))
    starts = [0]
    while (start := starts[-1]) < last:
        middle = newest - (newest - int(measured_at[start])) // 2
        starts.append(min(last, max(start + 1, int(np.searchsorted(measured_at, middle)))))
    return starts


def _longest_straight(slopes: list[float], errors: list[float]) -> int:
    """The first tail whose slope no shorter one contradicts."""
    for i, slope in enumerate(slopes):
        shorter = zip(slopes[i + 1 :], errors[i + 1 :], strict=True)
        if all(abs(other - slope) <= error for other, error in shorter):
            return i
    return len(slopes) - 1


def _slope(hours: Float64s, value: Float64s) -> float:
    older, newer = np.triu_indices(len(hours), 1)
    return float(np.median((value[newer] - value[older]) / (hours[newer] - hours[older])))


def _spread(hours: Float64s) -> float:
    """Noise divided by this is the standard error of a least-squares slope over these times."""
    return float(np.sqrt(((hours - hours.mean()) ** 2).sum()))


def _noise(hours: Float64s, value: Float64s) -> float:
    """Standard deviation of the readings about the chords between their neighbours, in bounds."""
    if len(hours) < 3:
        return _NOISE_M[0]
    share = (hours[1:-1] - hours[:-2]) / (hours[2:] - hours[:-2])
    chord = value[:-2] + share * (value[2:] - value[:-2])
    deviation = 1.4826 * float(np.median(np.abs(value[1:-1] - chord)))  # of a normal distribution
    least, most = _NOISE_M
    return min(max(deviation / math.sqrt(1.5), least), most)
