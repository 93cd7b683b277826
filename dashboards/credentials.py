"""Gives units in service their broker passwords; each is returned once and kept nowhere.

Refuses to know HTTP and the command line. The broker follows by itself: the registry's revision
rises (`satomori.broker_access`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Engine

from dashboards import auth
from devices.access_card import AccessCard, AccessPoint
from devices.credentials import mosquitto_password_line, new_password
from devices.database import writing
from devices.kinds import INSTALLATION
from devices.registry import Device, Registry

AT_ONCE: Final = 100  # passwords in one transaction

Keep = Callable[[Sequence[AccessCard]], None]
"""Put cards where nobody loses them, before they hold."""


class NoSuchDevice(LookupError):
    """There is no such device in service; name another."""


def make_card(
    registry: Registry, point: AccessPoint, name: str, *, now: int, by: int | None
) -> AccessCard:
    """A new password for the unit in device ``name``; the one before is void.

    Raises NoSuchDevice.
    """
    device = _in_service(registry, name)
    card = AccessCard(point, device.name, device.kind, new_password())
    registry.set_credential(device.id, _line(card), now)
    note_made(registry.database, [name], now=now, by=by)
    return card


def make_missing(registry: Registry, point: AccessPoint, keep: Keep, *, now: int) -> int:
    """Passwords for all devices in service that have none; how many.

    Behind a gateway or a network server a device needs none, and gets none. ``keep`` is given all
    of them before the first one holds, so none can be lost; what it raises ends it.
    """
    has_one = {credential.device for credential in registry.credentials()}
    lacking = [d for d in _own_speakers(registry) if d.name not in has_one]
    cards = {d.id: AccessCard(point, d.name, d.kind, new_password()) for d in lacking}
    keep(list(cards.values()))
    ids = list(cards)
    for at in range(0, len(ids), AT_ONCE):
        part = ids[at : at + AT_ONCE]
        registry.set_credentials({device: _line(cards[device]) for device in part}, now)
        note_made(registry.database, [cards[d].device for d in part], now=now, by=None)
    return len(cards)


def note_made(database: Engine, devices: Sequence[str], *, now: int, by: int | None) -> None:
    """Write down for whom, never what."""
    with writing(database) as connection:
        for device in devices:
            auth.note(connection, now, by, "device.credential_made", device)


def _own_speakers(registry: Registry) -> list[Device]:
    """Devices in service that log in to the broker themselves, by name."""
    snapshot = registry.snapshot()
    by_network = {unit.device for unit in snapshot.units.values()}
    found = [
        device
        for device in snapshot.devices.values()
        if device.decommissioned_at is None
        and device.kind != INSTALLATION.name
        and device.gateway is None
        and device.id not in by_network
    ]
    return sorted(found, key=lambda device: device.name)


def _in_service(registry: Registry, name: str) -> Device:
    device = registry.snapshot().by_name.get(name)
    if device is None or device.decommissioned_at is not None or device.kind == INSTALLATION.name:
        raise NoSuchDevice(f"no device {name!r} is in service")
    return device


def _line(card: AccessCard) -> str:
    return mosquitto_password_line(card.device, card.password)
