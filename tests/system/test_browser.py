"""A duty officer's night in a real browser: caution, danger, mail, acknowledgement, no data."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from firmware_sim import city
from tests.servers.mailbox import Mail, Mailbox, smtp_server
from tests.servers.satomori_system import RunningSystem, wait_until

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
STATION = "river-08"
LABEL = "下手 久富木川水位計"
PASSWORD = "raincoat-and-lantern"
PATIENCE_MS = 30_000
"""How long the page may take on a busy machine; the times that matter are measured."""
expect.set_options(timeout=PATIENCE_MS)

SCENARIO = f"""
calm = true
flawless = true

[[step]]
at_s = 0
device = "{STATION}"
quantity = "water.level"
value = 1.22

[[step]]
at_s = 7
device = "{STATION}"
quantity = "water.level"
value = 1.95

[[step]]
at_s = 13
device = "{STATION}"
quantity = "water.level"
value = 2.61
"""

FLOOD_AT_ONCE = f"""
calm = true
flawless = true

[[step]]
at_s = 0
device = "{STATION}"
quantity = "water.level"
value = 2.61
"""

JAPANESE_WORDS = """
() => [...document.querySelectorAll("body *")]
  .filter(e => e.children.length === 0 && e.offsetParent !== null && !e.closest("[lang=ja]"))
  .map(e => e.textContent.trim())
  .filter(text => /[\u3040-\u30ff\u4e00-\u9fff]/.test(text))
"""

WATCH = """
name => {
  const row = document.querySelector(`[data-testid="station-${name}"]`);
  window.seen = [[row.dataset.state, Date.now()]];
  new MutationObserver(() => window.seen.push([row.dataset.state, Date.now()]))
    .observe(row, { attributes: true, attributeFilter: ["data-state"] });
}
"""


@pytest.fixture
def mailbox_and_port() -> Iterator[tuple[Mailbox, int]]:
    with smtp_server() as served:
        yield served


@pytest.fixture
def mailbox(mailbox_and_port: tuple[Mailbox, int]) -> Mailbox:
    return mailbox_and_port[0]


@pytest.fixture
def system(tmp_path: Path, mailbox_and_port: tuple[Mailbox, int]) -> Iterator[RunningSystem]:
    """The simulated city, a mail server, and somebody on duty."""
    mail = {"host": "127.0.0.1", "port": mailbox_and_port[1], "sender": "satomori@city.example"}
    started = RunningSystem(tmp_path, sections={"mail": mail})
    started.register(city.to_csv(city.devices(seed=1)))
    started.add_person(
        "hanako", role="disaster", display_name="防災 花子",
        password=PASSWORD, mail="hanako@city.example",
    )  # fmt: skip
    started.start()
    yield started
    started.stop()


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: ``SATOMORI_TEST_PICTURES``, or the test's own folder."""
    folder = Path(os.environ.get("SATOMORI_TEST_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _open_page(browser: Browser, width: int, height: int, language: str = "ja-JP") -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale=language, timezone_id="Asia/Tokyo"
    )
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def _log_in(page: Page, system: RunningSystem, password: str = PASSWORD) -> None:
    page.goto(system.url)
    page.fill("input[name=name]", "hanako")
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")


def _row(page: Page) -> Any:
    return page.get_by_test_id(f"station-{STATION}")


def _danger_mail(mailbox: Mailbox) -> Mail | None:
    return next((m for m in mailbox.mails if "氾濫危険水位に達しました" in m.subject), None)


def _danger_alarm(system: RunningSystem) -> dict[str, Any]:
    """The station's alarm with its transitions and deliveries, as the API tells it."""
    with system.visit("hanako") as api:
        alarms = api.get("/api/alarms").raise_for_status().json()["alarms"]
        [found] = [a for a in alarms if a["device_name"] == STATION and a["rule"] == "river-stage"]
        detail: dict[str, Any] = api.get(f"/api/alarms/{found['id']}").raise_for_status().json()
        return detail


def _tell(figure: str) -> None:
    print(f"\n  {figure}")  # noqa: T201 - a measured figure, shown by pytest -s


@pytest.mark.browser
def test_a_wrong_password_is_refused_on_the_page(system: RunningSystem, browser: Browser) -> None:
    page = _open_page(browser, 1280, 800)
    _log_in(page, system, "no-lantern-at-all")
    expect(page.get_by_role("alert")).to_contain_text("違います")
    expect(page.get_by_test_id("map")).to_have_count(0)


@pytest.mark.browser
def test_a_rising_river_is_seen_told_and_acknowledged(
    system: RunningSystem, browser: Browser, mailbox: Mailbox, tmp_path: Path, pictures: Path
) -> None:
    """Caution, then danger on the page; the mail within 2 s of the reading; acknowledged."""
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    page = _open_page(browser, 1440, 900)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    _log_in(page, system)
    faults.clear()  # the first question, who we are, is answered by 401
    expect(_row(page)).to_have_attribute("data-state", "unknown")
    page.evaluate(WATCH, STATION)
    page.screenshot(path=pictures / "1-before.png")
    with system.simulating(scenario):
        expect(_row(page)).to_have_attribute("data-state", "caution")
        page.screenshot(path=pictures / "2-caution.png")
        expect(_row(page)).to_have_attribute("data-state", "danger")
        wait_until(lambda: _danger_mail(mailbox) is not None, "the mail that says danger", 20)
        seen = page.evaluate("window.seen")
        assert [state for state, _ in seen] == ["unknown", "normal", "caution", "danger"]

        alarm = _danger_alarm(system)
        step = alarm["transitions"][-1]
        mail = _danger_mail(mailbox)
        assert mail is not None
        _check_mail(mail, system)
        mail_ms = mail.arrived_at - step["measured_at"]
        _tell(
            f"reading to mail {mail_ms} ms, to page {seen[-1][1] - step['measured_at']} ms, "
            f"to ledger {step['committed_at'] - step['measured_at']} ms"
        )
        assert mail_ms <= 2_000

        _look_at_the_station(page, pictures)
        _acknowledge(page, system, pictures)
    assert not faults


def _check_mail(mail: Mail, system: RunningSystem) -> None:
    assert mail.recipients == ["hanako@city.example"]
    assert mail.subject == f"{LABEL}（祁答院）: 氾濫危険水位に達しました"
    assert "水位 2.61 m" in mail.body
    assert system.url in mail.body


def _look_at_the_station(page: Page, pictures: Path) -> None:
    """Its panel shows value, course and stage lines."""
    _row(page).click()
    panel = page.get_by_test_id("panel")
    expect(panel).to_have_attribute("data-state", "danger")
    expect(panel.get_by_role("heading", level=2)).to_have_text(LABEL)
    expect(page.get_by_test_id("main-value")).to_contain_text("2.61")
    chart = page.get_by_test_id("chart")
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"2\.61"))
    assert _has_stage_line(page), "the danger line is drawn in its colour"
    page.screenshot(path=pictures / "3-danger-open.png")


def _has_stage_line(page: Page) -> bool:
    """Whether the chart's canvas has a row of pixels in the colour of danger (#AA00AA)."""
    script = """
    () => {
      const canvas = document.querySelector('[data-testid="chart"] canvas');
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      for (let y = 0; y < height; y++) {
        let hits = 0;
        for (let x = 0; x < width; x++) {
          const k = 4 * (y * width + x);
          const is_near = [0xaa, 0, 0xaa].every((c, i) => Math.abs(data[k + i] - c) < 24);
          if (is_near) hits++;
        }
        if (hits > width / 2) return true;
      }
      return false;
    }
    """
    return bool(page.evaluate(script))


def _acknowledge(page: Page, system: RunningSystem, pictures: Path) -> None:
    """By the button; then page and ledger say who and what."""
    panel = page.get_by_test_id("panel")
    panel.locator("input[name=comment]").fill("現地に 1 班を派遣")
    page.get_by_test_id("acknowledge").click()
    expect(page.get_by_test_id("acknowledge")).to_have_count(0)
    expect(panel).to_contain_text("受領 防災 花子")
    row = page.locator(".alarm[data-acknowledged=true]")
    expect(row).to_contain_text(LABEL)
    page.screenshot(path=pictures / "4-acknowledged.png")
    alarm = _danger_alarm(system)
    assert alarm["acknowledged_by"] == "防災 花子"
    assert alarm["acknowledge_comment"] == "現地に 1 班を派遣"
    assert alarm["acknowledged_at"] >= alarm["transitions"][-1]["committed_at"]
    mails = [d for d in alarm["deliveries"] if d["channel"] == "mail"]
    assert [d["state"] for d in mails] == ["sent"] * 2, "caution and danger"
    assert all("hanako@city.example" not in d["address"] for d in mails), "addresses are masked"


@pytest.mark.browser
def test_the_page_serves_a_phone_and_an_english_reader(
    system: RunningSystem, browser: Browser, tmp_path: Path, pictures: Path
) -> None:
    """360 px wide, and in English: the alarm, its station, the map."""
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(FLOOD_AT_ONCE, encoding="utf-8")
    with system.simulating(scenario):
        phone = _open_page(browser, 360, 800)
        _log_in(phone, system)
        phone.locator(".alarm", has_text=LABEL).click()
        expect(phone.get_by_test_id("chart").locator("canvas")).to_be_visible()
        phone.screenshot(path=pictures / "6-phone-station.png")
        phone.get_by_test_id("tab-alarms").click()
        expect(phone.locator(".alarm").first).to_be_visible()
        phone.screenshot(path=pictures / "5-phone-alarms.png")
        phone.get_by_test_id("tab-map").click()
        expect(phone.get_by_test_id("map").locator("canvas")).to_be_visible()
        phone.screenshot(path=pictures / "7-phone-map.png")
        is_wider = phone.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not is_wider, "nothing sticks out to the side"
        phone.context.close()

        english = _open_page(browser, 1280, 800, "en-GB")
        _log_in(english, system)
        expect(_row(english)).to_be_visible()
        english.get_by_role("button", name="English").click()
        expect(_row(english)).to_contain_text("Shimode")
        _row(english).click()
        expect(english.get_by_test_id("chart").locator("canvas")).to_be_visible()
        english.screenshot(path=pictures / "8-english.png")
        japanese = [
            text for text in english.evaluate(JAPANESE_WORDS)
            if not any(name in text for name in ("里守り", "祁答院", "防災 花子"))
        ]  # fmt: skip
        assert japanese == [], "only names of districts and people stay Japanese"


@pytest.mark.browser
def test_the_page_says_when_no_data_comes_in_and_when_it_does_again(
    system: RunningSystem, browser: Browser, pictures: Path
) -> None:
    """kill -9 of intake: what is shown may be old, and the page says so until it is not."""
    page = _open_page(browser, 1440, 900)
    _log_in(page, system)
    expect(page.get_by_test_id("feed")).to_have_attribute("data-feed", "ok")
    bar = page.get_by_test_id("fault-bar")
    began = time.monotonic()
    killed: set[int | None] = set()
    while bar.count() == 0:  # an intake that is back within a second has lost nothing to tell of
        assert time.monotonic() - began < PATIENCE_MS / 1000, "the page stays calm"
        if system.pid("intake") not in killed:
            killed.add(system.kill("intake"))
        page.wait_for_timeout(50)
    expect(bar).to_contain_text("データが届いていません")
    assert "intake_down" in str(bar.get_attribute("data-faults"))
    page.screenshot(path=pictures / "9-no-data.png")
    expect(bar).to_have_count(0)
    expect(page.get_by_test_id("feed")).to_have_attribute("data-feed", "ok")
    _tell(
        f"intake killed {len(killed - {None})} times; the page was calm again "
        f"{time.monotonic() - began:.1f} s after the first"
    )
