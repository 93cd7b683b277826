"""Urgent first inside one process: routine work is cut into slices and waits while urgent works.

::

    urgent    ────▇▇───────────▇▇▇────
    routine   ▇▇▇▇··▇▇▇▇|▇▇▇▇▇▇···▇▇▇▇      between two slices; never for longer than LONGEST_S

Threads of one interpreter share its lock: whoever is in the middle of a long stretch of Python
keeps the other lane waiting at each of its steps. Refuses to know what the work is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from ingest.messages import Arrival, piece

LONGEST_S: Final = 0.05
"""Routine goes on after so long even if urgent never rests."""
SLICE_MESSAGES: Final = 1_000
SLICE_BYTES: Final = 128 << 10
"""At most so much is decoded in one stretch, some milliseconds; one message is never cut."""


class Precedence:
    """Shared by the lanes of a process. ``working`` on the event loop, `give_way` in any thread."""

    def __init__(self) -> None:
        self._is_free = threading.Event()
        self._is_free.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Urgent work is going on."""
        self._is_free.clear()
        try:
            yield
        finally:
            self._is_free.set()

    def give_way(self) -> None:
        """Return when no urgent work is going on, after LONGEST_S at the latest."""
        self._is_free.wait(LONGEST_S)


def slices(arrival: Arrival) -> Iterator[Arrival]:
    """The messages of an arrival in their order, in pieces of bounded work."""
    ends = np.cumsum(np.fromiter(map(len, arrival.payloads), np.int64, len(arrival.payloads)))
    start = 0
    while start < len(ends):
        passed = int(ends[start - 1]) if start else 0
        by_bytes = int(np.searchsorted(ends, passed + SLICE_BYTES, side="right"))
        stop = max(start + 1, min(start + SLICE_MESSAGES, by_bytes))
        yield arrival if stop - start == len(ends) else piece(arrival, start, stop)
        start = stop
