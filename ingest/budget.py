"""How many readings each publisher may send, so that a broken one cannot delay the others.

A bucket a publisher (a device, or a gateway for all that it carries), vectorised over device ids::

    left   cap ─┐ ten minutes' worth: what a device that was away has to tell
                 \\            /  refilled all the time, one minute's worth a minute
              0 ──\\──────────/──▶
                   over: its messages are kept raw, unread

After an outage of ours or of the broker the bucket is credited with all of it, for what was sent
meanwhile comes at once and is no fault of the device. Refuses to know messages and clocks.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from devices.frames import BrokerFrame
from devices.readings import Float64s, Int32s
from devices.registry import RegistrySnapshot

BURST_MIN: Final = 10
"""How many minutes' worth may come at once."""
_AWAY_MS: Final = 5_000
"""Longer without a refill (they come each second): we were away, not the device."""


class Budgets:
    """What is left to each publisher of one lane; ids are small integers, so the array is dense."""

    def __init__(self, readings_per_minute: int) -> None:
        """A device may send ``readings_per_minute``, a gateway that for each device and itself.

        0 sets no limit.
        """
        self._per_minute = readings_per_minute
        self._rate: Float64s = np.zeros(0)  # readings a ms
        self._left: Float64s = np.zeros(0)
        self._refilled_at = 0
        self._down_since: dict[str, int] = {}
        self.over: frozenset[int] = frozenset()
        """Ids of the publishers that have sent too much."""

    def know(self, registry: RegistrySnapshot) -> None:
        """Give new devices their bucket, and gateways what they carry now."""
        carried = Counter(d.gateway for d in registry.devices.values() if d.gateway)
        before, left = len(self._left), self._left
        size = max(max(registry.devices, default=-1) + 1, before)
        self._rate = np.zeros(size)
        for device in registry.devices.values():
            self._rate[device.id] = self._per_minute * (1 + carried[device.name]) / 60_000
        self._left = self._cap
        self._left[:before] = left

    def refill(self, at: int) -> None:
        """Time has passed until ``at`` (ms UTC); call it once a second."""
        elapsed_ms = max(0, at - self._refilled_at) if self._refilled_at else 0
        self._refilled_at = at
        if elapsed_ms > _AWAY_MS:
            self.credit(elapsed_ms)
            return
        filled = np.minimum(self._cap, self._left + elapsed_ms * self._rate)
        self._left = np.maximum(self._left, filled)  # a credit may be above the cap
        self._judge()

    def credit(self, away_ms: int) -> None:
        """What was sent in this time comes at once."""
        self._left = self._left + max(0, away_ms) * self._rate
        self._judge()

    def heed_link(self, link: BrokerFrame) -> None:
        """Without the broker, what is sent gathers there and in the devices."""
        if not link.is_up:
            self._down_since.setdefault(link.connection, link.at)
        elif (since := self._down_since.pop(link.connection, None)) is not None:
            self.credit(link.at - since)

    def spend(self, publishers: Int32s) -> None:
        """One entry a reading (or a message without any): who sent it."""
        if self._per_minute and len(publishers):
            self._left -= np.bincount(publishers, minlength=len(self._left))
            self._judge()

    @property
    def _cap(self) -> Float64s:
        return BURST_MIN * 60_000 * self._rate

    def _judge(self) -> None:
        if self._per_minute and self._left.min(initial=0.0) < 0:
            self.over = frozenset(np.flatnonzero(self._left < 0).tolist())
        elif self.over:
            self.over = frozenset()
