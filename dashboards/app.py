"""The web application, joined from its parts; its lifespan runs everything that web does beside.

Refuses to know where the parts come from (``satomori``).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import structlog
from fastapi import Depends, FastAPI
from sqlalchemy import Engine
from starlette.middleware.gzip import GZipMiddleware

from alerts.ledger import AlarmBook
from dashboards.admission_watch import AdmissionWatch
from dashboards.device_health import DeviceHealth, HealthOptions
from dashboards.device_said import FrameInbox
from dashboards.downlink_desk import DownlinkDesk, NetworkLink
from dashboards.errors import ErrorAnswer, handle_errors
from dashboards.guards import RequestGuard, SecurityHeaders
from dashboards.live import Live
from dashboards.pages import page_router
from dashboards.parts import Parts, visitor_of
from dashboards.routes import (
    alarms,
    codecs,
    consumption,
    credentials,
    device_changes,
    devices,
    downlinks,
    login,
    operations,
    places,
    stations,
    waiting,
    warnings,
)
from dashboards.routes import device_health as device_health_routes
from dashboards.routes import quarantine as quarantine_routes
from dashboards.settings import MapView
from dashboards.stored import QuarantineCounts, StoredReadings
from dashboards.throttle import LoginGuard
from dashboards.weather import WeatherView
from devices.access_card import AccessPoint
from devices.frames import Lane
from devices.registry import Registry
from ingest.journal_follower import JournalFollower

log = structlog.get_logger()


class Work(Protocol):
    """Something that runs beside the pages until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled; an exception ends the whole process."""


class QuarantineWork(QuarantineCounts, Work, Protocol):
    """The quarantine writer, as the pages see it."""


class StoringReadings(StoredReadings, Work, Protocol):
    """The store writer, as the pages see it."""


def create_app(
    *,
    database: Engine,
    registry: Registry,
    followers: Mapping[Lane, JournalFollower],
    store_writer: StoringReadings,
    quarantine: QuarantineWork,
    status_dir: Path,
    now: Callable[[], int],
    wake_socket: Path | None = None,
    static_dir: Path | None = None,
    basemap: Callable[[], Mapping[str, Any]] | None = None,
    map_view: MapView | None = None,
    secure_cookies: bool = False,
    weather: WeatherView | None = None,
    health: HealthOptions | None = None,
    access_point: AccessPoint | None = None,
    networks: Mapping[str, NetworkLink] | None = None,
) -> FastAPI:
    """The application. Its lifespan starts live, store writer, quarantine writer, device health.

    ``access_point`` is where devices find the broker, for their credentials; ``networks`` are the
    network servers that take downlinks, by their names in the settings.
    ``followers`` are live's own (reader name "live"). When one of the tasks fails, the process is
    asked to stop by SIGTERM: pages without what feeds them would look calm.
    """
    map_view = map_view or MapView()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        inbox = FrameInbox()
        live = Live(
            database=database,
            registry=registry,
            followers=followers,
            stored=store_writer,
            quarantine=quarantine,
            status_dir=status_dir,
            now=now,
            wake_socket=wake_socket,
            inbox=inbox,
            reports={"device_health": lambda: device_health.status()},
        )
        device_health = DeviceHealth(
            database=database,
            registry=registry,
            stored=store_writer,
            inbox=inbox,
            heard_at=live.board.heard_at,
            now=now,
            options=health,
        )
        app.state.parts = Parts(
            database=database,
            registry=registry,
            live=live,
            readings=store_writer,
            book=AlarmBook(database),
            device_health=device_health,
            downlinks=DownlinkDesk(database, registry, networks or {}, now),
            now=now,
            basemap=basemap,
            map_view=map_view,
            secure_cookies=secure_cookies,
            login_guard=LoginGuard(),
            loop=asyncio.get_running_loop(),
            weather=weather,
            access_point=access_point or AccessPoint(),
        )
        await live.start()
        works: dict[str, Work] = {
            "live": live,
            "store": store_writer,
            "quarantine": quarantine,
            "device_health": device_health,
            "admissions": AdmissionWatch(registry, live.board.heard_at, now),
        }
        tasks = [_start(name, work) for name, work in works.items()]
        yield
        live.hub.close()
        await _stop(tasks)

    app = FastAPI(
        title="Satomori",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses={"4XX": {"model": ErrorAnswer}},
        separate_input_output_schemas=False,
    )
    handle_errors(app)
    for part in (
        login,
        stations,
        consumption,
        alarms,
        quarantine_routes,
        codecs,
        credentials,
        waiting,
        devices,
        device_health_routes,
        warnings,
        operations,
    ):
        app.include_router(part.router)
    for part in (device_changes, downlinks, places):
        app.include_router(part.router)
    app.add_api_route(
        "/api/openapi.json",
        app.openapi,
        include_in_schema=False,
        dependencies=[Depends(visitor_of)],
    )
    app.include_router(page_router(static_dir))
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=1)
    app.add_middleware(RequestGuard)
    app.add_middleware(SecurityHeaders, tile_origin=map_view.tile_origin, is_https=secure_cookies)
    return app


def end_streams(app: FastAPI) -> None:
    """End all event streams, so that a server that waits for open answers can stop at once."""
    if parts := getattr(app.state, "parts", None):
        parts.live.hub.close()


def _start(name: str, work: Work) -> asyncio.Task[None]:
    task = asyncio.create_task(work.run(), name=f"web.{name}")
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    """Nothing that runs beside the pages may end while they go on."""
    if task.cancelled():
        return
    error = task.exception()
    log.critical("web.task.ended", task=task.get_name(), error=repr(error), exc_info=error)
    os.kill(os.getpid(), signal.SIGTERM)


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
