"""JMA's warnings and rain for the city: what is in force, how fresh that is."""

from __future__ import annotations

from fastapi import APIRouter

from dashboards.parts import WithParts, WithVisitor
from dashboards.weather import BULLETIN_MS, WeatherShown, not_configured, shown
from ingest.feeds.book import FeedBook
from ingest.feeds.reading import read_weather

router = APIRouter(prefix="/api/warnings")


@router.get("")
def warnings(_visitor: WithVisitor, parts: WithParts) -> WeatherShown:
    """What JMA has in force now, in its own words; with ``is_stale`` that is not known."""
    view, now = parts.weather, parts.now()
    if view is None:
        return not_configured(now)
    areas = frozenset((*view.areas, *view.regions))
    weather = read_weather(parts.database, areas, now=now, since=now - BULLETIN_MS)
    return shown(view, FeedBook(parts.database).states(), weather, now)
