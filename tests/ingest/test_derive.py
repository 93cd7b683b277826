"""From the distance to the water and the sensor's height: level and depth, and their doubts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.datum import Datum, at, elevation_m
from devices.frames import ReadingsFrame, SeriesFrame
from devices.outcomes import Remark
from devices.payload import QUANTITY_NAMES
from devices.readings import Quality
from devices.registry import Registry
from devices.snapshot import EMPTY, Device, RegistrySnapshot
from ingest.decode import Decoded, Decoder
from ingest.derive import Derivation
from ingest.lane import LaneState
from ingest.messages import Arrival, Tally
from tests.ingest.field import of, open_town

T = 1_767_225_600_000
GOOD, CLOCK, DATUM, RANGE = 0, int(Quality.CLOCK), int(Quality.DATUM), int(Quality.RANGE)


def device(number: int, name: str, kind: str) -> Device:
    return Device(
        id=number, name=name, kind=kind, label=name, label_en="", site="", area="", latitude=None,
        longitude=None, interval_s=600, silence_after_s=1800.0, thresholds={}, tags=(),
        gateway=None, owner=None, registered_at=0, decommissioned_at=None,
    )  # fmt: skip


DEVICES = (
    device(1, "R-1", "river-gauge"), device(3, "F-1", "flood-sensor"),
    device(4, "P-1", "paddy-node"), device(7, "B-1", "barn-node"), device(8, "R-2", "river-gauge"),
)  # fmt: skip
BY_NAME = {d.name: d for d in DEVICES}


def registry(**datums: Sequence[Datum]) -> RegistrySnapshot:
    """The five devices; ``R_1=[…]`` are the datums of R-1."""
    return replace(
        EMPTY,
        devices={d.id: d for d in DEVICES},
        by_name=BY_NAME,
        datums={BY_NAME[name.replace("_", "-")].id: tuple(all_) for name, all_ in datums.items()},
    )


def derived(
    snapshot: RegistrySnapshot, *messages: tuple[str, Any]
) -> tuple[list[tuple[str, str, int, float, int]], Decoded]:
    """(device, quantity, ms after T, value, quality) of what was added; and all."""
    topics = [f"field/v1/{BY_NAME[name].kind}/{name}/up".encode() for name, _ in messages]
    payloads = [json.dumps(body).encode() for _, body in messages]
    received = np.full(len(messages), T + 10**6, np.int64)
    sent = Decoder(snapshot).decode(topics, payloads, received)
    all_ = Derivation(snapshot).add(sent)
    assert all_.value[: len(sent.value)].tolist() == sent.value.tolist(), "what came stays"
    names = {d.id: d.name for d in DEVICES}
    rows = [
        (names[int(all_.owner[k])], QUANTITY_NAMES[all_.quantity[k]],
         int(all_.measured_at[k]) - T, float(all_.value[k]), int(all_.quality[k]))
        for k in range(len(sent.value), len(all_.value))
    ]  # fmt: skip
    return rows, all_


def distance(value: float, after_ms: int = 0, **more: float) -> dict[str, Any]:
    return {"t": T + after_ms, "v": {"water.distance": value, **more}}


def mounted(height_m: float | None, since: int = T - 10**6, zero_m: float | None = None) -> Datum:
    return Datum(since, zero_m, height_m)


@pytest.mark.parametrize(
    ("name", "quantity", "expected"),
    [("R-1", "water.level", 1.766), ("F-1", "flood.depth", 1.766), ("P-1", "paddy.depth", 1.766)],
)
def test_each_kind_tells_its_own_quantity(name: str, quantity: str, expected: float) -> None:
    rows, _ = derived(registry(**{name.replace("-", "_"): [mounted(3.0)]}), (name, distance(1.234)))
    assert rows == [(name, quantity, 0, expected, GOOD)]


def test_other_kinds_and_other_quantities_give_nothing() -> None:
    snapshot = registry(B_1=[mounted(3.0)], R_1=[mounted(3.0)])
    rows, all_ = derived(snapshot, ("B-1", distance(1.0)), ("R-1", {"v": {"battery.voltage": 3.6}}))
    assert rows == []
    assert all_.remarks == []


def test_the_datum_of_the_time_of_measurement_holds() -> None:
    """A late reading is worked out as it would have been then."""
    snapshot = registry(R_1=[mounted(3.0, T - 5000), mounted(4.0, T), mounted(5.0, T + 5000)])
    rows, _ = derived(
        snapshot,
        *(("R-1", distance(1.0, after)) for after in (6000, 5000, 4999, 0, -1, -5000)),
    )
    assert [row[3] for row in rows] == [4.0, 4.0, 3.0, 3.0, 2.0, 2.0]
    assert {row[4] for row in rows} == {GOOD}


def test_a_height_in_doubt_is_taken_and_said() -> None:
    """Before the first datum, and after one that tells no height, the nearest known one holds."""
    snapshot = registry(R_1=[mounted(None, T - 9000), mounted(4.0, T), mounted(None, T + 5000)])
    rows, _ = derived(snapshot, *(("R-1", distance(1.0, k)) for k in (-9999, -5000, 0, 5000, 9000)))
    assert [(row[3], row[4]) for row in rows] == [
        (3.0, DATUM), (3.0, DATUM), (3.0, GOOD), (3.0, DATUM), (3.0, DATUM),
    ]  # fmt: skip


def test_without_any_height_nothing_is_derived_and_the_device_is_told_of() -> None:
    snapshot = registry(R_1=[mounted(None, zero_m=12.0)], R_2=[mounted(2.0)])
    rows, all_ = derived(
        snapshot, ("R-1", distance(1.5)), ("R-1", distance(1.6, 1)), ("R-2", distance(0.5))
    )
    assert [row[:2] for row in rows] == [("R-2", "water.level")]
    assert all_.remarks == [(1, Remark('v["water.distance"]', "1.6", "no_datum"))]


def test_a_message_that_brings_the_quantity_itself_is_believed() -> None:
    snapshot = registry(R_1=[mounted(3.0)])
    rows, all_ = derived(
        snapshot,
        ("R-1", distance(1.0, 0, **{"water.level": 7.0})), ("R-1", distance(1.0, 5)),
    )  # fmt: skip
    assert rows == [("R-1", "water.level", 5, 2.0, GOOD)]
    assert 7.0 in all_.value


@pytest.mark.parametrize(
    ("name", "height_m", "at_m", "expected"),
    [
        ("F-1", 2.0, 2.0, (0.0, GOOD)), ("F-1", 2.0, 2.03, (0.0, GOOD)),
        ("F-1", 2.0, 2.05, (0.0, GOOD)), ("F-1", 2.0, 2.06, (-0.06, GOOD)),
        ("P-1", 1.0, 1.03, (-0.03, GOOD)), ("R-1", 5.0, 5.4, (-0.4, GOOD)),
    ],
)  # fmt: skip
def test_noise_around_a_dry_road_is_dry(
    name: str, height_m: float, at_m: float, expected: tuple[float, int]
) -> None:
    """Only on roads: the water of a field or river may stand below their zero."""
    rows, all_ = derived(
        registry(**{name.replace("-", "_"): [mounted(height_m)]}), (name, distance(at_m))
    )
    assert (pytest.approx(expected[0]), expected[1]) == rows[0][3:]
    assert at_m in all_.value, "the distance stays as it came"


@pytest.mark.parametrize("no_echo_m", [0.0, -0.1, 100.5])
def test_what_no_sensor_can_measure_makes_no_flood(no_echo_m: float) -> None:
    """Water up to the sensor is what a missing echo looks like."""
    rows, _ = derived(registry(F_1=[mounted(2.0)]), ("F-1", distance(no_echo_m)))
    assert rows[0][4] == RANGE


def test_a_time_that_is_ours_is_said_of_both() -> None:
    rows, _ = derived(registry(F_1=[mounted(2.0)]), ("F-1", {"v": {"water.distance": 1.5}}))
    assert rows[0][3:] == (0.5, CLOCK)


datums = st.lists(
    st.builds(mounted, st.none() | st.floats(0.5, 10), st.integers(T - 1000, T + 1000)), max_size=6
).map(lambda found: sorted({d.since: d for d in found}.values(), key=lambda d: d.since))


sent = st.tuples(
    st.sampled_from(["R-1", "R-2", "P-1"]), st.integers(-1500, 1500), st.floats(0.1, 9)
)


@given(datums, datums, st.lists(sent, max_size=30))
def test_many_at_once_are_as_each_alone(
    of_first: list[Datum], of_second: list[Datum], readings: list[tuple[str, int, float]]
) -> None:
    snapshot = registry(R_1=of_first, R_2=of_second)
    heights = {"R-1": of_first, "R-2": of_second, "P-1": []}
    rows, _ = derived(
        snapshot, *((name, distance(value, after)) for name, after, value in readings)
    )
    expected = []
    for name, after, value in readings:
        known = [d for d in heights[name] if d.mounting_height_m is not None]
        now = at(heights[name], T + after)
        if not known:
            continue
        if now is not None and now.mounting_height_m is not None:
            height, quality = now.mounting_height_m, GOOD
        else:
            height, quality = (at(known, T + after) or known[0]).mounting_height_m, DATUM
        assert height is not None
        expected.append((name, after, pytest.approx(height - value, abs=2e-6), quality))
    assert [(name, after, value, quality) for name, _, after, value, quality in rows] == expected


def test_elevation_is_the_level_above_the_zero_of_the_staff() -> None:
    assert elevation_m(1.5, Datum(0, 12.25, None)) == 13.75
    assert elevation_m(1.5, Datum(0, None, 3.0)) is None
    assert elevation_m(1.5, None) is None


def test_a_lane_journals_what_is_derived_and_charges_what_was_sent(tmp_path: Path) -> None:
    database = open_town(tmp_path)
    town = Registry(database)
    gauge = town.snapshot().by_name["gauge-1"].id
    snapshot = replace(town.snapshot(), datums={gauge: (mounted(3.0, 0),)})
    state = LaneState(snapshot, town.add_series, readings_per_minute=5)
    body = json.dumps([distance(1.0, k) for k in range(40)]).encode()
    arrival = Arrival("c", [b"field/v1/river-gauge/gauge-1/up"], [body],
                      np.ones(1, np.uint16), (), np.full(1, T + 1000, np.int64))  # fmt: skip
    frames = state.take_in(arrival, tally := Tally())
    database.dispose()
    (defined,) = of(frames, SeriesFrame)
    assert [d.quantity for d in defined.definitions] == ["water.distance"], "the level has one"
    (journaled,) = of(frames, ReadingsFrame)
    level = snapshot.series[gauge, "water.level"]
    mask = journaled.readings.series == level
    assert journaled.readings.value[mask].tolist() == [2.0] * 40
    assert tally.readings == 80
    assert not state.budgets.over, "forty were sent, though eighty are stored; fifty may be"
