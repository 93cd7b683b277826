"""A store that need not be there yet: opened when it is first needed, and tried again until it can.

A file that another process holds, a rotten one, a folder that may not be written: each is an outage
with its reason, as if the store were away; the journal keeps what it does not take. Refuses to know
which store it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from devices.frames import Lane, Position, SeriesDefinition
from devices.readings import Readings
from ingest.stores.series_store import Samples, SeriesStore, StoreCounts, StoreOutage

AGAIN_S: Final = 1.0
"""Who asks again sooner gets the last answer."""


class LateStore:
    """A SeriesStore around one that may not open."""

    def __init__(
        self, open_it: Callable[[], SeriesStore], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """``open_it`` may raise StoreOutage or OSError, and is tried again after a pause."""
        self._open_it, self._monotonic = open_it, monotonic
        self._store: SeriesStore | None = None
        self._outage: StoreOutage | None = None
        self._again_at = 0.0
        self._opening = threading.Lock()
        self._none_yet = StoreCounts()

    @property
    def counts(self) -> StoreCounts:
        """What it met since it was opened."""
        return self._store.counts if self._store else self._none_yet

    @counts.setter
    def counts(self, counts: StoreCounts) -> None:
        self._opened().counts = counts

    def define(self, definitions: Sequence[SeriesDefinition]) -> None:
        self._opened().define(definitions)

    def append(self, readings: Readings, positions: Mapping[Lane, Position]) -> None:
        self._opened().append(readings, positions)

    def positions(self) -> Mapping[Lane, Position]:
        return self._opened().positions()

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        return self._opened().range(series, start_at, end_at, max_points=max_points)

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        return self._opened().scan(series, start_at, end_at)

    def latest(self) -> Readings:
        return self._opened().latest()

    def forget_before(self, at: int) -> int:
        return self._opened().forget_before(at)

    def close(self) -> None:
        with self._opening:
            if self._store is not None:
                self._store.close()

    def _opened(self) -> SeriesStore:
        with self._opening:
            if self._store is not None:
                return self._store
            if self._outage is not None and self._monotonic() < self._again_at:
                raise self._outage
            try:
                self._store = self._open_it()
            except StoreOutage as outage:
                raise self._note(outage) from outage
            except OSError as error:
                raise self._note(StoreOutage(str(error), can_retry=True)) from error
            return self._store

    def _note(self, outage: StoreOutage) -> StoreOutage:
        self._outage, self._again_at = outage, self._monotonic() + AGAIN_S
        return outage
