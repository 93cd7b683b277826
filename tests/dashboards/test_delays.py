"""Overload is a state: lanes behind are said by the API and shown, calmly, on the page."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

import dashboards
from dashboards.auth import create_access_token
from dashboards.lanes import BEHIND_AFTER_S, lane_report
from dashboards.readiness import Since
from devices.frames import Lane, TickFrame
from ingest.stores import open_store
from ingest.stores.series_store import StoreOutage
from tests.dashboards.conftest import START, Clock, House
from tests.system.test_browser import ARGUMENTS

NOW = START


def say_lanes(house: House, *, urgent_s: float = 0.0, routine_s: float = 0.0) -> None:
    """Intake and alerts as they report when messages wait so long."""
    waits = {"urgent": urgent_s, "routine": routine_s}
    intake = {k: {"wait_ms": int(s * 1000), "last_tick_at": NOW} for k, s in waits.items()}
    house.say("intake", broker={"a": "up"}, lanes=intake)
    house.say("alerts", lanes={k: {"last_tick_at": NOW, "is_fed": True} for k in waits})


def tick(house: House) -> None:
    for lane in Lane:
        house.journal(TickFrame(NOW), lane=lane)


@pytest.mark.parametrize("lane", list(Lane))
def test_a_step_is_behind_above_its_mark_and_not_at_it(lane: Lane) -> None:
    """Each step by its own mark; the worst of those behind is the lane's lag."""
    mark = BEHIND_AFTER_S[lane]
    at_mark = {"wait_ms": mark["intake"] * 1000, "last_tick_at": NOW}
    alerts = {"last_tick_at": NOW - int(mark["alerts"] * 1000)}
    assert lane_report(lane, at_mark, alerts, NOW).state == "ok"
    over = lane_report(
        lane, {**at_mark, "wait_ms": mark["intake"] * 1000 + 1}, alerts, NOW - 600_000
    )
    assert (over.state, over.behind, over.lag_s) == ("behind", ("intake", "store"), 600.0)


@pytest.mark.parametrize(
    "intake", [None, {}, {"wait_ms": 0}, {"wait_ms": "0", "last_tick_at": NOW}, []]
)
def test_a_lane_of_which_intake_says_nothing_is_unknown_not_in_time(intake: Any) -> None:
    """Silence is never safety."""
    assert lane_report(Lane.URGENT, intake, {"last_tick_at": NOW}, NOW).state == "unknown"


def test_a_reason_keeps_the_time_at_which_it_was_first_met() -> None:
    """While it goes on, whatever its details; afterwards it begins anew."""
    since = Since()
    assert since.look(["store: no answer", "broker is down"], 5) == {
        "store: no answer": 5,
        "broker is down": 5,
    }
    assert since.look(["store: refused"], 7) == {"store: refused": 5}
    assert since.look([], 8) == {}
    assert since.look(["store: no answer"], 9) == {"store: no answer": 9}


async def _ready(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/api/ready")).json()
    return found


async def test_meters_behind_are_a_note_and_flood_behind_is_a_reason(house: House) -> None:
    """Ready means that nobody's safety waits."""
    say_lanes(house, routine_s=600)
    tick(house)
    async with house.client("hanako") as client:
        ready = await _ready(client)
        assert (ready["is_ready"], ready["reasons"]) == (True, [])
        assert ready["notes"] == ["routine lane is behind in intake: 600 s"]
        assert ready["since"] == {ready["notes"][0]: NOW}
        seen = (await client.get("/api/clock")).json()["lanes"]
        assert seen["urgent"]["state"] == "ok"
        assert (seen["routine"]["state"], seen["routine"]["lag_s"]) == ("behind", 600.0)
        say_lanes(house, urgent_s=20)
        async with _deadline():
            while (await _ready(client))["is_ready"]:
                await _moment()
        assert (await _ready(client))["reasons"] == ["urgent lane is behind in intake: 20 s"]


def _deadline() -> asyncio.Timeout:
    return asyncio.timeout(10)


async def _moment() -> None:
    await asyncio.sleep(0.05)


async def test_web_starts_without_its_store_shows_what_is_live_and_opens_it_later(
    house: House,
) -> None:
    """The DuckDB file is held: live values and alarms are shown, and why charts are not."""
    say_lanes(house)
    house.journal(house.readings("gauge", "water.level", (START, 3.2)))
    house.open_alarm("gauge", "water.level")
    folder = house.root / "store"
    folder.mkdir()
    holder = _hold(folder / "readings.duckdb")
    app = house.app(open_store("duckdb", directory=folder))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = house.headers("hanako")
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=headers
        ) as client:
            stations = {
                s["name"]: s for s in (await client.get("/api/stations")).json()["stations"]
            }
            assert stations["gauge"]["latest"]["water.level"]["value"] == 3.2
            assert stations["gauge"]["alarm_ids"] == ["alarm-gauge-water.level"]
            ready = await _ready(client)
            assert any(r.startswith("store:") and "lock" in r for r in ready["reasons"]), ready
            async with _deadline():
                while (await client.get("/api/clock")).json()["store"]["state"] != "down":
                    await _moment()
            holder.communicate()
            async with _deadline():
                while (await client.get("/api/clock")).json()["store"]["state"] != "up":
                    await _moment()
                while any(r.startswith("store") for r in (await _ready(client))["reasons"]):
                    await _moment()


def _hold(file: Path) -> subprocess.Popen[bytes]:
    code = (
        "import duckdb, sys; held = duckdb.connect(sys.argv[1]);"
        "print('held', flush=True); sys.stdin.read()"
    )
    held = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert held.stdout is not None
    assert held.stdout.readline() == b"held\n"
    return held


def test_a_rotten_store_is_an_outage_not_an_end(tmp_path: Path) -> None:
    """A file that is no database, a folder that is a file: each is said, none ends the start."""
    (tmp_path / "readings.duckdb").write_bytes(b"rotten" * 4096)
    with pytest.raises(StoreOutage, match="DuckDB"):
        open_store("duckdb", directory=tmp_path).positions()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreOutage, match="file"):
        open_store("duckdb", directory=file).latest()
    open_store("duckdb", directory=file).close()


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        await launched.close()


async def _open(browser: Browser, house: House, url: str, *, width: int, language: str) -> Page:
    context = await browser.new_context(
        viewport={"width": width, "height": 780}, locale=language, reduced_motion="reduce"
    )
    token = create_access_token(house.database, house.people["taro"], house.now(), 3600)
    await context.add_cookies([{"name": "satomori_session", "value": token, "url": url}])
    page = await context.new_page()
    await page.goto(url)
    return page


@pytest.mark.parametrize(("width", "language"), [(1280, "ja"), (360, "ja"), (360, "en")])
async def test_the_page_says_calmly_that_meters_are_late_and_flood_is_not(
    house: House, browser: Browser, tmp_path: Path, width: int, language: str
) -> None:
    """Words, not colour alone; told politely; no wider than a phone; late values have a time."""
    static = Path(dashboards.__file__).parent / "static"
    if not (static / "index.html").is_file():
        pytest.skip("the web app is not built")
    house.static_dir = static
    assert isinstance(house.now, Clock)
    house.now.at = time.time_ns() // 1_000_000
    at = house.now()
    house.journal(house.readings("zone", "water.flow", (at, 0.01)), lane=Lane.ROUTINE)
    waits = {"urgent": 0, "routine": 720_000}
    house.say(
        "intake",
        broker={"a": "up"},
        lanes={k: {"wait_ms": ms, "last_tick_at": at} for k, ms in waits.items()},
    )
    house.say("alerts", lanes={k: {"last_tick_at": at, "is_fed": True} for k in waits})
    for lane in Lane:
        house.journal(TickFrame(at), lane=lane)
    async with house.server() as (url, _app):
        page = await _open(browser, house, url, width=width, language=language)
        bar = page.get_by_test_id("delay-bar")
        await expect(bar).to_be_visible(timeout=30_000)
        if language == "en" and "Routine" not in await bar.inner_text():
            await page.get_by_role("button", name="English").click()
        words = (
            ("12分", "緊急系は正常")
            if language == "ja"
            else ("12 min", "Urgent traffic is in time")
        )
        for word in words:
            await expect(bar).to_contain_text(word)
        await expect(page.locator(".delay-region")).to_have_attribute("role", "status")
        await expect(page.get_by_test_id("fault-bar")).to_have_count(0)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) <= 0
        row = page.get_by_test_id("station-zone")
        await expect(row).to_have_attribute("data-delayed", "true")
        await expect(row).not_to_contain_text("平常" if language == "ja" else "Normal")
        await expect(row).to_contain_text("時点" if language == "ja" else "as of")
        await expect(page.get_by_test_id("station-gauge")).to_have_count(1)
        pictures = Path(os.environ.get("SATOMORI_TEST_PICTURES", tmp_path))
        await page.screenshot(path=pictures / f"delay-{width}-{language}.png")
