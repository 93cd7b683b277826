"""The HTTP API as a browser meets it, over the real app, SQLite, journal and store."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from alerts.tables import alert_inbox, delivery, transition
from dashboards.tables import audit
from devices.database import writing
from devices.frames import Lane, Position
from devices.readings import Readings
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.series_store import Samples, StoreOutage
from ingest.tables import quarantine, resubmission, sequence_gap
from tests.dashboards.conftest import START, House

EVERYTHING = {"gauge", "road", "meter", "zone", "paddy", "other-paddy", "trap", "rain"}
SEEN = {
    "admin": EVERYTHING,
    "hanako": EVERYTHING - {"meter"},
    "taro": {"meter", "zone", "gauge", "road", "rain"},
    "jiro": {"paddy", "other-paddy", "trap", "rain"},
    "haruko": {"meter", "paddy"},
    "everybody": {"gauge", "road", "rain"},
}


async def wait_for(client: httpx.AsyncClient, path: str, is_so: Any) -> Any:
    """Ask until the answer is as wanted, at most 5 s."""
    async with asyncio.timeout(5):
        while True:
            answer = (await client.get(path)).json()
            if is_so(answer):
                return answer
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", SEEN)
async def test_stations_list_holds_exactly_what_the_role_may_see(house: House, name: str) -> None:
    async with house.client(name) as client:
        snapshot = (await client.get("/api/stations")).json()
        assert {station["name"] for station in snapshot["stations"]} == SEEN[name]
        for device in EVERYTHING:
            answer = await client.get(f"/api/stations/{house.device(device)}")
            assert answer.status_code == (200 if device in SEEN[name] else 404)


@pytest.mark.parametrize("name", SEEN)
async def test_personal_quantities_leak_nowhere(house: House, name: str) -> None:
    """A meter's readings, alarm, gaps and series exist only for those who may see the meter."""
    house.journal(house.readings("meter", "water.total", (START, 12.5)))
    house.journal(house.readings("zone", "water.total", (START, 99.5)))
    alarm = house.open_alarm("meter", "water.total", rule="leak")
    with writing(house.database) as connection:
        connection.execute(
            insert(sequence_gap).values(
                device=house.device("meter"), first=3, last=4, at=START, is_filled=False
            )
        )
    may_see = "meter" in SEEN[name]
    async with house.client("admin") as admin:
        await wait_for(
            admin,
            "/api/stations",
            lambda s: all(x["latest"] for x in s["stations"] if x["name"] in ("meter", "zone")),
        )
        client = admin
        headers = house.headers(name)
        series = house.series("meter", "water.total")
        path = f"/api/series/{series}?start_at={START - 1}&end_at={START + 1}"
        assert (await client.get(path, headers=headers)).status_code == (200 if may_see else 404)
        one = await client.get(f"/api/alarms/{alarm}", headers=headers)
        assert one.status_code == (200 if may_see else 404)
        for listing in ("/api/alarms", "/api/alarms?state=all", "/api/stations", "/api/gaps"):
            text = (await client.get(listing, headers=headers)).text
            assert ("meter" in text.replace("zone-meter", "").replace("water-meter", "")) is may_see
        stations = (await client.get("/api/stations", headers=headers)).json()["stations"]
        totals = {s["name"] for s in stations if "water.total" in s["latest"]}
        assert totals == ({"meter", "zone"} & SEEN[name] if name != "hanako" else set())
        acknowledged = await client.post(
            f"/api/alarms/{alarm}/acknowledge", json={}, headers=headers
        )
        assert acknowledged.status_code == (202 if may_see else 404)


async def test_everything_but_the_door_needs_a_session(house: House) -> None:
    async with house.client() as client:
        for path in (
            "/api/me",
            "/api/stations",
            "/api/stations/1",
            "/api/live",
            "/api/alarms",
            "/api/alarms/x",
            "/api/series/1?start_at=0&end_at=1",
            "/api/quarantine",
            "/api/gaps",
            "/api/map",
            "/api/clock",
            "/api/openapi.json",
            "/metrics",
        ):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.json()["error"]["code"] == "not_logged_in"
        assert (await client.get("/api/health")).json() == {"status": "ok"}


@pytest.mark.parametrize("name", [name for name in SEEN if name != "admin"])
async def test_administration_is_for_administrators(house: House, name: str) -> None:
    async with house.client(name) as client:
        assert (await client.get("/api/quarantine")).status_code == 403
        assert (await client.post("/api/quarantine/1/resubmit")).status_code == 403
        assert (await client.post("/api/devices/import", content=b"x")).status_code == 403


async def test_latest_reading_and_alarm_make_the_station(house: House) -> None:
    rising = [(START + minute * 60_000, 2.0 + minute / 60) for minute in range(0, 61, 4)]
    async with house.client("hanako") as client:
        house.journal(house.readings("gauge", "water.level", *rising))
        house.open_alarm("gauge", "water.level", level=4, stage="danger")
        snapshot = await wait_for(
            client,
            "/api/stations",
            lambda s: (
                s["alarms"] and all(x["latest"] for x in s["stations"] if x["name"] == "gauge")
            ),
        )
    gauge = next(s for s in snapshot["stations"] if s["name"] == "gauge")
    assert (gauge["state"], gauge["level"]) == ("danger", 4)
    assert gauge["latest"]["water.level"]["value"] == 3.0
    assert gauge["rise_per_h"] == pytest.approx(1.0)
    assert gauge["main"] == "water.level"
    assert gauge["thresholds"] == {"caution": 3.0, "danger": 4.5}
    assert gauge["alarm_ids"] == [snapshot["alarms"][0]["id"]]
    never_heard = next(s for s in snapshot["stations"] if s["name"] == "road")
    assert never_heard["state"] == "unknown"
    assert never_heard["last_received_at"] is None


async def test_series_gives_what_the_store_and_its_tail_hold(house: House) -> None:
    rows = [(START + k * 1000, float(k)) for k in range(5)]
    async with house.client("everybody") as client:
        house.journal(house.readings("gauge", "water.level", *rows))
        number = house.series("gauge", "water.level")
        path = f"/api/series/{number}?start_at={START}&end_at={START + 4000}"
        chart = await wait_for(client, path, lambda c: len(c["value"]) == 4)
        assert chart["value"] == [0.0, 1.0, 2.0, 3.0]
        assert chart["measured_at"] == [at for at, _ in rows[:4]]
        assert (chart["quantity"], chart["unit"]) == ("water.level", "m")
        assert chart["device"] == house.device("gauge")
        backwards = await client.get(f"/api/series/{number}?start_at=5&end_at=5")
        assert backwards.status_code == 422
        assert backwards.json()["error"]["path"] == "query.end_at"


async def test_the_map_survives_a_restart_of_web(house: House) -> None:
    """What was latest before is latest after, from the store alone."""
    async with house.client("hanako") as client:
        house.journal(house.readings("gauge", "water.level", (START, 2.5)))
        number = house.series("gauge", "water.level")
        path = f"/api/series/{number}?start_at={START}&end_at={START + 1}"
        await wait_for(client, path, lambda c: c["value"])
    async with house.client("hanako") as client:
        snapshot = (await client.get("/api/stations")).json()
        gauge = next(s for s in snapshot["stations"] if s["name"] == "gauge")
        assert gauge["latest"]["water.level"]["value"] == 2.5
        assert gauge["state"] == "normal"


async def test_alarm_detail_says_who_was_told(house: House) -> None:
    alarm = house.open_alarm("gauge", "water.level")
    with writing(house.database) as connection:
        connection.execute(
            insert(transition).values(
                id=alarm, alarm=alarm, rule="river", rule_version="1",
                device=house.device("gauge"), series=house.series("gauge", "water.level"),
                measured_at=START, received_at=START, committed_at=START + 5,
                from_level=0, to_level=4, from_stage="normal", to_stage="danger", value=4.6,
                is_verified=True, is_historic=False, is_exercise=False,
            )
        )  # fmt: skip
        connection.execute(
            insert(delivery).values(
                transition=alarm, alarm=alarm, person=house.people["hanako"], channel="mail",
                address="hanako@city.example.jp", state="sent", attempts=1, created_at=START,
                next_attempt_at=START, sent_at=START + 9,
            )
        )  # fmt: skip
    async with house.client("hanako") as client:
        detail = (await client.get(f"/api/alarms/{alarm}")).json()
        assert detail["transitions"][0]["committed_at"] == START + 5
        assert detail["deliveries"][0]["address"] == "h…@city.example.jp"
        assert detail["deliveries"][0]["sent_at"] == START + 9
        public = await client.get(f"/api/alarms/{alarm}", headers=house.headers("everybody"))
        assert public.json()["deliveries"] == []


async def test_acknowledging_goes_to_the_inbox_and_the_audit_log(house: House) -> None:
    alarm = house.open_alarm("gauge", "water.level")
    async with house.client("hanako") as client:
        path = f"/api/alarms/{alarm}/acknowledge"
        answer = await client.post(path, json={"comment": " 現地へ向かう "})
        assert (answer.status_code, answer.json()) == (202, {"accepted": True})
        public = await client.post(path, json={}, headers=house.headers("everybody"))
        assert public.status_code == 403
    with house.database.connect() as connection:
        wish = connection.execute(select(alert_inbox)).one()
        noted = connection.execute(
            select(audit).where(audit.c.action == "alarm.acknowledged")
        ).one()
    assert (wish.command, wish.alarm, wish.comment) == ("acknowledge", alarm, "現地へ向かう")
    assert (noted.person, noted.subject) == (house.people["hanako"], alarm)


async def test_public_sees_no_names_of_people(house: House) -> None:
    house.open_alarm(
        "gauge",
        "water.level",
        acknowledged_at=START,
        acknowledged_by=house.people["hanako"],
        acknowledge_comment="電話 090",
    )
    async with house.client("everybody") as client:
        for path in ("/api/stations", "/api/alarms"):
            text = (await client.get(path)).text
            assert "acknowledged_by" in text
            assert "hanako" not in text
            assert "090" not in text


async def test_quarantined_messages_are_shown_and_resubmitted(house: House) -> None:
    with writing(house.database) as connection:
        for reason in ("unknown_device", "unknown_device", "bad_json"):
            connection.execute(
                insert(quarantine).values(
                    received_at=START, lane="urgent", topic="field/v1/trap/x/up",
                    payload=b'{"v": \xff', reason=reason, detail="x is not registered",
                )
            )  # fmt: skip
    async with house.client("admin") as client:
        listing = (await client.get("/api/quarantine")).json()
        assert listing["counts"] == {"unknown_device": 2, "bad_json": 1}
        assert listing["rows"][0]["payload_text"] == '{"v": \\xff'
        row = listing["rows"][0]["id"]
        assert (await client.post(f"/api/quarantine/{row}/resubmit")).status_code == 202
        assert (await client.post("/api/quarantine/999/resubmit")).status_code == 404
        listing = (await client.get("/api/quarantine")).json()
        assert listing["rows"][0]["resubmitted_at"] == START
    with house.database.connect() as connection:
        sent = connection.execute(select(resubmission)).one()
    assert (sent.received_at, sent.payload) == (START, b'{"v": \xff')


async def test_devices_are_imported_all_or_none(house: House) -> None:
    good = "name,kind,label\nnew-gauge,river-gauge,新しい橋\n"
    bad = good + "worse gauge,river-gauge,\n"
    async with house.client("admin") as client:
        path = "/api/devices/import"
        refused = (await client.post(path, content=bad.encode())).json()
        assert refused["devices"] == 0
        assert refused["errors"][0]["line"] == 3
        assert refused["errors"][0]["column"] == "name"
        assert "new-gauge" not in house.registry.snapshot().by_name
        tried = (await client.post(path + "?dry_run=1", content=good.encode())).json()
        assert (tried["devices"], tried["new"], tried["errors"]) == (1, 1, [])
        assert "new-gauge" not in house.registry.snapshot().by_name
        done = (await client.post(path, content=good.encode("cp932"))).json()
        assert (done["devices"], done["new"], done["errors"]) == (1, 1, [])
        assert house.registry.snapshot().by_name["new-gauge"].label == "新しい橋"
        await wait_for(
            client, "/api/stations", lambda s: "new-gauge" in {x["name"] for x in s["stations"]}
        )


async def test_device_taken_out_of_service_leaves_the_map(house: House) -> None:
    async with house.client("hanako") as client:
        house.registry.decommission("trap", START)
        await wait_for(
            client, "/api/stations", lambda s: "trap" not in {x["name"] for x in s["stations"]}
        )


async def test_errors_say_code_message_and_path(house: House) -> None:
    async with house.client("admin") as client:
        unknown = (await client.get("/api/nonsense")).json()["error"]
        assert (unknown["code"], unknown["path"]) == ("not_found", "/api/nonsense")
        wrong = await client.get("/api/alarms?limit=many")
        assert wrong.status_code == 422
        assert wrong.json()["error"]["path"] == "query.limit"
        large = await client.get("/api/stations/99999999999999999999")
        assert large.status_code == 422


async def test_openapi_types_every_answer(house: House) -> None:
    """No route answers with an untyped object, but for GeoJSON, CSV and Prometheus text."""
    async with house.client("admin") as client:
        document = (await client.get("/api/openapi.json")).json()
    free = {"/api/basemap", "/metrics", "/login/{token}", "/api/logout", "/api/live"}
    free |= {"/api/devices/export.csv"}
    for path, methods in document["paths"].items():
        for method in methods.values():
            if "204" in method["responses"]:
                continue  # there is nothing to type
            success = next(a for status, a in method["responses"].items() if status[0] in "23")
            schema = success.get("content", {}).get("application/json", {}).get("schema", {})
            assert path in free or "$ref" in schema, path
    station = document["components"]["schemas"]["Station"]["properties"]
    assert set(station["state"]["enum"]) >= {"normal", "unknown", "suspect", "closed", "triggered"}


class AwayStore(DuckDBStore):
    """A store that went away after it was opened."""

    def latest(self) -> Readings:
        raise StoreOutage("no answer", can_retry=True)

    def positions(self) -> dict[Lane, Position]:
        raise StoreOutage("no answer", can_retry=True)

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        raise StoreOutage("no answer", can_retry=True)


async def test_store_outage_is_told_and_leaves_the_map_alone(house: House) -> None:
    """A chart answers 503 and may be asked again; the map goes on from the journal."""
    house.store_type = AwayStore
    async with house.client("hanako") as client:
        house.journal(house.readings("gauge", "water.level", (START, 2.5)))
        snapshot = await wait_for(
            client,
            "/api/stations",
            lambda s: any(x["latest"] for x in s["stations"] if x["name"] == "gauge"),
        )
        assert snapshot["stations"]
        path = f"/api/series/{house.series('gauge', 'water.level')}?start_at=0&end_at={START + 1}"
        answer = await client.get(path)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "store_outage"
        ready = (await client.get("/api/ready")).json()
        assert "store: no answer" in ready["reasons"]
        assert "web is stale" not in ready["reasons"]
