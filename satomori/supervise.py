"""Keep child processes running: start in order, restart alone, stop in reverse order.

Refuses to know what the children do. A child dies with this process even if that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
FIRST_BACKOFF_S, LAST_BACKOFF_S, HEALTHY_AFTER_S = 0.2, 10.0, 5.0
LAST_WORDS_S = 1.0  # a grandchild may hold the pipe open for ever


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep alive. ``on_line`` gets each line that it writes to stderr and stdout;
    without it the child writes to our own. ``stop_s`` is how long an orderly stop may take,
    ``longest_pause_s`` how long one that keeps failing is left down."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    on_line: Callable[[str], None] | None = None
    stop_s: float = 15.0
    longest_pause_s: float = LAST_BACKOFF_S
    is_restarted: bool = True


class Supervisor:
    """Runs children until it is told to stop."""

    def __init__(self, on_change: Callable[[str, int | None], None] | None = None) -> None:
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._specs: list[Child] = []
        self._on_change = on_change or (lambda _name, _pid: None)

    async def start(self, child: Child) -> None:
        """Start ``child`` and keep it running; returns once it has been started."""
        self._specs.append(child)
        process = await self._spawn(child)
        self._keepers[child.name] = asyncio.create_task(
            self._keep(child, process), name=f"keep-{child.name}"
        )

    def pid(self, name: str) -> int | None:
        """Process id of a running child, None while it is down."""
        process = self._running.get(name)
        return process.pid if process else None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a running child; nothing happens while it is down."""
        if process := self._running.get(name):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def wait(self, name: str) -> None:
        """Until the child has ended for good (only one that is not restarted ever does)."""
        await asyncio.shield(self._keepers[name])

    async def stop(self) -> None:
        """Stop all children, the last started first, each in an orderly way."""
        for child in reversed(self._specs):
            self._keepers[child.name].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keepers[child.name]
            if process := self._running.pop(child.name, None):
                await _end(process, child)
        self._specs.clear()

    async def _keep(self, child: Child, process: asyncio.subprocess.Process) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            started = time.monotonic()
            await _hand_over_lines(process, child)
            code = await process.wait()
            self._running.pop(child.name, None)
            self._on_change(child.name, None)
            if not child.is_restarted:
                return
            if time.monotonic() - started > HEALTHY_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            log.error("supervise.child.ended", child=child.name, code=code, again_in_s=backoff_s)
            process, backoff_s = await self._start_again(child, backoff_s)

    async def _start_again(
        self, child: Child, backoff_s: float
    ) -> tuple[asyncio.subprocess.Process, float]:
        """Pause and start, as often as it takes; returns the next pause, too."""
        while True:
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, child.longest_pause_s)
            try:
                return await self._spawn(child), backoff_s
            except OSError as error:  # no memory, no process ids, a program under upgrade
                log.error(
                    "supervise.child.not_started",
                    child=child.name, error=str(error), again_in_s=backoff_s,
                )  # fmt: skip

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        is_piped = child.on_line is not None
        process = await asyncio.create_subprocess_exec(
            *child.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if is_piped else None,
            stderr=asyncio.subprocess.STDOUT if is_piped else None,
            env={**os.environ, **child.environment},
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the children in order
            preexec_fn=_die_with_parent(os.getpid()) if sys.platform == "linux" else None,
        )
        self._running[child.name] = process
        self._on_change(child.name, process.pid)
        return process


async def _end(process: asyncio.subprocess.Process, child: Child) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    # The pipe is read on while a child stops, or it would block on its last words.
    last_words = asyncio.create_task(_hand_over_lines(process, child), name=f"end-{child.name}")
    try:
        await asyncio.wait_for(process.wait(), child.stop_s)
    except TimeoutError:
        log.error("supervise.child.killed", child=child.name, after_s=child.stop_s)
        process.kill()
        await process.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(last_words, LAST_WORDS_S)


async def _hand_over_lines(process: asyncio.subprocess.Process, child: Child) -> None:
    """Give each line that the child writes to ``on_line``, until it closes its end."""
    if process.stdout is None or child.on_line is None:
        return
    while True:
        try:
            raw = await process.stdout.readline()
        except ValueError:  # a line longer than the buffer: pass over it
            continue
        if not raw:
            return
        child.on_line(raw.decode("utf-8", "replace").rstrip("\n"))


def _die_with_parent(parent: int) -> Callable[[], None]:
    def arrange() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
