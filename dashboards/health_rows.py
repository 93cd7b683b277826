"""The rows of the device health tables: read and written by the health work alone.

Short transactions over plain values. Refuses to know what the figures mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Table, delete, func, insert, select

from dashboards.device_said import Gateway, Heard, Said, SaidBook
from dashboards.tables import (
    device_days,
    device_health,
    device_said,
    network_gateway,
    network_reception,
)
from devices import tables
from devices.database import writing
from devices.health.days import DAY_MS
from devices.health.findings import CODES, Finding, Health, rank
from devices.health.history import History, packed, unpacked
from ingest.tables import sequence_gap

_ROWS_A_TRANSACTION: Final = 100
_FORGET_LINKS_MS: Final = 30 * DAY_MS


class Body(msgspec.Struct):
    """What is kept of an assessment; ``course``: (day, level) of the battery, at most 60."""

    health: Health
    findings: tuple[Finding, ...]
    course: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Assessed:
    """What a list needs of a device's assessment; ``order`` sorts worst first."""

    device: int
    assessed_at: int
    severity: int
    codes: tuple[str, ...]
    order: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class InService:
    """A unit's time in a device."""

    model: str | None
    installed_at: int
    removed_at: int | None


def assessed(device: int, body: Body) -> Assessed:
    """The row of a list for an assessment."""
    found = body.findings
    return Assessed(
        device,
        body.health.at,
        found[0].severity if found else 0,
        tuple(dict.fromkeys(one.code for one in found)),
        rank(found),
    )


def load_assessed(database: Engine) -> dict[int, Assessed]:
    """All assessments that are kept, without their figures."""
    columns = (c for c in device_health.c if c.name != "body")
    with database.connect() as connection:
        rows = connection.execute(select(*columns)).all()
    return {row.device: _assessed(row) for row in rows}


def load_bodies(database: Engine, devices: Sequence[int]) -> dict[int, Body]:
    """The assessments of these devices; one that cannot be read (another release) is left out."""
    wanted = device_health.c.device.in_(devices)
    with database.connect() as connection:
        rows = connection.execute(
            select(device_health.c.device, device_health.c.body).where(wanted)
        ).all()
    found = {}
    for row in rows:
        try:
            found[row.device] = msgspec.json.decode(row.body, type=Body)
        except msgspec.DecodeError:
            continue
    return found


def save_bodies(database: Engine, bodies: Mapping[int, Body]) -> None:
    """Keep the assessments of these devices."""
    rows = []
    for device, body in bodies.items():
        row = assessed(device, body)
        dues = [one.due_days for one in body.findings if one.due_days is not None]
        rows.append(
            {
                "device": device,
                "assessed_at": row.assessed_at,
                "severity": row.severity,
                "due_days": min(dues, default=None),
                "codes": ",".join(row.codes),
                "body": msgspec.json.encode(body).decode(),
            }
        )
    _replace(database, device_health, "device", rows)


def load_histories(database: Engine, devices: Sequence[int]) -> dict[int, History]:
    """What is remembered of each of these devices; nothing of a new one."""
    with database.connect() as connection:
        rows = connection.execute(
            select(device_days).where(device_days.c.device.in_(devices))
        ).all()
    kept = {row.device: unpacked(row.body) for row in rows}
    return {device: kept.get(device, History()) for device in devices}


def save_histories(database: Engine, histories: Mapping[int, History]) -> None:
    """Remember these devices' days."""
    rows = [{"device": d, "body": packed(history)} for d, history in histories.items()]
    _replace(database, device_days, "device", rows)


def load_units(database: Engine, devices: Sequence[int]) -> dict[int, list[InService]]:
    """The hardware of these devices, oldest first."""
    unit = tables.unit
    with database.connect() as connection:
        rows = connection.execute(
            select(unit.c.device, unit.c.model, unit.c.installed_at, unit.c.removed_at)
            .where(unit.c.device.in_(devices))
            .order_by(unit.c.installed_at)
        ).all()
    found: dict[int, list[InService]] = {device: [] for device in devices}
    for row in rows:
        found[row.device].append(InService(row.model, row.installed_at, row.removed_at))
    return found


def lost_numbers(database: Engine, devices: Sequence[int], since: int) -> dict[int, int]:
    """How many sequence numbers of each device are missing since then."""
    gap = sequence_gap
    with database.connect() as connection:
        rows = connection.execute(
            select(gap.c.device, func.sum(gap.c.last - gap.c.first + 1).label("lost"))
            .where(gap.c.device.in_(devices), gap.c.is_filled.is_(False), gap.c.at >= since)
            .group_by(gap.c.device)
        ).all()
    return {row.device: int(row.lost) for row in rows}


def load_book(database: Engine, book: SaidBook) -> None:
    """Fill the book with what was saved."""
    with database.connect() as connection:
        for row in connection.execute(select(device_said)):
            try:
                book.said[row.device] = msgspec.json.decode(row.body, type=Said)
            except msgspec.DecodeError:
                continue
        for row in connection.execute(select(network_gateway)):
            book.gateways[row.gateway] = Gateway(
                row.network, row.last_heard_at, row.latitude, row.longitude
            )
        for row in connection.execute(select(network_reception)):
            heard = Heard(row.last_heard_at, row.uplinks, row.rssi, row.snr)
            book.heard.setdefault(row.device, {})[row.gateway] = heard


def save_book(database: Engine, book: SaidBook) -> None:
    """Save what was touched since the last time."""
    devices, links = sorted(book.touched_devices), sorted(book.touched_links)
    said = [{"device": d, "body": msgspec.json.encode(book.said[d]).decode()} for d in devices]
    gateways = [{"gateway": g, **asdict(book.gateways[g])} for g in sorted(book.touched_gateways)]
    _replace(database, device_said, "device", said)
    _replace(database, network_gateway, "gateway", gateways)
    for part in _parts(links):
        with writing(database) as connection:
            for device, gateway in part:
                _put_link(connection, device, gateway, book.heard[device].get(gateway))
    book.touched_devices.clear()
    book.touched_links.clear()
    book.touched_gateways.clear()


def forget_links(database: Engine, now: int) -> None:
    """Forget through which gateways devices were heard a month ago."""
    with writing(database) as connection:
        connection.execute(
            delete(network_reception).where(
                network_reception.c.last_heard_at < now - _FORGET_LINKS_MS
            )
        )


def _put_link(connection: Connection, device: int, gateway: str, heard: Heard | None) -> None:
    mine = (network_reception.c.device == device) & (network_reception.c.gateway == gateway)
    connection.execute(delete(network_reception).where(mine))
    if heard is not None:  # None: others have taken its place
        row = {"device": device, "gateway": gateway, **asdict(heard)}
        connection.execute(insert(network_reception).values(row))


def _replace(database: Engine, table: Table, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for part in _parts(rows):
        with writing(database) as connection:
            keys = [row[key] for row in part]
            connection.execute(delete(table).where(table.c[key].in_(keys)))
            connection.execute(insert(table), list(part))


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A few rows at a time: others want to write too."""
    for at in range(0, len(rows), _ROWS_A_TRANSACTION):
        yield rows[at : at + _ROWS_A_TRANSACTION]


def _assessed(row: Any) -> Assessed:
    codes = tuple(code for code in row.codes.split(",") if code in CODES)
    due = 1 << 30 if row.due_days is None else row.due_days
    order = (-row.severity, due, -len(codes)) if codes else rank(())
    return Assessed(row.device, row.assessed_at, row.severity, codes, order)
