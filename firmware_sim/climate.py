"""Air, sun, houses and stalls: daily cycles in Japan Standard Time with seeded weather noise.

All functions are elementwise over arrays of one length; ``at`` is int64 ms UTC, ``key`` an integer
that tells one place from another. Refuses to know how storms move: rain comes as a number.
"""

from __future__ import annotations

import numpy as np

from devices.readings import Float64s, Int64s
from firmware_sim import noise

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_JST_MS = 9 * HOUR_MS


def hour_of_day(at: Int64s) -> Float64s:
    """Hours since local midnight, 0 <= h < 24."""
    return ((at + _JST_MS) % DAY_MS) / HOUR_MS


def season(at: Int64s) -> Float64s:
    """1 at the height of summer (late July), -1 in late January."""
    day = ((at + _JST_MS) / DAY_MS) % 365.25
    return np.asarray(np.cos(2 * np.pi * (day - 205.0) / 365.25), np.float64)


def sunshine(at: Int64s) -> Float64s:
    """Height of the sun: 0 at night, at most 1; days are longer in summer."""
    half_day_h = 6.0 + 1.0 * season(at)
    angle = (hour_of_day(at) - 12.3) / half_day_h * (np.pi / 2)
    up = np.abs(angle) < np.pi / 2
    return np.where(up, np.cos(np.where(up, angle, 0.0)), 0.0) * (0.8 + 0.2 * season(at))


def _clouds(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> Float64s:
    """Share of the sun that comes through, 0.15..1."""
    drift = 0.75 + 0.25 * noise.smooth(seed, 301, key // 8, at / HOUR_MS, 2.0)
    return drift * (1.0 - 0.7 * np.tanh(rain_mm_h / 8.0))


def air_temperature(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> Float64s:
    """Outdoor air in Cel: season, day, slow weather noise, cooling by rain."""
    daily = 4.2 * np.cos(2 * np.pi * (hour_of_day(at) - 14.5) / 24)
    slow = 1.8 * noise.smooth(seed, 302, 0, at / HOUR_MS, 20.0)
    local = 0.8 * noise.smooth(seed, 303, key, at / HOUR_MS, 3.0)
    return 17.8 + 9.3 * season(at) + daily + slow + local - 2.5 * np.tanh(rain_mm_h / 15.0)


def humidity(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> Float64s:
    """Outdoor relative humidity in %RH, 20..100."""
    daily = -11.0 * np.cos(2 * np.pi * (hour_of_day(at) - 14.5) / 24)
    wander = 6.0 * noise.smooth(seed, 304, key, at / HOUR_MS, 4.0)
    return np.clip(72.0 + daily + wander + 20.0 * np.tanh(rain_mm_h / 6.0), 20.0, 100.0)


def pressure_hpa(seed: int, at: Int64s, rain_mm_h: Float64s) -> Float64s:
    """Air pressure at sea level in hPa."""
    slow = 7.0 * noise.smooth(seed, 305, 0, at / HOUR_MS, 40.0)
    return 1012.0 + slow - 5.0 * np.tanh(rain_mm_h / 30.0)


def wind(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> tuple[Float64s, Float64s]:
    """Speed in m/s and direction in degrees, 0 <= d < 360."""
    gust = noise.smooth(seed, 306, key, at / HOUR_MS, 0.2)
    speed = 2.2 + 1.4 * gust + 7.0 * np.tanh(rain_mm_h / 40.0) + 1.2 * sunshine(at)
    turn = 110.0 + 140.0 * noise.smooth(seed, 307, key // 4, at / HOUR_MS, 8.0) + 25.0 * gust
    return np.maximum(speed, 0.0), turn % 360.0


def greenhouse(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> dict[str, Float64s]:
    """A heated greenhouse with vents: quantities by name."""
    sun = sunshine(at) * _clouds(seed, key, at, rain_mm_h)
    outside = air_temperature(seed, key, at, rain_mm_h)
    heated = np.maximum(outside + 1.5, 13.0 + 2.0 * noise.uniform(seed, 311, key))
    temperature = heated + 9.0 * sun / (1.0 + np.maximum(0.0, outside - 22.0) / 8.0)
    damp = 88.0 - 26.0 * sun + 4.0 * noise.smooth(seed, 312, key, at / HOUR_MS, 1.0)
    breath = 420.0 + 330.0 * np.exp(-4.0 * sun) + 25.0 * noise.smooth(
        seed, 313, key, at / HOUR_MS, 0.7
    )  # fmt: skip
    since_watering_h = (hour_of_day(at) - 6.0 - 2.0 * noise.uniform(seed, 314, key)) % 24.0
    moisture = 41.0 - 0.45 * since_watering_h + 2.0 * noise.uniform(seed, 315, key)
    return {
        "air.temperature": temperature,
        "air.relativeHumidity": np.clip(damp, 25.0, 99.0),
        "air.co2": breath,
        "light.intensity": 62_000.0 * sun,
        "soil.moisture": moisture,
    }


def barn(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> dict[str, Float64s]:
    """A cow barn: warmer and damper than outside, less so with the fans on at noon."""
    outside = air_temperature(seed, key, at, rain_mm_h)
    warmth = 3.2 - 1.5 * sunshine(at) + noise.uniform(seed, 321, key)
    damp = humidity(seed, key, at, rain_mm_h) + 7.0
    return {
        "air.temperature": outside + warmth,
        "air.relativeHumidity": np.clip(damp, 30.0, 98.0),
    }


def paddy_water_temperature(seed: int, key: Int64s, at: Int64s, rain_mm_h: Float64s) -> Float64s:
    """Shallow water in Cel: follows the air two hours behind and takes up sun."""
    behind = at - 2 * HOUR_MS
    return air_temperature(seed, key, behind, rain_mm_h) + 1.0 + 3.0 * sunshine(behind)
