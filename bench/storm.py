"""`satomori bench storm`: more comes in than intake can take; what is urgent still gets through.

One run: offer a rate for a while with intake throttled to a third of it; 5 % is urgent. Routine
messages wait in the broker. Then intake is let go, everything drains, and all is counted::

    offered   ████████████████████████████████▏
    intake    ──calibrate──▏▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▏████████▏
                           storm: delays count         drain

Refuses to know how Satomori keeps the two apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench.alarms import Delays, delays_by_lane
from bench.comparison import Count
from bench.drive import publish
from bench.ingest import compare_store, prepared, running
from bench.load import Load, Published
from bench.meter import Meter
from bench.options import Options, Servers
from bench.progress import Progress
from bench.result import Machine, failures, this_machine
from bench.subject import Installation, RunningSystem
from bench.throttle import Means, Throttle, throttled
from bench.watch import Watch
from devices.database import open_database

_STEPS = 5
"""How often the throttle is set anew before the storm."""

_CAUTION = 0.6
"""How far each step after the first follows what was measured: less CPU takes in less than its
share, since much of what intake does costs the same for few messages as for many."""

_SETTLING = 1 / 3
"""Share of each step that is not looked at: what the throttle of before has left."""


@dataclass(frozen=True, slots=True)
class StormOptions:
    """``rate`` messages a second are offered for ``seconds``; intake gets through ``share`` of
    them. ``calibrate_s`` of the same load come before."""

    rate: float = 30_000.0
    seconds: float = 60.0
    share: float = 1 / 3
    calibrate_s: float = 40.0
    means: Means | None = None


@dataclass(frozen=True, slots=True)
class StormResult:
    """What a storm gave. ``share_taken_in`` is what intake really took of what was offered.

    ``backlog`` is [second of the storm, urgent and routine messages waiting, MB of the broker]; its
    lanes are known to about a second of messages.
    """

    messages: int
    offered_msgs_per_s: float
    taken_in_msgs_per_s: float
    share_taken_in: float
    throttle: str
    cpu_share_allowed: float
    p50_urgent_alarm_ms: float | None
    p99_urgent_alarm_ms: float | None
    max_urgent_alarm_ms: float | None
    urgent_alarms: int
    urgent_alarms_missing: int
    p50_routine_alarm_ms: float | None
    p99_routine_alarm_ms: float | None
    routine_alarms_missing: int
    routine_backlog_peak: int
    urgent_backlog_peak: int
    broker_rss_mb_peak: float
    backlog: tuple[tuple[float, int, int, float], ...]
    drain_s: float
    lost: int
    repeated: int
    unexpected: int
    by_quantity: Mapping[str, Mapping[str, int]]
    rss_mb_peak: float
    options: Mapping[str, Any]
    machine: Machine
    failures: tuple[str, ...] = ()

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """A line a figure."""
        return "\n".join(f"{key:<24} {value}" for key, value in asdict(self).items())


@dataclass(slots=True)
class _Watch:
    """What is seen while the storm goes on."""

    system: RunningSystem
    meters: Watch
    throttle: Throttle
    storm: StormOptions
    share: float = 0.0
    storm_at: float = 0.0
    storm_at_ms: int = 0
    first_intake: Mapping[str, Any] = field(default_factory=dict)
    last_intake: Mapping[str, Any] = field(default_factory=dict)
    backlog: list[tuple[float, int, int, float]] = field(default_factory=list)
    steps: int = 0
    settled: Mapping[str, Any] = field(default_factory=dict)

    def look(self, published: Published) -> None:
        """Called ten times a second while there is load or backlog."""
        self.meters.look()
        if not published.began:
            return
        passed = time.monotonic() - published.began
        self._calibrate(passed)
        since = passed - self.storm_at
        if self.storm_at and (not self.backlog or since - self.backlog[-1][0] >= 1.0):
            self._note_backlog(since, published)

    def _calibrate(self, passed: float) -> None:
        """Set the throttle anew at the end of each step; then leave it alone."""
        step_s = self.storm.calibrate_s / _STEPS
        if self.storm_at:
            return
        if not self.settled and passed >= step_s * (self.steps + _SETTLING):
            self.settled = self.system.intake()
        if passed < step_s * (self.steps + 1):
            return
        intake = self.system.intake()
        rate, self.settled = _rate(self.settled, intake), {}
        if rate > 0:
            wanted = self.storm.rate * self.storm.share
            ratio = min(max(wanted / rate, 0.3), 3.0) ** (1.0 if self.steps == 0 else _CAUTION)
            self.share = min(1.0, max(0.01, self.share * ratio))
        self.throttle.allow(self.share)
        self.steps += 1
        if self.steps == _STEPS:
            self.storm_at, self.first_intake = passed, intake
            self.storm_at_ms = time.time_ns() // 1_000_000

    def _note_backlog(self, since: float, published: Published) -> None:
        intake = self.system.intake()
        lanes = {name: lane["messages"] for name, lane in intake["lanes"].items()}
        urgent = max(0, published.sent_urgent - lanes.get("urgent", 0))
        routine = max(0, published.sent - published.sent_urgent - lanes.get("routine", 0))
        if since <= self.storm.seconds:
            self.last_intake = intake
        rss_mb = sum(self.meters.broker.rss_mb().values()) if self.meters.broker else 0.0
        self.backlog.append((round(since, 1), urgent, routine, round(rss_mb, 1)))


def run_storm(
    options: Options, storm: StormOptions, servers: Servers, progress: Progress | None = None
) -> StormResult:
    """Run one storm. Raises BenchError when it could not be run."""
    progress = progress or Progress()
    seconds = storm.calibrate_s + storm.seconds
    options = replace(options, rate=storm.rate, seconds=seconds, backlog=0)  # it must gather
    with prepared(options, servers, progress) as (place, _):
        with running(place, servers, None) as system:
            load = Load(place.target(), place.options, place.folder)
            try:
                watch, published, passed_at = _blow(place, system, load, storm, progress)
            finally:
                load.close()
        progress.say("comparing the store with what the broker acknowledged")
        counts = compare_store(place, published)
        delays = _delays(place, published, watch, storm)
    return _result(options, storm, watch, published, passed_at, counts, delays)


def _blow(
    place: Installation,
    system: RunningSystem,
    load: Load,
    storm: StormOptions,
    progress: Progress,
) -> tuple[_Watch, Published, float]:
    options = place.options
    wanted = storm.rate * storm.share
    progress.say(f"warm-up at {wanted:,.0f} messages a second: what does intake cost there?")
    before = Meter({"intake": system.pids["intake"]})
    began = time.monotonic()
    publish(load, system, options, options.warm_up_s, progress, rate=wanted)
    before.stop()
    share = before.cpu_s()["intake"] / (time.monotonic() - began)
    with throttled(system.pids["intake"], storm.means) as throttle:
        progress.say(f"{storm.rate:,.0f} a second, intake throttled by {throttle.means}")
        meters = Watch(system, place.var / "journal")
        watch = _Watch(system, meters, throttle, storm, share=max(share, 0.02))

        def look(published: Published) -> None:
            watch.look(published)
            if load.is_done:
                throttle.allow(None)

        throttle.allow(watch.share)
        published = publish(load, system, options, options.seconds, progress, rate=storm.rate,
                            on_look=look)  # fmt: skip
        passed_at = system.wait_for_readers(lambda: look(published))
    system.check()
    return watch, published, passed_at


def _delays(
    place: Installation, published: Published, watch: _Watch, storm: StormOptions
) -> Mapping[str, Delays]:
    database = open_database(f"sqlite:///{place.var / 'satomori.db'}")
    try:
        return delays_by_lane(
            database, published.crossings, place.options.rules,
            watch.storm_at_ms, watch.storm_at_ms + round(1000 * storm.seconds),
        )  # fmt: skip
    finally:
        database.dispose()


def _result(
    options: Options,
    storm: StormOptions,
    watch: _Watch,
    published: Published,
    passed_at: float,
    counts: Mapping[str, Count],
    delays: Mapping[str, Delays],
) -> StormResult:
    urgent, routine = delays["urgent"], delays["routine"]
    broker = watch.meters.broker
    during = [row for row in watch.backlog if row[0] <= storm.seconds]
    taken_in = _rate(watch.first_intake, watch.last_intake)
    offered = published.acknowledged / (published.ended - published.began)
    missing = max(urgent.missing, routine.missing, key=abs)
    return StormResult(
        messages=published.acknowledged,
        offered_msgs_per_s=round(offered, 1),
        taken_in_msgs_per_s=round(taken_in, 1),
        share_taken_in=round(taken_in / storm.rate, 3),
        throttle=watch.throttle.means,
        cpu_share_allowed=round(watch.share, 4),
        p50_urgent_alarm_ms=urgent.p50_ms,
        p99_urgent_alarm_ms=urgent.p99_ms,
        max_urgent_alarm_ms=urgent.max_ms,
        urgent_alarms=urgent.count,
        urgent_alarms_missing=urgent.missing,
        p50_routine_alarm_ms=routine.p50_ms,
        p99_routine_alarm_ms=routine.p99_ms,
        routine_alarms_missing=routine.missing,
        routine_backlog_peak=max((row[2] for row in during), default=0),
        urgent_backlog_peak=max((row[1] for row in during), default=0),
        broker_rss_mb_peak=broker.peak_of_sum_mb() if broker else 0.0,
        backlog=tuple(watch.backlog[:: max(1, len(watch.backlog) // 40)]),
        drain_s=round(passed_at - published.ended, 2),
        lost=sum(count.lost for count in counts.values()),
        repeated=sum(count.repeated for count in counts.values()),
        unexpected=sum(count.unexpected for count in counts.values()),
        by_quantity={quantity: asdict(count) for quantity, count in counts.items()},
        rss_mb_peak=watch.meters.ours.peak_of_sum_mb(),
        options={**asdict(options), **asdict(storm)},
        machine=this_machine(),
        failures=failures(counts, missing),
    )


def _rate(first: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """Messages a second between two of intake's statuses, by intake's own clock."""
    if not first or not last or last["at"] <= first["at"]:
        return 0.0
    messages = [sum(lane["messages"] for lane in s["lanes"].values()) for s in (first, last)]
    return float(messages[1] - messages[0]) * 1000 / float(last["at"] - first["at"])
