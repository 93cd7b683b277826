"""The waiting list: devices that were heard and that nobody has registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, or_, select

from alerts.tables import person
from dashboards import admission
from dashboards.admission import AdmissionError, Wish
from dashboards.errors import Refusal, not_found
from dashboards.naming import suggested_name
from dashboards.parts import Parts, RowId, WithAdmin, WithParts
from dashboards.routes.credentials import NEVER_KEPT, Credential, shown
from ingest.waiting import ACCEPTED, REFUSED, WAITING
from ingest.waiting_tables import candidate

router = APIRouter(prefix="/api/waiting")

State = Literal["waiting", "accepted", "refused"]
_SAMPLE_CHARS: Final = 1024
_STATUS: Final = {"not_found": 404, "decided": 409, "contested": 409, "name_taken": 409}


class Candidate(BaseModel):
    """A device that waits, and what it says of itself; nothing of that is checked by anybody.

    ``identity_kind``: dev_eui, name (behind a gateway) or serial (asks to be admitted).
    ``fingerprint`` tells one password from another for the same serial number, ``rivals`` how many
    others claim it. ``is_expected``: a unit in the registry has its serial number. ``present`` is
    the device that has this unit already. ``kind``, ``name`` are proposals.
    """

    id: int
    state: State
    identity_kind: Literal["dev_eui", "name", "serial"]
    identity: str
    fingerprint: str
    rivals: int
    is_expected: bool
    present: str | None
    source: str
    topic: str
    first_heard_at: int
    last_heard_at: int
    messages: int
    sample: str
    name: str
    kind: str | None
    label: str
    brand: str
    model: str
    quantities: list[str]
    fields: list[str]
    gateway: str | None
    latitude: float | None
    longitude: float | None
    decided_at: int | None
    decided_by: str | None
    device: str | None


class WaitingList(BaseModel):
    """Candidates, the last heard first, and how many there are in each state."""

    candidates: list[Candidate]
    counts: dict[State, int]


class Acceptance(BaseModel):
    """What it is registered as; ``replaces``: the new unit of the device ``name``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Annotated[str, Field(max_length=40)] = ""
    label: Annotated[str, Field(max_length=200)] = ""
    area: Annotated[str, Field(max_length=200)] = ""
    site: Annotated[str, Field(max_length=200)] = ""
    latitude: float | None = None
    longitude: float | None = None
    codec: Annotated[str, Field(max_length=200)] | None = None
    owner: Annotated[str, Field(max_length=200)] | None = None
    replaces: bool = False
    since_first_heard: bool = False
    is_sure: bool = False
    final_reading: Annotated[float, Field(ge=0)] | None = None
    initial_reading: Annotated[float, Field(ge=0)] | None = None


class Accepted(BaseModel):
    """The device it is now; ``credential`` where it needs a new password, shown this once."""

    device: str
    kind: str
    resubmitted: int
    credential: Credential | None


@router.get("")
def waiting_list(
    _admin: WithAdmin,
    parts: WithParts,
    state: State = "waiting",
    q: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> WaitingList:
    """Who waits: expected ones first, then the last heard; ``q`` finds an identity or a hint."""
    parts.registry.snapshot()
    with parts.database.connect() as connection:
        query = (
            select(candidate, person.c.display_name.label("decider"))
            .join_from(candidate, person, candidate.c.decided_by == person.c.id, isouter=True)
            .where(candidate.c.state == state)
            .order_by(candidate.c.is_expected.desc(), candidate.c.last_heard_at.desc())
            .limit(limit)
        )
        if q:
            query = query.where(
                or_(
                    candidate.c.identity.icontains(q, autoescape=True),
                    candidate.c.source.icontains(q, autoescape=True),
                )
            )
        rows = connection.execute(query).all()
        others = _claims(connection.execute(_claims_query(rows)).all()) if rows else {}
        counted = connection.execute(
            select(candidate.c.state, func.count()).group_by(candidate.c.state)
        ).all()
    of_state = {str(row[0]): int(row[1]) for row in counted}
    counts: dict[State, int] = {
        "waiting": of_state.get(WAITING, 0),
        "accepted": of_state.get(ACCEPTED, 0),
        "refused": of_state.get(REFUSED, 0),
    }
    return WaitingList(candidates=[_candidate(parts, row, others) for row in rows], counts=counts)


@router.post("/{row}/accept")
def accept(
    row: RowId, said: Acceptance, admin: WithAdmin, parts: WithParts, response: Response
) -> Accepted:
    """Register the device and its unit in one go; what it said before appears, too."""
    response.headers.update(NEVER_KEPT)
    try:
        done = admission.admit(
            parts.registry,
            row,
            Wish(**said.model_dump()),
            parts.access_point,
            now=parts.now(),
            by=admin.id,
        )
    except AdmissionError as error:
        raise _refusal(error) from None
    return Accepted(
        device=done.device,
        kind=done.kind,
        resubmitted=done.resubmitted,
        credential=shown(done.card) if done.card else None,
    )


@router.post("/{row}/refuse", status_code=204)
def refuse(row: RowId, admin: WithAdmin, parts: WithParts) -> None:
    """Strike it off the list for good; it is not listed again, whatever it sends."""
    try:
        admission.refuse(parts.database, row, now=parts.now(), by=admin.id)
    except AdmissionError as error:
        raise _refusal(error) from None


@router.post("/{row}/take-back", status_code=204)
def take_back(row: RowId, admin: WithAdmin, parts: WithParts) -> None:
    """Let a refused one wait again."""
    try:
        admission.take_back(parts.database, row, now=parts.now(), by=admin.id)
    except AdmissionError as error:
        raise _refusal(error) from None


def _claims_query(rows: Sequence[Any]) -> Any:
    return (
        select(candidate.c.identity_kind, candidate.c.identity, func.count())
        .where(candidate.c.identity.in_({row.identity for row in rows}))
        .where(candidate.c.state != REFUSED)
        .group_by(candidate.c.identity_kind, candidate.c.identity)
    )


def _claims(rows: Sequence[Any]) -> dict[tuple[str, str], int]:
    return {(row[0], row[1]): int(row[2]) for row in rows}


def _candidate(parts: Parts, row: Any, claims: dict[tuple[str, str], int]) -> Candidate:
    hints = row.hints
    present = admission.present_device(parts.registry, row.identity_kind, row.identity)
    kind = hints.get("kind") or hints.get("guessed_kind")
    return Candidate(
        id=row.id,
        state=row.state,
        identity_kind=row.identity_kind,
        identity=row.identity,
        fingerprint=row.claim,
        rivals=max(claims.get((row.identity_kind, row.identity), 1) - 1, 0),
        is_expected=row.is_expected,
        present=present.name if present else None,
        source=row.source,
        topic=row.topic,
        first_heard_at=row.first_heard_at,
        last_heard_at=row.last_heard_at,
        messages=row.messages,
        sample=row.sample[:_SAMPLE_CHARS].decode("utf-8", "backslashreplace"),
        name=present.name if present else suggested_name(hints, row.identity, kind),
        kind=present.kind if present else kind,
        label=hints.get("label") or "",
        brand=hints.get("brand") or "",
        model=hints.get("model") or "",
        quantities=hints.get("quantities") or [],
        fields=hints.get("fields") or [],
        gateway=hints.get("gateway"),
        latitude=hints.get("latitude"),
        longitude=hints.get("longitude"),
        decided_at=row.decided_at,
        decided_by=row.decider,
        device=row.device,
    )


def _refusal(error: AdmissionError) -> Refusal:
    if error.code == "not_found":
        return not_found("candidate")
    return Refusal(_STATUS.get(error.code, 422), error.code, str(error), path=error.path)
