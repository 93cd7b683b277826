"""CPU and memory of processes over a run, sampled once a second. Refuses to know what they do."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from bench.processes import Usage, usage_of

_EVERY_S = 1.0
_MOST_PAIRS_OF = 1200


class Meter:
    """Watches processes by name; ``sample`` is called often and looks once a second."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._first = self._look()
        self._last = self._first
        self._times: list[float] = []
        self._rss_mb: list[dict[str, float]] = []
        self._due_at = 0.0
        self.sample()

    def sample(self) -> None:
        """Look, if a second has passed since the last look."""
        now = time.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + _EVERY_S
        self._last = self._look()
        self._times.append(now)
        self._rss_mb.append({name: usage.rss_mb for name, usage in self._last.items()})

    def stop(self) -> None:
        """Look for the last time."""
        self._due_at = 0.0
        self.sample()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each process between the first look and the last."""
        return {
            name: round(self._last[name].cpu_s - self._first[name].cpu_s, 2)
            for name in self._pids
            if name in self._last
        }

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of each process at the last look."""
        return {name: round(usage.rss_mb, 1) for name, usage in self._last.items()}

    def peak_mb(self) -> dict[str, float]:
        """The most that each process had."""
        return {
            name: round(max(sample.get(name, 0.0) for sample in self._rss_mb), 1)
            for name in self._pids
        }

    def peak_of_sum_mb(self) -> float:
        """The most that all had together."""
        return round(max(sum(sample.values()) for sample in self._rss_mb), 1)

    def growth_mb_per_min(self) -> float | None:
        """Slope of the sum over the second half of the samples; None for fewer than ten of them."""
        half = len(self._times) // 2
        sums = [sum(sample.values()) for sample in self._rss_mb[half:]]
        slope = robust_slope(np.array(self._times[half:]), np.array(sums))
        return None if slope is None else round(60 * slope, 2)

    def _look(self) -> dict[str, Usage]:
        usage = usage_of(self._pids.values())
        return {name: usage[pid] for name, pid in self._pids.items() if pid in usage}


def robust_slope(
    times: np.typing.NDArray[np.float64], values: np.typing.NDArray[np.float64]
) -> float | None:
    """Median of the slopes of all pairs (Theil–Sen); None for fewer than five samples."""
    if len(times) < 5:
        return None
    step = -(-len(times) // _MOST_PAIRS_OF)
    times, values = times[::step], values[::step]
    first, second = np.triu_indices(len(times), 1)
    return float(np.median((values[second] - values[first]) / (times[second] - times[first])))
