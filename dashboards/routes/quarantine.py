"""What was lost or could not be read: quarantine, resubmission, sequence gaps."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import func, select

from dashboards import auth
from dashboards.errors import not_found
from dashboards.parts import Parts, RowId, WithAdmin, WithParts, WithVisitor
from devices.database import writing
from ingest.quarantine import resubmit as ask_again
from ingest.tables import quarantine, resubmission, sequence_gap

router = APIRouter(prefix="/api")

_TEXT_BYTES: Final = 4000
_MAX_GAPS: Final = 5000


class QuarantinedMessage(BaseModel):
    """A message that could not be read; ``payload_text`` is cut, what is no text is escaped."""

    id: int
    received_at: int
    topic: str
    reason: str
    detail: str
    payload_text: str
    resubmitted_at: int | None


class Quarantine(BaseModel):
    """The newest messages, and how many there are for each reason."""

    rows: list[QuarantinedMessage]
    counts: dict[str, int]


class Resubmitted(BaseModel):
    """The message goes through decode and check again within a second."""

    resubmission: int


class Gap(BaseModel):
    """Sequence numbers ``first``..``last`` (inclusive) of a device that did not come."""

    device: int
    device_name: str
    first: int
    last: int
    at: int
    is_filled: bool


class Gaps(BaseModel):
    """Gaps, the newest first."""

    gaps: list[Gap]


@router.get("/quarantine", name="quarantine")
def quarantined(
    _admin: WithAdmin, parts: WithParts, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Quarantine:
    """Messages that could not be read, the newest first."""
    resubmitted_at = (
        select(func.max(resubmission.c.created_at))
        .where(resubmission.c.quarantine == quarantine.c.id)
        .scalar_subquery()
    )
    with parts.database.connect() as connection:
        rows = connection.execute(
            select(quarantine, resubmitted_at.label("resubmitted_at"))
            .order_by(quarantine.c.id.desc())
            .limit(limit)
        ).all()
        counts = connection.execute(
            select(quarantine.c.reason, func.count().label("messages")).group_by(
                quarantine.c.reason
            )
        ).all()
    return Quarantine(
        rows=[_message(row) for row in rows], counts={row.reason: row.messages for row in counts}
    )


@router.post("/quarantine/{row}/resubmit", status_code=202)
def resubmit(row: RowId, admin: WithAdmin, parts: WithParts) -> Resubmitted:
    """Send a mended message on its way again, with the time at which it first came."""
    now = parts.now()
    with writing(parts.database) as connection:
        request = ask_again(connection, row, now)
        if request is None:
            raise not_found("quarantined message")
        auth.note(connection, now, admin.id, "quarantine.resubmitted", str(row))
        return Resubmitted(resubmission=request)


@router.get("/gaps")
def gaps(visitor: WithVisitor, parts: WithParts) -> Gaps:
    """Data known to be lost, of the devices that this person may see."""
    seen = parts.live.board.seen(visitor.view)
    newest_first = select(sequence_gap).order_by(sequence_gap.c.id.desc())
    with parts.database.connect() as connection:
        rows = connection.execution_options(yield_per=_MAX_GAPS).execute(newest_first)
        own = (row for row in rows if row.device in seen)  # nobody else's many hide them
        return Gaps(gaps=[_gap(parts, row) for row in islice(own, _MAX_GAPS)])


def _message(row: Any) -> QuarantinedMessage:
    return QuarantinedMessage(
        id=row.id,
        received_at=row.received_at,
        topic=row.topic,
        reason=row.reason,
        detail=row.detail,
        payload_text=row.payload[:_TEXT_BYTES].decode("utf-8", "backslashreplace"),
        resubmitted_at=row.resubmitted_at,
    )


def _gap(parts: Parts, row: Any) -> Gap:
    registry = parts.live.board.registry
    return Gap(
        device=row.device,
        device_name=registry.devices[row.device].name if registry else "",
        first=row.first,
        last=row.last,
        at=row.at,
        is_filled=row.is_filled,
    )
