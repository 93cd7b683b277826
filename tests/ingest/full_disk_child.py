"""Appends 40 batches of 20,000 readings to a DuckDB store on a disk that fills up on the way.

``python -m tests.ingest.full_disk_child FILE LIMIT_BYTES CHECKPOINT``: no file may grow beyond the
limit until appending has failed three times; then ends without closing the store.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from devices.frames import Lane, Position
from devices.readings import Readings
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.series_store import StoreOutage

T0 = 1_790_000_000_000
ROWS = 20_000


def _batch(k: int) -> Readings:
    series = (np.arange(ROWS) // 1000 + 1).astype(np.int32)
    measured_at = T0 + k * 1000 + np.arange(ROWS) % 1000
    return Readings(
        series, measured_at, measured_at + 5, series.astype(np.float64), np.zeros(ROWS, np.uint8)
    )


def _append_until_full(store: DuckDBStore) -> int:
    failures = k = 0
    while failures < 3:
        try:
            store.append(_batch(k), {Lane.URGENT: Position(77, k)})
        except StoreOutage:
            failures += 1
        else:
            k += 1
    return k


def main(path: Path, limit_bytes: int, checkpoint: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = DuckDBStore(path)
    store._writer.execute(f"SET checkpoint_threshold = '{checkpoint}'")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    k = _append_until_full(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for later in range(k, 40):
        store.append(_batch(later), {Lane.URGENT: Position(77, later)})
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
