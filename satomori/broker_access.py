"""Keeps the broker's password and ACL file in step with the registry, and tells the broker.

    revision rises ─▶ who may come in now? ─ as in the files ─▶ nothing
                                           └ otherwise ─▶ both files anew ─▶ SIGHUP (a child)

mosquitto reads both at SIGHUP and ends the connections of accounts whose password is another one or
gone; everybody else stays (measured with 2.0.11, tests/security/test_revocation.py). An external
broker is told by whoever runs it (docs/provisioning.md). Refuses to know who changed the registry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from devices.outage_note import OutageNote
from devices.registry import Registry
from satomori.installation import Installation
from satomori.settings import SettingsError

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0


async def keep_in_step(place: Installation, reload: Callable[[], None]) -> None:
    """Follow the registry until cancelled, through outages of database and disk."""
    database = place.open_database()
    registry = Registry(database)
    revision = -1
    outage = OutageNote(lambda reason: log.error("broker.access.outage", reason=reason))
    try:
        while True:
            try:
                revision = await _step(place, database, registry, revision, reload)
            except (SQLAlchemyError, OSError, SettingsError) as error:
                outage.note(error)
            else:
                outage.over()
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        database.dispose()


async def _step(
    place: Installation,
    database: Engine,
    registry: Registry,
    known: int,
    reload: Callable[[], None],
) -> int:
    """One look; the revision that the files are in step with."""
    revision = await asyncio.to_thread(registry.revision)
    if revision != known and await asyncio.to_thread(place.write_broker_access, database):
        reload()
    return revision
