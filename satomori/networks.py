"""The network servers of the settings, as intake hears them and web speaks to them.

Refuses to know what they say (``devices.networks``).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from devices.frames import Lane
from devices.networks import NetworkKind, application_of, read, subscriptions
from ingest.mqtt import BrokerAddress
from ingest.mqtt_frames import Version
from ingest.networks import Network
from satomori.settings import NetworkSettings, Settings

PORT: Final = 1883
TLS_PORT: Final = 8883
"""Registered at IANA for MQTT."""


def network(settings: NetworkSettings, broker: BrokerAddress) -> Network:
    """How intake hears this network server at this broker."""
    kind, urgent = settings.kind, frozenset(settings.urgent_applications)
    return Network(
        settings.name,
        broker,
        partial(read, kind),
        {Lane.URGENT: _urgent_filters(settings), Lane.ROUTINE: _routine_filters(settings)},
        lambda topic: application_of(kind, topic) in urgent,
        keeps_session=kind is not NetworkKind.THE_THINGS_STACK,
    )


def is_ours_used(settings: Settings) -> bool:
    """Whether a network server publishes on our own broker, beside our devices."""
    return any(one.is_ours for one in settings.networks)


def network_address(settings: NetworkSettings, ours: BrokerAddress) -> BrokerAddress:
    """Where the network server publishes; ``ours`` is our own broker, as intake knows it.

    The password is for the caller to put in: only it knows how secrets are read.
    """
    if settings.is_ours:
        return ours
    tls_ca = Path(settings.tls_ca) if settings.tls_ca else None
    is_old = settings.kind is NetworkKind.THE_THINGS_STACK
    return BrokerAddress(
        settings.host,
        settings.port or (TLS_PORT if tls_ca else PORT),
        username=settings.username or None,
        tls_ca=tls_ca,
        version=Version.V3_1_1 if is_old else Version.V5,
    )


def _urgent_filters(settings: NetworkSettings) -> tuple[str, ...]:
    named = settings.urgent_applications
    return subscriptions(settings.kind, named) if named else ()


def _routine_filters(settings: NetworkSettings) -> tuple[str, ...]:
    """All applications where none is named; then the urgent ones are heard here, too."""
    if not settings.applications:
        return subscriptions(settings.kind)
    urgent = set(settings.urgent_applications)
    named = [one for one in settings.applications if one not in urgent]
    return subscriptions(settings.kind, named) if named else ()
