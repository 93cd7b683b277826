"""Which way the water goes: the rise per hour of levels that report seldom, often and with noise.

In the sketches of levels a figure is metres at one reading; the last one is now.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.board import Board
from dashboards.latest import LevelHistory
from dashboards.permissions import Role, View
from dashboards.rise import Rise, rise
from devices.readings import Quality, readings_from_columns
from tests.dashboards.conftest import START, House

MINUTE = 60_000
SERIES = 3


def rise_of(levels: list[float], every_ms: int, quality: list[int] | None = None) -> Rise | None:
    """The rise after these levels, one each ``every_ms``, through the history that web keeps."""
    at = [START + k * every_ms for k in range(len(levels))]
    history = LevelHistory()
    history.follow(np.asarray([SERIES], np.int32))
    history.take(
        readings_from_columns([SERIES] * len(at), at, at, levels, quality or [0] * len(at))
    )
    return history.rise(SERIES, at[-1], levels[-1])


def per_h(levels: list[float], every_ms: int, quality: list[int] | None = None) -> float:
    found = rise_of(levels, every_ms, quality)
    assert found is not None
    return found.per_h


@given(
    st.floats(-5, 5),
    st.integers(2, 60),
    st.sampled_from([5_000, 10_000, MINUTE, 10 * MINUTE]),
)
def test_rise_of_a_straight_line_is_its_slope(slope: float, samples: int, every_ms: int) -> None:
    """However often it reports, once ten minutes are known."""
    levels = [slope * k * every_ms / 3.6e6 for k in range(samples)]
    found = rise_of(levels, every_ms)
    if (samples - 1) * every_ms >= 10 * MINUTE:
        assert found is not None
    if found is not None:
        assert found.per_h == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("every_ms", [5_000, 10_000, MINUTE, 10 * MINUTE])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_sign_is_that_of_the_last_readings_where_they_are_clear(
    every_ms: int, sign: int
) -> None:
    """Up for long and down at last is falling, and the other way round."""
    steps = [0.2] * 20 + [-0.2] * 6
    levels = [sign * level for level in np.cumsum(steps).tolist()]
    assert per_h(levels, every_ms) == pytest.approx(-sign * 0.2 * 3.6e6 / every_ms)


def test_three_readings_that_fall_are_enough_where_reports_are_seldom() -> None:
    """The crest of a flood, every ten minutes."""
    assert per_h([2.0, 2.2, 2.4, 2.6, 2.8, 2.6, 2.4], 10 * MINUTE) == pytest.approx(-1.2)
    assert per_h([0.0, 0.5, 1.5, 1.8, 1.2, 0.5], 10 * MINUTE) < 0


def test_a_storm_in_minutes_is_followed_in_seconds() -> None:
    """A road that floods and drains within five minutes, reported every five seconds."""
    minutes = np.arange(0, 5, 5 / 60)
    depth = 0.6 * np.sin(np.pi * minutes / 5)
    for k in range(12, len(depth)):
        is_rising, is_falling = minutes[k] < 2.2, minutes[k] > 3.1
        found = rise_of(depth[: k + 1].tolist(), 5_000)
        if is_rising or is_falling:
            assert found is not None
            assert (found.per_h > 0) == is_rising, minutes[k]


@pytest.mark.parametrize("every_ms", [5_000, 10_000, MINUTE, 10 * MINUTE])
def test_noise_is_no_rise(every_ms: int) -> None:
    """A flat level that wavers by a centimetre, over an hour: steady whatever the last readings."""
    noise = np.random.default_rng(7).normal(0, 0.01, 720)
    worst = max(
        abs(per_h((2 + noise[k : k + 3_600_000 // every_ms + 1]).tolist(), every_ms))
        for k in range(0, 100)
    )
    assert worst < (0.03 if every_ms < 10 * MINUTE else 0.06)


def test_a_slow_rise_is_seen_through_noise() -> None:
    """Ten centimetres in an hour, with a centimetre of noise, every ten seconds."""
    noise = np.random.default_rng(8).normal(0, 0.01, 361)
    levels = (2 + np.linspace(0, 0.1, 361) + noise).tolist()
    assert per_h(levels, 10_000) == pytest.approx(0.1, abs=0.03)


def test_a_sensor_that_counts_centimetres_does_not_jump() -> None:
    """One step of a centimetre in an hour is no flood."""
    levels = [2.00] * 40 + [2.01] * 2
    assert abs(per_h(levels, MINUTE)) < 0.05


def test_one_odd_reading_makes_no_rise() -> None:
    """Even one that nobody marked."""
    assert per_h([2.0] * 20 + [3.0] + [2.0] * 3, MINUTE) == pytest.approx(0.0)


@pytest.mark.parametrize("flag", [Quality.SPIKE, Quality.EXERCISE])
def test_suspect_readings_and_drills_make_no_rise(flag: Quality) -> None:
    levels = [2.0] * 5 + [9.0] * 4 + [2.0]
    quality = [0] * 5 + [int(flag)] * 4 + [0]
    assert per_h(levels, 2 * MINUTE, quality) == pytest.approx(0.0)


def test_nobody_can_say_from_fewer_than_two_readings() -> None:
    assert rise_of([1.0], MINUTE) is None
    assert rise_of([1.0, 1.2], 10 * MINUTE) is not None
    assert rise(np.zeros(0, np.int64), np.zeros(0)) is None


def test_readings_of_a_few_seconds_say_nothing_unless_they_are_clear() -> None:
    """Six within half a minute: a centimetre is noise, half a metre is a flood."""
    assert rise_of([1.0, 1.01, 1.0, 1.01, 1.0, 1.01], 5_000) is None
    assert rise_of([1.0, 1.1, 1.2, 1.3, 1.4], 5_000) is None
    assert per_h([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], 5_000) == pytest.approx(72.0)


def test_level_of_two_hours_ago_is_no_part_of_the_rise() -> None:
    history = LevelHistory()
    history.follow(np.asarray([SERIES], np.int32))
    history.take(readings_from_columns([SERIES], [START], [START], [100.0], [0]))
    assert history.rise(SERIES, START + 120 * MINUTE, 2.0) is None


def test_a_rise_is_of_the_past_when_three_reports_are_missing(house: House) -> None:
    """Shown until then; afterwards nobody knows, though the device is not silent yet."""
    board, view = Board(), View(Role.ADMIN)
    board.take_registry(house.registry.snapshot())
    levels = [(START + k * 30_000, 2.0 + 0.1 * k) for k in range(10)]
    board.take_readings(house.readings("gauge", "water.level", *levels).readings)
    newest = levels[-1][0]

    def shown(now: int) -> float | None:
        board.pass_time(now)
        station = board.station(view, house.device("gauge"))
        assert station is not None
        assert station.state == "normal"
        return station.rise_per_h

    assert shown(newest) == pytest.approx(12.0)
    assert shown(newest + 89_999) == pytest.approx(12.0)
    board.touched()
    assert shown(newest + 90_000) is None
    assert house.device("gauge") in board.touched().stations, "viewers are told"
