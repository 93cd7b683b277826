"""What the page is told of JMA: quoted, with its age, and never calm where it is not known."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Engine

from dashboards.weather import EXERCISE_MS, WeatherShown, WeatherView, shown
from ingest.feeds.atom import Entry
from ingest.feeds.book import FeedBook, FeedState
from ingest.feeds.jma_xml import Document, read_document
from ingest.feeds.names import default_names_text, load_names
from ingest.feeds.reading import read_weather
from tests.dashboards.conftest import START, House
from tests.servers import jma_papers as jp

NAMES = load_names(default_names_text())
VIEW = WeatherView((jp.CITY,), (jp.REGION,), ("extra", "regular"), NAMES, 600_000)
HOUR = 3_600_000
GOOD = {name: FeedState(name, "", START, START) for name in VIEW.feeds}


def _keep(database: Engine, one: jp.Paper) -> None:
    type_ = one.id.split("_")[2]
    kind = NAMES.document(type_)
    assert kind is not None
    document = read_document(one.xml, kind, NAMES, frozenset((*VIEW.areas, *VIEW.regions)))
    assert isinstance(document, Document), document
    office = one.id.split("_")[3]
    entry = Entry(one.id, f"https://jma.example/{one.id}.xml", type_, office, "", one.listed_at)
    FeedBook(database).keep(entry, kind, document, START)


def _shown(
    database: Engine, now: int = START, states: dict[str, FeedState] | None = None
) -> WeatherShown:
    weather = read_weather(database, (*VIEW.areas, *VIEW.regions), now=now, since=now - 6 * HOUR)
    return shown(VIEW, GOOD if states is None else states, weather, now)


def _rain(*kinds: str, at: int = START - HOUR, **head: object) -> jp.Paper:
    return jp.paper("VPWW55", at, jp.warnings(at, jp.city(*kinds), **head))


DANGER = jp.kind("43", "レベル４大雨危険警報", "発表")


def test_a_warning_is_quoted_with_its_office_and_time(house: House) -> None:
    _keep(house.database, _rain(DANGER))
    (warning,) = _shown(house.database).warnings
    assert (warning.name, warning.level, warning.area_name) == (
        "レベル４大雨危険警報", 4, "薩摩川内市",
    )  # fmt: skip
    assert (warning.publisher, warning.reported_at) == ("鹿児島地方気象台", START - HOUR)
    assert warning.name_en == "Level 4 heavy rain danger warning"


def test_an_area_is_known_when_all_groups_have_been_spoken_of(house: House) -> None:
    """One document about rain says nothing of wind."""
    _keep(house.database, _rain())
    (area,) = _shown(house.database).areas
    assert not area.is_known and "wind" in area.unknown_groups and "rain" not in area.unknown_groups
    _keep(house.database, jp.paper("VPWS50", START, jp.warnings(START, jp.city()), office="010000"))
    (area,) = _shown(house.database).areas
    assert area.is_known and area.unknown_groups == ()


def test_an_area_that_no_document_names_is_never_known(house: House) -> None:
    """A wrong code in the settings must not look like a calm day."""
    other = jp.paper("VPWS50", START, jp.warnings(START, jp.neighbour()), office="010000")
    _keep(house.database, other)
    (area,) = _shown(house.database).areas
    assert not area.is_known and area.name is None


def test_it_is_stale_when_any_feed_is(house: House) -> None:
    _keep(house.database, _rain(DANGER))
    old = {**GOOD, "regular": replace(GOOD["regular"], good_at=START - 700_000)}
    found = _shown(house.database, states=old)
    assert (found.is_stale, found.as_of) == (True, START - 700_000)
    assert len(found.warnings) == 1  # the last good is still shown
    never = {**GOOD, "regular": FeedState("regular", "")}
    assert _shown(house.database, states=never).as_of is None
    assert _shown(house.database, states={}).is_stale


def test_drills_come_last_marked_and_pass_after_a_day(house: House) -> None:
    _keep(house.database, _rain(jp.kind("10", "レベル２大雨注意報", "発表")))
    drill = jp.warnings(
        START, jp.city(jp.kind("33", "レベル５大雨特別警報", "発表")), status="訓練"
    )
    _keep(house.database, jp.paper("VPWW55", START, drill))
    found = _shown(house.database)
    assert [(w.level, w.is_exercise) for w in found.warnings] == [(2, False), (5, True)]
    later = _shown(house.database, now=START + EXERCISE_MS + 1)
    assert [w.is_exercise for w in later.warnings] == [False]


def test_a_warning_past_its_validity_is_shown_as_that_and_its_group_is_unknown(
    house: House,
) -> None:
    _keep(house.database, _rain(DANGER, valid_until=START))
    found = _shown(house.database, now=START + 1)
    assert [w.is_expired for w in found.warnings] == [True]
    assert "rain" in found.areas[0].unknown_groups


def test_a_kind_that_nobody_knows_comes_first(house: House) -> None:
    odd = jp.kind("77", "レベル６大雨超警報", "発表")
    _keep(house.database, _rain(DANGER, odd))
    assert [w.code for w in _shown(house.database).warnings] == ["77", "43"]


def test_bulletins_and_rain_are_shown_in_jmas_words(house: House) -> None:
    _keep(house.database, jp.paper("VPBS50", START, jp.record_rain(START, 120)))
    forecast = jp.rain_forecast(START, (jp.CITY, jp.CITY_NAME, [40, 25]))
    _keep(house.database, jp.paper("VPWP50", START, forecast))
    found = _shown(house.database, now=START + 1)
    (bulletin,) = found.bulletins
    assert (bulletin.tags[0].name, bulletin.rain[0].words) == ("記録的短時間大雨", "約120ミリ")
    assert [(r.value_mm, r.quantity_en) for r in found.rain] == [
        (40.0, "Most in 1 hour"), (25.0, "Most in 1 hour"),
    ]  # fmt: skip
    assert _shown(house.database, now=START + 7 * HOUR).bulletins == ()
