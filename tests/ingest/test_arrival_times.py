"""Readings without a time of their own are told apart by the moments they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devices.frames import ReadingsFrame
from devices.registry import Registry
from ingest.arrival_times import MOST_AHEAD_MS, ArrivalTimes
from ingest.lane import LaneState
from ingest.messages import Arrival, Tally
from tests.ingest.field import NOW, open_town, payload

batches = st.lists(
    st.tuples(
        st.integers(0, 50),  # ms since the last batch
        st.lists(st.integers(-1, 3), min_size=1, max_size=30),
    ),
    max_size=6,
)


def _give(times: ArrivalTimes, devices: list[int], at: int) -> list[int]:
    column = np.array(devices, np.int32)
    rows = np.arange(len(devices))
    return times.give(column, rows, np.full(len(devices), at, np.int64)).tolist()


@given(batches)
def test_no_two_readings_of_a_device_have_one_moment_and_none_is_early(
    told: list[tuple[int, list[int]]],
) -> None:
    """The moments of a device rise in order of arrival, as close to the arrival as can be."""
    times, at = ArrivalTimes(), NOW
    last: dict[int, int] = {}
    for later_ms, devices in told:
        at += later_ms
        for device, moment in zip(devices, _give(times, devices, at), strict=True):
            if device >= 0:
                assert moment == max(at, last.get(device, 0) + 1)
                last[device] = moment


def test_when_our_clock_is_set_back_readings_follow_it() -> None:
    """A moment is never put further ahead of the arrival than a minute."""
    times = ArrivalTimes()
    assert _give(times, [1], NOW) == [NOW]
    assert _give(times, [1], NOW - 1_000) == [NOW + 1]
    assert _give(times, [1, 1], NOW - MOST_AHEAD_MS - 10) == [
        NOW - MOST_AHEAD_MS - 10,
        NOW - MOST_AHEAD_MS - 9,
    ]


def test_a_backlog_of_messages_without_a_time_is_kept_whole(tmp_path: Path) -> None:
    """Found by the chaos test: of several messages that came in one piece only the last was stored,
    since all had the same time."""
    database = open_town(tmp_path)
    registry = Registry(database)
    state = LaneState(registry.snapshot(), registry.add_series)
    bodies = [payload(1.0), payload(1.1), payload(1.2, at=NOW - 500), payload(1.3)]
    arrival = Arrival(
        "c", [b"field/v1/river-gauge/gauge-1/up"] * 4, bodies,
        np.arange(1, 5, dtype=np.uint16), (), np.full(4, NOW, np.int64),
    )  # fmt: skip
    frames = state.take_in(arrival, Tally())
    (readings,) = [frame.readings for frame in frames if isinstance(frame, ReadingsFrame)]
    assert readings.measured_at.tolist() == [NOW, NOW + 1, NOW - 500, NOW + 2]
    assert readings.received_at.tolist() == [NOW, NOW + 1, NOW, NOW + 2]
    database.dispose()
