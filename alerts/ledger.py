"""What has been decided and who is to be told, in SQL: alarms, transitions, outbox, positions.

``Ledger`` is the pen of the alerts process alone; ``AlarmBook`` is for whoever reads (web), and
puts wishes into the inbox. Both refuse to know why anything happened (``alerts.engine``) and how a
message looks (``alerts.texts``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, Engine, Row, Select, func, insert, select, update

from alerts.alarm_rows import apply_transitions, raise_peaks
from alerts.correction_rows import TRANSITION_COLUMNS, correct, known_rows, outcome_of
from alerts.lifecycle import Event, State, after
from alerts.tables import (
    alarm,
    alert_inbox,
    alert_position,
    delivery,
    person,
    transition,
)
from alerts.transitions import Change, Correction, Transition, ids_of
from devices.database import writing
from devices.frames import Position

INBOX = "inbox"
"""Name of the position up to which the inbox has been applied (``n`` is the row's id)."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One matter at one place, as it stands; fields as in ``alerts.tables.alarm``.

    ``acknowledged_by`` is the person's id, ``acknowledged_by_name`` what people call them.
    """

    id: str
    revision: int
    rule: str
    rule_kind: str
    device: int
    series: int | None
    state: str
    level: int
    stage: str
    value: float | None
    peak_level: int
    peak_value: float | None
    opened_at: int
    changed_at: int
    cleared_at: int | None
    acknowledged_at: int | None
    acknowledged_by: int | None
    acknowledge_comment: str | None
    is_verified: bool
    is_historic: bool
    is_exercise: bool
    acknowledged_by_name: str | None
    withdrawn_at: int | None = None


@dataclass(frozen=True, slots=True)
class CommittedTransition:
    """A transition and the moment (int ms UTC) at which it was committed.

    ``withdrawn_at`` is when a late reading said otherwise; None while it stands.
    """

    transition: Transition
    committed_at: int
    withdrawn_at: int | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to tell one person on one channel; ``person_name`` None where nobody is named.

    ``is_withdrawal`` tells that the transition does not hold.
    """

    id: int
    transition: str
    alarm: str
    person: int | None
    person_name: str | None
    channel: str
    address: str
    state: str
    attempts: int
    created_at: int
    next_attempt_at: int
    sent_at: int | None
    maybe_repeated: bool
    last_error: str | None
    language: str | None
    is_withdrawal: bool


@dataclass(frozen=True, slots=True)
class DeliveryDraft:
    """An outbox row to be; ``refusal`` says why it cannot even be tried (it is kept as failed).

    ``is_withdrawal`` tells that the transition does not hold.
    """

    transition: str
    alarm: str
    person: int | None
    channel: str
    address: str
    refusal: str | None = None
    is_withdrawal: bool = False


class AlarmBook:
    """Reads what the alerts process has committed; every call is one short transaction."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def revision(self) -> int:
        """The newest alarm revision, 0 when there is none."""
        with self._database.connect() as connection:
            return _newest_revision(connection)

    def open_alarms(self) -> list[Alarm]:
        """All active alarms, the most severe first, then the newest."""
        return self._alarms(
            _alarms()
            .where(alarm.c.state == State.ACTIVE)
            .order_by(alarm.c.level.desc(), alarm.c.opened_at.desc())
        )

    def alarms_after(self, revision: int) -> list[Alarm]:
        """Alarms changed since ``revision`` (exclusive), in the order of change."""
        return self._alarms(_alarms().where(alarm.c.revision > revision).order_by(alarm.c.revision))

    def recent_alarms(self, limit: int) -> list[Alarm]:
        """The ``limit`` alarms that changed last, the newest change first."""
        return self._alarms(_alarms().order_by(alarm.c.revision.desc()).limit(limit))

    def alarm(self, alarm_id: str) -> Alarm | None:
        """One alarm, or None if there is none of this id."""
        found = self._alarms(_alarms().where(alarm.c.id == alarm_id))
        return found[0] if found else None

    def transitions(self, alarm_id: str) -> list[CommittedTransition]:
        """All transitions of an alarm in the order in which they were committed.

        Those that a late reading has withdrawn are among them.
        """
        with self._database.connect() as connection:
            rows = connection.execute(
                select(transition, alarm.c.rule_kind)
                .join(alarm, alarm.c.id == transition.c.alarm)
                .where(transition.c.alarm == alarm_id)
                .order_by(transition.c.seq)
            ).all()
        return [_committed_transition(row) for row in rows]

    def deliveries_of(self, alarm_id: str) -> list[Delivery]:
        """All deliveries of an alarm, the oldest first."""
        with self._database.connect() as connection:
            rows = connection.execute(
                deliveries().where(delivery.c.alarm == alarm_id).order_by(delivery.c.id)
            ).all()
        return [as_delivery(row) for row in rows]

    def post_to_inbox(
        self, *, person: int, command: str, alarm: str, comment: str | None, now: int
    ) -> int:
        """Wish for something that only the alerts process may write; returns the row's id.

        ``command`` is ``acknowledge``. Applied within a second while the alerts process runs.
        """
        with writing(self._database) as connection:
            row = connection.execute(
                insert(alert_inbox)
                .values(
                    created_at=now, person=person, command=command, alarm=alarm, comment=comment
                )
                .returning(alert_inbox.c.id)
            )
            return int(row.scalar_one())

    def _alarms(self, query: Select[tuple[object, ...]]) -> list[Alarm]:
        with self._database.connect() as connection:
            return [Alarm(**row._mapping) for row in connection.execute(query)]


class Ledger:
    """The one pen that writes alarms, transitions, outbox and positions, all in one transaction."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def commit(
        self,
        changes: Sequence[Change],
        drafts: Sequence[DeliveryDraft],
        positions: Mapping[str, Position],
        now: int,
        peaks: Mapping[str, float] = MappingProxyType({}),
    ) -> int:
        """Commit what came out of the engine and how far it has read; returns the alarm revision.

        ``peaks`` are alarm ids → highest values; one that is not above what is known changes
        nothing.

        A transition that is already there and stands is passed over together with its deliveries:
        it was committed before a crash. When this returns, all of it is durable or (on an
        exception) none.
        """
        with writing(self._database) as connection:
            known = known_rows(connection, list(ids_of(changes)))
            standing = {i for i, row in known.items() if row.withdrawn_at is None}
            news = [c for c in changes if isinstance(c, Correction) or c.id not in standing]
            end = outcome_of(news, known.keys() - standing)
            plain = [c for c in news if isinstance(c, Transition) and c.alarm not in end.alarms]
            before = _newest_revision(connection)
            apply_transitions(connection, list(enumerate(plain, before + 1)))
            revision = before + len(plain)
            if end.alarms:
                named = {d.transition for d in drafts}
                revision = correct(connection, end, named, revision, now)
            revision = raise_peaks(connection, peaks, revision)
            _insert_all(connection, plain, now)
            _queue(connection, [d for d in drafts if _is_new(d, known, standing)], now)
            _move(connection, positions)
        return revision

    def positions(self) -> dict[str, Position]:
        """Every committed position by its name (a lane, or ``inbox``)."""
        with self._database.connect() as connection:
            rows = connection.execute(select(alert_position)).all()
        return {row.name: Position(row.epoch, row.n) for row in rows}

    def apply_inbox(self, now: int) -> int:
        """Apply what web has put into the inbox since last time; returns the number of rows.

        A wish for an alarm that is not there is passed over: it may have been pruned.
        """
        with self._database.connect() as connection:
            done = _inbox_position(connection)
            waiting = connection.scalar(select(func.max(alert_inbox.c.id))) or 0
        if waiting <= done:
            return 0
        with writing(self._database) as connection:
            rows = connection.execute(
                select(alert_inbox).where(alert_inbox.c.id > done).order_by(alert_inbox.c.id)
            ).all()
            for row in rows:
                if row.command == "acknowledge":
                    _acknowledge(connection, row, now)
            _move(connection, {INBOX: Position(0, rows[-1].id)})
        return len(rows)


def _newest_revision(connection: Connection) -> int:
    return connection.scalar(select(func.max(alarm.c.revision))) or 0


def _is_new(draft: DeliveryDraft, known: Collection[str], standing: Collection[str]) -> bool:
    """False for what was committed before a crash: what stands, the withdrawal of what does not."""
    stands = draft.transition in standing
    return stands or draft.transition not in known if draft.is_withdrawal else not stands


def _insert_all(connection: Connection, fresh: Sequence[Transition], now: int) -> None:
    if fresh:
        connection.execute(
            insert(transition),
            [
                {name: getattr(t, name) for name in TRANSITION_COLUMNS} | {"committed_at": now}
                for t in fresh
            ],
        )


def _queue(connection: Connection, drafts: Iterable[DeliveryDraft], now: int) -> None:
    rows = [
        {
            "transition": d.transition,
            "alarm": d.alarm,
            "person": d.person,
            "channel": d.channel,
            "address": d.address,
            "is_withdrawal": d.is_withdrawal,
            "state": "queued" if d.refusal is None else "failed",
            "created_at": now,
            "next_attempt_at": now,
            "last_error": d.refusal,
        }
        for d in drafts
    ]
    if rows:
        connection.execute(insert(delivery), rows)


def _move(connection: Connection, positions: Mapping[str, Position]) -> None:
    for name, position in positions.items():
        values = {"epoch": position.epoch, "n": position.n}
        moved = connection.execute(
            update(alert_position).where(alert_position.c.name == name).values(values)
        )
        if moved.rowcount == 0:
            connection.execute(insert(alert_position).values(name=name, **values))


def _inbox_position(connection: Connection) -> int:
    query = select(alert_position.c.n).where(alert_position.c.name == INBOX)
    return connection.scalar(query) or 0


def _acknowledge(connection: Connection, row: Row[tuple[object, ...]], now: int) -> None:
    """The first to acknowledge stands; a second wish changes nothing."""
    found = connection.execute(
        select(alarm.c.state, alarm.c.acknowledged_at).where(alarm.c.id == row.alarm)
    ).one_or_none()
    if found is None or found.acknowledged_at is not None:
        return
    connection.execute(
        update(alarm)
        .where(alarm.c.id == row.alarm)
        .values(
            revision=_newest_revision(connection) + 1,
            state=after(State(found.state), Event.ACKNOWLEDGED),
            acknowledged_at=now,
            acknowledged_by=row.person,
            acknowledge_comment=row.comment,
        )
    )


def _alarms() -> Select[tuple[object, ...]]:
    return select(alarm, person.c.display_name.label("acknowledged_by_name")).join_from(
        alarm, person, alarm.c.acknowledged_by == person.c.id, isouter=True
    )


def deliveries() -> Select[tuple[object, ...]]:
    """Select all deliveries together with the person's name; ``as_delivery`` reads a row."""
    return select(
        delivery, person.c.display_name.label("person_name"), person.c.language
    ).join_from(delivery, person, delivery.c.person == person.c.id, isouter=True)


def as_delivery(row: Row[tuple[object, ...]]) -> Delivery:
    """A row of ``deliveries()`` as a value."""
    return Delivery(**row._mapping)


def _committed_transition(row: Row[tuple[object, ...]]) -> CommittedTransition:
    values = dict(row._mapping)
    del values["seq"]
    committed_at, withdrawn_at = values.pop("committed_at"), values.pop("withdrawn_at")
    return CommittedTransition(Transition(**values), committed_at, withdrawn_at)
