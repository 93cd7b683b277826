"""Sends what an unknown device said on its way again, once somebody has registered it.

Refuses to know who may decide that and what a device is registered as.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, select

from devices.database import writing
from devices.frames import RejectedFrame
from ingest.quarantine import resubmit
from ingest.sightings import UNKNOWN_DEVICE, sightings_of
from ingest.tables import quarantine, resubmission
from ingest.waiting import ACCEPTED
from ingest.waiting_tables import candidate

AT_ONCE: Final = 100  # messages in one transaction
MOST: Final = 10_000
"""Of a device that was unknown for long the newest messages; the others stay in the quarantine."""
STRAGGLERS_MS: Final = 600_000


def resubmit_past(database: Engine, candidate_id: int, now: int) -> int:
    """Resubmit what is in quarantine of an accepted candidate and was not yet; how many."""
    with database.connect() as connection:
        row = connection.execute(
            select(candidate).where(candidate.c.id == candidate_id, candidate.c.state == ACCEPTED)
        ).first()
        wanted = _waiting_of(connection, row) if row is not None else []
    for at in range(0, len(wanted), AT_ONCE):
        with writing(database) as connection:
            for quarantined in wanted[at : at + AT_ONCE]:
                resubmit(connection, quarantined, now)
    return len(wanted)


def resubmit_stragglers(database: Engine, now: int) -> int:
    """The same for all that were accepted lately: what intake refused before it had heard of it."""
    with database.connect() as connection:
        lately = connection.execute(
            select(candidate.c.id).where(
                candidate.c.state == ACCEPTED,
                candidate.c.identity_kind != "serial",
                candidate.c.decided_at > now - STRAGGLERS_MS,
            )
        ).scalars()
        ids = list(lately)
    return sum(resubmit_past(database, one, now) for one in ids)


def _waiting_of(connection: Connection, row: Row[Any]) -> list[int]:
    """Messages of the candidate, oldest first. A gateway's message may tell of several devices."""
    is_shared = row.identity_kind == "name" and row.source.startswith("gateway/")
    of_source = select(candidate.c.id).where(candidate.c.source == row.source)
    is_its = (
        quarantine.c.candidate.in_(of_source) if is_shared else (quarantine.c.candidate == row.id)
    )
    has_gone = select(resubmission.c.id).where(resubmission.c.quarantine == quarantine.c.id)
    found = connection.execute(
        select(quarantine)
        .where(is_its, quarantine.c.received_at >= (row.since or 0), ~has_gone.exists())
        .order_by(quarantine.c.id.desc())
        .limit(MOST)
    )
    return sorted(one.id for one in found if not is_shared or _tells_of(one, row.identity))


def _tells_of(quarantined: Row[Any], name: str) -> bool:
    frame = RejectedFrame(
        quarantined.topic,
        quarantined.payload,
        quarantined.received_at,
        UNKNOWN_DEVICE,
        quarantined.detail,
    )
    return any(one.identity == name for one in sightings_of(frame))
