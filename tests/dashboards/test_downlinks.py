"""Downlinks: noted before they leave, followed by what the server says, never sent twice."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine, insert

from dashboards import downlink_book
from dashboards.downlink_book import Downlink, Step
from dashboards.downlink_desk import DownlinkDesk, DownlinkRefused, NetworkLink, Wish
from dashboards.hand_over import HandOverError, hand_over
from dashboards.network_ear import NetworkEar
from devices.codecs import tables as codec_tables
from devices.database import open_database, writing
from devices.drafts import DeviceDraft
from devices.frames import RawFrame
from devices.networks import NetworkKind
from devices.networks.messages import DownlinkProgress, Sender
from devices.registry import Registry
from devices.units import UnitDraft
from ingest.mqtt import BrokerAddress
from satomori import migrations
from tests.dashboards.conftest import House
from tests.servers.mosquitto import Mosquitto, free_port

NOW = 1_792_540_800_000
EUI = "025A70FFFE000007"
ITEM = "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de"
SENDER = Sender(EUI, "app", "river-07")
GOLDEN = Path(__file__).parents[1] / "golden" / "networks"
CODEC = """
function decodeUplink(input) { return { data: {} }; }
function encodeDownlink(input) {
  if (input.data.minutes > 255) return { errors: ['at most 255 minutes'] };
  return { fPort: 10, bytes: [1, input.data.minutes] };
}
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'satomori.db'}"
    migrations.upgrade(url)
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def registry(database: Engine) -> Registry:
    """One river gauge with a LoRaWAN unit that has a codec."""
    with writing(database) as connection:
        connection.execute(insert(codec_tables.codec).values(_codec_row()))
    found = Registry(database)
    found.register([DeviceDraft("river-07", "river-gauge")], NOW)
    device = found.snapshot().by_name["river-07"]
    found.install_unit(device.id, UnitDraft(dev_eui=EUI, codec="kawa/gauge"), NOW)
    return found


def _codec_row() -> dict[str, Any]:
    """As an import writes it."""
    words = dict.fromkeys(("digest", "source", "vendor", "decided_by", "mapped_by"), "")
    counts = dict.fromkeys(
        ("uplink_vectors", "uplink_passed", "downlink_vectors", "downlink_passed", "imported_at",
         "decided_at"), 0,
    )  # fmt: skip
    lists: dict[str, Any] = {"models": [], "failures": [], "examples": []}
    flags = {"may_reuse": False, "is_enabled": True, "is_mapping_confirmed": False}
    return {"name": "kawa/gauge", "script": CODEC} | words | counts | lists | flags


def _wanted(item: str = ITEM, at: int = NOW) -> Downlink:
    return Downlink(
        item, 1, EUI, "city", 10, b"\x01", True, None, at, Step.REQUESTED, {}, "",
    )  # fmt: skip


def _said(step: str, detail: str = "") -> DownlinkProgress:
    return DownlinkProgress(SENDER, NOW + 5_000, ITEM, step, detail)


# --- the book ------------------------------------------------------------------------------------


def _after(database: Engine, *steps: str, now: int = NOW) -> Downlink:
    with writing(database) as connection:
        downlink_book.request(connection, _wanted())
        for step in steps:
            if step in {"handed_over", "unknown"}:
                downlink_book.advance(connection, ITEM, Step(step), NOW + 10)
            else:
                downlink_book.note_progress(connection, _said(step, step), NOW)
    with database.connect() as connection:
        found = downlink_book.one(connection, ITEM, now)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("steps", "then"),
    [
        (("handed_over", "sent"), Step.SENT),
        (("handed_over", "queued", "sent", "acknowledged"), Step.ACKNOWLEDGED),
        (("sent", "handed_over"), Step.SENT),  # the server was quicker than its broker's answer
        (("handed_over", "sent", "queued"), Step.SENT),  # out of order
        (("acknowledged", "sent", "failed"), Step.ACKNOWLEDGED),
        (("handed_over", "sent", "failed", "sent"), Step.SENT),  # the server tried again
        (("unknown",), Step.UNKNOWN),
        (("unknown", "sent"), Step.SENT),  # it had left after all
    ],
)
def test_a_downlink_goes_forward(database: Engine, steps: tuple[str, ...], then: Step) -> None:
    """In whatever order it is told; what is acknowledged stays so."""
    assert _after(database, *steps).step is then


def test_each_step_keeps_its_first_time(database: Engine) -> None:
    """Also of a step that was told late."""
    found = _after(database, "handed_over", "acknowledged", "sent")
    assert found.at == {
        Step.HANDED_OVER: NOW + 10, Step.ACKNOWLEDGED: NOW + 5_000, Step.SENT: NOW + 5_000,
    }  # fmt: skip


def test_who_died_over_a_downlink_leaves_it_unknown(database: Engine) -> None:
    """It is not sent again: it may have left."""
    assert _after(database, now=NOW + 59_000).step is Step.REQUESTED
    with database.connect() as connection:
        found = downlink_book.one(connection, ITEM, NOW + 61_000)
    assert found is not None
    assert found.step is Step.UNKNOWN
    assert found.detail


def test_what_others_send_is_none_of_ours(database: Engine) -> None:
    """An id that we did not give."""
    with writing(database) as connection:
        assert not downlink_book.note_progress(connection, _said("sent"), NOW)


def test_downlinks_of_a_device_are_bounded(database: Engine) -> None:
    """The newest stay."""
    many = downlink_book.KEPT_PER_DEVICE + 20
    with writing(database) as connection:
        for n in range(many):
            downlink_book.request(connection, _wanted(f"id-{n}", NOW + n))
        kept = downlink_book.of_device(connection, 1, NOW, many)
    assert len(kept) == downlink_book.KEPT_PER_DEVICE
    assert kept[0].id == f"id-{many - 1}"


# --- what is heard -------------------------------------------------------------------------------


def _golden(name: str) -> RawFrame:
    one = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return RawFrame("city", one["topic"], one["payload"].encode(), NOW)


@pytest.mark.parametrize("kind", NetworkKind)
def test_where_a_device_hangs_is_known_with_its_first_uplink(
    database: Engine, kind: NetworkKind
) -> None:
    """And is written once; of the next uplinks nothing is even read."""
    ear = NetworkEar({"city": kind})
    frame = _golden(f"{kind}-up-first")
    assert ear.wants(frame)
    with writing(database) as connection:
        ear.note(connection, [frame, frame])
        where = downlink_book.whereabouts(connection, EUI)
    assert where is not None
    assert (where.network, where.sender.name) == ("city", "river-07")
    assert not ear.wants(frame)
    ear.start()
    assert ear.wants(frame)


def test_a_device_that_moves_to_another_server_is_followed(database: Engine) -> None:
    """There and back."""
    ear = NetworkEar({"a": NetworkKind.CHIRPSTACK, "b": NetworkKind.THE_THINGS_STACK})
    first, second = _golden("chirpstack-up-first"), _golden("the-things-stack-up-first")
    for network, frame in (("a", first), ("b", second), ("a", first)):
        came = RawFrame(network, frame.topic, frame.payload, NOW)
        assert ear.wants(came)
        with writing(database) as connection:
            ear.note(connection, [came])
            where = downlink_book.whereabouts(connection, EUI)
        assert where is not None
        assert where.network == network


@pytest.mark.parametrize("kind", NetworkKind)
def test_progress_is_read_from_the_journal(database: Engine, kind: NetworkKind) -> None:
    """Sent, then acknowledged, whichever server speaks."""
    ear = NetworkEar({"city": kind})
    with writing(database) as connection:
        downlink_book.request(connection, _wanted())
        ear.note(connection, [_golden(f"{kind}-sent")])
        sent = downlink_book.one(connection, ITEM, NOW)
        ear.note(connection, [_golden(f"{kind}-acknowledged")])
        done = downlink_book.one(connection, ITEM, NOW)
    assert sent is not None
    assert done is not None
    assert (sent.step, done.step) == (Step.SENT, Step.ACKNOWLEDGED)


def test_frames_of_no_network_are_nothing_to_it() -> None:
    """Devices of our own topics whose units have codecs are raw, too."""
    ear = NetworkEar({"city": NetworkKind.CHIRPSTACK})
    assert not ear.wants(RawFrame("", "field/v1/trap/t/up", b"\x00", NOW))


# --- the desk ------------------------------------------------------------------------------------


@pytest.fixture
def mute_broker() -> Iterator[BrokerAddress]:
    """Lets everybody in (CONNACK), and says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"\x20\x02\x00\x00")
                while peer.recv(1024):
                    pass

        thread = threading.Thread(target=greet)
        thread.start()
        yield BrokerAddress("127.0.0.1", server.getsockname()[1])
        thread.join(10)


class _Heard:
    """What a network server's side of the broker hears."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.came = threading.Event()
        is_ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._note
        self._client.on_subscribe = lambda *_: is_ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("application/+/device/+/command/down", 1)
        self._client.loop_start()
        assert is_ready.wait(10)

    def _note(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload)))
        self.came.set()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _desk(
    database: Engine, registry: Registry, port: int, *, is_heard: bool = True
) -> DownlinkDesk:
    if is_heard:
        with writing(database) as connection:
            downlink_book.note_sender(connection, "city", SENDER, NOW)
    link = NetworkLink(NetworkKind.CHIRPSTACK, BrokerAddress("127.0.0.1", port))
    return DownlinkDesk(database, registry, {"city": link}, lambda: NOW)


def test_a_downlink_reaches_the_network_server(
    database: Engine, registry: Registry, mosquitto: Mosquitto
) -> None:
    """On the device's topic, once, with our id; the row says that its broker has it."""
    heard = _Heard(mosquitto.port)
    try:
        sent = _desk(database, registry, mosquitto.port).send(
            "river-07", 10, b"\x01\x0a", is_confirmed=True, by=None
        )
        assert heard.came.wait(10)
    finally:
        heard.close()
    [(topic, payload)] = heard.messages
    assert topic == f"application/app/device/{EUI.lower()}/command/down"
    said = json.loads(payload)
    assert (said["id"], said["fPort"], said["data"]) == (sent.id, 10, "AQo=")
    assert sent.step is Step.HANDED_OVER


async def test_the_unit_s_codec_makes_the_bytes(database: Engine, registry: Registry) -> None:
    """What it refuses is refused with its words."""
    desk = _desk(database, registry, 1)
    assert await desk.encode("river-07", Wish(None, data={"minutes": 10})) == (10, b"\x01\x0a")
    with pytest.raises(DownlinkRefused, match="at most 255 minutes"):
        await desk.encode("river-07", Wish(None, data={"minutes": 999}))
    with pytest.raises(DownlinkRefused, match="port"):
        await desk.encode("river-07", Wish(11, data={"minutes": 10}))


def test_a_broker_that_is_not_there_fails_the_downlink_at_once(
    database: Engine, registry: Registry
) -> None:
    """It has certainly not left."""
    sent = _desk(database, registry, free_port()).send(
        "river-07", 10, b"\x01", is_confirmed=False, by=None
    )
    assert sent.step is Step.FAILED
    assert "city" in sent.detail


def test_a_broker_that_does_not_answer_leaves_it_unknown(mute_broker: BrokerAddress) -> None:
    """It may have left; only the network server can tell."""
    with pytest.raises(HandOverError) as caught:
        hand_over(mute_broker, "a", b"b", qos=1, answer_s=0.3)
    assert caught.value.may_have_left


@pytest.mark.parametrize(
    ("change", "code"),
    [("unheard", "never_heard"), ("other", "not_found"), ("port", "invalid"), ("many", "too_many")],
)
def test_what_cannot_be_sent_is_refused_before_a_row_stands(
    database: Engine, registry: Registry, change: str, code: str
) -> None:
    """With a word for programs."""
    desk = _desk(database, registry, free_port(), is_heard=change != "unheard")
    if change == "many":
        with writing(database) as connection:
            device = registry.snapshot().by_name["river-07"].id
            for n in range(downlink_book.MOST_OPEN):
                row = Downlink(f"i{n}", device, EUI, "city", 1, b"", False, None, NOW,
                               Step.REQUESTED, {}, "")  # fmt: skip
                downlink_book.request(connection, row)
    before = len(desk.listed("river-07"))
    with pytest.raises(DownlinkRefused) as caught:
        desk.send(
            "other" if change == "other" else "river-07",
            0 if change == "port" else 1,
            b"\x01",
            is_confirmed=False,
            by=None,
        )
    assert caught.value.code == code
    assert len(desk.listed("river-07")) == before


# --- the API -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"hex": "01", "port": 10}, 409, "no_dev_eui"),
        ({"hex": "01"}, 422, "invalid"),
        ({"hex": "01", "data": {}, "port": 10}, 422, "invalid"),
        ({"port": 10}, 422, "invalid"),
        ({"hex": "0", "port": 10}, 422, "invalid"),
        ({"hex": "01", "port": 224}, 422, "invalid"),
        ({"hex": "00" * 243, "port": 10}, 422, "invalid"),
        ({"data": {}, "surprise": 1}, 422, "invalid"),
    ],
    ids=str,
)
async def test_a_wish_that_cannot_be_is_refused(
    house: House, body: dict[str, Any], status: int, code: str
) -> None:
    """With the API's error body."""
    async with house.client("admin") as client:
        answer = await client.post("/api/devices/gauge/downlink", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_only_administrators_send_and_read_downlinks(house: House) -> None:
    """They move valves and intervals."""
    body = {"hex": "01", "port": 10}
    for name in ("hanako", "taro", "jiro", "haruko", "everybody"):
        async with house.client(name) as client:
            sent = await client.post("/api/devices/gauge/downlink", json=body)
            read = await client.get("/api/devices/gauge/downlinks")
        assert (sent.status_code, read.status_code) == (403, 403)


async def test_a_device_without_downlinks_has_an_empty_list(house: House) -> None:
    """And one that is not there has none."""
    async with house.client("admin") as client:
        empty = await client.get("/api/devices/gauge/downlinks")
        nobody = await client.get("/api/devices/nobody/downlinks")
    assert empty.json() == {"downlinks": []}
    assert nobody.status_code == 404
