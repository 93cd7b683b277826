"""ChirpStack v4: its MQTT integration's events (JSON) as plain values, and downlinks for it.

Topics ``application/{application}/device/{devEui}/event/{event}`` (the default ``event_topic``),
messages of ``api/proto/integration/integration.proto``. Refuses to know the registry and codecs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from devices.networks import fields
from devices.networks.fields import FieldError, Number
from devices.networks.messages import (
    DownlinkProgress,
    Ignored,
    Joined,
    LinkStatus,
    Located,
    Logged,
    NetworkMessage,
    Reception,
    Sender,
    Uplink,
)
from devices.outcomes import Rejected, shown

FILTERS: Final = ("application/{application}/device/+/event/+",)

_UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Id = Annotated[str, msgspec.Meta(max_length=64)]
_Enum = str | int


class _Wire(msgspec.Struct, rename="camel", gc=False):
    """A message of ChirpStack; fields that are nothing to us are passed over."""


class _DeviceInfo(_Wire):
    dev_eui: str
    device_name: str = ""
    device_profile_name: str = ""
    application_name: str = ""


class _Location(_Wire):
    latitude: Number = 0.0
    longitude: Number = 0.0


class _RxInfo(_Wire):
    gateway_id: str = ""
    rssi: Number = None  # 0 dBm, its default, is no reception
    snr: Number = 0.0
    ns_time: str = ""
    location: _Location | None = None


class _TxInfo(_Wire):
    modulation: dict[str, Any] | None = None


class _Event(_Wire):
    device_info: _DeviceInfo
    time: str = ""


class _Up(_Event):
    deduplication_id: _Id = ""
    f_cnt: _UInt32 = 0
    f_port: _Port = 0
    confirmed: bool = False
    data: str = ""
    object: dict[str, Any] | None = None
    rx_info: list[_RxInfo] | None = None
    tx_info: _TxInfo | None = None


class _Status(_Event):
    margin: Number = 0.0
    external_power_source: bool = False
    battery_level_unavailable: bool = False
    battery_level: Number = 0.0


class _Ack(_Event):
    queue_item_id: _Id = ""
    acknowledged: bool = False


class _TxAck(_Event):
    queue_item_id: _Id = ""
    gateway_id: str = ""


class _Log(_Event):
    level: _Enum = "INFO"
    code: _Enum = "UNKNOWN"
    description: str = ""
    context: dict[str, str] | None = None


class _Located(_Event):
    location: _Location | None = None


_LEVELS: Mapping[_Enum, str] = {
    "INFO": "info", "WARNING": "warning", "ERROR": "error", 0: "info", 1: "warning", 2: "error",
}  # fmt: skip
_ENDS_DOWNLINK: Final = frozenset({"DOWNLINK_PAYLOAD_SIZE", "F_CNT_DOWN", "EXPIRED"})
"""Codes of logs with which ChirpStack drops an item of the queue."""


def application_of(topic: str) -> str:
    """The application's id in the topic, "" where there is none."""
    parts = topic.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "application" else ""


def read(topic: str, payload: bytes) -> NetworkMessage | Ignored | Rejected:
    """What the message says. Nothing raises."""
    parts = topic.split("/")
    if len(parts) != 6 or (parts[0], parts[2], parts[4]) != ("application", "device", "event"):
        return Rejected("unknown_topic", f"{shown(topic)} is no event of a ChirpStack device")
    _, application, _, said, _, event = parts
    reader = _READERS.get(event)
    if reader is None:
        return Ignored(f"event {shown(event)}")
    try:
        return reader(payload, application, fields.dev_eui(said, "topic"))
    except FieldError as error:
        return error.rejected()


def downlink(
    sender: Sender, *, port: int, payload: bytes, item: str, is_confirmed: bool
) -> tuple[str, bytes]:
    """Topic and message that put the bytes into the device's queue as ``item`` (a UUID)."""
    dev_eui = sender.dev_eui.lower()
    command = {
        "id": item,
        "devEui": dev_eui,
        "confirmed": is_confirmed,
        "fPort": port,
        "data": base64.b64encode(payload).decode(),
    }
    topic = f"application/{sender.application}/device/{dev_eui}/command/down"
    return topic, json.dumps(command).encode()


def _sender(event: _Event, application: str, dev_eui: str) -> Sender:
    info = event.device_info
    named = fields.dev_eui(info.dev_eui, "deviceInfo.devEui")
    if named != dev_eui:
        raise FieldError("deviceInfo.devEui", f"{named}, while the topic says {dev_eui}")
    return Sender(
        dev_eui,
        application=fields.clean(application, fields.NAME_CHARS),
        name=fields.clean(info.device_name, fields.NAME_CHARS),
        model=fields.clean(info.device_profile_name, fields.NAME_CHARS),
        application_name=fields.clean(info.application_name, fields.NAME_CHARS),
    )


def _at(event: _Event) -> int | None:
    return fields.time_ms(event.time, "time")


def _up(payload: bytes, application: str, dev_eui: str) -> Uplink:
    event = fields.decoded(_decode_up, payload)
    sender = _sender(event, application, dev_eui)
    heard = event.rx_info or []
    modulation = (event.tx_info and event.tx_info.modulation) or {}
    measured_at = _at(event)
    if measured_at is None:  # the gateway has no clock
        times = (fields.time_ms(one.ns_time, "rxInfo[].nsTime") for one in heard)
        measured_at = next((at for at in times if at is not None), None)
    return Uplink(
        sender,
        key=event.deduplication_id or f"{sender.dev_eui}/{event.f_cnt}/{event.time[:64]}",
        port=event.f_port,
        counter=event.f_cnt,
        payload=fields.payload_bytes(event.data, "data"),
        measured_at=measured_at,
        decoded=event.object,
        receptions=fields.best_first(
            _reception(one, has_snr="fsk" not in modulation) for one in heard
        ),
        is_confirmed=event.confirmed,
    )


def _reception(one: _RxInfo, *, has_snr: bool) -> Reception:
    place = one.location and fields.place(one.location.latitude, one.location.longitude)
    return Reception(
        fields.clean(one.gateway_id, fields.NAME_CHARS),
        rssi=fields.number(one.rssi),
        snr=fields.number(one.snr) if has_snr else None,
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
    )


def _status(payload: bytes, application: str, dev_eui: str) -> LinkStatus:
    event = fields.decoded(_decode_status, payload)
    battery = fields.number(event.battery_level)
    is_known = not (event.battery_level_unavailable or event.external_power_source)
    return LinkStatus(
        _sender(event, application, dev_eui),
        _at(event),
        battery_percent=battery
        if is_known and battery is not None and 0 <= battery <= 100
        else None,
        has_external_power=event.external_power_source,
        margin_db=fields.number(event.margin),
    )


def _join(payload: bytes, application: str, dev_eui: str) -> Joined:
    event = fields.decoded(_decode_event, payload)
    return Joined(_sender(event, application, dev_eui), _at(event))


def _ack(payload: bytes, application: str, dev_eui: str) -> DownlinkProgress:
    event = fields.decoded(_decode_ack, payload)
    sender, step = _sender(event, application, dev_eui), "acknowledged"
    if event.acknowledged:
        return DownlinkProgress(sender, _at(event), event.queue_item_id, step)
    detail = "the device did not acknowledge it"
    return DownlinkProgress(sender, _at(event), event.queue_item_id, "failed", detail)


def _txack(payload: bytes, application: str, dev_eui: str) -> DownlinkProgress:
    event = fields.decoded(_decode_txack, payload)
    gateway = fields.clean(event.gateway_id, fields.NAME_CHARS)
    sender = _sender(event, application, dev_eui)
    return DownlinkProgress(
        sender, _at(event), event.queue_item_id, "sent", f"by gateway {gateway}" if gateway else ""
    )


def _log(payload: bytes, application: str, dev_eui: str) -> Logged | DownlinkProgress:
    event = fields.decoded(_decode_log, payload)
    sender, at = _sender(event, application, dev_eui), _at(event)
    code = fields.clean(str(event.code), fields.NAME_CHARS)
    detail = fields.clean(event.description, fields.DETAIL_CHARS)
    item = (event.context or {}).get("queue_item_id", "")
    if code in _ENDS_DOWNLINK and 0 < len(item) <= 64:
        return DownlinkProgress(sender, at, item, "failed", f"{code}: {detail}")
    return Logged(sender, at, _LEVELS.get(event.level, "warning"), code, detail)


def _location(payload: bytes, application: str, dev_eui: str) -> Located | Ignored:
    event = fields.decoded(_decode_located, payload)
    sender, at = _sender(event, application, dev_eui), _at(event)
    place = event.location and fields.place(event.location.latitude, event.location.longitude)
    return Located(sender, at, *place) if place else Ignored("location without a position")


_decode_event = msgspec.json.Decoder(_Event)
_decode_up = msgspec.json.Decoder(_Up)
_decode_status = msgspec.json.Decoder(_Status)
_decode_ack = msgspec.json.Decoder(_Ack)
_decode_txack = msgspec.json.Decoder(_TxAck)
_decode_log = msgspec.json.Decoder(_Log)
_decode_located = msgspec.json.Decoder(_Located)

_READERS: Mapping[str, Callable[[bytes, str, str], NetworkMessage | Ignored]] = {
    "up": _up,
    "status": _status,
    "join": _join,
    "ack": _ack,
    "txack": _txack,
    "log": _log,
    "location": _location,
}
