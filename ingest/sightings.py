"""Which unknown device a refused message tells of, and what it says of itself. Pure.

A message may tell of several (a gateway's). Everything here may be a stranger's invention: it is
bounded, and shown to a person before it becomes anything. Refuses to know tables and the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from devices import enrolment
from devices.drafts import NAME
from devices.frames import RejectedFrame
from devices.kind_guess import guess_kind
from devices.kinds import FIELD_KINDS
from devices.networks import NetworkKind
from devices.networks import read as read_network
from devices.networks.messages import Ignored, Sender, Uplink
from devices.outcomes import Rejected
from devices.quantities import QUANTITIES

UNKNOWN_DEVICE: Final = "unknown_device"
"""The reason of a message whose device nobody has registered."""

MAX_SAMPLE_BYTES: Final = 1024
MAX_DEVICES_A_MESSAGE: Final = 200
_MAX_TEXT: Final = 100
_MAX_PAYLOAD: Final = 1 << 18
_MAX_FIELDS: Final = 40


@dataclass(frozen=True, slots=True)
class Sighting:
    """An unknown device was heard.

    ``identity_kind`` is dev_eui, name or serial; ``claim`` the fingerprint of the password that an
    enrolling device chose, else ""; ``source`` who let it speak. ``hints`` may have name, brand,
    model, kind, guessed_kind, quantities, gateway, application, network, label, dev_eui, serial,
    latitude, longitude.
    """

    identity_kind: str
    identity: str
    source: str
    topic: str
    heard_at: int
    sample: bytes
    hints: Mapping[str, Any] = field(default_factory=dict)
    claim: str = ""
    password_hash: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same device, heard again."""
        return self.identity_kind, self.identity, self.claim


def sightings_of(frame: RejectedFrame) -> tuple[Sighting, ...]:
    """The unknown devices that a refused message tells of; none for any other refusal."""
    if frame.reason == enrolment.REASON:
        return _enrolling(frame)
    if frame.reason != UNKNOWN_DEVICE or len(frame.payload) > _MAX_PAYLOAD:
        return ()
    parts = frame.topic.split("/")
    if parts[:2] == ["field", "v1"]:
        return _of_gateway(frame, parts) if _names_a_device(frame) else _of_topic(frame, parts)
    return _of_network(frame)


def _names_a_device(frame: RejectedFrame) -> bool:
    """Whether it is a known publisher's message about an unknown device."""
    return frame.detail.startswith("d: ")


def _enrolling(frame: RejectedFrame) -> tuple[Sighting, ...]:
    said = enrolment.read(frame.topic, frame.payload)
    if isinstance(said, Rejected):
        return ()
    hints = {
        "serial": said.serial, "kind": said.kind, "model": said.model, "label": said.label,
        "dev_eui": said.dev_eui, "latitude": said.latitude, "longitude": said.longitude,
    }  # fmt: skip
    return (
        Sighting(
            "serial",
            said.serial,
            "enrolment",
            frame.topic,
            frame.received_at,
            msgspec.json.encode(_given(hints))[:MAX_SAMPLE_BYTES],  # never the password's hash
            _given(hints),
            said.fingerprint,
            said.password_hash,
        ),
    )


def _of_gateway(frame: RejectedFrame, parts: list[str]) -> tuple[Sighting, ...]:
    found: dict[str, Sighting] = {}
    for element in _elements(frame.payload):
        name = element.get("d")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in found:
            continue
        if len(found) == MAX_DEVICES_A_MESSAGE:
            break
        sample = msgspec.json.encode(element)[:MAX_SAMPLE_BYTES]
        hints = {"gateway": parts[3], **_of_values(element, name)}
        found[name] = Sighting(
            "name", name, f"gateway/{parts[3]}", frame.topic, frame.received_at, sample, hints
        )
    return tuple(found.values())


def _of_topic(frame: RejectedFrame, parts: list[str]) -> tuple[Sighting, ...]:
    """A device that may log in to the broker and is not in the registry."""
    kind, name = parts[2], parts[3]
    if kind not in FIELD_KINDS or not NAME.fullmatch(name):
        return ()
    element = next(iter(_elements(frame.payload)), {})
    hints = {**_of_values(element, name), "kind": kind}
    sample = frame.payload[:MAX_SAMPLE_BYTES]
    return (Sighting("name", name, "topic", frame.topic, frame.received_at, sample, hints),)


def _of_network(frame: RejectedFrame) -> tuple[Sighting, ...]:
    kind = network_of(frame.topic)
    said = read_network(kind, frame.topic, frame.payload) if kind else None
    if kind is None or said is None or isinstance(said, Ignored | Rejected):
        return ()
    sender = said.sender
    decoded = said.decoded if isinstance(said, Uplink) else None
    return (
        Sighting(
            "dev_eui",
            sender.dev_eui,
            f"network/{kind}/{sender.application[:_MAX_TEXT]}",
            frame.topic[: 3 * _MAX_TEXT],
            frame.received_at,
            frame.payload[:MAX_SAMPLE_BYTES],
            _of_sender(sender, kind, decoded),
        ),
    )


def network_of(topic: str) -> NetworkKind | None:
    """The kind of network server that writes such topics; None for none that we know."""
    if topic.startswith("application/"):
        return NetworkKind("chirpstack")
    return NetworkKind("the-things-stack") if topic.startswith("v3/") else None


def _of_sender(
    sender: Sender, kind: NetworkKind, decoded: Mapping[str, Any] | None
) -> dict[str, Any]:
    names = [str(key) for key in decoded or ()][:_MAX_FIELDS]
    quantities = sorted(name for name in names if name in QUANTITIES)
    words = " ".join((sender.name, sender.brand, sender.model, *names))
    hints = {
        "dev_eui": sender.dev_eui, "network": str(kind),
        "application": _cut(sender.application), "name": _cut(sender.name),
        "brand": _cut(sender.brand), "model": _cut(sender.model),
        "fields": [_cut(name) for name in names], "quantities": quantities,
        "guessed_kind": guess_kind(quantities, words),
    }  # fmt: skip
    return _given(hints)


def _of_values(element: Mapping[str, Any], name: str) -> dict[str, Any]:
    values = element.get("v")
    quantities = sorted(q for q in values if q in QUANTITIES) if isinstance(values, dict) else []
    return _given({"quantities": quantities, "guessed_kind": guess_kind(quantities, name)})


def _elements(payload: bytes) -> list[dict[str, Any]]:
    try:
        said = msgspec.json.decode(payload)
    except (ValueError, RecursionError):  # what intake passed over unread may be no UTF-8
        return []
    return [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]


def _given(hints: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in hints.items() if value not in ("", None, [])}


def _cut(text: str) -> str:
    return "".join(c for c in text[:_MAX_TEXT] if c.isprintable())
