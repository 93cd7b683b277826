"""What ChirpStack v4 and The Things Stack v3 write on MQTT, byte for byte as they would.

Both write protobuf's JSON mapping: what has its default is left out. Refuses to know when something
happens (``firmware_sim.network_servers``); never uses the code that reads these messages.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import NAMESPACE_OID, uuid5

from firmware_sim.lorawan import Frame

Message = tuple[str, bytes]
"""Topic and payload."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A gateway that received a frame: RSSI dBm, SNR dB; None where its place is not set."""

    gateway: str
    rssi: int
    snr: float
    place: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Node:
    """A device as the network server has it registered; ``dev_eui`` 16 hex digits."""

    name: str
    dev_eui: str
    brand: str = "kawa"
    model: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """One transmission of a device. ``at`` ms UTC; ``dr`` the data rate index, 2 is SF10."""

    at: int
    number: int
    frame: Frame
    heard: tuple[Heard, ...]
    dr: int = 2
    is_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A downlink in a device's queue; ``id`` is whose who sent it."""

    dev_eui: str
    id: str
    frame: Frame
    is_confirmed: bool


class Dialect(Protocol):
    """How a server says it, and how it is spoken to."""

    commands: str
    """The filter of what it is told."""

    def joined(self, node: Node, at: int) -> list[Message]: ...
    def uplink(self, node: Node, sent: Sent) -> list[Message]: ...
    def queued(self, node: Node, at: int, item: Item) -> list[Message]: ...
    def transmitted(self, node: Node, at: int, item: Item, by: Heard) -> list[Message]: ...
    def answered(self, node: Node, at: int, item: Item, *, is_ack: bool) -> list[Message]: ...
    def refused(self, node: Node, at: int, item: Item, most_bytes: int) -> list[Message]: ...
    def understood(
        self, topic: str, payload: bytes, nodes: Mapping[str, Node]
    ) -> Sequence[Item]: ...


def present(**fields: Any) -> dict[str, Any]:
    """The fields without those that have their default; an empty message ({}) is not absent."""
    return {key: value for key, value in fields.items() if value or value == {}}


def _base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def _time(at: int, zone: str) -> str:
    """RFC 3339 with nine decimals; the last six are the same for the same moment."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}{at * 7919 % 1_000_000:06d}{zone}"


def _text(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


class ChirpStack:
    """ChirpStack v4, MQTT integration with ``json=true``; ``application`` is a UUID."""

    def __init__(self, application: str, name: str = "field") -> None:
        self._application, self._name = application, name
        self.commands = f"application/{application}/device/+/command/down"

    def joined(self, node: Node, at: int) -> list[Message]:
        """The event of the first uplink after a join."""
        return [self._event(node, at, "join", devAddr=node.dev_eui[-8:].lower())]

    def uplink(self, node: Node, sent: Sent) -> list[Message]:
        """One event, however many gateways heard it."""
        known = f"{node.dev_eui}/{sent.number}/{sent.at}"
        event = self._event(
            node, sent.at, "up", deduplicationId=_uuid(known), devAddr=node.dev_eui[-8:].lower(),
            adr=True, dr=sent.dr, fCnt=sent.number, fPort=sent.frame.port,
            confirmed=sent.is_confirmed, data=_base64(sent.frame.payload),
            rxInfo=[self._rx(one, sent, n) for n, one in enumerate(sent.heard)],
            txInfo=_radio(sent.dr),
        )  # fmt: skip
        return [event]

    def queued(self, node: Node, at: int, item: Item) -> list[Message]:  # noqa: ARG002 - a Dialect's
        """ChirpStack says nothing of what waits."""
        return []

    def transmitted(self, node: Node, at: int, item: Item, by: Heard) -> list[Message]:
        """The gateway has taken it for transmission."""
        return [
            self._event(node, at, "txack", downlinkId=at % 2**32, queueItemId=item.id,
                        gatewayId=by.gateway, txInfo=_radio(2))
        ]  # fmt: skip

    def answered(self, node: Node, at: int, item: Item, *, is_ack: bool) -> list[Message]:
        """The device has acknowledged a confirmed one, or was heard without doing so."""
        known = f"{item.id}/ack"
        return [
            self._event(node, at, "ack", deduplicationId=_uuid(known), queueItemId=item.id,
                        acknowledged=is_ack)
        ]  # fmt: skip

    def refused(self, node: Node, at: int, item: Item, most_bytes: int) -> list[Message]:
        """Dropped from the queue: too long for the data rate."""
        return [
            self._event(
                node, at, "log", level="ERROR", code="DOWNLINK_PAYLOAD_SIZE",
                description="Device queue-item discarded because it exceeds the max. payload size",
                context={"max_payload_size": str(most_bytes), "queue_item_id": item.id,
                         "item_size": str(len(item.frame.payload))},
            )
        ]  # fmt: skip

    def status(self, node: Node, at: int, *, battery: float | None, margin: int) -> Message:
        """The answer to a status request; no battery: external power."""
        return self._event(
            node, at, "status", deduplicationId=_uuid(f"{node.dev_eui}/{at}/status"),
            margin=margin, externalPowerSource=battery is None, batteryLevel=battery or 0.0,
        )  # fmt: skip

    def located(self, node: Node, at: int, latitude: float, longitude: float) -> Message:
        """The server has worked out where the device is."""
        place = present(latitude=latitude, longitude=longitude, source="GEO_RESOLVER_TDOA")
        return self._event(node, at, "location", location=place)

    def logged(self, node: Node, at: int, level: str, code: str, description: str) -> Message:
        """A complaint; INFO and UNKNOWN are defaults."""
        said = {
            "level": "" if level == "INFO" else level,
            "code": "" if code == "UNKNOWN" else code,
        }
        return self._event(node, at, "log", **said, description=description)

    def understood(self, topic: str, payload: bytes, nodes: Mapping[str, Node]) -> Sequence[Item]:
        """What is to be put into a queue; nothing where topic and command do not agree."""
        command = json.loads(payload)
        dev_eui = str(command.get("devEui", "")).upper()
        if topic.split("/")[3].upper() != dev_eui or dev_eui not in nodes:
            return ()
        frame = Frame(int(command.get("fPort", 0)), base64.b64decode(command.get("data", "")))
        if not frame.port:
            return ()
        known = command.get("id") or _uuid(payload.decode())
        return (Item(dev_eui, str(known), frame, bool(command.get("confirmed"))),)

    def _event(self, node: Node, at: int, event: str, **fields: Any) -> Message:
        dev_eui = node.dev_eui.lower()
        message = present(
            deduplicationId=fields.pop("deduplicationId", ""),
            time=_time(at, "+00:00"),
            deviceInfo=present(
                tenantId="52f14cd4-c6f1-4fbd-8f87-4025e1d49242", tenantName="Satsumasendai",
                applicationId=self._application, applicationName=self._name,
                deviceProfileId=_uuid(node.model), deviceProfileName=node.model,
                deviceName=node.name, devEui=dev_eui,
            ),
            **fields,
        )  # fmt: skip
        return f"application/{self._application}/device/{dev_eui}/event/{event}", _text(message)

    def _rx(self, one: Heard, sent: Sent, number: int) -> dict[str, Any]:
        place = one.place or (0.0, 0.0)
        return present(
            gatewayId=one.gateway, uplinkId=(sent.at + number) % 2**32,
            nsTime=_time(sent.at + 31 + number, "+00:00"), rssi=one.rssi, snr=one.snr,
            channel=number % 8, location=present(latitude=place[0], longitude=place[1]),
            context=_base64((sent.at + number).to_bytes(8, "big")[-4:]),
            metadata={"region_config_id": "as923", "region_common_name": "AS923"},
            crcStatus="CRC_OK",
        )  # fmt: skip


class TheThingsStack:
    """The Things Stack v3, MQTT server; ``application`` with ``@tenant`` where it has tenants."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._joined_at: dict[str, int] = {}
        self.commands = f"v3/{application}/devices/+/down/push"

    def joined(self, node: Node, at: int) -> list[Message]:
        """The device has a new session."""
        self._joined_at[node.dev_eui] = at
        accepted = present(session_key_id=self._session(node), received_at=_time(at - 200, "Z"))
        return [self._up(node, at, "join", join_accept=accepted)]

    def uplink(self, node: Node, sent: Sent) -> list[Message]:
        """One message, with an entry for each gateway that heard it."""
        up = present(
            session_key_id=self._session(node), f_port=sent.frame.port, f_cnt=sent.number,
            frm_payload=_base64(sent.frame.payload), confirmed=sent.is_confirmed,
            rx_metadata=[self._rx(one, sent, n) for n, one in enumerate(sent.heard)],
            settings=_settings(sent),
            received_at=_time(sent.at, "Z"), consumed_airtime="0.288768s",
            version_ids=present(brand_id=node.brand, model_id=node.model, band_id="AS_923"),
            network_ids=present(net_id="000013", tenant_id="sendai", cluster_id="jp1"),
        )  # fmt: skip
        return [self._up(node, sent.at + 205, "up", uplink_message=up)]

    def queued(self, node: Node, at: int, item: Item) -> list[Message]:
        """It waits for the device's next uplink."""
        return [self._up(node, at, "down/queued", downlink_queued=self._down(node, item))]

    def transmitted(
        self,
        node: Node,
        at: int,
        item: Item,
        by: Heard,  # noqa: ARG002 - a Dialect's
    ) -> list[Message]:
        """A gateway has it for transmission."""
        return [self._up(node, at, "down/sent", downlink_sent=self._down(node, item))]

    def answered(self, node: Node, at: int, item: Item, *, is_ack: bool) -> list[Message]:
        """The device has acknowledged a confirmed one, or was heard without doing so."""
        name = "ack" if is_ack else "nack"
        down = {f"downlink_{name}": self._down(node, item)}
        return [self._up(node, at, f"down/{name}", **down)]

    def refused(
        self,
        node: Node,
        at: int,
        item: Item,
        most_bytes: int,  # noqa: ARG002 - a Dialect's
    ) -> list[Message]:
        """Dropped from the queue: too long for the data rate."""
        error = {
            "namespace": "pkg/networkserver", "name": "application_downlink_too_long",
            "message_format": "application downlink payload is too long", "code": 3,
        }  # fmt: skip
        failed = {"downlink": self._down(node, item), "error": error}
        return [self._up(node, at, "down/failed", downlink_failed=failed)]

    def located(self, node: Node, at: int, latitude: float, longitude: float) -> Message:
        """A location solver has worked out where the device is."""
        place = present(
            latitude=latitude, longitude=longitude, source="SOURCE_LORA_TDOA_GEOLOCATION"
        )
        solved = {"service": "lora-cloud-geolocation-v3", "location": place}
        return self._up(node, at, "location/solved", location_solved=solved)

    def service_data(self, node: Node, at: int, service: str, data: Mapping[str, Any]) -> Message:
        """Something that an application package says."""
        return self._up(node, at, "service/data", service_data={"service": service, "data": data})

    def understood(self, topic: str, payload: bytes, nodes: Mapping[str, Node]) -> Sequence[Item]:
        """What is to be appended to a queue."""
        device = topic.split("/")[3]
        dev_eui = next((eui for eui, node in nodes.items() if node.name == device), None)
        if dev_eui is None:
            return ()
        return tuple(
            Item(
                dev_eui,
                next(iter(one.get("correlation_ids", ())), ""),
                Frame(int(one.get("f_port", 0)), base64.b64decode(one.get("frm_payload", ""))),
                bool(one.get("confirmed")),
            )
            for one in json.loads(payload)["downlinks"]
        )

    def _session(self, node: Node) -> str:
        known = f"{node.dev_eui}/{self._joined_at.get(node.dev_eui)}"
        return _base64(uuid5(NAMESPACE_OID, known).bytes)

    def _up(self, node: Node, at: int, event: str, **fields: Any) -> Message:
        application = self._application.split("@", 1)[0]
        message = {
            "end_device_ids": {
                "device_id": node.name, "application_ids": {"application_id": application},
                "dev_eui": node.dev_eui, "join_eui": "0000000000000000",
                "dev_addr": node.dev_eui[-8:],
            },
            "correlation_ids": [f"gs:uplink:{_uuid(f'{node.dev_eui}/{at}')}"],
            "received_at": _time(at, "Z"),
            **fields,
        }  # fmt: skip
        return f"v3/{self._application}/devices/{node.name}/{event}", _text(message)

    def _down(self, node: Node, item: Item) -> dict[str, Any]:
        return present(
            session_key_id=self._session(node), f_port=item.frame.port,
            frm_payload=_base64(item.frame.payload), confirmed=item.is_confirmed,
            priority="NORMAL", correlation_ids=[item.id, f"as:downlink:{_uuid(item.id)}"],
        )  # fmt: skip

    def _rx(self, one: Heard, sent: Sent, number: int) -> dict[str, Any]:
        place = one.place and present(
            latitude=one.place[0], longitude=one.place[1], source="SOURCE_REGISTRY"
        )
        return present(
            gateway_ids={"gateway_id": f"eui-{one.gateway}", "eui": one.gateway.upper()},
            time=_time(sent.at - 40, "Z"), timestamp=(sent.at + number) % 2**32,
            rssi=one.rssi, channel_rssi=one.rssi, snr=one.snr, location=place,
            uplink_token=_base64(one.gateway.encode()), received_at=_time(sent.at - 20, "Z"),
        )  # fmt: skip


def _uuid(text: str) -> str:
    return str(uuid5(NAMESPACE_OID, text))


def _settings(sent: Sent) -> dict[str, Any]:
    lora = {"bandwidth": 125_000, "spreading_factor": 12 - sent.dr, "coding_rate": "4/5"}
    return {
        "data_rate": {"lora": lora}, "frequency": "923200000", "timestamp": sent.at % 2**32,
    }  # fmt: skip


def _radio(dr: int) -> dict[str, Any]:
    lora = {"bandwidth": 125_000, "spreadingFactor": 12 - dr, "codeRate": "CR_4_5"}
    return {"frequency": 923_200_000, "modulation": {"lora": lora}}
