"""What the tables of outside feeds say now, for those who show it. Reads only.

Refuses to know who asks and what it looks like.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from ingest.feeds.jma_xml import RainAmount, SaidKind, SaidTag
from ingest.feeds.standing import Said
from ingest.feeds.tables import feed_document, weather_rain, weather_tag, weather_warning


@dataclass(frozen=True, slots=True)
class Source:
    """Which document says something: JMA's title and office, its time (ms UTC), where it is."""

    document: str
    type: str
    url: str
    title: str
    publisher: str
    headline: str
    reported_at: int
    is_exercise: bool


@dataclass(frozen=True, slots=True)
class Bulletin:
    """One bulletin about our areas, with the rain that it names."""

    source: Source
    tags: tuple[SaidTag, ...]
    rain: tuple[RainAmount, ...]


@dataclass(frozen=True, slots=True)
class Weather:
    """All that the documents that hold, or may hold, say; cancelled ones are left out."""

    said: tuple[Said, ...]
    sources: dict[str, Source]
    bulletins: tuple[Bulletin, ...]
    forecast: tuple[tuple[Source, tuple[RainAmount, ...]], ...]


def read_weather(database: Engine, areas: Collection[str], *, now: int, since: int) -> Weather:
    """What is said about ``areas``; bulletins that were reported after ``since``."""
    with database.connect() as connection:
        rows = _newest(connection, areas)
        kinds = _kinds(connection, {row.document for row in rows}, areas)
        said = tuple(_said(row, kinds[row.document, row.area_code]) for row in rows)
        bulletins = _bulletins(connection, areas, since)
        forecast = _forecast(connection, areas, now)
        documents = {one.document for one in said}
        sources = {source.document: source for source in _sources(connection, documents)}
    return Weather(said, sources, bulletins, forecast)


def _newest(connection: Connection, areas: Collection[str]) -> list[Any]:
    """The newest document of each type, office and event that speaks of an area."""
    document, warning = feed_document.c, weather_warning.c
    place = (warning.area_code, document.type, document.office, document.event_id)
    rank = func.row_number().over(
        partition_by=(*place, document.is_exercise),
        order_by=(document.reported_at.desc(), document.made_at.desc(), document.id.desc()),
    )
    ranked = (
        select(
            warning.document, warning.area_code, warning.area_name, document.groups,
            document.reported_at, document.made_at, document.valid_until, document.is_summary,
            document.is_exercise, rank.label("place"),
        )
        .join(feed_document, document.id == warning.document)
        .where(
            warning.kind_code == "",
            warning.area_code.in_(list(areas)),
            document.cancelled_at.is_(None),
        )
        .subquery()
    )  # fmt: skip
    return list(connection.execute(select(ranked).where(ranked.c.place == 1)))


def _kinds(
    connection: Connection, documents: Collection[str], areas: Collection[str]
) -> dict[tuple[str, str], list[SaidKind]]:
    warning = weather_warning.c
    rows = connection.execute(
        select(weather_warning).where(
            warning.document.in_(list(documents)),
            warning.area_code.in_(list(areas)),
            warning.kind_code != "",
        )
    )
    found: dict[tuple[str, str], list[SaidKind]] = defaultdict(list)
    for row in rows:
        kind = SaidKind(
            row.kind_code, row.group_name, row.name, row.name_en, row.level, row.status,
            row.is_in_force, row.stated_at,
        )  # fmt: skip
        found[row.document, row.area_code].append(kind)
    return found


def _said(row: Any, kinds: list[SaidKind]) -> Said:
    return Said(
        document=row.document,
        area_code=row.area_code,
        area_name=row.area_name,
        groups=frozenset(row.groups.split(",")),
        kinds=tuple(kinds),
        reported_at=row.reported_at,
        made_at=row.made_at,
        valid_until=row.valid_until,
        is_summary=row.is_summary,
        is_exercise=row.is_exercise,
    )


def _sources(connection: Connection, documents: Collection[str]) -> list[Source]:
    column = feed_document.c
    rows = connection.execute(
        select(column.id, column.type, column.url, column.title, column.publisher,
               column.headline, column.reported_at, column.is_exercise)
        .where(column.id.in_(list(documents)))
    )  # fmt: skip
    return [Source(*row) for row in rows]


def _bulletins(connection: Connection, areas: Collection[str], since: int) -> tuple[Bulletin, ...]:
    """Bulletins of the last hours whose tags or rain are about our areas, newest first."""
    column = feed_document.c
    recent = select(column.id).where(column.cancelled_at.is_(None), column.reported_at > since)
    tag_rows = connection.execute(
        select(weather_tag).where(
            weather_tag.c.area_code.in_(list(areas)), weather_tag.c.document.in_(recent)
        )
    ).all()
    rain_rows = connection.execute(
        select(weather_rain).where(
            weather_rain.c.area_code.in_(list(areas)),
            weather_rain.c.document.in_(recent),
            weather_rain.c.is_forecast.is_(False),
        )
    ).all()
    documents = {row.document for row in (*tag_rows, *rain_rows)}
    newest_first = sorted(
        _sources(connection, documents), key=lambda one: (one.reported_at, one.document)
    )[::-1]
    return tuple(
        Bulletin(
            source,
            tuple(
                SaidTag(row.condition, row.area_code, row.area_name)
                for row in tag_rows
                if row.document == source.document
            ),
            tuple(_amount(row) for row in rain_rows if row.document == source.document),
        )
        for source in newest_first
    )


def _forecast(
    connection: Connection, areas: Collection[str], now: int
) -> tuple[tuple[Source, tuple[RainAmount, ...]], ...]:
    """Of each area the newest forecast, actual and drill apart; what is past is left out."""
    column, rain = feed_document.c, weather_rain.c
    newest: dict[tuple[str, bool], str] = {}
    rows = connection.execute(
        select(rain.area_code, column.is_exercise, column.id)
        .join(feed_document, column.id == rain.document)
        .where(rain.area_code.in_(list(areas)), rain.is_forecast.is_(True),
               column.cancelled_at.is_(None), rain.to_at > now)
        .order_by(column.reported_at, column.made_at)
        .distinct()
    )  # fmt: skip
    for area, is_exercise, document in rows:
        newest[area, is_exercise] = document
    sources = {source.document: source for source in _sources(connection, set(newest.values()))}
    found = []
    for (area, _), document in newest.items():
        amounts = connection.execute(
            select(weather_rain)
            .where(rain.document == document, rain.area_code == area, rain.to_at > now)
            .order_by(rain.quantity, rain.from_at)
        )
        found.append((sources[document], tuple(_amount(row) for row in amounts)))
    return tuple(found)


def _amount(row: Any) -> RainAmount:
    return RainAmount(
        row.area_code, row.area_name, row.place, row.quantity, row.from_at, row.to_at,
        row.value_mm, row.words, row.is_forecast,
    )  # fmt: skip
