"""The publishers: `bench/loadgen.c` told what to do, and what it says it did.

Refuses to know who consumes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compiled import compile_program, has_compiler
from bench.options import URGENT_EVERY, Options
from bench.talk import Talk


@dataclass(frozen=True, slots=True)
class Target:
    """A broker on this machine and an account that may publish for every device."""

    port: int
    username: str
    password: str
    authority: Path | None = None

    def arguments(self) -> list[str]:
        """For the C programs."""
        tls = ["-A", str(self.authority)] if self.authority else []
        return ["-p", str(self.port), "-U", self.username, "-P", self.password, *tls]


@dataclass(frozen=True, slots=True)
class Published:
    """What was published since the start of the load: messages, crossings of devices that swing.

    ``began`` and ``ended`` (time.monotonic) are of the newest run; ``connections`` counts each
    connection's acknowledgements, () while a run goes on.
    """

    sent: int
    sent_urgent: int
    acknowledged: int
    began: float
    ended: float
    crossings: dict[str, int]
    connections: tuple[int, ...]


NOTHING = Published(0, 0, 0, 0.0, 0.0, {"urgent": 0, "routine": 0}, ())


class Load:
    """A load generator that is connected; one run at a time, counts go on from run to run."""

    def __init__(self, target: Target, options: Options, folder: Path) -> None:
        words = [*_generator(target, folder), *target.arguments(), *_shape(options)]
        self._talk = Talk("loadgen", words, folder)
        self._talk.until_ready()
        self._before = self._talk.newest

    def begin(self, seconds: float, rate: float) -> None:
        """Publish for ``seconds`` at ``rate`` messages a second (0: as fast as it goes)."""
        self._before = self._talk.newest
        self._talk.tell(f"run {seconds} {rate}")

    def allow(self, messages: int) -> None:
        """Send no more than so many messages in all, until told otherwise."""
        self._talk.tell(f"allow {messages}")

    def published(self) -> Published:
        """What is published by now, about half a second old; raises BenchError if it died."""
        self._talk.check()
        return _published(self._talk.newest)

    @property
    def is_done(self) -> bool:
        """True when everything of the run is acknowledged."""
        newest = self._talk.newest
        return newest is not self._before and bool(newest.get("done"))

    def close(self) -> None:
        """Disconnect."""
        self._talk.close()


def _generator(target: Target, folder: Path) -> list[str]:
    """The C program, or its slow stand-in where there is no compiler."""
    if not has_compiler():
        return [sys.executable, "-m", "bench.slow_loadgen"]
    return [str(compile_program("loadgen", folder, with_tls=target.authority is not None))]


def _shape(options: Options) -> list[str]:
    return [
        "-d", str(options.devices), "-c", str(options.connections), "-w", str(options.window),
        "-b", str(options.readings_per_message), "-u", str(URGENT_EVERY),
        "-f", str(options.fire_every), "-s", str(options.swing_ms),
    ]  # fmt: skip


def _published(said: dict[str, Any]) -> Published:
    if "sent" not in said:
        return NOTHING
    return Published(
        sent=said["sent"],
        sent_urgent=said["sent_urgent"],
        acknowledged=said["acknowledged"],
        began=said["began"],
        ended=said["ended"],
        crossings=said["crossings"],
        connections=tuple(said["connections"]),
    )
