"""The waiting list: who gets on it, what a flood of invented names does, what stays refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from devices.database import metadata, open_database, writing
from devices.drafts import DeviceDraft
from devices.frames import RejectedFrame
from devices.registry import Registry
from firmware_sim.enrolling import EnrollingUnit
from ingest import waiting
from ingest.sightings import MAX_SAMPLE_BYTES, sightings_of
from ingest.waiting import Bounds
from ingest.waiting_tables import candidate

T0 = 1_790_000_000_000
MINUTE = 60_000


def of_gateway(*names: str, at: int = T0, gateway: str = "gw-1") -> RejectedFrame:
    said = [{"d": name, "v": {"trap.triggered": 0}} for name in names]
    return RejectedFrame(
        f"field/v1/gateway/{gateway}/up/urgent",
        json.dumps(said).encode(),
        at,
        "unknown_device",
        f"d: {names[0]} is not in service",
    )


def asking(unit: EnrollingUnit, at: int = T0) -> RejectedFrame:
    return RejectedFrame(unit.request_topic, unit.request(), at, "enrolment", "asks")


def chirpstack(dev_eui: str, at: int = T0, **info: str) -> RejectedFrame:
    topic = f"application/11111111-2222-3333-4444-555555555555/device/{dev_eui}/event/up"
    said = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-09-21T12:00:00+00:00",
        "deviceInfo": {
            "applicationId": "11111111-2222-3333-4444-555555555555",
            "devEui": dev_eui,
            **info,
        },
        "fCnt": 1,
        "fPort": 2,
        "data": "AQID",
        "object": {"water_level": 1.2},
    }
    return RejectedFrame(topic, json.dumps(said).encode(), at, "unknown_device", "unknown")


HOSTILE = [b'"x":"\xff"', b'"x":1e999', b'"x":"\\ud800"', b'"x":' + b"[" * 20_000]


@pytest.mark.parametrize("more", HOSTILE)
def test_what_nobody_reads_in_a_refused_message_stops_nobody(more: bytes) -> None:
    """Intake passes over unknown fields unread; whoever looks again must not fall over them."""
    request = asking(EnrollingUnit("SN-1", "flood-sensor", 1))
    frames = [
        RejectedFrame(request.topic, b"{" + more + b"," + request.payload[1:], T0, "enrolment", ""),
        RejectedFrame(
            "field/v1/gateway/gw-1/up/urgent",
            b'{"d":"nosuch","v":{"water.level":1},' + more + b"}",
            T0, "unknown_device", "d: nosuch is not in service",
        ),
        RejectedFrame(
            "field/v1/trap/nosuch/up", b'{"v":{"trap.triggered":1},' + more + b"}",
            T0, "unknown_device", "no device nosuch is registered",
        ),
    ]  # fmt: skip
    for frame in frames:
        for one in sightings_of(frame):
            assert b"$7$" not in one.sample
            assert len(one.sample) <= MAX_SAMPLE_BYTES


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path}/satomori.db")
    metadata.create_all(made)
    yield made
    made.dispose()


def note(database: Engine, *frames: RejectedFrame, bounds: Bounds | None = None) -> waiting.Noted:
    with writing(database) as connection:
        return waiting.note(connection, frames, bounds)


def rows(database: Engine, state: str = "waiting") -> list[Any]:
    with database.connect() as connection:
        query = select(candidate).where(candidate.c.state == state).order_by(candidate.c.id)
        return list(connection.execute(query).all())


def identities(database: Engine, state: str = "waiting") -> set[str]:
    return {row.identity for row in rows(database, state)}


def decide(database: Engine, identity: str, state: str, at: int = T0) -> None:
    with writing(database) as connection:
        found = connection.execute(select(candidate.c.id).where(candidate.c.identity == identity))
        waiting.decide(connection, found.scalars().first() or 0, state, at=at, by=None)


# -- what a message tells


def test_each_unknown_device_in_a_gateways_message_is_a_candidate_of_its_own(
    database: Engine,
) -> None:
    """With the quantities that it sends, and what it is probably for."""
    told = note(database, of_gateway("trap-1", "trap-2"))
    first, second = rows(database)
    assert (first.identity, second.identity) == ("trap-1", "trap-2")
    assert first.source == "gateway/gw-1"
    assert first.hints["guessed_kind"] == "trap"
    assert told.candidates == {0: first.id}


def test_a_device_that_is_in_service_is_no_candidate(database: Engine) -> None:
    """A gateway's refused message names it beside one that is unknown."""
    Registry(database).register([DeviceDraft("trap-1", "trap")], T0)
    noted = note(database, of_gateway("trap-2", "trap-1"))
    assert identities(database) == {"trap-2"}
    assert noted.registered == frozenset()


def test_a_message_that_came_before_intake_knew_its_device_is_told_apart(
    database: Engine,
) -> None:
    """It was registered a moment ago: nobody waits, the message only has to come again."""
    registry = Registry(database)
    registry.register([DeviceDraft("trap-1", "trap"), DeviceDraft("rg-1", "river-gauge",
                       dev_eui="A84041FFFF1234AB")], T0)  # fmt: skip
    own = RejectedFrame("field/v1/trap/trap-1/up", b"{}", T0, "unknown_device", "no device trap-1")
    early = (of_gateway("trap-1", "trap-2"), own, chirpstack("a84041ffff1234ab"))
    assert note(database, *early).registered == {0, 1, 2}
    assert identities(database) == {"trap-2"}


def test_a_network_servers_unknown_device_waits_by_its_dev_eui(database: Engine) -> None:
    note(database, chirpstack("a84041ffff1234ab", deviceName="river north",
                              deviceProfileName="LDDS75"))  # fmt: skip
    (row,) = rows(database)
    assert (row.identity_kind, row.identity) == ("dev_eui", "A84041FFFF1234AB")
    assert row.source.startswith("network/chirpstack/")
    assert row.hints["name"] == "river north"
    assert row.hints["guessed_kind"] == "river-gauge"


def test_what_is_refused_for_another_reason_is_no_candidate() -> None:
    for reason in ("not_carried", "kind_mismatch", "bad_json", "unknown_topic"):
        frame = RejectedFrame("field/v1/trap/x/up", b"{}", T0, reason, "")
        assert sightings_of(frame) == ()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b'[{"d": 7}]',
        b'[{"d": "a/b"}]',
        b'[{"d": "' + b"x" * 65 + b'"}]',
        b"[" * 200_000,
    ],
)
def test_no_payload_of_a_gateway_breaks_the_list(database: Engine, payload: bytes) -> None:
    frame = RejectedFrame("field/v1/gateway/gw/up/urgent", payload, T0, "unknown_device", "d: x")
    assert note(database, frame) == waiting.Noted()
    assert rows(database) == []


def test_what_is_kept_of_a_message_is_bounded(database: Engine) -> None:
    said = [{"d": "trap-1", "v": {"trap.triggered": 0}, "note": "x" * 100_000}]
    frame = RejectedFrame(
        "field/v1/gateway/gw/up/urgent", json.dumps(said).encode(), T0, "unknown_device", "d: x"
    )
    note(database, frame)
    (row,) = rows(database)
    assert len(row.sample) <= MAX_SAMPLE_BYTES
    assert len(json.dumps(row.hints)) < 2000


# -- heard again


def test_a_device_that_is_heard_again_is_one_candidate_with_a_count(database: Engine) -> None:
    note(database, of_gateway("trap-1"), of_gateway("trap-1", at=T0 + 5))
    note(database, of_gateway("trap-1", at=T0 + MINUTE))
    (row,) = rows(database)
    assert (row.messages, row.first_heard_at, row.last_heard_at) == (3, T0, T0 + MINUTE)


def test_an_old_message_that_is_taken_in_again_is_not_counted(database: Engine) -> None:
    """Staff resubmitted it and the device is still unknown."""
    note(database, of_gateway("trap-1", at=T0 + MINUTE))
    old = of_gateway("trap-1")
    again = RejectedFrame(
        old.topic, old.payload, old.received_at, old.reason, old.detail, connection="resubmission/1"
    )
    assert note(database, again).candidates
    (row,) = rows(database)
    assert (row.messages, row.last_heard_at) == (1, T0 + MINUTE)


def test_what_was_refused_does_not_come_again(database: Engine) -> None:
    note(database, of_gateway("trap-1"))
    decide(database, "trap-1", waiting.REFUSED)
    note(database, of_gateway("trap-1", at=T0 + MINUTE))
    assert identities(database) == set()
    assert [row.messages for row in rows(database, "refused")] == [2]
    decide(database, "trap-1", waiting.WAITING)
    assert identities(database) == {"trap-1"}


def test_a_refused_serial_number_stays_refused_under_any_password(database: Engine) -> None:
    """Or whoever has the key would be on the list again at once."""
    note(database, asking(EnrollingUnit("SN-1", "trap", 1)))
    decide(database, "SN-1", waiting.REFUSED)
    for seed in range(2, 50):
        note(database, asking(EnrollingUnit("SN-1", "trap", seed)))
    assert identities(database) == set()
    assert len(rows(database, "refused")) == 1


def test_a_device_that_was_accepted_and_is_unknown_again_waits_again(database: Engine) -> None:
    """It was decommissioned, and still sends: somebody must see it. What was on its way is not."""
    note(database, of_gateway("trap-1"))
    decide(database, "trap-1", waiting.ACCEPTED, T0)
    note(database, of_gateway("trap-1", at=T0 + 2000))
    assert identities(database) == set()
    note(database, of_gateway("trap-1", at=T0 + 10 * MINUTE))
    assert identities(database) == {"trap-1"}


# -- floods


def test_two_passwords_for_one_serial_number_are_two_candidates(database: Engine) -> None:
    """Somebody enrols with another's number: neither takes the place of the other."""
    true, false = EnrollingUnit("SN-1", "trap", 1), EnrollingUnit("SN-1", "trap", 2)
    note(database, asking(true), asking(false), asking(true, T0 + MINUTE))
    found = rows(database)
    assert {row.claim for row in found} == {true.fingerprint, false.fingerprint}
    with database.connect() as connection:
        assert [waiting.rivals(connection, row) for row in found] == [1, 1]


def test_many_passwords_for_one_serial_number_do_not_fill_the_list(database: Engine) -> None:
    note(database, *(asking(EnrollingUnit("SN-1", "trap", seed)) for seed in range(100)))
    assert len(rows(database)) == waiting.CLAIMS


def test_a_flood_of_invented_names_hides_no_device_that_speaks_again(database: Engine) -> None:
    """Invented names drive out invented names; the true one was heard for more than a minute."""
    bounds = Bounds(per_source=50, in_all=200)
    note(database, of_gateway("true"), bounds=bounds)
    note(database, of_gateway("true", at=T0 + 2 * MINUTE), bounds=bounds)
    for batch in range(40):
        names = [f"invented-{batch}-{n}" for n in range(100)]
        note(database, of_gateway(*names, at=T0 + 3 * MINUTE + batch), bounds=bounds)
    assert len(rows(database)) == 50
    assert "true" in identities(database)


def test_a_flood_of_one_source_leaves_the_others_alone(database: Engine) -> None:
    """Also over the bound of the whole list: the largest source gives way."""
    bounds = Bounds(per_source=100, in_all=120)
    note(database, *(of_gateway(f"true-{n}", gateway="gw-2") for n in range(30)), bounds=bounds)
    for batch in range(10):
        names = [f"invented-{batch}-{n}" for n in range(100)]
        note(database, of_gateway(*names, at=T0 + batch), bounds=bounds)
    found = rows(database)
    assert len(found) <= 120
    assert sum(row.source == "gateway/gw-2" for row in found) == 30


def test_a_serial_number_that_is_in_the_registry_is_never_driven_out(database: Engine) -> None:
    """Staff wait for this very unit; it may be heard once."""
    registry = Registry(database)
    registry.register([DeviceDraft("uf-1", "flood-sensor", serial_number="SN-TRUE")], T0)
    bounds = Bounds(per_source=20, in_all=100)
    note(database, asking(EnrollingUnit("SN-TRUE", "flood-sensor", 1)), bounds=bounds)
    for batch in range(5):
        flood = [asking(EnrollingUnit(f"X-{batch}-{n}", "trap", 1), T0 + 1 + n) for n in range(40)]
        note(database, *flood, bounds=bounds)
    assert len(rows(database)) == 20
    (true,) = [row for row in rows(database) if row.identity == "SN-TRUE"]
    assert true.is_expected


def test_decisions_on_record_are_bounded(database: Engine) -> None:
    bounds = Bounds(decided=5)
    for n in range(12):
        note(database, of_gateway(f"trap-{n}"), bounds=bounds)
        decide(database, f"trap-{n}", waiting.REFUSED, T0 + n)
    note(database, of_gateway("another"), bounds=bounds)
    assert identities(database, "refused") == {f"trap-{n}" for n in range(7, 12)}


def test_the_hash_of_a_password_is_in_no_sample(database: Engine) -> None:
    unit = EnrollingUnit("SN-1", "trap", 1)
    note(database, asking(unit))
    (row,) = rows(database)
    assert row.password_hash == unit.password_hash
    assert unit.password_hash.encode() not in row.sample
    assert unit.password_hash not in json.dumps(row.hints)
