"""The waiting list and credentials as administrators meet them, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, update
from structlog.testing import capture_logs

import devices.provisioning_tables  # noqa: F401 - its tables are known once it is read
import ingest.waiting_tables  # noqa: F401 - its tables are known once it is read
from dashboards.tables import audit
from devices.credentials import is_password, mosquitto_password_line
from devices.database import writing
from devices.drafts import DeviceDraft
from devices.frames import RejectedFrame
from devices.provisioning_tables import enrolment_answer
from firmware_sim.enrolling import EnrollingUnit
from ingest import waiting
from ingest.tables import quarantine, resubmission
from tests.dashboards.conftest import START, House

PATHS = (
    ("GET", "/api/waiting"),
    ("POST", "/api/waiting/1/accept"),
    ("POST", "/api/waiting/1/refuse"),
    ("POST", "/api/waiting/1/take-back"),
    ("POST", "/api/devices/gauge/credential"),
    ("GET", "/api/enrolment"),
    ("POST", "/api/enrolment/key"),
    ("POST", "/api/enrolment/revoke"),
)


def heard(house: House, *frames: RejectedFrame) -> None:
    """What the quarantine's reader does with them."""
    with writing(house.database) as connection:
        noted = waiting.note(connection, frames)
        for index, frame in enumerate(frames):
            connection.execute(
                insert(quarantine).values(
                    received_at=frame.received_at, lane="urgent", topic=frame.topic,
                    payload=frame.payload, reason=frame.reason, detail=frame.detail,
                    candidate=noted.candidates.get(index),
                )
            )  # fmt: skip


def of_gateway(*names: str, at: int = START - 60_000) -> RejectedFrame:
    said = json.dumps([{"d": name, "v": {"trap.triggered": 0}} for name in names]).encode()
    topic = "field/v1/gateway/gw-1/up/urgent"
    return RejectedFrame(topic, said, at, "unknown_device", f"d: {names[0]} is not in service")


def chirpstack(dev_eui: str, at: int = START - 60_000) -> RejectedFrame:
    application = "11111111-2222-3333-4444-555555555555"
    said = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "deviceInfo": {"applicationId": application, "devEui": dev_eui, "deviceName": "north"},
        "fCnt": 1, "fPort": 2, "data": "AQID",
    }  # fmt: skip
    topic = f"application/{application}/device/{dev_eui}/event/up"
    return RejectedFrame(topic, json.dumps(said).encode(), at, "unknown_device", "unknown")


def asking(unit: EnrollingUnit) -> RejectedFrame:
    return RejectedFrame(unit.request_topic, unit.request(), START, "enrolment", "asks")


async def listed(client: httpx.AsyncClient, state: str = "waiting") -> list[dict[str, Any]]:
    answer = await client.get("/api/waiting", params={"state": state})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["candidates"]
    return found


async def accept(client: httpx.AsyncClient, candidate: int, **said: object) -> httpx.Response:
    return await client.post(f"/api/waiting/{candidate}/accept", json=said)


def lines(house: House) -> dict[str, str]:
    return {one.device: one.password_line for one in house.registry.credentials()}


@pytest.mark.parametrize("name", ["hanako", "taro", "jiro", "haruko", "everybody", None])
async def test_only_administrators_see_or_decide(house: House, name: str | None) -> None:
    heard(house, of_gateway("trap-9"))
    async with house.client(name) as client:
        for method, path in PATHS:
            answer = await client.request(method, path, json={"name": "x", "kind": "trap"})
            assert answer.status_code == (401 if name is None else 403), path


async def test_a_password_is_shown_once_and_written_nowhere(house: House) -> None:
    """Not in the log, not in the audit, not in a cache, not in the database."""
    with capture_logs() as logs:
        async with house.client("admin") as client:
            answer = await client.post("/api/devices/gauge/credential")
    said = answer.json()
    password = said["password"]
    assert answer.headers["cache-control"].startswith("no-store")
    assert is_password(lines(house)["gauge"], password)
    assert said["topics"]["up"] == "field/v1/river-gauge/gauge/up"
    assert said["address"] == f"mqtt://gauge:{password}@127.0.0.1:1883/field/v1/river-gauge/gauge"
    assert said["qr_svg"].startswith("<svg")
    with house.database.connect() as connection:
        kept = repr(connection.execute(select(audit)).all())
    assert "device.credential_made" in kept
    assert password not in kept
    assert password not in repr(logs)
    files = [path.read_bytes() for path in house.root.rglob("*") if path.is_file()]
    assert not any(password.encode() in content for content in files)


async def test_a_new_password_makes_the_one_before_void(house: House) -> None:
    async with house.client("admin") as client:
        first = (await client.post("/api/devices/gauge/credential")).json()["password"]
        second = (await client.post("/api/devices/gauge/credential")).json()["password"]
    assert is_password(lines(house)["gauge"], second)
    assert not is_password(lines(house)["gauge"], first)


@pytest.mark.parametrize("name", ["nobody", "satomori", "gone", "a%2Fb", "x" * 65])
async def test_a_device_that_is_not_in_service_gets_no_password(house: House, name: str) -> None:
    house.registry.register([DeviceDraft("gone", "trap")], START)
    house.registry.decommission("gone", START)
    async with house.client("admin") as client:
        answer = await client.post(f"/api/devices/{name}/credential")
    assert answer.status_code in {404, 405, 422}
    assert lines(house) == {}


async def test_a_device_behind_a_gateway_is_registered_in_one_go(house: House) -> None:
    """Name, kind, place, gateway; its past goes on its way; it needs no password."""
    house.registry.register([DeviceDraft("gw-1", "gateway")], START)
    heard(house, of_gateway("trap-9"), of_gateway("trap-9", "trap-10"))
    async with house.client("admin") as client:
        (one, other) = sorted(await listed(client), key=lambda c: len(c["identity"]))
        answer = await accept(client, one["id"], name="trap-9", kind="trap", area="入来",
                              latitude=31.8, longitude=130.4)  # fmt: skip
        assert answer.json() == {
            "device": "trap-9", "kind": "trap", "resubmitted": 2, "credential": None
        }  # fmt: skip
        assert [c["identity"] for c in await listed(client)] == [other["identity"]]
    device = house.registry.snapshot().by_name["trap-9"]
    assert (device.gateway, device.area, device.latitude) == ("gw-1", "入来", 31.8)
    with house.database.connect() as connection:
        assert len(connection.execute(select(resubmission)).all()) == 2


async def test_a_lorawan_device_is_registered_with_its_dev_eui_and_codec(house: House) -> None:
    heard(house, chirpstack("a84041ffff1234ab"))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        assert one["name"] == "north"
        answer = await accept(client, one["id"], name="rg-1", kind="river-gauge",
                              codec="dragino/ldds75")  # fmt: skip
        assert answer.status_code == 200, answer.text
    unit = house.registry.snapshot().units["A84041FFFF1234AB"]
    assert unit.codec == "dragino/ldds75"


async def test_a_replacement_keeps_the_series_and_takes_nothing_from_before(house: House) -> None:
    """The unit may have been tried on somebody's desk before it was put in."""
    before = house.registry.snapshot().series
    house.registry.set_credential(house.device("gauge"), "gauge:old", START - 1000)
    heard(house, chirpstack("a84041ffff1234ab"))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        taken = await accept(client, one["id"], name="gauge", kind="river-gauge")
        assert taken.json()["error"]["code"] == "name_taken"
        answer = await accept(client, one["id"], name="gauge", replaces=True)
        assert answer.json()["resubmitted"] == 0, answer.text
    assert house.registry.snapshot().series == before
    assert house.registry.snapshot().units["A84041FFFF1234AB"].device == house.device("gauge")
    assert lines(house) == {}


async def test_a_replacement_may_date_from_when_it_was_first_heard(house: House) -> None:
    heard(house, chirpstack("a84041ffff1234ab", START - 60_000), chirpstack("a84041ffff1234ab"))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        answer = await accept(client, one["id"], name="gauge", replaces=True,
                              since_first_heard=True)  # fmt: skip
        assert answer.json()["resubmitted"] == 2, answer.text


async def test_a_unit_that_enrols_comes_in_by_the_password_that_it_chose(house: House) -> None:
    unit = EnrollingUnit("SN-1", "flood-sensor", 1, {"label": "駅前"})
    heard(house, asking(unit))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        assert (one["label"], one["fingerprint"]) == ("駅前", unit.fingerprint)
        answer = await accept(client, one["id"], name="uf-1")
        assert answer.json()["credential"] is None, answer.text
    assert is_password(lines(house)["uf-1"], unit.password)
    with house.database.connect() as connection:
        told = connection.execute(select(enrolment_answer)).one()
    assert (told.serial, told.device, told.kind) == ("SN-1", "uf-1", "flood-sensor")


async def test_a_serial_number_that_two_claim_is_not_accepted_without_a_look(house: House) -> None:
    true, false = EnrollingUnit("SN-1", "trap", 1), EnrollingUnit("SN-1", "trap", 2)
    heard(house, asking(true), asking(false))
    async with house.client("admin") as client:
        mine = next(c for c in await listed(client) if c["fingerprint"] == true.fingerprint)
        assert mine["rivals"] == 1
        blind = await accept(client, mine["id"], name="trap-9")
        assert (blind.status_code, blind.json()["error"]["code"]) == (409, "contested")
        assert "trap-9" not in house.registry.snapshot().by_name
        sure = await accept(client, mine["id"], name="trap-9", is_sure=True)
        assert sure.status_code == 200, sure.text
    assert is_password(lines(house)["trap-9"], true.password)


async def test_a_unit_that_the_registry_expects_is_accepted_as_its_device(house: House) -> None:
    """A list was imported with serial numbers; the device keeps all that was said of it."""
    draft = DeviceDraft("uf-1", "flood-sensor", label="駅前", area="川内", serial_number="SN-1")
    house.registry.register([draft], START - 1000)
    unit = EnrollingUnit("SN-1", "flood-sensor", 1)
    heard(house, asking(unit))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        assert (one["is_expected"], one["present"], one["name"]) == (True, "uf-1", "uf-1")
        answer = await accept(client, one["id"], name="uf-1")
        assert answer.status_code == 200, answer.text
    assert house.registry.snapshot().by_name["uf-1"].label == "駅前"
    assert len(house.registry.units(house.device("uf-1"))) == 1
    assert is_password(lines(house)["uf-1"], unit.password)


async def test_a_unit_that_logs_in_already_is_not_locked_out_by_who_claims_its_serial_number(
    house: House,
) -> None:
    """Its serial number stands on its label; a stranger with the enrolment key may claim it."""
    house.registry.register([DeviceDraft("uf-1", "flood-sensor", serial_number="SN-1")], START - 1)
    device = house.device("uf-1")
    house.registry.set_credential(device, mosquitto_password_line("uf-1", "its own"), START)
    heard(house, asking(EnrollingUnit("SN-1", "flood-sensor", 2)))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        blind = await accept(client, one["id"], name="uf-1")
        assert (blind.status_code, blind.json()["error"]["code"]) == (409, "contested")
        assert is_password(lines(house)["uf-1"], "its own")
        sure = await accept(client, one["id"], name="uf-1", is_sure=True)
        assert sure.status_code == 200, sure.text
    assert not is_password(lines(house)["uf-1"], "its own")


@pytest.mark.parametrize("name", ["satomori-intake", "enrolment", "demo-simulator", "satomori"])
async def test_no_device_gets_the_name_of_an_account_of_ours(house: House, name: str) -> None:
    """A stranger may propose it; accepted, it would have that account's rights."""
    heard(house, asking(EnrollingUnit("SN-1", "trap", 1)))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        answer = await accept(client, one["id"], name=name)
        assert answer.status_code == 422, answer.text
    assert lines(house) == {}


async def test_what_cannot_be_registered_leaves_everything_as_it_was(house: House) -> None:
    heard(house, of_gateway("trap-9"))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        wrong: tuple[dict[str, object], ...] = (
            {"name": "a/b", "kind": "trap"},
            {"name": "trap-9", "kind": "toaster"},
            {"name": "trap-9"},
            {"name": "trap-9", "kind": "trap", "latitude": 91.0, "longitude": 0.0},
            {"name": "trap-9", "kind": "trap", "surprise": 1},
            {"name": "nothing-there", "replaces": True},
        )
        for said in wrong:
            answer = await accept(client, one["id"], **said)
            assert answer.status_code == 422, (said, answer.text)
        assert [c["id"] for c in await listed(client)] == [one["id"]]
    assert "trap-9" not in house.registry.snapshot().by_name


async def test_a_decision_is_made_once(house: House) -> None:
    """Two administrators press at the same time; the second is told."""
    heard(house, chirpstack("a84041ffff1234ab"))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        await client.post(f"/api/waiting/{one['id']}/refuse")
        late = await accept(client, one["id"], name="rg-1", kind="river-gauge")
        assert (late.status_code, late.json()["error"]["code"]) == (409, "decided")
        assert (await client.post("/api/waiting/999/refuse")).status_code == 404
        (refused,) = await listed(client, "refused")
        assert refused["decided_by"] == "admin"
        await client.post(f"/api/waiting/{one['id']}/take-back")
        assert len(await listed(client)) == 1
    with house.database.connect() as connection:
        done = connection.execute(select(audit.c.action).where(audit.c.action.like("waiting.%")))
        assert list(done.scalars()) == ["waiting.refused", "waiting.taken_back"]


async def test_a_crash_between_registering_and_noting_is_mended_by_doing_it_again(
    house: House,
) -> None:
    """The device is there, the candidate still waits: accepting again gives one unit, not two."""
    heard(house, chirpstack("a84041ffff1234ab"))
    async with house.client("admin") as client:
        (one,) = await listed(client)
        await accept(client, one["id"], name="rg-1", kind="river-gauge")
        with writing(house.database) as connection:
            table = waiting.candidate
            connection.execute(update(table).values(state="waiting", device=None))
        assert (await listed(client))[0]["present"] == "rg-1"
        again = await accept(client, one["id"], name="rg-1", kind="river-gauge")
        assert again.status_code == 200, again.text
    assert len(house.registry.units(house.device("rg-1"))) == 1


async def test_the_enrolment_key_is_shown_once_and_can_be_ended(house: House) -> None:
    async with house.client("admin") as client:
        assert (await client.get("/api/enrolment")).json() == {"made_at": None}
        before = house.registry.revision()
        made = (await client.post("/api/enrolment/key")).json()
        assert made["username"] == "enrolment"
        assert len(made["password"]) >= 32
        assert house.registry.revision() > before
        assert (await client.get("/api/enrolment")).json() == {"made_at": START}
        assert (await client.post("/api/enrolment/revoke")).status_code == 204
        assert (await client.get("/api/enrolment")).json() == {"made_at": None}
