"""What a network server says of a device, whichever server it is. Times: int ms UTC.

Refuses to know topics, JSON and codecs: `devices.networks.chirpstack` and
`devices.networks.the_things_stack` bring those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reception:
    """One gateway heard the message: ``rssi`` dBm, ``snr`` dB, where it stands (WGS84, degrees)."""

    gateway: str
    rssi: float | None = None
    snr: float | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the network server says that it is: DevEUI (16 hex digits, upper case) is the identity.

    ``application`` is the one in the topic (with ``@tenant`` where the server has tenants) and
    ``name`` the device's in the server: a downlink needs both. ``brand``, ``model`` and
    ``application_name`` are hints for people. "" where not said.
    """

    dev_eui: str
    application: str = ""
    name: str = ""
    brand: str = ""
    model: str = ""
    application_name: str = ""


@dataclass(frozen=True, slots=True)
class Uplink:
    """Bytes of a device. ``decoded`` is what a codec of the network server made of them, if any.

    ``port`` 0 and no bytes: the device was heard, it sent nothing to us. ``battery_percent`` 0–100
    comes with the uplink in which the device answered a status request (The Things Stack; of
    ChirpStack it is a LinkStatus).

    ``key`` is the same for the same transmission that is delivered twice. Receptions are best
    first: by SNR, then RSSI; a gateway stands there once.
    """

    sender: Sender
    key: str
    port: int
    counter: int
    payload: bytes
    measured_at: int | None
    decoded: Mapping[str, Any] | None = None
    receptions: tuple[Reception, ...] = ()
    is_confirmed: bool = False
    battery_percent: float | None = None


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The device answered a status request: battery 0–100 % or None, link margin in dB."""

    sender: Sender
    at: int | None
    battery_percent: float | None
    has_external_power: bool
    margin_db: float | None


@dataclass(frozen=True, slots=True)
class Joined:
    """The device came into the network (again)."""

    sender: Sender
    at: int | None


@dataclass(frozen=True, slots=True)
class DownlinkProgress:
    """What became of a downlink. ``step``: queued, sent, acknowledged, failed.

    ``id`` is ours, or the server's own, or "" where somebody else sent it.
    """

    sender: Sender
    at: int | None
    id: str
    step: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """The network server knows where the device is (WGS84, degrees)."""

    sender: Sender
    at: int | None
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Logged:
    """The network server complains: ``level`` info, warning or error."""

    sender: Sender
    at: int | None
    level: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is nothing to us, and why: a simulated uplink, an event of no known name."""

    why: str


NetworkMessage = Uplink | LinkStatus | Joined | DownlinkProgress | Located | Logged
