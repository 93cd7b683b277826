"""From a LoRaWAN network server over a real broker to the API, and back to the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import firmware_sim
from firmware_sim.lorawan import FRAMES, Values
from firmware_sim.network_dialects import ChirpStack, Dialect, Node, TheThingsStack
from firmware_sim.network_servers import Gateway, NetworkServer, Station
from firmware_sim.publisher import Broker, Publisher
from satomori.clock import now_ms
from tests.servers.mosquitto import Mosquitto
from tests.servers.satomori_system import RunningSystem, wait_until

URGENT = "17c82e96-be03-4f38-aef3-f83d48582d97"
APPLICATION = "field@sendai"
VENDORS = Path(firmware_sim.__file__).parent / "vendors"
GATEWAYS = (
    Gateway("0016c001f153a14c", 31.81, 130.30),
    Gateway("0016c001f1000002", 31.83, 130.35),
    Gateway("a84041ffff1ea2b0", 31.80, 130.25, is_placed=False),
)
RIVER = Station(Node("river-07", "025A70FFFE000007", "kawa", "kawa-10"), "river-gauge", 31.8, 130.3)
METER = Station(
    Node("meter-1", "025A70FFFE000031", "suido", "suido-20"), "water-meter", 31.8, 130.3
)
DEVICES = """\
name,kind,label,dev_eui,codec
river-07,river-gauge,川内川,025A70FFFE000007,kawa/kawa-10-codec
meter-1,water-meter,一号,025A70FFFE000031,suido/suido-20
"""
ROUNDS = 40
STEP_MS = 2_000


def _values(station: Station, n: int) -> Values:
    """What the device measures at its nth uplink: as its bytes can say it."""
    if station is RIVER:
        return {"water.level": round(-0.5 + 0.01 * n, 3), "battery.voltage": 3.61}
    return {"water.total": round(812.0 + 0.1 * n, 4), "water.leak": n % 2, "battery.voltage": 3.55}


def _prepared(system: RunningSystem) -> None:
    """Devices with DevEUI and codec; their vendors' codecs, and how they are read."""
    system.register(DEVICES)
    for layout in ("lorawan-devices", "chirpstack-device-profiles"):
        _said(system, "codecs", "import", str(VENDORS / layout))
    _said(system, "codecs", "map", "kawa/kawa-10-codec",
          "water_level_m=water.level", "battery_v=battery.voltage")  # fmt: skip
    _said(system, "codecs", "map", "suido/suido-20", "normalizeUplink", "tamper=tamper")
    system.add_person("staff", role="admin")


def _said(system: RunningSystem, *arguments: str) -> str:
    done = system.command(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class _Field:
    """A network server with its devices on a broker, and what they measured."""

    def __init__(self, dialect: Dialect, broker: Broker, *, chance: float) -> None:
        self.server = NetworkServer(
            dialect, (RIVER, METER), GATEWAYS, seed=3, repeated=chance, late=chance
        )
        self._publisher = Publisher(
            broker, client_id="network-server", hears=(dialect.commands,),
            on_message=self.server.hear,
        )  # fmt: skip
        self._begins_at = now_ms() - 2 * ROUNDS * STEP_MS
        self._rounds = 0
        self.measured: dict[str, dict[int, Values]] = {RIVER.node.name: {}, METER.node.name: {}}

    @contextmanager
    def connected(self) -> Iterator[None]:
        with self._publisher:
            yield

    def uplinks(self, rounds: int = 1) -> None:
        """Each device sends so often; what the server says of it leaves in its order."""
        leaving = []
        for _ in range(rounds):
            at = self._begins_at + self._rounds * STEP_MS
            for station in (RIVER, METER):
                values, name = _values(station, self._rounds), station.node.name
                self.measured[name][at] = values
                leaving += self.server.uplink(name, at, FRAMES[station.kind](values))
            self._rounds += 1
        leaving += self.server.answers(at)
        for one in sorted(leaving, key=lambda one: one.at):
            self._publisher.publish(one.topic, one.payload)
        self._publisher.drain(30)


def _stored(client: httpx.Client, name: str, quantity: str) -> list[tuple[int, float]]:
    """All readings of a device's quantity, as the API gives them."""
    stations = client.get("/api/stations").json()["stations"]
    [device] = [one["id"] for one in stations if one["name"] == name]
    series = client.get(f"/api/stations/{device}").json()["series"]
    found = [one["series"] for one in series if one["quantity"] == quantity]
    if not found:
        return []
    span = {"start_at": 0, "end_at": now_ms() + 1000, "max_points": 5000}
    said = client.get(f"/api/series/{found[0]}", params=span).json()
    return list(zip(said["measured_at"], said["value"], strict=True))


def _expected(field: _Field, name: str, quantity: str) -> list[tuple[int, float]]:
    return [(at, float(values[quantity])) for at, values in sorted(field.measured[name].items())]


def _is_all_there(client: httpx.Client, field: _Field) -> bool:
    for name, quantity in (("river-07", "water.level"), ("meter-1", "water.total"),
                           ("meter-1", "water.leak")):  # fmt: skip
        stored, expected = _stored(client, name, quantity), _expected(field, name, quantity)
        if [at for at, _ in stored] != [at for at, _ in expected]:
            return False
        assert [value for _, value in stored] == pytest.approx([value for _, value in expected])
    return True


def _step(client: httpx.Client, name: str, id_: str) -> str:
    listed = client.get(f"/api/devices/{name}/downlinks").json()["downlinks"]
    [found] = [one for one in listed if one["id"] == id_]
    return str(found["step"])


def test_every_uplink_of_chirpstack_becomes_a_reading_once(tmp_path: Path) -> None:
    """Twice delivered, out of order, with intake killed in the middle: at the API each stands once.

    On our own broker, by the account that the settings give it; then a downlink and back.
    """
    network = {"name": "city-lora", "kind": "chirpstack", "urgent_applications": [URGENT]}
    system = RunningSystem(tmp_path, networks=[network])
    _prepared(system)
    system.start(is_ready=False)
    try:
        system.wait_ready(120)
        password = (system.place.broker / "network-city-lora.password").read_text().strip()
        broker = Broker("127.0.0.1", system.settings.broker.port, "network-city-lora", password)
        field = _Field(ChirpStack(URGENT), broker, chance=0.25)
        with field.connected(), system.visit("staff") as client:
            field.uplinks(ROUNDS // 2)
            system.kill("intake")
            field.uplinks(ROUNDS // 2)  # the broker keeps them
            wait_until(
                lambda: _is_all_there(client, field),
                f"all readings; {client.get('/api/quarantine').text[:2000]}; {system.log_tail()}",
                120,
            )
            assert not client.get("/api/quarantine").json()["rows"]
            rssi = _stored(client, "river-07", "radio.rssi")
            assert len(rssi) == ROUNDS
            _send_and_follow(system, client, field)
    finally:
        system.stop()


def _send_and_follow(system: RunningSystem, client: httpx.Client, field: _Field) -> None:
    """Confirmed by the codec over the API; unconfirmed in bytes by the command line."""
    wish: dict[str, Any] = {"data": {"interval_min": 10}, "is_confirmed": True}
    answer = client.post("/api/devices/river-07/downlink", json=wish)
    assert answer.status_code == 202, answer.text
    sent = answer.json()
    assert (sent["step"], sent["port"], sent["hex"]) == ("handed_over", 10, "01000a")

    def is_at(step: str, id_: str, name: str = "river-07") -> bool:
        field.uplinks()
        return _step(client, name, id_) == step

    wait_until(lambda: is_at("acknowledged", sent["id"]), f"acknowledged: {system.log_tail()}", 120)
    assert field.server.interval_s("river-07") == 600

    _said(system, "devices", "downlink", "meter-1", "--port", "20", "--hex", "01003c")
    [plain] = client.get("/api/devices/meter-1/downlinks").json()["downlinks"]
    wait_until(lambda: is_at("sent", plain["id"], "meter-1"), f"sent: {system.log_tail()}", 120)
    field.uplinks(3)
    wait_until(lambda: _is_all_there(client, field), "all readings", 120)
    assert _step(client, "meter-1", plain["id"]) == "sent"
    assert "sent" in _said(system, "devices", "downlinks", "meter-1")


def test_the_things_stack_is_read_and_answered_on_a_broker_of_its_own(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """What it publishes while we are connected is there, and downlinks come to their end."""
    network = {
        "name": "ttn-field", "kind": "the-things-stack", "host": mosquitto.host,
        "port": mosquitto.port, "applications": [APPLICATION],
    }  # fmt: skip
    system = RunningSystem(tmp_path, networks=[network])
    _prepared(system)
    system.start(is_ready=False)
    try:
        system.wait_ready(120)
        broker = Broker(mosquitto.host, mosquitto.port)
        field = _Field(TheThingsStack(APPLICATION), broker, chance=0.2)
        with field.connected(), system.visit("staff") as client:
            wait_until(
                lambda: _has_heard(client, field), f"the first one; {system.log_tail()}", 120
            )
            heard_from = min(at for at, _ in _stored(client, "river-07", "water.level"))
            for measured in field.measured.values():
                for at in [at for at in measured if at < heard_from]:
                    del measured[at]  # before we listened: QoS 0 knows no yesterday
            field.uplinks(ROUNDS // 2)
            wait_until(lambda: _is_all_there(client, field), f"all; {system.log_tail()}", 120)
            _send_and_follow(system, client, field)
    finally:
        system.stop()


def _has_heard(client: httpx.Client, field: _Field) -> bool:
    field.uplinks()
    return bool(_stored(client, "meter-1", "water.total")) and bool(
        _stored(client, "river-07", "water.level")
    )
