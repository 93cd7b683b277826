"""What a process costs, from the kernel (Linux' /proc). Refuses to know what it does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Load:
    """Resident memory, CPU time since the start, and when that was (s since 1970)."""

    memory_bytes: int
    cpu_s: float
    started_at_s: float


def load_of(pid: int) -> Load | None:
    """The load of a living process; None where it is gone or the kernel does not tell.

    Fields of /proc/PID/stat by proc(5): 14 utime, 15 stime, 22 starttime (ticks), 24 rss (pages).
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        booted_at_s = _booted_at_s()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # from field 3 on; the name before may hold anything
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return Load(
        memory_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        cpu_s=(int(fields[11]) + int(fields[12])) * tick_s,
        started_at_s=booted_at_s + int(fields[19]) * tick_s,
    )


@cache
def _booted_at_s() -> float:
    for line in (_PROC / "stat").read_text(encoding="utf-8").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise OSError("the kernel does not say when it started")
