"""How fast a store takes a backlog from the journal: `python -m bench.store_drain`.

Writes ``--readings`` readings of ``--devices`` devices into a journal of its own, as intake does,
then lets the store writer drain it as fast as it can, and prints one JSON object: readings a
second, CPU seconds of the writer (and of the server, with ``--server-pid``), the batch, and
whether all of it is in the store. The server is somebody else's: give its ``--url``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.processes import usage_of
from devices.frames import Lane, Position, ReadingsFrame, Receipts, SeriesDefinition, SeriesFrame
from devices.readings import Readings
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.store_writer import StoreWriter
from ingest.stores import open_store
from ingest.stores.series_store import SeriesStore

QUANTITIES = ("water.level", "battery.voltage", "radio.rssi")
ROWS_A_FRAME = 3_000
T0 = 1_790_000_000_000


def main() -> None:
    """Run once and print the figures."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="satomori-drain-") as name:
        folder = Path(name)
        heads = _fill_journal(folder, options.readings, options.devices)
        store = open_store(
            options.store, directory=folder / "store", url=options.url, org=options.org,
            database=options.database, personal_database=f"{options.database}_personal",
            username=options.username, secret=options.secret,
        )  # fmt: skip
        server_s = _cpu_s_of(options.server_pid)
        began, cpu = time.monotonic(), _own_cpu_s()
        asyncio.run(_drain(folder, store, heads, options.flush_rows))
        seconds, own_s = time.monotonic() - began, _own_cpu_s() - cpu
        counts = store.counts
        store.close()
        figures = {
            "store": options.store,
            "readings": options.readings,
            "devices": options.devices,
            "seconds": round(seconds, 2),
            "readings_per_s": round(options.readings / seconds),
            "cpu_s_per_million": round(own_s / options.readings * 1e6, 2),
            "server_cpu_s_per_million": _server_share(options, server_s),
            "flush_rows": options.flush_rows,
            "stored": counts.rows,
            "refused": counts.refused,
        }
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=("duckdb", "influxdb"), default="influxdb")
    parser.add_argument("--url", default="http://127.0.0.1:8086")
    parser.add_argument("--database", default=f"drain{int(time.time())}")
    parser.add_argument("--org", default="")
    parser.add_argument("--username", default="")
    parser.add_argument("--secret", default="")
    parser.add_argument("--server-pid", type=int, default=0)
    parser.add_argument("--readings", type=int, default=2_000_000)
    parser.add_argument("--devices", type=int, default=2_000)
    parser.add_argument("--flush-rows", type=int, default=50_000)
    return parser.parse_args()


def _fill_journal(folder: Path, readings: int, devices: int) -> dict[Lane, Position]:
    definitions = [
        SeriesDefinition(device * len(QUANTITIES) + k, device, f"gauge-{device:05}", "river-gauge",
                         quantity)
        for device in range(devices)
        for k, quantity in enumerate(QUANTITIES)
    ]  # fmt: skip
    heads = {}
    for lane in Lane:
        with JournalWriter(folder / lane, lane, low_water_bytes=0, reserve_bytes=0) as journal:
            heads[lane] = journal.append([SeriesFrame(tuple(definitions))])
            for first in range(0, readings if lane is Lane.URGENT else 0, ROWS_A_FRAME):
                count = min(ROWS_A_FRAME, readings - first)
                heads[lane] = journal.append([_frame(first, count, len(definitions))])
    return heads


def _frame(first: int, count: int, series: int) -> ReadingsFrame:
    """Rows ``first`` and following: series in turn, each round a minute later."""
    rows = np.arange(first, first + count)
    at = T0 + rows // series * 60_000
    value = np.round(2.0 + np.sin(rows / 977.0), 3)
    nothing = np.empty(0, np.int64)
    return ReadingsFrame(
        Readings((rows % series).astype(np.int32), at, at + 800, value,
                 np.zeros(count, np.uint8)),
        Receipts("bench", nothing.astype(np.uint16), nothing.astype(np.uint64),
                 nothing.astype(np.int32), nothing),
    )  # fmt: skip


async def _drain(
    folder: Path, store: SeriesStore, heads: dict[Lane, Position], flush_rows: int
) -> None:
    followers = {lane: JournalFollower(folder / lane, lane, "store") for lane in Lane}
    writer = StoreWriter(store, followers, flush_rows=flush_rows, flush_s=0.5)
    task = asyncio.create_task(writer.run(), name="store-writer")
    try:
        while dict(store.positions()) != heads:
            if task.done():
                task.result()
            await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for follower in followers.values():
            follower.close()


def _cpu_s_of(pid: int) -> float:
    return usage_of([pid])[pid].cpu_s if pid else 0.0


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _server_share(options: argparse.Namespace, before_s: float) -> float | None:
    if not options.server_pid:
        return None
    spent_s = _cpu_s_of(options.server_pid) - before_s
    return round(spent_s / int(options.readings) * 1e6, 2)


if __name__ == "__main__":
    main()
