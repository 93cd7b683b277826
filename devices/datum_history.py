"""The table of datums (`devices.datum`): functions over an open connection.

`devices.registry` brings the transaction and its revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from devices import tables
from devices.datum import Datum, DatumError, at, faults

FROM_THE_BEGINNING: Final = 0
"""Since when the first datum holds that somebody notes of a device without saying since when."""


def add(connection: Connection, device: int, given: Datum) -> bool:
    """Note a datum of the device, or correct the one of the same moment; False: it stood there.

    A height that is None is what it was at that moment.
    """
    _checked(given.gauge_zero_m, given.mounting_height_m)
    before = at(history(connection, device), given.since)
    datum = Datum(given.since, *_completed(given, before))
    if before == datum:
        return False
    table = tables.datum
    heights = {
        "gauge_zero_m": datum.gauge_zero_m,
        "mounting_height_m": datum.mounting_height_m,
        "changed_in": tables.PRESENT_REVISION,
    }
    if before is None or before.since != datum.since:
        connection.execute(insert(table).values(device=device, since=datum.since, **heights))
    else:
        this = (table.c.device == device) & (table.c.since == datum.since)
        connection.execute(update(table).where(this).values(**heights))
    return True


def history(connection: Connection, device: int) -> tuple[Datum, ...]:
    """All datums of the device, oldest first."""
    of_device = select(tables.datum).where(tables.datum.c.device == device)
    rows = connection.execute(of_device.order_by(tables.datum.c.since))
    return tuple(map(from_row, rows))


def from_row(row: Row[Any]) -> Datum:
    """The datum of a row of its table."""
    return Datum(row.since, row.gauge_zero_m, row.mounting_height_m)


Heights = tuple[float | None, float | None]
"""Gauge zero and mounting height, m."""


def note(connection: Connection, heights: Mapping[int, Heights], now: int) -> bool:
    """Let these heights of devices (by id) hold from now on; None leaves what is noted.

    The first ones of a device hold from the beginning: nobody knew others. False: all hold already.
    """
    if not heights:
        return False
    known: dict[int, list[Datum]] = {}
    for row in connection.execute(select(tables.datum).order_by(tables.datum.c.since)):
        known.setdefault(row.device, []).append(from_row(row))
    first: list[dict[str, Any]] = []
    is_changed = False
    for device, given in heights.items():
        zero_m, height_m = _checked(*given)
        if device not in known:
            first.append(
                {
                    "device": device,
                    "since": FROM_THE_BEGINNING,
                    "gauge_zero_m": zero_m,
                    "mounting_height_m": height_m,
                }
            )
        else:
            newest, wanted = known[device][-1], Datum(now, zero_m, height_m)
            if _completed(wanted, newest) != _heights(newest):
                is_changed |= add(connection, device, wanted)
    if first:
        connection.execute(insert(tables.datum).values(changed_in=tables.PRESENT_REVISION), first)
    return is_changed or bool(first)


def _checked(gauge_zero_m: float | None, mounting_height_m: float | None) -> Heights:
    for name, value, reason in faults(gauge_zero_m, mounting_height_m):
        raise DatumError(f"{name} {value!r}: {reason}")
    return gauge_zero_m, mounting_height_m


def _completed(given: Datum, before: Datum | None) -> Heights:
    zero, height = _heights(before)
    return (
        zero if given.gauge_zero_m is None else given.gauge_zero_m,
        height if given.mounting_height_m is None else given.mounting_height_m,
    )


def _heights(datum: Datum | None) -> Heights:
    return (None, None) if datum is None else (datum.gauge_zero_m, datum.mounting_height_m)
