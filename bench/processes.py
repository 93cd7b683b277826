"""What other processes of this machine cost: CPU seconds and memory from /proc."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system, all threads) since its start, and resident memory in MB."""

    cpu_s: float
    rss_mb: float


def usage_of(pids: Iterable[int]) -> Mapping[int, Usage]:
    """Usage of each living process."""
    return {pid: _usage(pid) for pid in pids if Path(f"/proc/{pid}").exists()}


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / ticks,
        rss_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
    )
