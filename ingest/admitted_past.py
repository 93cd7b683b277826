"""Sends what an unknown device said on its way again, once somebody has registered it.

Refuses to know who may decide that and what a device is registered as.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from devices.database import writing
from devices.frames import RejectedFrame
from ingest.quarantine import resubmit, was_sent_again
from ingest.sightings import UNKNOWN_DEVICE, sightings_of
from ingest.tables import quarantine, resubmission
from ingest.waiting import ACCEPTED
from ingest.waiting_tables import candidate

AT_ONCE: Final = 100  # messages in one transaction
MOST: Final = 10_000
"""Of a device that was unknown for long the newest messages; the others stay in the quarantine."""
STRAGGLERS_MS: Final = 600_000
EARLY_MS: Final = 10_000
"""What came so long before a decision may have been refused after it."""


def resubmit_past(database: Engine, candidate_id: int, now: int) -> int:
    """Resubmit what is in quarantine of an accepted candidate and was not yet; how many."""
    return _resubmit(database, candidate_id, now, is_by_itself=False)


def resubmit_stragglers(database: Engine, now: int) -> int:
    """The same for all that were accepted lately: what intake refused before it had heard of it.

    This is done again and again, so no message twice: one that is refused for another device's
    sake, too, would go round for ever.
    """
    with database.connect() as connection:
        lately = connection.execute(
            select(candidate.c.id).where(
                candidate.c.state == ACCEPTED,
                candidate.c.identity_kind != "serial",
                candidate.c.decided_at > now - STRAGGLERS_MS,
            )
        ).scalars()
        ids = list(lately)
    return sum(_resubmit(database, one, now, is_by_itself=True) for one in ids)


def _resubmit(database: Engine, candidate_id: int, now: int, *, is_by_itself: bool) -> int:
    with database.connect() as connection:
        row = connection.execute(
            select(candidate).where(candidate.c.id == candidate_id, candidate.c.state == ACCEPTED)
        ).first()
        wanted = _waiting_of(connection, row, is_by_itself) if row is not None else []
    for at in range(0, len(wanted), AT_ONCE):
        with writing(database) as connection:
            for quarantined in wanted[at : at + AT_ONCE]:
                resubmit(connection, quarantined, now)
    return len(wanted)


def _waiting_of(connection: Connection, row: Any, is_by_itself: bool) -> list[int]:
    """Messages of the candidate, oldest first. A gateway's message may tell of several devices."""
    is_shared = row.identity_kind == "name" and row.source.startswith("gateway/")
    of_source = select(candidate.c.id).where(candidate.c.source == row.source)
    is_its = (
        quarantine.c.candidate.in_(of_source) if is_shared else quarantine.c.candidate == row.id
    )
    since = max(row.since or 0, row.decided_at - EARLY_MS if is_by_itself else 0)
    has_gone = select(resubmission.c.id).where(resubmission.c.quarantine == quarantine.c.id)
    found = connection.execute(
        select(quarantine)
        .where(is_its, quarantine.c.received_at >= since, ~has_gone.exists())
        .order_by(quarantine.c.id.desc())
        .limit(MOST)
    ).all()
    if is_shared:
        found = [one for one in found if _tells_of(one, row.identity)]
    if is_by_itself:
        found = [one for one in found if not was_sent_again(connection, _frame(one))]
    return sorted(one.id for one in found)


def _tells_of(quarantined: Any, name: str) -> bool:
    return any(one.identity == name for one in sightings_of(_frame(quarantined)))


def _frame(quarantined: Any) -> RejectedFrame:
    return RejectedFrame(
        quarantined.topic,
        quarantined.payload,
        quarantined.received_at,
        UNKNOWN_DEVICE,
        quarantined.detail,
    )
