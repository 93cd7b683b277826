"""What the look at all devices costs: ``python -m bench.device_health``.

A DuckDB store of made-up devices (three quantities, hourly) is looked at for the first time, when
all its days are read, and then round by round as in service. CPU of the whole process, DuckDB's
threads included. No pace is kept: it is the cost that is measured, not the time it is spread over.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import alerts.tables  # noqa: F401 - its tables are known once it is read
import dashboards.tables  # noqa: F401 - its tables are known once it is read
import ingest.tables  # noqa: F401 - its tables are known once it is read
from dashboards.device_health import DeviceHealth, HealthOptions, Pace
from dashboards.device_said import FrameInbox
from devices.database import metadata, open_database
from devices.frames import Lane, Position
from devices.health.days import DAY_MS
from devices.readings import readings_from_columns
from devices.registry import DeviceDraft, Registry, RegistrySnapshot
from ingest.store_writer import StoreWriter
from ingest.stores.duckdb import DuckDBStore

FIRST_DAY = 20_400
QUANTITIES = ("paddy.depth", "battery.voltage", "radio.rssi")
UNHURRIED = Pace(round_s=0.0, busy_share=1.0, shortest_pause_s=0.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of the first look and of one round after it, the longest step, peak memory."""

    devices: int
    days: int
    readings: int
    first_look_cpu_s: float
    round_cpu_s: float
    new_day_round_cpu_s: float
    longest_step_cpu_s: float
    peak_mib: float


def measure(devices: int, days: int, folder: Path) -> Cost:
    """Fill a store in ``folder`` and look at its devices."""
    database = open_database(f"sqlite:///{folder / 'satomori.db'}")
    metadata.create_all(database)
    registry = Registry(database)
    drafts = [
        DeviceDraft(f"paddy-{n:05d}", "paddy-node", area=f"area-{n % 20}", interval_s=3600)
        for n in range(devices)
    ]
    snapshot = registry.register(drafts, FIRST_DAY * DAY_MS)
    store = DuckDBStore(folder / "readings.duckdb")
    rows = sum(_fill(store, snapshot, FIRST_DAY + day) for day in range(days))
    clock = [(FIRST_DAY + days) * DAY_MS - DAY_MS // 2]
    work = DeviceHealth(
        database=database,
        registry=registry,
        stored=StoreWriter(store, {}),
        inbox=FrameInbox(),
        heard_at=lambda _device: clock[0],
        now=lambda: clock[0],
        options=HealthOptions(pace=UNHURRIED),
    )
    steps: list[float] = []
    first = _look(work, steps, until_rounds=None)
    again = _look(work, steps, until_rounds=work.rounds + 1)
    clock[0] += DAY_MS
    new_day = _look(work, steps, until_rounds=work.rounds + 1)
    store.close()
    database.dispose()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(devices, days, rows, first, again, new_day, max(steps), peak_mib)


def _fill(store: DuckDBStore, snapshot: RegistrySnapshot, day: int) -> int:
    """One day of all devices; how many readings."""
    chance = np.random.default_rng(day)
    series = np.array(
        [[snapshot.series[d, q] for q in QUANTITIES] for d in snapshot.devices], np.int32
    )
    hours = day * DAY_MS + np.arange(24) * 3_600_000
    at = np.repeat(hours, series.size)
    numbers = np.tile(series.ravel(), 24)
    base = np.tile(np.array([0.05, 3.6, -95.0]), series.shape[0] * 24)
    spread = np.tile(np.array([0.004, 0.004, 3.0]), series.shape[0] * 24)
    value = np.round(base + spread * chance.normal(size=len(at)), 3)
    batch = readings_from_columns(numbers, at, at + 2000, value, np.zeros(len(at), np.uint8))
    store.append(batch, {lane: Position(1, day) for lane in Lane})
    return len(at)


def _look(work: DeviceHealth, steps: list[float], *, until_rounds: int | None) -> float:
    """Steps until so many rounds are done (None: until all days are read); CPU seconds."""
    began = time.process_time()
    while True:
        before = time.process_time()
        work.step()
        steps.append(time.process_time() - before)
        is_done = work.rounds >= 2 and not work.is_behind
        if is_done if until_rounds is None else work.rounds >= until_rounds:
            return time.process_time() - began


def main() -> None:
    """Print the cost as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--days", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cost = measure(options.devices, options.days, Path(folder))
    sys.stdout.write(
        json.dumps({name: round(getattr(cost, name), 2) for name in Cost.__slots__}) + "\n"
    )


if __name__ == "__main__":
    main()
