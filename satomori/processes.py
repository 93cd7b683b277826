"""The three processes, each wired from the parts of the other packages.

This is the one place that sees a journal, an engine and a page at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from alerts.channels.log import LogChannel
from alerts.channels.mail import MailChannel, MailServer
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Channel
from alerts.service import AlertService
from dashboards.app import create_app
from dashboards.settings import MapView
from devices.frames import Lane
from devices.registry import Registry
from firmware_sim.city import basemap
from ingest.intake import BrokerAddress, Intake
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.quarantine import QuarantineWriter
from ingest.store_writer import StoreWriter
from ingest.stores import open_store
from ingest.stores.series_store import SeriesStore
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.settings import Settings, read_secret

log = structlog.get_logger()

MIB = 1 << 20


async def run_intake(settings: Settings) -> None:
    """Broker → decode → check → journal → acknowledgement, until cancelled."""
    place = Installation(settings)
    registry = Registry(place.open_database())
    journals = {lane: _journal(place, lane, registry) for lane in Lane}
    intake = Intake(
        broker=_broker_address(settings, place),
        registry=registry,
        journals=journals,
        followers=_followers(place, "intake"),
        now=now_ms,
        status_path=place.run / "intake.json",
        connections_per_lane=settings.intake.connections_per_lane,
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
        readers=_followers(place, "alerts"),
        state_dir=place.alerts,
        channels=_channels(settings, place),
        now=now_ms,
        status_path=place.run / "alerts.json",
        wake=_waker(place.run / "web.sock"),
    )
    await service.run()


async def run_web(settings: Settings) -> None:
    """Journal → store and live values → API and pages, until cancelled."""
    place = Installation(settings)
    database = place.open_database()
    store = _store(settings, place)
    writer = StoreWriter(
        store,
        _followers(place, "store"),
        flush_rows=settings.store.flush_rows,
        flush_s=settings.store.flush_s,
    )
    app = create_app(
        database=database,
        registry=Registry(database),
        followers=_followers(place, "live"),
        store_writer=writer,
        quarantine=QuarantineWriter(database, _followers(place, "quarantine")),
        status_dir=place.run,
        now=now_ms,
        wake_socket=place.run / "web.sock",
        static_dir=_static_dir(),
        basemap=basemap,
        map_view=MapView(**settings.map.model_dump()),
        secure_cookies=settings.web.secure_cookies,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.web.host,
            port=settings.web.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
        )
    )
    try:
        await server.serve()
    finally:
        store.close()


PROCESSES: Mapping[str, Callable[[Settings], Coroutine[Any, Any, None]]] = {
    "intake": run_intake,
    "alerts": run_alerts,
    "web": run_web,
}
"""What `satomori process NAME` runs, in the order of starting."""


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
        definitions=lambda: registry.snapshot().definitions.values(),
        low_water_bytes=options.low_water_mib * MIB,
        reserve_bytes=options.reserve_mib * MIB,
    )


def _followers(place: Installation, reader: str) -> dict[Lane, JournalFollower]:
    return {lane: JournalFollower(place.journal / lane, lane, reader) for lane in Lane}


def _broker_address(settings: Settings, place: Installation) -> BrokerAddress:
    broker = settings.broker
    return BrokerAddress(
        host=broker.host,
        port=broker.port,
        username=broker.username,
        password=place.intake_password(),
        tls_ca=Path(broker.tls_ca) if broker.tls_ca else None,
    )


def _store(settings: Settings, place: Installation) -> SeriesStore:
    options = settings.store
    influx = options.influxdb
    return open_store(
        options.kind,
        directory=place.store,
        url=influx.url,
        database=influx.database,
        personal_database=influx.personal_database,
        org=influx.org,
        username=influx.username,
        secret=read_secret(Path(influx.secret_file)) if influx.secret_file else "",
    )


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
