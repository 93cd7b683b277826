"""The highest plausible value of each open alarm of a rule, as an array by slot.

A maximum is the same however often a reading is run again, so a re-run after a crash changes
nothing. Refuses to know rules, ladders and SQL.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from devices.readings import Float64s, Indices, Int32s

CLOSED: Final = np.nan
"""No alarm is open here; no value is above it."""

NOTHING: Final = -np.inf
"""An alarm is open that no plausible reading has confirmed yet."""


class Peaks:
    """Peaks of ``slots`` places, and which of them rose since they were last asked for."""

    def __init__(self, slots: int) -> None:
        self.value: Float64s = np.full(slots, CLOSED)
        self._has_risen = np.zeros(slots, np.bool_)

    def open(self, slot: int, peak: float) -> None:
        """An alarm opened here, or is taken over; ``peak`` is NOTHING if there is none yet."""
        self.value[slot] = peak
        self._has_risen[slot] = peak > NOTHING

    def put(self, slot: int, peak: float) -> None:
        """This is the peak, lower or higher than before; whoever asks is told it otherwise."""
        self.value[slot] = peak
        self._has_risen[slot] = False

    def close(self, slot: int) -> float | None:
        """The alarm ended; returns its peak if it rose since it was last asked for."""
        peak, has_risen = float(self.value[slot]), bool(self._has_risen[slot])
        self.value[slot] = CLOSED
        self._has_risen[slot] = False
        return peak if has_risen else None

    def take_in(self, slots: Int32s | Indices, value: Float64s) -> None:
        """Raise the peaks of the open alarms among these slots, none of them twice."""
        is_higher = value > self.value[slots]
        if is_higher.any():
            higher = slots[is_higher]
            self.value[higher] = value[is_higher]
            self._has_risen[higher] = True

    def take_risen(self) -> dict[int, float]:
        """Slot → peak of those that rose since the last call."""
        slots = np.flatnonzero(self._has_risen).tolist()
        self._has_risen[:] = False
        return {slot: float(self.value[slot]) for slot in slots}
