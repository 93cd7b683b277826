"""Messages that staff took out of quarantine, on their way through intake once more.

Web writes the rows, intake takes them in order and remembers the last one; what is already in the
journal under a row's number is known from there (`LaneState.resubmitted`), so a crash between the
journal and this table repeats nothing. Refuses to know why a message was refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import Engine, insert, select, update

from devices.database import writing
from ingest.lane import RESUBMISSION, Arrival
from ingest.tables import intake_position, resubmission

AT_ONCE: Final = 500
_NAME: Final = "resubmission"


@dataclass(frozen=True, slots=True)
class Resubmission:
    """One message to be taken in again, with the time at which it first came."""

    id: int
    topic: str
    payload: bytes
    received_at: int

    def as_arrival(self) -> Arrival:
        """The same as a message of a connection of its own."""
        return Arrival(
            f"{RESUBMISSION}{self.id}",
            [self.topic.encode()],
            [self.payload],
            np.zeros(1, np.uint16),
            (),
            np.array([self.received_at], np.int64),
        )


def last_done(database: Engine) -> int:
    """The number of the last row that was taken."""
    query = select(intake_position.c.done).where(intake_position.c.name == _NAME)
    with database.connect() as connection:
        return connection.execute(query).scalar() or 0


def waiting(database: Engine, after: int) -> list[Resubmission]:
    """The next rows after a number, at most AT_ONCE."""
    table = resubmission
    query = select(table.c.id, table.c.topic, table.c.payload, table.c.received_at)
    query = query.where(table.c.id > after).order_by(table.c.id).limit(AT_ONCE)
    with database.connect() as connection:
        return [Resubmission(*row) for row in connection.execute(query)]


def note_done(database: Engine, done: int) -> None:
    """Remember the last row taken."""
    table = intake_position
    with writing(database) as connection:
        changed = connection.execute(
            update(table).where(table.c.name == _NAME).values(done=done)
        ).rowcount
        if not changed:
            connection.execute(insert(table).values(name=_NAME, done=done))
