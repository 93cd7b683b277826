"""The command line: `satomori run | demo | simulate | devices | codecs | people | rules | …`.

Parses, calls, prints; decides nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from satomori.bench_commands import app as bench_app
from satomori.codecs_command import codecs_app
from satomori.devices_command import devices_app
from satomori.options import Config, Json
from satomori.settings import Settings, SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
people_app = typer.Typer(no_args_is_help=True, help="People: add, one-time login links.")
rules_app = typer.Typer(no_args_is_help=True, help="Rules: check, load, show.")
broker_app = typer.Typer(no_args_is_help=True, help="Files of the MQTT broker.")
for name, sub in (
    ("devices", devices_app),
    ("people", people_app),
    ("rules", rules_app),
    ("bench", bench_app),
    ("broker", broker_app),
    ("codecs", codecs_app),
):
    app.add_typer(sub, name=name)


@app.command()
def run(config: Config = None) -> None:
    """Run the whole system: broker, intake, alerts, web."""
    from satomori.logs import configure_logs
    from satomori.system import run_system

    configure_logs("satomori")

    def say_ready(settings: Settings) -> None:
        typer.echo(f"里守り Satomori is ready: {settings.public_url}")

    asyncio.run(run_system(load_settings(config), on_ready=say_ready))


@app.command()
def demo(
    var: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("./var"),
    port: Annotated[int, typer.Option(help="Web port; the next free one is taken.")] = 8000,
    store: Annotated[Literal["duckdb", "influxdb"], typer.Option(help="Series store.")] = "duckdb",
    smtp: Annotated[str, typer.Option(help="host:port of a mail server to send alarms to.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the simulated city.")] = 1,
) -> None:
    """A simulated city under a storm, on this machine, to look at.

    SATOMORI_MOSQUITTO and SATOMORI_INFLUXD in the environment name the servers' binaries;
    SATOMORI_MOSQUITTO=none takes the embedded broker, which is for trying out only.
    """
    from satomori.demo import run_demo
    from satomori.logs import configure_logs

    configure_logs("demo")
    asyncio.run(run_demo(var=var, port=port, store=store, smtp=smtp, seed=seed))


@app.command(hidden=True)
def process(name: str, settings: Annotated[Path, typer.Option()]) -> None:
    """Run one process of the system; the supervisor calls this."""
    from satomori.logs import configure_logs
    from satomori.processes import PROCESSES, until_stopped

    configure_logs(name)
    given = Settings.model_validate_json(settings.read_text(encoding="utf-8"))
    asyncio.run(until_stopped(PROCESSES[name](given)))


@app.command()
def simulate(
    from_file: Annotated[
        Path | None, typer.Option(help="Play a file of readings (USGS, UK EA or mapped CSV, .gz).")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(help="Force signals of single devices (TOML).")
    ] = None,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 1883,
    username: Annotated[str, typer.Option()] = "",
    password_file: Annotated[Path | None, typer.Option()] = None,
    mqtt: Annotated[Literal["5", "3.1.1"], typer.Option(help="MQTT version.")] = "5",
    device: Annotated[str, typer.Option(help="Publish a file as this device.")] = "",
    shift_to_now: Annotated[
        bool, typer.Option(help="Shift a file's times so that its last reading is now.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Messages a second; 0: as the broker answers.")] = 0.0,
    seed: Annotated[int, typer.Option()] = 1,
    network: Annotated[
        Literal["", "chirpstack", "the-things-stack"],
        typer.Option(help="Some devices of the city speak LoRaWAN, by this network server."),
    ] = "",
    network_port: Annotated[int, typer.Option(help="Port of its broker; 0: --port.")] = 0,
    network_username: Annotated[str, typer.Option()] = "",
    network_password_file: Annotated[Path | None, typer.Option()] = None,
    json_output: Json = False,
) -> None:
    """Publish what devices would: a simulated city, a scenario, or a file."""
    from satomori.logs import configure_logs
    from satomori.processes import until_stopped
    from satomori.simulate import ByNetwork, Target, play_city, play_file

    configure_logs("simulate")
    target = Target(host, port, username, password_file, mqtt)
    if from_file:
        played = asyncio.run(
            play_file(from_file, target, device=device, shift_to_now=shift_to_now, rate=rate)
        )
        typer.echo(played.as_json() if json_output else played.as_text())
    else:
        own = Target(host, network_port or port, network_username, network_password_file, mqtt)
        by_network = ByNetwork(network, own) if network else None
        playing = play_city(target, seed=seed, scenario=scenario, network=by_network)
        asyncio.run(until_stopped(playing))


@people_app.command("add")
def people_add(
    name: str,
    role: Annotated[str, typer.Option(help="admin disaster waterworks agriculture owner public")],
    display_name: Annotated[str, typer.Option()] = "",
    mail: Annotated[str, typer.Option(help="Mail address for alarms.")] = "",
    language: Annotated[Literal["ja", "en"], typer.Option()] = "ja",
    config: Config = None,
) -> None:
    """Add a person; prints a one-time login link."""
    from satomori.administration import add_person

    typer.echo(
        add_person(
            load_settings(config),
            name,
            role=role,
            display_name=display_name or name,
            mail=mail or None,
            language=language,
        )
    )


@people_app.command("link")
def people_link(name: str, config: Config = None) -> None:
    """Print a new one-time login link for NAME."""
    from satomori.administration import login_link

    typer.echo(login_link(load_settings(config), name))


@people_app.command("token")
def people_token(
    name: str,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is good.")] = 365,
    config: Config = None,
) -> None:
    """Print a token with which a program (Prometheus, a script) acts as NAME; it is shown once."""
    from satomori.administration import access_token

    typer.echo(access_token(load_settings(config), name, days))


@people_app.command("password")
def people_password(name: str, config: Config = None) -> None:
    """Set a password for NAME, asked for on the terminal."""
    from satomori.administration import set_password

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    set_password(load_settings(config), name, password)


@people_app.command("group")
def people_group(
    name: str,
    member: Annotated[list[str] | None, typer.Option(help="Name of a person; repeatable.")] = None,
    display_name: Annotated[str, typer.Option()] = "",
    config: Config = None,
) -> None:
    """Add a group that owns devices, or say anew who belongs to it."""
    from satomori.administration import put_group

    typer.echo(put_group(load_settings(config), name, display_name, member or []))


@rules_app.command("check")
def rules_check(file: Path) -> None:
    """Say whether a rule file can be used, and where not."""
    from satomori.administration import check_rules

    typer.echo(check_rules(file))


@rules_app.command("load")
def rules_load(file: Path, config: Config = None) -> None:
    """Let the rules of FILE hold from now on; a wrong file is refused as a whole."""
    from satomori.administration import load_rule_file

    typer.echo(load_rule_file(load_settings(config), file))


@rules_app.command("show")
def rules_show(config: Config = None) -> None:
    """Print the rules that hold."""
    from satomori.administration import show_rules

    typer.echo(show_rules(load_settings(config)))


@broker_app.command("files")
def broker_files(config: Config = None) -> None:
    """Write password and ACL file for a broker of the system's; prints where they are."""
    from satomori.administration import write_broker_files

    typer.echo(write_broker_files(load_settings(config)))


@broker_app.command("simulator")
def broker_simulator(config: Config = None) -> None:
    """Make the broker account of a simulated fleet; it may publish for every device."""
    from satomori.administration import admit_simulator

    typer.echo(admit_simulator(load_settings(config)))


@bench_app.command("codecs")
def bench_codecs(as_json: Json = False) -> None:
    """What a codec costs, in a fresh context and in one that is kept."""
    from bench.codecs import run as run_bench

    result = run_bench()
    typer.echo(result.as_json() if as_json else result.as_text())


@app.command()
def doctor(config: Config = None, json_output: Json = False) -> None:
    """Look at the installation and say what is wrong with it."""
    from satomori.doctor import examine

    report = examine(load_settings(config))
    typer.echo(report.as_json() if json_output else report.as_text())
    if not report.is_healthy:
        raise typer.Exit(1)


def main() -> None:
    """Entry point; errors of ours are one sentence, not a traceback."""
    from sqlalchemy.exc import ArgumentError, OperationalError

    from alerts.rules import RuleError

    os.umask(0o077)  # what is kept tells about people; folders that were there keep their modes
    try:
        app()
    except (SettingsError, RuleError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except (ArgumentError, OperationalError) as error:
        sys.stderr.write(f"database.url: {str(error).splitlines()[0]}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
