"""Storms that move over the catchment: rain intensity at any place and time.

Time here is *physical* seconds since the world began; who compresses it is not known here.

    storm 0            storm 1                  each storm: one wide band and three heavy cells
    |--------|.........|--------|.....          that enter in the east and drift west-north-west,
    first_s            first_s + gap_s          so that the upper river gets its rain first
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from devices.readings import Float64s
from firmware_sim import noise

KM_PER_DEG_LAT = 111.2
KM_PER_DEG_LON = 94.5  # at 31.8 degrees north

Float64Grid = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A round area of rain, heaviest in its middle, that drifts and swells and fades.

    ``begin_s``/``end_s`` physical seconds; position in degrees at ``begin_s``; drift in m/s;
    ``radius_km`` is where the rain has fallen to 1/e of ``peak_mm_h``.
    """

    begin_s: float
    end_s: float
    longitude: float
    latitude: float
    east_m_s: float
    north_m_s: float
    radius_km: float
    peak_mm_h: float

    def rain_mm_h(
        self, longitude: Float64Grid, latitude: Float64Grid, s: Float64Grid
    ) -> Float64Grid:
        """Intensity in mm/h, elementwise (broadcasting); zero outside begin..end."""
        age = s - self.begin_s
        life = age / (self.end_s - self.begin_s)
        envelope = np.sin(np.pi * np.clip(life, 0.0, 1.0)) ** 0.5
        east = (longitude - self.longitude) * KM_PER_DEG_LON - self.east_m_s * age / 1000.0
        north = (latitude - self.latitude) * KM_PER_DEG_LAT - self.north_m_s * age / 1000.0
        return self.peak_mm_h * envelope * np.exp(-(east**2 + north**2) / self.radius_km**2)


@dataclass(frozen=True, slots=True)
class Weather:
    """The storms of one seed. ``first_s = None`` means that it never rains."""

    seed: int
    first_s: float | None = 12 * 60.0
    gap_s: float = 30 * 3600.0

    def cells(self, from_s: float, to_s: float) -> list[Cell]:
        """Every cell that may rain at some time in [from_s, to_s]."""
        if self.first_s is None or to_s < self.first_s:
            return []
        newest = int((to_s - self.first_s) // self.gap_s)
        storms = range(max(0, newest - 1), newest + 1)
        cells = [c for k in storms for c in _storm(self.seed, k, self.first_s + k * self.gap_s)]
        return [c for c in cells if c.begin_s <= to_s and c.end_s >= from_s]

    def rain_mm_h(self, longitude: Float64s, latitude: Float64s, s: Float64Grid) -> Float64Grid:
        """Rain intensity in mm/h at places and times, broadcast against each other; < 0.1 is 0."""
        shape = np.broadcast_shapes(longitude.shape, s.shape)
        rain = np.zeros(shape)
        if s.size == 0:
            return rain
        for cell in self.cells(float(s.min()), float(s.max())):
            rain += cell.rain_mm_h(longitude, latitude, s)
        rain[rain < 0.1] = 0.0
        return rain


@lru_cache(maxsize=64)
def _storm(seed: int, number: int, begin_s: float) -> tuple[Cell, ...]:
    """The cells of one storm; the first storm of a seed is always a severe one."""
    u = [float(noise.uniform(seed, 101, number, k)[0]) for k in range(8)]
    strength = 1.0 if number == 0 else 0.45 + 0.65 * u[0]
    drift_e, drift_n = -3.2 - 0.8 * u[1], 0.3 + 0.5 * u[2]
    band = Cell(
        begin_s, begin_s + 6.5 * 3600, 130.56, 31.77, drift_e * 0.6, drift_n * 0.6, 34.0,
        10.0 * strength,
    )  # fmt: skip
    heavy = [
        Cell(
            begin_s + late_s, begin_s + late_s + 4.2 * 3600, lon, lat, drift_e, drift_n, radius,
            peak * strength,
        )
        for late_s, lon, lat, radius, peak in (
            (0.0, 130.50 + 0.03 * u[3], 31.79 + 0.04 * u[4], 9.5, 82.0),
            (1800.0, 130.42 + 0.03 * u[5], 31.80 + 0.03 * u[6], 8.5, 70.0),
            (5400.0, 130.52, 31.80 + 0.05 * u[7], 8.0, 60.0),
        )
    ]  # fmt: skip
    return (band, *heavy)
