"""The registry over the API: staff read it, administrators change it, all is in the audit log."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from dashboards.tables import audit
from devices.datum import Datum
from devices.drafts import DeviceDraft
from devices.units import UnitDraft
from tests.dashboards.conftest import START, Clock, House

HOUR = 3_600_000
MINUTE = 60_000
GAUGE = {
    "kind": "river-gauge", "label": "太平橋", "site": "太平橋", "area": "川内",
    "plane": {"epsg": 6670, "x_m": -131000, "y_m": -66000},
    "intervals": {"normal": 86400, "active": 600}, "active_from": 1.5,
    "thresholds": {"caution": 3.0, "danger": 4.5}, "tags": ["bridge"], "owner": "haruko",
}  # fmt: skip
CHANGES = (
    ("PUT", "/api/devices/new", GAUGE),
    ("POST", "/api/devices/gauge/decommission", None),
    ("POST", "/api/devices/gauge/units", {}),
    ("PUT", "/api/devices/gauge/units/present", {}),
    ("POST", "/api/devices/gauge/datums", {"gauge_zero_m": 1.0}),
    ("POST", "/api/devices/gauge/maintenance", {"starts_at": 0, "ends_at": 1, "reason": "x"}),
    ("DELETE", "/api/devices/gauge/maintenance/1", None),
    ("PUT", "/api/areas/川内", {}),
    ("PUT", "/api/sites/太平橋", {}),
    ("PUT", "/api/groups/hunters", {}),
    ("GET", "/api/devices/export.csv", None),
)


def noted(house: House) -> list[tuple[str, str]]:
    """What the audit log says was done to devices and places, oldest first."""
    with house.database.connect() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id))
        return [
            (row.action, row.subject)
            for row in rows
            if row.action.split(".")[0] not in ("login", "access_token", "logout")
        ]


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [device["name"] for device in answer.json()["devices"]]


@pytest.mark.parametrize("who", ["hanako", "taro", "jiro", "haruko", "everybody", None])
async def test_changes_are_for_administrators(house: House, who: str | None) -> None:
    before = house.registry.snapshot()
    async with house.client(who) as client:
        for method, path, body in CHANGES:
            answer = await client.request(method, path, json=body)
            assert answer.status_code == (401 if who is None else 403), path
    assert house.registry.snapshot() is before


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("admin", {"gauge", "road", "meter", "zone", "paddy", "other-paddy", "trap", "rain"}),
        ("hanako", {"gauge", "road", "zone", "paddy", "other-paddy", "trap", "rain"}),
        ("taro", {"gauge", "road", "meter", "zone", "rain"}),
        ("jiro", {"paddy", "other-paddy", "trap", "rain"}),
    ],
)
async def test_staff_read_what_they_may_see(house: House, who: str, seen: set[str]) -> None:
    async with house.client(who) as client:
        assert set(names(await client.get("/api/devices"))) == seen
        for name in ("meter", "gauge", "paddy"):
            status = (await client.get(f"/api/devices/{name}")).status_code
            assert status == (200 if name in seen else 404), name


@pytest.mark.parametrize("who", ["haruko", "everybody"])
async def test_the_registry_is_for_staff(house: House, who: str) -> None:
    async with house.client(who) as client:
        for path in ("/api/devices", "/api/devices/gauge", "/api/areas", "/api/sites"):
            assert (await client.get(path)).status_code == 403, path
        assert (await client.get("/api/groups")).status_code == 403


async def test_a_list_is_filtered_and_comes_in_pages(house: House) -> None:
    house.registry.install_unit(house.device("trap"), UnitDraft("SN-77", "A8404100000000FF"), START)
    house.registry.decommission("other-paddy", START)
    async with house.client("admin") as client:

        async def found(query: str) -> list[str]:
            return names(await client.get(f"/api/devices?{query}"))

        assert await found("kind=paddy-node") == ["paddy"]
        assert await found("kind=paddy-node&service=all") == ["other-paddy", "paddy"]
        assert await found("service=out") == ["other-paddy"]
        assert await found("owner=haruko") == ["meter", "paddy"]
        assert await found("area=平佐&kind=water-meter") == ["meter"]
        assert await found("q=PADD") == ["paddy"]
        assert await found("q=sn-7") == ["trap"]
        assert await found("q=a8404100000000ff") == ["trap"]
        assert await found("has_unit=true") == ["trap"]
        assert await found("tag=none") == []
        page = (await client.get("/api/devices?limit=2&offset=3")).json()
        assert (page["total"], page["offset"]) == (7, 3)
        assert [device["name"] for device in page["devices"]] == ["rain", "road"]
        for wrong in ("limit=0", "limit=501", "offset=-1", "service=maybe", "colour=red"):
            assert (await client.get(f"/api/devices?{wrong}")).status_code == 422, wrong


async def test_an_area_is_searched_with_all_that_lies_in_it(house: House) -> None:
    async with house.client("admin") as client:
        await client.put("/api/areas/平佐", json={"parent": "川内", "label_en": "Hirasa"})
        found = names(await client.get("/api/devices?area=川内"))
        assert found == ["gauge", "meter", "road", "zone"]
        areas = {area["name"]: area for area in (await client.get("/api/areas")).json()["areas"]}
        assert areas["平佐"] == {
            "name": "平佐", "label": "平佐", "label_en": "Hirasa", "parent": "川内"
        }  # fmt: skip
        circle = await client.put("/api/areas/川内", json={"parent": "平佐"})
        assert circle.status_code == 422
        assert "circle" in circle.json()["error"]["message"]


async def test_a_device_is_put_and_read(house: House) -> None:
    async with house.client("admin") as client:
        answer = await client.put("/api/devices/new", json=GAUGE)
        assert answer.status_code == 200, answer.text
        device = answer.json()
        assert (device["latitude"], device["longitude"]) == (31.81666441, 130.30285809)
        assert (device["interval_s"], device["silence_after_s"]) == (86_400, 259_200.0)
        assert (device["open_data"], device["unit"], device["units"]) == ("values", None, [])
        assert (await client.get("/api/devices/new")).json() == device
        again = await client.put("/api/devices/new", json=GAUGE)
        assert again.json() == device
        changed = await client.put("/api/devices/new", json=GAUGE | {"open_data": "none"})
        assert changed.json()["open_data"] == "none"
    assert noted(house) == [("device.registered", "new"), ("device.changed", "new")]


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"kind": "bridge"}, "body.kind", "unknown kind"),
        ({"thresholds": {"cuation": 3}}, "body.thresholds", "unknown stage"),
        ({"plane": {"epsg": 4326, "x_m": 0, "y_m": 0}}, "body.plane", "zone I"),
        ({"latitude": 31, "longitude": 130}, "body.plane", "latitude and longitude, too"),
        ({"plane": None, "latitude": 91, "longitude": 0}, "body.latitude", "degrees"),
        ({"gateway": "gauge"}, "body.gateway", "no registered gateway"),
        ({"colour": "red"}, "body.colour", "not permitted"),
        ({"active_from": float("inf")}, "body.active_from", "finite"),
        ({"tags": ["a;b"]}, "body.tags", "without ;"),
        ({"kind": "trap", "thresholds": {}, "open_data": "values"}, "body.open_data", "never"),
    ],
)
async def test_a_device_that_cannot_be_is_refused_with_its_field(
    house: House, change: dict[str, Any], path: str, words: str
) -> None:
    body = GAUGE | change
    if body["active_from"] == float("inf"):
        body["active_from"] = "Infinity"
    async with house.client("admin") as client:
        answer = await client.put("/api/devices/new", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["path"] == path
        assert words in answer.json()["error"]["message"]
        for name in ("satomori", "a b", "x" * 65):
            assert (await client.put(f"/api/devices/{name}", json=GAUGE)).status_code == 422
    assert "new" not in house.registry.snapshot().by_name
    assert noted(house) == []


async def test_units_come_and_go_and_stay_on_record(house: House, clock: Clock) -> None:
    async with house.client("admin") as client:
        units = "/api/devices/meter/units"
        first = await client.post(units, json={"serial_number": "S1", "rollover_at": 1e4})
        assert first.status_code == 201, first.text
        wrong = await client.put(f"{units}/present", json={"dev_eui": "1"})
        assert (wrong.status_code, "16 hexa" in wrong.text) == (422, True)
        mended = await client.put(f"{units}/present", json={"dev_eui": "a8-40-41-00-00-00-00-01"})
        assert (mended.json()["serial_number"], mended.json()["dev_eui"]) == (
            "S1", "A840410000000001"
        )  # fmt: skip
        clock.at += MINUTE
        body = {"serial_number": "S2", "initial_reading": 0.2, "final_reading": 812.9}
        assert (await client.post(units, json=body)).status_code == 201
        record = (await client.get("/api/devices/meter")).json()
        assert [u["serial_number"] for u in record["units"]] == ["S1", "S2"]
        assert (record["units"][0]["final_reading"], record["units"][0]["removed_at"]) == (
            812.9, START + MINUTE
        )  # fmt: skip
        assert record["unit"] == record["units"][1]
        for body, words in (
            ({"installed_at": clock.at + 1}, "still to come"),
            ({"installed_at": START}, "not after"),
            ({"initial_reading": -1}, "not negative"),
        ):
            refused = await client.post(units, json=body)
            assert (refused.status_code, words in refused.text) == (422, True), refused.text
        assert (await client.post("/api/devices/none/units", json={})).status_code == 404
        assert (await client.put("/api/devices/zone/units/present", json={})).status_code == 404
    assert noted(house) == [
        ("unit.replaced", "meter"), ("unit.corrected", "meter"), ("unit.replaced", "meter")
    ]  # fmt: skip


async def test_a_device_is_taken_out_and_comes_back(house: House) -> None:
    dev_eui = "A840410000000001"
    house.registry.install_unit(house.device("gauge"), UnitDraft(dev_eui=dev_eui), START - 1)
    async with house.client("admin") as client:
        gone = await client.post("/api/devices/gauge/decommission")
        assert (gone.json()["decommissioned_at"], gone.json()["unit"]) == (START, None)
        assert (await client.post("/api/devices/gauge/decommission")).status_code == 409
        assert (await client.post("/api/devices/gauge/units", json={})).status_code == 409
        elsewhere = await client.post("/api/devices/road/units", json={"dev_eui": dev_eui})
        assert elsewhere.status_code == 201, "the hardware is free"
        back = await client.put("/api/devices/gauge", json={"kind": "river-gauge"})
        assert back.json()["decommissioned_at"] is None
        assert (await client.post("/api/devices/satomori/decommission")).status_code == 404


async def test_heights_have_a_history(house: House) -> None:
    async with house.client("admin") as client:
        path = "/api/devices/gauge/datums"
        first = await client.post(path, json={"since": 0, "gauge_zero_m": 2.5})
        assert first.status_code == 201, first.text
        second = await client.post(path, json={"mounting_height_m": 6})
        assert second.json() == {"since": START, "gauge_zero_m": 2.5, "mounting_height_m": 6.0}
        await client.post(path, json={"mounting_height_m": 6})
        for body in ({"since": START + 1, "gauge_zero_m": 1}, {"gauge_zero_m": 9000}):
            assert (await client.post(path, json=body)).status_code == 422
        record = (await client.get("/api/devices/gauge")).json()
        assert (len(record["datums"]), record["datum"]) == (2, second.json())
    assert house.registry.snapshot().datums[house.device("gauge")] == (
        Datum(0, 2.5, None), Datum(START, 2.5, 6.0)
    )  # fmt: skip
    assert noted(house) == [("datum.added", "gauge"), ("datum.added", "gauge")]


async def test_maintenance_is_planned_shown_and_ended(house: House, clock: Clock) -> None:
    async with house.client("admin") as client:
        path = "/api/devices/gauge/maintenance"
        body = {"starts_at": START, "ends_at": START + HOUR, "reason": "点検"}
        window = await client.post(path, json=body)
        assert window.status_code == 201, window.text
        assert window.json()["noted_by"] == "admin"
        assert (await client.get("/api/devices/gauge")).json()["is_in_maintenance"] is True
        clock.at += 1
        number = window.json()["id"]
        assert (await client.delete(f"{path}/{number}")).json()["cancelled_at"] == START + 1
        assert (await client.delete(f"{path}/{number}")).status_code == 404
        assert (await client.get("/api/devices/gauge")).json()["is_in_maintenance"] is False
        over = await client.post(path, json=body | {"ends_at": START})
        assert (over.status_code, "must be after" in over.text) == (422, True)
    assert noted(house) == [("maintenance.planned", "gauge"), ("maintenance.cancelled", "gauge")]


async def test_a_site_is_described(house: House) -> None:
    async with house.client("admin") as client:
        body = {"area": "川内", "latitude": 31.8, "longitude": 130.3, "note": "鍵は\n土木課"}
        site = await client.put("/api/sites/太平橋/右岸", json=body)
        assert site.status_code == 200, site.text
        assert (await client.get("/api/sites")).json()["sites"] == [site.json()]
        assert (await client.put("/api/sites/x", json={"longitude": 1})).status_code == 422
    assert noted(house) == [("site.described", "太平橋/右岸")]


async def test_what_is_exported_imports_to_the_same(house: House) -> None:
    draft = DeviceDraft("new", "river-gauge", "=SUM(A1)", dev_eui="00000000000012E5")
    house.registry.register([draft], START)
    async with house.client("admin") as client:
        answer = await client.get("/api/devices/export.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.content.startswith("\ufeffname,kind".encode())
        assert "'=SUM(A1)" in answer.text
        for query in ("?dry_run=1", ""):
            done = await client.post(f"/api/devices/import{query}", content=answer.content)
            assert (done.json()["unchanged"], done.json()["errors"]) == (9, [])
    assert noted(house) == [], "nothing was done"


async def test_a_dry_run_says_what_an_import_would_do(house: House) -> None:
    text = (
        "name,kind,owner,area\n"
        "new,trap,nobody,入来\nmeter,water-meter,natsuo,平佐\nzone,zone-meter,,平佐\n"
    )
    before = house.registry.snapshot()
    async with house.client("admin") as client:
        path = "/api/devices/import"
        tried = (await client.post(f"{path}?dry_run=1", content=text.encode("cp932"))).json()
        assert (tried["devices"], tried["new"], tried["changed"], tried["unchanged"]) == (
            3,
            1,
            1,
            1,
        )
        assert tried["changes"] == [{"line": 3, "name": "meter", "columns": ["owner"]}]
        assert tried["notices"] == ["owners who are no person and no group: nobody, natsuo"]
        assert house.registry.snapshot() is before
        done = (await client.post(path, content=text.encode())).json()
        assert done == tried
        assert house.registry.snapshot().by_name["meter"].owner == "natsuo"
        bad = "name,kind,gateway\n" + "".join(f"d{k},trap,none\n" for k in range(1200))
        refused = (await client.post(path, content=bad.encode())).json()
        assert (len(refused["errors"]), refused["errors_total"]) == (1000, 1200)
        assert (refused["devices"], refused["errors"][0]["line"]) == (0, 2)
    assert noted(house) == [("devices.imported", "3 devices")]


async def test_a_group_owns_devices_and_its_members_see_them(house: House) -> None:
    house.registry.register([DeviceDraft("box", "trap", owner="hunters")], START)
    async with house.client("haruko") as client:
        seen = {s["name"] for s in (await client.get("/api/stations")).json()["stations"]}
        assert seen == {"meter", "paddy"}
    async with house.client("admin") as client:
        body = {"display_name": "入来猟友会", "members": ["haruko", "jiro"]}
        answer = await client.put("/api/groups/hunters", json=body)
        assert answer.json() == {"name": "hunters", **body}
        assert (await client.get("/api/groups")).json() == {"groups": [answer.json()]}
        for name, members in (("haruko", []), ("a b", []), ("x", ["nobody"])):
            refused = await client.put(f"/api/groups/{name}", json={"members": members})
            assert refused.status_code == 422, name
    async with house.client("haruko") as client:
        seen = {s["name"] for s in (await client.get("/api/stations")).json()["stations"]}
        assert seen == {"meter", "paddy", "box"}
    assert noted(house) == [("group.changed", "hunters")]


async def test_the_public_sees_what_is_published(house: House) -> None:
    async with house.client("everybody") as client:
        seen = {s["name"] for s in (await client.get("/api/stations")).json()["stations"]}
        assert seen == {"gauge", "road", "rain"}
    house.registry.register(
        [
            DeviceDraft("road", "flood-sensor", area="川内", open_data="none"),
            DeviceDraft("paddy", "paddy-node", open_data="values"),
        ],
        START,
    )
    async with house.client("everybody") as client:
        seen = {s["name"] for s in (await client.get("/api/stations")).json()["stations"]}
        assert seen == {"gauge", "rain", "paddy"}
