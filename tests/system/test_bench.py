"""`satomori bench …`: what it prints, on small loads; how fast anything is decides nothing here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from bench.campaign import read
from bench.comparison import compare, expected_per_device
from bench.counting import ScanCounter
from bench.growth import POINTS, parse_points
from bench.ingest import prepared
from bench.meter import robust_slope
from bench.options import Options, Servers
from bench.progress import Progress
from bench.references import run_sink
from bench.result import failures
from bench.subject import device_name
from bench.tables import campaign_tables
from devices.database import metadata, open_database
from devices.drafts import DeviceDraft
from devices.readings import Readings
from devices.registry import Registry, RegistrySnapshot
from ingest.stores import open_store
from ingest.stores.series_store import SeriesStore
from satomori.broker import find_mosquitto, shipped_config

SMALL = ("--devices", "100", "--connections", "10", "--seconds", "2", "--rate", "500")
SOON = ("--warm-up", "1", "--flush-s", "0.3")
RATES = {
    "msgs_per_s", "publish_msgs_per_s", "intake_msgs_per_s", "cpu_s_per_100k",
    "rss_mb", "rss_mb_peak", "rss_growth_mb_per_min",
}  # fmt: skip
DELAYS = {
    f"{part}{lane}_alarm_ms"
    for part in ("p50", "p99", "max")
    for lane in ("", "_urgent", "_routine")
}


def _environment(folder: Path) -> dict[str, str]:
    """Folders are made where the test sees them."""
    folder.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(folder)}


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "satomori", "bench", *arguments, "--json"]


def _bench(folder: Path, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """The one JSON object of a run; nothing of it may stay in its folder."""
    done = subprocess.run(
        _command(*arguments), env=_environment(folder), capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr[-4000:]
    assert not list(folder.glob("satomori-bench-*")), "what a run made must go with it"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _nothing_is_missing(result: Mapping[str, Any]) -> None:
    assert (result["lost"], result["repeated"], result["unexpected"]) == (0, 0, 0)
    assert result["failures"] == []
    counts = result["by_quantity"]
    assert set(counts) == {"water.level", "paddy.depth", "battery.voltage", "radio.rssi"}
    assert all(count["expected"] > 0 and count["lost"] == 0 for count in counts.values())


def test_a_run_accounts_for_every_reading_and_stands_beside_two_references(tmp_path: Path) -> None:
    """A program can rely on the keys, and on `lost` and `repeated` being counted."""
    result = _bench(tmp_path / "runs", "ingest", *SMALL, *SOON)
    _nothing_is_missing(result)
    assert set(result) >= RATES | DELAYS
    assert result["messages"] >= 900
    assert result["by_quantity"]["radio.rssi"]["expected"] > result["messages"], (
        "warm-up counts too"
    )
    assert result["alarms"] > 0
    assert result["alarms_missing"] == 0
    assert result["p99_urgent_alarm_ms"] > 0
    assert result["p99_routine_alarm_ms"] > 0
    assert set(result["cpu_s"]) == {"supervisor", "intake", "alerts", "web"}
    for name in ("sink", "paho"):
        reference = result["references"][name]
        assert reference["messages"] >= 900
        assert reference["program"] == {"sink": "csink", "paho": "paho-mqtt"}[name]
        assert result[f"{name}_msgs_per_s"] == reference["msgs_per_s"] > 0
        assert result[f"ratio_to_{name}"] > 0


@pytest.mark.skipif(
    not (shutil.which("influxd") or os.environ.get("SATOMORI_INFLUXD_18")),
    reason="InfluxDB 1.x is not installed",
)
def test_tls_influxdb_and_several_readings_a_message_are_accounted_for_too(tmp_path: Path) -> None:
    """The other combinations give the same keys; the store's lag is among them."""
    result = _bench(
        tmp_path / "runs", "ingest", *SMALL, *SOON, "--tls", "--store", "influxdb",
        "--readings-per-message", "10", "--no-references",
    )  # fmt: skip
    _nothing_is_missing(result)
    assert result["by_quantity"]["radio.rssi"]["expected"] >= 10 * result["messages"]
    assert result["tls"] == {"intake": True, "publishers": True, "references": False}
    assert result["store_lag_messages"] >= 0
    assert result["ratio_to_sink"] is None
    assert result["alarms"] > 0


def test_a_storm_misses_no_urgent_crossing_and_loses_nothing(tmp_path: Path) -> None:
    """Intake is throttled, the backlog is shown over time, and all of it is stored at last."""
    result = _bench(
        tmp_path / "runs", "storm", "--devices", "200", "--connections", "10", "--rate", "2000",
        "--seconds", "4", "--calibrate", "4", "--throttle", "signals", *SOON,
    )  # fmt: skip
    _nothing_is_missing(result)
    assert result["throttle"] == "signals"
    assert result["urgent_alarms"] > 0
    assert result["urgent_alarms_missing"] == 0
    assert result["max_urgent_alarm_ms"] >= result["p99_urgent_alarm_ms"] > 0
    assert result["backlog"], "the routine backlog over time"
    assert result["broker_rss_mb_peak"] > 0
    assert result["drain_s"] > 0


def test_growth_gives_a_point_for_each_pair_of_devices_and_rules(tmp_path: Path) -> None:
    """One short run each; with one rule only the urgent lane has any."""
    result = _bench(
        tmp_path / "runs", "ingest-growth", "--points", "60x1", "--connections", "4",
        "--seconds", "1", "--rate", "300", "--warm-up", "1",
    )  # fmt: skip
    (point,) = result["points"]
    assert (point["devices"], point["rules"]) == (60, 1)
    assert point["messages"] > 0
    assert point["msgs_per_s"] > 0
    assert point["cpu_s_per_100k"] > 0


def test_a_run_in_which_a_process_died_gives_no_figures_but_says_so(tmp_path: Path) -> None:
    """Exit code 3, a sentence and no JSON: what stands in again would make the figures false."""
    folder = tmp_path / "runs"
    bench = subprocess.Popen(
        _command("ingest", *SMALL, *SOON, "--no-references"), env=_environment(folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.kill(_pid_of_intake(folder, bench), signal.SIGKILL)
    out, said = bench.communicate(timeout=120)
    assert bench.returncode == 3, said
    assert "a process died" in said
    assert out == ""


def _pid_of_intake(folder: Path, bench: subprocess.Popen[str]) -> int:
    """Once it has taken something in."""
    end = time.monotonic() + 60
    while time.monotonic() < end and bench.poll() is None:
        for file in folder.glob("satomori-bench-*/var/run/intake.json"):
            status = json.loads(file.read_text())
            if any(lane["messages"] for lane in status["lanes"].values()):
                return int(status["pid"])
        time.sleep(0.05)
    raise AssertionError("intake has taken nothing in")


def test_without_a_compiler_slower_programs_stand_in_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mosquitto_sub is the sink; the publishers are Python, and count as the C ones do."""
    mosquitto = find_mosquitto()
    if mosquitto is None or not shutil.which("mosquitto_sub"):
        pytest.skip("mosquitto or mosquitto_sub is not installed (mosquitto-clients)")
    monkeypatch.setenv("SATOMORI_CC", "none")
    servers = Servers(mosquitto, shipped_config(), None)
    options = Options(devices=60, connections=7, seconds=2, warm_up_s=1, rate=500, rules=2)
    with prepared(options, servers, Progress()) as (place, _):
        sink = run_sink(place, servers, None, options, Progress())
    assert sink.program == "mosquitto_sub"
    assert sink.messages >= 900
    assert sink.msgs_per_s > 0


def test_without_the_broker_a_run_says_what_is_missing(tmp_path: Path) -> None:
    environment = {**_environment(tmp_path / "runs"), "SATOMORI_MOSQUITTO": "none"}
    done = subprocess.run(
        _command("ingest"), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "mosquitto" in done.stderr


# -- what tells a loss


DEVICES = 40


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistrySnapshot]:
    """Devices as the bench registers them."""
    database = open_database(f"sqlite:///{tmp_path / 'satomori.db'}")
    metadata.create_all(database)
    drafts = [
        DeviceDraft(device_name(n), "river-gauge" if n % 20 == 0 else "paddy-node")
        for n in range(DEVICES)
    ]
    yield Registry(database).register(drafts, now=0)
    database.dispose()


def _fill(store: SeriesStore, registry: RegistrySnapshot, messages: int, left_out: int = 0) -> None:
    """So many messages of each device, but for the last ``left_out`` readings of one series."""
    series = sorted(
        number
        for number, definition in registry.definitions.items()
        if definition.quantity in {"water.level", "paddy.depth", "battery.voltage", "radio.rssi"}
    )
    ids = np.repeat(np.array(series, np.int32), messages)
    at = np.tile(np.arange(messages, dtype=np.int64) + 1_790_000_000_000, len(series))
    rows = Readings(ids, at, at, np.ones(len(ids)), np.zeros(len(ids), np.uint8))
    store.append(rows.take(np.arange(len(ids) - left_out)), {})


def test_a_reading_that_is_not_in_the_store_is_counted_as_lost(
    tmp_path: Path, registry: RegistrySnapshot
) -> None:
    """One of 480 is missing; and where more was acknowledged than was stored, all of that."""
    store = open_store("duckdb", directory=tmp_path / "store")
    store.define(list(registry.definitions.values()))
    _fill(store, registry, messages=4, left_out=1)
    options = Options(devices=DEVICES, connections=3)
    acknowledged = [14 * 4, 13 * 4, 13 * 4]
    counts = compare(ScanCounter(store, registry), options, acknowledged)
    assert sum(count.lost for count in counts.values()) == 1
    assert sum(count.expected for count in counts.values()) == 3 * 4 * DEVICES
    (why,) = failures(counts, alarms_missing=0)
    assert "1 of" in why

    doctored = compare(ScanCounter(store, registry), options, [14 * 4, 13 * 4 + 1, 13 * 4])
    assert sum(count.lost for count in doctored.values()) == 1 + 3
    doctored = compare(ScanCounter(store, registry), options, [14 * 4, 13 * 4 - 1, 13 * 4])
    assert sum(count.unexpected for count in doctored.values()) == 3
    assert any("never acknowledged" in why for why in failures(doctored, alarms_missing=0))
    store.close()


def test_a_reading_that_is_stored_twice_is_counted_as_repeated(
    tmp_path: Path, registry: RegistrySnapshot
) -> None:
    """The store does not let it happen, so it is put there behind the store's back."""
    store = open_store("duckdb", directory=tmp_path / "store")
    store.define(list(registry.definitions.values()))
    _fill(store, registry, messages=2)
    store.close()
    with duckdb.connect(str(tmp_path / "store" / "readings.duckdb")) as file:
        file.execute("INSERT INTO readings SELECT * FROM readings ORDER BY ALL LIMIT 1")
    store = open_store("duckdb", directory=tmp_path / "store")
    counts = compare(
        ScanCounter(store, registry), Options(devices=DEVICES, connections=1), [2 * DEVICES]
    )
    assert sum(count.repeated for count in counts.values()) == 1
    assert sum(count.lost for count in counts.values()) == 0
    assert any("stored twice" in why for why in failures(counts, alarms_missing=0))
    store.close()


def test_alarms_that_are_missing_or_too_many_make_a_run_a_failure() -> None:
    assert failures({}, alarms_missing=0) == ()
    assert failures({}, alarms_missing=3) == ("3 alarm transitions are missing",)
    assert failures({}, alarms_missing=-2) == ("2 alarm transitions are too many",)


def test_each_devices_share_of_a_connections_acknowledgements_is_known() -> None:
    """Connection i serves devices i, i + c, … in turns; a broken round ends in the middle."""
    assert expected_per_device(5, [4, 3]).tolist() == [2, 2, 1, 1, 1]
    assert expected_per_device(2, [3, 1, 0]).tolist() == [3, 1]


def test_memory_that_jumps_once_and_stays_is_no_growth() -> None:
    """The slope is the median over all pairs: an outlier does not move it, a trend does."""
    times = np.arange(20.0)
    assert robust_slope(times, np.where(times == 7, 900.0, 100.0)) == 0.0
    assert robust_slope(times, 100.0 + 2.0 * times) == pytest.approx(2.0)
    assert robust_slope(times[:4], times[:4]) is None


def test_the_tables_of_the_docs_come_from_a_campaigns_file(tmp_path: Path) -> None:
    """The newest run of each name counts; one that failed says so in its row."""
    file = tmp_path / "results.jsonl"
    runs = [
        {"name": "default", "command": "ingest", "error": None, "result": {"msgs_per_s": 1.0}},
        {"name": "default", "command": "ingest", "error": None, "result": {"msgs_per_s": 48_000.5}},
        {"name": "tls", "command": "ingest --tls", "error": "exit code 3", "result": None},
        {"name": "storm", "command": "storm", "error": None, "result": {"throttle": "signals"}},
        {"name": "growth", "command": "ingest-growth", "error": None,
         "result": {"points": [{"devices": 1000, "rules": 20}]}},
    ]  # fmt: skip
    file.write_text("".join(json.dumps(run) + "\n" for run in runs))
    table = campaign_tables(read(file))
    assert "| `ingest` | 48,000 |" in table or "| `ingest` | 48,001 |" in table
    assert "| `ingest --tls` | failed: exit code 3 |" in table
    assert "| `storm` |" in table
    assert "| 1,000 | 20 |" in table


def test_points_of_growth_are_read_or_refused() -> None:
    assert parse_points("1000x20,20000x1") == ((1000, 20), (20_000, 1))
    assert parse_points("") == POINTS
    for wrong in ("1000", "1000x", "0x20", "50001x1", "10x101", "axb"):
        with pytest.raises(ValueError):
            parse_points(wrong)
