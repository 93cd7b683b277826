"""How corrections change the rows of ``transition`` and ``alarm``, in SQL.

A transition that does not hold any more is marked, never deleted; an alarm that a correction
touches is what its standing transitions say. Called by the ledger alone, within its transaction.
Refuses to know positions, and of deliveries all but whose they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from alerts.alarm_rows import opened
from alerts.lifecycle import State
from alerts.tables import alarm, delivery, transition
from alerts.transitions import Change, Correction, Transition

TRANSITION_COLUMNS = tuple(
    c.name for c in transition.columns if c.name not in ("seq", "committed_at", "withdrawn_at")
)
_CHANGED = ("alarm", "from_level", "from_stage", "value", "received_at", "is_historic",
            "is_correction")  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What a commit comes to: the last word on each transition, and on peaks and identities."""

    rows: dict[str, tuple[Transition, bool]] = field(default_factory=dict)  # …, is it withdrawn
    told: set[str] = field(default_factory=set)
    alarms: set[str] = field(default_factory=set)  # that a correction touches
    peaks: dict[str, float | None] = field(default_factory=dict)
    heirs: list[tuple[str, str]] = field(default_factory=list)


def outcome_of(changes: Iterable[Change], reinstated: Collection[str]) -> Outcome:
    """The last word of all changes; ``reinstated`` were withdrawn before this commit."""
    end = Outcome()
    for one in changes:
        if isinstance(one, Correction):
            _note(end, one)
            continue
        end.rows[one.id] = (one, False)
        if not one.is_historic:
            end.told.add(one.id)
        if one.id in reinstated:
            end.alarms.add(one.alarm)
    return end


def _note(end: Outcome, one: Correction) -> None:
    for gone in one.withdrawn:
        end.rows[gone.transition.id] = (gone.transition, True)
        end.alarms.add(gone.transition.alarm)
    for stands in one.stands:
        before = end.rows.get(stands.id)
        end.alarms |= {stands.alarm} | ({before[0].alarm} if before else set())
        end.rows[stands.id] = (stands, False)
    end.told |= one.to_tell
    end.alarms |= one.peaks.keys() | {alarm for pair in one.heirs for alarm in pair}
    end.peaks |= one.peaks
    end.heirs += one.heirs


def correct(
    connection: Connection, end: Outcome, named: Collection[str], revision: int, now: int
) -> int:
    """Bring the rows of the alarms that corrections touch up to date; returns the newest revision.

    ``named`` are the transitions that a delivery names. One that was said and withdrawn within
    this commit is kept only if it is among them: nobody has seen it.
    """
    mine = {i: row for i, row in end.rows.items() if row[0].alarm in end.alarms}
    known = known_rows(connection, list(mine))
    mine = {i: row for i, row in mine.items() if i in known or i in named or not row[1]}
    end.alarms |= {known[i].alarm for i in mine if i in known}
    revisions = count(revision + 1)
    _open_missing(connection, [t for t, _ in mine.values()], next(revisions))
    _insert(connection, [row for i, row in mine.items() if i not in known], now)
    _withdraw(connection, [i for i, (_, gone) in mine.items() if gone and i in known], now)
    _reinstate(connection, [t for i, (t, gone) in mine.items() if not gone and i in known])
    newest = revision
    for one in sorted(end.alarms):
        newest = next(revisions)
        _recompute(connection, one, end, newest, now)
    for one, other in end.heirs:
        _carry_acknowledgement(connection, one, other)
    return newest


def known_rows(connection: Connection, ids: Sequence[str]) -> dict[str, Row[tuple[object, ...]]]:
    """Id → (id, alarm, withdrawn_at) of the transitions that are there."""
    known: dict[str, Row[tuple[object, ...]]] = {}
    for start in range(0, len(ids), 500):
        query = select(transition.c.id, transition.c.alarm, transition.c.withdrawn_at)
        for row in connection.execute(query.where(transition.c.id.in_(ids[start : start + 500]))):
            known[row.id] = cast("Row[tuple[object, ...]]", row)
    return known


def _open_missing(connection: Connection, transitions: Sequence[Transition], revision: int) -> None:
    first: dict[str, Transition] = {}
    for one in transitions:
        first.setdefault(one.alarm, one)
    ids = list(first)
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        for there in connection.scalars(select(alarm.c.id).where(alarm.c.id.in_(part))):
            del first[there]
    if first:
        rows = [opened(one, revision) for one in first.values()]
        connection.execute(insert(alarm), rows)


def _insert(connection: Connection, rows: Sequence[tuple[Transition, bool]], now: int) -> None:
    if rows:
        connection.execute(
            insert(transition),
            [
                {name: getattr(t, name) for name in TRANSITION_COLUMNS}
                | {"committed_at": now, "withdrawn_at": now if is_gone else None}
                for t, is_gone in rows
            ],
        )


def _withdraw(connection: Connection, ids: Sequence[str], now: int) -> None:
    if ids:
        connection.execute(
            update(transition)
            .where(transition.c.id == bindparam("this"), transition.c.withdrawn_at.is_(None))
            .values(withdrawn_at=now),
            [{"this": one} for one in ids],
        )


def _reinstate(connection: Connection, transitions: Sequence[Transition]) -> None:
    if transitions:
        connection.execute(
            update(transition)
            .where(transition.c.id == bindparam("this"))
            .values(withdrawn_at=None, **{name: bindparam(f"new_{name}") for name in _CHANGED}),
            [
                {"this": t.id, **{f"new_{name}": getattr(t, name) for name in _CHANGED}}
                for t in transitions
            ],
        )
        connection.execute(  # what was told of it is now of its new alarm
            update(delivery)
            .where(delivery.c.transition == bindparam("this"))
            .values(alarm=bindparam("new_alarm")),
            [{"this": t.id, "new_alarm": t.alarm} for t in transitions],
        )


def _recompute(connection: Connection, one: str, end: Outcome, revision: int, now: int) -> None:
    """Let an alarm be what its standing transitions say; without any it is withdrawn."""
    rows = connection.execute(
        select(transition)
        .where(transition.c.alarm == one, transition.c.withdrawn_at.is_(None))
        .order_by(transition.c.measured_at, transition.c.seq)
    ).all()
    values = _as_told(rows, end) if rows else _withdrawn(connection, one, now)
    if one in end.peaks:
        values["peak_value"] = end.peaks[one]
    connection.execute(update(alarm).where(alarm.c.id == one).values(revision=revision, **values))


def _withdrawn(connection: Connection, one: str, now: int) -> dict[str, object]:
    """It never was: it ended as it began, at the stage that it had claimed."""
    query = select(alarm.c.opened_at, alarm.c.withdrawn_at).where(alarm.c.id == one)
    found = connection.execute(query).one_or_none()
    if found is None:
        return {}  # it opened and was withdrawn within this commit
    return {
        "state": State.CLEARED,
        "value": None,
        "changed_at": found.opened_at,
        "cleared_at": found.opened_at,
        "withdrawn_at": found.withdrawn_at or now,
    }


def _as_told(rows: Sequence[Row[tuple[object, ...]]], end: Outcome) -> dict[str, object]:
    first, last = rows[0], rows[-1]
    shown = next((row for row in reversed(rows) if row.to_level), first)
    verified = [row.to_level for row in rows if row.is_verified and row.to_level]
    values: dict[str, object] = {
        "state": State.ACTIVE if last.to_level else State.CLEARED,
        "level": shown.to_level,
        "stage": shown.to_stage,
        "value": last.value,
        "peak_level": max(verified) if verified else first.to_level,
        "opened_at": first.measured_at,
        "changed_at": last.measured_at,
        "cleared_at": None if last.to_level else last.measured_at,
        "withdrawn_at": None,
        "is_verified": shown.is_verified,
    }
    if any(row.id in end.told for row in rows):
        values["is_historic"] = False
    return values


def _carry_acknowledgement(connection: Connection, one: str, other: str) -> None:
    """What somebody has seen stays seen, whatever the alarm is called now."""
    columns = ("acknowledged_at", "acknowledged_by", "acknowledge_comment")
    query = select(*(alarm.c[name] for name in columns)).where(alarm.c.id == one)
    seen = connection.execute(query).one_or_none()
    if seen is not None and seen.acknowledged_at is not None:
        connection.execute(
            update(alarm)
            .where(alarm.c.id == other, alarm.c.acknowledged_at.is_(None))
            .values(**dict(zip(columns, seen, strict=True)))
        )
