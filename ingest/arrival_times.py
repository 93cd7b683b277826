"""Moments for readings that bring no time of their own: when they came, and no two alike.

A backlog comes in one piece, so several messages of a device have the same received_at; stored by
it, each would replace the one before::

    received_at    100  100  100       103
    given          100  101  102       103        as measured_at and as received_at

Pure. Refuses to know clocks. Nothing is remembered across a restart, which takes longer than what
one device's share of a backlog is spread over.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from devices.readings import Indices, Int32s, Int64s

MOST_AHEAD_MS: Final = 60_000
"""Further ahead of received_at nothing is put: our own clock has been set back."""

_NEVER: Final = -(2**62)
_APART: Final = 1 << 44  # more than any received_at in ms, less any rank


class ArrivalTimes:
    """Remembers for each device the moment that it was given last."""

    def __init__(self) -> None:
        self._last = np.empty(0, np.int64)

    def give(self, device: Int32s, rows: Indices, received_at: Int64s) -> Int64s:
        """Moments (ms UTC) for the ``rows``, in order of arrival, rising within each device.

        ``device`` (-1: nobody's, any moment) and ``received_at`` are columns of all rows.
        """
        of, came = device[rows], received_at[rows]
        order = np.argsort(of, kind="stable")
        of, came = of[order], came[order]
        is_first = np.r_[True, of[1:] != of[:-1]]
        starts = np.flatnonzero(is_first)
        group = np.cumsum(is_first) - 1
        rank = np.arange(len(of)) - starts[group]
        came[starts] = np.maximum(came[starts], self._after(of[starts], came[starts]))
        # m[k] = max(came[k], m[k-1] + 1), that is m - rank is the running maximum of came - rank
        moments = np.maximum.accumulate(came - rank + group * _APART) - group * _APART + rank
        self._note(of, moments)
        given = np.empty(len(rows), np.int64)
        given[order] = moments
        return given

    def _after(self, device: Int32s, came: Int64s) -> Int64s:
        """One past the last moment of each device, unless that is too far ahead."""
        self._grow(int(device.max(initial=-1)) + 1)
        last = np.where(device >= 0, self._last[device] if len(self._last) else _NEVER, _NEVER)
        return np.where(last - came < MOST_AHEAD_MS, last + 1, _NEVER)

    def _note(self, device: Int32s, moments: Int64s) -> None:
        known = device >= 0
        self._last[device[known]] = moments[known]  # of several the last, which is the highest

    def _grow(self, size: int) -> None:
        more = size - len(self._last)
        if more > 0:
            more = max(more, len(self._last) // 2)
            self._last = np.r_[self._last, np.full(more, _NEVER)]
