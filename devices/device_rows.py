"""The rows of devices and of their series: functions over an open connection.

`devices.registry` brings the transaction and its revision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from devices import open_data, tables
from devices.drafts import DeviceDraft, normal_interval_s
from devices.kinds import KINDS
from devices.units import UnitDraft

_FEW: Final = 500  # devices that are still named one by one in a query


def rows_by_name(connection: Connection) -> dict[str, dict[str, Any]]:
    """All devices by name, as they are stored."""
    rows = connection.execute(select(tables.device))
    return {row.name: dict(row._mapping) for row in rows}


def ids_by_name(connection: Connection) -> dict[str, int]:
    """The ids of all devices."""
    rows = connection.execute(select(tables.device.c.name, tables.device.c.id))
    return {row.name: row.id for row in rows}


def check_known(connection: Connection, devices: Collection[int]) -> None:
    """Raise KeyError for the smallest id that no device has."""
    known = connection.execute(select(tables.device.c.id)).scalars()
    if strangers := set(devices).difference(known):
        raise KeyError(min(strangers))


def columns_of(draft: DeviceDraft) -> dict[str, Any]:
    """What the draft makes of a device, with the defaults of its kind."""
    interval_s = draft.interval_s or normal_interval_s(draft) or KINDS[draft.kind].interval_s
    intervals = _intervals(draft, interval_s)
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
        "intervals": intervals,
        "active_from": draft.active_from,
        "silence_after_s": draft.silence_after_s or default_silence_s(draft.kind, interval_s),
        "thresholds": {stage: float(value) for stage, value in draft.thresholds.items()},
        "tags": list(draft.tags),
        "gateway": draft.gateway,
        "owner": draft.owner,
        "open_data": draft.open_data or open_data.default_for(draft.kind),
        "decommissioned_at": None,
    }


def default_silence_s(kind: str, interval_s: int) -> float:
    """After how many seconds without a word a device counts as silent, where nobody said it."""
    return interval_s * KINDS[kind].silence_factor


def unit_of(draft: DeviceDraft) -> UnitDraft | None:
    """What the draft says of the unit in service; None: nothing."""
    unit = UnitDraft(
        draft.serial_number, draft.dev_eui, draft.model, draft.rollover_at, codec=draft.codec
    )
    return None if unit == UnitDraft() else unit


def heights_of(draft: DeviceDraft) -> tuple[float | None, float | None] | None:
    """Gauge zero and mounting height as the draft says them; None: it says neither."""
    heights = (draft.gauge_zero_m, draft.mounting_height_m)
    return None if heights == (None, None) else heights


def store(
    connection: Connection,
    drafts: Sequence[DeviceDraft],
    known: Mapping[str, Mapping[str, Any]],
    revision: int,
    now: int,
) -> bool:
    """Insert and update; False if every draft stood there already."""
    rows = {draft.name: columns_of(draft) for draft in drafts}  # of two drafts the last one holds
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


def store_series(
    connection: Connection, wanted: Collection[tuple[int, str]], revision: int
) -> bool:
    """Give an id to each (device id, quantity) that lacks one; False if none did."""
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


def _intervals(draft: DeviceDraft, interval_s: int) -> dict[str, int]:
    """Both states where there are two."""
    active = draft.intervals.get("active")
    return {} if active is None else {"normal": interval_s, "active": active}
