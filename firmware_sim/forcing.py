"""The test hook: a device is made to measure what a test or a rehearsal wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.quantities import QUANTITIES
from devices.readings import Float64s, Indices, Int64s


@dataclass(frozen=True, slots=True)
class _Ramp:
    begin_at: int
    end_at: int
    start: float
    goal: float

    def value(self, at: int) -> float:
        """Linear from start to goal; the goal from ``end_at`` on."""
        if at >= self.end_at:
            return self.goal
        share = max(0.0, (at - self.begin_at) / (self.end_at - self.begin_at))
        return self.start + (self.goal - self.start) * share


class Forcing:
    """Forced values by device and quantity; ``numbers`` gives each device's number by name."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._ramps: dict[int, dict[str, _Ramp]] = {}
        self._last: dict[tuple[int, str], float] = {}

    def force(self, device: str, quantity: str, value: float, at: int, ramp_s: float) -> int:
        """Begin a ramp at ``at``, from the value last forced or measured; return its number.

        KeyError names a device or quantity that does not exist.
        """
        number = self._numbers[device]
        if quantity not in QUANTITIES:
            raise KeyError(quantity)
        ramps = self._ramps.setdefault(number, {})
        before = ramps.get(quantity)
        start = before.value(at) if before else self._last.get((number, quantity), value)
        ramps[quantity] = _Ramp(at, at + round(ramp_s * 1000), start, value)
        return number

    def release(self, device: str) -> None:
        """Forget all that is forced on a device; KeyError if there is no such device."""
        self._ramps.pop(self._numbers[device], None)

    def watch(self, device: Indices, values: Mapping[str, Float64s]) -> None:
        """Remember what devices measured, as the start of a later ramp."""
        for name, column in values.items():
            for number, value in zip(device.tolist(), column.tolist(), strict=True):
                self._last[number, name] = value

    def apply(self, device: Indices, at: Int64s, values: dict[str, Float64s]) -> NDArray[np.bool_]:
        """Overwrite forced values in place (columns added where needed); mask of forced devices."""
        is_forced = np.zeros(len(device), np.bool_)
        if not self._ramps:
            return is_forced
        for row, number in enumerate(device.tolist()):
            for quantity, ramp in self._ramps.get(number, {}).items():
                column = values.setdefault(quantity, np.full(len(device), np.nan))
                column[row] = round(ramp.value(int(at[row])), 4)
                is_forced[row] = True
        return is_forced
