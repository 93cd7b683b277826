"""What one round learns of all devices for the next: what others of a kind did, how warm it was.

Refuses to know single devices' findings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from dashboards.device_said import Said, SaidBook
from devices.health.days import day_of
from devices.health.findings import Firmware
from devices.health.firmware import newest
from devices.health.history import Days, History
from devices.health.sensing import HABITS, Around, has_moved, noise_factor
from devices.registry import Device

_FEWEST_OTHERS: Final = 3
_WARMTH: Final = "air.temperature"


@dataclass(frozen=True, slots=True)
class Context:
    """As of the round before: ``around`` by kind and quantity, ``newest`` firmware by model.

    ``temperature``: Cel by day, median of all that measure it; ``day`` when it was made.
    """

    around: Mapping[str, Mapping[str, Around]] = field(default_factory=dict)
    newest: Mapping[str, str] = field(default_factory=dict)
    temperature: Days | None = None
    day: int = 0


class Neighbours:
    """Gathers what a round meets."""

    def __init__(self) -> None:
        self._moved: dict[tuple[str, str], list[bool]] = defaultdict(list)
        self._factors: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._warmth: dict[int, list[float]] = defaultdict(list)
        self._models: dict[int, str] = {}
        self._day = 0

    def note_model(self, device: int, model: str) -> None:
        """The unit in this device is of this model."""
        self._models[device] = model

    def note(self, device: Device, series: Mapping[str, int], history: History, now: int) -> None:
        """Remember what the device's series did lately."""
        self._day = day_of(now)
        for quantity in series.keys() & HABITS.keys():
            days = history.series.get(series[quantity])
            if days is None:
                continue
            key = (device.kind, quantity)
            moved = has_moved(days.day, days.figures, now)
            if moved is not None:
                self._moved[key].append(moved)
            factor = noise_factor(days.day, days.figures, now)
            if factor is not None:
                self._factors[key].append(factor)
        self._note_warmth(history.medians.get(series.get(_WARMTH, -1)))

    def context(self, book: SaidBook) -> Context:
        """What the next round may know."""
        around: dict[str, dict[str, Around]] = defaultdict(dict)
        for kind, quantity in self._moved.keys() | self._factors.keys():
            moved, factors = self._moved[kind, quantity], self._factors[kind, quantity]
            around[kind][quantity] = Around(
                float(np.mean(moved)) if len(moved) > _FEWEST_OTHERS else None,
                float(np.median(factors)) if len(factors) > _FEWEST_OTHERS else None,
            )
        return Context(around, self._newest(book), self._temperature(), self._day)

    def _note_warmth(self, medians: Days | None) -> None:
        if medians is None:
            return
        for day, value in zip(medians.day.tolist(), medians.figures[:, 0].tolist(), strict=True):
            if value == value and len(self._warmth[day]) < 1000:  # noqa: PLR0124 - not NaN
                self._warmth[day].append(value)

    def _temperature(self) -> Days | None:
        if not self._warmth:
            return None
        first, last = min(self._warmth), max(self._warmth)
        figures = np.full((last - first + 1, 1), np.nan)
        for day, values in self._warmth.items():
            if values:
                figures[day - first, 0] = float(np.median(values))
        return Days(first, figures)

    def _newest(self, book: SaidBook) -> dict[str, str]:
        versions: dict[str, list[str]] = defaultdict(list)
        for device, model in self._models.items():
            said = book.said.get(device)
            if model and said and said.firmware:
                versions[model].append(said.firmware)
        return {model: version for model, v in versions.items() if (version := newest(v))}


def warmth(context: Context) -> Days | None:
    """How warm it was in the city by day; None where nobody measures it."""
    return context.temperature


def firmware_of(said: Said | None, newest_of_model: str | None) -> Firmware:
    """What is known of a device's firmware."""
    if said is None or said.firmware is None:
        return Firmware()
    return Firmware(said.firmware, said.firmware_at, newest_of_model)
