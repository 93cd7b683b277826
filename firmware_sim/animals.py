"""Cows that graze and calve, boars that walk into traps. Elementwise over arrays of one length.

``s`` is physical seconds since the world began (nature's own pace), ``at`` int64 ms UTC.
"""

from __future__ import annotations

import numpy as np

from devices.readings import Float64s, Int64s
from firmware_sim import noise
from firmware_sim.climate import hour_of_day
from firmware_sim.storm import KM_PER_DEG_LAT, KM_PER_DEG_LON

ESCAPEE = 7
"""The collar whose animal finds the hole in the fence."""
BAD_RECEIVER = 3
"""The collar that now and then sends latitude -96, as real ones do."""
MOTHERS = (4, 9)
"""Thermometers in cows that calve within the first day (physical time)."""
_CALVING_S = (5.5 * 3600.0, 14 * 3600.0)
_EARLY_TRAPS = {4: 1.6 * 3600.0, 17: 3.1 * 3600.0, 31: 5.2 * 3600.0}
_TRAP_SLOT_S = 36 * 3600.0
_TRAP_CHANCE = 0.05
_SPRUNG_S = 10 * 3600.0


def collar_position(
    seed: int, key: Int64s, s: Float64s, at: Int64s, *, middle: tuple[Float64s, Float64s]
) -> tuple[Float64s, Float64s]:
    """Fix of each collar around its pasture's ``middle``; both (latitude, longitude) in degrees.

    Grazing wanders 200 m, a receiver errs by metres, under trees by hundreds, a bad one wildly.
    """
    hours = at / 3_600_000
    east = 150.0 * noise.smooth(seed, 501, key, hours, 1.5) + 30 * noise.smooth(
        seed, 502, key, hours, 0.3
    )  # fmt: skip
    north = 130.0 * noise.smooth(seed, 503, key, hours, 1.5) + 30 * noise.smooth(
        seed, 504, key, hours, 0.3
    )  # fmt: skip
    strayed_m = np.clip(0.16 * (s - 3 * 3600.0), 0.0, 1800.0) * (key == ESCAPEE)
    is_jump = noise.uniform(seed, 505, key, at) < 0.012
    error = np.where(is_jump, 220.0, 4.0)
    east += error * noise.normal(seed, 506, key, at)
    north += error * noise.normal(seed, 507, key, at) - strayed_m
    lat = middle[0] + north / 1000.0 / KM_PER_DEG_LAT
    lon = middle[1] + east / 1000.0 / KM_PER_DEG_LON
    is_wild = (key == BAD_RECEIVER) & (noise.uniform(seed, 508, key, at) < 0.03)
    return np.where(is_wild, -96.0, lat), lon


def calving_temperature(
    seed: int, key: Int64s, s: Float64s, at: Int64s, barn_temperature: Float64s
) -> Float64s:
    """Vaginal temperature in Cel: a daily wave, a drop of 0.8 in the day before calving.

    After the waters break the thermometer lies in the straw and cools to the barn's temperature.
    """
    wave = 0.22 * np.cos(2 * np.pi * (hour_of_day(at) - 18.0) / 24.0)
    own = 0.12 * noise.smooth(seed, 511, key, at / 3_600_000, 1.2)
    due_s = np.full(len(key), np.inf)
    for mother, calving_s in zip(MOTHERS, _CALVING_S, strict=True):
        due_s[key == mother] = calving_s
    drop = 0.85 * np.clip((s - due_s + 24 * 3600.0) / (6 * 3600.0), 0.0, 1.0)
    inside = 38.75 + 0.15 * noise.uniform(seed, 512, key) + wave + own - drop
    cooling = np.exp(-np.clip(s - due_s, 0.0, 1e6) / 2400.0)
    cooled = barn_temperature + (inside - barn_temperature) * cooling
    return np.asarray(np.where(s > due_s, cooled, inside), np.float64)


def is_sprung(seed: int, key: Int64s, s: Float64s) -> Float64s:
    """1 where the trap has closed and nobody has set it again, else 0.

    Each trap closes by chance at most once in 36 hours and is set again ten hours later; three
    close within the first hours.
    """
    slot = np.floor(s / _TRAP_SLOT_S).astype(np.int64)
    into_s = s - slot * _TRAP_SLOT_S
    closes_s = noise.between(0.1, 0.7, seed, 521, key, slot) * _TRAP_SLOT_S
    is_caught = (noise.uniform(seed, 522, key, slot) < _TRAP_CHANCE) & (slot > 0)
    for trap, early_s in _EARLY_TRAPS.items():
        mine = (key == trap) & (slot == 0)
        is_caught = is_caught | mine
        closes_s = np.where(mine, early_s, closes_s)
    closed = is_caught & (into_s >= closes_s) & (into_s < closes_s + _SPRUNG_S)
    return closed.astype(np.float64)
