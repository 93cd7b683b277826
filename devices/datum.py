"""What the heights of a station are measured from, and since when: never one value for ever.

A staff is set anew after a flood, a bridge sinks, a sensor is mounted on another pole: a datum
holds from its moment on, and what was computed with the one before stays as it was stored.

    datum 1  |———————————)
    datum 2              |———————————…
             since       since

Functions over an open connection; `devices.registry` brings the transaction and its revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from devices import tables

_HIGHEST_M: Final = 4_000.0  # above Mount Fuji, and below the deepest quay
_LARGEST_MOUNTING_M: Final = 200.0


@dataclass(frozen=True, slots=True)
class Datum:
    """From ``since`` (ms UTC, inclusive) until the next one's.

    ``gauge_zero_m``: elevation of the staff's zero, T.P. (Tokyo Peil) m. ``mounting_height_m``: the
    sensor above that zero, or above the road or the field where there is no staff. None: unknown.
    """

    since: int
    gauge_zero_m: float | None
    mounting_height_m: float | None


class DatumError(ValueError):
    """A datum that cannot be; the person is shown the message, nothing was written."""


def at(datums: Iterable[Datum], moment: int) -> Datum | None:
    """The one that held at a moment, of datums oldest first; None before the first."""
    found = None
    for datum in datums:
        if datum.since > moment:
            break
        found = datum
    return found


def merged(datums: Iterable[Datum], new: Datum) -> tuple[Datum, ...]:
    """With one more, oldest first; one of the same moment gives way to it."""
    by_since = {datum.since: datum for datum in datums} | {new.since: new}
    return tuple(by_since[since] for since in sorted(by_since))


def add(connection: Connection, device: int, datum: Datum) -> bool:
    """Note a datum of the device, or correct the one of the same moment; False: it stood there."""
    _check(datum)
    table = tables.datum
    this = (table.c.device == device) & (table.c.since == datum.since)
    found = connection.execute(select(table).where(this)).one_or_none()
    if found is not None and from_row(found) == datum:
        return False
    heights = {
        "gauge_zero_m": datum.gauge_zero_m,
        "mounting_height_m": datum.mounting_height_m,
        "changed_in": tables.PRESENT_REVISION,
    }
    if found is None:
        connection.execute(insert(table).values(device=device, since=datum.since, **heights))
    else:
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


def _check(datum: Datum) -> None:
    zero, height = datum.gauge_zero_m, datum.mounting_height_m
    if zero is not None and not (isfinite(zero) and abs(zero) <= _HIGHEST_M):
        raise DatumError(f"gauge_zero_m {zero!r}: metres from -{_HIGHEST_M:g} to {_HIGHEST_M:g}")
    if height is not None and not (isfinite(height) and abs(height) <= _LARGEST_MOUNTING_M):
        limit = f"{_LARGEST_MOUNTING_M:g}"
        raise DatumError(f"mounting_height_m {height!r}: metres from -{limit} to {limit}")
