"""Rain, rivers, households and animals: physics that holds whatever the seed."""

from __future__ import annotations

import numpy as np
import pytest

from devices.readings import Float64s
from firmware_sim import animals, climate, noise
from firmware_sim.household import Households, Zones
from firmware_sim.hydrology import Hydrology, Ponds, nodes
from firmware_sim.storm import Weather

NOW = 1_792_540_800_000
HOUR_S = 3600.0


def _one(value: float) -> Float64s:
    return np.array([value], np.float64)


def _hydrology(weather: Weather) -> Hydrology:
    road = Ponds(_one(130.30), _one(31.81), _one(15.0), _one(40.0), _one(1.5), _one(0.0), _one(1e9))
    return Hydrology(weather, road, (_one(130.30), _one(31.81)))


@pytest.mark.parametrize("seed", range(5))
def test_a_storm_moves_from_east_to_west(seed: int) -> None:
    """The middle of its rain comes over the upper city first."""
    s = np.arange(0.0, 10 * HOUR_S, 120.0)
    arrivals = []
    for longitude in (130.50, 130.38, 130.26):
        rain = Weather(seed).rain_mm_h(np.full(len(s), longitude), np.full(len(s), 31.83), s)
        arrivals.append(float((rain * s).sum() / rain.sum()))
    assert arrivals == sorted(arrivals)


def test_rain_is_within_what_was_ever_measured() -> None:
    """At most 190 mm in an hour (Japan's record is 187), and none at all before the storm."""
    s = np.arange(0.0, 400 * HOUR_S, 300.0)
    for seed in range(3):
        rain = Weather(seed).rain_mm_h(np.full(len(s), 130.35), np.full(len(s), 31.82), s)
        assert rain.max() < 190
        assert rain.min() == 0
        assert rain[s < 600].max() == 0


def test_the_past_may_be_asked_for_again() -> None:
    """Long after it has been forgotten it is computed anew, with the same result."""
    weather = Weather(1)
    hydrology = _hydrology(weather)
    early = np.arange(0.0, 4 * HOUR_S, 600.0)
    column = np.full(len(early), 12)
    first = hydrology.at(column, early)
    hydrology.at(np.array([12]), _one(100 * HOUR_S))
    assert (hydrology.at(column, early) == first).all()
    assert (_hydrology(weather).at(column[::-1], early[::-1])[::-1] == first).all()


def test_water_is_neither_made_nor_lost_on_its_way() -> None:
    """What runs off the slopes flows out at the mouth: 65 % of the rain, within 2 %."""
    hydrology = _hydrology(Weather(1))
    made = nodes()
    s = np.arange(0.0, 90 * HOUR_S, 60.0)[: 25 * 60]
    mouth = made[-1]
    share = hydrology.at(np.full(len(s), len(made) - 1), s) / mouth.bankfull_m
    flow = share ** (1 / 0.6) * hydrology._bankfull_m3_s[-1]
    out_m3 = float(flow.sum() * 60.0)
    rain_m3 = 0.0
    for node in made:
        rain = Weather(1).rain_mm_h(
            np.full(len(s), node.rain_at[0]), np.full(len(s), node.rain_at[1]), s
        )
        rain_m3 += float(rain.sum() / 60.0) * node.km2 * 1000.0
    assert mouth.above_km2 == pytest.approx(sum(node.km2 for node in made))
    assert out_m3 == pytest.approx(0.65 * rain_m3, rel=0.02)


def test_every_gauge_leads_to_the_sea() -> None:
    """Following the water ends at the last node, from everywhere."""
    made = nodes()
    for start in range(len(made)):
        node, steps = start, 0
        while (below := made[node].downstream) is not None:
            assert below > node
            node, steps = below, steps + 1
        assert node == len(made) - 1


def test_a_household_sleeps_unless_it_leaks() -> None:
    """Between 01:30 and 03:30 nothing runs; where it leaks the counter never stands still."""
    homes = Households(
        1, np.full(40, 0.6), np.where(np.arange(40) < 5, 0.5, 0.0), np.zeros(40, np.int64)
    )
    meter = np.arange(40)
    midnight_jst = NOW - (NOW + 9 * 3_600_000) % 86_400_000
    asleep, awake = midnight_jst + 5_400_000, midnight_jst + 12_600_000
    used = homes.total_m3(meter, np.full(40, awake)) - homes.total_m3(meter, np.full(40, asleep))
    assert (used[:5] > 0.03).all()
    assert (used[5:] < 0.02).all()
    day = homes.total_m3(meter, np.full(40, NOW + 86_400_000)) - homes.total_m3(
        meter, np.full(40, NOW)
    )
    assert ((day > 0.3) & (day < 1.5)).all()


def test_a_zone_takes_in_its_meters_and_its_leaks() -> None:
    """Exactly: inflow = scale × meters + mains."""
    homes = Households(1, np.full(10, 0.6), np.zeros(10), np.zeros(10, np.int64))
    zones = Zones(homes, (np.arange(5), np.arange(5, 10)), 90.0, np.array([100.0, 60.0]))
    at = np.array([NOW, NOW])
    later = at + 86_400_000
    inflow = zones.total_m3(np.array([0, 1]), later) - zones.total_m3(np.array([0, 1]), at)
    for zone, members in enumerate(zones.meters):
        metered = homes.total_m3(members, np.full(5, later[0])) - homes.total_m3(
            members, np.full(5, at[0])
        )
        assert inflow[zone] == pytest.approx(90 * metered.sum() + zones.leak_m3_d[zone])


def test_a_calving_cow_cools_before_and_the_thermometer_after() -> None:
    """Below 38.2 a day before, at the barn's temperature hours after."""
    key = np.full(3, animals.MOTHERS[1])
    s = np.array([-15 * HOUR_S, 9 * HOUR_S, 20 * HOUR_S])
    degrees = animals.calving_temperature(1, key, s, np.full(3, NOW), np.full(3, 15.0))
    assert degrees[0] > 38.2 > degrees[1] > 37.0
    assert degrees[2] == pytest.approx(15.0, abs=0.3)


def test_the_sun_sets_every_day_and_summer_days_are_longer() -> None:
    """Dark at midnight, bright at noon, JST."""
    hours = np.arange(24, dtype=np.int64) * 3_600_000
    june = 1_781_967_600_000  # 2026-06-21 00:00 JST
    december = 1_797_778_800_000  # 2026-12-21 00:00 JST
    light_june, light_december = climate.sunshine(june + hours), climate.sunshine(december + hours)
    assert light_june[0] == light_december[0] == 0
    assert light_june[12] > light_december[12] > 0.3
    assert (light_june > 0).sum() > (light_december > 0).sum()


def test_noise_does_not_depend_on_who_else_asks() -> None:
    """One by one or all at once, the same numbers; they fill [0, 1) evenly."""
    keys = np.arange(20_000)
    together = noise.uniform(5, 3, keys)
    assert (noise.uniform(5, 3, keys[77:78]) == together[77]).all()
    assert (noise.uniform(6, 3, keys) != together).all()
    assert together.min() >= 0 and together.max() < 1
    assert together.mean() == pytest.approx(0.5, abs=0.01)
    assert noise.normal(5, 3, keys).std() == pytest.approx(1.0, abs=0.02)
