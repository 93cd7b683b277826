"""The simulated network servers: golden messages, radio, sessions, queues of downlinks."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from firmware_sim import city
from firmware_sim.encode import Publication
from firmware_sim.fleet import Fleet
from firmware_sim.lorawan import FRAMES, Frame, interval_s
from firmware_sim.network_dialects import ChirpStack, Dialect, Message, Node, TheThingsStack
from firmware_sim.network_servers import Gateway, NetworkServer, OverNetworkServer, Station
from tests.firmware_sim import network_examples

GOLDEN = Path(__file__).parents[1] / "golden" / "networks"
EXAMPLES: dict[str, Message] = {
    **{f"chirpstack-{name}": one for name, one in network_examples.chirpstack().items()},
    **{
        f"the-things-stack-{name}": one for name, one in network_examples.the_things_stack().items()
    },
}
AT = 1_792_540_800_000
NODE = Node("river-07", "025A70FFFE000007")
GATEWAYS = (Gateway("0016c001f153a14c", 31.81, 130.30), Gateway("0016c001f1000002", 31.83, 130.35))
FRAME = Frame(10, b"\x00\x01\x02")


def _server(dialect: Dialect, **chances: float) -> NetworkServer:
    station = Station(NODE, "river-gauge", 31.812, 130.302)
    return NetworkServer(dialect, [station], GATEWAYS, seed=1, **chances)


def _events(publications: list[Publication]) -> list[str]:
    return [p.topic.split("/device")[1].split("/", 2)[2] for p in sorted(publications, key=_at)]


def _at(publication: Publication) -> int:
    return publication.at


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_simulator_writes_the_golden_message(name: str) -> None:
    """Byte for byte: the other side reads the same files."""
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert EXAMPLES[name] == (golden["topic"], golden["payload"].encode())


def test_each_golden_message_has_a_writer() -> None:
    """No file is left over."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_defaults_are_left_out(name: str) -> None:
    """As protobuf's JSON mapping has it: no 0, no "", no false."""
    assert not list(_defaults(json.loads(EXAMPLES[name][1])))


def _defaults(value: Any) -> Any:
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, (dict, list)):
            yield from _defaults(one)
        elif not one:
            yield one


def test_a_frame_is_what_the_vendor_says() -> None:
    """Bytes by the table of ``firmware_sim.lorawan``; what does not fit is cut."""
    gauge = FRAMES["river-gauge"]({"water.level": -0.412, "battery.voltage": 3.61})
    assert gauge == Frame(10, bytes([0xFE, 0x64, 161]))
    assert FRAMES["river-gauge"]({"water.level": 99.0}).payload[:2] == b"\x7f\xff"
    assert FRAMES["flood-sensor"]({"flood.detected": 1.0}).payload[:3] == b"\xff\xff\x01"
    meter = FRAMES["water-meter"]({"water.total": 812.3456, "water.leak": 1.0})
    assert (meter.port, meter.payload[:4], meter.payload[8]) == (20, b"\x40\xf4\x7b\x00", 1)


# --- downlinks -----------------------------------------------------------------------------------


def _command(
    server: str, *, confirmed: bool, payload: bytes = b"\x01\x00\x0a"
) -> tuple[str, bytes]:
    data = base64.b64encode(payload).decode()
    if server == "chirpstack":
        said: dict[str, Any] = {"id": "i-1", "devEui": NODE.dev_eui.lower(), "fPort": 10}
        said |= {"data": data, "confirmed": confirmed}
        return f"application/app/device/{NODE.dev_eui.lower()}/command/down", _text(said)
    one = {"f_port": 10, "frm_payload": data, "confirmed": confirmed, "correlation_ids": ["i-1"]}
    return "v3/app@sendai/devices/river-07/down/push", _text({"downlinks": [one]})


def _text(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def test_a_confirmed_downlink_is_sent_and_acknowledged_by_chirpstack() -> None:
    """After the next uplink it leaves, the one after acknowledges it."""
    server = _server(ChirpStack("app"), repeated=0, late=0)
    server.hear(*_command("chirpstack", confirmed=True))
    assert server.answers(AT) == []
    assert _events(server.uplink("river-07", AT, FRAME)) == [
        "event/join",
        "event/up",
        "event/txack",
    ]
    assert server.interval_s("river-07") == 600
    assert _events(server.uplink("river-07", AT + 60_000, FRAME)) == ["event/up", "event/ack"]


def test_an_unconfirmed_downlink_is_never_acknowledged() -> None:
    """It is sent; nobody knows more."""
    server = _server(TheThingsStack("app@sendai"), repeated=0, late=0)
    server.hear(*_command("things", confirmed=False))
    assert _events(server.answers(AT)) == ["down/queued"]
    assert _events(server.uplink("river-07", AT, FRAME)) == ["join", "up", "down/sent"]
    assert _events(server.uplink("river-07", AT + 60_000, FRAME)) == ["up"]


@pytest.mark.parametrize("kind", ["chirpstack", "things"])
def test_a_downlink_that_does_not_fit_is_dropped_and_said(kind: str) -> None:
    """ChirpStack logs it, The Things Stack has an event."""
    dialect = ChirpStack("app") if kind == "chirpstack" else TheThingsStack("app@sendai")
    server = _server(dialect)
    server.hear(*_command(kind, confirmed=True, payload=bytes(52)))
    said = server.answers(AT)
    assert _events(said) == ["event/log" if kind == "chirpstack" else "down/failed"]
    assert b"i-1" in said[0].payload


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"downlinks":1}', b'{"fPort":"x"}'])
def test_a_command_that_cannot_be_read_stops_nothing(payload: bytes) -> None:
    """The server goes on."""
    for dialect, kind in ((ChirpStack("app"), "chirpstack"), (TheThingsStack("app"), "things")):
        server = _server(dialect)
        server.hear(_command(kind, confirmed=True)[0], payload)
        assert server.answers(AT) == []


def test_a_downlink_may_mean_nothing_to_the_device() -> None:
    """Its interval stays as it was."""
    assert interval_s(Frame(10, b"\x02\x00\x0a")) is None
    assert interval_s(Frame(10, b"\x01")) is None


# --- radio and fleet -----------------------------------------------------------------------------


def test_several_gateways_hear_a_device_and_one_event_comes() -> None:
    """The server puts receptions together."""
    [up] = [p for p in _server(ChirpStack("app"), repeated=0).uplink("river-07", AT, FRAME)
            if p.topic.endswith("/up")]  # fmt: skip
    assert {one["gatewayId"] for one in json.loads(up.payload)["rxInfo"]} == {
        gateway.eui for gateway in GATEWAYS
    }


def test_some_messages_come_twice_and_some_late() -> None:
    """As brokers and bridges deliver them; the same run gives the same."""
    runs = [_over_server(repeated=0.2, late=0.2) for _ in range(2)]
    assert runs[0] == runs[1]
    ups = [p for p in runs[0] if p.topic.endswith("/event/up")]
    counted = Counter(p.payload for p in ups)
    assert max(counted.values()) == 2
    numbers = [json.loads(p.payload).get("fCnt", 0) for p in ups if "000000" in p.topic]
    assert numbers != sorted(numbers)
    assert [p.at for p in runs[0]] == sorted(p.at for p in runs[0])


def test_readings_of_these_devices_go_by_way_of_the_server_alone() -> None:
    """All others publish as before."""
    publications = _over_server(repeated=0.0, late=0.0)
    assert any("/event/up" in p.topic for p in publications)
    assert any(p.topic.startswith("field/v1/weather-station/") for p in publications)
    assert not [p for p in publications if p.topic.startswith("field/v1/river-gauge/")]


def _over_server(**chances: float) -> list[Publication]:
    devices = city.devices()
    gauges = [d for d in devices if d.kind == "river-gauge"]
    stations = [
        Station(Node(d.name, f"025A70FFFE{n:06X}"), d.kind, d.latitude, d.longitude)
        for n, d in enumerate(gauges)
    ]
    server = NetworkServer(ChirpStack("app"), stations, GATEWAYS, seed=1, **chances)
    fleet = OverNetworkServer(Fleet(devices, seed=1, start_at=AT), server)
    return [p for step in range(1, 21) for p in fleet.step(AT + step * 15_000)]
