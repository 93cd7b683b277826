"""`satomori bench ingest`: the whole path under load, on this machine, with its own broker.

One run: start `satomori run` in a fresh folder, publish at QoS 1, wait until every reader has
passed the last acknowledged message, stop, open the store again, compare it with the PUBACKs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import numpy as np
from sqlalchemy import select

from alerts.tables import transition
from bench.processes import Usage, free_port, usage_of
from devices.database import open_database
from devices.frames import Lane
from devices.readings import Int64s
from devices.registry import Registry, RegistrySnapshot
from ingest.journal_follower import JournalFollower
from ingest.journal_retention import load_readers
from ingest.stores import open_store

READERS = ("store", "alerts")
URGENT_EVERY, FIRE_EVERY = 20, 1000
QUANTITIES = {True: "water.level", False: "paddy.depth"}
RULES = 20


@dataclass(frozen=True, slots=True)
class Options:
    """What to run: ``rate`` 0 is as fast as the broker answers."""

    devices: int = 20_000
    connections: int = 50
    seconds: float = 60.0
    rate: float = 0.0
    window: int = 400
    store: Literal["duckdb", "influxdb"] = "duckdb"
    store_url: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave. Seconds and rates cover the first publish until all readers had passed;
    ``cpu_s_per_100k`` sums intake, alerts and web over that time; ``lost`` and ``repeated`` count
    readings (three a message) against the publisher's acknowledgements."""

    messages: int
    seconds: float
    msgs_per_s: float
    publish_msgs_per_s: float
    drain_s: float
    cpu_s_per_100k: float
    cpu_s: dict[str, float]
    lost: int
    repeated: int
    rss_mb: float
    alarms: int
    p50_alarm_ms: float | None
    p99_alarm_ms: float | None
    options: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """A line a figure."""
        return "\n".join(f"{key:<20} {value}" for key, value in asdict(self).items())


def run(options: Options) -> Result:
    """Run the benchmark once; raises CalledProcessError when a part of it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="satomori-bench-") as name:
        folder = Path(name)
        config = _configure(folder, options)
        _import_devices(config, folder, options)
        with _system(config, folder) as children:
            before = usage_of(children.values())
            began = time.monotonic()
            load = _publish(folder, options)
            published_s = time.monotonic() - began
            _wait_for_intake(folder / "var" / "run" / "intake.json", int(str(load["acknowledged"])))
            _wait_for_readers(folder / "var" / "journal")
            seconds = time.monotonic() - began
            after = usage_of(children.values())
        return _result(folder, options, load, before, after, published_s, seconds, children)


def _configure(folder: Path, options: Options) -> Path:
    config = folder / "satomori.toml"
    rules = folder / "rules.toml"
    rules.write_text(_rules(), encoding="utf-8")
    influx = f'[store.influxdb]\nurl = "{options.store_url}"\n' if options.store_url else ""
    config.write_text(
        f'[paths]\nvar = "{folder / "var"}"\n'
        f"[broker]\nport = {free_port()}\n[web]\nport = {free_port()}\n"
        f'[alerts]\nrules_file = "{rules}"\n'
        f'[store]\nkind = "{options.store}"\n{influx}',
        encoding="utf-8",
    )
    return config


def _rules() -> str:
    """20 stage rules over both lanes; the swinging devices cross every one of them."""
    lines = []
    for k in range(RULES):
        is_urgent = k % 2 == 0
        kind = "river-gauge" if is_urgent else "paddy-node"
        value = (1.5 + k / 10) / (1 if is_urgent else 4)
        lines.append(
            f'[[rules]]\nname = "rule-{k}"\nkind = "stages"\nquantity = "{QUANTITIES[is_urgent]}"\n'
            f'hysteresis = 0.02\nwhere = {{ device_kinds = ["{kind}"] }}\n'
            f'stages = [{{ name = "caution", level = 2, value = {value} }}]\n'
        )
    return "\n".join(lines)


def _import_devices(config: Path, folder: Path, options: Options) -> None:
    file = folder / "devices.csv"
    rows = ["name,kind,label,site,area,interval_s"]
    for number in range(options.devices):
        kind = "river-gauge" if number % URGENT_EVERY == 0 else "paddy-node"
        rows.append(f"load-{number:05d},{kind},load {number},bench,bench,86400")
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    _satomori("devices", "import", str(file), "--config", str(config))
    _satomori("broker", "simulator", "--config", str(config))


def _satomori(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "satomori", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"satomori {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


@contextlib.contextmanager
def _system(config: Path, folder: Path) -> Iterator[dict[str, int]]:
    """Run the system; gives the pids of our three processes."""
    with (folder / "satomori.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "satomori", "run", "--config", str(config)],
            stdout=log,
            stderr=log,
        )
        try:
            yield _ready(folder, process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _ready(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, int]:
    end = time.monotonic() + 60
    settings_file = folder / "var" / "run" / "settings.json"
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            port = json.loads(settings_file.read_text())["web"]["port"]
            if httpx.get(f"http://127.0.0.1:{port}/api/ready").status_code == httpx.codes.OK:
                status = json.loads((folder / "var" / "run" / "system.json").read_text())
                return {n: status["children"][n] for n in ("intake", "alerts", "web")}
        time.sleep(0.1)
    raise RuntimeError(f"not ready: {(folder / 'satomori.log').read_text()[-2000:]}")


def _publish(folder: Path, options: Options) -> Mapping[str, object]:
    settings = json.loads((folder / "var" / "run" / "settings.json").read_text())
    password = (folder / "var" / "broker" / "simulator.password").read_text().strip()
    command = [
        str(_load_generator(folder)),
        "-p", str(settings["broker"]["port"]), "-U", "demo-simulator", "-P", password,
        "-d", str(options.devices), "-c", str(options.connections), "-w", str(options.window),
        "-t", str(options.seconds), "-r", str(options.rate),
        "-u", str(URGENT_EVERY), "-f", str(FIRE_EVERY),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"load generator: {done.stderr}")
    load: Mapping[str, object] = json.loads(done.stdout)
    return load


def _load_generator(folder: Path) -> Path:
    """The generator, compiled now; raises RuntimeError where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("bench ingest needs a C compiler for its load generator (cc)")
    binary = folder / "loadgen"
    source = Path(__file__).with_name("loadgen.c")
    subprocess.run([compiler, "-O2", "-o", str(binary), str(source)], check=True)
    return binary


def _wait_for_intake(status_file: Path, messages: int, patience_s: float = 15.0) -> None:
    """Until intake has journaled as many messages as the broker acknowledged to the publisher.

    Gives up, for the comparison to tell what is lost, when nothing has come in for ``patience_s``.
    """
    seen, last_change = 0, time.monotonic()
    while seen < messages and time.monotonic() - last_change < patience_s:
        with contextlib.suppress(OSError, ValueError):
            lanes = json.loads(status_file.read_text())["lanes"].values()
            now = sum(lane["messages"] for lane in lanes)
            if now != seen:
                seen, last_change = now, time.monotonic()
        time.sleep(0.05)


def _wait_for_readers(journal: Path, deadline_s: float = 300.0) -> None:
    end = time.monotonic() + deadline_s
    for lane in Lane:
        follower = JournalFollower(journal / lane, lane, "bench-look")
        head = follower.head()
        follower.close()
        while head is not None and time.monotonic() < end:
            positions = load_readers(journal / lane)
            if all(reader in positions and positions[reader] >= head for reader in READERS):
                break
            time.sleep(0.05)


def _result(
    folder: Path,
    options: Options,
    load: Mapping[str, object],
    before: Mapping[int, Usage],
    after: Mapping[int, Usage],
    published_s: float,
    seconds: float,
    children: Mapping[str, int],
) -> Result:
    database = open_database(f"sqlite:///{folder / 'var' / 'satomori.db'}")
    registry = Registry(database).snapshot()
    with database.connect() as connection:
        rows = connection.execute(select(transition.c.committed_at, transition.c.measured_at)).all()
    database.dispose()
    delays_ms = np.array([committed - measured for committed, measured in rows])
    lost, repeated = _compare(folder, options, registry, load)
    cpu_s = {n: after[p].cpu_s - before[p].cpu_s for n, p in children.items() if p in after}
    acknowledged = int(str(load["acknowledged"]))
    return Result(
        messages=acknowledged,
        seconds=round(seconds, 2),
        msgs_per_s=round(acknowledged / seconds, 1),
        publish_msgs_per_s=round(acknowledged / float(str(load["seconds"])), 1),
        drain_s=round(seconds - published_s, 2),
        cpu_s_per_100k=round(sum(cpu_s.values()) / acknowledged * 1e5, 3),
        cpu_s={name: round(value, 2) for name, value in cpu_s.items()},
        lost=lost,
        repeated=repeated,
        rss_mb=round(sum(u.rss_mb for u in after.values()), 1),
        alarms=len(delays_ms),
        p50_alarm_ms=_percentile(delays_ms, 50),
        p99_alarm_ms=_percentile(delays_ms, 99),
        options=asdict(options),
    )


def _percentile(values: Int64s, share: float) -> float | None:
    return round(float(np.percentile(values, share)), 1) if len(values) else None


def expected_per_device(devices: int, acknowledged: list[int]) -> Int64s:
    """Messages that each device must have in the store, int64 (devices,).

    ``acknowledged[i]`` counts connection i's PUBACKs; it serves devices i, i + c, i + 2c, …
    """
    expected = np.zeros(devices, np.int64)
    connections = len(acknowledged)
    for first, count in enumerate(acknowledged):
        own = np.arange(first, devices, connections)
        expected[own] = count // len(own)
        expected[own[: count % len(own)]] += 1
    return expected


def _compare(
    folder: Path, options: Options, registry: RegistrySnapshot, load: Mapping[str, object]
) -> tuple[int, int]:
    """(lost, repeated) readings: what the reopened store holds against the acknowledgements."""
    acknowledged = load["connections"]
    assert isinstance(acknowledged, list)
    expected = expected_per_device(options.devices, acknowledged)
    store = open_store(
        options.store,
        directory=folder / "var" / "store",
        url=options.store_url,
        database="satomori",
        personal_database="satomori_personal",
        org="",
        username="",
        secret="",
    )
    lost = repeated = 0
    for quantities in (("battery.voltage",), ("radio.rssi",), tuple(QUANTITIES.values())):
        wanted = np.full(max(registry.definitions) + 1, -1, np.int64)
        for number in range(options.devices):
            device = registry.by_name[f"load-{number:05d}"].id
            for quantity in quantities:
                if (series := registry.series.get((device, quantity))) is not None:
                    wanted[series] = expected[number]
        found = np.zeros(len(wanted), np.int64)
        distinct = np.zeros(len(wanted), np.int64)
        ids = np.flatnonzero(wanted >= 0)
        for batch in store.scan(ids.tolist(), 0, 1 << 62):
            found += np.bincount(batch.series, minlength=len(wanted))
            keys = np.unique(np.stack([batch.series.astype(np.int64), batch.measured_at]), axis=1)
            distinct += np.bincount(keys[0], minlength=len(wanted))
        lost += int(np.maximum(wanted[ids] - distinct[ids], 0).sum())
        repeated += int((found[ids] - distinct[ids]).sum())
    store.close()
    return lost, repeated
