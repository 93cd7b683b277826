"""Consumption from counters: rollover, swap, reset, glitches, gaps; nothing is guessed."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.consumption import (
    Consumption,
    MeterUnit,
    Remarkable,
    consumption,
    counter_of,
    units_during,
)
from devices.counter_chain import Join, chain
from devices.readings import Quality

T = 1_767_225_600_000
HOUR = 3_600_000
DAY = 24 * HOUR
R = Remarkable


def consumed(
    rows: Sequence[tuple[float, float]],
    borders: Sequence[float],
    *units: MeterUnit,
    quality: Sequence[int] | None = None,
) -> Consumption:
    """Rows and borders with times in hours after T; a longest step of two hours."""
    return consumption(
        np.array([T + round(hour * HOUR) for hour, _ in rows], np.int64),
        np.array([value for _, value in rows], np.float64),
        np.array(quality if quality is not None else [0] * len(rows), np.uint8),
        units,
        np.array([T + round(hour * HOUR) for hour in borders], np.int64),
        quantity="water.total",
        usual_register=1e5,
    )


def one(
    rows: Sequence[tuple[float, float]],
    *units: MeterUnit,
    until: float | None = None,
    quality: Sequence[int] | None = None,
) -> tuple[float, Remarkable, float]:
    """Consumption, remarks and share of the one interval from hour 0 to the last row."""
    found = consumed(rows, [0, max(h for h, _ in rows) if until is None else until], *units,
                     quality=quality)  # fmt: skip
    return float(found.value[0]), R(int(found.remarks[0])), float(found.share_measured[0])


def hourly(*values: float) -> list[tuple[float, float]]:
    return list(enumerate(values))


def at(hour: float) -> int:
    return T + round(hour * HOUR)


def test_what_rose_was_consumed() -> None:
    assert one(hourly(10.0, 10.5, 10.5, 12.0)) == (2.0, R(0), 1.0)


def test_a_border_at_a_reading_is_exact_and_one_between_is_estimated() -> None:
    found = consumed(hourly(10.0, 11.0, 13.0), [0, 1, 1.5, 2])
    assert found.value.tolist() == [1.0, 1.0, 1.0]
    assert [R(int(r)) for r in found.remarks] == [R(0), R.ESTIMATED, R.ESTIMATED]
    assert found.share_measured.tolist() == [1.0, 1.0, 1.0]


def test_a_border_where_nothing_flowed_is_not_estimated() -> None:
    """A counter that stood still stood still at every moment between: the night is certain."""
    found = consumed(hourly(10.0, 10.0, 10.5), [0, 0.5, 1, 2])
    assert found.value.tolist() == [0.0, 0.0, 0.5]
    assert found.remarks.tolist() == [0, 0, 0]


def test_a_known_rollover_is_counted_through() -> None:
    unit = MeterUnit(T - DAY, rollover_at=1e4)
    rows = hourly(9999.2, 9999.7, 0.1, 0.4, 0.6)
    value, remarks, share = one(rows, unit)
    assert value == pytest.approx(1.4)
    assert (remarks, share) == (R.ROLLOVER, 1.0)


def test_a_rollover_is_inferred_from_the_digits() -> None:
    value, remarks, _ = one(hourly(99_999.4, 99_999.9, 0.2, 0.3, 0.4))
    assert value == pytest.approx(1.0)
    assert remarks == R.ROLLOVER


def test_a_fall_to_zero_far_from_the_top_is_a_reset_counted_from_zero() -> None:
    value, remarks, share = one(hourly(812.0, 812.5, 0.2, 0.4, 0.5))
    assert value == pytest.approx(0.5 + 0.2 + 0.3)
    assert remarks == R.RESET | R.GAP
    assert share == pytest.approx(0.75), "what flowed before the reset is not known"


def test_a_fall_to_another_level_is_a_gap_and_nothing_is_guessed() -> None:
    value, remarks, share = one(hourly(812.0, 812.5, 300.0, 300.5, 300.6))
    assert value == pytest.approx(0.5 + 0.6)
    assert remarks == R.GAP
    assert share == pytest.approx(0.75)


def test_a_jump_that_no_pipe_lets_through_is_a_gap() -> None:
    value, remarks, _ = one(hourly(812.0, 812.5, 5000.0, 5000.5, 5000.6))
    assert value == pytest.approx(1.1)
    assert remarks == R.GAP


def test_water_that_ran_back_counts_as_nothing() -> None:
    value, remarks, _ = one(hourly(812.0, 812.5, 812.6, 812.7, 811.0, 811.2, 811.3))
    assert value == pytest.approx(0.7 + 0.3)
    assert remarks == R.REVERSED | R.GAP


@pytest.mark.parametrize("glitch", [0.0, 0.3, 300.0, 790.0, 812.3, 860.0, 5000.0, 99_999.0])
@pytest.mark.parametrize("length", [1, 2])
def test_a_glitch_counts_neither_as_reset_nor_as_rollover(glitch: float, length: int) -> None:
    """One or two readings that the next ones do not go on from are left out."""
    rows = hourly(812.0, 812.5, *[glitch] * length, 813.0, 813.5, 814.0)
    value, remarks, _ = one(rows)
    assert value == pytest.approx(2.0)
    assert remarks == R.LEFT_OUT


def test_a_zero_beside_the_top_of_the_register_is_no_rollover() -> None:
    unit = MeterUnit(T - DAY, rollover_at=1e5)
    value, remarks, _ = one(hourly(99_999.0, 99_999.5, 0.0, 99_999.6, 99_999.7), unit)
    assert value == pytest.approx(0.7)
    assert remarks == R.LEFT_OUT


def test_a_fall_at_the_end_waits_for_the_next_readings() -> None:
    """Two readings decide nothing: what they mean is not known yet."""
    value, remarks, share = one(hourly(812.0, 812.5, 0.2, 0.4))
    assert value == pytest.approx(0.5)
    assert remarks == R.GAP | R.LEFT_OUT
    assert share == pytest.approx(1 / 3)


def test_a_first_reading_that_was_a_glitch_is_left_out() -> None:
    value, remarks, _ = one(hourly(9000.0, 812.0, 812.5, 813.0))
    assert value == pytest.approx(1.0)
    assert remarks == R.GAP | R.LEFT_OUT


def test_a_counter_that_came_back_from_a_reset_goes_on_where_it_was() -> None:
    """Firmware that reads its counter from flash some readings late did not reset it."""
    value, remarks, _ = one(hourly(811.5, 812.0, 0.0, 0.1, 0.1, 0.2, 812.6, 812.7, 812.8))
    assert value == pytest.approx(1.3)
    assert remarks == R.LEFT_OUT


def test_suspect_and_rehearsed_readings_are_left_out() -> None:
    rows = hourly(10.0, 50.0, 60.0, 70.0, 11.0)
    quality = [0, Quality.SPIKE, Quality.RANGE, Quality.EXERCISE, 0]
    assert one(rows, quality=quality) == (1.0, R.LEFT_OUT, 1.0)


def test_a_counter_that_stands_still_is_not_stuck() -> None:
    assert one(hourly(10.0, 10.0, 10.0), quality=[0, Quality.STUCK, Quality.STUCK])[0] == 0.0


def test_what_is_not_a_number_is_left_out() -> None:
    nan, inf = float("nan"), float("inf")
    assert one(hourly(10.0, nan, -inf, inf, -3.0, 11.0)) == (1.0, R.LEFT_OUT, 1.0)


def test_noise_is_never_negative() -> None:
    values = [812.5 + 1e-12 * (-1) ** k for k in range(200)]
    found = consumed(hourly(*values), list(range(200)))
    assert (found.value >= 0).all()
    assert found.value.sum() < 1e-9
    assert (found.remarks & R.LEFT_OUT == 0).all()


def test_nothing_known_is_no_zero() -> None:
    found = consumed([(2, 10.0), (3, 11.0)], [0, 1, 2, 3, 4])
    assert np.isnan(found.value).tolist() == [True, True, False, True]
    assert [R(int(r)) for r in found.remarks] == [R.GAP, R.GAP, R(0), R.GAP]
    assert consumed([], [0, 1]).share_measured.tolist() == [0.0]
    assert np.isnan(consumed([(0, 1.0)], [0, 1]).value).all()


def test_a_long_silence_is_shared_out_and_said() -> None:
    """What flowed in ten days is known as a sum; each day's part of it is an estimate."""
    rows = [(0.0, 0.0), (240.0, 20.0), (264.0, 21.0)]
    days = consumed(rows, [0, 24, 48, 240, 264])
    assert days.value.tolist() == pytest.approx([2.0, 2.0, 16.0, 1.0])
    assert [R(int(r)) for r in days.remarks] == [R.ESTIMATED] * 3 + [R(0)]
    assert days.share_measured.tolist() == [0.0, 0.0, 0.0, 1.0]
    whole = consumed(rows, [0, 240])
    assert (whole.value[0], whole.remarks[0], whole.share_measured[0]) == (20.0, 0, 1.0)


# --- swaps -------------------------------------------------------------------------------------

OLD_THEN_NEW = [(0, 812.0), (1, 812.5), (3, 0.4), (4, 0.5)]


def swap(final: float | None, initial: float | None, hour: float = 2) -> tuple[MeterUnit, ...]:
    return (
        MeterUnit(T - 1000 * DAY, at(hour), final_reading=final),
        MeterUnit(at(hour), initial_reading=initial),
    )


def test_a_swap_counts_the_old_ones_rest_and_the_new_ones_beginning() -> None:
    value, remarks, share = one(OLD_THEN_NEW, *swap(812.9, 0.1))
    assert value == pytest.approx(0.5 + 0.4 + 0.3 + 0.1)
    assert (remarks, share) == (R.SWAP, 1.0)


@pytest.mark.parametrize(
    ("final", "initial", "value", "share"),
    [(None, 0.1, 0.5 + 0.3 + 0.1, 0.75), (812.9, None, 0.9 + 0.1, 0.75), (None, None, 0.6, 0.5)],
)
def test_a_reading_that_nobody_took_at_the_swap_is_a_gap(
    final: float | None, initial: float | None, value: float, share: float
) -> None:
    found = one(OLD_THEN_NEW, *swap(final, initial))
    assert found[0] == pytest.approx(value)
    assert found[1:] == (R.SWAP | R.GAP, share)


def test_a_used_meter_may_begin_higher_than_the_old_one_ended() -> None:
    rows = [(0, 812.0), (1, 812.5), (3, 4000.4), (4, 4000.5)]
    assert one(rows, *swap(812.9, 4000.0))[0] == pytest.approx(0.9 + 0.5)


@pytest.mark.parametrize("noted", [1.5, 2, 7.5, 9])
def test_a_swap_that_was_noted_hours_wrong_costs_little_and_never_a_whole_register(
    noted: float,
) -> None:
    """The meter was changed in the second hour whatever was written down; 1.6 m3 flowed."""
    new = [(h, 0.1 * (h - 2)) for h in range(3, 14)]
    value, remarks, _ = one([(0, 812.0), (1, 812.5), *new], *swap(812.9, 0.0, noted))
    assert value == pytest.approx(0.9 + 1.1, abs=0.3)
    assert R.SWAP in remarks


def test_a_final_reading_that_cannot_be_is_not_believed() -> None:
    value, remarks, _ = one(OLD_THEN_NEW, *swap(81.29, 0.1))
    assert value == pytest.approx(0.5 + 0.4)
    assert remarks == R.SWAP | R.GAP | R.LEFT_OUT


def test_a_unit_without_an_initial_reading_may_have_been_there_all_along() -> None:
    """A unit is made when a device gets its password; that is no swap."""
    assert one(hourly(10.0, 11.0, 12.0), MeterUnit(at(1.5))) == (2.0, R(0), 1.0)


def test_a_first_unit_with_an_initial_reading_came_after_another() -> None:
    value, remarks, _ = one(OLD_THEN_NEW, MeterUnit(at(2), initial_reading=0.1))
    assert value == pytest.approx(0.5 + 0.4)
    assert remarks == R.SWAP | R.GAP


def test_what_is_heard_while_no_meter_is_in_is_left_out() -> None:
    units = (MeterUnit(T - DAY, at(1.5), final_reading=11.2),
             MeterUnit(at(3.5), initial_reading=0.0))  # fmt: skip
    value, remarks, share = one(hourly(10.0, 11.0, 500.0, 700.0, 0.5), *units)
    assert value == pytest.approx(1.2 + 0.5)
    assert remarks == R.SWAP | R.GAP | R.LEFT_OUT
    assert share == pytest.approx(0.5)


def test_readings_of_a_span_are_not_joined_to_one_taken_years_before() -> None:
    unit = MeterUnit(T - 700 * DAY, T + 700 * DAY, initial_reading=0.0, final_reading=99.0)
    (cut,) = units_during([unit], T, T + DAY)
    assert (cut.initial_reading, cut.final_reading) == (None, None)
    assert units_during([unit], T + 700 * DAY, T + 800 * DAY) == []
    (kept,) = units_during([unit], T - 700 * DAY, T + 701 * DAY)
    assert kept == unit


def test_borders_must_rise() -> None:
    with pytest.raises(ValueError, match="borders"):
        consumed(hourly(1.0, 2.0), [0, 0])


def test_rain_that_begins_again_each_day_is_counted_through() -> None:
    rain = [0.0, 4.0, 9.5, 9.5, 0.0, 0.5, 3.0]
    times = np.array([T + k * HOUR for k in range(7)], np.int64)
    found = consumption(
        times,
        np.array(rain),
        np.zeros(7, np.uint8),
        [],
        np.array([T, T + 6 * HOUR], np.int64),
        quantity="rain.cumulative",
        usual_register=1e5,
    )
    assert found.value.tolist() == [12.5]
    assert R.RESET in R(int(found.remarks[0]))


# --- properties --------------------------------------------------------------------------------

SIZE = 10_000.0


@dataclass
class TrueMeter:
    """A household whose true use is known to the litre, and what its meters show of it."""

    used: list[float]  # m3 in each hour
    rows: list[tuple[float, float]] = field(default_factory=list)
    units: list[MeterUnit] = field(default_factory=list)

    def live(self, start: float, events: dict[int, tuple[str, float]]) -> None:
        """Show a reading each hour; ``events`` at an hour: a swap to a meter that shows so much."""
        shown, installed_at, initial = start, T - DAY, None
        for hour, use in enumerate([0.0, *self.used]):
            shown = round((shown + use) % SIZE, 3)
            if hour in events:
                self.units.append(MeterUnit(installed_at, at(hour + 0.25), SIZE, initial, shown))
                self.rows.append((hour, shown))
                shown = initial = round(events[hour][1], 3)
                installed_at = at(hour + 0.25)
            else:
                self.rows.append((hour, shown))
        self.units.append(MeterUnit(installed_at, None, SIZE, initial))


uses = st.lists(st.integers(0, 3000).map(lambda litres: litres / 1000), min_size=8, max_size=60)
starts = st.one_of(st.floats(0, 9000), st.floats(9990, 9999.99)).map(lambda v: round(v, 3))
swaps = st.dictionaries(
    st.integers(1, 50), st.tuples(st.just("swap"), st.floats(0, 9999)), max_size=2
)
anything = st.lists(
    st.tuples(
        st.integers(0, 300).map(float),
        st.one_of(st.floats(0, 200), st.floats(0, 1e6), st.sampled_from([0.0, 812.0, 9999.9])),
    ),
    max_size=40,
    unique_by=lambda row: row[0],
)
any_units = st.sampled_from(
    [(), swap(812.9, 0.0, 90.5), swap(None, 5.0, 90.5), swap(None, None, 90.5),
     (MeterUnit(T - DAY, rollover_at=1e4),)]
)  # fmt: skip


@given(uses, starts, swaps)
def test_lossless_readings_give_the_true_consumption(
    used: list[float], start: float, events: dict[int, tuple[str, float]]
) -> None:
    """Through any rollovers and swaps, for every hour; the last three wait to be believed."""
    meter = TrueMeter([*used, *[0.001] * 4])
    meter.live(start, {h: e for h, e in events.items() if h < len(used) - 4})
    found = consumed(meter.rows, list(range(len(used) + 1)), *meter.units)
    assert found.value.tolist() == pytest.approx(used, abs=1e-9)
    assert (found.share_measured == 1.0).all()
    assert not (found.remarks & (R.GAP | R.RESET | R.LEFT_OUT)).any()


@given(uses, starts, st.data())
def test_lost_readings_lose_no_water(used: list[float], start: float, data: st.DataObject) -> None:
    """Any readings may be missing: the sum between those that came is true."""
    meter = TrueMeter([*used, *[0.001] * 4])
    meter.live(start, {})
    lost = data.draw(st.sets(st.integers(1, len(used) - 1)))
    rows = [row for hour, row in enumerate(meter.rows) if hour not in lost]
    found = consumed(rows, [0, len(used)], *meter.units)
    assert found.value[0] == pytest.approx(sum(used), abs=1e-9)


@given(uses, st.integers(2, 50), st.floats(500, 9000))
def test_a_reset_costs_at_most_what_flowed_in_its_own_hour(
    used: list[float], hour: int, start: float
) -> None:
    hour = min(hour, len(used) - 3)
    shown, rows = start, []
    for k, use in enumerate([0.0, *used]):
        shown = 0.0 if k == hour else shown + use
        rows.append((float(k), shown))
    found = consumed(rows, [0, len(used)])
    lost = used[hour - 1]
    assert found.value[0] == pytest.approx(sum(used) - lost, abs=1e-6)
    assert R.RESET in R(int(found.remarks[0]))


@given(anything, any_units, st.randoms())
def test_the_order_of_readings_does_not_matter(
    rows: list[tuple[float, float]], units: tuple[MeterUnit, ...], random: object
) -> None:
    """Late and repeated readings change nothing: the set decides."""
    shuffled = [*rows, *rows[:5]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as object
    borders = [0, 1, 7.5, 90, 250, 301]
    one, other = consumed(rows, borders, *units), consumed(shuffled, borders, *units)
    for name in ("value", "remarks", "share_measured"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(anything, any_units, st.sets(st.floats(0.1, 299.9), max_size=12))
def test_the_parts_are_the_whole(
    rows: list[tuple[float, float]], units: tuple[MeterUnit, ...], cuts: set[float]
) -> None:
    """Wherever an interval is cut: nothing is counted twice or lost, nothing is negative."""
    borders = sorted({0.0, 300.0} | {round(cut, 4) for cut in cuts})
    parts, whole = consumed(rows, borders, *units), consumed(rows, [0, 300], *units)
    assert np.nansum(parts.value) == pytest.approx(np.nansum(whole.value), abs=1e-6)
    assert not (parts.value < 0).any()
    assert ((parts.share_measured >= 0) & (parts.share_measured <= 1)).all()
    assert np.isnan(whole.value[0]) == np.isnan(parts.value).all()
    bits = np.bitwise_or.reduce(parts.remarks) & ~R.ESTIMATED
    assert bits == whole.remarks[0] & ~R.ESTIMATED


@given(anything)
def test_a_chain_never_falls_but_where_it_says_so(rows: list[tuple[float, float]]) -> None:
    rows = sorted(rows)
    times = np.array([at(hour) for hour, _ in rows], np.int64)
    values = np.array([value for _, value in rows])
    found = chain(times, values, counter_of("water.total", 1e5))
    assert sorted([*found.kept, *found.left_out]) == list(range(len(rows)))
    steps = np.diff(values[found.kept])
    assert (steps[found.join == Join.FOLLOWS] >= -1e-6).all()
    assert (found.volume >= 0).all()


# --- real meters -------------------------------------------------------------------------------


def test_real_household_meters_add_up(shared_data: Path) -> None:
    """What is counted over months is what the registers rose by, to 10 litres; falls are said."""
    meters: dict[str, list[tuple[int, float]]] = {}
    with gzip.open(shared_data / "water_households" / "meters_hourly.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            when = datetime.fromisoformat(row["read_at"]).replace(tzinfo=UTC)
            read = (int(when.timestamp() * 1000), float(row["register_l"]) / 1000)
            meters.setdefault(row["meter"], []).append(read)
    assert meters
    for name, read in meters.items():
        times, values = np.array(sorted(read)).T
        found = consumption(
            times.astype(np.int64),
            values,
            np.zeros(len(read), np.uint8),
            [],
            np.append(np.arange(times[0], times[-1], DAY), times[-1]).astype(np.int64),
            quantity="water.total",
            usual_register=1e5,
        )
        risen = values[-1] - values[0]
        assert np.nansum(found.value) == pytest.approx(risen, abs=0.01), name
        assert not (found.remarks & (R.ROLLOVER | R.RESET)).any(), name
        has_fall = bool((np.diff(values) < 0).any())
        assert bool((found.remarks & (R.LEFT_OUT | R.REVERSED)).any()) == has_fall, name
