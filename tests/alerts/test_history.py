"""Many readings of a series at once are kept as they would be one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.engine import Engine
from alerts.history import History
from alerts.rules import load_rules
from devices.frames import Lane
from devices.readings import Quality
from tests.alerts.book import Book
from tests.alerts.world import Row, device, frame, registry, series

DEVICES = [device(n, "trap") for n in (1, 2)] + [device(3, "river-gauge")]
REGISTRY = registry(DEVICES)
SERIES = [series(DEVICES[0], "trap.triggered"), series(DEVICES[1], "trap.triggered"),
          series(DEVICES[2], "water.level")]  # fmt: skip
KEPT = SERIES[:2]
RULES = load_rules("""
[[rules]]
name = "sprung"
kind = "event"
quantity = "trap.triggered"
level = 3
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
hysteresis = 0.2
hold_up_ms = 2000
stages = [{ name = "caution", level = 2, value = 3.0 }, { name = "danger", level = 4, value = 4.0 }]
""")


@st.composite
def batches(draw: st.DrawFn) -> list[list[Row]]:
    """Batches of readings in order, of few series, so that most stand more than once."""
    at = 1_000
    found: list[list[Row]] = []
    for _ in range(draw(st.integers(1, 5))):
        rows: list[Row] = []
        for _ in range(draw(st.integers(1, 60))):
            at += draw(st.sampled_from([1, 700, 2500]))
            value = draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, 3.1, 4.2]))
            quality = int(draw(st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.SPIKE])))
            rows.append((draw(st.sampled_from(SERIES)), at, at + 3, value, quality))
        found.append(rows)
    return found


@given(batches())
def test_a_run_of_readings_is_kept_as_one_reading_after_the_other(found: list[list[Row]]) -> None:
    """The ring may be shorter than the run: the newest stay."""
    at_once, one_by_one = (History.of(KEPT, REGISTRY, 100) for _ in range(2))
    for rows in found:
        at_once.append_runs(frame(rows).readings)
        for row in rows:
            one_by_one.append(frame([row]).readings)
    for name, array in one_by_one.state().items():
        assert np.array_equal(at_once.state()[name], array), name


@given(batches())
def test_a_batch_in_which_series_stand_often_gives_what_its_readings_give_one_by_one(
    found: list[list[Row]],
) -> None:
    """Whether they are quiet and passed by together, or change something."""
    at_once, one_by_one = (Engine(Lane.URGENT, RULES, REGISTRY) for _ in range(2))
    book, other = Book(), Book()
    for rows in found:
        book.note(at_once.run([frame(rows)]), at_once.take_peaks())
        for row in rows:
            other.note(one_by_one.run([frame([row])]), one_by_one.take_peaks())
    assert book.said() == other.said()
    assert book.peaks_standing() == other.peaks_standing()
    assert at_once.open_alarms() == one_by_one.open_alarms()
