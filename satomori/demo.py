"""`satomori demo`: a simulated Satsumasendai under a storm, on one machine, ready in seconds.

The same three processes as in service, a fleet that does not exist in front of them, and one-time
login links. Nothing here is for a city in service.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import typer

from alerts.people import Person, people
from dashboards.people_admin import create_login_link, create_person
from devices.csv_import import parse_devices
from devices.registry import Registry
from firmware_sim import city
from satomori.broker import find_mosquitto, network_username
from satomori.clock import now_ms
from satomori.demo_lorawan import LORA_NETWORK, register_lorawan
from satomori.influx_child import find_influxd, influx_child
from satomori.installation import SIMULATOR, Installation
from satomori.ports import free_port
from satomori.settings import Settings, SettingsError, load_settings
from satomori.supervise import Child
from satomori.system import Extras, run_system

log = structlog.get_logger()

NO_MAIL = "  Alarms go to this log only; --smtp host:port sends them to a mail server."
LINK_TTL_S = 12 * 3600.0

DEMO_PEOPLE = (
    ("disaster", "防災 花子", "disaster"),
    ("waterworks", "水道 太郎", "waterworks"),
    ("agriculture", "農政 次郎", "agriculture"),
    ("owner", "農家 春子", "owner"),
    ("admin", "情報 管理", "admin"),
    ("public", "市民", "public"),
)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks of a demo."""

    var: Path
    port: int
    store: str
    smtp: str
    seed: int


async def run_demo(*, var: Path, port: int, store: str, smtp: str, seed: int) -> None:
    """Prepare what is missing under ``var``, run everything until Ctrl-C."""
    options = DemoOptions(var.resolve(), port, store, smtp, seed)
    settings = demo_settings(options)
    place = Installation(settings)
    place.prepare(now_ms())
    _say_what_stands_in()
    register_city(place, seed)
    if settings.networks:
        await register_lorawan(place, seed)
    add_demo_people(place, with_mail=bool(smtp))
    password_file = place.admit_simulator()
    await run_system(
        settings,
        extras=Extras(
            first=_store_children(settings, place),
            last=(_simulator_child(settings, password_file, seed),),
            may_embed_broker=True,
        ),
        on_ready=_announcer(place),
    )
    sys.stderr.write(f"\nstopped; everything is kept under {place.var}\n")


def demo_settings(options: DemoOptions) -> Settings:
    """The defaults, with free ports and the store that was asked for."""
    base = load_settings(None)
    overrides: dict[str, dict[str, object]] = {
        "paths": {"var": options.var},
        "broker": {"port": free_port(1883), "mqtt": "5" if find_mosquitto() else "3.1.1"},
        "web": {"port": free_port(options.port)},
        "store": {"kind": options.store, "flush_s": 2.0},
        "journal": {"low_water_mib": 128, "reserve_mib": 16},
    }
    networks = [LORA_NETWORK] if find_mosquitto() else []  # the embedded one has no ACL for it
    if options.store == "influxdb":
        url = f"http://127.0.0.1:{free_port(8086)}"
        overrides["store"]["influxdb"] = {**base.store.influxdb.model_dump(), "url": url}
    if options.smtp:
        host, _, port = options.smtp.rpartition(":")
        if not host or not port.isdecimal():
            raise SettingsError(f"--smtp {options.smtp!r}: host:port is expected")
        overrides["mail"] = {"host": host, "port": int(port)}
    document = base.model_dump() | {"networks": networks}
    for section, values in overrides.items():
        document[section] = {**document[section], **values}
    return Settings.model_validate(document)


def register_city(place: Installation, seed: int) -> None:
    """Register the simulated devices; those that are there already are left as they are."""
    database = place.open_database()
    registry = Registry(database)
    drafts, errors = parse_devices(city.to_csv(city.devices(seed=seed)))
    if errors:
        raise SettingsError(f"simulated city: {errors[0]}")
    known = registry.snapshot().by_name
    missing = [draft for draft in drafts if draft.name not in known]
    if missing:
        registry.register(missing, now=now_ms())
        log.info("demo.city.registered", devices=len(missing))
    database.dispose()


def add_demo_people(place: Installation, *, with_mail: bool) -> None:
    """One person for each role; no passwords, they come in by one-time links."""
    database = place.open_database()
    known = {person.name for person in people(database)}
    for name, display_name, role in DEMO_PEOPLE:
        if name not in known:
            mail = f"{name}@example.jp" if with_mail else None
            create_person(
                database,
                name,
                role=role,
                now=now_ms(),
                display_name=display_name,
                mail_address=mail,
            )
    database.dispose()


def _announcer(place: Installation) -> Callable[[Settings], None]:
    def announce(settings: Settings) -> None:
        database = place.open_database()
        lines = ["", f"  里守り Satomori   {settings.public_url}", ""]
        lines += [_link_line(settings, place, person) for person in people(database)]
        lines += [
            "",
            "  A storm reaches the city within the next minute. Ctrl-C stops everything.",
            *([] if settings.mail.host else [NO_MAIL]),
            "",
        ]
        typer.echo("\n".join(lines))
        sys.stdout.flush()
        database.dispose()

    return announce


def _link_line(settings: Settings, place: Installation, person: Person) -> str:
    database = place.open_database()
    token = create_login_link(database, person.id, now=now_ms(), ttl_s=LINK_TTL_S)
    database.dispose()
    return f"  {person.role:<12} {settings.public_url}/login/{token}"


def _simulator_child(settings: Settings, password_file: Path, seed: int) -> Child:
    command = (
        sys.executable, "-m", "satomori", "simulate",
        "--port", str(settings.broker.port),
        "--username", SIMULATOR,
        "--password-file", str(password_file),
        "--mqtt", settings.broker.mqtt,
        "--seed", str(seed),
        *_by_network(settings, password_file.parent),
    )  # fmt: skip
    return Child("simulator", command, stop_s=5.0)


def _by_network(settings: Settings, broker_folder: Path) -> tuple[str, ...]:
    """Some of the stations hang on a network server that publishes on our broker."""
    if not settings.networks:
        return ()
    [network] = settings.networks
    account = network_username(network.name)
    return (
        "--network", network.kind,
        "--network-username", account,
        "--network-password-file", str(broker_folder / f"{account}.password"),
    )  # fmt: skip


def _store_children(settings: Settings, place: Installation) -> tuple[Child, ...]:
    if settings.store.kind != "influxdb":
        return ()
    binary = find_influxd()
    if binary is None:
        raise SettingsError("store influxdb: influxd is not installed (apt-get install influxdb)")
    return (influx_child(binary, place.var / "influxdb", settings.store.influxdb.url),)


def _say_what_stands_in() -> None:
    if find_mosquitto() is None:
        log.warning(
            "demo.broker.embedded", note="mosquitto is missing; this one is for trying out only"
        )
