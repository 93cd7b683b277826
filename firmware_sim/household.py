"""Water that is used and water that leaks: counters as pure, monotone functions of time.

A counter never needs its past: the day is cut into half hours whose borders carry a seeded
jitter between the curve's own borders, so that it can only rise.

    use since 2024 ─▶  day + curve(half hour) + u·(curve(next) − curve(half hour))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from devices.readings import Float64s, Indices, Int64s
from firmware_sim import noise
from firmware_sim.climate import DAY_MS

_REFERENCE_AT = 1_704_034_800_000  # 2024-01-01 00:00 Japan Standard Time
_SLOT_MS = DAY_MS // 48
_WEIGHTS = np.repeat(  # of each hour of the day: asleep 01-04, morning and evening peaks
    [0.6, 0.0, 0.0, 0.0, 0.3, 2.0, 5.5, 8.0, 6.0, 4.5, 3.5, 3.5,
     4.0, 3.5, 3.0, 3.0, 3.5, 5.0, 7.0, 8.5, 8.5, 7.0, 4.5, 2.0], 2,
)  # fmt: skip
_CURVE = np.concatenate([[0.0], np.cumsum(_WEIGHTS) / _WEIGHTS.sum()])


@dataclass(frozen=True, slots=True)
class Households:
    """Meters, arrays of one length: mean use and leak in m3 a day, and when the leak began."""

    seed: int
    daily_m3: Float64s
    leak_m3_d: Float64s
    leak_from_at: Int64s

    def total_m3(self, meter: Indices, at: Int64s) -> Float64s:
        """Counter of ``meter[i]`` at ``at[i]`` in m3, unrounded; never falls with time."""
        key = meter.astype(np.int64)
        start = 40.0 + 900.0 * noise.uniform(self.seed, 401, key)
        used = self.daily_m3[meter] * _days_used(self.seed, key, at)
        leaked_ms = np.maximum(0, at - self.leak_from_at[meter])
        leaked = self.leak_m3_d[meter] * leaked_ms / DAY_MS
        return np.asarray(start + used + leaked, np.float64)

    def has_leak_flag(self, meter: Indices, at: Int64s) -> Float64s:
        """1 where the meter itself has seen flow that never stopped for a day, else 0."""
        is_leaking = self.leak_m3_d[meter] > 0
        return (is_leaking & (at - self.leak_from_at[meter] > DAY_MS)).astype(np.float64)


def _days_used(seed: int, key: Int64s, at: Int64s) -> Float64s:
    """Days of mean use since 2024, in the household's own rhythm; rises with ``at``."""
    since = at - _REFERENCE_AT
    slot = since // _SLOT_MS
    part = (since % _SLOT_MS) / _SLOT_MS
    low, high = _border(seed, key, slot), _border(seed, key, slot + 1)
    days = low + (high - low) * part
    week = 2 * np.pi / 7.0
    rhythm = np.sin(week * days + 6.28 * noise.uniform(seed, 402, key))
    return np.asarray(days + 0.25 / week * rhythm, np.float64)


def _border(seed: int, key: Int64s, slot: Int64s) -> Float64s:
    day, of_day = slot // 48, slot % 48
    jitter = noise.uniform(seed, 403, key, slot)
    border = day + _CURVE[of_day] + jitter * (_CURVE[of_day + 1] - _CURVE[of_day])
    return np.asarray(border, np.float64)


@dataclass(frozen=True, slots=True)
class Zones:
    """District metered areas: what flows in is what the meters count plus what leaks unseen.

    ``meters[z]`` are the households of zone ``z``; each stands for ``scale`` like it.
    ``leak_m3_d`` background leakage of the mains.
    """

    households: Households
    meters: tuple[Indices, ...]
    scale: float
    leak_m3_d: Float64s

    def total_m3(self, zone: Indices, at: Int64s) -> Float64s:
        """Counter of the inflow of ``zone[i]`` in m3; never falls with time."""
        out = np.empty(len(zone))
        for i, (z, t) in enumerate(zip(zone, at, strict=True)):
            members = self.meters[int(z)]
            times = np.full(len(members), t, np.int64)
            out[i] = self.households.total_m3(members, times).sum() * self.scale
        mains = self.leak_m3_d[zone] * (at - _REFERENCE_AT) / DAY_MS
        return np.asarray(out + mains, np.float64)

    def flow_m3_s(self, zone: Indices, at: Int64s) -> Float64s:
        """Mean inflow of the five minutes before ``at`` in m3/s."""
        span_ms = 300_000
        return (self.total_m3(zone, at) - self.total_m3(zone, at - span_ms)) / (span_ms / 1000.0)

    def pressure_pa(self, zone: Indices, key: Int64s, at: Int64s) -> Float64s:
        """Pressure somewhere in the zone in Pa: it falls with the square of the flow."""
        busy = self.flow_m3_s(zone, at) * DAY_MS / 1000.0 / self._mean_m3_d(zone)
        still = noise.between(330e3, 520e3, self.households.seed, 404, key)
        wave = 4e3 * noise.smooth(self.households.seed, 405, key, at / 1000.0, 300.0)
        return np.maximum(still - 18e3 * busy**2 + wave, 20e3)

    def _mean_m3_d(self, zone: Indices) -> Float64s:
        means = [self.households.daily_m3[m].sum() * self.scale for m in self.meters]
        return np.asarray(means)[zone] + self.leak_m3_d[zone]
