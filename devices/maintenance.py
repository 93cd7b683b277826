"""Windows of maintenance: when staff work at a device, and why. Refuses to know alarms.

Functions over an open connection; `devices.registry` brings the transaction and its revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from devices import tables
from devices.outcomes import shown

_LONGEST_MS: Final = 366 * 86_400_000
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Work at the device with registry id ``device`` in [starts_at, ends_at), ms UTC.

    ``noted_by`` is a person's name, empty for the command line. A cancelled one does not count from
    ``cancelled_at`` on: what was done under it before stays explicable.
    """

    id: int
    device: int
    starts_at: int
    ends_at: int
    reason: str
    noted_by: str
    noted_at: int
    cancelled_at: int | None = None

    def holds_at(self, moment: int) -> bool:
        """Whether work goes on at this moment."""
        end = self.ends_at if self.cancelled_at is None else min(self.ends_at, self.cancelled_at)
        return self.starts_at <= moment < end


class MaintenanceError(ValueError):
    """A window that cannot be; the person is shown the message, nothing was written."""


def at(windows: Iterable[Maintenance], moment: int) -> Maintenance | None:
    """One of the windows that hold at a moment; None: nobody works there."""
    return next((window for window in windows if window.holds_at(moment)), None)


def plan(
    connection: Connection,
    device: int,
    *,
    starts_at: int,
    ends_at: int,
    reason: str,
    noted_by: str,
    now: int,
) -> Maintenance:
    """Note a window. Raises MaintenanceError for one that is over, endless or without a reason."""
    if not starts_at < ends_at:
        raise MaintenanceError("ends_at: must be after starts_at")
    if ends_at <= now:
        raise MaintenanceError("ends_at: is over; what was is not changed afterwards")
    if ends_at - starts_at > _LONGEST_MS:
        raise MaintenanceError("ends_at: at most 366 days after starts_at; note the next one then")
    if not reason or len(reason) > _MAX_TEXT or not reason.isprintable():
        raise MaintenanceError(f"reason {shown(reason)}: 1 to {_MAX_TEXT} printable characters")
    row = {
        "device": device,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "reason": reason,
        "noted_by": noted_by,
        "noted_at": now,
        "changed_in": tables.PRESENT_REVISION,
    }
    made = connection.execute(insert(tables.maintenance).values(row).returning(*COLUMNS))
    return from_row(made.one())


def cancel(connection: Connection, device: int, window: int, now: int) -> Maintenance | None:
    """Let a window of the device end now (or never begin); None if none is still to end."""
    table = tables.maintenance
    is_open = table.c.cancelled_at.is_(None) & (table.c.ends_at > now)
    done = connection.execute(
        update(table)
        .where(table.c.id == window, table.c.device == device, is_open)
        .values(cancelled_at=now, changed_in=tables.PRESENT_REVISION)
        .returning(*COLUMNS)
    ).one_or_none()
    return None if done is None else from_row(done)


def history(connection: Connection, device: int) -> tuple[Maintenance, ...]:
    """All windows of the device, oldest first."""
    rows = connection.execute(
        select(*COLUMNS)
        .where(tables.maintenance.c.device == device)
        .order_by(tables.maintenance.c.starts_at, tables.maintenance.c.id)
    )
    return tuple(map(from_row, rows))


COLUMNS: Final = tuple(c for c in tables.maintenance.c if c.name != "changed_in")
"""What is read of a window."""


def from_row(row: Row[Any]) -> Maintenance:
    """The window of a row of `COLUMNS`."""
    return Maintenance(**row._mapping)
