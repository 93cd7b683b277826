"""Batteries that age: the daily median of a battery's level over its life, with seasons and noise.

After Shepherd (1965): open voltage, a fast fall at the beginning, a knee at the end; the cold takes
some of the voltage and warmth makes it age faster. Made apart from the curves by which forecasts
are made (``devices.health.curves``), so that these can be tried on it. Refuses to know forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chemistry:
    """V(q) = open + fresh exp(-fall q) - slope q - knee q / (1 - q), q the share that is used up.

    ``end`` where the device stops, ``cold`` V lost a degree below 20 Cel; ``step`` of its ADC.
    """

    open: float
    fresh: float
    fall: float
    slope: float
    knee: float
    end: float
    cold: float
    step: float = 0.01
    unit: str = "V"


CHEMISTRIES: Final[Mapping[str, Chemistry]] = MappingProxyType(
    {
        "two alkaline": Chemistry(2.82, 0.35, 6.0, 0.55, 0.018, 2.0, 0.004),
        "LiMnO2": Chemistry(3.0, 0.12, 15.0, 0.2, 0.02, 2.4, 0.003),
        "Li-ion": Chemistry(3.98, 0.22, 8.0, 0.38, 0.008, 3.3, 0.002),
        "LiSOCl2": Chemistry(3.62, 0.03, 20.0, 0.05, 0.006, 3.0, 0.002),
        "percent": Chemistry(0.0, 0.0, 1.0, 0.0, 0.0, 5.0, 0.05, 1.0, "%"),
    }
)


@dataclass(frozen=True, slots=True)
class Life:
    """One battery's life: level and temperature (Cel) of each day, and the day on which it ends."""

    day: NDArray[np.int64]
    level: Float64s
    temperature: Float64s
    end_day: int


def live(name: str, life_days: float, seed: int, *, first_day: int = 20_000) -> Life:
    """A battery of about ``life_days`` at 17 Cel, put in on ``first_day`` (days since 1970)."""
    chance = np.random.default_rng(seed)
    chemistry = _one_of(CHEMISTRIES[name], chance)
    days = int(2 * life_days) + 30
    day = np.arange(first_day, first_day + days)
    temperature = _weather(day, chance)
    used = np.cumsum((1.0 + 0.01 * (temperature - 17.0)) * (1.0 + 0.05 * chance.normal(size=days)))
    share = np.minimum(used / life_days, 0.999)
    level = _level(chemistry, share, temperature)
    level += chance.normal(scale=chemistry.step * 0.5, size=days)
    level = np.round(np.maximum(level, 0.0) / chemistry.step) * chemistry.step
    return Life(day, level, temperature, first_day + _end(level, chemistry.end))


def _one_of(chemistry: Chemistry, chance: np.random.Generator) -> Chemistry:
    """No two makes are alike, no two loads, and no ADC is right to the millivolt."""
    if chemistry.unit == "%":
        return chemistry
    return replace(
        chemistry,
        open=chemistry.open * chance.normal(1.0, 0.006),
        slope=chemistry.slope * chance.normal(1.0, 0.15),
        knee=chemistry.knee * chance.uniform(0.6, 1.6),
        cold=chemistry.cold * chance.uniform(0.4, 1.6),
    )


def _weather(day: NDArray[np.int64], chance: np.random.Generator) -> Float64s:
    """Daily means like those of Satsumasendai: 7 Cel in January, 27 in July, spells of weather."""
    season: Float64s = 17.0 - 10.0 * np.cos(2.0 * np.pi * (day % 365.25 - 20.0) / 365.25)
    spell = np.zeros(len(day))
    for i in range(1, len(day)):
        spell[i] = 0.75 * spell[i - 1] + chance.normal(scale=1.8)
    season += spell
    return season


def _level(chemistry: Chemistry, share: Float64s, temperature: Float64s) -> Float64s:
    cold = chemistry.cold * np.maximum(20.0 - temperature, -10.0)
    if chemistry.unit == "%":
        gauge: Float64s = 100.0 * (1.0 - share) - cold
        return gauge
    fresh = chemistry.fresh * np.exp(-chemistry.fall * share)
    volts: Float64s = chemistry.open + fresh - chemistry.slope * share - cold
    volts -= chemistry.knee * share / (1.0 - share)
    return volts


def _end(level: Float64s, end: float) -> int:
    """The first day of five that are at or below the end."""
    windows = np.lib.stride_tricks.sliding_window_view(level, 5)
    return int(np.argmax(np.median(windows, axis=1) <= end)) + 2
