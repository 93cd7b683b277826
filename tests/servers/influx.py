"""Real InfluxDB servers for tests: own directory, free ports, end with the test.

Servers are found on the path (Debian's 1.6.7), at ``SATOMORI_INFLUXD_18`` or
``.tools/influxd-1.8.10/influxd``, and at ``SATOMORI_INFLUXD_2`` or ``.tools/influxd-2/influxd``
(``.ci/install-influx.sh`` puts them there). What is missing is skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest

from ingest.stores.influx_http import InfluxAddress
from tests.servers.mosquitto import free_port

Generation = Literal["1.6", "1.8", "2"]
GENERATIONS: tuple[Generation, ...] = ("1.6", "1.8", "2")
SECRET = "a-token-of-tests"

_ROOT = Path(__file__).resolve().parents[2]

_CONFIG_1 = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{directory}/meta"
[data]
  dir = "{directory}/data"
  wal-dir = "{directory}/wal"
  series-id-set-cache-size = 100
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


def find_influxd(generation: Generation) -> Path | None:
    """The server's program, or None where the machine has none of that generation."""
    candidates = {
        "1.6": (shutil.which("influxd"), "/usr/bin/influxd"),
        "1.8": (os.environ.get("SATOMORI_INFLUXD_18"), _ROOT / ".tools/influxd-1.8.10/influxd"),
        "2": (os.environ.get("SATOMORI_INFLUXD_2"), _ROOT / ".tools/influxd-2/influxd"),
    }[generation]
    return next((Path(c) for c in candidates if c and Path(c).is_file()), None)


class Influx:
    """One server process; ``kill`` is SIGKILL, ``start`` starts it again where it was."""

    def __init__(self, generation: Generation, program: Path, directory: Path) -> None:
        self.generation, self.port = generation, free_port()
        self.address = InfluxAddress(
            url=f"http://127.0.0.1:{self.port}",
            org="satomori" if generation == "2" else "",
            secret=SECRET if generation == "2" else "",
            timeout_s=10,
        )
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._is_set_up = False
        directory.mkdir(parents=True, exist_ok=True)
        self._command = self._command_2(program) if generation == "2" else self._command_1(program)

    def start(self) -> None:
        """Start and wait until it answers."""
        with (self._directory / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await_answer()
        if self.generation == "2" and not self._is_set_up:
            self._set_up()

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._process is not None:
            self._process.terminate()
            self._end(self._process)

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._end(self._process)

    def query(self, statement: str, database: str = "satomori") -> str:
        """Answer of a statement as CSV text."""
        reply = httpx.post(
            f"{self.address.url}/query",
            params={"db": database, "q": statement, "epoch": "ms"},
            headers={"Accept": "application/csv"}
            | ({"Authorization": f"Token {SECRET}"} if self.generation == "2" else {}),
            trust_env=False,
        )
        return reply.text

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _command_1(self, program: Path) -> list[str]:
        config = self._directory / "influxdb.conf"
        config.write_text(
            _CONFIG_1.format(directory=self._directory, port=self.port, rpc_port=free_port())
        )
        return [str(program), "run", "-config", str(config)]

    def _command_2(self, program: Path) -> list[str]:
        return [
            str(program),
            "run",
            f"--http-bind-address=127.0.0.1:{self.port}",
            f"--bolt-path={self._directory}/influxd.bolt",
            f"--sqlite-path={self._directory}/influxd.sqlite",
            f"--engine-path={self._directory}/engine",
            "--reporting-disabled",
            "--store=disk",
        ]

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 30
        while True:
            if self._process.poll() is not None:
                log = (self._directory / "influxd.log").read_text(errors="replace")
                raise RuntimeError(f"influxd ended at start: {log[-1000:]}")
            try:
                if httpx.get(f"{self.address.url}/ping", trust_env=False).status_code < 300:
                    return
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise
            time.sleep(0.02)

    def _set_up(self) -> None:
        body = {
            "username": "tests",
            "password": "only-for-tests",
            "org": "satomori",
            "bucket": "satomori",
            "token": SECRET,
        }
        url = f"{self.address.url}/api/v2/setup"
        httpx.post(url, json=body, trust_env=False).raise_for_status()
        self._is_set_up = True


StartInflux = Callable[[Generation], Influx]


@pytest.fixture(scope="session")
def shared_influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartInflux]:
    """The server of a generation, shared by all tests (take your own databases)."""
    shared: dict[Generation, Influx] = {}

    def start(generation: Generation) -> Influx:
        if generation not in shared:
            directory = tmp_path_factory.mktemp(f"influx-{generation}-")
            shared[generation] = _start(generation, directory)
        return shared[generation]

    yield start
    for server in shared.values():
        server.stop()


@pytest.fixture
def start_influx(tmp_path: Path) -> Iterator[StartInflux]:
    """Start a server of a generation for this test alone, to be stopped and killed at will."""
    started: list[Influx] = []

    def start(generation: Generation) -> Influx:
        started.append(_start(generation, tmp_path / f"influx-{len(started)}"))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(params=GENERATIONS)
def influx(request: pytest.FixtureRequest, shared_influx: StartInflux) -> Influx:
    """The shared server of each generation in turn."""
    generation: Generation = request.param
    return shared_influx(generation)


def _start(generation: Generation, directory: Path) -> Influx:
    program = find_influxd(generation)
    if program is None:
        pytest.skip(f"InfluxDB {generation} is not installed")
    server = Influx(generation, program, directory)
    server.start()
    return server
