"""The look at devices beside the pages, and what of it people see."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from sqlalchemy import select

from dashboards.device_health import DeviceHealth, HealthOptions, Pace
from dashboards.device_said import FrameInbox
from dashboards.health_words import said
from dashboards.tables import device_days, device_health
from devices.frames import Lane, Position, RawFrame, StatusFrame
from devices.health.battery import Cell
from devices.health.days import DAY_MS, day_of
from devices.health.findings import CODES, Finding
from devices.networks import NetworkKind
from devices.readings import Readings, concatenate, readings_from_columns
from devices.registry import DeviceDraft
from devices.units import UnitDraft
from ingest.store_writer import StoreWriter
from ingest.stores.duckdb import DuckDBStore
from tests.dashboards.conftest import PEOPLE, START, Clock, House, until

DAYS = 120
NOW = (day_of(START) + DAYS) * DAY_MS + 8 * 3_600_000
FAST = Pace(round_s=1.0, shortest_pause_s=0.0, busy_share=1.0)


def readings(house: House, device: str, quantity: str, at: np.ndarray, value: np.ndarray
             ) -> Readings:  # fmt: skip
    number = house.series(device, quantity)
    zeros = np.zeros(len(at), np.uint8)
    return readings_from_columns(np.full(len(at), number), at, at + 2000, value, zeros)


def history(house: House) -> Readings:
    """Four months: a river gauge with a weak battery, a paddy node that stopped two days ago."""
    chance = np.random.default_rng(1)
    at = NOW - np.arange(DAYS * 24)[::-1] * 3_600_000
    since = (at - at[0]) / DAY_MS
    level = np.round(0.8 + 0.005 * chance.normal(size=len(at)), 3)
    gone = at < NOW - 2 * DAY_MS
    return concatenate(
        [
            readings(house, "gauge", "water.level", at, level),
            readings(house, "gauge", "battery.voltage", at, np.round(2.95 - 0.0055 * since, 2)),
            readings(house, "gauge", "radio.rssi", at, np.full(len(at), -90.0)),
            readings(house, "paddy", "paddy.depth", at[gone], level[gone]),
            readings(house, "meter", "water.total", at, since),
        ]
    )


@pytest.fixture
def store(house: House) -> DuckDBStore:
    opened = DuckDBStore(house.root / "store" / "readings.duckdb")
    house.opened.append(opened)
    house.registry.register([DeviceDraft("gauge", "river-gauge", area="川内", interval_s=3600)], 0)
    opened.append(history(house), {lane: Position(1, 1) for lane in Lane})
    return opened


ALKALINE = Cell(2.0, "alkaline", 2.0)


def work_of(
    house: House, store: DuckDBStore, inbox: FrameInbox | None = None, cell: Cell = ALKALINE
) -> DeviceHealth:
    heard = {
        house.device("gauge"): NOW,
        house.device("paddy"): NOW - 2 * DAY_MS,
        house.device("meter"): NOW,
    }
    return DeviceHealth(
        database=house.database,
        registry=house.registry,
        stored=StoreWriter(store, house.followers("store")),
        inbox=inbox or FrameInbox(),
        heard_at=heard.get,
        now=lambda: NOW,
        options=HealthOptions(
            networks={"lora": NetworkKind.CHIRPSTACK},
            cells={"": cell},
            pace=FAST,
        ),
    )


def catch_up(work: DeviceHealth) -> None:
    """Step until all closed days are read and neighbours are known."""
    for _ in range(100):
        work.step()
        if work.rounds > 1 and not work.is_behind:
            return
    raise AssertionError("the look at devices does not come to an end")


def test_all_devices_are_looked_at_and_kept(house: House, store: DuckDBStore) -> None:
    """What is found is in the table, worst first in memory, and counted for the metrics."""
    work = work_of(house, store)
    catch_up(work)
    devices = {d.name: d.id for d in house.registry.snapshot().devices.values()}
    found = {name: work.assessed[number].codes for name, number in devices.items()}
    assert "battery_soon" in found["gauge"]
    assert found["paddy"][0] == "silent"
    assert found["zone"] == ("never_heard",)
    with house.database.connect() as connection:
        rows = connection.execute(select(device_health)).all()
        assert len(connection.execute(select(device_days)).all()) == len(rows) == len(devices)
    status = work.status()
    assert status["assessed"] == len(devices)
    assert isinstance(status["findings"], dict)
    assert status["findings"]["never_heard"] == len(devices) - 3


def test_the_battery_of_before_the_first_look_is_known(house: House, store: DuckDBStore) -> None:
    """A store that has run for months is read back at the first look, once."""
    catch_up(work_of(house, store))
    again = work_of(house, store)
    again.step()
    gauge = again.assessed[house.device("gauge")]
    assert "battery_soon" in gauge.codes


def test_figures_outlive_a_restart_and_late_readings_are_taken_in(
    house: House, store: DuckDBStore
) -> None:
    """What is kept is what was found; a day that gets late readings is read once more."""
    catch_up(work_of(house, store))
    at = NOW - 2 * DAY_MS + np.arange(46) * 3_600_000
    late = readings(house, "paddy", "paddy.depth", at, np.full(46, 0.8))
    store.append(late, {lane: Position(1, 2) for lane in Lane})
    tomorrow = work_of(house, store)
    tomorrow._now = lambda: NOW + DAY_MS
    catch_up(tomorrow)
    body = json.loads(_body(house, "paddy"))
    assert body["health"]["reporting"]["longest_gap_s"] < 1.5 * 86_400


def _body(house: House, name: str) -> str:
    with house.database.connect() as connection:
        wanted = device_health.c.device == house.device(name)
        return str(connection.execute(select(device_health.c.body).where(wanted)).scalar_one())


def uplink(counter: int, eui: str, *gateways: str) -> RawFrame:
    said = {
        "deduplicationId": f"00000000-0000-4000-8000-{counter:012d}",
        "time": "2025-06-15T00:00:00Z",
        "deviceInfo": {"devEui": eui, "applicationId": "a", "deviceName": "x"},
        "fCnt": counter,
        "fPort": 2,
        "data": "AQI=",
        "object": {"firmware_version": "1.2.0"},
        "rxInfo": [
            {"gatewayId": name, "rssi": -100 - i, "snr": 5.0 - i,
             "location": {"latitude": 31.8, "longitude": 130.3}}
            for i, name in enumerate(gateways)
        ],
    }  # fmt: skip
    topic = f"application/a/device/{eui}/event/up"
    return RawFrame("lora", topic, json.dumps(said).encode(), NOW)


def test_what_network_servers_and_devices_say_is_kept(house: House, store: DuckDBStore) -> None:
    """Gateways, lost frames and firmware are known after a restart too."""
    eui = "0102030405060708"
    draft = UnitDraft(dev_eui=eui, model="LDDS75")
    house.registry.install_unit(house.device("gauge"), draft, START)
    house.registry.snapshot()
    inbox = FrameInbox()
    inbox.offer([uplink(n, eui, "gw-1", "gw-2") for n in range(30) if n % 3])
    inbox.offer([uplink(29, eui, "gw-1"), uplink(0, "FF" * 8, "gw-9")])
    inbox.offer([StatusFrame(house.device("paddy"), NOW, b'{"fw": "2.0"}')])
    inbox.offer([StatusFrame(house.device("paddy"), NOW, b"online")])
    catch_up(work_of(house, store, inbox))
    again = work_of(house, store)
    catch_up(again)
    gauge = house.device("gauge")
    assert again.book.frames(gauge, NOW) == (20, 9)
    assert [one.gateway for one in again.book.links(gauge, NOW)] == ["gw-1", "gw-2"]
    assert set(again.book.gateways) == {"gw-1", "gw-2", "gw-9"}
    assert again.book.said[gauge].firmware == "1.2.0"
    assert again.book.said[house.device("paddy")].firmware == "2.0"
    assert "lost" in again.assessed[gauge].codes


def test_frames_that_come_too_fast_are_dropped_and_counted() -> None:
    """The inbox is bounded by frames and by the size of one."""
    inbox = FrameInbox()
    inbox.offer([StatusFrame(1, n, b"{}") for n in range(20_003)])
    inbox.offer([StatusFrame(1, 1, b"x" * 20_000)])
    assert inbox.dropped == 3
    assert len(inbox.take(30_000)) == 20_000


async def _seen(house: House, name: str, query: str = "severity=0&limit=500") -> dict[str, object]:
    async with house.client(name) as client:
        answer = await client.get(f"/api/device-health?{query}")
        assert answer.status_code == 200
        found: dict[str, object] = answer.json()
        return found


@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_everybody_sees_the_health_of_their_own_devices_alone(
    house: House, clock: Clock, store: DuckDBStore, name: str
) -> None:
    """As of stations; the public sees none, an owner their own."""
    clock.at = NOW
    catch_up(work_of(house, store))
    store.close()

    async def ask() -> None:
        seen = await _seen(house, name)
        names = {row["name"] for row in seen["devices"]}  # type: ignore[attr-defined]
        async with house.client(name) as client:
            stations = (await client.get("/api/stations")).json()["stations"]
            expected = {one["name"] for one in stations} if name != "everybody" else set()
            assert names == expected
            for device in ("gauge", "meter", "other-paddy"):
                one = await client.get(f"/api/device-health/{device}")
                assert one.status_code == (200 if device in expected else 404)
            gateways = await client.get("/api/network-gateways")
            assert gateways.status_code == (403 if name in ("haruko", "everybody") else 200)

    asyncio.run(ask())


def test_the_list_is_worst_first_and_filtered(
    house: House, clock: Clock, store: DuckDBStore
) -> None:
    """Severity, area, kind and finding each narrow it; the counts stay those of all."""
    clock.at = NOW
    catch_up(work_of(house, store, cell=Cell()))  # as the app itself, which looks again
    store.close()

    async def ask() -> None:
        everything = await _seen(house, "admin", "severity=1")
        rows = everything["devices"]
        assert isinstance(rows, list)
        severities = [row["severity"] for row in rows]
        assert severities == sorted(severities, reverse=True)
        area = await _seen(house, "admin", "area=%E5%B7%9D%E5%86%85&severity=0")
        assert {row["area"] for row in area["devices"]} == {"川内"}  # type: ignore[attr-defined]
        soon = await _seen(house, "admin", "finding=battery_empty")  # no model is named here
        assert [row["name"] for row in soon["devices"]] == ["gauge"]  # type: ignore[attr-defined]
        assert soon["counts"] == everything["counts"]
        kind = await _seen(house, "admin", "kind=trap")
        assert kind["total"] == 1
        async with house.client("admin") as client:
            assert (await client.get("/api/device-health?finding=nonsense")).status_code == 422
            one = (await client.get("/api/device-health/gauge")).json()
        assert one["battery_words"]["ja"] == "電池が切れています"
        assert 3 <= len(one["battery_course"]) <= 60
        assert {finding["code"] for finding in one["findings"]} >= {"battery_empty"}

    asyncio.run(ask())


def test_the_work_runs_beside_the_pages(house: House, clock: Clock) -> None:
    """A new installation tells within moments that nothing was ever heard of its devices."""
    clock.at = NOW

    async def watch() -> None:
        app = house.app()
        async with app.router.lifespan_context(app):
            work = app.state.parts.device_health
            await until(lambda: work.rounds >= 1, timeout_s=20.0)
            assert {one.codes for one in work.assessed.values()} == {("never_heard",)}

    asyncio.run(watch())


def test_every_finding_has_words_in_both_languages() -> None:
    """No finding is shown as a code, whatever figures it has."""
    for code in CODES:
        words = said(Finding(code, 1))
        for one in (words.title, words.reason, words.todo):
            assert one.ja
            assert one.en
            assert not any("\u3040" <= c <= "\u9fff" for c in one.en)
