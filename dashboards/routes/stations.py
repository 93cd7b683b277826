"""Stations, their series, and the live stream of both."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select

from dashboards.errors import Refusal, not_found
from dashboards.events import EventStream, TooManyStreams
from dashboards.parts import Parts, RowId, WithParts, WithVisitor
from dashboards.permissions import may_see_quantity
from dashboards.stations import Snapshot, Station
from devices.quantities import QUANTITIES
from ingest.tables import sequence_gap

router = APIRouter(prefix="/api")

_MAX_GAPS = 100
_MAX_MS = 2**53
Milliseconds = Annotated[int, Query(ge=-_MAX_MS, le=_MAX_MS)]
MaxPoints = Annotated[int, Query(ge=2, le=10_000)]


@dataclass(frozen=True, slots=True)
class StationSeries:
    """One series of a station."""

    series: int
    quantity: str
    unit: str


@dataclass(frozen=True, slots=True)
class StationGap:
    """Sequence numbers ``first``..``last`` (inclusive) never came; noticed ``at``."""

    first: int
    last: int
    at: int


@dataclass(frozen=True, slots=True)
class StationDetail(Station):
    """A station with all its series and what is known to be lost."""

    series: tuple[StationSeries, ...]
    gaps: tuple[StationGap, ...]


@dataclass(frozen=True, slots=True)
class SeriesSamples:
    """One series over time: three lists of one length, by time; thinned to lows and highs."""

    series: int
    quantity: str
    unit: str
    device: int
    measured_at: list[int]
    value: list[float]
    quality: list[int]


@router.get("/stations", response_model=Snapshot)
async def stations(request: Request, visitor: WithVisitor, parts: WithParts) -> Response:
    """All stations and active alarms that this person may see, at most a second old."""
    snapshot = parts.live.hub.snapshot(visitor.view)
    if not _takes_gzip(request):
        return _json(snapshot.data)
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(snapshot.data_gzipped, media_type="application/json", headers=headers)


@router.get("/stations/{device}")
def station(device: RowId, visitor: WithVisitor, parts: WithParts) -> StationDetail:
    """One station with its series and open sequence gaps."""
    found = parts.live.board.station(visitor.view, device)
    registry = parts.live.board.registry
    if found is None or registry is None:
        raise not_found("station")
    place = registry.devices[device]
    series = tuple(
        StationSeries(of.series, of.quantity, QUANTITIES[of.quantity].unit)
        for of in registry.definitions.values()
        if of.device == device and may_see_quantity(visitor.view, place, of.quantity)
    )
    values = {field.name: getattr(found, field.name) for field in fields(Station)}
    return StationDetail(**values, series=series, gaps=_open_gaps(parts, device))


@router.get("/series/{series}", response_model=SeriesSamples)
def samples(
    *,
    series: RowId,
    start_at: Milliseconds,
    end_at: Milliseconds,
    visitor: WithVisitor,
    parts: WithParts,
    max_points: MaxPoints = 800,
) -> Response:
    """Readings of one series with ``start_at <= measured_at < end_at``."""
    if end_at <= start_at:
        raise Refusal(422, "invalid", "must be after start_at", path="query.end_at")
    registry = parts.live.board.registry
    of = registry.definitions.get(series) if registry else None
    if registry is None or of is None or of.device not in parts.live.board.seen(visitor.view):
        raise not_found("series")
    if not may_see_quantity(visitor.view, registry.devices[of.device], of.quantity):
        raise not_found("series")
    found = parts.readings.range(series, start_at, end_at, max_points=max_points)
    return _json(
        msgspec.json.encode(
            SeriesSamples(
                series,
                of.quantity,
                QUANTITIES[of.quantity].unit,
                of.device,
                found.measured_at.tolist(),
                found.value.tolist(),
                found.quality.tolist(),
            )
        )
    )


@router.get(
    "/live",
    response_class=Response,
    responses={
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "Events `snapshot` (Snapshot, first and after a slow spell), `changes` "
            "(at, stations, alarms: what changed, at most 4 a second) and `clock` (Clock, every "
            "5 s and when a process or the broker comes or goes).",
        }
    },
)
async def live(request: Request, visitor: WithVisitor, parts: WithParts) -> Response:
    """The snapshot and then its changes as server-sent events, until the session ends."""
    hub = parts.live.hub
    try:
        subscriber = hub.subscribe(visitor.view, visitor.session, visitor.id)
    except TooManyStreams:
        raise Refusal(
            503, "too_many_streams", "too many pages are open", headers={"Retry-After": "10"}
        ) from None
    return EventStream(hub, subscriber, is_packed=_takes_gzip(request))


def _open_gaps(parts: Parts, device: int) -> tuple[StationGap, ...]:
    with parts.database.connect() as connection:
        rows = connection.execute(
            select(sequence_gap.c.first, sequence_gap.c.last, sequence_gap.c.at)
            .where(sequence_gap.c.device == device, sequence_gap.c.is_filled.is_(False))
            .order_by(sequence_gap.c.at.desc())
            .limit(_MAX_GAPS)
        ).all()
    return tuple(StationGap(row.first, row.last, row.at) for row in rows)


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
