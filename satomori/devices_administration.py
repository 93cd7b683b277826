"""What the command line does to the registry: import, export, list, show, replace, take out, …

Each is one short write transaction on the same tables as the web process; see
docs/decisions/0004-commands-beside-a-running-system.md for why that is safe. What is changed goes
to the audit log without a person: whoever has a shell on the machine is known to the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from alerts.groups import owner_names
from dashboards import auth
from dashboards.japan_time import JAPAN
from dashboards.registered import Wanted, record, selected
from devices.csv_import import RowError, decoded, to_csv
from devices.database import writing
from devices.datum import Datum, DatumError
from devices.drafts import DraftError
from devices.import_plan import Plan, exported, plan
from devices.kinds import INSTALLATION
from devices.maintenance import MaintenanceError
from devices.registry import Device, Registry
from devices.units import UnitDraft, UnitError
from satomori.administration import opened_database, write_broker_files
from satomori.clock import now_ms
from satomori.device_listing import Import, Listing, Record
from satomori.settings import Settings, SettingsError

_MAX_BYTES: Final = 64 * 1024 * 1024


def import_devices(settings: Settings, file: Path, *, dry_run: bool) -> Import:
    """Register all devices of a CSV file, or none and every bad row; ``-`` is standard input."""
    text = decoded(_read(file))
    with opened_database(settings) as database:
        registry = Registry(database)
        planned = plan(text, registry.snapshot(), owner_names(database))
        errors = planned.errors
        if not errors and not dry_run and planned.drafts:
            errors = _register(database, registry, planned)
    return Import(planned, errors, is_dry_run=dry_run)


def export_devices(settings: Settings) -> str:
    """All devices in service as the CSV that `import_devices` reads."""
    with opened_database(settings) as database:
        return to_csv(exported(Registry(database).snapshot()))


def list_devices(settings: Settings, wanted: Wanted) -> Listing:
    """The devices that are wanted, by name."""
    with opened_database(settings) as database:
        registry = Registry(database).snapshot()
        return Listing(tuple(selected(registry, wanted, lambda _device: True)), registry)


def show_device(settings: Settings, name: str) -> Record:
    """All that the registry knows of a device."""
    with _device(settings, name) as (_, registry, device):
        units = registry.units(device.id)
        return Record(record(device, registry.known, units, now_ms()))


def replace_unit(
    settings: Settings,
    name: str,
    draft: UnitDraft,
    *,
    final_reading: float | None = None,
    at: str = "",
) -> str:
    """Put another unit into device ``name``; its series go on. The old unit's password is void.

    ``at`` is ISO 8601 (Japan's time where it has no offset), by default now; ``final_reading``
    what the meter that goes showed (m3). Raises SettingsError for what cannot be.
    """
    replaced_at = _past_moment(at)
    with _device(settings, name) as (database, registry, device):
        if device.decommissioned_at is not None:
            raise SettingsError(f"device {name!r} is out of service")
        had_password = name in {credential.device for credential in registry.credentials()}
        try:
            registry.install_unit(device.id, draft, replaced_at, final_reading=final_reading)
        except UnitError as error:
            raise SettingsError(f"device {name!r}: {error}") from None
        _note(database, "unit.replaced", name, draft.serial_number or draft.dev_eui or "")
    said = f"{name}: replaced {_clock(replaced_at)}"
    if not had_password:
        return said
    write_broker_files(settings)
    return f"{said}; the old password is void: satomori devices credential {name}"


def correct_unit(settings: Settings, name: str, draft: UnitDraft) -> str:
    """Mend what was noted wrongly of the unit in service; None leaves what is noted."""
    with _device(settings, name) as (database, registry, device):
        try:
            unit = registry.correct_unit(device.id, draft)
        except UnitError as error:
            raise SettingsError(f"device {name!r}: {error}") from None
        if unit is None:
            raise SettingsError(f"device {name!r} has no unit in service: satomori devices replace")
        _note(database, "unit.corrected", name, unit.serial_number or unit.dev_eui or "")
    return f"{name}: corrected"


def decommission(settings: Settings, name: str) -> str:
    """Take a device out of service; its unit is free, its password void, its series stay."""
    with _device(settings, name) as (database, registry, device):
        if not registry.decommission(name, now_ms()):
            raise SettingsError(f"device {name!r} is out of service already")
        _note(database, "device.decommissioned", name)
        carried = record(device, registry.snapshot(), (), now_ms()).carries
    write_broker_files(settings)
    said = f"{name}: out of service; its series stay, its unit is free for another device"
    if not carried:
        return said
    return f"{said}\n{len(carried)} devices name it as their gateway still: {', '.join(carried)}"


def add_datum(
    settings: Settings,
    name: str,
    *,
    gauge_zero_m: float | None,
    mounting_height_m: float | None,
    since: str = "",
) -> str:
    """Note heights that hold from ``since`` on; what is stored already stays as it is."""
    moment = _past_moment(since)
    with _device(settings, name) as (database, registry, device):
        try:
            is_new = registry.add_datum(device.id, Datum(moment, gauge_zero_m, mounting_height_m))
        except DatumError as error:
            raise SettingsError(f"device {name!r}: {error}") from None
        if not is_new:
            return f"{name}: noted already"
        said = f"since {moment}: zero {gauge_zero_m} m, height {mounting_height_m} m"
        _note(database, "datum.added", name, said)
    return f"{name}: holds since {_clock(moment)}"


def plan_maintenance(
    settings: Settings, name: str, *, starts: str, ends: str, reason: str, by: str
) -> str:
    """Note that staff work at a device from ``starts`` (empty: now) to ``ends``, ISO 8601."""
    now = now_ms()
    with _device(settings, name) as (database, registry, device):
        try:
            window = registry.plan_maintenance(
                device.id,
                starts_at=moment_of(starts) if starts else now,
                ends_at=moment_of(ends),
                reason=reason,
                noted_by=by,
                now=now,
            )
        except MaintenanceError as error:
            raise SettingsError(f"device {name!r}: {error}") from None
        said = f"{window.starts_at} to {window.ends_at}: {reason}"
        _note(database, "maintenance.planned", name, said)
    span = f"{_clock(window.starts_at)} to {_clock(window.ends_at)}"
    return f"{name}: maintenance {window.id}, {span}"


def cancel_maintenance(settings: Settings, name: str, window: int) -> str:
    """End a window of maintenance now."""
    with _device(settings, name) as (database, registry, device):
        if registry.cancel_maintenance(device.id, window, now_ms()) is None:
            raise SettingsError(f"device {name!r} has no window {window} that is still to end")
        _note(database, "maintenance.cancelled", name, f"window {window}")
    return f"{name}: maintenance {window} has ended"


def moment_of(text: str) -> int:
    """``2026-04-01T10:30`` as ms UTC; Japan's time where it has no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r}: a time such as 2026-04-01T10:30 expected") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=JAPAN)
    return round(aware.timestamp() * 1000)


@contextmanager
def _device(settings: Settings, name: str) -> Iterator[tuple[Engine, Registry, Device]]:
    with opened_database(settings) as database:
        registry = Registry(database)
        device = registry.snapshot().by_name.get(name)
        if device is None or device.kind == INSTALLATION.name:
            raise SettingsError(f"device {name!r} is not registered")
        yield database, registry, device


def _register(database: Engine, registry: Registry, planned: Plan) -> tuple[RowError, ...]:
    try:
        registry.register(planned.drafts, now_ms())
    except DraftError as error:  # somebody else changed the registry in between
        return tuple(RowError(0, f.column, f.value, f.reason) for f in error.faults)
    said = f"{len(planned.new)} new, {len(planned.changed)} changed"
    _note(database, "devices.imported", f"{len(planned.drafts)} devices", said)
    return ()


def _read(file: Path) -> bytes:
    try:
        if str(file) == "-":
            body = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with file.open("rb") as opened:
                body = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{file}: {error}") from None
    if len(body) > _MAX_BYTES:
        raise SettingsError(f"{file}: more than {_MAX_BYTES >> 20} MiB; import it in parts")
    return body


def _note(database: Engine, action: str, subject: str, detail: str = "") -> None:
    with writing(database) as connection:
        auth.note(connection, now_ms(), None, action, subject, detail=detail)


def _past_moment(text: str) -> int:
    moment = moment_of(text) if text else now_ms()
    if moment > now_ms():
        raise SettingsError(f"{text!r} is still to come: note it when it is done")
    return moment


def _clock(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, JAPAN):%Y-%m-%d %H:%M}"
