"""What is remembered of the way of a place is bounded, and nothing is silent about what is not."""

from __future__ import annotations

from alerts.engine import Engine
from alerts.history import Insertion
from alerts.rules import load_rules
from alerts.trail import MAX_STATES_A_PLACE
from alerts.transitions import Correction, Transition
from devices.frames import Frame, Lane
from tests.alerts.world import device, frame, registry, series

GAUGE = device(1, thresholds={"caution": 3.0})
LEVEL = series(GAUGE, "water.level")
RULES = load_rules("""
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
stages = [{ name = "caution", level = 2 }]
""")
STEP_MS = 1000
TIMES = 100


def reads(at: int, value: float) -> Frame:
    return frame([(LEVEL, at, at, value, 0)])


def fluttering() -> Engine:
    """A gauge that has crossed its threshold a hundred times within its horizon."""
    engine = Engine(Lane.URGENT, RULES, registry([GAUGE]))
    for k in range(TIMES):
        engine.run([reads(k * STEP_MS, 3.1 if k % 2 else 2.9)])
    return engine


def traces(engine: Engine) -> int:
    (found,) = [a for name, a in engine.state().items() if name.endswith("/traces")]
    return len(found)


def test_a_place_that_flutters_keeps_its_newest_states_only() -> None:
    """However long it goes on."""
    engine = fluttering()
    assert traces(engine) == MAX_STATES_A_PLACE
    for k in range(TIMES, 2 * TIMES):
        engine.run([reads(k * STEP_MS, 3.1 if k % 2 else 2.9)])
    assert traces(engine) == MAX_STATES_A_PLACE


def test_a_late_reading_within_what_is_kept_of_a_fluttering_place_is_run_again() -> None:
    """A calm value between two crossings splits the alarm that is open there."""
    engine = fluttering()
    at = (TIMES - 1) * STEP_MS  # the last crossing: an alarm is open from here on
    engine.run([reads(at + 10, 3.2)])
    found = engine.run([reads(at + 5, 2.9)])
    assert [type(one) for one in found] == [Correction]
    assert engine.late[Insertion.BEYOND] == 0


def test_a_late_reading_before_what_is_kept_of_a_fluttering_place_is_counted_as_beyond() -> None:
    """It changes no alarm, and it is not passed over in silence."""
    engine = fluttering()
    at = (TIMES - 2 * MAX_STATES_A_PLACE) * STEP_MS
    assert engine.run([reads(at + 5, 3.3)]) == []
    assert engine.late[Insertion.BEYOND] == 1
    news = engine.run([reads(TIMES * STEP_MS, 2.9)])
    assert [type(one) for one in news] == [Transition]
