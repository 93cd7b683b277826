"""The hardware in a device: which unit was in service when, and with which credential.

A replacement closes one unit and opens the next; device, topics and series stay. Validity is
[installed_at, removed_at): at the moment of a replacement the new unit is the one.

    unit 1  |———————————)
    unit 2              |———————————…
            installed   replaced

Functions over an open connection; `devices.registry` brings the transaction and its revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from devices import dev_eui as dev_euis
from devices import tables
from devices.outcomes import shown

_OF_IDENTITY: Final = ("serial_number", "dev_eui")
"""What another of means another unit, or that somebody has mistyped it."""


@dataclass(frozen=True, slots=True)
class UnitDraft:
    """What a person says of the hardware; all of it may be unknown.

    Of a meter: the volume ``rollover_at`` (m3) at which its register is at zero again, and its
    ``initial_reading`` (m3) when it was put in. ``codec`` reads its payloads: the name of one in
    the library (``dragino/ldds75``) or of a built-in one (``cayenne-lpp``).
    """

    serial_number: str | None = None
    dev_eui: str | None = None
    model: str | None = None
    rollover_at: float | None = None
    initial_reading: float | None = None
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """Hardware in the device with registry id ``device`` from installed_at until removed_at.

    ``rollover_at`` and the two readings are known of meters at best: m3.
    """

    id: int
    device: int
    serial_number: str | None
    dev_eui: str | None
    model: str | None
    installed_at: int
    removed_at: int | None
    rollover_at: float | None = None
    initial_reading: float | None = None
    final_reading: float | None = None
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What the broker needs to let a device in: its name and its line of the password file."""

    device: str
    password_line: str


class UnitError(ValueError):
    """An installation that cannot be; the person is shown the message, nothing was written."""


class NotedUnitError(UnitError):
    """What was noted of the unit in a device contradicts what stands there."""

    def __init__(self, device: int, column: str, value: str, reason: str) -> None:
        self.device = device
        self.column = column
        self.value = value
        self.reason = reason
        super().__init__(f"{column} {value}: {reason}")


def install(
    connection: Connection,
    device: int,
    draft: UnitDraft,
    now: int,
    *,
    final_reading: float | None = None,
) -> Unit:
    """Put a unit into the device from ``now`` on; the one in service is removed at that moment.

    ``final_reading`` is what the one that goes showed; a device of which no unit was known gets an
    unnamed one to which it belongs. Raises UnitError when ``now`` is not after the present unit's
    installation, the DevEUI is malformed or in service elsewhere, or a reading cannot be.
    """
    dev_eui = _checked_dev_eui(connection, device, draft.dev_eui)
    _check_readings(draft, final_reading)
    present = in_service(connection, device)
    if present is None and final_reading is not None:
        present = _unnamed_before(connection, device, now)
    if present is not None:
        if now <= present.installed_at:
            raise UnitError(
                f"installed_at {now}: not after {present.installed_at} of the last unit"
            )
        remove(connection, device, now, final_reading=final_reading)
    row = {
        "device": device,
        "serial_number": draft.serial_number,
        "dev_eui": dev_eui,
        "model": draft.model,
        "installed_at": now,
        "rollover_at": draft.rollover_at,
        "initial_reading": draft.initial_reading,
        "codec": draft.codec,
        "changed_in": tables.PRESENT_REVISION,
    }
    made = connection.execute(insert(tables.unit).values(row).returning(*COLUMNS))
    return from_row(made.one())


def remove(
    connection: Connection, device: int, now: int, *, final_reading: float | None = None
) -> bool:
    """Take the unit out of service; its credential is forgotten. False if there is none."""
    done = connection.execute(
        update(tables.unit)
        .where(tables.unit.c.device == device, tables.unit.c.removed_at.is_(None))
        .values(
            removed_at=now,
            credential=None,
            final_reading=final_reading,
            changed_in=tables.PRESENT_REVISION,
        )
    )
    return bool(done.rowcount)


def in_service(connection: Connection, device: int) -> Unit | None:
    """The unit that is in the device now."""
    present = tables.unit.c.removed_at.is_(None)
    row = connection.execute(
        select(*COLUMNS).where(tables.unit.c.device == device, present)
    ).one_or_none()
    return None if row is None else from_row(row)


def history(connection: Connection, device: int) -> tuple[Unit, ...]:
    """All units that were ever in the device, oldest first."""
    of_device = select(*COLUMNS).where(tables.unit.c.device == device)
    rows = connection.execute(of_device.order_by(tables.unit.c.installed_at))
    return tuple(map(from_row, rows))


def set_credential(connection: Connection, device: int, password_line: str, now: int) -> None:
    """Let the unit in service log in with this; a device without one gets an unnamed unit."""
    if in_service(connection, device) is None:
        install(connection, device, UnitDraft(), now)
    present = tables.unit.c.removed_at.is_(None)
    connection.execute(
        update(tables.unit)
        .where(tables.unit.c.device == device, present)
        .values(credential=password_line, changed_in=tables.PRESENT_REVISION)
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


def note(connection: Connection, drafts: Mapping[int, UnitDraft], now: int) -> bool:
    """Note of devices (by id) what is known of the units in service; None leaves what is noted.

    A device without a unit gets one. False if all of it was noted already. Raises NotedUnitError
    where another unit is in service: a replacement has a moment and is noted with `install`.
    """
    rows = connection.execute(select(*COLUMNS).where(tables.unit.c.removed_at.is_(None)))
    present = {row.device: from_row(row) for row in rows}
    holders = {unit.dev_eui: unit.device for unit in present.values() if unit.dev_eui}
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for device, draft in drafts.items():
        said = _said(draft)
        holder = holders.setdefault(said["dev_eui"], device) if "dev_eui" in said else device
        if holder != device:
            name = _device_name(connection, holder)
            reason = f"in service in device {name}"
            raise NotedUnitError(device, "dev_eui", said["dev_eui"], reason)
        unit = present.get(device)
        if unit is None:
            new.append(dict.fromkeys(_NOTED) | said | {"device": device, "installed_at": now})
        elif any(getattr(unit, column) != value for column, value in said.items()):
            if conflict := identity_conflict(unit, draft):
                raise NotedUnitError(device, *conflict)
            noted = {column: getattr(unit, column) for column in _NOTED}
            changed.append(noted | said | {"key": unit.id})
    if new:
        connection.execute(insert(tables.unit).values(changed_in=tables.PRESENT_REVISION), new)
    if changed:
        of_key = update(tables.unit).where(tables.unit.c.id == bindparam("key"))
        connection.execute(of_key.values(changed_in=tables.PRESENT_REVISION), changed)
    return bool(new or changed)


def correct(connection: Connection, device: int, draft: UnitDraft) -> Unit | None:
    """Mend what was noted wrongly of the unit in service; None leaves what is noted.

    Returns the unit as it stands now, None if there is none in service. Raises UnitError for what
    cannot be.
    """
    present = in_service(connection, device)
    if present is None:
        return None
    _checked_dev_eui(connection, device, draft.dev_eui)
    _check_readings(draft, None)
    said = _said(draft)
    if draft.initial_reading is not None:
        said["initial_reading"] = draft.initial_reading
    connection.execute(
        update(tables.unit)
        .where(tables.unit.c.id == present.id)
        .values(**said, changed_in=tables.PRESENT_REVISION)
    )
    return in_service(connection, device)


def identity_conflict(unit: Unit, draft: UnitDraft) -> tuple[str, str, str] | None:
    """Why what is said cannot be of this unit: the column, its value, the reason; else None."""
    said = _said(draft)
    for column in _OF_IDENTITY:
        noted = getattr(unit, column)
        if column in said and noted not in (None, said[column]):
            reason = f"{shown(noted)} is in service here; note a replacement, or correct a mistake"
            return column, shown(said[column]), reason
    return None


_NOTED: Final = ("serial_number", "dev_eui", "model", "codec", "rollover_at")


def _said(draft: UnitDraft) -> dict[str, Any]:
    said = {column: getattr(draft, column) for column in _NOTED}
    if draft.dev_eui is not None:
        said["dev_eui"] = _parsed(draft.dev_eui)
    return {column: value for column, value in said.items() if value is not None}


def _device_name(connection: Connection, device: int) -> str:
    named = select(tables.device.c.name).where(tables.device.c.id == device)
    return str(connection.execute(named).scalar_one())


COLUMNS = tuple(c for c in tables.unit.c if c.name not in {"credential", "changed_in"})
"""What is read of a unit: never its credential."""


def from_row(row: Row[Any]) -> Unit:
    """The unit of a row of `COLUMNS`."""
    return Unit(**row._mapping)


def _unnamed_before(connection: Connection, device: int, now: int) -> Unit:
    """The unit that was in the device although nobody had noted it."""
    unit = tables.unit
    newest = select(func.max(unit.c.removed_at)).where(unit.c.device == device)
    registered = select(tables.device.c.registered_at).where(tables.device.c.id == device)
    began_at = connection.execute(newest).scalar() or connection.execute(registered).scalar_one()
    return install(connection, device, UnitDraft(), min(began_at, now - 1))


def _check_readings(draft: UnitDraft, final_reading: float | None) -> None:
    for name, value in (
        ("rollover_at", draft.rollover_at),
        ("initial_reading", draft.initial_reading),
        ("final_reading", final_reading),
    ):
        if value is not None and not (isfinite(value) and value >= 0):
            raise UnitError(f"{name} {value!r}: a number of m3, not negative, expected")
    if draft.rollover_at == 0:
        raise UnitError("rollover_at 0: a register holds more than nothing")
    size, initial = draft.rollover_at, draft.initial_reading
    if size is not None and initial is not None and initial >= size:
        raise UnitError(f"initial_reading {initial:g}: the register ends at {size:g}")


def _checked_dev_eui(connection: Connection, device: int, given: str | None) -> str | None:
    if given is None:
        return None
    dev_eui = _parsed(given)
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


def _parsed(given: str) -> str:
    try:
        return dev_euis.parsed(given)
    except ValueError as error:
        raise UnitError(f"dev_eui {shown(given)}: {error}") from None
