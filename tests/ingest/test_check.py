"""Plausibility: the clock, limits and spikes; and real rivers that must and must not be flagged."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.frames import SeriesDefinition
from devices.payload import NO_TIME
from devices.readings import Quality, Readings, readings_from_columns
from ingest.check import EARLIEST_AT, FUTURE_MS, Checker, place_in_time

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_767_225_600_000


def _checker(*quantities: str) -> Checker:
    """Series 0, 1, … of these quantities."""
    checker = Checker()
    checker.define(
        SeriesDefinition(series, series, f"d{series}", "river-gauge", quantity)
        for series, quantity in enumerate(quantities)
    )
    return checker


def _batch(rows: Sequence[tuple[int, int, float]]) -> Readings:
    """(series, ms after START, value)."""
    series = [row[0] for row in rows]
    at = [START + row[1] for row in rows]
    return readings_from_columns(series, at, at, [row[2] for row in rows], [0] * len(rows))


def _flags(checker: Checker, *rows: tuple[int, float]) -> list[int]:
    """Quality of (minute, value) rows of series 0, each in a batch of its own."""
    return [
        int(checker.check(_batch([(0, minute * MINUTE, value)])).quality[0])
        for minute, value in rows
    ]


OK, SPIKE, RANGE = 0, int(Quality.SPIKE), int(Quality.RANGE)


def test_a_counter_that_falls_is_no_spike() -> None:
    """Rollover, swap and reset are for `devices.consumption` to tell apart: nothing is hidden."""
    for quantity in ("water.total", "water.reverseTotal", "rain.cumulative"):
        rows = [(k * 60, v) for k, v in enumerate([99_999.5, 0.2, 812.0, 0.0, 5000.0])]
        assert _flags(_checker(quantity), *rows) == [OK] * 5
    assert _flags(_checker("water.total"), (0, -0.1)) == [RANGE]


def test_a_time_that_is_absent_or_impossible_becomes_ours() -> None:
    given_at = [NO_TIME, START + FUTURE_MS + 1, START + FUTURE_MS, EARLIEST_AT - 1, EARLIEST_AT, 0]
    received_at = np.full(6, START, np.int64)
    placed = place_in_time(np.array(given_at, np.int64), received_at)
    assert placed.is_ours.tolist() == [True, True, False, True, False, True]
    ours = [START, START, START + FUTURE_MS, START, EARLIEST_AT, START]
    assert placed.measured_at.tolist() == ours
    assert placed.too_late.tolist() == [1]
    assert placed.too_early.tolist() == [3, 5]


def test_limits_are_inclusive() -> None:
    checker = _checker("air.relativeHumidity")
    rows = [(0, 0.0), (1, 100.0), (2, -0.1), (3, 100.1)]
    assert _flags(checker, *rows) == [OK, OK, RANGE, RANGE]


def test_a_quantity_without_a_step_may_jump() -> None:
    assert _flags(_checker("light.intensity"), (0, 0.0), (1, 100_000.0)) == [OK, OK]


def test_a_single_jump_is_a_spike_and_what_follows_is_not() -> None:
    rows = [(0, 1.0), (10, 1.1), (20, 12.0), (30, 1.2)]
    assert _flags(_checker("water.level"), *rows) == [OK, OK, SPIKE, OK]


def test_what_is_plausible_grows_with_time_up_to_a_cap() -> None:
    """2 m at once and 0.5 m a minute, 8 m at most."""
    for minute, value, flag in [(1, 2.4, OK), (1, 2.6, SPIKE), (10, 6.9, OK), (600, 8.1, SPIKE)]:
        assert _flags(_checker("water.level"), (0, 0.0), (minute, value)) == [OK, flag]


def test_three_suspects_that_agree_are_a_new_level() -> None:
    rows = [(0, 1.0), (10, 15.0), (20, 15.1), (30, 15.2), (40, 15.1), (50, 1.0)]
    assert _flags(_checker("water.level"), *rows) == [OK, SPIKE, SPIKE, SPIKE, OK, SPIKE]


def test_suspects_that_disagree_never_become_a_level() -> None:
    rows = [(0, 1.0), (1, 15.0), (2, 40.0), (3, 15.0), (4, 40.0), (5, 1.0)]
    assert _flags(_checker("water.level"), *rows) == [OK, SPIKE, SPIKE, SPIKE, SPIKE, OK]


def test_suspects_must_be_consecutive() -> None:
    rows = [(0, 1.0), (1, 15.0), (2, 15.0), (3, 1.0), (4, 15.0), (5, 15.0), (6, 9999.0), (7, 15.0)]
    flags = [OK, SPIKE, SPIKE, OK, SPIKE, SPIKE, RANGE, SPIKE]
    assert _flags(_checker("water.level"), *rows) == flags


def test_the_same_suspect_told_three_times_is_one_suspect() -> None:
    rows = [(0, 1.0), (10, 15.0), (10, 15.0), (10, 15.0), (20, 1.0)]
    assert _flags(_checker("water.level"), *rows) == [OK, SPIKE, SPIKE, SPIKE, OK]


def test_a_late_reading_is_compared_over_the_time_to_the_reference_and_moves_nothing() -> None:
    """Half an hour before 5.0 m there can have been 3.0 m, but no 30 m; 5.1 follows 5.0."""
    rows = [(0, 1.0), (60, 5.0), (30, 30.0), (30, 3.0), (61, 5.1)]
    assert _flags(_checker("water.level"), *rows) == [OK, OK, SPIKE, OK, OK]


def test_a_late_reading_of_more_than_a_day_ago_is_plausible_whatever_it_is() -> None:
    rows = [(0, 1.0), (-24 * 60, 30.0), (-24 * 60 - 1, 30.0), (1, 1.0)]
    assert _flags(_checker("water.level"), *rows) == [OK, SPIKE, OK, OK]


def test_late_readings_neither_make_nor_break_a_new_level() -> None:
    """Three suspects in order make it; a late one between them is judged by the old reference."""
    rows = [(60, 1.0), (61, 20.0), (30, 19.0), (62, 20.0), (59, 1.0), (63, 20.0), (64, 20.1)]
    assert _flags(_checker("water.level"), *rows) == [OK, SPIKE, SPIKE, SPIKE, OK, SPIKE, OK]


def test_after_a_day_of_silence_anything_is_plausible() -> None:
    assert _flags(_checker("water.level"), (0, 1.0), (24 * 60, 20.0)) == [OK, SPIKE]
    assert _flags(_checker("water.level"), (0, 1.0), (24 * 60 + 1, 20.0)) == [OK, OK]


def test_flags_that_are_there_stay() -> None:
    checker = _checker("water.level")
    row = readings_from_columns([0], [START], [START], [9999.0], [int(Quality.CLOCK)])
    assert checker.check(row).quality.tolist() == [Quality.CLOCK | Quality.RANGE]


def test_a_series_without_definition_has_no_limits() -> None:
    assert Checker().check(_batch([(7, 0, 1e9), (7, 1, -1e9)])).quality.tolist() == [0, 0]


rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 40).map(lambda m: m * MINUTE * 50),
        st.sampled_from([0.0, 1.0, 2.5, 4.0, 12.0, 13.0, 30.0, 9999.0]),
    ),
    max_size=40,
)


@given(rows, st.data())
def test_batches_change_nothing(rows: list[tuple[int, int, float]], data: st.DataObject) -> None:
    """One at a time, all at once, any batches, with a restart in between: the same flags."""
    quantities = ("water.level", "air.temperature", "light.intensity")
    singly = _checker(*quantities)
    expected = [int(singly.check(_batch([row])).quality[0]) for row in rows]
    assert _checker(*quantities).check(_batch(rows)).quality.tolist() == expected
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    found: list[int] = []
    checker = _checker(*quantities)
    for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        found += checker.check(_batch(rows[a:b])).quality.tolist()
        state = checker.state()
        checker = _checker(*quantities)
        checker.restore(state)
    assert found == expected


# --- Real rivers -------------------------------------------------------------------------------


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _play(rows: Sequence[tuple[int, int, float]], checker: Checker) -> list[int]:
    """All rows in batches of 1000, as they came."""
    quality: list[int] = []
    for start in range(0, len(rows), 1000):
        series, at, value = zip(*rows[start : start + 1000], strict=True)
        batch = readings_from_columns(series, at, at, value, [0] * len(series))
        quality += checker.check(batch).quality.tolist()
    return quality


def test_exactly_the_three_spikes_of_the_weir_are_flagged(shared_data: Path) -> None:
    """UK Environment Agency, L1705A: −13.498 twice and 4.183 once, and no other of 58,417 polls."""
    with gzip.open(shared_data / "river_uk_ea" / "polled_levels.csv.gz", "rt") as file:
        polls = [row for row in csv.DictReader(file) if row["value"]]
    stations = sorted({row["station_id"] for row in polls})
    rows = [
        (stations.index(row["station_id"]), _ms(row["timestamp"]), float(row["value"]))
        for row in polls
    ]
    quality = _play(rows, _checker(*["water.level"] * len(stations)))
    flagged = {
        (poll["station_id"], poll["timestamp"], poll["value"], flag)
        for poll, flag in zip(polls, quality, strict=True)
        if flag
    }
    assert flagged == {
        ("L1705A", "2025-10-03T20:00:00Z", "4.183", SPIKE),
        ("L1705A", "2025-12-02T10:15:00Z", "-13.498", SPIKE),
        ("L1705A", "2026-01-07T03:45:00Z", "-13.498", SPIKE),
    }


def test_no_reading_of_a_season_of_flash_floods_is_flagged(shared_data: Path) -> None:
    """USGS 01581752, summer 2018, ft to m."""
    path = shared_data / "river_usgs" / "01581752_5min_2018-05_2018-10.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = [
            (0, _ms(row["datetime_utc"]), float(row["gage_height_ft"]) * 0.3048)
            for row in csv.DictReader(file)
            if row["gage_height_ft"]
        ]
    assert len(rows) > 50_000
    assert not any(_play(rows, _checker("water.level")))


@pytest.mark.parametrize("count", [1, 1000])
def test_an_empty_or_quiet_batch_is_fine(count: int) -> None:
    checker = _checker(*["water.level"] * count)
    assert len(checker.check(_batch([]))) == 0
    assert not checker.check(_batch([(k, 0, 1.0) for k in range(count)])).quality.any()
