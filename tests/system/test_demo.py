"""`satomori demo` in an empty folder: usable soon, a storm, a clean end, and yesterday's data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from satomori.broker import find_mosquitto
from satomori.influx_child import find_influxd
from tests.servers.satomori_system import free_ports, wait_until

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("admin", "agriculture", "disaster", "owner", "public", "waterworks")
READY_S, STORM_S, STOP_S = 120, 120, 20
LINK = re.compile(r"^  (\w+) +(http://\S+/login/\S+)$", re.MULTILINE)


class Demo:
    """One run of the demo in ``folder``, as somebody starts it from a terminal there."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder, self._output = folder, folder / f"output-{time.monotonic_ns()}"
        [port] = free_ports(1)
        self.began = time.monotonic()
        self.began_at = time.time_ns() // 1_000_000
        with self._output.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "satomori", "demo", "--port", str(port), *options],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def links(self) -> dict[str, str]:
        """Login link of each role."""
        return dict(LINK.findall(self.output))

    def wait_ready(self) -> float:
        """Until links for all roles stand there; how long that took, in seconds."""
        wait_until(lambda: self._has(len(self.links) == len(ROLES)), "login links", READY_S)
        assert sorted(self.links) == sorted(ROLES)
        return time.monotonic() - self.began

    def _has(self, what: bool) -> bool:
        assert self._process.poll() is None, self.output
        return what

    @contextmanager
    def visit(self, role: str = "admin") -> Iterator[httpx.Client]:
        """Come in by the link of ``role``, as a browser does."""
        link = self.links[role]
        with httpx.Client(base_url=link.partition("/login/")[0], timeout=10) as client:
            client.get(link)
            assert "satomori_session" in client.cookies
            yield client

    def processes(self) -> set[int]:
        """All living processes that descend from the demo, itself included."""
        parents = {pid: parent for pid, parent, state in _all_processes() if state != "Z"}
        found = {self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def press_ctrl_c(self) -> tuple[int, float]:
        """SIGINT to the whole process group, as a terminal sends it; exit code and seconds."""
        began = time.monotonic()
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop: {self.output[-3000:]}") from None
        return code, time.monotonic() - began

    def kill(self) -> None:
        """Whatever happened: nothing stays behind."""
        if self._process.poll() is None:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            self._process.wait()

    @property
    def settings(self) -> dict[str, Any]:
        """What the demo handed down to its processes."""
        found: dict[str, Any] = json.loads((self.folder / "var/run/settings.json").read_text())
        return found


def _all_processes() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        yield int(stat.parent.name), int(fields[1]), fields[0]


StartDemo = Callable[..., Demo]


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[StartDemo]:
    started: list[Demo] = []

    def start(*options: str, **environment: str) -> Demo:
        started.append(Demo(tmp_path, *options, **environment))
        return started[-1]

    yield start
    for demo in started:
        demo.kill()


def _stations(api: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/api/stations").raise_for_status().json()
    return found


def _heard(api: httpx.Client) -> int:
    """How many stations have been heard of."""
    return sum(s["last_received_at"] is not None for s in _stations(api)["stations"])


def _storm_alarms(api: httpx.Client) -> list[dict[str, Any]]:
    alarms = api.get("/api/alarms?state=active").raise_for_status().json()["alarms"]
    return [a for a in alarms if a["rule"] in ("river-stage", "road-flooding", "flood-detected")]


def _readings(api: httpx.Client, station: dict[str, Any], start: int, end: int) -> list[int]:
    """Times of the stored readings of a station's main quantity in ``[start, end)``."""
    series = station["latest"][station["main"]]["series"]
    asked = {"start_at": start, "end_at": end, "max_points": 5000}
    times: list[int] = (
        api.get(f"/api/series/{series}", params=asked).raise_for_status().json()["measured_at"]
    )
    return times


def _stop(demo: Demo) -> float:
    """Ctrl-C: code 0, in time, no traceback, nobody left behind; how long it took."""
    family = demo.processes()
    assert len(family) >= 6, "supervisor, broker, intake, alerts, web, simulator"
    code, seconds = demo.press_ctrl_c()
    assert code == 0, demo.output[-3000:]
    assert "Traceback" not in demo.output
    assert "everything is kept under" in demo.output
    alive = {pid for pid, _, state in _all_processes() if state != "Z"}
    assert not family & alive, "an orphan"
    return seconds


def _tell(figure: str) -> None:
    print(f"\n  {figure}")  # noqa: T201 - a measured figure, shown by pytest -s


@pytest.fixture
def _with_mosquitto() -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")


@pytest.mark.usefixtures("_with_mosquitto")
def test_the_demo_is_ready_soon_shows_a_storm_stops_cleanly_and_finds_yesterdays_data(
    start_demo: StartDemo,
) -> None:
    first = start_demo()
    ready_s = first.wait_ready()
    assert ready_s <= READY_S
    with first.visit() as api:
        stations = _stations(api)["stations"]
        assert len(stations) >= 480
        wait_until(lambda: _heard(api) >= 300, "most stations heard of", 60)
        wait_until(lambda: bool(_storm_alarms(api)), "an alarm of the storm", STORM_S)
        storm_s = time.monotonic() - first.began
        _tell(f"ready after {ready_s:.1f} s, first alarm of the storm after {storm_s:.1f} s")
    with first.visit("public") as citizen:
        seen = {s["kind"] for s in _stations(citizen)["stations"]}
        assert seen == {"flood-sensor", "river-gauge", "weather-station"}
        assert citizen.get("/api/quarantine").status_code == httpx.codes.FORBIDDEN
    _tell(f"stopped after {_stop(first):.1f} s")

    second = start_demo()
    again_s = second.wait_ready()
    with second.visit() as api:
        river = next(s for s in _stations(api)["stations"] if s["name"] == "river-01")
        yesterday = _readings(api, river, first.began_at, second.began_at)
        assert yesterday, "what came in before the second start"
        _tell(f"second start: ready after {again_s:.1f} s, {len(yesterday)} readings of river-01")
    reused = httpx.get(first.links["admin"].replace(_origin(first), _origin(second)))
    assert "satomori_session" not in reused.cookies, "a login link holds once"
    _stop(second)


def _origin(demo: Demo) -> str:
    return demo.links["admin"].partition("/login/")[0]


@pytest.mark.usefixtures("_with_mosquitto")
def test_the_demo_keeps_readings_in_influxdb_where_that_is_asked_for(
    start_demo: StartDemo,
) -> None:
    if find_influxd() is None:
        pytest.skip("influxd is not installed")
    demo = start_demo("--store", "influxdb")
    demo.wait_ready()
    url = demo.settings["store"]["influxdb"]["url"]
    assert demo.settings["store"]["kind"] == "influxdb"

    def count() -> int:
        statement = 'SELECT count("value") FROM "water.level"'
        asked = {"db": "satomori", "q": statement}
        results = httpx.get(f"{url}/query", params=asked).raise_for_status().json()["results"]
        rows = results[0].get("series", [])
        return int(rows[0]["values"][0][1]) if rows else 0

    wait_until(lambda: count() >= 40, "water levels in InfluxDB", 60)
    with demo.visit() as api:
        river = next(s for s in _stations(api)["stations"] if s["name"] == "river-01")
        assert _readings(api, river, demo.began_at, demo.began_at + 3_600_000)
    _stop(demo)


def test_the_demo_runs_without_mosquitto_and_says_that_this_is_for_trying_out(
    start_demo: StartDemo,
) -> None:
    """An embedded broker stands in; passwords hold there too."""
    pytest.importorskip("amqtt", reason="the embedded broker (amqtt) is not installed")
    demo = start_demo(SATOMORI_MOSQUITTO="none")
    ready_s = demo.wait_ready()
    said = [json.loads(line) for line in demo.output.splitlines() if line.startswith("{")]
    [warning] = [line for line in said if line["event"] == "demo.broker.embedded"]
    assert "for trying out only" in warning["note"]
    with demo.visit() as api:
        wait_until(lambda: _heard(api) >= 300, "most stations heard of", 60)
        river = next(s for s in _stations(api)["stations"] if s["name"] == "river-01")
        wait_until(
            lambda: bool(_readings(api, river, demo.began_at, demo.began_at + 3_600_000)),
            "stored readings", 30,
        )  # fmt: skip
    _tell(f"embedded broker: ready after {ready_s:.1f} s")
    assert not _is_let_in(demo, "demo-simulator", "wrong"), "no password, no entry"
    _stop(demo)


def _is_let_in(demo: Demo, name: str, password: str) -> bool:
    from firmware_sim.publisher import Broker, BrokerUnavailableError, Publisher

    port = demo.settings["broker"]["port"]
    broker = Broker(port=port, username=name, password=password, mqtt="3.1.1")
    publisher = Publisher(broker, client_id="stranger")
    try:
        publisher.connect(timeout_s=5)
    except BrokerUnavailableError:
        return False
    publisher.close()
    return True


def test_a_city_never_runs_on_the_embedded_broker(tmp_path: Path) -> None:
    """`run` without mosquitto ends with a sentence: there nobody's topics would be their own."""
    ports = dict(zip(("BROKER", "WEB"), map(str, free_ports(2)), strict=True))
    done = subprocess.run(
        [sys.executable, "-m", "satomori", "run"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SATOMORI_MOSQUITTO": "none"}
        | {f"SATOMORI__{k}__PORT": port for k, port in ports.items()},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "mosquitto is not installed" in done.stderr
    assert "Traceback" not in done.stderr
