"""Feeds polled from a server that plays JMA, with all its misbehaviour; what holds afterwards."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

import ingest.feeds.tables
from devices.database import metadata, open_database
from ingest.feeds.book import FeedBook, FeedState
from ingest.feeds.fetch import opened
from ingest.feeds.names import default_names_text, load_names
from ingest.feeds.poller import GAP_MS, LONG_AGAIN_MS, Plan, Poller, Source
from ingest.feeds.reading import Weather, read_weather
from ingest.feeds.standing import holding
from ingest.feeds.unread import KEEP_FILES, UnreadFolder
from tests.servers import jma
from tests.servers import jma_papers as jp
from tests.servers.jma import FakeJma, playing

NAMES = load_names(default_names_text())
NOW = 1_795_400_000_000
MINUTE, HOUR = 60_000, 3_600_000
AREAS = frozenset({jp.CITY, jp.REGION, "890601000100"})
HEAVY = ("03", "レベル３大雨警報")
DANGER = ("43", "レベル４大雨危険警報")
ADVISORY = ("10", "レベル２大雨注意報")


@dataclass
class Town:
    """One installation's feeds: a clock that is moved by hand, a database, a server."""

    folder: Path
    jma: FakeJma
    database: Engine
    at: int = NOW
    quiet_ms: int = 0
    size_limit: int = 4 << 20
    deadline_s: float = 5.0
    hosts: frozenset[str] = field(default_factory=lambda: frozenset({"127.0.0.1"}))

    @property
    def extra(self) -> Source:
        return Source("extra", self.jma.feed, self.jma.feed.replace(".xml", "_l.xml"))

    @asynccontextmanager
    async def poller(self) -> AsyncIterator[Poller]:
        plan = Plan((self.extra,), NAMES, AREAS, frozenset({jp.OFFICE}), 60.0, self.quiet_ms)
        async with opened(
            self.hosts, agent="test", size_limit=self.size_limit, deadline_s=self.deadline_s
        ) as fetcher:
            folder = UnreadFolder(self.folder / "unread")
            yield Poller(plan, FeedBook(self.database), fetcher, folder, now=lambda: self.at)

    async def poll(self, after_ms: int = MINUTE) -> FeedState:
        """One round of a process that has just been started."""
        self.at += after_ms
        async with self.poller() as poller:
            return await poller.poll(self.extra)

    def weather(self) -> Weather:
        return read_weather(self.database, AREAS, now=self.at, since=self.at - 6 * HOUR)

    def in_force(self, *, is_exercise: bool = False) -> list[str]:
        """Names of what holds for the city and its river."""
        return sorted(
            kind.name
            for one in holding(self.weather().said)
            if one.said.is_exercise == is_exercise
            for kind in one.in_force
        )

    def rows(self) -> dict[str, int]:
        with self.database.connect() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (
                    ingest.feeds.tables.feed_document,
                    ingest.feeds.tables.weather_warning,
                    ingest.feeds.tables.weather_rain,
                )
            }

    def unread_files(self) -> list[str]:
        folder = self.folder / "unread"
        return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    database = open_database(f"sqlite:///{tmp_path / 'satomori.db'}")
    metadata.create_all(database)
    with playing(FakeJma()) as fake:
        yield Town(tmp_path, fake, database)
    database.dispose()


def _rain(at: int, *kinds: tuple[str, ...], **head: object) -> jp.Paper:
    """A VPWW55 with these (code, name, status) for the city."""
    made = [jp.kind(code, name, status) for code, name, status in kinds]
    return jp.paper("VPWW55", at, jp.warnings(at, jp.city(*made), jp.neighbour(), **head))


async def test_a_warning_is_in_force_until_it_is_lifted(town: Town) -> None:
    town.jma.publish(_rain(NOW, (*HEAVY, "発表")))
    assert (await town.poll()).good_at == town.at
    assert town.in_force() == [HEAVY[1]]
    town.jma.publish(_rain(NOW + HOUR, (*DANGER, "発表")))
    await town.poll()
    assert town.in_force() == [DANGER[1]]
    town.jma.publish(_rain(NOW + 2 * HOUR, (*DANGER, "解除")))
    await town.poll()
    assert town.in_force() == []


async def test_a_document_that_comes_again_changes_nothing(town: Town) -> None:
    """Listed in both feeds, polled again, asked by a new process: read once."""
    one = _rain(NOW, (*HEAVY, "発表"))
    town.jma.publish(one, one)
    town.jma.only_long.append(one)
    await town.poll()
    rows = town.rows()
    for _ in range(3):
        await town.poll(after_ms=GAP_MS + MINUTE)
    assert town.rows() == rows
    assert town.jma.asked[f"/data/{one.id}.xml"] == 1


async def test_the_order_in_which_documents_come_does_not_matter(town: Town) -> None:
    papers = [
        _rain(NOW, (*HEAVY, "発表")),
        _rain(NOW + HOUR, (*DANGER, "発表")),
        _rain(NOW + 2 * HOUR, (*ADVISORY, "警報から注意報")),
    ]
    random.Random(4).shuffle(papers)
    for number, one in enumerate(papers):
        town.jma.publish(replace(one, listed_at=NOW + 3 * HOUR + number))
        await town.poll()
    assert town.in_force() == [ADVISORY[1]]


async def test_one_phenomenon_leaves_the_others_alone(town: Town) -> None:
    thunder = jp.warnings(NOW, jp.city(jp.kind("14", "雷注意報", "発表")))
    town.jma.publish(jp.paper("VPWW61", NOW, thunder), _rain(NOW, (*HEAVY, "発表")))
    await town.poll()
    town.jma.publish(_rain(NOW + HOUR))
    await town.poll()
    assert town.in_force() == ["雷注意報"]


async def test_other_prefectures_are_not_even_asked_for(town: Town) -> None:
    """Their documents are JMA's traffic and ours for nothing."""
    other = jp.paper(
        "VPWW55", NOW, jp.warnings(NOW, jp.city(jp.kind(*HEAVY, "発表"))), office="180000"
    )
    town.jma.publish(other, jp.paper("VXSE53", NOW, b"<Report/>"))
    assert (await town.poll()).error is None
    assert town.in_force() == []
    assert not [path for path in town.jma.asked if path.startswith("/data/")]


async def test_a_correction_of_the_same_time_replaces_what_it_corrects(town: Town) -> None:
    right = jp.warnings(
        NOW, jp.city(jp.kind(*ADVISORY, "発表")), info_type="訂正", made_at=NOW + 5 * MINUTE
    )
    wrong = _rain(NOW, (*DANGER, "発表"))
    for order in ((wrong, right), (right, wrong)):
        for number, one in enumerate(order):
            xml = one if isinstance(one, bytes) else one.xml
            town.jma.publish(jp.paper("VPWW55", NOW, xml, listed_at=town.at + number * 1000))
        await town.poll()
        assert town.in_force() == [ADVISORY[1]]


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_cancellation_leaves_what_was_before(town: Town, *, is_first: bool) -> None:
    """Whichever of the two is seen first."""
    before = _rain(NOW - HOUR, (*ADVISORY, "発表"))
    wrong = _rain(NOW, (*DANGER, "発表"))
    taking = jp.paper("VPWW55", NOW, jp.cancellation(NOW, NOW + MINUTE), listed_at=NOW + MINUTE)
    town.jma.publish(before, taking if is_first else wrong)
    await town.poll()
    town.jma.publish(wrong if is_first else taking)
    await town.poll()
    assert town.in_force() == [ADVISORY[1]]


async def test_a_cancellation_of_something_else_cancels_nothing(town: Town) -> None:
    town.jma.publish(_rain(NOW, (*DANGER, "発表")))
    odd = jp.cancellation(NOW - HOUR, NOW + MINUTE)
    drill = jp.cancellation(NOW, NOW + MINUTE, status="訓練")
    town.jma.publish(
        jp.paper("VPWW55", NOW, odd, listed_at=NOW + MINUTE),
        jp.paper("VPWW55", NOW, drill, listed_at=NOW + 2 * MINUTE),
    )
    await town.poll()
    assert town.in_force() == [DANGER[1]]


async def test_drills_and_what_is_real_never_touch_each_other(town: Town) -> None:
    town.jma.publish(
        _rain(NOW, (*HEAVY, "発表")),
        _rain(NOW + MINUTE, ("33", "レベル５大雨特別警報", "発表"), status="訓練"),
    )
    await town.poll()
    assert town.in_force() == [HEAVY[1]]
    assert town.in_force(is_exercise=True) == ["レベル５大雨特別警報"]
    town.jma.publish(_rain(NOW + 2 * MINUTE, status="訓練"))
    await town.poll()
    assert (town.in_force(), town.in_force(is_exercise=True)) == ([HEAVY[1]], [])


# -- summaries


def _summary(at: int, *kinds: str) -> jp.Paper:
    xml = jp.warnings(at, jp.city(*kinds), jp.neighbour())
    return jp.paper("VPWS50", at, xml, office="010000")


async def test_a_summary_tells_what_was_missed(town: Town) -> None:
    """Also that a warning was lifted while nobody asked."""
    town.jma.publish(_rain(NOW, (*HEAVY, "発表")))
    await town.poll()
    town.jma.papers.clear()
    later = NOW + 3 * HOUR
    thunder = jp.kind("14", "雷注意報", "継続", NOW + 2 * HOUR)
    town.jma.publish(_summary(later, jp.kind(*HEAVY, "解除", NOW + HOUR), thunder))
    await town.poll(3 * HOUR)
    assert town.in_force() == ["雷注意報"]


async def test_a_summary_that_was_made_before_a_warning_does_not_take_it_away(town: Town) -> None:
    town.jma.publish(_rain(NOW, (*DANGER, "発表")), _summary(NOW + 5 * MINUTE))
    await town.poll()
    assert town.in_force() == [DANGER[1]]
    town.jma.publish(_summary(NOW + 15 * MINUTE))
    await town.poll(2 * HOUR)
    assert town.in_force() == []


async def test_of_the_same_time_the_document_itself_holds(town: Town) -> None:
    town.jma.publish(_rain(NOW, (*DANGER, "発表")), _summary(NOW, jp.kind(*HEAVY, "継続", NOW)))
    await town.poll()
    assert town.in_force() == [DANGER[1]]


async def test_a_summary_is_read_once_an_hour_while_nothing_is_missing(town: Town) -> None:
    async with town.poller() as poller:
        for number in range(18):
            town.jma.publish(_summary(NOW + number * 7 * MINUTE))
            town.at += 7 * MINUTE
            await poller.poll(town.extra)
    assert len([path for path in town.jma.asked if "VPWS50" in path]) == 2


async def test_a_new_process_asks_for_the_newest_summary(town: Town) -> None:
    """The settings may name another area, of which nothing has been read yet."""
    town.jma.publish(_summary(NOW))
    await town.poll()
    town.jma.publish(_summary(NOW + 5 * MINUTE))
    await town.poll()
    assert len([path for path in town.jma.asked if "VPWS50" in path]) == 2


# -- rain, bulletins, rivers


async def test_expected_rain_is_that_of_the_newest_document(town: Town) -> None:
    for number, most in enumerate((20, 50)):
        xml = jp.rain_forecast(NOW, (jp.CITY, jp.CITY_NAME, [most, 10]))
        town.jma.publish(jp.paper("VPWP50", NOW, xml, listed_at=NOW + number * 1000))
        await town.poll()
    ((source, amounts),) = town.weather().forecast
    assert [a.value_mm for a in amounts] == [50.0, 10.0]
    assert source.type == "VPWP50"


async def test_a_bulletin_is_shown_until_it_is_old_or_taken_back(town: Town) -> None:
    town.jma.publish(jp.paper("VPBS50", NOW, jp.record_rain(NOW, 120)))
    await town.poll()
    (bulletin,) = town.weather().bulletins
    assert (bulletin.rain[0].value_mm, bulletin.tags[0].area_name) == (120.0, jp.REGION_NAME)
    taken_back = jp.report(
        NOW + MINUTE, "", info_type="取消", event_id="KJPKG1", title="気象防災速報"
    )
    town.jma.publish(jp.paper("VPBS50", NOW + MINUTE, taken_back))
    await town.poll()
    assert town.weather().bulletins == ()


async def test_a_river_of_another_office_counts_by_its_code(town: Town) -> None:
    town.jma.publish(
        jp.paper("VXKO60", NOW, jp.river(NOW, "40", "レベル４氾濫危険警報"), office="400000")
    )
    await town.poll()
    assert town.in_force() == ["レベル４氾濫危険警報"]
    lifted = jp.river(NOW + HOUR, "10", "レベル２氾濫注意報解除")
    town.jma.publish(jp.paper("VXKO60", NOW + HOUR, lifted, office="400000"))
    await town.poll()
    assert town.in_force() == []


# -- what goes wrong


async def test_an_unchanged_feed_costs_no_bytes_and_is_good(town: Town) -> None:
    town.jma.publish(_rain(NOW, (*HEAVY, "発表")))
    await town.poll()
    state = await town.poll()
    assert (state.good_at, town.jma.answered[304]) == (town.at, 1)
    assert town.in_force() == [HEAVY[1]]


FAULTS = {
    "an error of the server": (jma.status(500), "HTTP 500"),
    "a refusal": (jma.status(403), "HTTP 403"),
    "another host": (jma.redirect("http://evil.example/x.xml"), "led to evil.example"),
    "a local file": (jma.redirect("file:///etc/passwd"), "led to nowhere"),
    "a circle": (jma.redirect("/feed/extra.xml"), "redirects"),
    "half an answer": (jma.cut(b"x" * 1000), "peer closed"),
    "not XML": (jma.body(b"<html><p>busy"), "cannot be read"),
    "another XML": (jma.body(b"<rss/>"), "cannot be read"),
    "an entity bomb": (
        jma.body(b'<!DOCTYPE f [<!ENTITY a "b">]><feed>&a;</feed>'), "cannot be read",
    ),
    "a gzip bomb": (
        jma.body(gzip.compress(b"<feed>" + b" " * (64 << 20)), **{"Content-Encoding": "gzip"}),
        "larger than",
    ),
    "a huge answer": (jma.body(b"x" * (5 << 20)), "larger than"),
    "broken gzip": (jma.body(b"no gzip", **{"Content-Encoding": "gzip"}), "unpacked"),
    "an odd packing": (jma.body(b"x", **{"Content-Encoding": "br"}), "content-encoding"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
async def test_a_bad_answer_is_said_changes_nothing_and_passes(town: Town, what: str) -> None:
    """What was in force stays known; the last good time stands still; the next answer mends it."""
    fault, said = FAULTS[what]
    town.jma.publish(_rain(NOW, (*HEAVY, "発表")))
    good_at = (await town.poll()).good_at
    town.jma.faults["/feed/extra.xml"] = fault
    state = await town.poll()
    assert state.error is not None and said in state.error
    assert (state.good_at, town.in_force()) == (good_at, [HEAVY[1]])
    del town.jma.faults["/feed/extra.xml"]
    state = await town.poll()
    assert (state.error, state.good_at) == (None, town.at)


async def test_an_answer_that_drips_is_given_up(town: Town) -> None:
    """Each byte is quick, the whole is not: the deadline is that of the whole."""
    town.deadline_s = 0.5
    town.jma.faults["/feed/extra.xml"] = jma.dripping(b"<feed>" + b" " * 500)
    state = await town.poll()
    assert state.error is not None and "no whole answer" in state.error


async def test_nobody_listens(town: Town) -> None:
    town.jma.url = "http://127.0.0.1:9"
    state = await town.poll()
    assert state.error is not None and state.good_at is None


async def test_a_document_that_cannot_be_had_is_tried_again(town: Town) -> None:
    """Until it came the feed is not good: what it says is not known."""
    one = _rain(NOW, (*DANGER, "発表"))
    town.jma.publish(one)
    town.jma.faults[f"/data/{one.id}.xml"] = jma.status(503)
    state = await town.poll()
    assert state.good_at is None and "could not be had" in (state.error or "")
    town.jma.faults.clear()
    assert (await town.poll()).good_at == town.at
    assert town.in_force() == [DANGER[1]]


async def test_a_document_that_is_never_had_is_given_up_and_still_said(town: Town) -> None:
    one = _rain(NOW, (*DANGER, "発表"))
    town.jma.publish(one)
    town.jma.faults[f"/data/{one.id}.xml"] = jma.status(404)
    states = [await town.poll() for _ in range(14)]
    assert town.jma.asked[f"/data/{one.id}.xml"] == 10
    assert all(state.good_at is None for state in states)
    assert "not had: HTTP 404" in (states[-1].error or "")


@pytest.mark.parametrize(
    "broken",
    [
        jp.warnings(NOW, jp.city(jp.kind(*DANGER, "発表")))[:-30],
        jp.warnings(NOW, jp.city(jp.kind(*DANGER, "発表")), status="？"),
        b'<!DOCTYPE r [<!ENTITY a "b">]><Report>&a;</Report>',
    ],
)
async def test_a_document_that_cannot_be_read_is_kept_and_said_until_a_newer_one_came(
    town: Town, broken: bytes
) -> None:
    """The one before still shows; that it may not hold is said; it is asked for once."""
    town.jma.publish(_rain(NOW - HOUR, (*ADVISORY, "発表")))
    await town.poll()
    one = jp.paper("VPWW55", NOW, broken)
    town.jma.publish(one)
    states = [await town.poll() for _ in range(3)]
    assert all(one.id in (state.error or "") for state in states)
    assert town.jma.asked[f"/data/{one.id}.xml"] == 1
    assert [name.startswith(one.id) for name in town.unread_files()] == [True]
    assert town.in_force() == [ADVISORY[1]]
    town.jma.publish(_rain(NOW + HOUR, (*DANGER, "継続")))
    state = await town.poll()
    assert (state.error, state.good_at) == (None, town.at)
    assert town.in_force() == [DANGER[1]]


async def test_a_summary_makes_good_a_document_that_could_not_be_read(town: Town) -> None:
    town.jma.publish(jp.paper("VPWW55", NOW, b"<broken"))
    assert (await town.poll()).error
    town.jma.publish(_summary(NOW + 20 * MINUTE, jp.kind(*DANGER, "継続", NOW)))
    state = await town.poll()
    assert (state.error, town.in_force()) == (None, [DANGER[1]])


async def test_an_unreadable_forecast_does_not_hide_that_warnings_are_known(town: Town) -> None:
    town.jma.publish(jp.paper("VPWP50", NOW, b"<broken"), _rain(NOW, (*HEAVY, "発表")))
    assert (await town.poll()).good_at == town.at
    assert len(town.unread_files()) == 1


async def test_a_publisher_that_stands_still_is_not_good(town: Town) -> None:
    """It answers, nothing is ever new: as if the list had been forgotten."""
    town.quiet_ms = HOUR
    town.jma.publish(_summary(NOW))
    assert (await town.poll()).error is None
    state = await town.poll(2 * HOUR)
    assert "nothing new" in (state.error or "")
    town.jma.publish(_summary(NOW + 2 * HOUR))
    assert (await town.poll()).error is None


async def test_after_a_gap_the_long_feed_tells_what_is_gone_from_the_short_one(town: Town) -> None:
    town.jma.publish(_summary(NOW))
    await town.poll()
    town.jma.only_long.append(_rain(NOW + HOUR, (*DANGER, "発表")))
    await town.poll(MINUTE)
    assert town.in_force() == []
    await town.poll(2 * HOUR)
    assert town.in_force() == [DANGER[1]]


async def test_the_long_feed_is_asked_seldom_whatever_happens(town: Town) -> None:
    """A process that falls at once, again and again, must not load megabytes each time."""
    town.jma.faults["/feed/extra.xml"] = jma.body(b"<broken")
    one = _rain(NOW, (*HEAVY, "発表"))
    town.jma.faults[f"/data/{one.id}.xml"] = jma.status(500)
    town.jma.publish(one)
    del town.jma.faults["/feed/extra.xml"]
    for _ in range(8):
        await town.poll(10_000)
    assert town.jma.asked["/feed/extra_l.xml"] == 1
    await town.poll(LONG_AGAIN_MS)
    assert town.jma.asked["/feed/extra_l.xml"] == 2


async def test_a_process_that_is_started_anew_waits_out_the_interval(town: Town) -> None:
    """Also one that was killed before it could say how it went."""
    await town.poll()
    async with town.poller() as poller:
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert town.jma.asked["/feed/extra.xml"] == 1


async def test_what_cannot_be_read_never_fills_the_disk(tmp_path: Path) -> None:
    folder = UnreadFolder(tmp_path / "unread")
    for number in range(KEEP_FILES + 20):
        folder.keep(f"{number:04}/../x", "bad xml", b"x")
    files = sorted(file.name for file in (tmp_path / "unread").iterdir())
    assert len(files) == KEEP_FILES
    assert files[-1].startswith(f"{KEEP_FILES + 19:04}-..-x")


async def test_a_day_of_storms_is_pruned_and_what_holds_stays(town: Town) -> None:
    """Dry air of seven weeks ago is in force as long as nobody says otherwise."""
    town.jma.publish(
        jp.paper("VPWW61", NOW, jp.warnings(NOW, jp.city(jp.kind("21", "乾燥注意報", "発表"))))
    )
    town.jma.publish(*(_rain(NOW + n * MINUTE, (*HEAVY, "継続")) for n in range(4)))
    await town.poll()
    before = town.rows()["feed_document"]
    await town.poll(50 * 24 * HOUR)
    assert town.rows()["feed_document"] == 2 < before
    assert town.in_force() == sorted(["乾燥注意報", HEAVY[1]])


async def test_any_order_of_the_same_documents_ends_in_the_same(town: Town) -> None:
    """With a correction, a cancellation, a drill and a summary among them."""
    papers = [
        _rain(NOW, (*HEAVY, "発表")),
        _rain(NOW + HOUR, (*DANGER, "発表")),
        jp.paper("VPWW55", NOW + HOUR + MINUTE, jp.cancellation(NOW + HOUR, NOW + HOUR + MINUTE)),
        _rain(NOW + 2 * HOUR, (*ADVISORY, "発表"), status="訓練"),
        _summary(NOW + 90 * MINUTE, jp.kind(*HEAVY, "継続", NOW)),
    ]  # fmt: skip
    seen = set()
    book = FeedBook(town.database)
    for order in itertools.islice(itertools.permutations(papers), 0, 120, 23):
        with town.database.begin() as connection:
            connection.execute(ingest.feeds.tables.feed_document.delete())
        town.jma.papers.clear()
        for one in order:
            town.jma.publish(one)
            await town.poll(1000)
        seen.add((tuple(town.in_force()), tuple(town.in_force(is_exercise=True))))
    assert seen == {((HEAVY[1],), (ADVISORY[1],))}
    assert book.counts() == {"read": 5}
