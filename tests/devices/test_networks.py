"""Network servers' messages as plain values: by golden messages, by rule, by bending them."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.networks import NetworkKind, application_of, downlink, read, subscriptions
from devices.networks.messages import (
    DownlinkProgress,
    Ignored,
    LinkStatus,
    Logged,
    Reception,
    Sender,
    Uplink,
)
from devices.outcomes import Rejected

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "networks").glob("*.json"))
EUI = "0101010101010101"
UP = f"application/app/device/{EUI}/event/up"
CHIRPSTACK, THINGS = NetworkKind.CHIRPSTACK, NetworkKind.THE_THINGS_STACK
ITEM = "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de"


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _chirpstack(event: str = "up", **fields: Any) -> Any:
    message = {"deviceInfo": {"devEui": EUI}, "time": "2026-07-18T09:34:15.775023242+09:00"}
    topic = f"application/app/device/{EUI}/event/{event}"
    return read(CHIRPSTACK, topic, json.dumps({**message, **fields}).encode())


def _things(event: str = "up", **fields: Any) -> Any:
    ids = {"device_id": "dev1", "application_ids": {"application_id": "app"}, "dev_eui": EUI}
    topic = f"v3/app@ttn/devices/dev1/{event}"
    return read(THINGS, topic, json.dumps({"end_device_ids": ids, **fields}).encode())


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_messages_are_read(path: Path) -> None:
    """Every event of both servers, as they write it."""
    example = json.loads(path.read_text(encoding="utf-8"))
    found = read(NetworkKind(example["network"]), example["topic"], example["payload"].encode())
    assert {"type": type(found).__name__, **_plain(asdict(found))} == example["message"]


# --- what is absent has its default --------------------------------------------------------------


def test_an_uplink_of_chirpstack_may_lack_all_that_is_zero() -> None:
    """Counter 0, port 0, no payload, nobody who heard it: the device was heard all the same."""
    found = _chirpstack()
    assert isinstance(found, Uplink)
    assert (found.port, found.counter, found.payload, found.receptions) == (0, 0, b"", ())
    assert found.measured_at == 1_784_334_855_775


def test_an_uplink_of_the_things_stack_may_lack_all_that_is_zero() -> None:
    """No ``f_cnt`` means 0."""
    found = _things(uplink_message={"received_at": "2026-07-18T00:34:15.775Z"})
    assert isinstance(found, Uplink)
    assert (found.port, found.counter, found.payload, found.receptions) == (0, 0, b"", ())
    assert found.measured_at == 1_784_334_855_775


def test_an_snr_of_zero_is_absent_and_known() -> None:
    """Protobuf leaves 0 dB out; an RSSI of 0 dBm is none."""
    found = _chirpstack(rxInfo=[{"gatewayId": "a"}])
    assert found.receptions == (Reception("a", None, 0.0),)


def test_fsk_has_no_snr() -> None:
    """There the absent SNR is no 0 dB."""
    found = _chirpstack(rxInfo=[{"gatewayId": "a"}], txInfo={"modulation": {"fsk": {}}})
    assert found.receptions == (Reception("a"),)
    heard = {"rx_metadata": [{"gateway_ids": {"gateway_id": "a"}}]}
    found = _things(uplink_message={**heard, "settings": {"data_rate": {"fsk": {}}}})
    assert found.receptions == (Reception("a"),)


def test_a_gateway_whose_place_nobody_set_has_none() -> None:
    """ChirpStack then writes an empty place: 0° N, 0° E to who takes defaults literally."""
    found = _chirpstack(rxInfo=[{"gatewayId": "a", "rssi": -90, "location": {}}])
    assert found.receptions[0].latitude is None


def test_a_gateway_without_clock_leaves_the_time_to_the_server() -> None:
    """Seconds since its start, in 1970: the network server's own time holds."""
    heard = [{"gatewayId": "a", "nsTime": "2026-07-18T00:34:16Z"}]
    assert _chirpstack(time="1970-01-01T00:02:11Z", rxInfo=heard).measured_at == 1_784_334_856_000
    assert _chirpstack(time="1970-01-01T00:02:11Z").measured_at is None


# --- who heard it --------------------------------------------------------------------------------


def test_the_best_reception_is_first() -> None:
    """By SNR, then RSSI; what is not known comes last."""
    heard = [
        {"gatewayId": "far", "rssi": -120, "snr": -7.5},
        {"gatewayId": "loud", "rssi": -60, "snr": 5.0},
        {"gatewayId": "clear", "rssi": -90, "snr": 9.0},
        {"gatewayId": "near", "rssi": -50, "snr": 5.0},
        {"gatewayId": "mute", "rssi": -40, "snr": "NaN"},
    ]
    names = [one.gateway for one in _chirpstack(rxInfo=heard).receptions]
    assert names == ["clear", "near", "loud", "far", "mute"]


def test_a_gateway_with_two_antennas_stands_once() -> None:
    """The Things Stack lists antennas."""
    heard = [
        {"gateway_ids": {"gateway_id": "a"}, "snr": 1, "antenna_index": 1},
        {"gateway_ids": {"gateway_id": "a"}, "snr": 3},
    ]
    found = _things(uplink_message={"rx_metadata": heard})
    assert found.receptions == (Reception("a", None, 3.0),)


def test_a_gateway_of_a_foreign_network_has_its_own_name() -> None:
    """Through Packet Broker all are called ``packetbroker``."""
    foreign = {"forwarder_gateway_id": "roof", "forwarder_tenant_id": "ttn"}
    heard = {"gateway_ids": {"gateway_id": "packetbroker"}, "packet_broker": foreign}
    found = _things(uplink_message={"rx_metadata": [heard]})
    assert found.receptions[0].gateway == "roof@ttn"


def test_a_thousand_gateways_are_cut() -> None:
    """What one message makes is bounded; the best stay."""
    heard = [{"gatewayId": str(n), "snr": n / 100} for n in range(1000)]
    found = _chirpstack(rxInfo=heard)
    assert [len(found.receptions), found.receptions[0].gateway] == [32, "999"]


# --- the same transmission twice -----------------------------------------------------------------


def test_a_transmission_has_one_key() -> None:
    """ChirpStack's own; The Things Stack's device, session and counter."""
    assert _chirpstack(deduplicationId="x").key == "x"
    up = {"session_key_id": "AXA=", "f_cnt": 7}
    again = {**up, "received_at": "2026-07-18T00:34:16Z"}
    assert _things(uplink_message=up).key == _things(uplink_message=again).key
    assert _things(uplink_message=up).key != _things(uplink_message={**up, "f_cnt": 8}).key


def test_a_device_without_session_key_may_count_from_zero_again() -> None:
    """Activated by personalisation and restarted: counter 0 once more is another transmission."""
    first = {"received_at": "2026-07-18T00:34:16Z"}
    second = {"received_at": "2026-07-19T00:34:16Z"}
    assert _things(uplink_message=first).key != _things(uplink_message=second).key


# --- what is nothing to us -----------------------------------------------------------------------


def test_a_simulated_uplink_is_ignored() -> None:
    """Somebody tried the console; no river has risen."""
    assert _things(simulated=True, uplink_message={}) == Ignored("simulated")


def test_events_of_no_known_name_are_ignored() -> None:
    """A later release may have more of them, and what we push ourselves comes back."""
    assert isinstance(_chirpstack("integration"), Ignored)
    assert isinstance(_things("down/push"), Ignored)
    assert isinstance(_things("up/normalized"), Ignored)


# --- battery, logs, downlinks --------------------------------------------------------------------


def test_mains_and_silence_are_no_empty_battery() -> None:
    """Level 0 with external power or *unavailable* says nothing; 0 alone is empty."""
    assert _chirpstack("status", externalPowerSource=True).battery_percent is None
    assert _chirpstack("status", batteryLevelUnavailable=True).battery_percent is None
    empty = _chirpstack("status")
    assert isinstance(empty, LinkStatus)
    assert empty.battery_percent == 0


def test_the_things_stack_repeats_the_battery_with_each_uplink() -> None:
    """It is news with the uplink that brought it alone."""
    battery = {"f_cnt": 7, "value": 88.5}
    fresh = _things(uplink_message={"f_cnt": 7, "last_battery_percentage": battery})
    stale = _things(uplink_message={"f_cnt": 8, "last_battery_percentage": battery})
    assert (fresh.battery_percent, stale.battery_percent) == (88.5, None)


def test_a_log_that_ends_a_downlink_is_its_failure() -> None:
    """ChirpStack says in its log alone that it dropped an item of the queue."""
    found = _chirpstack("log", level="ERROR", code="EXPIRED", context={"queue_item_id": ITEM})
    assert isinstance(found, DownlinkProgress)
    assert (found.id, found.step) == (ITEM, "failed")
    assert isinstance(_chirpstack("log", level="ERROR", code="UPLINK_MIC"), Logged)


def test_a_downlink_of_somebody_else_has_no_id_of_ours() -> None:
    """The Things Stack's console sends, too."""
    found = _things("down/sent", downlink_sent={"correlation_ids": ["as:downlink:01E1"]})
    assert found.id == ""


@pytest.mark.parametrize("kind", NetworkKind)
def test_a_downlink_names_device_bytes_and_id(kind: NetworkKind) -> None:
    """Where the server hears it, and as it understands it."""
    sender = Sender(EUI, "app@ttn", "dev1")
    topic, payload = downlink(kind, sender, port=10, payload=b"\x01\x0a", item=ITEM)
    said = json.loads(payload)
    if kind is CHIRPSTACK:
        assert topic == f"application/app@ttn/device/{EUI}/command/down"
        assert said == {
            "id": ITEM, "devEui": EUI, "confirmed": False, "fPort": 10, "data": "AQo=",
        }  # fmt: skip
    else:
        assert topic == "v3/app@ttn/devices/dev1/down/push"
        [item] = said["downlinks"]
        assert (item["f_port"], item["frm_payload"], item["confirmed"]) == (10, "AQo=", False)
        assert item["correlation_ids"] == [f"satomori:{ITEM}"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 0}, {"port": 224}, {"payload": b""}, {"payload": bytes(243)},
        {"item": "x"}, {"item": ITEM.upper()},
    ],
    ids=str,
)  # fmt: skip
def test_a_downlink_that_no_server_can_take_is_refused(wrong: dict[str, Any]) -> None:
    """Before anything is sent."""
    how: Any = {"port": 10, "payload": b"\x01", "item": ITEM, **wrong}
    with pytest.raises(ValueError, match=r".+"):
        downlink(CHIRPSTACK, Sender(EUI, "app", "dev1"), **how)


def test_a_name_that_would_reach_other_devices_is_refused() -> None:
    """A device called ``+`` or ``a/b`` cannot be addressed."""
    for name in ("+", "a/b", "#", ""):
        with pytest.raises(ValueError, match="topic"):
            downlink(THINGS, Sender(EUI, "app", name), port=1, payload=b"\x01", item=ITEM)


# --- topics --------------------------------------------------------------------------------------


def test_subscriptions_cover_each_application() -> None:
    """One by one, or all of the server."""
    assert subscriptions(CHIRPSTACK) == ("application/+/device/+/event/+",)
    named = subscriptions(THINGS, ["a@ttn", "b@ttn"])
    assert {"v3/a@ttn/devices/+/up", "v3/b@ttn/devices/+/down/ack"} <= set(named)
    with pytest.raises(ValueError, match="application"):
        subscriptions(CHIRPSTACK, ["a/#"])


def test_the_application_stands_in_the_topic() -> None:
    """It decides the lane, before anything is read."""
    assert application_of(CHIRPSTACK, UP) == "app"
    assert application_of(THINGS, "v3/app@ttn/devices/dev1/up") == "app@ttn"
    assert [application_of(kind, "field/v1/x/y/up") for kind in NetworkKind] == ["", ""]


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"fPort": "1"}, "$.fPort"), ({"fPort": 256}, "$.fPort"), ({"fCnt": -1}, "$.fCnt"),
        ({"data": "!!"}, "data"), ({"data": base64.b64encode(bytes(256)).decode()}, "255"),
        ({"data": "A" * 2000}, "data"), ({"time": "yesterday"}, "time"),
        ({"rxInfo": {}}, "$.rxInfo"),
        ({"time": "2026-02-30T00:00:00Z"}, "time"), ({"time": "9" * 5000}, "time"),
        ({"deviceInfo": {}}, "devEui"), ({"deviceInfo": {"devEui": "0202020202020202"}}, "topic"),
        ({"deduplicationId": "x" * 65}, "$.deduplicationId"), ({"object": []}, "$.object"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_place_and_reason(fields: dict[str, Any], word: str) -> None:
    """An operator reads where it stood."""
    found = _chirpstack(**fields)
    assert isinstance(found, Rejected)
    assert found.reason in {"bad_shape", "too_large"}
    assert word in found.detail
    assert len(found.detail) < 500


def test_a_device_without_deveui_is_refused_with_advice() -> None:
    """The Things Stack allows that for devices activated by personalisation."""
    topic, ids = "v3/app/devices/dev1/up", {"device_id": "dev1"}
    found = read(THINGS, topic, json.dumps({"end_device_ids": ids}).encode())
    assert isinstance(found, Rejected)
    assert "DevEUI" in found.detail


def test_who_speaks_for_another_device_is_refused() -> None:
    """The broker's ACL holds for topics."""
    ids = {"device_id": "dev2", "dev_eui": EUI}
    found = read(THINGS, "v3/app/devices/dev1/up", json.dumps({"end_device_ids": ids}).encode())
    assert isinstance(found, Rejected)
    assert "dev2" in found.detail


def test_protobuf_is_refused_with_advice() -> None:
    """ChirpStack can be set to write it."""
    found = read(CHIRPSTACK, UP, b"\x0a\x24abc")
    assert isinstance(found, Rejected)
    assert (found.reason, "Protobuf" in found.detail) == ("bad_json", True)


def test_topics_of_others_are_refused() -> None:
    """Whatever is set up to be read here."""
    for kind in NetworkKind:
        found = read(kind, "field/v1/river-gauge/x/up", b"{}")
        assert isinstance(found, Rejected)
        assert found.reason == "unknown_topic"


def test_names_are_cut_and_shown_on_one_line() -> None:
    """What a server's users type reaches logs and pages."""
    info = {"devEui": EUI, "deviceName": "a\nb\x1b[31m" + "x" * 5000}
    name = _chirpstack(deviceInfo=info).sender.name
    assert name.startswith("a b ")
    assert name.isprintable()
    assert len(name) <= 100


@given(
    st.sampled_from(GOLDEN),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    ),
    st.randoms(use_true_random=False),
)
def test_any_value_in_any_place_is_read_or_refused(path: Path, value: Any, random: Any) -> None:
    """Nothing is raised, and what is said of it is short."""
    example = json.loads(path.read_text(encoding="utf-8"))
    message = json.loads(example["payload"])
    parent, key = random.choice(list(_places(message)))
    parent[key] = value
    found = read(NetworkKind(example["network"]), example["topic"], json.dumps(message).encode())
    if isinstance(found, Rejected):
        assert found.reason in {"bad_shape", "bad_json", "too_large"}
        assert len(found.detail) < 500


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in pairs:
        yield value, key
        if isinstance(one, (dict, list)):
            yield from _places(one)
