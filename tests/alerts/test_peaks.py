"""The peak of an alarm: the highest plausible value that was measured while it is open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine as Database

from alerts.engine import Engine
from alerts.evaluator import OpenAlarm
from alerts.ledger import AlarmBook, Ledger
from alerts.rules import load_rules
from devices.frames import Frame, Lane
from devices.readings import Quality
from tests.alerts.book import Book
from tests.alerts.test_engine_properties import REGISTRY, RULES, nights, one_by_one, through_a_file
from tests.alerts.test_ledger import commit, step
from tests.alerts.world import device, frame, registry, series

GAUGE = device(1, thresholds={"caution": 3.0, "danger": 4.0})
LEVEL = series(GAUGE, "water.level")
RIVER = load_rules("""
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
hysteresis = 0.5
stages = [{ name = "caution", level = 2 }, { name = "danger", level = 4 }]
""")
DRILL, SPIKE = int(Quality.EXERCISE), int(Quality.SPIKE)


def river() -> Engine:
    return Engine(Lane.URGENT, RIVER, registry([GAUGE]))


def reads(at: int, value: float, quality: int = 0) -> Frame:
    return frame([(LEVEL, at, at, value, quality)])


def test_the_peak_rises_between_transitions() -> None:
    """3.1 opens, 3.8 is the highest, 3.6 is lower: the peak is 3.8, told once."""
    engine = river()
    (opened,) = engine.run([reads(1, 3.1), reads(2, 3.8), reads(3, 3.6)])
    assert engine.take_peaks() == {opened.alarm: 3.8}
    assert engine.take_peaks() == {}
    engine.run([reads(4, 3.9)])
    assert engine.take_peaks(["another"]) == {}
    assert engine.take_peaks([opened.alarm]) == {opened.alarm: 3.9}


def test_a_peak_is_not_lost_when_the_alarm_ends_in_the_same_step() -> None:
    """And what comes after its end is no part of it."""
    engine = river()
    opened, *_ = engine.run([reads(1, 3.1), reads(2, 3.9), reads(3, 1.0), reads(4, 2.9)])
    assert engine.take_peaks() == {opened.alarm: 3.9}


def test_suspect_readings_make_no_peak() -> None:
    """An alarm that a spike opened has none until a plausible reading confirms it."""
    engine = river()
    (opened,) = engine.run([reads(1, 17.0, SPIKE)])
    assert not opened.is_verified
    assert engine.take_peaks() == {}
    engine.run([reads(2, 3.2), reads(3, 18.0, SPIKE)])
    assert engine.take_peaks() == {opened.alarm: 3.2}


def test_drills_and_reality_have_peaks_of_their_own() -> None:
    """A drill at 4.9 while the river is at 3.1."""
    engine = river()
    real, drill, *_ = engine.run([reads(1, 3.1), reads(2, 4.9, DRILL)])
    assert engine.take_peaks() == {real.alarm: 3.1, drill.alarm: 4.9}


def test_a_peak_lives_through_a_registry_revision() -> None:
    """Other thresholds, the same alarm; and one that is withdrawn is still told."""
    engine = river()
    (opened,) = engine.run([reads(1, 3.1), reads(2, 3.9)])
    engine.switch(RIVER, registry([GAUGE], 2), 3)
    engine.run([reads(4, 3.5)])
    assert engine.take_peaks() == {opened.alarm: 3.9}
    engine.run([reads(5, 3.95)])
    engine.switch(RIVER, registry([], 3), 6)
    assert engine.take_peaks() == {opened.alarm: 3.95}


def test_an_adopted_alarm_goes_on_from_the_peak_in_the_ledger() -> None:
    """After the loss of a snapshot."""
    engine = river()
    assert engine.reconcile([
        OpenAlarm("a", "river", 1, LEVEL, "caution", 2, 1, True, False, peak_value=3.8)
    ]) == []  # fmt: skip
    engine.run([reads(5, 3.7)])
    engine.take_peaks()
    engine.run([reads(6, 3.75)])
    assert engine.take_peaks() == {}
    engine.run([reads(7, 3.85)])
    assert engine.take_peaks() == {"a": 3.85}


@given(nights(), st.integers(0, 40), st.booleans())
def test_peaks_are_the_same_however_the_night_is_cut_or_restarted(
    frames: list[Frame], at: int, is_told_before: bool
) -> None:
    """One call, one call a reading, a restart from a snapshot in between."""
    whole = _peaks_after(Engine(Lane.URGENT, RULES, REGISTRY), frames)
    singly = Engine(Lane.URGENT, RULES, REGISTRY)
    assert _peaks_after(singly, *([one] for one in one_by_one(frames))) == whole
    first, book = Engine(Lane.URGENT, RULES, REGISTRY), Book()
    changes = first.run(frames[:at])
    peaks = first.take_peaks()  # of alarms that ended before the snapshot, at least
    second = Engine(Lane.URGENT, RULES, REGISTRY)
    second.restore(through_a_file(first.state()))
    if not is_told_before:
        peaks = {a: p for a, p in peaks.items() if a not in first.open_alarms()}
    book.note(changes, peaks)
    book.note(second.run(frames[at:]), second.take_peaks())
    assert book.peaks_standing() == whole


def test_the_ledger_raises_a_peak_once_and_gives_the_alarm_a_new_revision(
    database: Database,
) -> None:
    """A lower or the same value changes nothing; an alarm that is not there is passed over."""
    ledger, book = Ledger(database), AlarmBook(database)
    revision = commit(ledger, step(1, 2))
    raised = ledger.commit([], [], {}, 99, {"t1": 2.7, "unknown": 9.0})
    assert raised == revision + 1
    (alarm,) = book.alarms_after(revision)
    assert (alarm.peak_value, alarm.value, alarm.revision) == (2.7, 2.0, raised)
    assert ledger.commit([], [], {}, 99, {"t1": 2.7}) == raised
    assert ledger.commit([], [], {}, 99, {"t1": 2.5}) == raised
    assert book.alarms_after(raised) == []


def test_transitions_and_peaks_of_one_commit_have_revisions_of_their_own(
    database: Database,
) -> None:
    """Opened, risen and cleared in one step: the peak stands."""
    ledger, book = Ledger(database), AlarmBook(database)
    newest = ledger.commit([step(1, 2), step(2, 0, 2)], [], {}, 99, {"t1": 2.9})
    alarm = book.alarm("t1")
    assert alarm is not None
    assert (alarm.state, alarm.peak_value, alarm.revision) == ("cleared", 2.9, newest)


def test_what_was_doubted_is_no_peak_in_the_ledger(database: Database) -> None:
    """A spike claims 5; what is confirmed is 2: the peak is that of what was confirmed."""
    ledger, book = Ledger(database), AlarmBook(database)
    commit(ledger, step(1, 5, is_verified=False))
    (alarm,) = book.open_alarms()
    assert (alarm.peak_level, alarm.peak_value) == (5, None)
    commit(ledger, step(2, 2, 5))
    (alarm,) = book.open_alarms()
    assert (alarm.peak_level, alarm.peak_value) == (2, 2.0)


def _peaks_after(engine: Engine, *parts: list[Frame]) -> dict[str, float]:
    book = Book()
    for part in parts:
        book.note(engine.run(part), engine.take_peaks())
    return book.peaks_standing()
