"""`satomori bench ingest`: the whole path under load, on this machine, with its own broker.

`run` is the table of contents: install, the ceiling, Satomori, the floor, compare. Refuses to know
how each is done.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.alarms import Delays, delays_by_lane
from bench.broker import Broker, Certificates, make_certificates
from bench.comparison import Count, compare
from bench.compiled import has_compiler
from bench.counting import open_counter
from bench.drive import publish
from bench.influx import own_influx
from bench.load import Load, Published
from bench.options import Options, Servers
from bench.progress import Progress
from bench.references import Reference, run_paho, run_sink
from bench.result import Result, failures, this_machine
from bench.subject import Installation, RunningSystem
from bench.watch import Watch
from devices.database import open_database
from devices.registry import Registry


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured part of a run: publishers, processes, and when (time.monotonic, ms UTC).

    ``stored_at_end`` is how many messages the store had when publishing ended.
    """

    warm: Published
    published: Published
    stored_at_end: int
    taken_in_at: float
    passed_at: float
    began_at_ms: int
    ended_at_ms: int
    watch: Watch


def run(options: Options, servers: Servers, progress: Progress | None = None) -> Result:
    """Run the benchmark once. Raises BenchError when it could not be run or compared."""
    progress = progress or Progress()
    with prepared(options, servers, progress) as (place, certificates):
        references: list[Reference] = []
        if options.has_references:
            references.append(run_sink(place, servers, certificates, options, progress))
        measured = measure(place, servers, certificates, progress)
        if options.has_references:
            references.append(run_paho(place, servers, certificates, options, progress))
        progress.say("comparing the store with what the broker acknowledged")
        counts = compare_store(place, measured.published)
        delays = look_at_alarms(place, measured)
    result = _result(place.options, measured, counts, delays)
    return with_references(result, references, is_tls=options.is_tls)


@contextlib.contextmanager
def prepared(
    options: Options, servers: Servers, progress: Progress
) -> Iterator[tuple[Installation, Certificates | None]]:
    """An installation in a folder that goes at the end, and certificates where TLS is asked for."""
    with (
        tempfile.TemporaryDirectory(prefix="satomori-bench-") as name,
        own_influx(options, servers, Path(name)) as url,
    ):
        folder = Path(name)
        progress.say(f"an installation of {options.devices:,} devices, {options.rules} rules")
        place = Installation(folder, replace(options, store_url=url))
        yield place, make_certificates(folder / "tls") if options.is_tls else None


@contextlib.contextmanager
def running(
    place: Installation, servers: Servers, certificates: Certificates | None
) -> Iterator[RunningSystem]:
    """Satomori on the installation: with a child broker, or with one that talks TLS."""
    with contextlib.ExitStack() as stack:
        broker = None
        if certificates is not None:
            folder = place.folder / "tls-broker"
            broker = Broker(servers, folder, place.broker_folder, certificates)
            stack.callback(broker.close)
            place.use_broker(broker.port, certificates)
        system = RunningSystem(place, broker.pid if broker else None)
        stack.callback(system.close)
        yield system


def measure(
    place: Installation, servers: Servers, certificates: Certificates | None, progress: Progress
) -> Measured:
    """Start Satomori, warm it up, publish, wait until all readers have passed, stop."""
    options = place.options
    progress.say(f"satomori: warm-up {options.warm_up_s:.0f} s, then {options.seconds:.0f} s")
    authority = certificates.authority if certificates else None
    with running(place, servers, certificates) as system:
        load = Load(place.target(authority), options, place.folder)
        try:
            warm = publish(load, system, options, options.warm_up_s, progress)
            system.wait_for_readers(system.check)
            return _measure_warm(place, system, load, warm, progress)
        finally:
            load.close()


def _measure_warm(
    place: Installation, system: RunningSystem, load: Load, warm: Published, progress: Progress
) -> Measured:
    watch, stored = Watch(system, place.var / "journal"), 0

    def look(_: Published) -> None:
        nonlocal stored
        watch.look()
        if not load.is_done:
            stored = watch.stored()

    began_at_ms = time.time_ns() // 1_000_000
    published = publish(load, system, place.options, place.options.seconds, progress, on_look=look)
    taken_in_at = time.monotonic()
    progress.say("all taken in; waiting for the readers")
    passed_at = system.wait_for_readers(watch.look)
    watch.stop()
    system.check()
    ended_at_ms = time.time_ns() // 1_000_000
    return Measured(
        warm, published, stored, taken_in_at, passed_at, began_at_ms, ended_at_ms, watch
    )


def compare_store(place: Installation, published: Published) -> Mapping[str, Count]:
    """Open the store again and count."""
    database = open_database(f"sqlite:///{place.var / 'satomori.db'}")
    registry = Registry(database).snapshot()
    database.dispose()
    with open_counter(place.var / "store", registry, place.options) as counter:
        return compare(counter, place.options, published.connections)


def look_at_alarms(place: Installation, measured: Measured) -> Mapping[str, Delays]:
    """Delays of the measured part, counts of the whole run."""
    database = open_database(f"sqlite:///{place.var / 'satomori.db'}")
    try:
        return delays_by_lane(
            database, measured.published.crossings, place.options.rules,
            measured.began_at_ms, measured.ended_at_ms,
        )  # fmt: skip
    finally:
        database.dispose()


def with_references(result: Result, references: list[Reference], *, is_tls: bool) -> Result:
    """The same result with the figures of the references and the ratios to them."""
    rates = {reference.name: reference.msgs_per_s for reference in references}
    ratios = {name: round(result.msgs_per_s / rate, 3) for name, rate in rates.items()}
    return replace(
        result,
        sink_msgs_per_s=rates.get("sink"),
        paho_msgs_per_s=rates.get("paho"),
        ratio_to_sink=ratios.get("sink"),
        ratio_to_paho=ratios.get("paho"),
        references={reference.name: asdict(reference) for reference in references},
        tls={
            "intake": is_tls,
            "publishers": is_tls,
            "references": is_tls and bool(references),
        },
    )


def _result(
    options: Options,
    measured: Measured,
    counts: Mapping[str, Count],
    delays: Mapping[str, Delays],
) -> Result:
    published, ours, broker = measured.published, measured.watch.ours, measured.watch.broker
    messages = published.acknowledged - measured.warm.acknowledged
    seconds = measured.passed_at - published.began
    publishing_s = published.ended - published.began
    cpu_s, rss_mb = ours.cpu_s(), ours.rss_mb()
    every, urgent, routine = (delays[name] for name in ("all", "urgent", "routine"))
    behind = published.acknowledged - measured.stored_at_end
    missing = max(urgent.missing, routine.missing, key=abs)
    return Result(
        messages=messages,
        readings=sum(count.expected for count in counts.values()),
        seconds=round(seconds, 2),
        msgs_per_s=round(messages / seconds, 1),
        publish_msgs_per_s=round(messages / publishing_s, 1),
        intake_msgs_per_s=round(messages / (measured.taken_in_at - published.began), 1),
        drain_s=round(measured.passed_at - published.ended, 2),
        cpu_s_per_100k=round(sum(cpu_s.values()) / messages * 1e5, 3),
        cpu_s=cpu_s,
        broker_cpu_s=broker.cpu_s()["broker"] if broker else 0.0,
        lost=sum(count.lost for count in counts.values()),
        repeated=sum(count.repeated for count in counts.values()),
        unexpected=sum(count.unexpected for count in counts.values()),
        by_quantity={quantity: asdict(count) for quantity, count in counts.items()},
        alarms=every.count,
        alarms_missing=every.missing,
        p50_alarm_ms=every.p50_ms,
        p99_alarm_ms=every.p99_ms,
        max_alarm_ms=every.max_ms,
        p50_urgent_alarm_ms=urgent.p50_ms,
        p99_urgent_alarm_ms=urgent.p99_ms,
        max_urgent_alarm_ms=urgent.max_ms,
        p50_routine_alarm_ms=routine.p50_ms,
        p99_routine_alarm_ms=routine.p99_ms,
        max_routine_alarm_ms=routine.max_ms,
        rss_mb=round(sum(rss_mb.values()), 1),
        rss_mb_peak=ours.peak_of_sum_mb(),
        rss_growth_mb_per_min=ours.growth_mb_per_min(),
        rss_mb_by_process=rss_mb,
        broker_rss_mb_peak=broker.peak_of_sum_mb() if broker else 0.0,
        store_lag_messages=behind,
        store_drain_msgs_per_s=round(behind / (measured.passed_at - published.ended), 1),
        load_generator="loadgen.c" if has_compiler() else "slow_loadgen.py",
        options=asdict(options),
        machine=this_machine(),
        failures=failures(counts, missing),
    )
