"""The registry: which devices are in service, where, and which series are theirs.

Refuses to know payloads, readings and rules. Every change raises one revision, kept with each row
that changed, so that a process that looks again reads only what is new.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from devices import datum, tables, units
from devices.database import writing
from devices.datum import Datum
from devices.drafts import DeviceDraft, DraftError, Fault, faults
from devices.frames import SeriesDefinition
from devices.kinds import INSTALLATION, KINDS
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
from devices.units import Credential, Unit, UnitDraft

__all__ = [
    "NO_SERIES",
    "Device",
    "DeviceDraft",
    "DraftError",
    "Registry",
    "RegistrySnapshot",
    "series_by_code",
]

_FEW: Final = 500  # devices that are still named one by one in a query


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
            known = _device_rows(connection)
            _check_gateways(drafts, known)
            is_changed = _store_devices(connection, drafts, known, revision, now)
            ids = _ids_by_name(connection)
            wanted = [(ids[d.name], q) for d in drafts for q in KINDS[d.kind].quantities]
            is_changed |= _store_series(connection, wanted, revision)
            rollovers = {ids[d.name]: d.rollover_at for d in drafts if d.rollover_at is not None}
            is_changed |= units.set_rollovers(connection, rollovers, now)
            if not is_changed:
                connection.rollback()
        return self.snapshot()

    def decommission(self, name: str, now: int) -> bool:
        """Take a device out of service from ``now`` on; False if there is none in service.

        The installation itself cannot be taken out of service.
        """
        if name == INSTALLATION.name:
            return False
        with writing(self._database) as connection:
            revision = _raise_revision(connection)
            done = connection.execute(
                update(tables.device)
                .where(tables.device.c.name == name, tables.device.c.decommissioned_at.is_(None))
                .values(decommissioned_at=now, changed_in=revision)
            )
            if not done.rowcount:
                connection.rollback()
            return bool(done.rowcount)

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
            _check_known(connection, {device for device, _ in pairs})
            if not _store_series(connection, pairs, revision):
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
        with self._changing_unit(device) as connection:
            return units.install(connection, device, draft, now, final_reading=final_reading)

    def remove_unit(self, device: int, now: int) -> bool:
        """Take the hardware out of a device; False if there was none."""
        with self._changing_unit(device) as connection:
            return units.remove(connection, device, now)

    def add_datum(self, device: int, given: Datum) -> bool:
        """Note from when on a device's heights are measured from somewhere else.

        What was stored before stays as it is. False if it stands there already; one with the same
        ``since`` is corrected. Raises KeyError for an unknown device id, DatumError for a datum
        that cannot be.
        """
        with self._changing_unit(device) as connection:
            is_changed = datum.add(connection, device, given)
            if not is_changed:
                connection.rollback()
            return is_changed

    def units(self, device: int) -> tuple[Unit, ...]:
        """All hardware that was ever in the device, oldest first."""
        with self._database.connect() as connection:
            return units.history(connection, device)

    def set_credential(self, device: int, password_line: str, now: int) -> None:
        """Let the unit in service log in with this line of `devices.credentials`."""
        with self._changing_unit(device) as connection:
            units.set_credential(connection, device, password_line, now)

    def credentials(self) -> tuple[Credential, ...]:
        """What the broker's password file must hold for the devices in service."""
        with self._database.connect() as connection:
            return units.credentials(connection)

    def bump_revision(self) -> int:
        """Raise the revision for a change kept elsewhere (rules): all readers look again."""
        with writing(self._database) as connection:
            return _raise_revision(connection)

    @contextmanager
    def _changing_unit(self, device: int) -> Iterator[Connection]:
        with writing(self._database) as connection:
            _raise_revision(connection)
            _check_known(connection, {device})
            yield connection


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


def _device_rows(connection: Connection) -> dict[str, dict[str, Any]]:
    """All devices by name, as they are stored."""
    rows = connection.execute(select(tables.device))
    return {row.name: dict(row._mapping) for row in rows}


def _ids_by_name(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(tables.device.c.name, tables.device.c.id))
    return {row.name: row.id for row in rows}


def _check_known(connection: Connection, devices: Collection[int]) -> None:
    known = connection.execute(select(tables.device.c.id)).scalars()
    if strangers := set(devices).difference(known):
        raise KeyError(min(strangers))


def _check_gateways(drafts: Sequence[DeviceDraft], known: Mapping[str, Mapping[str, Any]]) -> None:
    kinds = {name: row["kind"] for name, row in known.items()} | {d.name: d.kind for d in drafts}
    for draft in drafts:
        if draft.gateway is not None and kinds.get(draft.gateway) != "gateway":
            fault = Fault("gateway", draft.gateway, "no registered gateway has this name")
            raise DraftError(draft.name, (fault,))


def _store_devices(
    connection: Connection,
    drafts: Sequence[DeviceDraft],
    known: Mapping[str, Mapping[str, Any]],
    revision: int,
    now: int,
) -> bool:
    """Insert and update; False if every draft stood there already."""
    rows = {draft.name: _columns(draft) for draft in drafts}  # of two drafts the last one holds
    new = [
        {**row, "registered_at": now, "changed_in": revision}
        for name, row in rows.items()
        if name not in known
    ]
    changed = [
        {**row, "changed_in": revision, "key": name}
        for name, row in rows.items()
        if name in known and any(known[name][column] != value for column, value in row.items())
    ]
    if new:
        connection.execute(insert(tables.device), new)
    if changed:
        by_key = tables.device.c.name == bindparam("key")
        connection.execute(update(tables.device).where(by_key), changed)
    return bool(new or changed)


def _columns(draft: DeviceDraft) -> dict[str, Any]:
    kind = KINDS[draft.kind]
    interval_s = draft.interval_s if draft.interval_s is not None else kind.interval_s
    silence_after_s = draft.silence_after_s
    return {
        "name": draft.name,
        "kind": draft.kind,
        "label": draft.label or draft.name,
        "label_en": draft.label_en or draft.label or draft.name,
        "site": draft.site,
        "area": draft.area,
        "latitude": draft.latitude,
        "longitude": draft.longitude,
        "interval_s": interval_s,
        "silence_after_s": silence_after_s or interval_s * kind.silence_factor,
        "thresholds": {stage: float(value) for stage, value in draft.thresholds.items()},
        "tags": list(draft.tags),
        "gateway": draft.gateway,
        "owner": draft.owner,
        "decommissioned_at": None,
    }


def _store_series(
    connection: Connection, wanted: Collection[tuple[int, str]], revision: int
) -> bool:
    """Give an id to each pair that lacks one; False if none did."""
    table = tables.series
    query = select(table.c.device, table.c.quantity)
    devices = {device for device, _ in wanted}
    if len(devices) <= _FEW:
        query = query.where(table.c.device.in_(devices))
    missing = dict.fromkeys(wanted)
    for row in connection.execute(query):
        missing.pop((row.device, row.quantity), None)
    if missing:
        connection.execute(
            insert(table),
            [{"device": d, "quantity": q, "changed_in": revision} for d, q in missing],
        )
    return bool(missing)
