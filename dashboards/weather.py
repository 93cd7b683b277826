"""What JMA has in force for the city's areas, as the page shows it.

It quotes: names, office and time are JMA's. What is not known is said to be unknown: without a
fresh and whole answer nothing here may read as "no warning". Refuses to know requests; the
dataclasses are the API's types as they stand. Times are ms UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ingest.feeds.book import FeedState
from ingest.feeds.jma_xml import RainAmount
from ingest.feeds.names import Names
from ingest.feeds.reading import Bulletin, Source, Weather
from ingest.feeds.standing import Holding, holding, unknown_groups

EXERCISE_MS: Final = 24 * 3_600_000
"""A drill that nobody lifts is shown so long."""
BULLETIN_MS: Final = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class WeatherView:
    """What web is told of the outside feed: our areas (towns), wider ones, and when it is stale."""

    areas: tuple[str, ...]
    regions: tuple[str, ...]
    feeds: tuple[str, ...]
    names: Names
    stale_ms: int


@dataclass(frozen=True, slots=True)
class WarningShown:
    """One warning in force for one area. ``level``: 5 special, 4 danger, 3 warning, 2 advisory;
    null for a kind that the table of names does not know. ``is_expired``: JMA said until when, and
    that is past."""

    area_code: str
    area_name: str
    code: str
    group: str
    name: str
    name_en: str
    level: int | None
    status: str
    reported_at: int
    valid_until: int | None
    is_expired: bool
    is_exercise: bool
    publisher: str
    url: str


@dataclass(frozen=True, slots=True)
class AreaShown:
    """One of the city's areas. ``is_known``: JMA has said all about it; ``unknown_groups`` else."""

    code: str
    name: str | None
    is_known: bool
    unknown_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RainShown:
    """An amount of rain: expected from one time to another, or measured until ``to_at``."""

    area_code: str
    area_name: str
    place: str
    quantity: str
    quantity_en: str
    from_at: int
    to_at: int
    value_mm: float
    words: str
    is_forecast: bool
    is_exercise: bool
    reported_at: int
    publisher: str


@dataclass(frozen=True, slots=True)
class TagShown:
    """What a bulletin is about, and where."""

    name: str
    name_en: str
    level: int | None
    area_name: str


@dataclass(frozen=True, slots=True)
class BulletinShown:
    """A bulletin of the last hours in JMA's words."""

    title: str
    headline: str
    reported_at: int
    is_exercise: bool
    publisher: str
    url: str
    tags: tuple[TagShown, ...]
    rain: tuple[RainShown, ...]


@dataclass(frozen=True, slots=True)
class FeedShown:
    """How one feed is: ``good_at`` when it was read whole, last; ``error`` why it is not now."""

    name: str
    tried_at: int | None
    good_at: int | None
    error: str | None
    error_since: int | None


@dataclass(frozen=True, slots=True)
class WeatherShown:
    """Everything. ``as_of`` is when all feeds were good, last (null: never).

    ``is_stale``: that is longer ago than ``stale_after_s``, so that what is in force is not known;
    the lists then are the last good ones.
    """

    is_configured: bool
    at: int
    as_of: int | None
    is_stale: bool
    stale_after_s: int
    feeds: tuple[FeedShown, ...]
    areas: tuple[AreaShown, ...]
    warnings: tuple[WarningShown, ...]
    bulletins: tuple[BulletinShown, ...]
    rain: tuple[RainShown, ...]


def not_configured(now: int) -> WeatherShown:
    """No feed is set up: nothing is said, and nothing is to be shown."""
    return WeatherShown(False, now, None, False, 0, (), (), (), (), ())


def shown(
    view: WeatherView, states: Mapping[str, FeedState], weather: Weather, now: int
) -> WeatherShown:
    """What the page is told at ``now``."""
    feeds = tuple(_feed(states.get(name) or FeedState(name, "")) for name in view.feeds)
    times = [feed.good_at for feed in feeds]
    as_of = min((time for time in times if time is not None), default=None)
    as_of = None if None in times else as_of
    found = [one for one in holding(weather.said) if not _is_old_drill(one, now)]
    warnings = [warning for one in found for warning in _warnings(one, weather.sources, now)]
    return WeatherShown(
        is_configured=True,
        at=now,
        as_of=as_of,
        is_stale=as_of is None or now - as_of > view.stale_ms,
        stale_after_s=view.stale_ms // 1000,
        feeds=feeds,
        areas=tuple(_area(code, view, found, now) for code in view.areas),
        warnings=tuple(sorted(warnings, key=_worst_first)),
        bulletins=tuple(_bulletin(one, view.names) for one in weather.bulletins),
        rain=tuple(
            _rain(amount, source, view.names)
            for source, amounts in weather.forecast
            for amount in amounts
            if not (source.is_exercise and now - source.reported_at > EXERCISE_MS)
        ),
    )


def _worst_first(warning: WarningShown) -> tuple[bool, int, str, str, str]:
    """Actual ones first; a kind of unknown level is not put behind others."""
    level = 6 if warning.level is None else warning.level
    return warning.is_exercise, -level, warning.group, warning.area_code, warning.code


def _is_old_drill(one: Holding, now: int) -> bool:
    return one.said.is_exercise and now - one.said.reported_at > EXERCISE_MS


def _is_expired(one: Holding, now: int) -> bool:
    return one.said.valid_until is not None and one.said.valid_until < now


def _warnings(one: Holding, sources: Mapping[str, Source], now: int) -> Iterable[WarningShown]:
    source = sources[one.said.document]
    for kind in one.in_force:
        yield WarningShown(
            area_code=one.said.area_code,
            area_name=one.said.area_name,
            code=kind.code,
            group=kind.group,
            name=kind.name,
            name_en=kind.name_en,
            level=kind.level,
            status=kind.status,
            reported_at=kind.stated_at or one.said.reported_at,
            valid_until=one.said.valid_until,
            is_expired=_is_expired(one, now),
            is_exercise=one.said.is_exercise,
            publisher=source.publisher,
            url=source.url,
        )


def _area(code: str, view: WeatherView, found: list[Holding], now: int) -> AreaShown:
    fresh = [one for one in found if not _is_expired(one, now)]
    unknown = unknown_groups(fresh, code, view.names.municipal_groups())
    names = [one.said.area_name for one in found if one.said.area_code == code]
    return AreaShown(code, names[0] if names else None, not unknown, tuple(sorted(unknown)))


def _bulletin(one: Bulletin, names: Names) -> BulletinShown:
    source = one.source
    tags = []
    for tag in one.tags:
        known = names.tag(tag.condition)
        name, name_en = (known.name, known.name_en) if known else (tag.condition, "")
        tags.append(TagShown(name, name_en, known.level if known else None, tag.area_name))
    return BulletinShown(
        title=source.title,
        headline=source.headline,
        reported_at=source.reported_at,
        is_exercise=source.is_exercise,
        publisher=source.publisher,
        url=source.url,
        tags=tuple(tags),
        rain=tuple(_rain(amount, source, names) for amount in one.rain),
    )


def _rain(amount: RainAmount, source: Source, names: Names) -> RainShown:
    return RainShown(
        area_code=amount.area_code,
        area_name=amount.area_name,
        place=amount.place,
        quantity=amount.quantity,
        quantity_en=names.quantity_en(amount.quantity),
        from_at=amount.from_at,
        to_at=amount.to_at,
        value_mm=amount.value_mm,
        words=amount.words,
        is_forecast=amount.is_forecast,
        is_exercise=source.is_exercise,
        reported_at=source.reported_at,
        publisher=source.publisher,
    )


def _feed(state: FeedState) -> FeedShown:
    return FeedShown(state.feed, state.tried_at, state.good_at, state.error, state.error_since)
