"""Slows one process down to a share of its time: a cgroup's CPU quota, or SIGSTOP and SIGCONT.

Refuses to know what the process does. Linux alone; the process goes on at full speed at the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

Means = Literal["cgroup", "signals"]
_PERIOD_US = 100_000  # the kernel's own default
_LEAST_US = 1_000  # the kernel takes no smaller quota
_CGROUP_1 = Path("/sys/fs/cgroup/cpu")
_CGROUP_2 = Path("/sys/fs/cgroup")


class Throttle(Protocol):
    """Holds a process back; ``allow`` says which share of one core's time it may have."""

    means: Means

    def allow(self, share: float | None) -> None:
        """Let it have so much, None: all it wants."""
        ...


@contextlib.contextmanager
def throttled(pid: int, means: Means | None = None) -> Iterator[Throttle]:
    """A throttle on a process: the means that is asked for, or the first that this machine has."""
    if means != "signals" and (group := _own_group(pid)) is not None:
        try:
            yield _Quota(group)
        finally:
            _leave(group, pid)
    elif means == "cgroup":
        raise PermissionError("no cgroup of the CPU controller can be made here")
    else:
        cycle = _DutyCycle(pid)
        try:
            yield cycle
        finally:
            cycle.close()


class _Quota:
    """cgroup v1 ``cpu.cfs_quota_us`` or v2 ``cpu.max``."""

    means: Means = "cgroup"

    def __init__(self, group: Path) -> None:
        self._group = group

    def allow(self, share: float | None) -> None:
        quota_us = None if share is None else max(_LEAST_US, round(share * _PERIOD_US))
        if (file := self._group / "cpu.cfs_quota_us").exists():
            file.write_text(str(-1 if quota_us is None else quota_us))
        else:
            limit = "max" if quota_us is None else str(quota_us)
            (self._group / "cpu.max").write_text(f"{limit} {_PERIOD_US}")


class _DutyCycle:
    """A thread that stops and continues the process ten times a second."""

    means: Means = "signals"

    def __init__(self, pid: int) -> None:
        self._pid, self._share = pid, 1.0
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="throttle", daemon=True)
        self._thread.start()

    def allow(self, share: float | None) -> None:
        self._share = 1.0 if share is None else min(share, 1.0)

    def close(self) -> None:
        self._is_closed.set()
        self._thread.join()

    def _run(self) -> None:
        period_s = _PERIOD_US / 1e6
        with contextlib.suppress(ProcessLookupError):
            while not self._is_closed.is_set():
                share = self._share
                if share < 1.0:
                    os.kill(self._pid, signal.SIGSTOP)
                    time.sleep((1 - share) * period_s)
                    os.kill(self._pid, signal.SIGCONT)
                time.sleep(share * period_s)


def _own_group(pid: int) -> Path | None:
    name = f"satomori-bench-{os.getpid()}"
    for parent, file in ((_CGROUP_1, "cpu.cfs_quota_us"), (_CGROUP_2, "cpu.max")):
        group = parent / name
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / file).exists():
                (group / "cgroup.procs").write_text(str(pid))
                return group
            group.rmdir()
    return None


def _leave(group: Path, pid: int) -> None:
    with contextlib.suppress(OSError):  # the process has ended
        (group.parent / "cgroup.procs").write_text(str(pid))
    with contextlib.suppress(OSError):
        group.rmdir()
