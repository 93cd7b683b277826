"""`satomori bench ingest-growth`: what a message costs with more devices, and with more rules.

Short runs of `bench.ingest` without references, one after the other. Refuses to know how they run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from bench.ingest import run
from bench.options import Options, Servers
from bench.progress import Progress
from bench.result import Machine, Result, this_machine
from bench.tables import growth_table

POINTS = ((1_000, 20), (5_000, 20), (20_000, 20), (50_000, 20), (20_000, 1), (20_000, 100))
"""(devices, rules)."""


def parse_points(text: str) -> tuple[tuple[int, int], ...]:
    """``500x20,1000x20`` as (devices, rules); "" is all of ``POINTS``. Raises ValueError."""
    pairs = [part.split("x") for part in text.split(",") if part]
    found = tuple((int(devices), int(rules)) for devices, rules in pairs) or POINTS
    if not all(0 < devices <= 50_000 and 0 < rules <= 100 for devices, rules in found):
        raise ValueError(text)
    return found


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one run."""

    devices: int
    rules: int
    messages: int
    msgs_per_s: float
    cpu_s_per_100k: float
    p99_alarm_ms: float | None
    rss_mb_peak: float


@dataclass(frozen=True, slots=True)
class GrowthResult:
    """All points, in the order of ``POINTS``."""

    points: tuple[Point, ...]
    machine: Machine
    failures: tuple[str, ...] = ()

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """A Markdown table, a line a point."""
        return growth_table(asdict(point) for point in self.points)


def run_growth(
    options: Options, servers: Servers, points: tuple[tuple[int, int], ...] = POINTS
) -> GrowthResult:
    """One run for each of the points (devices, rules); all else is of ``options``."""
    progress, found, failed = Progress(), [], []
    for devices, rules in points:
        progress.say(f"--- {devices:,} devices, {rules} rules")
        own = replace(options, devices=devices, rules=rules, has_references=False)
        result = run(own, servers, progress)
        found.append(_point(devices, rules, result))
        failed += [f"{devices} devices, {rules} rules: {why}" for why in result.failures]
    return GrowthResult(tuple(found), this_machine(), tuple(failed))


def _point(devices: int, rules: int, result: Result) -> Point:
    return Point(
        devices=devices,
        rules=rules,
        messages=result.messages,
        msgs_per_s=result.msgs_per_s,
        cpu_s_per_100k=result.cpu_s_per_100k,
        p99_alarm_ms=result.p99_alarm_ms,
        rss_mb_peak=result.rss_mb_peak,
    )
