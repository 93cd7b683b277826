"""What goes on after somebody was admitted: late messages, and whether the device has come in.

Refuses to know who admits. Runs beside the pages; an outage of the database is logged once and
passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from devices.database import writing
from devices.outage_note import OutageNote
from devices.provisioning_tables import enrolment_answer
from devices.registry import Registry
from ingest.admitted_past import resubmit_stragglers

log = structlog.get_logger()

LOOK_EVERY_S: Final = 2.0

HeardAt = Callable[[int], int | None]
"""When a device (registry id) was heard last, ms UTC; None: never."""


class AdmissionWatch:
    """Resubmits what intake refused before it knew, and notes that an answer has arrived."""

    def __init__(self, registry: Registry, heard_at: HeardAt, now: Callable[[], int]) -> None:
        self._registry, self._database = registry, registry.database
        self._heard_at, self._now = heard_at, now

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        outage = OutageNote(lambda reason: log.error("web.admissions.outage", reason=reason))
        while True:
            try:
                await self.look()
            except SQLAlchemyError as error:
                outage.note(error)
            else:
                outage.over()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """One look."""
        await asyncio.to_thread(resubmit_stragglers, self._database, self._now())
        unheard = await asyncio.to_thread(self._unheard)
        heard = [
            serial
            for serial, device, accepted_at in unheard
            if (at := self._device_heard_at(device)) is not None and at > accepted_at
        ]
        if heard:
            await asyncio.to_thread(self._note_heard, heard)

    def _device_heard_at(self, name: str) -> int | None:
        device = self._registry.known.by_name.get(name)
        return self._heard_at(device.id) if device is not None else None

    def _unheard(self) -> list[tuple[str, str, int]]:
        table = enrolment_answer
        with self._database.connect() as connection:
            rows = connection.execute(
                select(table.c.serial, table.c.device, table.c.accepted_at).where(
                    table.c.heard_at.is_(None)
                )
            )
            return [(serial, device, accepted_at) for serial, device, accepted_at in rows]

    def _note_heard(self, heard: list[str]) -> None:
        """By our clock: intake withdraws the answer for some time from now on."""
        table = enrolment_answer
        with writing(self._database) as connection:
            connection.execute(
                update(table).where(table.c.serial.in_(heard)).values(heard_at=self._now())
            )
