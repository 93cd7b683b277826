"""For those who run it: health, readiness, metrics; and what the map opens with."""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from dashboards.metrics import metrics_text
from dashboards.parts import WithAdmin, WithParts, WithVisitor
from dashboards.processes import Clock
from dashboards.readiness import notes_of, reasons_of

router = APIRouter()

_EMPTY_MAP: Final[dict[str, Any]] = {"type": "FeatureCollection", "features": []}


class Health(BaseModel):
    """The web process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether everything between field and page works; ``reasons`` says what does not.

    ``notes`` says what is late without harm to anybody's safety (meters, charts). ``since`` gives
    the time of each reason and note, ms UTC.
    """

    is_ready: bool
    reasons: list[str]
    notes: list[str]
    since: dict[str, int]


class RemarkSeen(BaseModel):
    """A field that was left out of a message which was kept: the last example and how many."""

    device: str
    reason: str
    path: str
    value: str
    count: int
    last_at: int


class Remarks(BaseModel):
    """Since intake's start, the newest first; one for each device and reason."""

    remarks: list[RemarkSeen]


class MapStart(BaseModel):
    """Where the map opens; ``center`` is (longitude, latitude), ``tiles`` an XYZ template."""

    center: tuple[float, float]
    zoom: float
    tiles: str | None
    attribution: str | None


@router.get("/api/health")
async def health() -> Health:
    """200 while the web process answers."""
    return Health()


@router.get("/api/ready", responses={503: {"model": Readiness}})
async def ready(response: Response, parts: WithParts) -> Readiness:
    """200 when data comes in, alarms are raised and readings are stored; else 503 and why."""
    seen = parts.live.clock()
    reasons, notes = reasons_of(seen, parts.live.troubles), notes_of(seen)
    since = parts.live.since.look([*reasons, *notes], seen.at)
    response.status_code = 503 if reasons else 200
    return Readiness(is_ready=not reasons, reasons=reasons, notes=notes, since=dict(since))


@router.get("/api/clock")
async def clock(_visitor: WithVisitor, parts: WithParts) -> Clock:
    """The state of the processes and the broker, as the ``clock`` event sends it."""
    return parts.live.clock()


@router.get("/api/remarks")
async def remarks(_admin: WithAdmin, parts: WithParts) -> Remarks:
    """What devices send wrong in messages that are good otherwise, with path and value."""
    intake = parts.live.statuses.get("intake")
    return Remarks(remarks=intake.fields.get("remarks", []) if intake else [])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(_visitor: WithVisitor, parts: WithParts) -> PlainTextResponse:
    """Figures for Prometheus; scrape with an access token (``Authorization: Bearer``)."""
    seen = parts.live.clock()
    is_ready = not reasons_of(seen, parts.live.troubles)
    text = metrics_text(parts.live.statuses, seen, is_ready=is_ready)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


@router.get("/api/basemap")
def basemap(parts: WithParts) -> dict[str, Any]:
    """City outline, rivers and roads as GeoJSON, drawn beneath or instead of tiles."""
    return dict(parts.basemap()) if parts.basemap else _EMPTY_MAP


@router.get("/api/map")
async def map_start(_visitor: WithVisitor, parts: WithParts) -> MapStart:
    """Where the map opens and which tiles it may load."""
    view = parts.map_view
    return MapStart(
        center=view.center,
        zoom=view.zoom,
        tiles=view.tiles or None,
        attribution=view.attribution or None,
    )
