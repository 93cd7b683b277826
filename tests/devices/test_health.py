"""Devices' health: what is found, and what is not, on made-up weeks of readings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.health.assessment import assess, battery_of
from devices.health.days import DAY_MS, DEVICE, SERIES_FIGURES, summarise
from devices.health.days import SERIES as COLUMN
from devices.health.history import packed, unpacked
from devices.health.link import GatewayLink, link
from devices.health.sensing import Around
from devices.readings import Quality, concatenate
from tests.devices.health_days import (
    DEVICE_OF,
    FIRST_DAY,
    codes,
    every,
    health_of,
    remembered,
    series,
    subject,
)

DAYS = 21
NOW = (FIRST_DAY + DAYS) * DAY_MS - 60_000
OTHERS_MOVE = {"water.level": Around(moved=0.9, noise_factor=1.0)}


def river(days: np.ndarray, noise: float = 0.004, seed: int = 1) -> np.ndarray:
    """A quiet river with its noise, to the millimetre."""
    chance = np.random.default_rng(seed)
    level = 0.8 + 0.05 * np.sin(days) + noise * chance.normal(size=len(days))
    return np.round(level, 3)


def flood(days: np.ndarray) -> np.ndarray:
    """The same with a flood of 4 m in the last three days, rising within two hours."""
    wave = 4.0 * np.exp(-np.maximum(days - (DAYS - 2.5), 0.0) * 1.5)
    rising = np.clip((days - (DAYS - 2.6)) / 0.08, 0.0, 1.0)
    return river(days) + wave * rising


def stuck_since(days: np.ndarray, since: float) -> np.ndarray:
    level = river(days)
    level[days >= since] = level[days >= since][0]
    return level


def test_a_sound_device_has_no_finding() -> None:
    """Nothing asks for a hand where readings come on time, move, and the radio is strong."""
    at = every(600, DAYS)
    health = health_of(
        [series("water.level", at, river), series("radio.rssi", at[::6], -88.0)], NOW
    )
    assert codes(health) == []
    assert health.reporting.share == 1.0
    assert health.link.margin == "good"


def test_a_sensor_that_stands_while_others_move_is_stuck() -> None:
    """A level that has not changed for eight days, while other rivers do, asks for a visit."""
    at = every(600, DAYS)
    health = health_of(
        [series("water.level", at, lambda days: stuck_since(days, DAYS - 8.0))],
        NOW,
        around=OTHERS_MOVE,
    )
    assert codes(health) == ["stuck"]
    assert health.sensing[0].still_s == pytest.approx(8 * 86_400, abs=1200)


def test_a_still_river_among_still_rivers_is_not_stuck() -> None:
    """A dry month holds all rivers still."""
    at = every(600, DAYS)
    readings = [series("water.level", at, lambda days: stuck_since(days, DAYS - 8.0))]
    for moved in (0.1, None):
        assert codes(health_of(readings, NOW, around={"water.level": Around(moved=moved)})) == []


def test_a_series_that_used_to_stand_for_long_is_not_stuck_at_once() -> None:
    """Who stood still for ten days before and moved again may stand for eight."""
    at = every(600, 30)

    def value(days: np.ndarray) -> np.ndarray:
        level = river(days)
        for begin, end in ((5.0, 15.0), (22.0, 99.0)):
            level[(days >= begin) & (days < end)] = 0.77
        return level

    now = (FIRST_DAY + 30) * DAY_MS - 60_000
    assert codes(health_of([series("water.level", at, value)], now, around=OTHERS_MOVE)) == []


def test_a_sensor_is_noisy_after_lightning() -> None:
    """Noise twenty times the usual one on several days is found, against the series' own past."""
    at = every(600, DAYS)

    def value(days: np.ndarray) -> np.ndarray:
        broken = 0.15 * np.random.default_rng(2).normal(size=len(days))
        return river(days) + np.where(days > DAYS - 3.5, broken, 0.0)

    health = health_of([series("water.level", at, value)], NOW, around=OTHERS_MOVE)
    assert codes(health) == ["noisy"]
    assert health.sensing[0].noise == pytest.approx(0.15, rel=0.3)


def test_a_flood_is_no_noise_and_no_broken_sensor() -> None:
    """Four metres within two hours, on a river with a quiet past, is nothing to mend."""
    at = every(600, DAYS)
    assert codes(health_of([series("water.level", at, flood)], NOW, around=OTHERS_MOVE)) == []


def test_what_shakes_all_of_a_kind_is_the_weather() -> None:
    """Noise that has risen with all others' asks for no visit."""
    at = every(600, DAYS)

    def value(days: np.ndarray) -> np.ndarray:
        waves = 0.05 * np.random.default_rng(2).normal(size=len(days))
        return river(days) + np.where(days > DAYS - 3.5, waves, 0.0)

    readings = [series("water.level", at, value)]
    calm, storm = Around(0.9, 1.0), Around(0.9, 10.0)
    assert codes(health_of(readings, NOW, around={"water.level": calm})) == ["noisy"]
    assert codes(health_of(readings, NOW, around={"water.level": storm})) == []


def test_many_spikes_are_told_as_implausible_values() -> None:
    """Every fifth value flagged by the checks says that the sensor, or its unit, is wrong."""
    at = every(600, DAYS)
    is_spike = np.arange(len(at)) % 5 == 0
    good = series("water.level", at[~is_spike], river)
    bad = series("water.level", at[is_spike], 17.0, quality=int(Quality.SPIKE))
    assert codes(health_of([good, bad], NOW, around=OTHERS_MOVE)) == ["implausible"]


@pytest.mark.parametrize(
    ("drift", "found"),
    [(30.0, ["clock_off"]), (-30.0, ["clock_off"]), (0.5, [])],
)
def test_a_clock_that_runs_away_is_found(drift: float, found: list[str]) -> None:
    """Thirty seconds a day, either way, are seen with their sign; half a second is nothing."""
    at = every(600, DAYS)
    late = 2000 + (drift * 1000 * (at - at[0]) / DAY_MS).astype(np.int64)
    health = health_of([series("water.level", at, river, late_ms=late)], NOW)
    assert codes(health) == found
    assert health.clock.drift_s_per_day == pytest.approx(drift, abs=0.2)


def test_a_clock_that_is_set_right_each_week_drifts_all_the_same() -> None:
    """The fall when it is set right is no drift; what came after it is."""
    at = every(600, DAYS)
    since_s = ((at - at[0]) % (7 * DAY_MS)) / 1000
    late = 2000 + (since_s * 20.0 / 86_400 * 1000).astype(np.int64)
    health = health_of([series("water.level", at, river, late_ms=late)], NOW)
    assert health.clock.drift_s_per_day == pytest.approx(20.0, abs=1.0)


def test_a_backlog_says_nothing_of_the_clock() -> None:
    """Messages that waited half a day for coverage are late, and the clock is right."""
    at = every(600, DAYS)
    late = np.where((at // DAY_MS) % 2 == 0, 2000, 0)
    is_waiting = (at % DAY_MS) < DAY_MS * 0.4
    late = np.where(is_waiting, DAY_MS // 2 - at % DAY_MS + 2000, late + 2000)
    health = health_of([series("water.level", at, river, late_ms=late)], NOW)
    assert abs(health.clock.late_s or 99) < 10
    assert "clock_off" not in codes(health)


def test_a_burst_of_loss_is_a_gap_with_its_length() -> None:
    """A day and a half without a message in a week: the share and the gap are told."""
    at = every(600, DAYS)
    begin = (FIRST_DAY + DAYS - 4) * DAY_MS
    is_lost = (at >= begin) & (at < begin + 1.5 * DAY_MS)
    health = health_of([series("water.level", at[~is_lost], river)], NOW)
    assert codes(health) == ["gaps"]
    assert health.reporting.share == pytest.approx(1 - 1.5 / 7, abs=0.01)
    assert health.reporting.longest_gap_s == pytest.approx(1.5 * 86_400 + 600, abs=1)


def test_extra_messages_in_a_storm_hide_no_gap() -> None:
    """A device that reports each minute for hours has not made up for a day without any."""
    at = every(600, DAYS)
    begin = (FIRST_DAY + DAYS - 4) * DAY_MS
    kept = at[(at < begin) | (at >= begin + DAY_MS)]
    storm = begin + 2 * DAY_MS + np.arange(600) * 60_000
    health = health_of([series("water.level", np.union1d(kept, storm), river)], NOW)
    assert health.reporting.share == pytest.approx(1 - 1 / 7, abs=0.01)


def test_a_gauge_that_reports_once_an_hour_when_low_has_no_gaps() -> None:
    """Where the interval follows the state, what it usually does is what is expected."""
    at = every(3600, DAYS)
    readings = [series("water.level", at, river)]
    assert codes(health_of(readings, NOW, is_adaptive=True, silence_after_s=9000.0)) == []
    assert codes(health_of(readings, NOW)) == ["interval_differs"]


def test_lost_numbers_are_told() -> None:
    """Numbers that never came are counted, with their share of all."""
    at = every(600, DAYS)
    health = health_of([series("water.level", at, river)], NOW, lost=300, frames=700)
    assert codes(health) == ["lost"]
    assert health.reporting.lost_share == 0.3


def test_a_device_never_heard_of_has_that_one_finding() -> None:
    """Nothing else can be said of it."""
    assert codes(health_of([], NOW, heard_at=None)) == ["never_heard"]


def test_a_silent_device_is_judged_by_nothing_but_its_silence_and_gaps() -> None:
    """A sensor that says nothing is neither stuck nor noisy."""
    at = every(600, DAYS - 4)
    health = health_of(
        [series("water.level", at, lambda days: stuck_since(days, 3.0))],
        NOW,
        heard_at=NOW - 4 * DAY_MS,
        around=OTHERS_MOVE,
    )
    assert codes(health) == ["silent", "gaps"]


def test_the_weak_hours_of_a_link_count() -> None:
    """A median of -95 dBm helps nobody at night, when it is -121."""
    at = every(600, DAYS)

    def rssi(days: np.ndarray) -> np.ndarray:
        return np.where((days % 1.0) < 0.2, -121.0, -95.0)

    health = health_of([series("water.level", at, river), series("radio.rssi", at, rssi)], NOW)
    assert codes(health) == ["link_weak"]
    assert (health.link.rssi, health.link.rssi_weak) == (-95.0, -121.0)
    assert health.link.margin == "edge"


def test_who_is_heard_through_one_gateway_of_many_hangs_on_it() -> None:
    """Said only where another gateway is there, and enough was heard."""
    alone = [GatewayLink("gw-1", 1.0)]
    assert link(None, None, gateways=alone, uplinks=50, gateways_there=3).hangs_on == "gw-1"
    assert link(None, None, gateways=alone, uplinks=50, gateways_there=1).hangs_on is None
    assert link(None, None, gateways=alone, uplinks=3, gateways_there=3).hangs_on is None
    two = [GatewayLink("gw-1", 0.6), GatewayLink("gw-2", 0.4)]
    assert link(None, None, gateways=two, uplinks=50, gateways_there=3).hangs_on is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2000))
def test_order_and_repetition_of_readings_change_nothing(seed: int, repeated: int) -> None:
    """A day's figures are those of the set of its readings."""
    at = every(300, 1)
    late = (np.random.default_rng(seed).integers(0, 90_000, len(at))).astype(np.int64)
    readings = concatenate(
        [series("water.level", at, river, late_ms=late), series("radio.rssi", at[::3], -90.0)]
    )
    chance = np.random.default_rng(seed)
    shuffled = readings.take(chance.permutation(len(readings)))
    expected = np.full(2, 300.0)
    plain = summarise(readings, FIRST_DAY, DEVICE_OF, expected)
    other = summarise(shuffled, FIRST_DAY, DEVICE_OF, expected)
    assert np.array_equal(plain.of_series, other.of_series, equal_nan=True)
    assert np.array_equal(plain.of_device, other.of_device, equal_nan=True)
    again = concatenate([readings, readings.take(slice(0, repeated))])
    twice = summarise(again, FIRST_DAY, DEVICE_OF, expected)
    for name in ("samples", "missing", "longest_gap_s"):
        assert twice.of_device[0, DEVICE[name]] == plain.of_device[0, DEVICE[name]]


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1000.0), st.floats(-1000.0, 1000.0))
def test_figures_scale_with_the_unit(factor: float, offset: float) -> None:
    """Noise and quantiles of a reading in other units are those in other units."""
    at = every(600, 1)
    expected = np.full(2, 600.0)
    plain = summarise(series("water.level", at, river), FIRST_DAY, DEVICE_OF, expected)
    scaled = summarise(
        series("water.level", at, lambda days: river(days) * factor + offset),
        FIRST_DAY,
        DEVICE_OF,
        expected,
    )
    for name in ("low", "median", "high"):
        wanted = plain.of_series[0, COLUMN[name]] * factor + offset
        assert scaled.of_series[0, COLUMN[name]] == pytest.approx(wanted, rel=1e-5, abs=1e-4)
    wanted = plain.of_series[0, COLUMN["noise"]] * factor
    assert scaled.of_series[0, COLUMN["noise"]] == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_a_history_is_the_same_after_it_was_kept() -> None:
    """Bytes and back: the same findings; bytes of another release give an empty history."""
    at = every(600, DAYS)
    history = remembered([series("water.level", at, river), series("battery.voltage", at, 3.6)])
    again = unpacked(packed(history))
    who = subject(NOW, around=OTHERS_MOVE)
    before = assess(who, history, battery_of(who, history, None))
    after = assess(who, again, battery_of(who, again, None))
    assert before == after
    for damaged in (b"", b"\x00", packed(history)[:-9], b"\x95" + packed(history)):
        assert unpacked(damaged).closed_until == 0
        assert len(unpacked(damaged).device.figures) == 0


def test_a_day_without_readings_says_nothing() -> None:
    """No rows, no figures, no failure."""
    empty = summarise(concatenate([]), FIRST_DAY, DEVICE_OF, np.full(2, 600.0))
    assert empty.of_series.shape == (0, len(SERIES_FIGURES))
    assert remembered([]).series == {}
    assert codes(health_of([], NOW)) == ["gaps"]  # it is heard, and measures nothing
