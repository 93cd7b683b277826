"""Lines through points of which some are wrong. Refuses to know what the points are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.readings import Float64s

_MAD: Final = 1.4826
_MOST_POINTS: Final = 60


@dataclass(frozen=True, slots=True)
class Line:
    """``at(x) = level + slope (x - x_mean)``; ``noise`` of a point, ``slope_error`` one sigma."""

    x_mean: float
    level: float
    slope: float
    noise: float
    slope_error: float

    def at(self, x: float) -> float:
        """The line's value at x."""
        return self.level + self.slope * (x - self.x_mean)


def line(x: Float64s, y: Float64s) -> Line | None:
    """The Theil-Sen line: median of the slopes between all pairs; None with fewer than 3 points.

    Up to 29 % of the points may be anything. More than 60 points are first made 60 medians.
    ``slope_error`` takes points as independent only every seventh, for weather lasts.
    """
    is_known = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_known], y[is_known]
    if len(np.unique(x)) < 3:
        return None
    spread, many = np.ptp(x), len(x)
    if many > _MOST_POINTS:
        x, y = _fewer(x, y)
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    slope = float(np.median(((y[second] - y[first])[apart != 0]) / apart[apart != 0]))
    mean = float(x.mean())
    level = float(np.median(y - slope * (x - mean)))
    off = y - level - slope * (x - mean)
    noise = _MAD * float(np.median(np.abs(off)))
    independent = max(many / 7.0, 3.0)
    error = noise * float(np.sqrt(12.0 / independent)) / float(spread)
    return Line(mean, level, slope, noise, error)


def _fewer(x: Float64s, y: Float64s) -> tuple[Float64s, Float64s]:
    """Medians of ``_MOST_POINTS`` runs of neighbouring points."""
    order = np.argsort(x, kind="stable")
    runs = np.array_split(order, _MOST_POINTS)
    return (
        np.array([np.median(x[run]) for run in runs]),
        np.array([np.median(y[run]) for run in runs]),
    )
