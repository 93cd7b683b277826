"""What a request can reach, and who is asking: the dependencies of all routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Request
from fastapi import Path as PathParameter
from sqlalchemy import Engine

from alerts.ledger import AlarmBook
from dashboards import auth
from dashboards.auth import Visitor
from dashboards.device_health import DeviceHealth
from dashboards.downlink_desk import DownlinkDesk
from dashboards.errors import Refusal
from dashboards.live import Live
from dashboards.permissions import may_administer
from dashboards.settings import MapView
from dashboards.stored import StoredReadings
from dashboards.throttle import LoginGuard
from dashboards.weather import WeatherView
from devices.access_card import AccessPoint
from devices.registry import Registry

COOKIE: Final = "satomori_session"
_MAX_TOKEN_CHARS: Final = 200
_BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that were joined at the start, for the routes."""

    database: Engine
    registry: Registry
    live: Live
    readings: StoredReadings
    book: AlarmBook
    device_health: DeviceHealth
    downlinks: DownlinkDesk
    now: Callable[[], int]
    basemap: Callable[[], Mapping[str, Any]] | None
    map_view: MapView
    secure_cookies: bool
    login_guard: LoginGuard
    loop: asyncio.AbstractEventLoop
    access_point: AccessPoint
    weather: WeatherView | None = None

    def run_soon(self, call: Callable[..., None], *arguments: object) -> None:
        """Call something that lives in the event loop, from any thread."""
        self.loop.call_soon_threadsafe(call, *arguments)


def parts_of(request: Request) -> Parts:
    """The parts of the app that got the request."""
    return cast(Parts, request.app.state.parts)


WithParts = Annotated[Parts, Depends(parts_of)]


def token_of(request: Request) -> str | None:
    """The session token of the request: the cookie's, or a program's bearer token."""
    said = request.headers.get("authorization", "")
    token = said.removeprefix(_BEARER) if said.startswith(_BEARER) else request.cookies.get(COOKIE)
    return token if token and len(token) <= _MAX_TOKEN_CHARS else None


def visitor_of(request: Request, parts: WithParts) -> Visitor:
    """Who asks; refuses with 401 without a living session."""
    token = token_of(request)
    visitor = auth.visitor_of(parts.database, token, parts.now()) if token else None
    if visitor is None:
        raise Refusal(401, "not_logged_in", "log in first")
    return visitor


WithVisitor = Annotated[Visitor, Depends(visitor_of)]


def admin_of(visitor: WithVisitor) -> Visitor:
    """Who asks, if they may administer; refuses with 403."""
    if not may_administer(visitor.view):
        raise Refusal(403, "not_allowed", "this is for administrators")
    return visitor


WithAdmin = Annotated[Visitor, Depends(admin_of)]
RowId = Annotated[int, PathParameter(ge=0, le=2**31 - 1)]
