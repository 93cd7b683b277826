"""Tells admitted devices that they are, by retained messages, until they have come in.

Web writes the answers (`devices.provisioning_tables`), intake alone publishes: it has the broker's
ear. What is published may be lost with the connection, so it is published again::

    accepted ─▶ answer ─ answer ─ answer ─▶ heard ─▶ empty ─ empty (the broker forgets it)
                 each AGAIN_MS                        for CLEAR_MS

Refuses to know MQTT and who accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine, or_, select

from devices import enrolment
from devices.provisioning_tables import enrolment_answer

AGAIN_MS: Final = 60_000
CLEAR_MS: Final = 600_000
GIVE_UP_MS: Final = 14 * 86_400_000
"""An answer that nobody came for in two weeks is withdrawn; the unit's credential stays."""
_AT_ONCE: Final = 2_000

Publish = Callable[[str, bytes], None]
"""Publish a retained message; lost where there is no connection."""


class AnswerDesk:
    """Which answers are due; ``step`` is to be called each second."""

    def __init__(self, database: Engine, publish: Publish, now: Callable[[], int]) -> None:
        self._database, self._publish, self._now = database, publish, now
        self._said: dict[str, tuple[bytes, int]] = {}

    async def step(self) -> None:
        """Publish what is due."""
        at = self._now()
        wanted = await asyncio.to_thread(self._wanted, at)
        for serial, payload in wanted.items():
            said, said_at = self._said.get(serial, (None, 0))
            if said != payload or at - said_at >= AGAIN_MS:
                self._publish(enrolment.answer_topic(serial), payload)
                self._said[serial] = (payload, at)
        self._said = {serial: said for serial, said in self._said.items() if serial in wanted}

    def _wanted(self, at: int) -> dict[str, bytes]:
        table = enrolment_answer
        is_recent = table.c.accepted_at > at - GIVE_UP_MS - CLEAR_MS
        query = (
            select(table)
            .where(is_recent, or_(table.c.heard_at.is_(None), table.c.heard_at > at - CLEAR_MS))
            .order_by(table.c.accepted_at.desc())
            .limit(_AT_ONCE)
        )
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
        return {
            row.serial: b""
            if row.heard_at is not None or row.accepted_at <= at - GIVE_UP_MS
            else enrolment.answer(row.device, row.kind)
            for row in rows
        }
