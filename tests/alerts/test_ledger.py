"""The ledger: what is committed together, what is kept once, what web may read and wish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event, select, update

from alerts.ledger import AlarmBook, DeliveryDraft, Ledger
from alerts.outbox import Outbox
from alerts.people import add_person
from alerts.tables import delivery, transition
from alerts.transitions import Transition
from devices.database import writing
from devices.frames import Position

HERE = {"urgent": Position(1 << 62, 7)}


def step(
    number: int, level: int, before: int = 0, *, alarm: str = "t1", **more: object
) -> Transition:
    """Transition ``t<number>`` of an alarm to a level, at ``number`` seconds."""
    names = ["normal", "standby", "caution", "evacuation", "danger", "flooding"]
    one = Transition(
        id=f"t{number}", alarm=alarm, rule="river", rule_kind="stages", rule_version="v",
        device=3, series=9, measured_at=number * 1000, received_at=number * 1000 + 5,
        from_level=before, to_level=level, from_stage=names[before], to_stage=names[level],
        value=float(level), is_verified=True, is_historic=False, is_exercise=False,
    )  # fmt: skip
    return replace(one, **more)  # type: ignore[arg-type]  # whatever a test wants to differ


def commit(ledger: Ledger, *steps: Transition, drafts: Sequence[DeliveryDraft] = ()) -> int:
    return ledger.commit(steps, drafts, HERE, now=99_000)


def test_an_alarm_follows_its_transitions(database: Engine) -> None:
    """Opened at 2, raised to 4, lowered to 2, cleared: stage, peak and times are as they were."""
    ledger, book = Ledger(database), AlarmBook(database)
    commit(ledger, step(1, 2), step(2, 4, 2))
    (alarm,) = book.open_alarms()
    assert (alarm.level, alarm.stage, alarm.peak_level, alarm.opened_at) == (4, "danger", 4, 1000)
    commit(ledger, step(3, 2, 4))
    (alarm,) = book.open_alarms()
    assert (alarm.level, alarm.peak_level, alarm.peak_value, alarm.value) == (2, 4, 4.0, 2.0)
    commit(ledger, step(4, 0, 2))
    assert book.open_alarms() == []
    cleared = book.alarm("t1")
    assert cleared is not None
    assert (cleared.state, cleared.level, cleared.cleared_at) == ("cleared", 2, 4000)
    told = [(c.transition.id, c.transition.from_level, c.transition.to_level, c.committed_at)
            for c in book.transitions("t1")]  # fmt: skip
    assert told == [("t1", 0, 2, 99_000), ("t2", 2, 4, 99_000), ("t3", 4, 2, 99_000),
                    ("t4", 2, 0, 99_000)]  # fmt: skip


def test_a_transition_reads_back_as_it_was_committed(database: Engine) -> None:
    """Every field survives, flags and times beyond 32 bits included."""
    one = step(1, 2, measured_at=1 << 42, is_verified=False, is_historic=True, is_exercise=True)
    commit(Ledger(database), one)
    assert [c.transition for c in AlarmBook(database).transitions("t1")] == [one]


def test_a_transition_that_comes_again_is_kept_once_with_its_deliveries(database: Engine) -> None:
    """After a crash the engine may say it again: neither the alarm nor the outbox changes."""
    ledger, book = Ledger(database), AlarmBook(database)
    drafts = [DeliveryDraft("t1", "t1", None, "log", "x")]
    revision = commit(ledger, step(1, 2), drafts=drafts)
    assert commit(ledger, step(1, 2), drafts=drafts) == revision
    assert len(book.transitions("t1")) == 1
    assert len(book.deliveries_of("t1")) == 1


def test_a_delivery_finds_its_transition_where_a_correction_has_moved_it(database: Engine) -> None:
    """Found by the chaos test: a late reading made the transition one of another alarm before it
    was told, and the alerts process died of it at each start."""
    ledger = Ledger(database)
    commit(ledger, step(1, 2), drafts=[DeliveryDraft("t1", "t1", None, "log", "x")])
    commit(ledger, step(5, 2, alarm="t5"))
    with writing(database) as connection:
        connection.execute(update(transition).where(transition.c.id == "t1").values(alarm="t5"))
    (claimed,) = Outbox(database).claim("log", 100_000, 10)
    assert (claimed.transition.id, claimed.transition.alarm) == ("t1", "t5")


def test_the_revision_rises_with_every_change(database: Engine) -> None:
    """Whoever asks for what changed after a revision gets each changed alarm once, in order."""
    ledger, book = Ledger(database), AlarmBook(database)
    first = commit(ledger, step(1, 2), step(2, 3, alarm="t2"))
    assert first == book.revision() == 2
    commit(ledger, step(3, 4, 2))
    assert [(a.id, a.revision) for a in book.alarms_after(first)] == [("t1", 3)]
    assert [a.id for a in book.recent_alarms(1)] == ["t1"]
    assert [a.id for a in book.open_alarms()] == ["t1", "t2"], "the most severe first"


def test_transitions_outbox_and_position_are_committed_together_or_not_at_all(
    database: Engine,
) -> None:
    """Break the transaction at its last statement: nothing of it is there."""
    ledger = Ledger(database)

    def break_at_position(_c: object, _u: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO alert_position"):
            raise RuntimeError("the disk is gone")

    event.listen(database, "before_cursor_execute", break_at_position)
    with pytest.raises(RuntimeError):
        commit(ledger, step(1, 2), drafts=[DeliveryDraft("t1", "t1", None, "log", "x")])
    event.remove(database, "before_cursor_execute", break_at_position)
    with database.connect() as connection:
        assert connection.execute(select(transition)).all() == []
        assert connection.execute(select(delivery)).all() == []
    assert ledger.positions() == {}
    commit(ledger, step(1, 2))
    assert ledger.positions() == HERE


def test_an_acknowledgement_is_applied_once_and_the_first_stands(database: Engine) -> None:
    """Who was first is on record; a second wish and one for an unknown alarm change nothing."""
    ledger, book = Ledger(database), AlarmBook(database)
    aki = add_person(database, "aki", role="disaster", display_name="秋山")
    ben = add_person(database, "ben", role="disaster", display_name="Ben")
    revision = commit(ledger, step(1, 2))
    for person, wanted in ((aki, "t1"), (ben, "t1"), (ben, "nothing")):
        book.post_to_inbox(
            person=person.id, command="acknowledge", alarm=wanted, comment="現地確認", now=5
        )
    assert ledger.apply_inbox(now=77_000) == 3
    assert ledger.apply_inbox(now=88_000) == 0
    (alarm,) = book.alarms_after(revision)
    assert (alarm.acknowledged_at, alarm.acknowledged_by_name) == (77_000, "秋山")
    assert (alarm.acknowledge_comment, alarm.state) == ("現地確認", "active")
    commit(ledger, step(2, 0, 2))
    cleared = book.alarm("t1")
    assert cleared is not None
    assert (cleared.state, cleared.acknowledged_by) == ("cleared", aki.id)


def test_a_refused_draft_is_on_record_as_failed(database: Engine) -> None:
    """A warning that can reach nobody says so."""
    refused = DeliveryDraft("t1", "t1", None, "mail", "", "route x has no recipients")
    commit(Ledger(database), step(1, 2), drafts=[refused])
    (row,) = AlarmBook(database).deliveries_of("t1")
    assert (row.state, row.last_error) == ("failed", "route x has no recipients")
