"""A real mosquitto for tests: own directory, free port, ends with the test.

``mosquitto`` is one broker with our limits; ``start_mosquitto`` starts one with a test's own
configuration. Both are skipped by name where mosquitto is not installed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_CONFIG = """\
per_listener_settings false
listener {port} 127.0.0.1
allow_anonymous {allow_anonymous}
set_tcp_nodelay false
max_inflight_messages 20000
max_queued_messages 0
max_packet_size 1048576
persistence {persistence}
persistence_location {directory}/
log_dest file {directory}/mosquitto.log
log_type error
log_type warning
log_type notice
connection_messages true
"""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _executable() -> str:
    for name in ("mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"):
        if path := shutil.which(name):
            return path
    pytest.skip("mosquitto is not installed")


class Mosquitto:
    """One broker process; ``stop`` is orderly, ``kill`` is not, ``start`` starts it again."""

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path,
        *,
        extra: str = "",
        allow_anonymous: bool = True,
        persistence: bool = False,
        port: int | None = None,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(
            port=self.port,
            directory=directory,
            allow_anonymous=str(allow_anonymous).lower(),
            persistence=str(persistence).lower(),
        )
        if os.geteuid() == 0:  # else it would become user "mosquitto" and lose its directory
            config += f"user {getpass.getuser()}\n"
        self._config = directory / "mosquitto.conf"
        self._config.write_text(config + extra)

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        self._process = subprocess.Popen(
            [_executable(), "-c", str(self._config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto ended at start: {self.log()[-500:]}")
            try:
                socket.create_connection((self.host, self.port), 0.2).close()
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """End it in an orderly way (it saves its store, if persistent)."""
        self._end(force=False)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(force=True)

    def log(self) -> str:
        """All it has logged so far."""
        path = self.directory / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _end(self, *, force: bool) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        if force:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Start a broker with ``Mosquitto``'s keyword arguments; all end with the test."""
    started: list[Mosquitto] = []

    def start(**options: object) -> Mosquitto:
        directory = tmp_path / f"mosquitto-{len(started)}"
        broker = Mosquitto(directory, **options)  # type: ignore[arg-type]  # passed through as given
        started.append(broker)
        broker.start()
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def mosquitto(start_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """One running broker that lets everybody in."""
    return start_mosquitto()
