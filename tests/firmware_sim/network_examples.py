"""What the simulated network servers say in the golden messages: one scene, every event."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_sim.lorawan import Frame, flood_sensor, river_gauge, water_meter
from firmware_sim.network_dialects import (
    ChirpStack,
    Dialect,
    Heard,
    Item,
    Message,
    Node,
    Sent,
    TheThingsStack,
)

AT = 1_792_540_800_123
APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
DEVICE = Node("river-07", "025A70FFFE000007", model="kawa-10")
METER = Node("meter-031", "025A70FFFE00001F", model="suido-20")
NEAR = Heard("0016c001f153a14c", -87, 9.25, (31.8137, 130.3041))
UNPLACED = Heard("a84041ffff1ea2b0", -121, -6.5, None)
LEVEL_SNR = Heard("0016c001f1000002", -119, 0.0, (31.72, 130.27))
ITEM = Item(
    DEVICE.dev_eui, "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de", Frame(10, b"\x01\x00\x0a"), True
)
MOST_BYTES = 51


def _common(dialect: Dialect, item: Item) -> dict[str, Message]:
    gauge = river_gauge({"water.level": -0.412, "battery.voltage": 3.61})
    meter = water_meter({"water.total": 812.3456, "water.leak": 1.0, "battery.voltage": 3.55})
    contact = flood_sensor({"flood.detected": 1.0, "battery.voltage": 3.1})
    first = Sent(AT, 0, gauge, (UNPLACED, NEAR, LEVEL_SNR))
    later = Sent(AT + 60_000, 65_537, meter, (NEAR,), is_confirmed=True)
    alone = Sent(AT, 3, contact, (UNPLACED,))
    return {
        "up-first": dialect.uplink(DEVICE, first)[0],
        "up-confirmed": dialect.uplink(METER, later)[0],
        "up-one-gateway-without-place": dialect.uplink(DEVICE, alone)[0],
        "join": dialect.joined(DEVICE, AT)[0],
        "sent": dialect.transmitted(DEVICE, AT, item, NEAR)[0],
        "acknowledged": dialect.answered(DEVICE, AT, item, is_ack=True)[0],
        "not-acknowledged": dialect.answered(DEVICE, AT, item, is_ack=False)[0],
        "too-long": dialect.refused(DEVICE, AT, item, MOST_BYTES)[0],
    }


def chirpstack() -> Mapping[str, Message]:
    """By name, each message that a simulated ChirpStack can send."""
    server = ChirpStack(APPLICATION)
    return _common(server, ITEM) | {
        "status": server.status(DEVICE, AT, battery=88.5, margin=10),
        "status-mains": server.status(DEVICE, AT, battery=None, margin=0),
        "location": server.located(DEVICE, AT, 31.812, 130.301),
        "log": server.logged(DEVICE, AT, "ERROR", "UPLINK_MIC", "MIC of uplink frame is invalid"),
        "log-defaults": server.logged(DEVICE, AT, "INFO", "UNKNOWN", "gateway restarted"),
    }


def the_things_stack() -> Mapping[str, Message]:
    """By name, each message that a simulated Things Stack can send."""
    server = TheThingsStack("field@sendai")
    item = Item(ITEM.dev_eui, f"satomori:{ITEM.id}", ITEM.frame, True)
    return _common(server, item) | {
        "queued": server.queued(DEVICE, AT, item)[0],
        "location": server.located(DEVICE, AT, 31.812, 130.301),
        "service-data": server.service_data(DEVICE, AT, "alcsync-v1", {"time": 1_476_575_980}),
    }
