"""Messages that staff took out of quarantine, on their way through intake once more.

Web writes the rows, intake takes them lane by lane and notes each as done; what is already in the
journal under a row's number is known from there (`LaneState.resubmitted`), so a crash between the
journal and this table repeats nothing. Refuses to know why a message was refused.

Numbers are given when a transaction begins to write and seen when it ends, so on PostgreSQL a lower
one may appear after a higher one. Hence no "last row taken", but a row for each that is done::

    resubmission   1  2  3  4  5  ·  7        (6: written, not committed yet)
    done                 3  4  5     7
                      ▲ floor: all up to here is done for an hour or longer, and forgotten
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    delete,
    func,
    insert,
    select,
    update,
)

from devices.database import writing
from devices.frames import Lane
from ingest.messages import RESUBMISSION, Arrival
from ingest.tables import intake_position, resubmission, resubmission_done

AT_ONCE: Final = 200
AT_ONCE_BYTES: Final = 8 << 20
FORGET_AFTER_MS: Final = 3_600_000
"""Longer than any transaction that writes a row may take."""
_NAME: Final = "resubmission"


@dataclass(frozen=True, slots=True)
class Resubmission:
    """One message to be taken in again, with the time at which it first came."""

    id: int
    topic: str
    payload: bytes
    received_at: int
    network: str = ""

    def as_arrival(self) -> Arrival:
        """The same as a message of a connection of its own."""
        return Arrival(
            f"{RESUBMISSION}{self.id}",
            [self.topic.encode()],
            [self.payload],
            np.zeros(1, np.uint16),
            (),
            np.array([self.received_at], np.int64),
            self.network,
        )


def waiting(database: Engine, lane: Lane) -> list[Resubmission]:
    """The next rows of a lane: at most AT_ONCE, and AT_ONCE_BYTES of payload or one row."""
    table = resubmission
    with database.connect() as connection:
        sizes = connection.execute(
            _waiting(connection, table.c.id, func.length(table.c.payload))
            .where(table.c.lane == lane.value)
            .order_by(table.c.id)
            .limit(AT_ONCE)
        )
        chosen: list[int] = []
        size = 0
        for id_, length in sizes:
            size += length
            if chosen and size > AT_ONCE_BYTES:
                break
            chosen.append(id_)
        rows = connection.execute(
            select(table.c.id, table.c.topic, table.c.payload, table.c.received_at, table.c.network)
            .where(table.c.id.in_(chosen))
            .order_by(table.c.id)
        )
        return [Resubmission(*row) for row in rows]


def note_done(database: Engine, rows: Collection[int], now: int) -> None:
    """Remember that these are in the journal; ``now`` in ms UTC."""
    table = resubmission_done
    with writing(database) as connection:
        known = set(connection.execute(select(table.c.id).where(table.c.id.in_(rows))).scalars())
        new = [{"id": row, "at": now} for row in sorted(set(rows) - known)]
        if new:
            connection.execute(insert(table), new)


def forget_done(database: Engine, now: int) -> None:
    """Raise the floor over what has been done for long, so that looking stays cheap."""
    done = resubmission_done
    with writing(database) as connection:
        passed = connection.execute(
            select(func.max(done.c.id)).where(done.c.at < now - FORGET_AFTER_MS)
        ).scalar()
        if passed is None:
            return
        oldest = connection.execute(_waiting(connection, func.min(resubmission.c.id))).scalar()
        floor = passed if oldest is None else min(passed, oldest - 1)
        _raise_floor(connection, floor)
        connection.execute(delete(done).where(done.c.id <= floor))


def _waiting(connection: Connection, *columns: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    is_done = select(resubmission_done.c.id).where(resubmission_done.c.id == resubmission.c.id)
    return select(*columns).where(resubmission.c.id > _floor(connection), ~is_done.exists())


def _floor(connection: Connection) -> int:
    query = select(intake_position.c.done).where(intake_position.c.name == _NAME)
    return connection.execute(query).scalar() or 0


def _raise_floor(connection: Connection, floor: int) -> None:
    table = intake_position
    changed = connection.execute(update(table).where(table.c.name == _NAME).values(done=floor))
    if not changed.rowcount:
        connection.execute(insert(table).values(name=_NAME, done=floor))
