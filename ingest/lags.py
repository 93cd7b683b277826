"""How long messages took from a device's clock to ours.

Only what says something of the way: of each message its newest own time, and only where it is newer
than all that the device sent before; what a device had stored or repeats is late for reasons of its
own. Refuses to know readings and who is told.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from devices.payload import NO_TIME
from devices.readings import Int32s, Int64s

_NEVER: Final = np.iinfo(np.int64).min


class DeviceLags:
    """The newest time of each device, by id."""

    def __init__(self) -> None:
        self._newest_at: Int64s = np.full(0, _NEVER, np.int64)

    def of(self, message: Int32s, device: Int32s, own_time: Int64s, received_at: Int64s) -> Int64s:
        """Lags (ms, at least 0) of samples in order: their message's index, device and own time.

        ``received_at`` is by message. Of a message with several samples of a device in order of
        time the last counts.
        """
        if not len(message):
            return np.zeros(0, np.int64)
        self._reserve(int(device.max()) + 1)
        is_last = np.append((message[1:] != message[:-1]) | (device[1:] != device[:-1]), True)
        is_news = is_last & (own_time != NO_TIME) & (own_time > self._newest_at[device])
        rows = np.flatnonzero(is_news)
        at = own_time[rows]
        np.maximum.at(self._newest_at, device[rows], at)
        lags_ms: Int64s = np.maximum(received_at[message[rows]] - at, 0)
        return lags_ms

    def _reserve(self, size: int) -> None:
        if size > len(self._newest_at):
            more = np.full(max(size, 2 * len(self._newest_at)) - len(self._newest_at), _NEVER)
            self._newest_at = np.concatenate((self._newest_at, more))
