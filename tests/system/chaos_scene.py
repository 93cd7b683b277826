"""Where a chaos campaign plays: the system, its small disks, its store's server, its processes.

Everything here acts on processes and file systems from outside. Process ids are looked up in /proc,
never in a status file, which a full disk may have left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tests.servers.influx import Influx
from tests.servers.satomori_system import RunningSystem
from tests.system.chaos_load import RULES, Load, registration

PROCESSES = ("intake", "alerts", "web")


class SmallDisk:
    """A file system of a few MiB, mounted for one test."""

    def __init__(self, path: Path, size_mib: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=700", "chaos", str(path))

    def fill(self, leave_bytes: int) -> None:
        """Put ballast on it until only so much is left."""
        disk = os.statvfs(self.path)
        ballast = self.path / "ballast"
        size = ballast.stat().st_size if ballast.exists() else 0
        wanted = size + disk.f_bavail * disk.f_frsize - leave_bytes
        with ballast.open("ab") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(wanted, 1))

    def free(self) -> None:
        """Take the ballast away."""
        (self.path / "ballast").unlink(missing_ok=True)

    def unmount(self) -> None:
        """Let it go with everything on it."""
        _run("umount", "-l", str(self.path))


def may_mount(folder: Path) -> bool:
    """Whether this process may make small file systems."""
    try:
        SmallDisk(folder / "may-mount", 1).unmount()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@dataclass(slots=True)
class Scene:
    """All that a calamity may touch. ``diary`` says what was done when."""

    system: RunningSystem
    disks: list[SmallDisk]
    influx: Influx | None
    load: Load | None = None
    pace: float = 1.0  # how long calamities last, of what is usual
    began_s: float = field(default_factory=time.monotonic)
    diary: list[str] = field(default_factory=list)
    most_rss_mib: dict[str, float] = field(default_factory=dict)
    starts: int = 0
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def note(self, text: str) -> None:
        """Say what was done, for whoever reads a failure."""
        line = f"{time.monotonic() - self.began_s:8.2f} s  {text}"
        self.diary.append(line)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def pid(self, name: str) -> int | None:
        """Process id of intake, alerts, web or broker; None while it is down."""
        supervisor = self.system.supervisor_pid
        if supervisor is None:
            return None
        return _children(supervisor).get(name)

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a process or to the supervisor; False where it is down."""
        pid = self.system.supervisor_pid if name == "supervisor" else self.pid(name)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP a process for so long."""
        pid = self.system.supervisor_pid if name == "supervisor" else self.pid(name)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)

    def keep_running(self) -> None:
        """What a service manager does: start the system again where it has ended."""
        with self._starting:
            if self.system.supervisor_pid is None:
                self.starts += 1
                self.system.start(is_ready=False)

    def lock_database(self, seconds: float) -> None:
        """Hold SQLite's write lock."""
        path = self.system.settings.database_url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, timeout=5, isolation_level=None)
        with contextlib.closing(connection), contextlib.suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    def register(self, csv_text: str) -> None:
        """Register devices, unless the database is full or locked."""
        with contextlib.suppress(SQLAlchemyError):
            self.system.register(csv_text)

    def measure(self) -> None:
        """Note how much memory each process has."""
        for name in (*PROCESSES, "broker"):
            pid = self.pid(name)
            rss = _rss_mib(pid) if pid else 0.0
            self.most_rss_mib[name] = max(self.most_rss_mib.get(name, 0.0), rss)


def _children(parent: int) -> dict[str, int]:
    """Name → pid of a supervisor's children, by their command lines."""
    try:
        pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return {}
    found = {}
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "process" in words:
            found[words[words.index("process") + 1]] = int(pid)
        elif "mosquitto" in words[0]:
            found["broker"] = int(pid)
    return found


def _rss_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0")
    return int(line.split()[1]) / 1024


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that still name ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if str(folder) in words:
                    found.append(words.replace("\0", " "))
    return found


@contextlib.contextmanager
def small_disks(folder: Path, layout: str) -> Iterator[list[SmallDisk]]:
    """The disks of a layout: ``one`` for all that is ours, ``split`` for database, journal and
    store apart, ``none`` where mounting is not allowed. The broker's files lie elsewhere always."""
    var = folder / "var"
    sizes = {"one": {"": 192}, "split": {"": 64, "journal": 96, "store": 96}, "none": {}}[layout]
    disks: list[SmallDisk] = []
    with contextlib.ExitStack() as mounted:
        for name, size in sizes.items():
            disk = SmallDisk(var / name, size)
            mounted.callback(disk.unmount)
            disks.append(disk)
        if disks:
            (folder / "broker").mkdir(mode=0o700)
            (var / "broker").symlink_to(folder / "broker", target_is_directory=True)
        yield disks


def make_scene(folder: Path, disks: list[SmallDisk], influx: Influx | None) -> Scene:
    """An installation with the fleet, its rules and somebody to be told; nothing runs yet."""
    from alerts.people import add_person

    rules = folder / "rules.toml"
    rules.write_text(RULES, encoding="utf-8")
    sections: dict[str, dict[str, object]] = {
        "alerts": {"rules_file": str(rules)},
        "journal": {"segment_mib": 1, "keep_h": 0, "low_water_mib": 8, "reserve_mib": 1},
        "store": {"kind": "influxdb" if influx else "duckdb", "flush_s": 0.3},
    }
    if influx:
        sections["store.influxdb"] = {"url": f"http://127.0.0.1:{influx.port}"}
    system = RunningSystem(folder, sections=sections)
    system.register(registration())
    database = system.database()
    add_person(database, "disaster", role="disaster")
    database.dispose()
    return Scene(system, disks, influx)
