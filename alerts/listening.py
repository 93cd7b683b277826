"""How long we have been listening, and when each device was last heard on that clock.

Silence is measured in *listening time*: it advances with the ticks of the journal, only while the
broker is up and only where ticks stand at most MAX_TICK_GAP_MS apart, so that neither a broker
that is down nor an intake that is down makes devices silent::

    ticks        | | | | |            | | | | x x x x | |      x: broker down
    listening    0 1 2 3 4            4 5 6 7 7 7 7 7 8 9

Refuses to know rules and alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import expect_shapes
from devices.frames import BrokerFrame
from devices.readings import Int32s, Int64s

MAX_TICK_GAP_MS: Final = 5_000
"""Ticks come each second; a longer gap is time without intake."""

FORGET_DOWN_MS: Final = 600_000
"""A connection that is down for so long has no say any more while others are up: it may be one
that was configured away, and it must not forbid silence for ever."""

UNKNOWN: Final = -1
_UP: Final = -1


class Listening:
    """The listening clock (ms) and, by device id, its reading when each was last heard.

    A device that was never heard counts from when it was first known here.
    """

    def __init__(self) -> None:
        self.clock_ms = 0
        self.tick_at: int | None = None
        self.previous_tick_at: int | None = None
        self.heard: Int64s = np.zeros(0, np.int64)
        self._device_of: Int32s = np.zeros(0, np.int32)
        self._known: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._down_since: dict[str, int] = {}  # by connection; _UP while it is up

    @property
    def is_listening(self) -> bool:
        """True while every connection that we know of is up, and there is one."""
        return bool(self._down_since) and all(at == _UP for at in self._down_since.values())

    def know(self, device_of_series: Int32s, devices: Int32s) -> None:
        """Learn who there is: device id by series id (UNKNOWN where none), and all device ids."""
        self._device_of = device_of_series
        limit = int(devices.max(initial=-1)) + 1
        if limit > len(self.heard):
            more = limit - len(self.heard)
            self.heard = np.concatenate([self.heard, np.zeros(more, np.int64)])
            self._known = np.concatenate([self._known, np.zeros(more, np.bool_)])
        self.heard[devices[~self._known[devices]]] = self.clock_ms
        self._known[:] = False  # who left and comes back begins anew
        self._known[devices] = True

    def devices_of(self, series: Int32s) -> Int32s:
        """The device id of each series id; UNKNOWN where there is none."""
        return self._device_of[series]

    def hear(self, devices: Int32s, received_at: Int64s) -> None:
        """Whatever a device says is being heard: any reading, late or repeated too, and a status.

        It counts as heard when it was *received*; what is submitted again hours later keeps its
        time and so makes nobody less silent. ``devices`` may hold UNKNOWN and strangers.
        """
        known = (devices >= 0) & (devices < len(self.heard))
        np.maximum.at(self.heard, devices[known], self.moments(received_at[known]))

    def moments(self, received_at: Int64s) -> Int64s:
        """Where the listening clock stood at these times, near the last tick (int ms UTC)."""
        if self.tick_at is None:
            return np.full(len(received_at), self.clock_ms, np.int64)
        moments: Int64s = self.clock_ms + np.minimum(received_at - self.tick_at, MAX_TICK_GAP_MS)
        return moments

    def tick(self, at: int) -> None:
        """Advance to ``at`` (int ms UTC) if we have been listening since the last tick."""
        self.previous_tick_at, self.tick_at = self.tick_at, at
        if self.previous_tick_at is None:
            return
        passed = at - self.previous_tick_at
        if 0 < passed <= MAX_TICK_GAP_MS and self.is_listening:
            self.clock_ms += passed
        for name, since in list(self._down_since.items()):
            if since != _UP and at - since > FORGET_DOWN_MS:
                del self._down_since[name]

    def broker(self, frame: BrokerFrame) -> None:
        """A connection was gained or lost."""
        known = self._down_since.get(frame.connection, _UP)
        down_since = frame.at if known == _UP else known
        self._down_since[frame.connection] = _UP if frame.is_up else down_since

    def moment_of(self, clock_ms: int) -> int:
        """UTC ms at which the clock, now at the last tick, stood at ``clock_ms``.

        Exact within the last tick's second; never before the tick before the last.
        """
        if self.tick_at is None:
            raise LookupError("no tick yet: there is no time to speak of")
        moment = self.tick_at - (self.clock_ms - clock_ms)
        return max(moment, self.previous_tick_at or moment)

    def state(self) -> dict[str, NDArray[Any]]:
        """All state as named arrays."""
        ticks = [-1 if t is None else t for t in (self.tick_at, self.previous_tick_at)]
        return {
            "clock": np.array([self.clock_ms, *ticks], np.int64),
            "heard": self.heard,
            "known": self._known,
            "device_of": self._device_of,
            "connections": np.array(list(self._down_since), np.str_),
            "down_since": np.array(list(self._down_since.values()), np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stand as ``state`` said."""
        expect_shapes(
            arrays,
            clock=(3,),
            known=arrays["heard"].shape,
            down_since=arrays["connections"].shape,
        )
        clock, tick, previous = (int(x) for x in arrays["clock"])
        self.clock_ms = clock
        self.tick_at = None if tick < 0 else tick
        self.previous_tick_at = None if previous < 0 else previous
        self.heard = arrays["heard"].copy()
        self._known = arrays["known"].copy()
        self._device_of = arrays["device_of"].copy()
        names = (str(n) for n in arrays["connections"])
        since = (int(at) for at in arrays["down_since"])
        self._down_since = dict(zip(names, since, strict=True))
