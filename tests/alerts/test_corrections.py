"""The ledger after late readings: what stands, what is withdrawn, who inherits what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine as Database

from alerts.engine import Engine
from alerts.ledger import AlarmBook, DeliveryDraft, Ledger
from alerts.people import add_person
from alerts.routing import drafts_for
from alerts.rules import Route
from alerts.transitions import Change, Correction, Transition
from devices.frames import Position
from tests.alerts.test_ledger import HERE
from tests.alerts.test_peaks import GAUGE, LEVEL, reads, river
from tests.alerts.world import frame

SECOND = 1000
EVERYBODY = Route(name="all", min_level=1, channels=("log",))


class Night:
    """A river whose changes are committed call by call, as the service would."""

    def __init__(self, database: Database) -> None:
        self.engine: Engine = river()
        self.ledger, self.book = Ledger(database), AlarmBook(database)
        self.n = 0

    def reads(self, *readings: tuple[float, float], at: float | None = None) -> list[Change]:
        """(second measured, level) each; received ``at`` s, or when it was measured."""
        changes = self.engine.run(
            reads(round(second * SECOND), level)
            if at is None
            else frame([(LEVEL, round(second * SECOND), round(at * SECOND), level, 0)])
            for second, level in readings
        )
        self.commit(changes)
        return changes

    def commit(self, changes: Sequence[Change]) -> None:
        self.n += 1
        drafts = drafts_for(changes, (EVERYBODY,), {GAUGE.id: GAUGE}, (), ())
        at = {"urgent": Position(1 << 62, self.n)}
        self.ledger.commit(changes, drafts, at, self.n, self.engine.take_peaks())

    def told(self, alarm: str) -> list[tuple[str, bool]]:
        """(stage, is it a withdrawal) of each message about an alarm."""
        stage = {c.transition.id: c.transition.to_stage for c in self.book.transitions(alarm)}
        return [(stage[d.transition], d.is_withdrawal) for d in self.book.deliveries_of(alarm)]


def test_an_opening_that_moves_leaves_one_alarm_with_its_acknowledgement(
    database: Database,
) -> None:
    """The crossing was five minutes earlier: opened then, seen still, nobody told twice."""
    night = Night(database)
    aki = add_person(database, "aki", role="disaster")
    night.reads((0, 2.0), (600, 3.5))
    (opened,) = night.book.open_alarms()
    night.book.post_to_inbox(
        person=aki.id, command="acknowledge", alarm=opened.id, comment=None, now=1
    )
    night.ledger.apply_inbox(now=7)
    night.reads((300, 3.9), at=660)
    (alarm,) = night.book.open_alarms()
    assert alarm.id == opened.id
    assert (alarm.opened_at, alarm.changed_at, alarm.peak_value) == (300_000, 300_000, 3.9)
    assert (alarm.acknowledged_by, alarm.acknowledged_at) == (aki.id, 7)
    assert not alarm.is_historic
    assert alarm.revision > opened.revision
    steps = [(c.transition.measured_at, c.withdrawn_at) for c in night.book.transitions(alarm.id)]
    assert steps == [(600_000, 2), (300_000, None)]
    assert night.told(alarm.id) == [("caution", False)]


def test_an_alarm_that_never_was_is_withdrawn_and_those_who_were_told_hear_it(
    database: Database,
) -> None:
    """Closed at once, marked with our clock; its transition is kept, and marked too."""
    night = Night(database)
    night.reads((0, 2.0), (600, 4.5))
    (opened,) = night.book.open_alarms()
    night.reads((600, 2.0), at=610)
    assert night.book.open_alarms() == []
    alarm = night.book.alarm(opened.id)
    assert alarm is not None
    assert (alarm.state, alarm.withdrawn_at, alarm.stage, alarm.level) == (
        "cleared", 2, "danger", 4,
    )  # fmt: skip
    assert (alarm.opened_at, alarm.cleared_at) == (600_000, 600_000)
    assert [c.withdrawn_at for c in night.book.transitions(opened.id)] == [2]
    assert night.told(opened.id) == [("danger", False), ("danger", True)]
    # and it was true after all: the same alarm again
    night.reads((600, 4.4), at=620)
    (again,) = night.book.open_alarms()
    assert (again.id, again.withdrawn_at, again.value) == (opened.id, None, 4.4)
    assert night.told(opened.id)[2:] == [("danger", False)]


def test_two_alarms_that_were_one_keep_the_present_name_and_what_was_seen(
    database: Database,
) -> None:
    """The first was acknowledged, the second is open; what cleared the first was no fall."""
    night = Night(database)
    aki = add_person(database, "aki", role="disaster")
    night.reads((0, 2.0), (60, 3.4))
    (first,) = night.book.open_alarms()
    night.book.post_to_inbox(
        person=aki.id, command="acknowledge", alarm=first.id, comment="見た", now=1
    )
    night.ledger.apply_inbox(now=7)
    night.reads((120, 2.0), (180, 3.5))
    (second,) = night.book.open_alarms()
    assert second.acknowledged_by is None
    night.reads((120, 3.3), at=200)
    (one,) = night.book.open_alarms()
    assert (one.id, one.opened_at, one.acknowledge_comment) == (second.id, 60_000, "見た")
    gone = night.book.alarm(first.id)
    assert gone is not None
    assert gone.withdrawn_at is not None
    # and split again: the present one keeps its name, the other is seen as well
    night.reads((120, 2.0), at=210)
    (still,) = night.book.open_alarms()
    assert (still.id, still.opened_at) == (second.id, 180_000)
    assert {a.acknowledged_by for a in night.book.recent_alarms(9)} == {aki.id}


def test_a_peak_goes_down_where_its_reading_was_wrong(database: Database) -> None:
    """3.9 was 3.2: the highest is 3.6."""
    night = Night(database)
    night.reads((0, 2.0), (60, 3.1), (120, 3.9), (180, 3.6))
    night.reads((120, 3.2), at=200)
    (alarm,) = night.book.open_alarms()
    assert alarm.peak_value == 3.6
    night.reads((240, 1.0))
    night.reads((150, 3.7), at=300)
    (cleared,) = night.book.recent_alarms(1)
    assert (cleared.state, cleared.peak_value, cleared.cleared_at) == ("cleared", 3.7, 240_000)


def test_what_was_said_and_withdrawn_in_one_commit_leaves_no_row(database: Database) -> None:
    """A backlog of the newest first: the opening moves a dozen times, one move is on record."""
    night = Night(database)
    night.reads((0, 2.0))
    readings = [(second, 3.5) for second in range(600, 0, -50)]
    changes = night.reads(*readings, at=700)
    assert sum(isinstance(c, Correction) for c in changes) == 11
    (alarm,) = night.book.open_alarms()
    assert alarm.opened_at == 50_000
    steps = [(c.transition.measured_at, c.withdrawn_at) for c in night.book.transitions(alarm.id)]
    assert sorted(steps) == [(50_000, None), (600_000, 2)], "the one that was told, and the last"


def test_nothing_is_told_that_was_withdrawn_before_anybody_could_hear(database: Database) -> None:
    """Said and undone in one commit: no alarm, no message."""
    night = Night(database)
    night.reads((0, 2.0), (60, 4.5), (60, 2.0), at=61)
    assert night.book.recent_alarms(9) == []


def test_committing_a_correction_again_changes_nothing(database: Database) -> None:
    """After a crash the engine may say it again: the same rows, no second message."""
    night = Night(database)
    night.reads((0, 2.0), (600, 3.5))
    changes = night.engine.run([frame([(LEVEL, 300_000, 660_000, 3.9, 0)])])
    night.commit(changes)
    before = _rows(night)
    night.commit(changes)
    assert _rows(night) == before
    for reading in ((300, 1.0), (600, 1.0)):  # nothing of it is left, and that is told
        changes = [*changes, *night.reads(reading, at=700)]
    before = _rows(night)
    night.commit(changes[-1:])
    assert _rows(night) == before
    (alarm,) = night.book.recent_alarms(1)
    assert night.told(alarm.id) == [("caution", False), ("caution", True)]


def test_alarms_that_no_correction_touches_are_left_alone(database: Database) -> None:
    """In one commit: another alarm's opening goes its usual way, with a revision of its own."""
    night = Night(database)
    night.reads((0, 2.0), (600, 3.5))
    other = Transition(
        id="x", alarm="x", rule="r", rule_kind="stages", rule_version="v", device=9, series=900,
        measured_at=1, received_at=1, from_level=0, to_level=2, from_stage="normal",
        to_stage="caution", value=1.0, is_verified=True, is_historic=False, is_exercise=False,
    )  # fmt: skip
    correction = night.engine.run([frame([(LEVEL, 300_000, 660_000, 3.9, 0)])])
    before = night.book.revision()
    draft = DeliveryDraft("x", "x", None, "log", "all")
    night.ledger.commit([other, *correction], [draft], HERE, 99)
    assert len({a.revision for a in night.book.alarms_after(before)}) == 2
    assert [a.id for a in night.book.open_alarms() if a.device == 9] == ["x"]
    raised = replace(other, id="y", from_level=2, to_level=4, to_stage="danger", measured_at=2)
    night.ledger.commit([raised], [], HERE, 99)
    found = night.book.alarm("x")
    assert found is not None
    assert found.level == 4


def _rows(night: Night) -> list[object]:
    alarms = [replace(a, revision=0) for a in night.book.recent_alarms(9)]
    return [
        sorted(alarms, key=lambda a: a.id),
        [night.book.transitions(a.id) for a in alarms],
        [night.book.deliveries_of(a.id) for a in alarms],
    ]
