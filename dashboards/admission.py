"""Admits a device from the waiting list: as a new one, or as the new unit of one there is.

    candidate ─▶ registry (device, unit, credential) ─▶ candidate accepted, audit, answer
                                                      └▶ what it said before goes on its way again

Each arrow is a transaction of its own; done again after a crash in between, it gives the same.
Refuses to know HTTP and the command line, and how a device came to wait (`ingest.waiting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select

from dashboards import auth
from devices import tables
from devices.access_card import AccessCard, AccessPoint
from devices.credentials import mosquitto_password_line, new_password, password_line_of_hash
from devices.database import writing
from devices.drafts import DeviceDraft, DraftError
from devices.kinds import FIELD_KINDS
from devices.provisioning_tables import enrolment_answer
from devices.registry import Device, Registry
from devices.units import Unit, UnitDraft, UnitError
from ingest import waiting
from ingest.admitted_past import resubmit_past
from ingest.waiting_tables import candidate


@dataclass(frozen=True, slots=True)
class Wish:
    """What staff say of a candidate that they admit.

    ``replaces``: ``name`` is a device that there is, and this its new unit; its series go on.
    ``since_first_heard``: the unit is there since it was first heard, not since now (a replacement;
    of a new device all that it said counts). ``is_sure``: another password claims the same serial
    number, and this is the right one. ``final_reading`` and ``initial_reading`` are a meter's.
    """

    name: str
    kind: str = ""
    label: str = ""
    area: str = ""
    site: str = ""
    latitude: float | None = None
    longitude: float | None = None
    codec: str | None = None
    owner: str | None = None
    replaces: bool = False
    since_first_heard: bool = False
    is_sure: bool = False
    final_reading: float | None = None
    initial_reading: float | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of it; ``card`` holds a new password, shown once, where the device needs one."""

    device: str
    kind: str
    card: AccessCard | None
    resubmitted: int


class AdmissionError(ValueError):
    """The candidate cannot be admitted as wished; nothing was changed. ``path`` names the field."""

    def __init__(self, code: str, path: str, message: str) -> None:
        super().__init__(message)
        self.code, self.path = code, path


def admit(
    registry: Registry,
    candidate_id: int,
    wish: Wish,
    point: AccessPoint,
    *,
    now: int,
    by: int | None,
) -> Admitted:
    """Register what waits, note it, and send what it said before on its way again.

    Raises AdmissionError.
    """
    row = _waiting(registry.database, candidate_id, wish)
    device, since = _registered(registry, row, wish, now)
    card = _let_in(registry, row, device, point, now)
    with writing(registry.database) as connection:
        waiting.decide(
            connection,
            candidate_id,
            waiting.ACCEPTED,
            at=now,
            by=by,
            device=device.name,
            since=since,
        )
        if row.identity_kind == "serial":
            _answer(connection, row.identity, device, now)
        said = f"{row.identity_kind} {row.identity}"
        auth.note(connection, now, by, "waiting.accepted", device.name, detail=said)
    resubmitted = resubmit_past(registry.database, candidate_id, now)
    return Admitted(device.name, device.kind, card, resubmitted)


def refuse(database: Engine, candidate_id: int, *, now: int, by: int | None) -> None:
    """Strike a candidate off the list for good; raises AdmissionError."""
    _turn(database, candidate_id, waiting.WAITING, waiting.REFUSED, now, by)


def take_back(database: Engine, candidate_id: int, *, now: int, by: int | None) -> None:
    """Let a refused candidate wait again; raises AdmissionError."""
    _turn(database, candidate_id, waiting.REFUSED, waiting.WAITING, now, by)


def present_device(registry: Registry, identity_kind: str, identity: str) -> Device | None:
    """The device in service that has this very unit (or serial number, or name), if any.

    As the registry was read last: take a snapshot before.
    """
    snapshot = registry.known
    if identity_kind == "dev_eui":
        unit = snapshot.units.get(identity)
        return snapshot.devices.get(unit.device) if unit else None
    if identity_kind == "name":
        named = snapshot.by_name.get(identity)
        return named if named is not None and named.decommissioned_at is None else None
    with registry.database.connect() as connection:
        found = connection.execute(_device_of_serial(identity)).scalar()
    return snapshot.devices.get(found) if found is not None else None


def _device_of_serial(serial: str) -> Any:
    unit, device = tables.unit, tables.device
    return (
        select(unit.c.device)
        .join_from(unit, device, unit.c.device == device.c.id)
        .where(
            unit.c.serial_number == serial,
            unit.c.removed_at.is_(None),
            device.c.decommissioned_at.is_(None),
        )
        .limit(1)
    )


def _waiting(database: Engine, candidate_id: int, wish: Wish) -> Any:
    with database.connect() as connection:
        row = connection.execute(select(candidate).where(candidate.c.id == candidate_id)).first()
        if row is None:
            raise AdmissionError("not_found", "id", "nobody waits there")
        if row.state != waiting.WAITING:
            raise AdmissionError("decided", "id", f"it was {row.state} already")
        rivals = waiting.rivals(connection, row)
    if rivals and not wish.is_sure:
        raise AdmissionError(
            "contested",
            "is_sure",
            f"{rivals} other passwords claim {row.identity}: compare the fingerprint {row.claim} "
            "with the device's own",
        )
    return row


def _turn(
    database: Engine, candidate_id: int, was: str, becomes: str, now: int, by: int | None
) -> None:
    with writing(database) as connection:
        row = connection.execute(select(candidate).where(candidate.c.id == candidate_id)).first()
        if row is None:
            raise AdmissionError("not_found", "id", "nobody waits there")
        if row.state != was:
            raise AdmissionError("decided", "id", f"it is {row.state}")
        waiting.decide(connection, candidate_id, becomes, at=now, by=by)
        action = "waiting.refused" if becomes == waiting.REFUSED else "waiting.taken_back"
        auth.note(connection, now, by, action, f"{row.identity_kind} {row.identity}")


def _registered(registry: Registry, row: Any, wish: Wish, now: int) -> tuple[Device, int]:
    """The device that it is from now on, and since when what it says is the device's."""
    snapshot = registry.snapshot()
    known = snapshot.by_name.get(wish.name)
    if known is not None and known.decommissioned_at is not None:
        known = None  # it comes back into service
    if known is None and wish.replaces:
        raise AdmissionError("no_such_device", "name", f"no device {wish.name!r} is in service")
    if known is None:
        return _new_device(registry, row, wish, now), 0
    present = _unit_in_service(registry, known)
    if present is not None and _is_it(present, row):
        if _has_another_password(registry, known, row) and not wish.is_sure:
            raise AdmissionError(
                "contested",
                "is_sure",
                f"{known.name} is in service with another password: compare the fingerprint "
                f"{row.claim} with the device's own",
            )
        return known, 0 if row.first_heard_at <= present.installed_at else present.installed_at
    if not wish.replaces:
        raise AdmissionError(
            "name_taken", "name", f"there is a device {wish.name}: is this its new unit?"
        )
    return known, _replace(registry, known, present, row, wish, now)


def _new_device(registry: Registry, row: Any, wish: Wish, now: int) -> Device:
    unit, hints = _unit_of(row, wish), row.hints
    draft = DeviceDraft(
        name=wish.name,
        kind=wish.kind or hints.get("kind") or "",
        label=wish.label,
        area=wish.area,
        site=wish.site,
        latitude=wish.latitude,
        longitude=wish.longitude,
        gateway=hints.get("gateway"),
        owner=wish.owner,
        serial_number=unit.serial_number,
        dev_eui=unit.dev_eui,
        model=unit.model,
        codec=unit.codec,
    )
    if draft.kind not in FIELD_KINDS:
        raise AdmissionError("invalid", "kind", "say what the device is for")
    try:
        return registry.register([draft], now).by_name[wish.name]
    except DraftError as error:
        first = error.faults[0]
        raise AdmissionError("invalid", first.column, f"{first.reason} ({first.value})") from None


def _replace(
    registry: Registry, device: Device, present: Unit | None, row: Any, wish: Wish, now: int
) -> int:
    at = now
    if wish.since_first_heard:
        after = present.installed_at + 1 if present else device.registered_at
        at = max(row.first_heard_at, after)
    try:
        registry.install_unit(device.id, _unit_of(row, wish), at, final_reading=wish.final_reading)
    except UnitError as error:
        raise AdmissionError("invalid", "unit", str(error)) from None
    return at


def _unit_of(row: Any, wish: Wish) -> UnitDraft:
    hints = row.hints
    is_dev_eui = row.identity_kind == "dev_eui"
    return UnitDraft(
        serial_number=row.identity if row.identity_kind == "serial" else None,
        dev_eui=row.identity if is_dev_eui else hints.get("dev_eui"),
        model=hints.get("model"),
        initial_reading=wish.initial_reading,
        codec=wish.codec,
    )


def _unit_in_service(registry: Registry, device: Device) -> Unit | None:
    return next((u for u in registry.units(device.id) if u.removed_at is None), None)


def _is_it(present: Unit, row: Any) -> bool:
    """Whether the registry knows this very unit already: from a list, or from an earlier try."""
    known = {"dev_eui": present.dev_eui, "serial": present.serial_number}
    return known.get(row.identity_kind) == str(row.identity)


def _has_another_password(registry: Registry, device: Device, row: Any) -> bool:
    """Whether the unit in service logs in with what this candidate did not choose.

    Whoever reads a serial number off a label could ask in its place, and lock it out.
    """
    lines = {one.device: one.password_line for one in registry.credentials()}
    line = lines.get(device.name)
    return (
        row.password_hash is not None
        and line is not None
        and line != password_line_of_hash(device.name, row.password_hash)
    )


def _let_in(
    registry: Registry, row: Any, device: Device, point: AccessPoint, now: int
) -> AccessCard | None:
    """The broker lets it in: by the password that it chose, or by a new one if it needs any."""
    if row.password_hash is not None:
        line = password_line_of_hash(device.name, row.password_hash)
        registry.set_credential(device.id, line, now)
        return None
    if row.identity_kind != "name" or row.source != "topic":
        return None
    card = AccessCard(point, device.name, device.kind, new_password())
    registry.set_credential(device.id, mosquitto_password_line(device.name, card.password), now)
    return card


def _answer(connection: Connection, serial: str, device: Device, now: int) -> None:
    table = enrolment_answer
    connection.execute(delete(table).where(table.c.serial == serial))
    connection.execute(
        insert(table).values(
            serial=serial, device=device.name, kind=device.kind, accepted_at=now, heard_at=None
        )
    )
