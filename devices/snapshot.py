"""The registry as it stood at one revision, and how it becomes that of a later one.

A change keeps its revision with each row that it touched (``changed_in``), so that a process that
looks again reads only what is new. Refuses to know how changes are made (`devices.registry`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, Table, select

from devices import datum_history, maintenance, places, tables, units
from devices.datum import Datum, merged
from devices.frames import SeriesDefinition
from devices.kinds import KINDS
from devices.maintenance import Maintenance
from devices.open_data import OpenData
from devices.payload import QUANTITY_CODES
from devices.places import Area, Site
from devices.units import Unit

NO_SERIES: Final = -1


@dataclass(frozen=True, slots=True)
class Device:
    """A place in service. The hardware in it is a unit (`devices.units`).

    ``intervals`` has both of ``normal`` and ``active`` (seconds), or is empty: the device always
    reports each ``interval_s``. It is active from ``active_from`` of its main quantity on (None:
    from its lowest threshold).
    """

    id: int
    name: str
    kind: str
    label: str
    label_en: str
    site: str
    area: str
    latitude: float | None
    longitude: float | None
    interval_s: int
    silence_after_s: float
    thresholds: Mapping[str, float]
    tags: tuple[str, ...]
    gateway: str | None
    owner: str | None
    registered_at: int
    decommissioned_at: int | None
    intervals: Mapping[str, int] = field(default_factory=dict)
    active_from: float | None = None
    open_data: OpenData = "none"

    @property
    def silence_after_active_s(self) -> float | None:
        """As ``silence_after_s`` while it is active; None where that makes no difference."""
        active = self.intervals.get("active")
        return None if active is None else active * KINDS[self.kind].silence_factor

    @property
    def is_active_from(self) -> float | None:
        """The value of its main quantity from which it is active; None: nobody said."""
        if self.active_from is not None:
            return self.active_from
        return min(self.thresholds.values(), default=None)


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The whole registry as it stood at one revision; never changes.

    ``series`` maps (device id, quantity) to the series id, ``definitions`` the series id to what it
    is. Decommissioned devices are in it: their series stay explicable. ``unit_in`` is the hardware
    in service by device id, ``units`` that of devices in service by DevEUI (upper case), ``datums``
    what a device's heights are measured from, ``maintenance`` when staff work at it, both by its id
    and oldest first; ``areas`` and ``sites`` are by name.
    """

    revision: int
    devices: Mapping[int, Device]
    by_name: Mapping[str, Device]
    series: Mapping[tuple[int, str], int]
    definitions: Mapping[int, SeriesDefinition]
    unit_in: Mapping[int, Unit] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    datums: Mapping[int, tuple[Datum, ...]] = field(default_factory=dict)
    maintenance: Mapping[int, tuple[Maintenance, ...]] = field(default_factory=dict)
    areas: Mapping[str, Area] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)


EMPTY: Final = RegistrySnapshot(0, {}, {}, {}, {})
"""The registry before its first change."""


def series_by_code(snapshot: RegistrySnapshot) -> NDArray[np.int32]:
    """Series ids as a matrix [device id, quantity code of `devices.payload`], NO_SERIES where none.

    Rows 0..highest device id. Looking up a whole batch is one indexing of this.
    """
    rows = max(snapshot.devices, default=-1) + 1
    matrix = np.full((rows, len(QUANTITY_CODES)), NO_SERIES, np.int32)
    for (device, quantity), series in snapshot.series.items():
        code = QUANTITY_CODES.get(quantity)
        if code is not None:  # no message carries what the installation says of itself
            matrix[device, code] = series
    return matrix


def present_revision(connection: Connection) -> int:
    """The revision that the database is at; 0 before the first change."""
    found = connection.execute(select(tables.registry_revision.c.revision)).scalar()
    return found or 0


def advance(last: RegistrySnapshot, connection: Connection) -> RegistrySnapshot:
    """The snapshot after ``last``, from the rows that changed in between.

    ``connection`` must show one moment: all its SELECTs the same state of the database.
    """
    revision = present_revision(connection)
    if revision == last.revision:
        return last
    rows = connection.execute(_later(tables.device, last.revision))
    changed = {row.id: _device(row) for row in rows}
    devices = {**last.devices, **changed}
    series, definitions = _advance_series(last, connection, devices, changed)
    unit_in = _advance_units(last, connection)
    return RegistrySnapshot(
        revision,
        devices,
        {device.name: device for device in devices.values()},
        series,
        definitions,
        unit_in,
        _units_by_dev_eui(unit_in, devices),
        _advance_datums(last, connection),
        _advance_maintenance(last, connection),
        dict(last.areas)
        | {row.name: places.area_from_row(row) for row in _changes(tables.area, last, connection)},
        dict(last.sites)
        | {row.name: places.site_from_row(row) for row in _changes(tables.site, last, connection)},
    )


def _advance_series(
    last: RegistrySnapshot,
    connection: Connection,
    devices: Mapping[int, Device],
    changed: Mapping[int, Device],
) -> tuple[dict[tuple[int, str], int], dict[int, SeriesDefinition]]:
    series = dict(last.series)
    definitions = dict(last.definitions)
    for row in connection.execute(_later(tables.series, last.revision)):
        series[row.device, row.quantity] = row.id
        definitions[row.id] = _definition(row.id, devices[row.device], row.quantity)
    for (device, quantity), number in last.series.items():
        if device in changed:  # its name or kind may be another now
            definitions[number] = _definition(number, changed[device], quantity)
    return series, definitions


def _advance_units(last: RegistrySnapshot, connection: Connection) -> dict[int, Unit]:
    """Oldest rows first: of a replacement the unit that goes comes before the one that stays."""
    unit_in = dict(last.unit_in)
    changed = _later(tables.unit, last.revision).with_only_columns(*units.COLUMNS)
    for row in connection.execute(changed):
        unit = units.from_row(row)
        if unit.removed_at is None:
            unit_in[unit.device] = unit
        else:
            unit_in.pop(unit.device, None)
    return unit_in


def _units_by_dev_eui(
    unit_in: Mapping[int, Unit], devices: Mapping[int, Device]
) -> dict[str, Unit]:
    return {
        unit.dev_eui: unit
        for unit in unit_in.values()
        if unit.dev_eui is not None and devices[unit.device].decommissioned_at is None
    }


def _advance_datums(last: RegistrySnapshot, connection: Connection) -> dict[int, tuple[Datum, ...]]:
    datums = dict(last.datums)
    for row in connection.execute(_later(tables.datum, last.revision)):
        datums[row.device] = merged(datums.get(row.device, ()), datum_history.from_row(row))
    return datums


def _advance_maintenance(
    last: RegistrySnapshot, connection: Connection
) -> dict[int, tuple[Maintenance, ...]]:
    windows = dict(last.maintenance)
    changed = _later(tables.maintenance, last.revision).with_only_columns(*maintenance.COLUMNS)
    for row in connection.execute(changed):
        new = maintenance.from_row(row)
        others = (window for window in windows.get(new.device, ()) if window.id != new.id)
        windows[new.device] = tuple(sorted((*others, new), key=lambda w: (w.starts_at, w.id)))
    return windows


def _changes(table: Table, last: RegistrySnapshot, connection: Connection) -> Iterable[Row[Any]]:
    return connection.execute(_later(table, last.revision))


def _later(table: Table, revision: int) -> Select[Any]:
    return select(table).where(table.c.changed_in > revision).order_by(table.c.id)


def _definition(series: int, device: Device, quantity: str) -> SeriesDefinition:
    return SeriesDefinition(series, device.id, device.name, device.kind, quantity)


def _device(row: Row[Any]) -> Device:
    columns = dict(row._mapping)
    del columns["changed_in"]
    columns["tags"] = tuple(columns["tags"])
    return Device(**columns)
