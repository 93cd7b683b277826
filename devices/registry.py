"""The registry: which devices are in service, where, and which series are theirs.

Refuses to know payloads, readings and rules. Every change raises one revision, kept with each row
that changed, so that a process that looks again reads only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, update
from sqlalchemy.dialects import postgresql, sqlite

from devices import datum_history, device_rows, maintenance, places, tables, units
from devices.database import writing
from devices.datum import Datum
from devices.drafts import DeviceDraft, DraftError, Fault, faults
from devices.frames import SeriesDefinition
from devices.kinds import INSTALLATION, KINDS
from devices.maintenance import Maintenance
from devices.places import Area, Site
from devices.quantities import QUANTITIES
from devices.snapshot import (
    EMPTY,
    NO_SERIES,
    Device,
    RegistrySnapshot,
    advance,
    present_revision,
    series_by_code,
)
from devices.units import Credential, NotedUnitError, Unit, UnitDraft

__all__ = [
    "NO_SERIES",
    "Device",
    "DeviceDraft",
    "DraftError",
    "Registry",
    "RegistrySnapshot",
    "series_by_code",
]


class Registry:
    """Devices and series over a relational database. Thread-safe."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._lock = Lock()
        self._last = EMPTY

    @property
    def database(self) -> Engine:
        """Where the registry is kept; intake's own tables stand beside it."""
        return self._database

    @property
    def known(self) -> RegistrySnapshot:
        """The registry as it was read last; asks nobody, so it is there without the database."""
        return self._last

    def revision(self) -> int:
        """The present revision, 0 before the first change. One SELECT of one row."""
        with self._database.connect() as connection:
            return present_revision(connection)

    def snapshot(self) -> RegistrySnapshot:
        """The registry now, as of one moment; reads only the rows that changed since last time."""
        with self._lock:
            with _reading_one_moment(self._database) as connection:
                self._last = advance(self._last, connection)
            return self._last

    def register(self, drafts: Sequence[DeviceDraft], now: int) -> RegistrySnapshot:
        """Insert or update devices by name, all or none, with the default series of their kinds.

        A draft that changes nothing writes nothing. A decommissioned device that is registered
        again is back in service. Raises DraftError at the first draft that cannot be.
        """
        for draft in drafts:
            if found := faults(draft):
                raise DraftError(draft.name, found)
        return self._register(drafts, now)

    def register_installation(self, now: int) -> RegistrySnapshot:
        """Let the installation be a device among the others, as `register` does for them.

        A device of the field that has its name from an older release raises DraftError.
        """
        kind = INSTALLATION
        known = self.snapshot().by_name.get(kind.name)
        if known is not None and known.kind != kind.name:
            fault = Fault("name", kind.name, f"a {known.kind} has it; rename that device")
            raise DraftError(kind.name, (fault,))
        draft = DeviceDraft(kind.name, kind.name, label=kind.label_ja, label_en=kind.label_en)
        return self._register([draft], now)

    def _register(self, drafts: Sequence[DeviceDraft], now: int) -> RegistrySnapshot:
        with writing(self._database) as connection:
            revision = _raise_revision(connection)
            known = device_rows.rows_by_name(connection)
            _check_gateways(drafts, known)
            is_changed = device_rows.store(connection, drafts, known, revision, now)
            ids = device_rows.ids_by_name(connection)
            wanted = [(ids[d.name], q) for d in drafts for q in KINDS[d.kind].quantities]
            is_changed |= device_rows.store_series(connection, wanted, revision)
            is_changed |= places.ensure(
                connection, (d.area for d in drafts), {d.site: d.area for d in drafts if d.site}
            )
            is_changed |= _note_units(connection, drafts, ids, now)
            heights = {
                ids[d.name]: h for d in drafts if (h := device_rows.heights_of(d)) is not None
            }
            is_changed |= datum_history.note(connection, heights, now)
            if not is_changed:
                connection.rollback()
        return self.snapshot()

    def decommission(self, name: str, now: int) -> bool:
        """Take a device out of service from ``now`` on; False if there is none in service.

        Its unit goes with it: the hardware is free for another device. The installation itself
        cannot be taken out of service.
        """
        if name == INSTALLATION.name:
            return False
        table = tables.device
        with writing(self._database) as connection:
            revision = _raise_revision(connection)
            gone = connection.execute(
                update(table)
                .where(table.c.name == name, table.c.decommissioned_at.is_(None))
                .values(decommissioned_at=now, changed_in=revision)
                .returning(table.c.id)
            ).scalar_one_or_none()
            if gone is None:
                connection.rollback()
                return False
            units.remove(connection, gone, now)
            return True

    def add_series(self, wanted: Collection[tuple[int, str]]) -> tuple[SeriesDefinition, ...]:
        """Give series ids to (device id, quantity) pairs that lack one; in service intake's alone.

        Returns the definitions of all wanted pairs, new or not. Raises KeyError for an unknown
        device id or quantity.
        """
        pairs = list(wanted)
        for _, quantity in pairs:
            QUANTITIES[quantity]
        with writing(self._database) as connection:
            revision = _raise_revision(connection)
            device_rows.check_known(connection, {device for device, _ in pairs})
            if not device_rows.store_series(connection, pairs, revision):
                connection.rollback()
        snapshot = self.snapshot()
        return tuple(snapshot.definitions[snapshot.series[pair]] for pair in pairs)

    def install_unit(
        self, device: int, draft: UnitDraft, now: int, *, final_reading: float | None = None
    ) -> Unit:
        """Put hardware into a device (or replace it) from ``now`` on; its series stay.

        ``final_reading`` (m3) is what the meter that is taken out showed. Raises KeyError for an
        unknown device id, UnitError for an installation that cannot be.
        """
        with self._changing(device) as connection:
            return units.install(connection, device, draft, now, final_reading=final_reading)

    def remove_unit(self, device: int, now: int) -> bool:
        """Take the hardware out of a device; False if there was none."""
        with self._changing(device) as connection:
            return units.remove(connection, device, now)

    def correct_unit(self, device: int, draft: UnitDraft) -> Unit | None:
        """Mend what was noted wrongly of the unit in service; None where there is none.

        Raises KeyError for an unknown device id, UnitError for what cannot be.
        """
        with self._changing(device) as connection:
            return units.correct(connection, device, draft)

    def units(self, device: int) -> tuple[Unit, ...]:
        """All hardware that was ever in the device, oldest first."""
        with self._database.connect() as connection:
            return units.history(connection, device)

    def add_datum(self, device: int, given: Datum) -> bool:
        """Note from when on a device's heights are measured from somewhere else.

        What was stored before stays as it is. False if it stands there already; one with the same
        ``since`` is corrected; a height that is None is what it was then. Raises KeyError for an
        unknown device id, DatumError for a datum that cannot be.
        """
        with self._changing(device) as connection:
            is_changed = datum_history.add(connection, device, given)
            if not is_changed:
                connection.rollback()
            return is_changed

    def plan_maintenance(
        self, device: int, *, starts_at: int, ends_at: int, reason: str, noted_by: str, now: int
    ) -> Maintenance:
        """Note that staff work at a device in [starts_at, ends_at), ms UTC.

        Raises KeyError for an unknown device id, MaintenanceError for a window that cannot be.
        """
        with self._changing(device) as connection:
            return maintenance.plan(
                connection,
                device,
                starts_at=starts_at,
                ends_at=ends_at,
                reason=reason,
                noted_by=noted_by,
                now=now,
            )

    def cancel_maintenance(self, device: int, window: int, now: int) -> Maintenance | None:
        """End a window of the device now; None if it has none of this id that is still to end."""
        with self._changing(device) as connection:
            cancelled = maintenance.cancel(connection, device, window, now)
            if cancelled is None:
                connection.rollback()
            return cancelled

    def put_area(self, area: Area) -> bool:
        """Add or describe an area; False if it stands so. Raises PlaceError."""
        return self._put_place(lambda connection: places.put_area(connection, area))

    def put_site(self, site: Site) -> bool:
        """Add or describe a site; False if it stands so. Raises PlaceError."""
        return self._put_place(lambda connection: places.put_site(connection, site))

    def set_credential(self, device: int, password_line: str, now: int) -> None:
        """Let the unit in service log in with this line of `devices.credentials`."""
        with self._changing(device) as connection:
            units.set_credential(connection, device, password_line, now)

    def set_credentials(self, password_lines: Mapping[int, str], now: int) -> None:
        """The same for many devices (by id), all or none; a few hundred at once."""
        if not password_lines:
            return
        with writing(self._database) as connection:
            _raise_revision(connection)
            device_rows.check_known(connection, set(password_lines))
            for device, line in password_lines.items():
                units.set_credential(connection, device, line, now)

    def credentials(self) -> tuple[Credential, ...]:
        """What the broker's password file must hold for the devices in service."""
        with self._database.connect() as connection:
            return units.credentials(connection)

    def bump_revision(self) -> int:
        """Raise the revision for a change kept elsewhere (rules): all readers look again."""
        with writing(self._database) as connection:
            return _raise_revision(connection)

    @contextmanager
    def _changing(self, device: int) -> Iterator[Connection]:
        with writing(self._database) as connection:
            _raise_revision(connection)
            device_rows.check_known(connection, {device})
            yield connection

    def _put_place(self, put: Callable[[Connection], bool]) -> bool:
        with writing(self._database) as connection:
            _raise_revision(connection)
            is_changed = put(connection)
            if not is_changed:
                connection.rollback()
            return is_changed


@contextmanager
def _reading_one_moment(database: Engine) -> Iterator[Connection]:
    """A read transaction whose SELECTs all see the same moment, as SQLite's do by themselves."""
    is_postgresql = database.dialect.name == "postgresql"
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if is_postgresql else {}
    with database.connect().execution_options(**options) as connection:
        yield connection


def _raise_revision(connection: Connection) -> int:
    """The next revision. Locks its row until commit: changes are made one after another."""
    row = {"id": 1, "revision": 0}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(tables.registry_revision).values(row).on_conflict_do_nothing()
    )
    raised = update(tables.registry_revision).values(
        revision=tables.registry_revision.c.revision + 1
    )
    return int(
        connection.execute(raised.returning(tables.registry_revision.c.revision)).scalar_one()
    )


def _check_gateways(drafts: Sequence[DeviceDraft], known: Mapping[str, Mapping[str, Any]]) -> None:
    kinds = {name: row["kind"] for name, row in known.items()} | {d.name: d.kind for d in drafts}
    for draft in drafts:
        if draft.gateway is not None and kinds.get(draft.gateway) != "gateway":
            fault = Fault("gateway", draft.gateway, "no registered gateway has this name")
            raise DraftError(draft.name, (fault,))


def _note_units(
    connection: Connection, drafts: Sequence[DeviceDraft], ids: Mapping[str, int], now: int
) -> bool:
    said = {
        ids[draft.name]: unit
        for draft in drafts
        if (unit := device_rows.unit_of(draft)) is not None
    }
    try:
        return units.note(connection, said, now)
    except NotedUnitError as error:
        name = next(draft.name for draft in drafts if ids[draft.name] == error.device)
        raise DraftError(name, (Fault(error.column, error.value, error.reason),)) from None
