"""When a battery will be empty: what is said, what is not said, on simulated lives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.health.battery import Battery, Cell, forecast
from firmware_sim.discharge import CHEMISTRIES, Life, live

ALKALINE = Cell(2.0, "alkaline", 2.0)


def said_of(life: Life, at: float, cell: Cell | None = None) -> tuple[Battery, int]:
    """The forecast at this share of the life, and the days that are truly left."""
    today = int(life.day[0] + at * (life.end_day - life.day[0]))
    known = life.day < today
    battery = forecast(
        life.day[known],
        life.level[known],
        today=today,
        unit="V",
        cell=cell,
        temperature=life.temperature[known],
    )
    return battery, life.end_day - today


def falling(days: int, per_day: float = 0.001, fresh: float = 3.1, seed: int = 1) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return fresh - per_day * np.arange(days) + chance.normal(scale=0.004, size=days)


@pytest.mark.parametrize("at", [0.4, 0.6, 0.8])
def test_where_the_cell_is_known_most_ends_lie_in_the_interval(at: float) -> None:
    """Of twenty lives at least sixteen, and no day named is more than a year off at 80 %."""
    inside = 0
    for seed in range(20):
        life = live("two alkaline", 900.0, seed)
        battery, left = said_of(life, at, ALKALINE)
        if battery.state == "lasting":
            inside += left >= (battery.days_low or 0)
            continue
        assert battery.days is not None
        assert battery.days_low is not None
        high = np.inf if battery.days_high is None else battery.days_high
        inside += battery.days_low <= left <= high
        assert battery.days_low <= battery.days <= high
    assert inside >= 16


def test_a_cell_that_stays_flat_until_its_end_is_not_forecast() -> None:
    """Of lithium thionyl chloride nothing is said while its voltage says nothing."""
    for seed in range(5):
        battery, _ = said_of(live("LiSOCl2", 1200.0, seed), 0.6)
        assert (battery.state, battery.why) == ("unsure", "flat_cell")


def test_too_few_days_are_said_to_be_too_few() -> None:
    """Two weeks tell nothing of months."""
    day = np.arange(20_000, 20_014)
    battery = forecast(day, falling(14), today=20_014, unit="V")
    assert (battery.state, battery.why, battery.days) == ("unsure", "few_days", None)


def test_no_reading_is_no_battery() -> None:
    """Nothing is said of a battery that nobody reads."""
    nothing = forecast(np.arange(5), np.full(5, np.nan), today=5, unit="V")
    assert nothing.state == "none"
    assert forecast(np.arange(0), np.empty(0), today=5, unit="%").state == "none"


def test_a_swap_begins_anew() -> None:
    """After the jump up only the new battery counts; its age is told."""
    day = np.arange(20_000, 20_250)
    level = np.concatenate((falling(200, 0.004), falling(50, 0.004, seed=2)))
    battery = forecast(day, level, today=20_250, unit="V", cell=ALKALINE)
    assert battery.since == 20_200
    soon = forecast(day[:210], level[:210], today=20_210, unit="V", cell=ALKALINE)
    assert (soon.state, soon.why) == ("unsure", "swapped")


def test_a_replaced_unit_begins_anew_without_a_jump() -> None:
    """The registry knows of new hardware even where its battery is no better."""
    day = np.arange(20_000, 20_200)
    level = np.full(200, 2.8)
    battery = forecast(day, level, today=20_200, unit="V", replaced_on=(20_150,))
    assert battery.since == 20_150


def test_a_warm_week_in_winter_is_no_swap() -> None:
    """A battery that reads 0.1 V more in ten warm days is the same battery."""
    day = np.arange(20_000, 20_120)
    level = falling(120, 0.0005)
    level[60:70] += 0.1
    assert forecast(day, level, today=20_120, unit="V", cell=ALKALINE).since == 20_000


def test_a_winter_is_no_sudden_death() -> None:
    """The fall of autumn is told from age by the temperature: ten cold weeks end nothing."""
    life = live("two alkaline", 1500.0, 3, first_day=20_000 + 220)  # put in in August
    known = life.day < life.day[0] + 150  # until January
    today = int(life.day[0] + 150)
    said = forecast(
        life.day[known], life.level[known], today=today, unit="V", cell=ALKALINE,
        temperature=life.temperature[known],
    )  # fmt: skip
    true = life.end_day - today
    assert said.state in ("lasting", "forecast")
    assert said.days_low is not None
    assert 0.25 * true <= said.days_low <= true


def test_a_solar_panel_is_not_a_battery_that_dies() -> None:
    """A level that rises as often as it falls is recharged."""
    day = np.arange(20_000, 20_200)
    level = 3.9 + 0.15 * np.sin(2 * np.pi * np.arange(200) / 21)
    assert forecast(day, level, today=20_200, unit="V").state == "recharged"


def test_an_empty_battery_is_empty() -> None:
    """At or below the end there is nothing to forecast."""
    day = np.arange(20_000, 20_030)
    battery = forecast(day, np.full(30, 1.9), today=20_030, unit="V", cell=ALKALINE)
    assert (battery.state, battery.days) == ("empty", 0)


def test_percent_is_forecast_as_it_falls() -> None:
    """From 100 to 60 % in 200 days: about 275 more to 5 %."""
    day = np.arange(20_000, 20_200)
    level = np.round(100 - 0.2 * np.arange(200))
    battery = forecast(day, level, today=20_200, unit="%")
    assert battery.state == "forecast"
    assert battery.days == pytest.approx(275, abs=15)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(CHEMISTRIES)), st.integers(0, 50), st.integers(0, 2**31))
def test_order_and_repetition_of_days_change_nothing(name: str, seed: int, shuffle: int) -> None:
    """The set of days decides; NaN days are no days."""
    life = live(name, 500.0, seed)
    day, level = life.day[:200], life.level[:200]
    unit = "%" if name == "percent" else "V"
    plain = forecast(day, level, today=int(day[-1]) + 1, unit=unit)
    order = np.random.default_rng(shuffle).permutation(200)
    again = np.concatenate((order, order[:40]))
    assert forecast(day[again], level[again], today=int(day[-1]) + 1, unit=unit) == plain
    with_gaps = np.append(level, np.nan)
    assert forecast(np.append(day, day[0]), with_gaps, today=int(day[-1]) + 1, unit=unit) == plain


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=120),
    st.sampled_from(["V", "%"]),
)
def test_any_levels_give_an_answer(levels: list[float], unit: str) -> None:
    """Whatever a device sends as its battery, nothing fails, and no interval is upside down."""
    day = np.arange(20_000, 20_000 + len(levels))
    with np.errstate(all="ignore"):
        battery = forecast(day, np.array(levels, float), today=20_200,
                           unit="%" if unit == "%" else "V")  # fmt: skip
    if battery.days is not None and battery.days_low is not None:
        assert 0 <= battery.days_low <= battery.days
        assert battery.days_high is None or battery.days <= battery.days_high
