"""The figures of a run, for programs and for people, and what makes a run a failure.

Refuses to know how they were measured.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.comparison import Count


@dataclass(frozen=True, slots=True)
class Machine:
    """What it ran on."""

    cores: int
    memory_gib: float
    processor: str
    system: str
    python: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave.

    Rates, seconds and CPU are of the measured part: first publish → every reader has passed the
    last acknowledged message; the warm-up before it was drained. ``lost``, ``repeated`` and
    ``unexpected`` are readings of all that was ever published, ``by_quantity`` the same for each.
    ``cpu_s`` and ``rss_mb`` are of Satomori's processes, the supervisor among them; the broker has
    figures of its own. ``alarms_missing`` are transitions that the crossings published must give.
    ``store_lag_messages`` were acknowledged and not in the store when publishing ended, and got
    there at ``store_drain_msgs_per_s``.
    """

    messages: int
    readings: int
    seconds: float
    msgs_per_s: float
    publish_msgs_per_s: float
    intake_msgs_per_s: float
    drain_s: float
    cpu_s_per_100k: float
    cpu_s: Mapping[str, float]
    broker_cpu_s: float
    lost: int
    repeated: int
    unexpected: int
    by_quantity: Mapping[str, Mapping[str, int]]
    alarms: int
    alarms_missing: int
    p50_alarm_ms: float | None
    p99_alarm_ms: float | None
    max_alarm_ms: float | None
    p50_urgent_alarm_ms: float | None
    p99_urgent_alarm_ms: float | None
    max_urgent_alarm_ms: float | None
    p50_routine_alarm_ms: float | None
    p99_routine_alarm_ms: float | None
    max_routine_alarm_ms: float | None
    rss_mb: float
    rss_mb_peak: float
    rss_growth_mb_per_min: float | None
    rss_mb_by_process: Mapping[str, float]
    broker_rss_mb_peak: float
    store_lag_messages: int | None = None
    store_drain_msgs_per_s: float | None = None
    sink_msgs_per_s: float | None = None
    paho_msgs_per_s: float | None = None
    ratio_to_sink: float | None = None
    ratio_to_paho: float | None = None
    load_generator: str = ""
    references: Mapping[str, Any] = field(default_factory=dict)
    tls: Mapping[str, bool] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    machine: Machine | None = None
    failures: tuple[str, ...] = ()

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """A line a figure."""
        return "\n".join(f"{key:<24} {_shown(value)}" for key, value in asdict(self).items())


def failures(counts: Mapping[str, Count], alarms_missing: int) -> tuple[str, ...]:
    """Why this run is a failure, one sentence each; () for a good one."""
    found = []
    for quantity, count in counts.items():
        if count.lost:
            found.append(f"{count.lost} of {count.expected} readings of {quantity} are lost")
        if count.repeated:
            found.append(f"{count.repeated} readings of {quantity} are stored twice")
        if count.unexpected:
            found.append(f"{count.unexpected} readings of {quantity} were never acknowledged")
    if alarms_missing > 0:
        found.append(f"{alarms_missing} alarm transitions are missing")
    elif alarms_missing < 0:
        found.append(f"{-alarms_missing} alarm transitions are too many")
    return tuple(found)


def this_machine() -> Machine:
    """The machine that this runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        memory_gib=round(memory, 1),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items()) or "-"
    if isinstance(value, tuple):
        return "; ".join(_shown(inner) for inner in value) or "-"
    return "-" if value is None else str(value)
