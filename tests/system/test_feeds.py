"""JMA's feeds on a whole system: shown, watched, killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from alerts.ledger import AlarmBook
from alerts.rules import default_rules_text
from ingest.feeds.tables import feed_document, weather_warning
from satomori.clock import now_ms
from tests.servers import jma
from tests.servers import jma_papers as jp
from tests.servers.jma import FakeJma, playing
from tests.servers.satomori_system import RunningSystem, wait_until

MINUTE = 60_000
DANGER = jp.kind("43", "レベル４大雨危険警報", "発表")


@pytest.fixture
def publisher() -> Iterator[FakeJma]:
    with playing(FakeJma()) as fake:
        now = now_ms()
        summary = jp.warnings(now, jp.city(), jp.neighbour())
        fake.regular.append(jp.paper("VPWS50", now, summary, office="010000"))
        yield fake


@pytest.fixture
def system(tmp_path: Path, publisher: FakeJma) -> Iterator[RunningSystem]:
    """Polls each second; stale after eight, which is then an alarm, too."""
    rules = tmp_path / "rules.toml"
    slow = '"feed-stale", level = 2, value = 600.0'
    text = default_rules_text().replace(slow, slow.replace("600.0", "8.0"))
    assert "value = 8.0" in text
    rules.write_text(text, encoding="utf-8")
    sections = {
        "jma": {
            "enabled": True, "areas": [jp.CITY], "regions": [jp.REGION], "offices": [jp.OFFICE],
            "feeds": [f"{publisher.url}/feed/extra.xml", f"{publisher.url}/feed/regular.xml"],
            "interval_s": 1, "stale_s": 8, "timeout_s": 5,
        },
        "alerts": {"rules_file": str(rules)},
    }  # fmt: skip
    system = RunningSystem(tmp_path, sections=sections)
    system.add_person("hanako", role="disaster")
    try:
        system.start()
        yield system
    finally:
        system.stop()


def _weather(system: RunningSystem) -> dict[str, Any]:
    with system.visit("hanako") as client:
        found: dict[str, Any] = client.get("/api/warnings").json()
    return found


def _names(system: RunningSystem) -> list[str]:
    return [one["name"] for one in _weather(system)["warnings"]]


def _feed_alarm(system: RunningSystem) -> str | None:
    database = system.database()
    found = [a for a in AlarmBook(database).open_alarms() if a.rule == "satomori-feed-stale"]
    database.dispose()
    return found[0].stage if found else None


def test_a_warning_reaches_the_page_and_an_outage_is_an_alarm_until_it_ends(
    system: RunningSystem, publisher: FakeJma
) -> None:
    """Calm is said when it is known, "unknown" when it is not, and the last good stays there."""
    wait_until(lambda: _weather(system)["as_of"] is not None, f"a good answer: {_weather(system)}")
    found = _weather(system)
    assert (found["is_stale"], found["warnings"]) == (False, [])
    assert [area["is_known"] for area in found["areas"]] == [True]

    now = now_ms()
    publisher.publish(jp.paper("VPWW55", now, jp.warnings(now, jp.city(DANGER))))
    wait_until(lambda: _names(system) == ["レベル４大雨危険警報"], "the warning")
    assert _feed_alarm(system) is None

    for path in ("/feed/extra.xml", "/feed/regular.xml"):
        publisher.faults[path] = jma.status(500)
    wait_until(lambda: _weather(system)["is_stale"], "that it is not known any more")
    found = _weather(system)
    assert [one["name"] for one in found["warnings"]] == ["レベル４大雨危険警報"]
    assert {one["error"] for one in found["feeds"]} == {"HTTP 500"}
    wait_until(lambda: _feed_alarm(system) == "feed-stale", "the alarm", 60)

    publisher.faults.clear()
    wait_until(lambda: not _weather(system)["is_stale"], "that it is known again")
    wait_until(lambda: _feed_alarm(system) is None, "its end", 60)


def test_a_feeds_process_killed_in_the_middle_changes_nothing(
    system: RunningSystem, publisher: FakeJma
) -> None:
    """While documents come in one after the other; each is there once, whole, in the end."""
    wait_until(lambda: _weather(system)["as_of"] is not None, "a good answer")
    begin = now_ms()
    papers = []
    for number in range(12):
        at = begin + number * 1000
        name = f"レベル４大雨危険警報その{number}"
        xml = jp.warnings(at, jp.city(jp.kind("43", name, "継続")), jp.neighbour())
        papers.append(jp.paper("VPWW55", at, xml))
    kills = 0
    for one in papers:
        publisher.publish(one)
        wait_until(lambda one=one: publisher.asked[f"/data/{one.id}.xml"] > 0, one.id, 30)  # type: ignore[misc]  # bound now
        kills += system.kill("feeds") is not None
        wait_until(lambda: system.is_at_work("feeds"), "feeds again", 30)
    assert kills == len(papers)
    wait_until(lambda: _names(system) == ["レベル４大雨危険警報その11"], f"{_names(system)}", 60)
    database = system.database()
    ids = {one.id for one in papers}

    def outcomes() -> dict[str, str]:
        query = select(feed_document.c.id, feed_document.c.outcome)
        with database.connect() as connection:
            return {id_: how for id_, how in connection.execute(query) if id_ in ids}

    def is_done() -> bool:
        """Each was read, or passed over because a newer one of its kind was there by then."""
        return len(outcomes()) == len(ids) and set(outcomes().values()) <= {"read", "skipped"}

    wait_until(is_done, f"all documents: {outcomes()}", 60)
    read = [id_ for id_, how in outcomes().items() if how == "read"]
    with database.connect() as connection:
        rows = connection.execute(
            select(weather_warning.c.document, weather_warning.c.kind_code)
        ).all()
    database.dispose()
    assert papers[-1].id in read
    assert len(rows) == len(set(rows)) == 2 * len(read) + 1  # each with its area, the summary's


def test_nothing_runs_and_nothing_is_shown_where_no_feed_is_set_up(tmp_path: Path) -> None:
    system = RunningSystem(tmp_path)
    system.add_person("hanako", role="disaster")
    try:
        system.start()
        assert system.pid("feeds") is None
        found = _weather(system)
        assert (found["is_configured"], found["warnings"], found["as_of"]) == (False, [], None)
    finally:
        system.stop()
