"""A fleet over time: deterministic, plausible, and the storm moves as water does."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from devices.kinds import FIELD_KINDS
from devices.quantities import QUANTITIES
from firmware_sim import city
from firmware_sim.city import CityDevice
from firmware_sim.encode import Publication
from firmware_sim.fleet import Fleet
from firmware_sim.pace import DEMO, NATURAL

START_AT = 1_792_540_800_000
MINUTE_MS = 60_000
DEVICES = city.devices()


def _fleet(**options: Any) -> Fleet:
    return Fleet(DEVICES, **{"seed": 1, "start_at": START_AT, **options})


def _elements(publications: list[Publication]) -> list[tuple[str, dict[str, Any]]]:
    """(device, element) of every reading, in the order sent."""
    out = []
    for publication in publications:
        if publication.topic.endswith("/status"):
            continue
        decoded = json.loads(publication.payload)
        elements = decoded if isinstance(decoded, list) else [decoded]
        out += [(e.get("d") or publication.topic.split("/")[3], e) for e in elements]
    return out


def _series(publications: list[Publication], device: str, quantity: str) -> list[tuple[int, float]]:
    return [
        (e["t"], e["v"][quantity])
        for name, e in _elements(publications)
        if name == device and quantity in e["v"]
    ]


@pytest.fixture(scope="module")
def storm() -> list[Publication]:
    """A quarter of an hour of the demo, with everything that goes wrong."""
    return _fleet().step(START_AT + 15 * MINUTE_MS)


@pytest.fixture(scope="module")
def flawless_storm() -> list[Publication]:
    """The same quarter of an hour over a perfect radio."""
    return _fleet(flawless=True).step(START_AT + 15 * MINUTE_MS)


def test_the_same_seed_gives_the_same_publications(storm: list[Publication]) -> None:
    """Byte for byte, in the same order."""
    assert _fleet().step(START_AT + 15 * MINUTE_MS) == storm


def test_another_seed_gives_other_publications(storm: list[Publication]) -> None:
    """The seed reaches everything."""
    assert _fleet(seed=2).step(START_AT + MINUTE_MS) != storm[: len(storm) // 15]


def test_steps_of_any_size_give_the_same_publications(storm: list[Publication]) -> None:
    """250 ms, 7.3 s and the whole at once agree."""
    fleet = _fleet()
    stepped: list[Publication] = []
    at = START_AT
    while at < START_AT + 15 * MINUTE_MS:
        at = min(at + (250 if at < START_AT + 2 * MINUTE_MS else 7_300), START_AT + 15 * MINUTE_MS)
        stepped += fleet.step(at)
    assert stepped == storm


def test_publications_leave_in_the_order_of_time(storm: list[Publication]) -> None:
    """None before the start, none after the step's end."""
    times = [p.at for p in storm]
    assert times == sorted(times)
    assert times[0] > START_AT
    assert times[-1] <= START_AT + 15 * MINUTE_MS


def test_every_kind_is_heard_of_within_a_minute(storm: list[Publication]) -> None:
    """A demo shows a full map at once."""
    by_name = {d.name: d.kind for d in DEVICES}
    heard = {by_name[name] for name, e in _elements(storm) if e.get("t", 0) < START_AT + MINUTE_MS}
    assert heard == set(FIELD_KINDS)


def test_devices_send_only_what_their_kind_measures(storm: list[Publication]) -> None:
    """Quantities are those of devices.kinds."""
    by_name = {d.name: d.kind for d in DEVICES}
    for name, element in _elements(storm):
        assert element["v"].keys() <= set(FIELD_KINDS[by_name[name]].quantities), name


def test_upper_gauges_rise_before_lower_ones(flawless_storm: list[Publication]) -> None:
    """On each river the first gauge reaches 70 % of its peak before the last one does."""
    levels: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for name, element in _elements(flawless_storm):
        if "water.level" in element["v"]:
            levels[name].append((element["t"], element["v"]["water.level"]))
    rivers: dict[str, list[CityDevice]] = defaultdict(list)
    for device in DEVICES:
        if device.kind == "river-gauge":
            rivers[device.label.split(" ")[1]].append(device)
    times: dict[str, list[int]] = {}
    for river, gauges in rivers.items():
        times[river] = []
        for gauge in (gauges[0], gauges[-1]):
            peak = max(level for _, level in levels[gauge.name])
            times[river].append(next(t for t, level in levels[gauge.name] if level >= 0.7 * peak))
    later = [river for river, (upper, lower) in times.items() if lower > upper]
    assert len(later) == len(rivers), times


def test_the_storm_brings_danger_and_closed_roads_within_two_and_a_half_minutes(
    flawless_storm: list[Publication],
) -> None:
    """A visitor of the demo sees caution, danger and 通行止 soon, but not everywhere."""
    first: dict[str, dict[str, int]] = defaultdict(dict)
    stages = {
        d.name: [part.split("=") for part in d.thresholds.split(";")]
        for d in DEVICES
        if d.thresholds
    }
    for name, element in _elements(flawless_storm):
        value = element["v"].get("water.level", element["v"].get("flood.depth"))
        for stage, threshold in stages.get(name, ()):
            if value is not None and value >= float(threshold):
                first[stage].setdefault(name, element["t"] - START_AT)
    rivers = sum(d.kind == "river-gauge" for d in DEVICES)
    assert min(first["caution"].values()) < 75_000
    assert min(first["danger"].values()) < 120_000
    assert min(first["closed"].values()) < 120_000
    assert sum(t < 150_000 for t in first["danger"].values()) >= 3
    assert 3 <= len(first["danger"]) <= 0.8 * rivers
    assert 10 <= len(first["closed"]) <= 40


def test_healthy_devices_never_change_faster_than_nature(flawless_storm: list[Publication]) -> None:
    """Nothing of it would be flagged SPIKE or RANGE, but for the collar with the bad receiver."""
    last: dict[tuple[str, str], tuple[int, float]] = {}
    for name, element in _elements(flawless_storm):
        if "t" not in element or element["t"] < START_AT - MINUTE_MS:
            continue
        for quantity, value in element["v"].items():
            limits = QUANTITIES[quantity]
            if (name, quantity) != ("collar-04", "position.latitude"):
                assert limits.low <= value <= limits.high, (name, quantity, value)
            at, before = last.get((name, quantity), (element["t"], value))
            elapsed_s = (element["t"] - at) / 1000
            allowed = min(limits.step_cap, limits.step + limits.rate_per_s * elapsed_s)
            assert abs(value - before) <= allowed, (name, quantity, before, value)
            last[name, quantity] = (element["t"], value)


def test_counters_never_fall(flawless_storm: list[Publication]) -> None:
    """Water that was used and rain that fell stay so."""
    last: dict[tuple[str, str], float] = {}
    for name, element in _elements(flawless_storm):
        for quantity, value in element["v"].items():
            if QUANTITIES[quantity].is_counter:
                assert value >= last.get((name, quantity), 0.0), (name, quantity)
                last[name, quantity] = value
    assert len(last) == 120 + 8 + 15


def test_sequence_numbers_rise_by_one_where_nothing_is_lost(
    flawless_storm: list[Publication],
) -> None:
    """Each numbered device counts from 1 within one boot."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for name, element in _elements(flawless_storm):
        if "n" in element:
            numbers[name].append(element["n"])
    assert len(numbers) > 350
    for name, sent in numbers.items():
        assert sent == list(range(1, len(sent) + 1)), name


def test_the_air_loses_some_and_repeats_some(storm: list[Publication]) -> None:
    """Lost numbers, repeated payloads, and several readings late in one message."""
    seen = Counter((p.topic, p.payload) for p in storm)
    assert 5 < sum(count > 1 for count in seen.values()) < 0.02 * len(storm)
    numbers: dict[str, set[int]] = defaultdict(set)
    for name, element in _elements(storm):
        if "n" in element:
            numbers[name].add(element["n"])
    lost = sum(max(sent) - min(sent) + 1 - len(sent) for sent in numbers.values())
    assert 10 < lost < 0.03 * len(storm)
    lags = [
        (p.at - json.loads(p.payload)[0]["t"]) / 1000
        for p in storm
        if p.payload.startswith(b"[") and "/gateway/" in p.topic
    ]
    assert max(lags) > 30


def test_some_devices_fall_silent_in_the_storm(storm: list[Publication]) -> None:
    """They die without a word, so that somebody has to notice."""
    newest: dict[str, int] = {}
    for name, element in _elements(storm):
        newest[name] = max(newest.get(name, 0), element.get("t", 0))
    for dead in ("flood-23", "river-17", "trap-12"):
        assert newest[dead] < START_AT + 4 * MINUTE_MS
    assert newest["river-18"] > START_AT + 14 * MINUTE_MS


def test_a_trap_that_springs_says_so_within_seconds(flawless_storm: list[Publication]) -> None:
    """Though its daily report is far away; three spring in the first six minutes."""
    sprung = {}
    for name, element in _elements(flawless_storm):
        if element["v"].get("trap.triggered") and name not in sprung:
            sprung[name] = (element["t"] - START_AT) / 1000
    assert {"trap-05", "trap-18", "trap-32"} <= sprung.keys()
    for name, after_s in (("trap-05", 96.0), ("trap-18", 186.0), ("trap-32", 312.0)):
        assert after_s <= sprung[name] + 1.5 <= after_s + 6.0


def test_gear_near_water_reports_more_often_when_it_rises(storm: list[Publication]) -> None:
    """Calm 30 s, active 5 s."""
    times = [t for t, _ in _series(storm, "river-01", "water.level")]
    calm = [b - a for a, b in pairwise(times) if b < START_AT + 15_000]
    active = [b - a for a, b in pairwise(times) if START_AT + 40_000 < a < START_AT + 100_000]
    assert all(gap > 12_000 for gap in calm)
    assert max(active) < 11_000


def test_devices_without_clock_or_numbers_leave_them_out(storm: list[Publication]) -> None:
    """Cheap contact sensors send values alone."""
    bare = {name for name, e in _elements(storm) if "t" not in e}
    assert bare
    assert bare <= {d.name for d in DEVICES if d.tags == "contact"}


def test_a_device_with_an_empty_clock_counts_from_1970(storm: list[Publication]) -> None:
    """As real ones do; nothing else sends such times."""
    early = {name for name, e in _elements(storm) if e.get("t", START_AT) < START_AT - MINUTE_MS}
    assert early == {"barn-11"}


def test_calm_weather_raises_nothing() -> None:
    """No rain, no flood, no rising river in an hour at natural pace."""
    fleet = _fleet(calm=True, flawless=True, pace=NATURAL)
    for name, element in _elements(fleet.step(START_AT + 60 * MINUTE_MS)):
        assert element["v"].get("flood.depth", 0) == 0, name
        assert element["v"].get("flood.detected", 0) == 0, name
        assert element["v"].get("rain.intensity", 0) == 0, name
        assert element["v"].get("water.level", 0) < 0.7, name


def test_a_zone_takes_in_what_its_meters_count_and_its_mains_lose() -> None:
    """Inflow over an hour ≥ 90 × (sum of the fifteen meters that stand for it)."""
    meters = [d.name for d in DEVICES if d.kind == "water-meter" and d.tags == "zone-1"]
    fleet = _fleet(calm=True, flawless=True, pace=NATURAL, only=[*meters, "zone-1"])
    publications = fleet.step(START_AT + 180 * MINUTE_MS)

    def used(name: str) -> tuple[float, float]:
        counter = _series(publications, name, "water.total")
        return counter[-1][1] - counter[0][1], (counter[-1][0] - counter[0][0]) / 3_600_000

    by_meters_m3_h = sum(m3 / hours for m3, hours in map(used, meters)) * 90
    m3, hours = used("zone-1")
    assert m3 / hours - by_meters_m3_h * 0.75 >= 60 / 24
    assert m3 / hours <= by_meters_m3_h * 1.25 + 190 / 24


def test_a_forced_device_is_heard_at_once_and_follows_its_ramp() -> None:
    """Linear from what it measured to the goal, at its active interval; nothing lost."""
    fleet = _fleet(calm=True, only=["river-08"])
    before = _series(fleet.step(START_AT + MINUTE_MS), "river-08", "water.level")[-1][1]
    fleet.force("river-08", "water.level", 4.0, ramp_s=20)
    after = fleet.step(START_AT + 2 * MINUTE_MS)
    levels = _series(after, "river-08", "water.level")
    assert after[0].at == START_AT + MINUTE_MS + 1
    assert levels[0][1] == pytest.approx(before, abs=0.01)
    assert levels[-1][1] == 4.0
    assert [v for _, v in levels] == sorted(v for _, v in levels)
    assert len(levels) >= 11
    fleet.release("river-08")
    assert _series(fleet.step(START_AT + 3 * MINUTE_MS), "river-08", "water.level")[-1][1] < 1.0


def test_only_the_chosen_devices_are_switched_on() -> None:
    """A scenario for one station is not drowned in others."""
    publications = _fleet(only=["river-08", "trap-01"]).step(START_AT + 5 * MINUTE_MS)
    assert {name for name, _ in _elements(publications)} == {"river-08", "trap-01"}


def test_forcing_an_unknown_device_or_quantity_is_an_error() -> None:
    """Instead of silence."""
    with pytest.raises(KeyError, match="river-99"):
        _fleet().force("river-99", "water.level", 1.0)
    with pytest.raises(KeyError, match=r"water\.leval"):
        _fleet().force("river-01", "water.leval", 1.0)


def test_the_demo_stays_within_what_a_demo_may_cost(storm: list[Publication]) -> None:
    """At most 40 messages a second over any ten seconds after the switching on."""
    by_ten_s = Counter((p.at - START_AT) // 10_000 for p in storm)
    assert max(count for slot, count in by_ten_s.items() if slot > 0) <= 400
    assert DEMO.compression == 60
