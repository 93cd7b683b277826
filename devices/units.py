"""The hardware in a device: which unit was in service when, and with which credential.

A replacement closes one unit and opens the next; device, topics and series stay. Validity is
[installed_at, removed_at): at the moment of a replacement the new unit is the one.

    unit 1  |———————————)
    unit 2              |———————————…
            installed   replaced

Functions over an open connection; `devices.registry` brings the transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from devices import tables

_DEV_EUI = re.compile(r"[0-9A-F]{16}")


@dataclass(frozen=True, slots=True)
class UnitDraft:
    """What a person says of the hardware; all of it may be unknown."""

    serial_number: str | None = None
    dev_eui: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """Hardware in the device with registry id ``device`` from installed_at until removed_at."""

    id: int
    device: int
    serial_number: str | None
    dev_eui: str | None
    model: str | None
    installed_at: int
    removed_at: int | None


@dataclass(frozen=True, slots=True)
class Credential:
    """What the broker needs to let a device in: its name and its line of the password file."""

    device: str
    password_line: str


class UnitError(ValueError):
    """An installation that cannot be; the person is shown the message, nothing was written."""


def install(connection: Connection, device: int, draft: UnitDraft, now: int) -> Unit:
    """Put a unit into the device from ``now`` on; the one in service is removed at that moment.

    Raises UnitError when ``now`` is not after the present unit's installation, or the DevEUI is
    malformed or in service elsewhere.
    """
    dev_eui = _checked_dev_eui(connection, device, draft.dev_eui)
    present = in_service(connection, device)
    if present is not None:
        if now <= present.installed_at:
            raise UnitError(
                f"installed_at {now}: not after {present.installed_at} of the last unit"
            )
        remove(connection, device, now)
    row = {
        "device": device,
        "serial_number": draft.serial_number,
        "dev_eui": dev_eui,
        "model": draft.model,
        "installed_at": now,
    }
    made = connection.execute(insert(tables.unit).values(row).returning(*_COLUMNS))
    return _unit(made.one())


def remove(connection: Connection, device: int, now: int) -> bool:
    """Take the unit out of service; its credential is forgotten. False if there is none."""
    done = connection.execute(
        update(tables.unit)
        .where(tables.unit.c.device == device, tables.unit.c.removed_at.is_(None))
        .values(removed_at=now, credential=None)
    )
    return bool(done.rowcount)


def in_service(connection: Connection, device: int) -> Unit | None:
    """The unit that is in the device now."""
    present = tables.unit.c.removed_at.is_(None)
    row = connection.execute(
        select(*_COLUMNS).where(tables.unit.c.device == device, present)
    ).one_or_none()
    return None if row is None else _unit(row)


def history(connection: Connection, device: int) -> tuple[Unit, ...]:
    """All units that were ever in the device, oldest first."""
    of_device = select(*_COLUMNS).where(tables.unit.c.device == device)
    rows = connection.execute(of_device.order_by(tables.unit.c.installed_at))
    return tuple(map(_unit, rows))


def set_credential(connection: Connection, device: int, password_line: str, now: int) -> None:
    """Let the unit in service log in with this; a device without one gets an unnamed unit."""
    if in_service(connection, device) is None:
        install(connection, device, UnitDraft(), now)
    present = tables.unit.c.removed_at.is_(None)
    connection.execute(
        update(tables.unit)
        .where(tables.unit.c.device == device, present)
        .values(credential=password_line)
    )


def credentials(connection: Connection) -> tuple[Credential, ...]:
    """The credentials of all units in service in devices in service, by device name."""
    unit, device = tables.unit, tables.device
    rows = connection.execute(
        select(device.c.name, unit.c.credential)
        .join_from(unit, device, unit.c.device == device.c.id)
        .where(
            unit.c.removed_at.is_(None),
            unit.c.credential.is_not(None),
            device.c.decommissioned_at.is_(None),
        )
        .order_by(device.c.name)
    )
    return tuple(Credential(name, line) for name, line in rows)


_COLUMNS = tuple(c for c in tables.unit.c if c.name != "credential")


def _unit(row: Row[Any]) -> Unit:
    return Unit(**row._mapping)


def _checked_dev_eui(connection: Connection, device: int, given: str | None) -> str | None:
    if given is None:
        return None
    dev_eui = given.replace("-", "").replace(":", "").upper()
    if not _DEV_EUI.fullmatch(dev_eui):
        raise UnitError(f"dev_eui {given!r}: 16 hexadecimal digits expected")
    elsewhere = connection.execute(
        select(tables.device.c.name)
        .join_from(tables.unit, tables.device, tables.unit.c.device == tables.device.c.id)
        .where(
            tables.unit.c.dev_eui == dev_eui,
            tables.unit.c.removed_at.is_(None),
            tables.unit.c.device != device,
        )
    ).scalar()
    if elsewhere is not None:
        raise UnitError(f"dev_eui {dev_eui}: in service in device {elsewhere}")
    return dev_eui
