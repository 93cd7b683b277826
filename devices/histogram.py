"""How long things took, as counts by bucket: bounded, cheap, and summable by whoever reads them.

Refuses to know what is measured and who shows it. Buckets are Prometheus': an observation counts in
the first bucket whose upper bound is not below it (``le``, inclusive), else in the last, unbounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

WAITS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds for what should take a moment and may take minutes."""

LAGS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Bounds for the way from a device to us."""

DISK_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds for one write to a disk."""


class Histogram:
    """Counts of seconds; not for two threads at once."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        """``bounds_s`` are the upper bounds of all buckets but the last, rising."""
        self._bounds_s = np.asarray(bounds_s, np.float64)
        self._counts = np.zeros(len(bounds_s) + 1, np.int64)
        self._sum_s = 0.0

    def observe(self, seconds: ArrayLike, times: ArrayLike | None = None) -> None:
        """Count these seconds (one or an array), each once or as often as ``times`` says.

        What is below zero (a clock ahead of ours) counts as zero, what is not finite not at all.
        """
        values = np.atleast_1d(np.asarray(seconds, np.float64))
        weights = None if times is None else np.atleast_1d(np.asarray(times, np.float64))
        is_finite = np.isfinite(values)
        if not is_finite.all():
            values = values[is_finite]
            weights = None if weights is None else weights[is_finite]
        values = np.maximum(values, 0.0)
        buckets = np.searchsorted(self._bounds_s, values, side="left")
        self._counts += np.bincount(buckets, weights, len(self._counts)).astype(np.int64)
        self._sum_s += float(values.sum() if weights is None else values @ weights)

    def fields(self) -> dict[str, Any]:
        """As JSON values: upper bounds, counts of each bucket (one more than bounds), sum."""
        return {
            "bounds_s": self._bounds_s.tolist(),
            "counts": self._counts.tolist(),
            "sum_s": round(self._sum_s, 6),
        }
