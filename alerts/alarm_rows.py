"""How a transition and a peak change the rows of ``alarm``, in SQL.

Called by the ledger alone, within its transaction. Refuses to know deliveries and positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from alerts.lifecycle import Event, State, after, event_of
from alerts.tables import alarm
from alerts.transitions import Transition


def apply_transitions(connection: Connection, steps: Sequence[tuple[int, Transition]]) -> None:
    """Open what opens, all at once, then let the rest follow in order; each has its revision."""
    rows = [opened(one, revision) for revision, one in steps if one.is_opening]
    if rows:
        connection.execute(insert(alarm), rows)
    for revision, one in steps:
        if not one.is_opening:
            _change(connection, one, revision)


def raise_peaks(connection: Connection, peaks: Mapping[str, float], revision: int) -> int:
    """Raise the peaks of alarms (id → value), each with a revision after ``revision``.

    Returns the newest revision. What is not above the peak that is known changes nothing.
    """
    risen = [
        {"alarm_id": one, "peak": peaks[one], "next_revision": revision + n}
        for n, one in enumerate(_risen(connection, peaks), 1)
    ]
    if risen:
        connection.execute(
            update(alarm)
            .where(alarm.c.id == bindparam("alarm_id"))
            .values(peak_value=bindparam("peak"), revision=bindparam("next_revision")),
            risen,
        )
    return revision + len(risen)


def _risen(connection: Connection, peaks: Mapping[str, float]) -> list[str]:
    ids = list(peaks)
    risen = []
    for start in range(0, len(ids), 500):
        query = select(alarm.c.id, alarm.c.peak_value).where(
            alarm.c.id.in_(ids[start : start + 500])
        )
        risen += [
            row.id
            for row in connection.execute(query)
            if row.peak_value is None or row.peak_value < peaks[row.id]
        ]
    return risen


def _change(connection: Connection, one: Transition, revision: int) -> None:
    event = event_of(one)
    values: dict[str, object] = {
        "revision": revision,
        "state": after(State.ACTIVE, event),
        "changed_at": one.measured_at,
        "value": one.value,
    }
    if one.is_clearing:
        values["cleared_at"] = one.measured_at
    else:
        values |= {"level": one.to_level, "stage": one.to_stage, "is_verified": one.is_verified}
        values |= _peak_after(connection, one)
    connection.execute(
        update(alarm).where(alarm.c.id == one.alarm, alarm.c.state == State.ACTIVE).values(values)
    )


def _peak_after(connection: Connection, one: Transition) -> dict[str, object]:
    """Only what is verified counts; the first that is takes the place of what was doubted."""
    if not one.is_verified or one.value is None:
        return {}
    known = connection.execute(
        select(alarm.c.peak_level, alarm.c.peak_value).where(alarm.c.id == one.alarm)
    ).one_or_none()
    if known is None or known.peak_value is None:
        return {"peak_level": one.to_level, "peak_value": one.value}
    return {
        "peak_level": max(known.peak_level, one.to_level),
        "peak_value": max(known.peak_value, one.value),
    }


def opened(one: Transition, revision: int) -> dict[str, object]:
    """The row of an alarm that a transition opens."""
    return {
        "id": one.alarm,
        "revision": revision,
        "rule": one.rule,
        "rule_kind": one.rule_kind,
        "device": one.device,
        "series": one.series,
        "state": after(None, Event.OPENED),
        "level": one.to_level,
        "stage": one.to_stage,
        "value": one.value,
        "peak_level": one.to_level,
        "peak_value": one.value if one.is_verified else None,
        "opened_at": one.measured_at,
        "changed_at": one.measured_at,
        "is_verified": one.is_verified,
        "is_historic": one.is_historic,
        "is_exercise": one.is_exercise,
    }
