"""Alarms: what is open, what was, who was told, and saying "seen"."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from alerts import ledger
from dashboards import auth
from dashboards.auth import Visitor
from dashboards.errors import Refusal, not_found
from dashboards.parts import Parts, WithParts, WithVisitor
from dashboards.permissions import may_acknowledge, may_see_deliveries, may_see_people
from dashboards.stations import Alarm, alarm_shown
from devices.database import writing

router = APIRouter(prefix="/api/alarms")

_LOOKED_THROUGH: Final = 10_000
_ERROR_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class AlarmTransition:
    """One change of an alarm; ``measured_at`` in event time, the others by our clock.

    ``withdrawn_at`` is when a late reading said otherwise; null while it stands. ``is_correction``:
    a late reading brought it.
    """

    measured_at: int
    committed_at: int
    from_stage: str
    to_stage: str
    from_level: int
    to_level: int
    value: float | None
    is_correction: bool
    withdrawn_at: int | None


@dataclass(frozen=True, slots=True)
class AlarmDelivery:
    """One attempt to tell one person; ``address`` is masked.

    ``is_withdrawal``: it said that what had been told does not hold.
    """

    person: str | None
    channel: str
    address: str
    state: str
    attempts: int
    sent_at: int | None
    maybe_repeated: bool
    last_error: str | None
    is_withdrawal: bool


@dataclass(frozen=True, slots=True)
class AlarmDetail(Alarm):
    """An alarm with its history and who was told."""

    transitions: tuple[AlarmTransition, ...]
    deliveries: tuple[AlarmDelivery, ...]


class Alarms(BaseModel):
    """Alarms, the ones that changed last first."""

    alarms: list[Alarm]


class Acknowledgement(BaseModel):
    """What the person says with it, if anything."""

    comment: Annotated[str, Field(max_length=500)] | None = None


class Accepted(BaseModel):
    """The wish is kept; the change arrives by the live stream within a second."""

    accepted: Literal[True] = True


@router.get("")
def alarms(
    visitor: WithVisitor,
    parts: WithParts,
    state: Literal["active", "all"] = "active",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Alarms:
    """Alarms that this person may see: the active ones, or all by their last change."""
    if state == "active":
        rows = parts.book.open_alarms()
    else:
        rows = parts.book.recent_alarms(_LOOKED_THROUGH)
    view = visitor.view
    seen = [row for row in rows if parts.live.board.shows_alarm(view, row)][:limit]
    return Alarms(alarms=[_shown(parts, visitor, row) for row in seen])


@router.get("/{alarm}")
def alarm(alarm: str, visitor: WithVisitor, parts: WithParts) -> AlarmDetail:
    """One alarm with its transitions and deliveries."""
    row = _seen_alarm(parts, visitor, alarm)
    shown = _shown(parts, visitor, row)
    return AlarmDetail(
        **{field.name: getattr(shown, field.name) for field in fields(Alarm)},
        transitions=tuple(_transition(one) for one in parts.book.transitions(row.id)),
        deliveries=tuple(
            _delivery(one)
            for one in parts.book.deliveries_of(row.id)
            if may_see_deliveries(visitor.view) or one.person == visitor.id
        ),
    )


@router.post("/{alarm}/acknowledge", status_code=202)
def acknowledge(
    alarm: str, said: Acknowledgement, visitor: WithVisitor, parts: WithParts
) -> Accepted:
    """Say "seen"; the first to say so stands on record."""
    row = _seen_alarm(parts, visitor, alarm)
    if not may_acknowledge(visitor.view):
        raise Refusal(403, "not_allowed", "this role may not acknowledge")
    comment = (said.comment or "").strip() or None
    now = parts.now()
    parts.book.post_to_inbox(
        person=visitor.id, command="acknowledge", alarm=row.id, comment=comment, now=now
    )
    with writing(parts.database) as connection:
        auth.note(connection, now, visitor.id, "alarm.acknowledged", row.id, detail=comment or "")
    return Accepted()


def _seen_alarm(parts: Parts, visitor: Visitor, alarm: str) -> ledger.Alarm:
    row = parts.book.alarm(alarm)
    if row is None or not parts.live.board.shows_alarm(visitor.view, row):
        raise not_found("alarm")
    return row


def _shown(parts: Parts, visitor: Visitor, row: ledger.Alarm) -> Alarm:
    registry = parts.live.board.registry
    device = registry.devices.get(row.device) if registry else None
    return alarm_shown(row, device, shows_people=may_see_people(visitor.view))


def _transition(one: ledger.CommittedTransition) -> AlarmTransition:
    made = one.transition
    return AlarmTransition(
        made.measured_at,
        one.committed_at,
        made.from_stage,
        made.to_stage,
        made.from_level,
        made.to_level,
        made.value,
        made.is_correction,
        one.withdrawn_at,
    )


def _delivery(one: ledger.Delivery) -> AlarmDelivery:
    return AlarmDelivery(
        one.person_name,
        one.channel,
        masked(one.address),
        one.state,
        one.attempts,
        one.sent_at,
        one.maybe_repeated,
        one.last_error[:_ERROR_CHARS].replace(one.address, masked(one.address))
        if one.last_error
        else None,
        one.is_withdrawal,
    )


def masked(address: str) -> str:
    """An address that proves where a message went without giving it away.

    ``hanako@city.jp`` → ``h…@city.jp``; an URL keeps its host only (paths hold secrets).
    """
    if "://" in address:
        return f"{urlsplit(address).scheme}://{urlsplit(address).hostname}/…"
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}…@{domain}" if at else address
