"""`satomori bench …`: parses, measures with the servers of this machine, prints.

Decides nothing. Figures go to stdout, progress to stderr; a run that lost something, or could not
be compared, ends with an exit code that says so.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import typer

if TYPE_CHECKING:
    from bench.options import Servers

app = typer.Typer(no_args_is_help=True, help="Benchmarks; --json for programs.")

LOST, NOT_RUN = 1, 3
"""Exit codes: something is lost, repeated or missing; it could not be run or compared."""

Json = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]
Devices = Annotated[int, typer.Option(min=1, max=50_000)]
Connections = Annotated[int, typer.Option(min=1, max=500, help="Publishers' connections.")]
WarmUp = Annotated[float, typer.Option(min=1, help="Seconds before; not in the rates.")]
FlushS = Annotated[float, typer.Option(hidden=True, help="[store] flush_s; for tests.")]
Rules = Annotated[int, typer.Option(min=1, max=100, help="Rules that fire, half of them a lane.")]


class _Outcome(Protocol):
    @property
    def failures(self) -> tuple[str, ...]: ...

    def as_json(self) -> str: ...

    def as_text(self) -> str: ...


@app.command("ingest")
def ingest(
    devices: Devices = 20_000,
    connections: Connections = 50,
    seconds: Annotated[float, typer.Option(min=1, help="Publishing, after the warm-up.")] = 60.0,
    minutes: Annotated[float, typer.Option(min=0, help="Instead of --seconds.")] = 0.0,
    warm_up: WarmUp = 5.0,
    rate: Annotated[float, typer.Option(help="Messages a second; 0: as fast as possible.")] = 0.0,
    backlog: Annotated[
        int, typer.Option(help="Publishers are at most so many messages ahead; 0: a flood.")
    ] = 100_000,
    rules: Rules = 20,
    readings_per_message: Annotated[int, typer.Option(min=1, max=50)] = 1,
    tls: Annotated[
        bool, typer.Option("--tls", help="Intake, publishers, references by TLS.")
    ] = False,
    store: Annotated[Literal["duckdb", "influxdb"], typer.Option()] = "duckdb",
    store_url: Annotated[str, typer.Option(help="An InfluxDB that runs already.")] = "",
    references: Annotated[
        bool, typer.Option(help="The same load into a sink and paho-mqtt.")
    ] = True,
    reference_seconds: Annotated[float, typer.Option(help="Of the sink; 0: as --seconds.")] = 0.0,
    flush_s: FlushS = 5.0,
    json_output: Json = False,
) -> None:
    """Whole path under load, with a broker of its own: rate, CPU, losses, time to the alarm."""
    from bench.ingest import run
    from bench.options import Options

    options = Options(
        devices=devices,
        connections=connections,
        seconds=60 * minutes or seconds,
        warm_up_s=warm_up,
        rate=rate,
        backlog=backlog,
        rules=rules,
        readings_per_message=readings_per_message,
        flush_s=flush_s,
        is_tls=tls,
        store=store,
        store_url=store_url,
        has_references=references,
        reference_seconds=reference_seconds,
    )
    _print(lambda: run(options, _servers()), is_json=json_output)


@app.command("ingest-growth")
def ingest_growth(
    connections: Connections = 50,
    seconds: Annotated[float, typer.Option(min=1, help="Publishing, of each run.")] = 10.0,
    warm_up: WarmUp = 3.0,
    rate: Annotated[float, typer.Option(help="Messages a second; 0: as fast as possible.")] = 0.0,
    points: Annotated[str, typer.Option(help="DEVICESxRULES,…; all of the list if empty.")] = "",
    json_output: Json = False,
) -> None:
    """How the cost of a message grows from 1,000 to 50,000 devices and from 1 to 100 rules."""
    from bench.growth import parse_points, run_growth
    from bench.options import Options

    options = Options(connections=connections, seconds=seconds, warm_up_s=warm_up, rate=rate)
    try:
        wanted = parse_points(points)
    except ValueError:
        raise typer.BadParameter(f"--points {points!r}: 1000x20,20000x1 is expected") from None
    _print(lambda: run_growth(options, _servers(), wanted), is_json=json_output)


@app.command("storm")
def storm(
    devices: Devices = 20_000,
    connections: Connections = 50,
    seconds: Annotated[float, typer.Option(min=1)] = 60.0,
    calibrate: Annotated[
        float, typer.Option(min=1, help="Seconds before, of the same load.")
    ] = 40.0,
    rate: Annotated[float, typer.Option(help="Messages a second that are offered.")] = 30_000.0,
    warm_up: WarmUp = 5.0,
    rules: Rules = 20,
    flush_s: FlushS = 5.0,
    throttle: Annotated[Literal["auto", "cgroup", "signals"], typer.Option()] = "auto",
    json_output: Json = False,
) -> None:
    """Intake throttled to a third of what is offered: does what is urgent get through in time?"""
    from bench.options import Options
    from bench.storm import StormOptions, run_storm

    options = Options(
        devices=devices,
        connections=connections,
        rules=rules,
        warm_up_s=warm_up,
        flush_s=flush_s,
        fire_every=200,
    )
    asked = StormOptions(
        rate=rate,
        seconds=seconds,
        calibrate_s=calibrate,
        means=None if throttle == "auto" else throttle,
    )
    _print(lambda: run_storm(options, asked, _servers()), is_json=json_output)


def _servers() -> Servers:
    """The servers that this installation would start; raises BenchError without mosquitto."""
    from bench.options import BenchError, Servers
    from satomori.broker import find_mosquitto, shipped_config

    mosquitto = find_mosquitto()
    if mosquitto is None:
        raise BenchError("bench needs mosquitto (apt-get install mosquitto)")
    return Servers(mosquitto, shipped_config(), _influxd())


def _influxd() -> Callable[[Path, str], Sequence[str]] | None:
    from satomori.influx_child import find_influxd, influx_child

    given = os.environ.get("SATOMORI_INFLUXD_18")
    binary = Path(given) if given else find_influxd()
    if binary is None:
        return None
    return lambda folder, url: influx_child(binary, folder, url).command


def _print(run: Callable[[], _Outcome], *, is_json: bool) -> None:
    from bench.options import BenchError

    signal.signal(signal.SIGTERM, _end)  # what was started ends with us, and its folder goes
    try:
        outcome = run()
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        raise typer.Exit(NOT_RUN) from None
    typer.echo(outcome.as_json() if is_json else outcome.as_text())
    for failure in outcome.failures:
        typer.echo(f"bench: {failure}", err=True)
    if outcome.failures:
        raise typer.Exit(LOST)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)
