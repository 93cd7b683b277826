"""The outbox in SQL: queued → sending → sent, or failed, or queued again.

Refuses to know channels' protocols and texts. Each call is one short transaction, durable when it
returns.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, select, update

from alerts.ledger import AlarmBook, Delivery, as_delivery, deliveries
from alerts.lifecycle import State
from alerts.tables import delivery, transition
from alerts.transitions import NORMAL, Transition
from devices.database import writing


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is now being sent, its transition, its recipient's language.

    ``now_stage`` is the present stage of its alarm.
    """

    delivery: Delivery
    transition: Transition
    language: str
    now_stage: str


class Outbox:
    """Deliveries of the alerts process, which alone writes them after they are queued."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._book = AlarmBook(database)

    def recover(self, channels: Collection[str], repeatable: Collection[str], now: int) -> int:
        """After a start: try again what was being sent; returns how many there were.

        Where the channel is not in ``repeatable`` (the receiver could not recognise a repetition)
        the delivery is marked as maybe repeated. What waits for a channel that is not configured
        any more has failed, and says so.
        """
        sending = delivery.c.state == "sending"
        with writing(self._database) as connection:
            connection.execute(
                update(delivery)
                .where(sending, delivery.c.channel.not_in(repeatable))
                .values(maybe_repeated=True)
            )
            found = connection.execute(
                update(delivery).where(sending).values(state="queued", next_attempt_at=now)
            )
            connection.execute(
                update(delivery)
                .where(delivery.c.state == "queued", delivery.c.channel.not_in(channels))
                .values(state="failed", last_error="the channel is not configured any more")
            )
        return found.rowcount

    def claim(self, channel: str, now: int, limit: int) -> list[Claimed]:
        """Mark up to ``limit`` due deliveries of a channel as being sent, the oldest first."""
        is_due = self._is_due(channel, now)
        with self._database.connect() as connection:
            if connection.scalar(select(delivery.c.id).where(is_due).limit(1)) is None:
                return []
        with writing(self._database) as connection:
            query = deliveries().where(is_due).order_by(delivery.c.id).limit(limit)
            rows = [as_delivery(row) for row in connection.execute(query)]
            connection.execute(
                update(delivery)
                .where(delivery.c.id.in_([row.id for row in rows]))
                .values(state="sending", attempts=delivery.c.attempts + 1)
            )
        return [self._claimed(row) for row in rows]

    def next_due_at(self, channel: str) -> int | None:
        """When the next queued delivery of a channel is due (int ms UTC); None if none waits."""
        query = select(func.min(delivery.c.next_attempt_at)).where(
            delivery.c.state == "queued", delivery.c.channel == channel
        )
        with self._database.connect() as connection:
            due: int | None = connection.scalar(query)
            return due

    def note_sent(self, delivery_id: int, now: int) -> None:
        """The receiver has taken it."""
        self._note(delivery_id, state="sent", sent_at=now, last_error=None)

    def note_failed(self, delivery_id: int, error: str) -> None:
        """It cannot be delivered, and trying again does not help."""
        self._note(delivery_id, state="failed", last_error=error)

    def note_retry(self, delivery_id: int, error: str, next_attempt_at: int) -> None:
        """It may be delivered later."""
        self._note(delivery_id, state="queued", last_error=error, next_attempt_at=next_attempt_at)

    def counts(self) -> dict[str, int]:
        """How many deliveries are queued, and being sent."""
        query = (
            select(delivery.c.state, func.count())
            .where(delivery.c.state.in_(("queued", "sending")))
            .group_by(delivery.c.state)
        )
        with self._database.connect() as connection:
            found = {str(state): int(n) for state, n in connection.execute(query)}
        return {"queued": 0, "sending": 0} | found

    def _note(self, delivery_id: int, **values: object) -> None:
        with writing(self._database) as connection:
            connection.execute(
                update(delivery).where(delivery.c.id == delivery_id).values(**values)
            )

    @staticmethod
    def _is_due(channel: str, now: int) -> ColumnElement[bool]:
        return (
            (delivery.c.state == "queued")
            & (delivery.c.channel == channel)
            & (delivery.c.next_attempt_at <= now)
        )

    def _claimed(self, row: Delivery) -> Claimed:
        with self._database.connect() as connection:  # a correction may have moved it
            mine = select(transition.c.alarm).where(transition.c.id == row.transition)
            alarm_id: str = connection.execute(mine).scalar_one()
        found = [
            c.transition
            for c in self._book.transitions(alarm_id)
            if c.transition.id == row.transition
        ]
        alarm = self._book.alarm(alarm_id)
        is_active = alarm is not None and alarm.state == State.ACTIVE
        now_stage = alarm.stage if alarm is not None and is_active else NORMAL
        return Claimed(row, found[0], row.language or "ja", now_stage)
