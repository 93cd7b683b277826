"""A sensor that is stuck is told from one that rests: by what it measures, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.frames import SeriesDefinition
from devices.quantities import QUANTITIES
from devices.readings import Quality, Readings, concatenate, readings_from_columns
from ingest.check import Checker
from ingest.stillness import FEWEST_READINGS, Stillness

HOUR = 3_600_000
START = 1_767_225_600_000
STUCK = int(Quality.STUCK)


def watch(*quantities: str) -> Stillness:
    """Series 0, 1, … of these quantities."""
    stillness = Stillness()
    stillness.define(
        SeriesDefinition(series, series, f"d{series}", "weather-station", quantity)
        for series, quantity in enumerate(quantities)
    )
    return stillness


def batch(rows: Sequence[tuple[int, float, float]]) -> Readings:
    """(series, hour after START, value)."""
    at = [START + int(hour * HOUR) for _, hour, _ in rows]
    return readings_from_columns(
        [s for s, _, _ in rows], at, at, [v for _, _, v in rows], [0] * len(rows)
    )


def stuck_hours(quantity: str, rows: Sequence[tuple[float, float]]) -> list[float]:
    """Hours at which a series of (hour, value) is flagged, each reading in a batch of its own."""
    stillness = watch(quantity)
    return [hour for hour, value in rows if len(stillness.stuck(batch([(0, hour, value)])))]


def test_a_thermometer_that_shows_the_same_for_a_day_is_stuck() -> None:
    """From 24 h after the first of equal readings on, until the first other one."""
    rows = [(0.0, 17.9), *((h, 18.2) for h in np.arange(1.0, 30.0)), (30.0, 18.3), (31.0, 18.3)]
    assert stuck_hours("air.temperature", rows) == [25.0, 26.0, 27.0, 28.0, 29.0]


def test_the_flag_reaches_the_quality_of_a_reading() -> None:
    checker = Checker()
    checker.define([SeriesDefinition(0, 0, "d", "barn-node", "air.temperature")])
    rows = [(0, float(hour), 18.2) for hour in range(26)]
    quality = checker.check(batch(rows)).quality.tolist()
    assert quality == [0] * 24 + [STUCK] * 2


RESTING = [
    "gate.position", "flood.depth", "water.level", "paddy.depth", "water.flow", "tilt.angle",
    *(q.name for q in QUANTITIES.values() if q.is_counter or q.is_flag or q.is_own),
    *(name for name in QUANTITIES if name.startswith(("battery", "radio", "position"))),
]  # fmt: skip


@pytest.mark.parametrize("quantity", RESTING)
def test_what_may_rest_for_good_is_never_stuck(quantity: str) -> None:
    """Meters at night, closed gates, dry roads, rivers in a dry month."""
    rows = [(float(hour), 0.5) for hour in range(24 * 30)]
    assert stuck_hours(quantity, rows) == []


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("wind.speed", 0.0), ("rain.intensity", 0.0), ("air.relativeHumidity", 100.0),
     ("light.intensity", 0.0), ("water.temperature", 0.0), ("air.relativeHumidity", 101.0)],
)  # fmt: skip
def test_rests_of_a_quantity_that_moves_are_not_stuck(quantity: str, value: float) -> None:
    """No wind, no rain, night, fog, melting ice; what is out of range has its own flag."""
    assert stuck_hours(quantity, [(float(hour), value) for hour in range(100)]) == []


def test_few_readings_are_not_enough() -> None:
    """A device that speaks twice a day has said little in a day."""
    rows = [(12.0 * k, 18.2) for k in range(20)]
    assert stuck_hours("air.temperature", rows)[0] == 12.0 * (FEWEST_READINGS - 1)


def test_a_gap_ends_a_stand() -> None:
    """Nobody knows what was in it; it begins anew behind the gap."""
    rows = [(float(h), 18.2) for h in range(23)] + [(float(h), 18.2) for h in range(40, 70)]
    assert stuck_hours("air.temperature", rows)[0] == 64.0


def test_a_late_reading_lengthens_no_stand() -> None:
    """One of yesterday with today's value: today's stand has not begun yesterday."""
    rows = [(40.0, 18.1), (41.0, 18.2), (2.0, 18.3), (3.0, 18.2)]
    rows += [(42.0 + k / 4, 18.2) for k in range(30)]
    assert stuck_hours("air.temperature", rows) == []


def test_a_series_that_nobody_defined_is_not_watched() -> None:
    stillness = Stillness()
    assert not len(stillness.stuck(batch([(7, float(h), 18.2) for h in range(50)])))
    assert not len(stillness.stuck(batch([])))


rows_of_three = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 200), st.sampled_from([18.0, 18.0, 18.5])),
    max_size=120,
).map(lambda rows: sorted(((s, h / 2, v) for s, h, v in rows), key=lambda r: r[1]))


@given(rows_of_three, st.lists(st.integers(1, 30), max_size=20))
def test_however_readings_are_batched_the_same_are_stuck(
    rows: list[tuple[int, float, float]], sizes: list[int]
) -> None:
    quantities = ("air.temperature", "air.pressure", "battery.voltage")
    at_once = watch(*quantities)
    mask = np.zeros(len(rows), np.bool_)
    if rows:
        mask[at_once.stuck(batch(rows))] = True
    in_pieces = watch(*quantities)
    begin, found = 0, []
    for size in [*sizes, len(rows)]:
        piece = rows[begin : begin + size]
        if piece:
            found += [begin + int(row) for row in in_pieces.stuck(batch(piece))]
        begin += size
    assert sorted(found) == np.flatnonzero(mask).tolist()


def test_what_is_remembered_can_be_had_back() -> None:
    first, second = watch("air.temperature"), watch("air.temperature")
    first.stuck(batch([(0, float(h), 18.2) for h in range(24)]))
    second.restore(first.state())
    later = batch([(0, 24.0, 18.2)])
    assert second.stuck(later).tolist() == [0] == first.stuck(later).tolist()


def test_many_series_are_followed_at_once() -> None:
    """A vectorised step for thousands gives what each would give alone."""
    count = 500
    stillness = watch(*["air.temperature"] * count)
    moves = set(range(0, count, 7))
    hours = [
        batch([(s, float(h), 18.2 + (h % 2) / 10 if s in moves else 18.2) for s in range(count)])
        for h in range(25)
    ]
    for readings in hours[:-1]:
        assert not len(stillness.stuck(readings))
    stuck = stillness.stuck(hours[-1])
    assert set(stuck.tolist()) == set(range(count)) - moves
    again = watch(*["air.temperature"] * count)
    together = concatenate(hours)
    assert len(again.stuck(together)) == len(stuck)
