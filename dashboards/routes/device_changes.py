"""One device: its record, and what may be done to it. All changes go to the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dashboards import auth
from dashboards.auth import Visitor
from dashboards.errors import Refusal, not_found
from dashboards.parts import Parts, RowId, WithAdmin, WithParts
from dashboards.registered import DeviceRecord, record
from dashboards.registry_access import DeviceName, WithRegistryReader, field_device, seen_device
from devices.database import writing
from devices.datum import Datum, DatumError, at
from devices.drafts import DeviceDraft, DraftError
from devices.maintenance import Maintenance, MaintenanceError
from devices.open_data import OpenData
from devices.planar import to_degrees
from devices.units import Unit, UnitDraft, UnitError

router = APIRouter(prefix="/api/devices/{name}")

_MAX_MS = 2**53
Text = Annotated[str, Field(max_length=200)]
Milliseconds = Annotated[int, Field(ge=0, le=_MAX_MS)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class PlanePoint(_Body):
    """Plane rectangular coordinates (JGD2011): zone, metres north and metres east of its origin."""

    epsg: int
    x_m: Finite
    y_m: Finite


class DeviceBody(_Body):
    """A place in service, whole: what is left out takes the default of its kind.

    Instead of latitude and longitude (degrees, WGS84) ``plane`` may say where it stands.
    """

    kind: Text
    label: Text = ""
    label_en: Text = ""
    site: Text = ""
    area: Text = ""
    latitude: Finite | None = None
    longitude: Finite | None = None
    plane: PlanePoint | None = None
    interval_s: int | None = None
    intervals: Mapping[str, int] = Field(default_factory=dict)
    active_from: Finite | None = None
    silence_after_s: Finite | None = None
    thresholds: Mapping[str, Finite] = Field(default_factory=dict)
    tags: list[Text] = Field(default_factory=list)
    gateway: Text | None = None
    owner: Text | None = None
    open_data: OpenData | None = None


class UnitBody(_Body):
    """Hardware; all of it may be unknown. Volumes of a meter in m3."""

    serial_number: Text | None = None
    dev_eui: Text | None = None
    model: Text | None = None
    codec: Text | None = None
    rollover_at: Finite | None = None
    initial_reading: Finite | None = None

    def draft(self) -> UnitDraft:
        """The same as a value."""
        return UnitDraft(
            self.serial_number,
            self.dev_eui,
            self.model,
            self.rollover_at,
            self.initial_reading,
            self.codec,
        )


class NewUnit(UnitBody):
    """Hardware that is put in: since when (ms UTC, null: now), and what the old meter showed."""

    installed_at: Milliseconds | None = None
    final_reading: Finite | None = None


class DatumBody(_Body):
    """Heights from ``since`` (ms UTC, null: now) on: gauge zero T.P. m, mounting height m.

    A height that is null is what it was then.
    """

    since: Milliseconds | None = None
    gauge_zero_m: Finite | None = None
    mounting_height_m: Finite | None = None


class WindowBody(_Body):
    """Staff work at the device in [starts_at, ends_at), ms UTC."""

    starts_at: Milliseconds
    ends_at: Milliseconds
    reason: Text


@router.get("")
def one(name: DeviceName, visitor: WithRegistryReader, parts: WithParts) -> DeviceRecord:
    """A device with all units, datums and windows of maintenance that it ever had."""
    device, registry = seen_device(parts, visitor, name)
    return record(device, registry, parts.registry.units(device.id), parts.now())


@router.put("")
def put(name: DeviceName, body: DeviceBody, admin: WithAdmin, parts: WithParts) -> DeviceRecord:
    """Register a device, or describe it anew; one that was taken out is back in service."""
    draft = _draft(name, body)
    before = parts.registry.snapshot()
    try:
        after = parts.registry.register([draft], parts.now())
    except DraftError as error:
        fault = error.faults[0]
        raise _invalid(f"{fault.reason} ({fault.value})", fault.column) from None
    if after.by_name[name] != before.by_name.get(name):
        is_new = name not in before.by_name
        _note(parts, admin, "device.registered" if is_new else "device.changed", name, body.kind)
    return one(name, admin, parts)


@router.post("/decommission")
def decommission(name: DeviceName, admin: WithAdmin, parts: WithParts) -> DeviceRecord:
    """Take a device out of service; its unit is free, its series stay."""
    field_device(parts, name)
    if not parts.registry.decommission(name, parts.now()):
        raise Refusal(409, "not_in_service", f"{name} is out of service already")
    _note(parts, admin, "device.decommissioned", name)
    return one(name, admin, parts)


@router.post("/units", status_code=201)
def install(name: DeviceName, body: NewUnit, admin: WithAdmin, parts: WithParts) -> Unit:
    """Put a unit into the device; the one in service goes, and its password with it."""
    device = _in_service(parts, name)
    now = parts.now()
    installed_at = now if body.installed_at is None else body.installed_at
    if installed_at > now:
        raise _invalid("is still to come: note it when it is done", "installed_at")
    try:
        unit = parts.registry.install_unit(
            device, body.draft(), installed_at, final_reading=body.final_reading
        )
    except UnitError as error:
        raise _invalid(str(error)) from None
    _note(parts, admin, "unit.replaced", name, _named(unit))
    return unit


@router.put("/units/present")
def correct(name: DeviceName, body: UnitBody, admin: WithAdmin, parts: WithParts) -> Unit:
    """Mend what was noted wrongly of the unit in service; null leaves what is noted."""
    device = field_device(parts, name).id
    try:
        unit = parts.registry.correct_unit(device, body.draft())
    except UnitError as error:
        raise _invalid(str(error)) from None
    if unit is None:
        raise not_found("unit in service")
    _note(parts, admin, "unit.corrected", name, _named(unit))
    return unit


@router.post("/datums", status_code=201)
def add_datum(name: DeviceName, body: DatumBody, admin: WithAdmin, parts: WithParts) -> Datum:
    """Note heights that hold from a moment on; one of the same moment is corrected.

    Readings that are stored already stay as they are.
    """
    device = field_device(parts, name).id
    now = parts.now()
    since = now if body.since is None else body.since
    if since > now:
        raise _invalid("is still to come: note it when it is done", "since")
    given = Datum(since, body.gauge_zero_m, body.mounting_height_m)
    try:
        is_changed = parts.registry.add_datum(device, given)
    except DatumError as error:
        raise _invalid(str(error)) from None
    datum = at(parts.registry.snapshot().datums.get(device, ()), since) or given
    if is_changed:
        said = f"since {since}: zero {datum.gauge_zero_m} m, height {datum.mounting_height_m} m"
        _note(parts, admin, "datum.added", name, said)
    return datum


@router.post("/maintenance", status_code=201)
def plan_maintenance(
    name: DeviceName, body: WindowBody, admin: WithAdmin, parts: WithParts
) -> Maintenance:
    """Note that staff work at the device, and why."""
    device = field_device(parts, name).id
    try:
        window = parts.registry.plan_maintenance(
            device,
            starts_at=body.starts_at,
            ends_at=body.ends_at,
            reason=body.reason.strip(),
            noted_by=admin.name,
            now=parts.now(),
        )
    except MaintenanceError as error:
        raise _invalid(str(error)) from None
    said = f"{window.starts_at} to {window.ends_at}: {window.reason}"
    _note(parts, admin, "maintenance.planned", name, said)
    return window


@router.delete("/maintenance/{window}")
def cancel_maintenance(
    name: DeviceName, window: RowId, admin: WithAdmin, parts: WithParts
) -> Maintenance:
    """End a window now, or let it never begin; it stays on record."""
    device = field_device(parts, name).id
    cancelled = parts.registry.cancel_maintenance(device, window, parts.now())
    if cancelled is None:
        raise not_found("window that is still to end")
    _note(parts, admin, "maintenance.cancelled", name, f"window {window}")
    return cancelled


def _draft(name: str, body: DeviceBody) -> DeviceDraft:
    values = {field: getattr(body, field) for field in DeviceBody.model_fields if field != "plane"}
    values["tags"] = tuple(dict.fromkeys(body.tags))
    if body.plane is not None:
        if body.latitude is not None or body.longitude is not None:
            raise _invalid("the body has latitude and longitude, too", "plane")
        try:
            point = to_degrees(body.plane.epsg, body.plane.x_m, body.plane.y_m)
        except ValueError as error:
            raise _invalid(str(error), "plane") from None
        values |= {"latitude": point.latitude, "longitude": point.longitude}
    return DeviceDraft(name=name, **values)


def _in_service(parts: Parts, name: str) -> int:
    device = field_device(parts, name)
    if device.decommissioned_at is not None:
        raise Refusal(409, "not_in_service", f"{name} is out of service")
    return device.id


def _named(unit: Unit) -> str:
    return " ".join(text for text in (unit.serial_number, unit.dev_eui, unit.model) if text)


def _note(parts: Parts, admin: Visitor, action: str, name: str, detail: str = "") -> None:
    with writing(parts.database) as connection:
        auth.note(connection, parts.now(), admin.id, action, name, detail=detail)


def _invalid(message: str, column: str = "") -> Refusal:
    return Refusal(422, "invalid", message, path=f"body.{column}" if column else "body")
