"""From the box onto the map: credentials, enrolment and the waiting list on a whole system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from firmware_sim.enrolling import EnrollingUnit, Login
from satomori.broker import find_mosquitto
from satomori.clock import now_ms
from tests.servers.satomori_system import RunningSystem, wait_until

CSV = """\
name,kind,label,area,latitude,longitude
gw-01,gateway,中継機,川内,31.8131,130.3041
uf-014,flood-sensor,駅前アンダーパス,川内,31.8135,130.3129
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    running = RunningSystem(tmp_path_factory.mktemp("provisioning"))
    running.register(CSV)
    running.add_person("admin", role="admin")
    try:
        running.start(is_ready=False)
        running.wait_ready(120)
        yield running
    finally:
        running.stop()


@pytest.fixture
def office(system: RunningSystem) -> Iterator[httpx.Client]:
    with system.visit("admin") as client:
        yield client


class Visitor:
    """A client at the broker; knows whether it is in."""

    def __init__(self, system: RunningSystem, username: str, password: str) -> None:
        self.is_in: bool | None = None
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.username_pw_set(username, password)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._gone
        self._client.connect("127.0.0.1", system.settings.broker.port)
        self._client.loop_start()
        wait_until(lambda: self.is_in is not None, "an answer to CONNECT", 10)

    def _connected(self, *given: Any) -> None:
        self.is_in = not given[3].is_failure

    def _gone(self, *_: Any) -> None:
        self.is_in = False

    def publish(self, topic: str, document: object) -> None:
        self._client.publish(topic, json.dumps(document), qos=1).wait_for_publish(10)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def latest(office: httpx.Client, device: str) -> dict[str, float]:
    for station in office.get("/api/stations").json()["stations"]:
        if station["name"] == device:
            return {quantity: one["value"] for quantity, one in station["latest"].items()}
    return {}


def waiting(office: httpx.Client, identity: str) -> dict[str, Any] | None:
    found = office.get("/api/waiting", params={"q": identity}).json()["candidates"]
    return next((one for one in found if one["identity"] == identity), None)


def until_waiting(office: httpx.Client, identity: str) -> dict[str, Any]:
    wait_until(lambda: waiting(office, identity) is not None, f"{identity} waits", 20)
    found = waiting(office, identity)
    assert found is not None
    return found


def credential(office: httpx.Client, device: str) -> str:
    answer = office.post(f"/api/devices/{device}/credential")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["password"])


def let_in(system: RunningSystem, username: str, password: str) -> Visitor:
    """A visitor that is in, once the broker has heard of the credential."""
    found: list[Visitor] = []

    def is_in() -> bool:
        visitor = Visitor(system, username, password)
        if visitor.is_in:
            found.append(visitor)
        else:
            visitor.leave()
        return bool(found)

    wait_until(is_in, f"{username} is let in; log: {system.log_tail()}", 10)
    return found[0]


def test_a_credential_made_in_the_office_lets_the_device_in_and_ends_the_one_before(
    system: RunningSystem, office: httpx.Client
) -> None:
    """Nobody runs a command at the broker; the old unit's living connection ends as well."""
    first = let_in(system, "uf-014", credential(office, "uf-014"))
    second = let_in(system, "uf-014", credential(office, "uf-014"))
    wait_until(lambda: first.is_in is False, "the old unit's connection ends", 10)
    second.publish("field/v1/flood-sensor/uf-014/up", {"v": {"flood.depth": 0.07}})
    wait_until(lambda: latest(office, "uf-014").get("flood.depth") == 0.07, "it is on the map", 20)
    first.leave()
    second.leave()


def test_an_unknown_device_behind_a_gateway_is_accepted_with_all_that_it_said(
    system: RunningSystem, office: httpx.Client
) -> None:
    """Its past is on the map, and what it says from now on."""
    gateway = let_in(system, "gw-01", credential(office, "gw-01"))
    topic = "field/v1/gateway/gw-01/up/urgent"
    at = now_ms() - 60_000
    for step in range(3):
        said = [
            {"d": "trap-07", "t": at + step * 1000, "v": {"trap.triggered": 0}},
            {"d": "trap-08", "t": at + step * 1000, "v": {"trap.triggered": 0}},
        ]
        gateway.publish(topic, said)
    one = until_waiting(office, "trap-07")
    assert (one["kind"], one["gateway"], one["quantities"]) == ("trap", "gw-01", ["trap.triggered"])
    wait_until(lambda: (waiting(office, "trap-07") or {}).get("messages") == 3, "all were heard")
    until_waiting(office, "trap-08")
    accepted = office.post(
        f"/api/waiting/{one['id']}/accept",
        json={"name": "trap-07", "kind": "trap", "latitude": 31.79, "longitude": 130.36},
    )
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["credential"] is None
    assert accepted.json()["resubmitted"] == 3
    wait_until(lambda: "trap.triggered" in latest(office, "trap-07"), "it is on the map", 20)
    device = system.registry().by_name["trap-07"]
    assert device.gateway == "gw-01"
    series = system.registry().series[device.id, "trap.triggered"]
    path = f"/api/series/{series}?start_at={at - 1}&end_at={at + 10_000}"
    wait_until(lambda: len(office.get(path).json()["measured_at"]) == 3, "its past is there", 20)
    assert waiting(office, "trap-07") is None
    other = until_waiting(office, "trap-08")
    again = office.post(
        f"/api/waiting/{other['id']}/accept", json={"name": "trap-08", "kind": "trap"}
    )
    assert again.json()["resubmitted"] == 3, again.text
    wait_until(lambda: "trap.triggered" in latest(office, "trap-08"), "the other one, too", 20)
    gateway.leave()


def test_a_unit_that_enrols_is_told_its_name_and_comes_in_with_its_own_password(
    system: RunningSystem, office: httpx.Client
) -> None:
    """Nobody types a password; the answer is withdrawn once the device was heard."""
    key = office.post("/api/enrolment/key").json()["password"]
    let_in(system, "enrolment", key).leave()
    unit = EnrollingUnit("SN-4711", "flood-sensor", 7, {"model": "UF-2"})
    port = system.settings.broker.port
    assert unit.visit("127.0.0.1", port, key, visit_s=0.5) is None
    one = until_waiting(office, "SN-4711")
    assert one["fingerprint"] == unit.fingerprint
    assert unit.password_hash not in json.dumps(one)
    accepted = office.post(
        f"/api/waiting/{one['id']}/accept",
        json={"name": "uf-021", "latitude": 31.81, "longitude": 130.31},
    )
    assert accepted.status_code == 200, accepted.text
    logins: list[Login] = []

    def is_told() -> bool:
        login = unit.visit("127.0.0.1", port, key, visit_s=0.5)
        logins.extend([login] if login else [])
        return bool(logins)

    wait_until(is_told, f"the answer; log: {system.log_tail()}", 20)
    login = logins[0]
    assert (login.username, login.kind) == ("uf-021", "flood-sensor")
    device = let_in(system, login.username, login.password)
    device.publish(login.up_topic, {"v": {"flood.depth": 0.02}})
    device.leave()
    wait_until(lambda: latest(office, "uf-021").get("flood.depth") == 0.02, "it is on the map", 20)
    wait_until(
        lambda: unit.visit("127.0.0.1", port, key, visit_s=0.5) is None, "it is withdrawn", 30
    )


def test_a_revoked_enrolment_key_lets_nobody_in(
    system: RunningSystem, office: httpx.Client
) -> None:
    """What was admitted with it stays."""
    key = office.post("/api/enrolment/key").json()["password"]
    visitor = let_in(system, "enrolment", key)
    assert office.post("/api/enrolment/revoke").status_code == 204
    wait_until(lambda: visitor.is_in is False, "its connection ends", 10)
    visitor.leave()
    unit = EnrollingUnit("SN-9", "flood-sensor", 1)
    with pytest.raises(PermissionError):
        unit.visit("127.0.0.1", system.settings.broker.port, key, visit_s=1)


def test_a_decommissioned_device_is_shut_out_at_once(
    system: RunningSystem, office: httpx.Client
) -> None:
    """Its connection ends, and its password opens nothing."""
    system.register("name,kind\nuf-099,flood-sensor\n")
    password = credential(office, "uf-099")
    visitor = let_in(system, "uf-099", password)
    from devices.registry import Registry

    database = system.database()
    assert Registry(database).decommission("uf-099", now_ms())
    database.dispose()
    wait_until(lambda: visitor.is_in is False, "its connection ends", 10)
    visitor.leave()
    late = Visitor(system, "uf-099", password)
    assert not late.is_in
    late.leave()


def test_the_command_line_makes_passwords_for_all_that_lack_one(
    system: RunningSystem, tmp_path: Path
) -> None:
    """A file that only its owner may read; once more there is nothing to do."""
    rows = "\n".join(f"wm-{n:03},water-meter" for n in range(50))
    system.register(f"name,kind\n{rows}\n")
    out = tmp_path / "credentials.csv"
    done = system.command("devices", "credentials", "--missing", "--out", str(out))
    assert done.returncode == 0, done.stderr
    lines = out.read_text().splitlines()
    assert sum(line.startswith("wm-") for line in lines) == 50
    assert out.stat().st_mode & 0o777 == 0o600
    name, _, password = lines[-1].split(",")[:3]
    let_in(system, name, password).leave()
    again = system.command("devices", "credentials", "--missing", "--out", str(tmp_path / "2.csv"))
    assert "no device lacks a password" in again.stdout
