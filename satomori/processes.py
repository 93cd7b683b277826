"""The processes, each wired from the parts of the other packages.

This is the one place that sees a journal, an engine and a page at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from alerts.channels.log import LogChannel
from alerts.channels.mail import MailChannel, MailServer
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Channel
from alerts.service import AlertService
from dashboards.app import create_app, end_streams
from dashboards.device_health import HealthOptions
from dashboards.downlink_desk import NetworkLink
from dashboards.network_ear import NetworkEar
from dashboards.settings import MapView
from devices.codecs.library import Library
from devices.database_room import keep_room
from devices.frames import Lane
from devices.health.battery import Cell
from devices.health.findings import Limits
from devices.registry import Registry
from firmware_sim.geography import basemap
from ingest.intake import BrokerAddress, Intake
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.mqtt_frames import Version
from ingest.quarantine import QuarantineWriter
from ingest.self_watch import WatchPlaces
from ingest.store_writer import StoreWriter
from ingest.stores import open_store
from ingest.stores.series_store import SeriesStore
from ingest.translator import Translating
from satomori.clock import now_ms
from satomori.feeds import run_feeds, weather_view
from satomori.installation import STRAYS, Installation
from satomori.networks import is_ours_used, network, network_address
from satomori.patience import PatientProtocol, allow_many_connections
from satomori.settings import NetworkSettings, Settings, SettingsError, read_secret
from satomori.steady_reader import SteadyReader

log = structlog.get_logger()

MIB = 1 << 20
ROOM_EVERY_S = 60.0
SWITCH_INTERVAL_S = 0.0005
"""How long a thread of intake may keep the interpreter from another that wants it.

Both lanes and the event loop share it, and urgent messages need it some ten times on their way:
Python's own 5 ms each time would be most of their delay while routine work is going on.
"""


async def run_intake(settings: Settings) -> None:
    """Broker → decode → check → journal → acknowledgement, until cancelled."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    place = Installation(settings)
    registry = Registry(place.open_database())
    registry.snapshot()  # what is known from now on, whether the database is there or not
    journals = {lane: _journal(place, lane, registry) for lane in Lane}
    intake = Intake(
        broker=_broker_address(settings, place),
        strays=_strays_address(settings, place),
        registry=registry,
        journals=journals,
        followers=_followers(place, "intake"),
        now=now_ms,
        status_path=place.run / "intake.json",
        connections_per_lane=settings.intake.connections_per_lane,
        session_expiry_s=settings.intake.session_expiry_s,
        client_secret=place.client_secret(),
        keep_ms=settings.journal.keep_h * 3_600_000,
        places=_watch_places(settings, place),
        readings_per_minute=settings.intake.readings_per_minute_per_device,
        networks=[network(one, address) for one, address in _network_addresses(settings, place)],
        translating=Translating(
            _followers(place, "translator", is_woken=False), Library(registry.database)
        ),
    )
    try:
        await intake.run()
    finally:
        for journal in journals.values():
            journal.close()


async def run_alerts(settings: Settings) -> None:
    """Journal → engine → alarms and outbox → deliveries, until cancelled."""
    place = Installation(settings)
    database = place.open_database()
    service = AlertService(
        database=database,
        registry=Registry(database),
        readers={
            lane: SteadyReader(follower) for lane, follower in _followers(place, "alerts").items()
        },
        state_dir=place.alerts,
        channels=_channels(settings, place),
        now=now_ms,
        status_path=place.run / "alerts.json",
        wake=_waker(place.run / "web.sock"),
        public_url=settings.public_url,
    )
    async with asyncio.TaskGroup() as tasks:
        room = tasks.create_task(_keep_room(database), name="alerts.room")
        await service.run()
        room.cancel()


async def _keep_room(database: Engine) -> None:
    """An alarm must find room in its database when the disk has none."""
    while True:
        await asyncio.to_thread(keep_room, database)
        await asyncio.sleep(ROOM_EVERY_S)


async def run_web(settings: Settings) -> None:
    """Journal → store and live values → API and pages, until cancelled."""
    allow_many_connections()
    place = Installation(settings)
    database = place.open_database()
    store = _store(settings, place)
    writer = StoreWriter(
        store,
        _followers(place, "store", is_woken=False),
        flush_rows=settings.store.flush_rows,
        flush_s=settings.store.flush_s,
    )
    app = create_app(
        database=database,
        registry=Registry(database),
        followers=_followers(place, "live"),
        store_writer=writer,
        quarantine=QuarantineWriter(
            database,
            _followers(place, "quarantine", is_woken=False),
            raw_keeper=NetworkEar({one.name: one.kind for one in settings.networks}),
        ),
        status_dir=place.run,
        now=now_ms,
        wake_socket=place.run / "web.sock",
        static_dir=_static_dir(),
        basemap=basemap,
        map_view=MapView(**settings.map.model_dump()),
        secure_cookies=settings.web.secure_cookies,
        access_point=settings.access_point,
        health=_health_options(settings),
        networks=network_links(settings, place),
        weather=weather_view(settings),
    )
    try:
        await _serve(_Server(server_options(settings, app)), app)
    finally:
        store.close()


def _health_options(settings: Settings) -> HealthOptions:
    health = settings.health
    return HealthOptions(
        networks={network.name: network.kind for network in settings.networks},
        cells={
            one.model: Cell(one.empty_at, one.cell, one.cells_in_series) for one in health.batteries
        },
        limits=Limits(
            battery_soon_days=health.battery_soon_days, battery_now_days=health.battery_now_days
        ),
    )


def server_options(settings: Settings, app: FastAPI) -> uvicorn.Config:
    """How web is served. What a caller says of its address holds only from a trusted proxy."""
    proxies = list(settings.web.trusted_proxies)
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        host=settings.web.host,
        port=settings.web.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
    )


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(server: uvicorn.Server, app: FastAPI) -> None:
    """Serve until cancelled; then end the event streams, answer what is open, and stop."""
    serving = asyncio.create_task(server.serve(), name="web.serve")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        end_streams(app)
        server.should_exit = True
        await serving
        raise


PROCESSES: Mapping[str, Callable[[Settings], Coroutine[Any, Any, None]]] = {
    "web": run_web,
    "alerts": run_alerts,
    "intake": run_intake,
    "feeds": run_feeds,
}
"""What `satomori process NAME` runs. Started in this order, stopped in reverse: readers are there
before anything comes in, and have passed what came in before they go."""


def used_processes(settings: Settings) -> tuple[str, ...]:
    """The processes that these settings need."""
    return tuple(name for name in PROCESSES if name != "feeds" or settings.jma.enabled)


async def until_stopped(work: Awaitable[None]) -> None:
    """Run ``work`` until it ends or SIGTERM/SIGINT cancels it in an orderly way."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _journal(place: Installation, lane: Lane, registry: Registry) -> JournalWriter:
    options = place.settings.journal
    return JournalWriter(
        place.journal / lane,
        lane,
        segment_bytes=options.segment_mib * MIB,
        definitions=lambda: registry.known.definitions.values(),
        low_water_bytes=options.low_water_mib * MIB,
        reserve_bytes=options.reserve_mib * MIB,
    )


def _followers(
    place: Installation, reader: str, *, is_woken: bool = True
) -> dict[Lane, JournalFollower]:
    return {
        lane: JournalFollower(place.journal / lane, lane, reader, is_woken=is_woken)
        for lane in Lane
    }


def _broker_address(settings: Settings, place: Installation) -> BrokerAddress:
    broker = settings.broker
    return BrokerAddress(
        host=broker.host,
        port=broker.port,
        username=broker.username,
        password=_secret_reader(place.intake_password_file),
        version=Version.V3_1_1 if broker.mqtt == "3.1.1" else Version.V5,
        tls_ca=Path(broker.tls_ca) if broker.tls_ca else None,
    )


def _strays_address(settings: Settings, place: Installation) -> BrokerAddress | None:
    """Only where the ACL is ours: elsewhere this account might hear every message again."""
    if settings.broker.mode != "child" or settings.broker.mqtt != "5":
        return None
    return replace(_broker_address(settings, place), username=STRAYS)


def network_links(settings: Settings, place: Installation) -> dict[str, NetworkLink]:
    """Network servers by their names, as downlinks reach them."""
    found = _network_addresses(settings, place)
    return {one.name: NetworkLink(one.kind, address) for one, address in found}


def _network_addresses(
    settings: Settings, place: Installation
) -> list[tuple[NetworkSettings, BrokerAddress]]:
    """Each network server, and where it is heard and spoken to."""
    ours = _broker_address(settings, place)
    found = []
    for one in settings.networks:
        address = network_address(one, ours)
        if one.password_file:
            address = replace(address, password=_secret_reader(Path(one.password_file)))
        found.append((one, address))
    return found


def _watch_places(settings: Settings, place: Installation) -> WatchPlaces:
    return WatchPlaces(
        status_dir=place.run,
        disks=(place.var, place.journal, place.store, place.broker),
        low_water_bytes=settings.journal.low_water_mib * MIB,
        may_account=_strays_address(settings, place) is not None and not is_ours_used(settings),
        has_feed=settings.jma.enabled,
    )


def _store(settings: Settings, place: Installation) -> SeriesStore:
    options = settings.store
    influx = options.influxdb
    return open_store(
        options.kind,
        directory=place.store,
        least_free_bytes=settings.journal.reserve_mib * MIB,
        url=influx.url,
        database=influx.database,
        personal_database=influx.personal_database,
        org=influx.org,
        username=influx.username,
        secret=_secret_reader(Path(influx.secret_file)) if influx.secret_file else "",
    )


def _secret_reader(file: Path) -> Callable[[], str]:
    """Reads a secret anew at each call; one that is no secret at the start is a wrong setting."""
    read_secret(file)

    def read() -> str:
        try:
            return read_secret(file)
        except SettingsError as error:
            raise OSError(str(error)) from error

    return read


def _channels(settings: Settings, place: Installation) -> dict[str, Channel]:
    channels: dict[str, Channel] = {
        "log": LogChannel(),
        "webhook": WebhookChannel(secret=read_secret(place.webhook_secret_file)),
    }
    mail = settings.mail
    if mail.host:
        password = read_secret(Path(mail.password_file)) if mail.password_file else None
        server = MailServer(mail.host, mail.port, mail.security, mail.username or None, password)
        channels["mail"] = MailChannel(server, sender=mail.sender)
    return channels


def _static_dir() -> Path | None:
    import dashboards

    built = Path(dashboards.__file__).resolve().parent / "static"
    return built if (built / "index.html").is_file() else None


def _waker(socket_path: Path) -> Callable[[], None]:
    import socket

    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)

    def wake() -> None:
        with contextlib.suppress(OSError):  # nobody listens: web looks by itself soon
            sender.sendto(b"!", str(socket_path))

    return wake
