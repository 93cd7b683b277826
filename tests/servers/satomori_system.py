"""A whole Satomori, started as `satomori run` in a folder of the test, on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
from sqlalchemy import Engine

from alerts.people import Person, person_named
from dashboards import people_admin
from devices.csv_import import parse_devices
from devices.database import open_database
from devices.frames import Lane, Position
from devices.registry import Registry, RegistrySnapshot
from ingest.journal_follower import JournalFollower
from ingest.journal_retention import load_readers
from ingest.stores import open_store
from ingest.stores.series_store import SeriesStore
from satomori.clock import now_ms
from satomori.installation import SIMULATOR, Installation
from satomori.settings import Settings, load_settings

READERS = ("store", "alerts")


def wait_until(is_so: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Until ``is_so``; fails with ``what`` after the deadline."""
    end = time.monotonic() + deadline_s
    pause = 0.01
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class RunningSystem:
    """One installation: start, kill, stop, start again; look at what it keeps."""

    def __init__(
        self,
        folder: Path,
        *,
        sections: Mapping[str, Mapping[str, object]] | None = None,
        networks: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """``sections`` and ``[[networks]]`` of the settings beyond what a test needs anyway."""
        folder.mkdir(parents=True, exist_ok=True)
        mqtt_port, web_port = free_ports(2)
        document: dict[str, dict[str, object]] = {
            "paths": {"var": str(folder / "var")},
            "broker": {"port": mqtt_port},
            "web": {"port": web_port},
            "store": {"flush_s": 0.5},
            "journal": {"low_water_mib": 8, "reserve_mib": 1},
        }
        for section, values in (sections or {}).items():
            document.setdefault(section, {}).update(values)
        self.config = folder / "satomori.toml"
        tables = "".join(f"[[networks]]\n{_options(one)}" for one in networks)
        self.config.write_text(_toml(document) + tables, encoding="utf-8")
        self.settings: Settings = load_settings(self.config, {})
        self.place = Installation(self.settings)
        self.log = folder / "satomori.log"
        self.place.prepare(now_ms())
        self.place.admit_simulator()
        self._process: subprocess.Popen[bytes] | None = None

    # -- running -----------------------------------------------------------------------------

    def start(self, environment: Mapping[str, str] | None = None, *, is_ready: bool = True) -> None:
        """Start everything; with ``is_ready`` wait until all processes are up."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "satomori", "run", "--config", str(self.config)],
                env={**os.environ, **(environment or {})},
                stdout=out,
                stderr=out,
            )
        if is_ready:
            self.wait_ready()

    def wait_ready(self, deadline_s: float = 40.0) -> None:
        """Until /api/ready says that everything is up."""
        wait_until(self._is_ready, f"system ready; log: {self.log_tail()}", deadline_s)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"satomori run ended: {self.log_tail()}"
        return self.says_ready()

    def says_ready(self) -> bool:
        """Whether /api/ready says now that everything is up."""
        try:
            answer = httpx.get(f"{self.url}/api/ready", timeout=2)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def stop(self) -> int:
        """Orderly stop as by Ctrl-C; returns the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"did not stop: {self.log_tail()}") from None
        self._process = None
        return code

    def kill(self, name: str) -> int | None:
        """kill -9 of one process; returns its pid, None where it is down already."""
        pid = self.pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    @property
    def supervisor_pid(self) -> int | None:
        """Process id of `satomori run`; None where it does not run."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def pid(self, name: str) -> int | None:
        """Process id of a child (intake, alerts, web, broker)."""
        try:
            status = json.loads((self.place.run / "system.json").read_text())
        except (OSError, ValueError):
            return None
        pid: int | None = status["children"].get(name)
        return pid

    def is_at_work(self, name: str) -> bool:
        """Whether the process that runs as ``name`` now has itself said that it works."""
        pid = self.pid(name)
        if name == "web":
            try:
                answer = httpx.get(f"{self.url}/api/health", timeout=1)
            except httpx.HTTPError:
                return False
            return pid is not None and answer.status_code == httpx.codes.OK
        try:
            status = json.loads((self.place.run / f"{name}.json").read_text())
        except (OSError, ValueError):
            return False
        return pid is not None and status["pid"] == pid

    def is_broker_listening(self) -> bool:
        """Whether somebody accepts connections on the broker's port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.settings.broker.port)) == 0

    def broker_log(self) -> dict[str, dict[str, object]]:
        """What the supervisor says of the broker's log: ``{"counts", "last"}``."""
        said: dict[str, dict[str, object]] = json.loads(
            (self.place.run / "system.json").read_text()
        )["broker_log"]
        return said

    def log_tail(self, size: int = 3000) -> str:
        """The end of what all processes logged."""
        return (
            self.log.read_text(encoding="utf-8", errors="replace")[-size:]
            if self.log.exists()
            else ""
        )

    @property
    def url(self) -> str:
        """Address of the web process."""
        return f"http://127.0.0.1:{self.settings.web.port}"

    def broker_login(self) -> tuple[str, int, str, str]:
        """(host, port, user, password) of an account that may publish for every device."""
        password = self.place.simulator_password_file.read_text().strip()
        return "127.0.0.1", self.settings.broker.port, SIMULATOR, password

    def command(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """``satomori ARGUMENTS --config …`` beside the running system."""
        return subprocess.run(
            [sys.executable, "-m", "satomori", *arguments, "--config", str(self.config)],
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def credential(self, device: str) -> str:
        """A new broker password for the unit in the device."""
        made = self.command("devices", "credential", device, "--json")
        assert made.returncode == 0, made.stderr
        password: str = json.loads(made.stdout)["password"]
        return password

    @contextlib.contextmanager
    def simulating(self, scenario: Path) -> Iterator[None]:
        """``satomori simulate --scenario`` while the block runs."""
        host, port, user, _ = self.broker_login()
        with self.log.open("ab") as out:
            simulator = subprocess.Popen(
                [
                    sys.executable, "-m", "satomori", "simulate", "--scenario", str(scenario),
                    "--host", host, "--port", str(port), "--username", user,
                    "--password-file", str(self.place.simulator_password_file),
                ],
                stdout=out, stderr=out,
            )  # fmt: skip
        try:
            yield
            assert simulator.poll() is None, f"simulator ended: {self.log_tail()}"
        finally:
            simulator.send_signal(signal.SIGINT)
            simulator.wait(20)

    # -- people ------------------------------------------------------------------------------

    def add_person(
        self,
        name: str,
        *,
        role: str,
        display_name: str = "",
        password: str | None = None,
        mail: str | None = None,
    ) -> Person:
        """Add somebody who may log in with ``password``."""
        database = self.database()
        try:
            return people_admin.create_person(
                database, name, role=role, now=now_ms(), display_name=display_name,
                mail_address=mail, password=password,
            )  # fmt: skip
        finally:
            database.dispose()

    @contextlib.contextmanager
    def visit(self, name: str) -> Iterator[httpx.Client]:
        """The API as the person of this name sees it."""
        database = self.database()
        person = person_named(database, name)
        assert person is not None, name
        token = people_admin.create_access_token(database, person.id, now_ms(), 3600)
        database.dispose()
        headers = {"Authorization": f"Bearer {token}", "X-Satomori": "1"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=10) as client:
            yield client

    # -- looking -----------------------------------------------------------------------------

    def database(self) -> Engine:
        """The relational database; dispose of it after use."""
        return open_database(self.settings.database_url)

    def register(self, csv_text: str) -> RegistrySnapshot:
        """Register the devices of a CSV text."""
        drafts, errors = parse_devices(csv_text)
        assert not errors, errors
        database = self.database()
        try:
            return Registry(database).register(drafts, now=now_ms())
        finally:
            database.dispose()

    def registry(self) -> RegistrySnapshot:
        """The registry as it is now."""
        database = self.database()
        try:
            return Registry(database).snapshot()
        finally:
            database.dispose()

    def wait_for_readers(self, deadline_s: float = 60.0) -> None:
        """Until every reader has passed what is in both journals now."""
        for lane in Lane:
            directory = self.place.journal / lane
            follower = JournalFollower(directory, lane, "test-look")
            head = follower.head()
            follower.close()
            if head is None:
                continue

            def have_passed(directory: Path = directory, head: Position = head) -> bool:
                positions = load_readers(directory)
                return all(r in positions and positions[r] >= head for r in READERS)

            wait_until(have_passed, f"{lane} readers at {head}; log: {self.log_tail()}", deadline_s)

    @contextlib.contextmanager
    def store(self) -> Iterator[SeriesStore]:
        """The series store, opened by the test; stop the system first (DuckDB has one owner)."""
        influx = self.settings.store.influxdb
        store = open_store(
            self.settings.store.kind,
            directory=self.place.store,
            url=influx.url,
            database=influx.database,
            personal_database=influx.personal_database,
            org=influx.org,
            username=influx.username,
            secret="",
        )
        try:
            yield store
        finally:
            store.close()


def _toml(document: Mapping[str, Mapping[str, object]]) -> str:
    return "".join(f"[{section}]\n{_options(values)}" for section, values in document.items())


def _options(values: Mapping[str, object]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
