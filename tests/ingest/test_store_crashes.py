"""The store writer killed by SIGKILL at any point: every journaled reading is stored, once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from devices.frames import Lane, ReadingsFrame, Receipts, SeriesDefinition, SeriesFrame, TickFrame
from devices.readings import Readings, concatenate, readings_from_columns
from ingest.journal import JournalWriter
from ingest.stores import open_store
from tests.servers.influx import GENERATIONS, StartInflux

T0 = 1_790_000_000_000
ROOT = Path(__file__).resolve().parents[2]
QUANTITIES = ("water.level", "battery.voltage", "water.total")
DEFINITIONS = {
    Lane.URGENT: [
        SeriesDefinition(i, i, f"RG-{i}", "river-gauge", QUANTITIES[i % 2]) for i in range(1, 6)
    ],
    Lane.ROUTINE: [
        SeriesDefinition(i, i, f"WM-{i}", "water-meter", QUANTITIES[2]) for i in range(11, 16)
    ],
}


def no_receipts() -> Receipts:
    return Receipts(
        "test-0",
        np.empty(0, np.uint16),
        np.empty(0, np.uint64),
        np.empty(0, np.int32),
        np.empty(0, np.int64),
    )


def frame(readings: Readings) -> ReadingsFrame:
    return ReadingsFrame(readings, no_receipts())


def fill_journals(directory: Path, dice: random.Random, frames: int = 150) -> Readings:
    """Write both lanes, in disorder and with repetitions; all distinct readings by series, time."""
    everything = []
    for lane, definitions in DEFINITIONS.items():
        with JournalWriter(directory / lane, lane, segment_bytes=64_000) as journal:
            journal.append([SeriesFrame(tuple(definitions))])
            for k in range(frames):
                n = dice.randrange(1, 60)
                series = [dice.choice(definitions).series for _ in range(n)]
                at = [T0 + (k * 20 + dice.randrange(60)) * 1000 for _ in range(n)]
                value = [(t // 1000 % 977) / 7 + s for s, t in zip(series, at, strict=True)]
                readings = readings_from_columns(series, at, [t + 5 for t in at], value, [0] * n)
                journal.append([frame(readings), TickFrame(T0 + k * 1000)])
                everything.append(readings)
    rows = concatenate(everything)
    keys = np.stack((rows.series.astype(np.int64), rows.measured_at))
    _, first = np.unique(keys, axis=1, return_index=True)
    return rows.take(first)


class Trial:
    """Journals, a store, and the child process between them."""

    def __init__(self, directory: Path, options: dict[str, str], dice: random.Random) -> None:
        self.journals = directory / "journal"
        self.options = options | {"directory": str(directory / "store")}
        self.expected = fill_journals(self.journals, dice)

    def start(self, failpoint: str = "") -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.ingest.store_child",
                str(self.journals),
                json.dumps(self.options),
            ],
            cwd=ROOT,
            env=os.environ | {"SATOMORI_FAILPOINT": failpoint},
        )

    def passed(self) -> int:
        """How many frames of both lanes the reader says that it is done with."""
        notes = [self.journals / lane / "readers" / "store.json" for lane in Lane]
        return sum(json.loads(n.read_text())["n"] for n in notes if n.exists())

    def kill_when_passed(self, n: int) -> None:
        child = self.start()
        deadline = time.monotonic() + 60
        while self.passed() < n and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        child.kill()
        child.wait(30)

    def finish(self) -> None:
        assert self.start().wait(120) == 0

    def stored(self) -> Readings:
        options = {k: v for k, v in self.options.items() if k not in ("kind", "directory")}
        kind = "duckdb" if self.options["kind"] == "duckdb" else "influxdb"
        store = open_store(kind, directory=Path(self.options["directory"]), **options)
        series = [d.series for ds in DEFINITIONS.values() for d in ds]
        rows = concatenate(list(store.scan(series, 0, 2 * T0)))
        store.close()
        return rows.take(np.lexsort((rows.measured_at, rows.series)))

    def assert_all_stored_once(self) -> None:
        rows = self.stored()
        assert rows.series.tolist() == self.expected.series.tolist()
        assert rows.measured_at.tolist() == self.expected.measured_at.tolist()
        assert rows.value.tolist() == self.expected.value.tolist()
        assert rows.received_at.tolist() == self.expected.received_at.tolist()


@pytest.fixture(params=["duckdb", *GENERATIONS])
def trial(request: pytest.FixtureRequest, shared_influx: StartInflux, tmp_path: Path) -> Trial:
    options = {"kind": request.param}
    if request.param != "duckdb":
        server = shared_influx(request.param)
        name = f"t{uuid.uuid4().hex[:12]}"
        options |= {"kind": "influxdb", "url": server.address.url, "org": server.address.org}
        options |= {"secret": server.address.secret}
        options |= {"database": name, "personal_database": f"{name}_personal"}
    return Trial(tmp_path, options, random.Random(f"{request.param} {request.node.name}"))


@pytest.mark.parametrize("failpoint", ["store.written", "store.position_saved"])
@pytest.mark.parametrize("count", [1, 4])
def test_killed_between_two_steps_everything_is_stored_once(
    trial: Trial, failpoint: str, count: int
) -> None:
    """The same step is killed twice, then the writer is left alone."""
    for _ in range(2):
        assert trial.start(f"{failpoint}:{count}").wait(60) == -signal.SIGKILL
    trial.finish()
    trial.assert_all_stored_once()


def test_killed_at_random_everything_is_stored_once(trial: Trial) -> None:
    dice = random.Random(7)
    for _ in range(5):
        trial.kill_when_passed(trial.passed() + dice.randrange(1, 100))
    trial.finish()
    trial.assert_all_stored_once()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_many_times_everything_is_stored_once(trial: Trial, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(5):
        trial.kill_when_passed(trial.passed() + dice.randrange(1, 100))
    trial.finish()
    trial.assert_all_stored_once()


def test_a_store_without_its_position_file_reads_everything_again(trial: Trial) -> None:
    """Positions lost or restored from an old backup: the same readings change nothing."""
    trial.finish()
    for position in Path(trial.options["directory"]).glob("influx-positions.json"):
        position.unlink()
    trial.finish()
    trial.assert_all_stored_once()
