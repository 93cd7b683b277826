"""The system under test: an installation in a fresh folder, run as its users run it.

Refuses to know load and figures. ``satomori run`` is started as a command; what it says of itself
is read from ``var/run`` and from the journal.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from bench.broker import Certificates
from bench.load import Target
from bench.options import URGENT_EVERY, BenchError, Options
from bench.processes import free_port
from devices.frames import Lane, Position, ReadingsFrame
from ingest.journal_follower import JournalFollower
from ingest.journal_retention import load_readers

PROCESSES = ("intake", "alerts", "web")
QUANTITIES = {Lane.URGENT: "water.level", Lane.ROUTINE: "paddy.depth"}
KINDS = {Lane.URGENT: "river-gauge", Lane.ROUTINE: "paddy-node"}
SIMULATOR, INTAKE = "demo-simulator", "satomori-intake"
_TAIL_BYTES = 1 << 20
_MANY = 5_000
_NO_BUDGET = "readings_per_minute_per_device = 1000000"
"""Fewer devices than that would be over a device's budget at full speed; it is looked at anyway."""


SETTLED_S = 2.5
"""Nothing comes any more: intake says each second how much it has."""

RULE_PREFIX = "rule-"
"""How the names of the bench's rules begin, before their number."""


def device_name(number: int) -> str:
    """The name under which the load generator publishes for its device ``number``."""
    return f"load-{number:05d}"


def rule_lane(rule: str) -> Lane:
    """Which lane a rule of the bench looks at."""
    return Lane.URGENT if int(rule.removeprefix(RULE_PREFIX)) % 2 == 0 else Lane.ROUTINE


def rules_in(lane: Lane, rules: int) -> int:
    """How many of so many rules look at a lane."""
    return sum(rule_lane(f"{RULE_PREFIX}{k}") is lane for k in range(rules))


class Installation:
    """A configured folder with devices, rules and accounts; nothing runs yet."""

    def __init__(self, folder: Path, options: Options) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.options = folder, options
        self.var, self.run = folder / "var", folder / "var" / "run"
        self.broker_folder = self.var / "broker"
        self.port, self._web_port = free_port(), free_port()
        self.config = folder / "satomori.toml"
        self._rules = folder / "rules.toml"
        self._rules.write_text(rules_text(options.rules), encoding="utf-8")
        self._configure("")
        self._import_devices()

    def use_broker(self, port: int, certificates: Certificates) -> None:
        """Take another broker than an own child, reached by TLS."""
        self.port = port
        self._configure(
            f'mode = "external"\nhost = "localhost"\ntls_ca = "{certificates.authority}"\n'
        )

    def target(self, authority: Path | None = None, port: int | None = None) -> Target:
        """Where and as whom the load publishes."""
        return Target(port or self.port, SIMULATOR, self._secret("simulator"), authority)

    def consumer(self, port: int, authority: Path | None) -> Target:
        """Where and as whom a reference reads: intake's account at another broker."""
        return Target(port, INTAKE, self._secret("intake"), authority)

    def _secret(self, name: str) -> str:
        return (self.broker_folder / f"{name}.password").read_text().strip()

    def _configure(self, broker: str) -> None:
        url = self.options.store_url
        influx = f'[store.influxdb]\nurl = "{url}"\n' if url else ""
        budget = "" if self.options.devices >= _MANY else f"[intake]\n{_NO_BUDGET}\n"
        self.config.write_text(
            f'[paths]\nvar = "{self.var}"\n{budget}'
            f"[broker]\nport = {self.port}\n{broker}[web]\nport = {self._web_port}\n"
            f'[alerts]\nrules_file = "{self._rules}"\n'
            f'[store]\nkind = "{self.options.store}"\nflush_s = {self.options.flush_s}\n{influx}',
            encoding="utf-8",
        )

    def _import_devices(self) -> None:
        file = self.folder / "devices.csv"
        rows = ["name,kind,label,site,area,interval_s"]
        for number in range(self.options.devices):
            kind = KINDS[Lane.URGENT if number % URGENT_EVERY == 0 else Lane.ROUTINE]
            rows.append(f"{device_name(number)},{kind},load {number},bench,bench,86400")
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")
        self._satomori("devices", "import", str(file))
        self._satomori("broker", "simulator")

    def _satomori(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "satomori", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"satomori {' '.join(arguments)}: {done.stderr or done.stdout}")


class RunningSystem:
    """`satomori run` on an installation, ready for messages."""

    def __init__(self, place: Installation, broker_pid: int | None = None) -> None:
        """``broker_pid`` is of a broker that is no child of it."""
        self._place, self._broker_pid = place, broker_pid
        self._log = place.folder / "satomori.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "satomori", "run", "--config", str(place.config)],
                stdout=log, stderr=log,
            )  # fmt: skip
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            self._pids = self._until_ready()
            on_failure.pop_all()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of Satomori's own processes, the supervisor among them."""
        return {"supervisor": self._process.pid, **{n: self._pids[n] for n in PROCESSES}}

    @property
    def broker_pid(self) -> int | None:
        """The broker's process id."""
        return self._broker_pid or self._pids.get("broker")

    def check(self) -> None:
        """Raise BenchError if a process died meanwhile, though another stands in by now."""
        if self._process.poll() is not None or self._children() != self._pids:
            raise BenchError(f"a process died: {self._words()}")

    def messages(self) -> int:
        """How many messages are journaled by now, each once; up to a second old."""
        lanes = self.intake()["lanes"].values()
        return sum(lane["messages"] - lane["repeated"] for lane in lanes)

    def intake(self) -> Mapping[str, Any]:
        """What intake says of itself."""
        found: Mapping[str, Any] = {"at": 0, "lanes": {}}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self._place.run / "intake.json").read_text())
        return found

    def wait_for_readers(self, keep_watch: Callable[[], None], deadline_s: float = 600.0) -> float:
        """Until all readers passed the last readings of both lanes; the moment of it.

        What came twice may have been counted twice, while as much still waits in the broker: it
        is over when nothing more has come for a while.
        """
        end = time.monotonic() + deadline_s
        while True:
            self._wait_for_lanes(keep_watch, end)
            passed_at, taken = time.monotonic(), self.messages()
            while time.monotonic() < passed_at + SETTLED_S:
                keep_watch()
                time.sleep(0.1)
            if self.messages() == taken:
                return passed_at

    def _wait_for_lanes(self, keep_watch: Callable[[], None], end: float) -> None:
        for lane in Lane:
            wanted = _last_readings(self._place.var / "journal" / lane, lane)
            while wanted is not None and not _have_passed(self._place.var, lane, wanted):
                keep_watch()
                if time.monotonic() > end:
                    raise BenchError(f"readers have not passed {lane} {wanted}: {self._words()}")
                time.sleep(0.02)

    def close(self) -> None:
        """Stop everything in order; stopped while it starts, it leaves children that end soon."""
        children = self._children().values()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < end:
            time.sleep(0.05)

    def _until_ready(self) -> dict[str, int]:
        end = time.monotonic() + 90
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
                settings = json.loads((self._place.run / "settings.json").read_text())
                url = f"http://127.0.0.1:{settings['web']['port']}/api/ready"
                if httpx.get(url).status_code == httpx.codes.OK:
                    return self._children()
            time.sleep(0.1)
        raise BenchError(f"not ready: {self._words()}")

    def _children(self) -> dict[str, int]:
        with contextlib.suppress(OSError, ValueError):
            children = json.loads((self._place.run / "system.json").read_text())["children"]
            return {name: pid for name, pid in children.items() if pid is not None}
        return {}

    def _words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def rules_text(rules: int) -> str:
    """So many stage rules, half of them a lane; a device that swings crosses every one of its lane.

    It swings between 1.0 and 2.8 (a quarter of that in a paddy); levels are spread over 1.3…2.6.
    """
    texts = []
    for k in range(rules):
        lane = rule_lane(f"{RULE_PREFIX}{k}")
        value = (1.3 + 1.3 * (k + 0.5) / rules) / (1 if lane is Lane.URGENT else 4)
        texts.append(
            f'[[rules]]\nname = "{RULE_PREFIX}{k}"\nkind = "stages"\n'
            f'quantity = "{QUANTITIES[lane]}"\n'
            f'hysteresis = 0.02\nwhere = {{ device_kinds = ["{KINDS[lane]}"] }}\n'
            f'stages = [{{ name = "caution", level = 2, value = {value:.4f} }}]\n'
        )
    return "\n".join(texts)


def _last_readings(journal: Path, lane: Lane) -> Position | None:
    """Where the last readings of a lane stand; ticks come after them for ever."""
    follower = JournalFollower(journal, lane, "bench-look")
    try:
        entries = follower.tail_entries(_TAIL_BYTES)
        found = [e.position for e in entries if isinstance(e.frame, ReadingsFrame)]
        return found[-1] if found else follower.head()
    finally:
        follower.close()


def _have_passed(var: Path, lane: Lane, wanted: Position) -> bool:
    """Whether the store has committed it, and the alerts process all that follows from it.

    Alerts' mark in the journal is of its snapshot, every 10 s; its status says it each second.
    """
    stored = load_readers(var / "journal" / lane).get("store")
    with contextlib.suppress(OSError, ValueError, KeyError):
        alerts = json.loads((var / "run" / "alerts.json").read_text())["lanes"][lane]["position"]
        return stored is not None and stored >= wanted and (alerts or 0) >= wanted.n
    return False
