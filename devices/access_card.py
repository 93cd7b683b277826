"""What a device must be told to come in: broker, name, password, topics; as text, and for a QR.

The QR code holds one address, as RFC 3986 writes any (docs/provisioning.md)::

    mqtts://uf-014:PASSWORD@broker.city.example:8883/field/v1/flood-sensor/uf-014

``mqtts`` is TLS, ``mqtt`` is not; the path is what the device's topics begin with. Names, kinds and
our passwords need no escaping. Refuses to know who may see a card and how a QR code is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """Where devices in the field find the broker."""

    host: str = "127.0.0.1"
    port: int = 1883
    is_tls: bool = False


@dataclass(frozen=True, slots=True)
class AccessCard:
    """One unit's way in. Holds the plain password: show it once, log it never, store it nowhere."""

    point: AccessPoint
    device: str
    kind: str
    password: str = field(repr=False)

    @property
    def address(self) -> str:
        """All of it as one address, for a QR code."""
        scheme = "mqtts" if self.point.is_tls else "mqtt"
        host = f"[{self.point.host}]" if ":" in self.point.host else self.point.host
        user, password = quote(self.device, safe=""), quote(self.password, safe="")
        return f"{scheme}://{user}:{password}@{host}:{self.point.port}/{self.base}"

    @property
    def base(self) -> str:
        """What all topics of the device begin with."""
        return f"field/v1/{self.kind}/{self.device}"

    @property
    def topics(self) -> Mapping[str, str]:
        """Topics by what they are for; the device writes the first two and reads the others."""
        return {ending: f"{self.base}/{ending}" for ending in ("up", "status", "ack", "down")}

    def as_text(self) -> str:
        """For a person who types it into a device."""
        tls = "TLS" if self.point.is_tls else "no TLS"
        lines = [
            f"broker    {self.point.host}:{self.point.port} ({tls})",
            f"username  {self.device}",
            f"password  {self.password}",
            *(f"{ending:<9} {topic}" for ending, topic in self.topics.items()),
        ]
        return "\n".join(lines)
