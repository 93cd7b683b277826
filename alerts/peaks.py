"""The highest plausible value of each open alarm of a rule, as an array by slot.

A maximum is the same however often a reading is run again, so a re-run after a crash changes
nothing. What rose of an alarm that has ended is kept by its id until it is asked for. Refuses to
know rules, ladders and SQL.
"""

from __future__ import annotations

from collections.abc import Callable
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
        self._ended: dict[str, float] = {}

    def open(self, slot: int, peak: float) -> None:
        """An alarm opened here, or is taken over; ``peak`` is NOTHING if there is none yet."""
        self.value[slot] = peak
        self._has_risen[slot] = peak > NOTHING

    def put(self, slot: int, peak: float) -> None:
        """This is the peak, lower or higher than before; whoever asks is told it otherwise."""
        self.value[slot] = peak
        self._has_risen[slot] = False

    def close(self, slot: int) -> None:
        """Nothing is open here any more, and nobody asks what it was."""
        self.value[slot] = CLOSED
        self._has_risen[slot] = False

    def end(self, slot: int, alarm: str) -> None:
        """The alarm ended; its peak is kept if it rose since it was last asked for."""
        if self._has_risen[slot]:
            self._ended[alarm] = float(self.value[slot])
        self.close(slot)

    def raise_ended(self, alarm: str, peak: float) -> None:
        """A late reading was measured while an alarm that has ended was open."""
        if peak > NOTHING:
            self._ended[alarm] = max(peak, self._ended.get(alarm, NOTHING))

    def forget_ended(self, alarm: str) -> None:
        """The peak of this alarm is told in another way, or there is no such alarm any more."""
        self._ended.pop(alarm, None)

    def take_over_ended(self, previous: Peaks) -> None:
        """Go on with what the same rule kept before a revision."""
        self._ended |= previous._ended

    def take_in(self, slots: Int32s | Indices, value: Float64s) -> None:
        """Raise the peaks of the open alarms among these slots."""
        is_higher = value > self.value[slots]
        if is_higher.any():
            higher = slots[is_higher]
            np.maximum.at(self.value, higher, value[is_higher])  # a slot may stand twice
            self._has_risen[higher] = True

    def take_risen(self, alarm_at: Callable[[int], str]) -> dict[str, float]:
        """Alarm id → peak of those that rose since the last call; ``alarm_at`` names a slot's."""
        found, self._ended = self._ended, {}
        for slot in np.flatnonzero(self._has_risen).tolist():
            found[alarm_at(slot)] = float(self.value[slot])
        self._has_risen[:] = False
        return found
