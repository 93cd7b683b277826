"""Keeps the waiting list: who was heard that nobody has registered, bounded whoever may invent.

Of each source (a gateway, an application of a network server, the enrolment key) at most
``PER_SOURCE`` wait, of all at most ``IN_ALL``. Over that go, from the source that is over it, first
those heard for less than a minute, then those heard longest ago::

    heard once or within a minute, oldest first   │   heard again later, oldest first   │ expected
    ◀── these go first ───────────────────────────┴─────────────────────────────────────┘ never

So invented names drive out invented names: a true device speaks again, and what one source invents
hides nothing of another's. What was refused stays refused. Functions over an open connection;
refuses to know who decides and what becomes of a decision (`dashboards.admission`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from devices import tables as registry_tables
from devices.frames import RejectedFrame
from ingest.messages import RESUBMISSION
from ingest.sightings import Sighting, sightings_of
from ingest.waiting_tables import candidate

PER_SOURCE: Final = 2_000
IN_ALL: Final = 6_000
DECIDED: Final = 4_000
"""Of the refused and the accepted, each, so many stay on record; the oldest decisions go."""
CLAIMS: Final = 3
"""So many passwords may wait for one serial number; whoever comes later is not listed."""

PROVEN_AFTER_MS: Final = 60_000
_GRACE_MS: Final = 60_000
"""What is on its way while a device is accepted does not make it wait again."""
_AT_ONCE: Final = 400  # names in one query

WAITING, ACCEPTED, REFUSED = "waiting", "accepted", "refused"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many candidates are kept."""

    per_source: int = PER_SOURCE
    in_all: int = IN_ALL
    decided: int = DECIDED


@dataclass(slots=True)
class _Heard:
    """What a batch of messages says of one candidate."""

    newest: Sighting
    first_at: int
    messages: int


@dataclass(frozen=True, slots=True)
class Noted:
    """What refused messages (by index) tell: of which candidate (id), and which came too early.

    A device of ``registered`` was unknown to intake a moment ago and is in service now.
    """

    candidates: Mapping[int, int] = field(default_factory=dict)
    registered: frozenset[int] = frozenset()


def note(
    connection: Connection, frames: Sequence[RejectedFrame], bounds: Bounds | None = None
) -> Noted:
    """Take refused messages in."""
    of_frame = [(index, sightings_of(frame)) for index, frame in enumerate(frames)]
    of_frame = [(index, found) for index, found in of_frame if found]
    if not of_frame:
        return Noted()
    heard: dict[tuple[str, str, str], _Heard] = {}
    for index, found in of_frame:
        _gather(heard, found, is_new=not frames[index].connection.startswith(RESUBMISSION))
    registered = _registered(connection, heard)
    for key in registered:
        heard.pop(key)
    ids = _store(connection, heard)
    _keep_bounds(connection, bounds or Bounds())
    told = {index: [ids[s.key] for s in found if s.key in ids] for index, found in of_frame}
    early = (i for i, found in of_frame if _is_refused_for(frames[i], found, registered))
    return Noted({index: of[0] for index, of in told.items() if of}, frozenset(early))


def _gather(
    heard: dict[tuple[str, str, str], _Heard], found: Iterable[Sighting], *, is_new: bool
) -> None:
    for one in found:
        known = heard.get(one.key)
        if known is None:
            heard[one.key] = _Heard(one, one.heard_at, int(is_new))
            continue
        known.messages += is_new
        known.first_at = min(known.first_at, one.heard_at)
        if one.heard_at >= known.newest.heard_at:
            known.newest = replace(one, hints={**known.newest.hints, **one.hints})


def _registered(
    connection: Connection, heard: Collection[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Those in service: beside unknown ones in a gateway's message, or registered just now."""
    device, unit = registry_tables.device, registry_tables.unit
    in_service = device.c.decommissioned_at.is_(None)
    found: set[tuple[str, str, str]] = set()
    for part in _parts([identity for kind, identity, _ in heard if kind == "name"]):
        names = select(device.c.name).where(device.c.name.in_(part), in_service)
        found.update(("name", name, "") for name in connection.execute(names).scalars())
    for part in _parts([identity for kind, identity, _ in heard if kind == "dev_eui"]):
        units = (
            select(unit.c.dev_eui)
            .join_from(unit, device, unit.c.device == device.c.id)
            .where(unit.c.dev_eui.in_(part), unit.c.removed_at.is_(None), in_service)
        )
        found.update(("dev_eui", str(one), "") for one in connection.execute(units).scalars())
    return found


def _is_refused_for(
    frame: RejectedFrame,
    found: Sequence[Sighting],
    registered: Collection[tuple[str, str, str]],
) -> bool:
    """Whether it was refused because of a device that is in service now.

    A gateway's message names many; the first one that was unknown stands in the detail.
    """
    known = [one for one in found if one.key in registered]
    return any(len(found) == 1 or f"d: {one.identity} " in frame.detail for one in known)


def _store(
    connection: Connection, heard: Mapping[tuple[str, str, str], _Heard]
) -> dict[tuple[str, str, str], int]:
    rows = _rows_of(connection, {identity for _, identity, _ in heard})
    expected = _expected(connection, [i for kind, i, _ in heard if kind == "serial"])
    by_key = {(r.identity_kind, r.identity, r.claim): r for r in rows}
    refused = {(r.identity_kind, r.identity): r for r in rows if r.state == REFUSED}
    claims: dict[str, int] = {}
    for row in rows:
        if row.identity_kind == "serial" and row.state == WAITING:
            claims[row.identity] = claims.get(row.identity, 0) + 1
    changed: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for key, one in heard.items():
        known = by_key.get(key)
        row = known if known is not None else refused.get(key[:2])
        if row is not None:
            changed.append(_heard_again(row, one))
        elif key[0] != "serial" or claims.get(key[1], 0) < CLAIMS:
            claims[key[1]] = claims.get(key[1], 0) + 1
            new.append(_new_row(one, is_expected=key[1] in expected))
    for columns in {tuple(row) for row in changed}:
        alike = [row for row in changed if tuple(row) == columns]
        connection.execute(update(candidate).where(candidate.c.id == bindparam("key")), alike)
    if new:
        connection.execute(insert(candidate), new)
    stored = _rows_of(connection, {identity for _, identity, _ in heard})
    return {(r.identity_kind, r.identity, r.claim): r.id for r in stored}


def _rows_of(connection: Connection, identities: Collection[str]) -> list[Any]:
    columns = (
        candidate.c.id, candidate.c.identity_kind, candidate.c.identity, candidate.c.claim,
        candidate.c.first_heard_at, candidate.c.last_heard_at, candidate.c.messages,
        candidate.c.hints, candidate.c.state, candidate.c.decided_at,
    )  # fmt: skip
    found: list[Any] = []
    for part in _parts(sorted(identities)):
        found += connection.execute(select(*columns).where(candidate.c.identity.in_(part))).all()
    return found


def _expected(connection: Connection, serials: Collection[str]) -> set[str]:
    """Serial numbers that the registry has of units in service."""
    unit, found = registry_tables.unit, set[str]()
    for part in _parts(list(serials)):
        rows = connection.execute(
            select(unit.c.serial_number).where(
                unit.c.serial_number.in_(part), unit.c.removed_at.is_(None)
            )
        ).scalars()
        found.update(serial for serial in rows if serial is not None)
    return found


def _heard_again(row: Any, heard: _Heard) -> dict[str, Any]:
    """A unit that was accepted and is unknown again (decommissioned since) waits again."""
    newest = heard.newest
    has_returned = (
        row.state == ACCEPTED
        and row.identity_kind != "serial"
        and newest.heard_at > row.decided_at + _GRACE_MS
    )
    changed = {
        "key": row.id,
        "first_heard_at": min(row.first_heard_at, heard.first_at),
        "messages": row.messages + heard.messages,
        "state": WAITING if has_returned else row.state,
    }
    if newest.heard_at < row.last_heard_at:
        return changed
    return changed | {
        "last_heard_at": newest.heard_at,
        "topic": newest.topic,
        "sample": newest.sample,
        "hints": {**row.hints, **newest.hints},
    }


def _new_row(heard: _Heard, *, is_expected: bool) -> dict[str, Any]:
    newest = heard.newest
    return {
        "identity_kind": newest.identity_kind,
        "identity": newest.identity,
        "claim": newest.claim,
        "source": newest.source,
        "topic": newest.topic,
        "first_heard_at": heard.first_at,
        "last_heard_at": newest.heard_at,
        "messages": heard.messages,
        "sample": newest.sample,
        "hints": dict(newest.hints),
        "password_hash": newest.password_hash,
        "is_expected": is_expected,
        "state": WAITING,
    }


def _keep_bounds(connection: Connection, bounds: Bounds) -> None:
    is_waiting = candidate.c.state == WAITING
    counted = connection.execute(
        select(candidate.c.source, func.count()).where(is_waiting).group_by(candidate.c.source)
    )
    of_source = {source: int(count) for source, count in counted}
    for source, count in of_source.items():
        if count > bounds.per_source:
            _drop(connection, source, count - bounds.per_source)
            of_source[source] = bounds.per_source
    while (excess := sum(of_source.values()) - bounds.in_all) > 0:
        largest = max(of_source, key=lambda source: of_source[source])
        gone = min(excess, max(of_source[largest] // 2, 1))
        _drop(connection, largest, gone)
        of_source[largest] -= gone
    for state in (REFUSED, ACCEPTED):
        _forget_decided(connection, state, bounds.decided)


def _drop(connection: Connection, source: str, count: int) -> None:
    lasted_ms = candidate.c.last_heard_at - candidate.c.first_heard_at
    first_to_go = (
        select(candidate.c.id)
        .where(candidate.c.state == WAITING, candidate.c.source == source)
        .order_by(
            candidate.c.is_expected,
            lasted_ms >= PROVEN_AFTER_MS,
            candidate.c.last_heard_at,
            candidate.c.id,
        )
        .limit(count)
    )
    connection.execute(delete(candidate).where(candidate.c.id.in_(first_to_go)))


def _forget_decided(connection: Connection, state: str, keep: int) -> None:
    count = connection.execute(
        select(func.count()).select_from(candidate).where(candidate.c.state == state)
    ).scalar_one()
    if count > keep:
        oldest = (
            select(candidate.c.id)
            .where(candidate.c.state == state)
            .order_by(candidate.c.decided_at, candidate.c.id)
            .limit(count - keep)
        )
        connection.execute(delete(candidate).where(candidate.c.id.in_(oldest)))


def rivals(connection: Connection, row: Any) -> int:
    """How many other passwords claim the same serial number and wait or were accepted."""
    found = connection.execute(
        select(func.count())
        .select_from(candidate)
        .where(
            candidate.c.identity_kind == row.identity_kind,
            candidate.c.identity == row.identity,
            candidate.c.id != row.id,
            candidate.c.state != REFUSED,
        )
    )
    return int(found.scalar_one())


def decide(
    connection: Connection,
    candidate_id: int,
    state: str,
    *,
    at: int,
    by: int | None,
    device: str | None = None,
    since: int = 0,
) -> None:
    """Note what became of a candidate; a refusal (or its withdrawal) is of the whole identity."""
    row = connection.execute(select(candidate).where(candidate.c.id == candidate_id)).one()
    same = and_(
        candidate.c.identity_kind == row.identity_kind, candidate.c.identity == row.identity
    )
    mine = candidate.c.id == candidate_id
    undecided = or_(candidate.c.state == WAITING, candidate.c.state == REFUSED)
    which = mine if state == ACCEPTED else and_(same, undecided)
    connection.execute(
        update(candidate)
        .where(which)
        .values(state=state, decided_at=at, decided_by=by, device=device, since=since)
    )


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)]
