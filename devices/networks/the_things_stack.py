"""The Things Stack v3: what its MQTT server says (JSON) as plain values, and downlinks for it.

Topics ``v3/{application}[@{tenant}]/devices/{device}/…`` (``up``, ``join``, ``down/…``), messages
``ApplicationUp`` of ``api/messages.proto``. Refuses to know the registry and codecs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec

from devices.networks import fields
from devices.networks.fields import FieldError, Number
from devices.networks.messages import (
    DownlinkProgress,
    Ignored,
    Joined,
    Located,
    Logged,
    NetworkMessage,
    Reception,
    Sender,
    Uplink,
)
from devices.outcomes import Rejected, shown

FILTERS: Final = tuple(
    "v3/{application}/devices/+/" + event
    for event in (
        "up", "join", "down/queued", "down/sent", "down/ack", "down/nack", "down/failed",
        "down/invalidated", "service/data", "location/solved",
    )
)  # fmt: skip
CORRELATION: Final = "satomori:"
"""Stands before our id among the correlation ids of a downlink."""

_UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Key = Annotated[str, msgspec.Meta(max_length=128)]
_Part = TypeVar("_Part")


class _Wire(msgspec.Struct, gc=False):
    """A message of The Things Stack; fields that are nothing to us are passed over."""


class _ApplicationIds(_Wire):
    application_id: str = ""


class _DeviceIds(_Wire):
    device_id: str = ""
    application_ids: _ApplicationIds | None = None
    dev_eui: str = ""


class _GatewayIds(_Wire):
    gateway_id: str = ""
    eui: str = ""


class _PacketBroker(_Wire):
    forwarder_gateway_id: str = ""
    forwarder_gateway_eui: str = ""
    forwarder_tenant_id: str = ""


class _Location(_Wire):
    latitude: Number = 0.0
    longitude: Number = 0.0


class _RxMetadata(_Wire):
    gateway_ids: _GatewayIds | None = None
    packet_broker: _PacketBroker | None = None
    rssi: Number = None  # 0 dBm, its default, is no reception
    snr: Number = 0.0
    location: _Location | None = None


class _Settings(_Wire):
    data_rate: dict[str, Any] | None = None


class _VersionIds(_Wire):
    brand_id: str = ""
    model_id: str = ""


class _Battery(_Wire):
    f_cnt: _UInt32 = 0
    value: Number = 0.0


class _Up(_Wire):
    session_key_id: _Key = ""
    f_port: _Port = 0
    f_cnt: _UInt32 = 0
    frm_payload: str = ""
    decoded_payload: dict[str, Any] | None = None
    rx_metadata: list[_RxMetadata] | None = None
    settings: _Settings | None = None
    received_at: str = ""
    confirmed: bool = False
    version_ids: _VersionIds | None = None
    last_battery_percentage: _Battery | None = None


class _JoinAccept(_Wire):
    received_at: str = ""


class _Downlink(_Wire):
    correlation_ids: list[str] | None = None


class _Error(_Wire):
    name: str = ""
    message_format: str = ""


class _Failed(_Wire):
    downlink: _Downlink | None = None
    error: _Error | None = None


class _ServiceData(_Wire):
    service: str = ""


class _Solved(_Wire):
    service: str = ""
    location: _Location | None = None


class _ApplicationUp(_Wire):
    end_device_ids: _DeviceIds
    received_at: str = ""
    correlation_ids: list[str] | None = None
    simulated: bool = False
    uplink_message: _Up | None = None
    join_accept: _JoinAccept | None = None
    downlink_queued: _Downlink | None = None
    downlink_sent: _Downlink | None = None
    downlink_ack: _Downlink | None = None
    downlink_nack: _Downlink | None = None
    downlink_failed: _Failed | None = None
    service_data: _ServiceData | None = None
    location_solved: _Solved | None = None


_decode = msgspec.json.Decoder(_ApplicationUp)


def application_of(topic: str) -> str:
    """The application (with ``@tenant`` where the server has tenants), "" where there is none."""
    parts = topic.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "v3" else ""


def read(topic: str, payload: bytes) -> NetworkMessage | Ignored | Rejected:
    """What the message says. Nothing raises."""
    parts = topic.split("/", 4)
    if len(parts) != 5 or (parts[0], parts[2]) != ("v3", "devices"):
        return Rejected("unknown_topic", f"{shown(topic)} is nothing of a Things Stack device")
    _, application, _, device, event = parts
    reader = _READERS.get(event)
    if reader is None:
        return Ignored(f"event {shown(event)}")
    try:
        message = fields.decoded(_decode, payload)
        if message.simulated:
            return Ignored("simulated")
        return reader(message, _sender(message, application, device))
    except FieldError as error:
        return error.rejected()


def downlink(
    sender: Sender, *, port: int, payload: bytes, item: str, is_confirmed: bool
) -> tuple[str, bytes]:
    """Topic and message that append the bytes to the device's queue; ``item`` correlates them."""
    one = {
        "f_port": port,
        "frm_payload": base64.b64encode(payload).decode(),
        "confirmed": is_confirmed,
        "priority": "NORMAL",
        "correlation_ids": [CORRELATION + item],
    }
    topic = f"v3/{sender.application}/devices/{sender.name}/down/push"
    return topic, json.dumps({"downlinks": [one]}).encode()


def _sender(message: _ApplicationUp, application: str, device: str) -> Sender:
    ids = message.end_device_ids
    named = ids.application_ids.application_id if ids.application_ids else ""
    for where, said, by_topic in (
        ("end_device_ids.device_id", ids.device_id, device),
        ("end_device_ids.application_ids.application_id", named, application.split("@", 1)[0]),
    ):
        if said and said != by_topic:
            raise FieldError(where, f"{shown(said)}, while the topic says {shown(by_topic)}")
    if not ids.dev_eui:
        raise FieldError("end_device_ids.dev_eui", "absent: the device has no DevEUI in the server")
    version = (message.uplink_message and message.uplink_message.version_ids) or _VersionIds()
    return Sender(
        fields.dev_eui(ids.dev_eui, "end_device_ids.dev_eui"),
        application=fields.clean(application, fields.NAME_CHARS),
        name=fields.clean(device, fields.NAME_CHARS),
        brand=fields.clean(version.brand_id, fields.NAME_CHARS),
        model=fields.clean(version.model_id, fields.NAME_CHARS),
        application_name=fields.clean(named, fields.NAME_CHARS),
    )


def _at(message: _ApplicationUp) -> int | None:
    return fields.time_ms(message.received_at, "received_at")


def _part(part: _Part | None, where: str) -> _Part:
    if part is None:
        raise FieldError(where, "absent")
    return part


def _up(message: _ApplicationUp, sender: Sender) -> Uplink:
    up = _part(message.uplink_message, "uplink_message")
    heard_at = fields.time_ms(up.received_at, "uplink_message.received_at")
    rate = (up.settings and up.settings.data_rate) or {}
    battery = up.last_battery_percentage
    is_fresh = battery is not None and battery.f_cnt == up.f_cnt
    return Uplink(
        sender,
        key=_key(sender, up),
        port=up.f_port,
        counter=up.f_cnt,
        payload=fields.payload_bytes(up.frm_payload, "uplink_message.frm_payload"),
        measured_at=heard_at if heard_at is not None else _at(message),
        decoded=up.decoded_payload,
        receptions=fields.best_first(
            _reception(one, has_snr="fsk" not in rate) for one in up.rx_metadata or ()
        ),
        is_confirmed=up.confirmed,
        battery_percent=fields.number(battery.value) if battery and is_fresh else None,
    )


def _key(sender: Sender, up: _Up) -> str:
    """A device activated by personalisation has no session key id, and counts from 0 at will."""
    session = up.session_key_id or up.received_at[:64]
    return f"{sender.dev_eui}/{session}/{up.f_cnt}"


def _reception(one: _RxMetadata, *, has_snr: bool) -> Reception:
    place = one.location and fields.place(one.location.latitude, one.location.longitude)
    return Reception(
        fields.clean(_gateway(one), fields.NAME_CHARS),
        rssi=fields.number(one.rssi),
        snr=fields.number(one.snr) if has_snr else None,
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
    )


def _gateway(one: _RxMetadata) -> str:
    """Its name in the server; a gateway of a foreign network is known through Packet Broker."""
    if one.packet_broker:
        foreign = one.packet_broker
        name = foreign.forwarder_gateway_id or foreign.forwarder_gateway_eui
        return f"{name or 'packetbroker'}@{foreign.forwarder_tenant_id}".rstrip("@")
    ids = one.gateway_ids or _GatewayIds()
    return ids.gateway_id or ids.eui


def _join(message: _ApplicationUp, sender: Sender) -> Joined:
    joined = _part(message.join_accept, "join_accept")
    at = fields.time_ms(joined.received_at, "join_accept.received_at")
    return Joined(sender, at if at is not None else _at(message))


def _ours(*lists: list[str] | None) -> str:
    """Our id among correlation ids, "" where the downlink is not ours."""
    for one in (one for ids in lists for one in ids or ()):
        if one.startswith(CORRELATION) and len(one) <= len(CORRELATION) + 64:
            return one.removeprefix(CORRELATION)
    return ""


def _progress(name: str, step: str, detail: str = "") -> _Reader:
    def read_step(message: _ApplicationUp, sender: Sender) -> DownlinkProgress:
        down: _Downlink = _part(getattr(message, name), name)
        ours = _ours(down.correlation_ids, message.correlation_ids)
        return DownlinkProgress(sender, _at(message), ours, step, detail)

    return read_step


def _failed(message: _ApplicationUp, sender: Sender) -> DownlinkProgress:
    failed = _part(message.downlink_failed, "downlink_failed")
    error, down = failed.error or _Error(), failed.downlink or _Downlink()
    detail = fields.clean(error.message_format or error.name, fields.DETAIL_CHARS)
    ours = _ours(down.correlation_ids, message.correlation_ids)
    return DownlinkProgress(sender, _at(message), ours, "failed", detail)


def _invalidated(message: _ApplicationUp, sender: Sender) -> Logged:
    detail = "the device began a new session; the server makes its downlink queue anew"
    return Logged(sender, _at(message), "info", "downlink_queue_invalidated", detail)


def _service_data(message: _ApplicationUp, sender: Sender) -> Logged:
    data = _part(message.service_data, "service_data")
    service = fields.clean(data.service, fields.NAME_CHARS)
    return Logged(sender, _at(message), "info", "service_data", f"from {service or 'a service'}")


def _solved(message: _ApplicationUp, sender: Sender) -> Located | Ignored:
    where = _part(message.location_solved, "location_solved").location
    place = where and fields.place(where.latitude, where.longitude)
    if not place:
        return Ignored("location without a position")
    return Located(sender, _at(message), *place)


_Reader = Callable[[_ApplicationUp, Sender], NetworkMessage | Ignored]
_READERS: Mapping[str, _Reader] = {
    "up": _up,
    "join": _join,
    "down/queued": _progress("downlink_queued", "queued"),
    "down/sent": _progress("downlink_sent", "sent"),
    "down/ack": _progress("downlink_ack", "acknowledged"),
    "down/nack": _progress(
        "downlink_nack", "failed", "not acknowledged; the network server may try again"
    ),
    "down/failed": _failed,
    "down/invalidated": _invalidated,
    "service/data": _service_data,
    "location/solved": _solved,
}
