"""LoRaWAN network servers: their MQTT messages as plain values, and downlinks for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from devices.networks import chirpstack, the_things_stack
from devices.networks.messages import Ignored, NetworkMessage, Sender
from devices.outcomes import Rejected, shown


class NetworkKind(StrEnum):
    """Which server speaks."""

    CHIRPSTACK = "chirpstack"
    THE_THINGS_STACK = "the-things-stack"


MAX_DOWNLINK_BYTES: Final = 242
"""What fits in a frame at the fastest data rate; the server refuses what the present one cannot."""
PORTS: Final = range(1, 224)
"""Ports of applications; 0 is the network's, those above are kept for the standard's own use."""


class _Server(Protocol):
    """What the module of a server brings."""

    @property
    def FILTERS(self) -> tuple[str, ...]: ...  # noqa: N802 - a module's constant

    def read(self, topic: str, payload: bytes) -> NetworkMessage | Ignored | Rejected: ...

    def application_of(self, topic: str) -> str: ...

    def downlink(
        self, sender: Sender, *, port: int, payload: bytes, item: str, is_confirmed: bool
    ) -> tuple[str, bytes]: ...


_SERVERS: Final[Mapping[NetworkKind, _Server]] = {
    NetworkKind.CHIRPSTACK: chirpstack,
    NetworkKind.THE_THINGS_STACK: the_things_stack,
}
_LEVEL = re.compile(r"[^/+#\x00-\x1f\x7f]{1,100}")


def read(kind: NetworkKind, topic: str, payload: bytes) -> NetworkMessage | Ignored | Rejected:
    """What a message of the server says. Nothing raises; texts and lists in it are bounded."""
    return _SERVERS[kind].read(topic, payload)


def application_of(kind: NetworkKind, topic: str) -> str:
    """The application that a topic belongs to (ChirpStack's UUID, ``app@tenant``), "" if none."""
    return _SERVERS[kind].application_of(topic)


def subscriptions(kind: NetworkKind, applications: Sequence[str] = ()) -> tuple[str, ...]:
    """Topic filters for all that these applications say; for all applications if none is named.

    Raises ValueError for an application that cannot stand in a topic.
    """
    for application in applications:
        if not _LEVEL.fullmatch(application):
            raise ValueError(
                f"application {shown(application)!r}: no /, + or #, 1 to 100 characters"
            )
    return tuple(
        one.format(application=application)
        for application in applications or ("+",)
        for one in _SERVERS[kind].FILTERS
    )


def downlink(
    kind: NetworkKind,
    sender: Sender,
    *,
    port: int,
    payload: bytes,
    item: str,
    is_confirmed: bool = False,
) -> tuple[str, bytes]:
    """Topic and message that hand a downlink to the server; ``item`` is a UUID of ours.

    ``sender`` as an uplink named it. Raises ValueError for what no server can take.
    """
    if port not in PORTS:
        raise ValueError(f"port {port}: {PORTS.start} to {PORTS.stop - 1}")
    if not 1 <= len(payload) <= MAX_DOWNLINK_BYTES:
        raise ValueError(f"{len(payload)} bytes: 1 to {MAX_DOWNLINK_BYTES} can be sent")
    if str(UUID(item)) != item:
        raise ValueError(f"item {shown(item)!r}: a UUID in lower case")
    needed = (sender.application, sender.name)[: 1 + (kind == NetworkKind.THE_THINGS_STACK)]
    for level in needed:
        if not _LEVEL.fullmatch(level):
            raise ValueError(f"{shown(level)!r} of {sender.dev_eui} cannot stand in a topic")
    return _SERVERS[kind].downlink(
        sender, port=port, payload=payload, item=item, is_confirmed=is_confirmed
    )
