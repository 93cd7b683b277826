"""How many readings of one quantity the reopened store holds for each device.

Refuses to know how many there should be. DuckDB gives every row; InfluxDB counts by itself, since
reading millions of points back takes it longer than the whole run. It keeps one point for a series
and time, so there rows and distinct times are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.options import BenchError, Options
from devices.readings import Int64s
from devices.registry import RegistrySnapshot
from ingest.stores import open_store
from ingest.stores.influx_http import InfluxAddress, InfluxServer
from ingest.stores.series_store import SeriesStore, StoreOutage

_TIME_BITS = 36
"""Of a key of series and time: ms of two years, and 2**27 series."""
_COUNTING_S = 600.0
_DATABASE = "satomori"  # the default of [store.influxdb]; nothing personal is published


class Counter(Protocol):
    """Counts what a store holds. Raises StoreOutage where it cannot be read."""

    def count(self, quantity: str, devices: Sequence[str]) -> tuple[Int64s, Int64s]:
        """Rows and distinct times of each device, in the order of ``devices``."""
        ...


@contextmanager
def open_counter(
    directory: Path, registry: RegistrySnapshot, options: Options
) -> Iterator[Counter]:
    """The store, opened again. Raises BenchError where it cannot be read."""
    try:
        if options.store == "influxdb":
            server = InfluxServer(InfluxAddress(options.store_url, timeout_s=_COUNTING_S))
            server.prepare([_DATABASE])
            yield InfluxCounter(server)
            server.close()
        else:
            store = open_store("duckdb", directory=directory)
            yield ScanCounter(store, registry)
            store.close()
    except StoreOutage as outage:
        raise BenchError(f"the store cannot be compared: {outage}") from outage


class ScanCounter:
    """Reads every row."""

    def __init__(self, store: SeriesStore, registry: RegistrySnapshot) -> None:
        self._store, self._registry = store, registry

    def count(self, quantity: str, devices: Sequence[str]) -> tuple[Int64s, Int64s]:
        """Rows and distinct times of each device, in the order of ``devices``."""
        ids = [self._registry.by_name[name].id for name in devices]
        series = np.array([self._registry.series.get((i, quantity), -1) for i in ids])
        width = int(max(series.max(initial=0), 0)) + 1
        found, distinct = np.zeros(width, np.int64), np.zeros(width, np.int64)
        for batch in self._store.scan(series[series >= 0].tolist(), 0, 1 << 52):
            rows = batch.series.astype(np.int64)
            found += np.bincount(rows, minlength=width)
            keys = np.unique(rows << _TIME_BITS | batch.measured_at - int(batch.measured_at.min()))
            distinct += np.bincount(keys >> _TIME_BITS, minlength=width)
        is_known = series >= 0  # -1 takes the last one, and is not taken
        return np.where(is_known, found[series], 0), np.where(is_known, distinct[series], 0)


class InfluxCounter:
    """Lets the server count."""

    def __init__(self, server: InfluxServer) -> None:
        self._server = server

    def count(self, quantity: str, devices: Sequence[str]) -> tuple[Int64s, Int64s]:
        """Points of each device, in the order of ``devices``; twice, see above."""
        statement = f'SELECT count("value") FROM "{quantity}" GROUP BY "device"'
        tables = self._server.select(_DATABASE, statement)
        points = {table.tags["device"]: int(table.column("count")[0]) for table in tables}
        counts = np.array([points.get(name, 0) for name in devices], np.int64)
        return counts, counts
