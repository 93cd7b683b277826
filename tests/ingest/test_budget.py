"""One broken device: its messages are kept unread, everybody else's go on as without it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from devices.frames import (
    BrokerFrame,
    Frame,
    ReadingsFrame,
    RejectedFrame,
    SeriesDefinition,
)
from devices.readings import Int32s
from devices.registry import Registry, RegistrySnapshot
from ingest.budget import BURST_MIN, Budgets
from ingest.lane import LaneState, SeriesUnavailable
from ingest.messages import OVER_BUDGET, RESUBMISSION, Arrival, Tally
from ingest.series_desk import SeriesDesk
from tests.ingest.field import NOW, of, open_town, payload, up

A_MINUTE = 60


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_town(tmp_path))


@pytest.fixture
def snapshot(registry: Registry) -> RegistrySnapshot:
    return registry.snapshot()


def arrival(
    messages: Sequence[tuple[str, bytes]], connection: str = "c", first_id: int = 1
) -> Arrival:
    return Arrival(
        connection,
        [topic.encode() for topic, _ in messages],
        [body for _, body in messages],
        np.arange(first_id, first_id + len(messages), dtype=np.uint16),
        (),
        np.full(len(messages), NOW, np.int64),
    )


def values(frames: Sequence[Frame]) -> list[float]:
    return [v for frame in of(frames, ReadingsFrame) for v in frame.readings.value.tolist()]


def refused(frames: Sequence[Frame]) -> list[tuple[str, str]]:
    return [(frame.topic, frame.reason) for frame in of(frames, RejectedFrame)]


def budgets(snapshot: RegistrySnapshot, per_minute: int = A_MINUTE) -> Budgets:
    made = Budgets(per_minute)
    made.know(snapshot)
    made.refill(NOW)
    return made


def ids(snapshot: RegistrySnapshot, name: str, count: int) -> Int32s:
    return np.full(count, snapshot.by_name[name].id, np.int32)


def test_a_device_that_floods_is_kept_unread_and_the_others_are_read(
    registry: Registry, snapshot: RegistrySnapshot
) -> None:
    """Over ten minutes' worth at once: every message is still kept, raw and with its reason."""
    state = LaneState(snapshot, registry.add_series, readings_per_minute=A_MINUTE)
    flood = [(up("gauge-1"), payload(1.0, NOW + n)) for n in range(BURST_MIN * A_MINUTE + 1)]
    state.take_in(arrival(flood), Tally())
    tally = Tally()
    frames = state.take_in(
        arrival([(up("gauge-1"), b"{oops"), (up("gauge-2"), payload(2.0))]), tally
    )
    assert values(frames) == [2.0]
    assert refused(frames) == [(up("gauge-1"), OVER_BUDGET)]
    frame = of(frames, RejectedFrame)[0]
    assert (frame.payload, frame.received_at, frame.packet_id) == (b"{oops", NOW, 1)
    assert [found.reason for _, found in tally.rejected] == [OVER_BUDGET]


def test_what_staff_resubmit_is_read_whatever_the_budget(
    registry: Registry, snapshot: RegistrySnapshot
) -> None:
    """A message in quarantine for its publisher's budget can be taken in again at once."""
    state = LaneState(snapshot, registry.add_series, readings_per_minute=1)
    flood = [(up("gauge-1"), payload(1.0, NOW + n)) for n in range(BURST_MIN + 1)]
    state.take_in(arrival(flood), Tally())
    again = arrival([(up("gauge-1"), payload(9.0))], f"{RESUBMISSION}1")
    assert values(state.take_in(again, Tally())) == [9.0]


def test_an_array_counts_as_its_readings_and_what_is_unreadable_as_one(
    registry: Registry, snapshot: RegistrySnapshot
) -> None:
    """Nine thousand elements in one message are nine thousand readings, not one message."""
    state = LaneState(snapshot, registry.add_series, readings_per_minute=A_MINUTE)
    elements = b",".join(payload(1.0, NOW + n) for n in range(BURST_MIN * A_MINUTE + 1))
    state.take_in(arrival([(up("gauge-1"), b"[" + elements + b"]")]), Tally())
    rubbish = [(up("gauge-2"), b"{oops")] * (BURST_MIN * A_MINUTE + 1)
    state.take_in(arrival(rubbish), Tally())
    assert state.budgets.over == {snapshot.by_name[n].id for n in ("gauge-1", "gauge-2")}


def test_a_bucket_fills_again_with_time(snapshot: RegistrySnapshot) -> None:
    """A device that has calmed down is read again, no sooner than its budget allows."""
    made = budgets(snapshot)
    made.spend(ids(snapshot, "gauge-1", BURST_MIN * A_MINUTE + 3))
    for second in (1, 2):
        made.refill(NOW + second * 1000)
        assert made.over == {snapshot.by_name["gauge-1"].id}
    made.refill(NOW + 3000)
    assert made.over == frozenset()


def test_a_gateway_may_send_for_all_that_it_carries(snapshot: RegistrySnapshot) -> None:
    """Its budget is that of a device for itself and for each device behind it."""
    made = budgets(snapshot)
    made.spend(ids(snapshot, "gate-way", 2 * BURST_MIN * A_MINUTE))
    assert made.over == frozenset()
    made.spend(ids(snapshot, "gate-way", 1))
    assert made.over == {snapshot.by_name["gate-way"].id}


@pytest.mark.parametrize("how", ["broker", "ourselves", "restart"])
def test_what_gathers_while_the_broker_or_we_are_away_is_no_flood(
    snapshot: RegistrySnapshot, how: str
) -> None:
    """After an hour without us a device may send what it measured in that hour, at once."""
    made = budgets(snapshot)
    hour_ms = 3_600_000
    if how == "broker":
        made.heed_link(BrokerFrame(NOW, "c", is_up=False))
        made.heed_link(BrokerFrame(NOW + hour_ms, "c", is_up=True))
    elif how == "ourselves":
        made.refill(NOW + hour_ms)
    else:
        made.credit(hour_ms)
    made.spend(ids(snapshot, "gauge-1", 60 * A_MINUTE + BURST_MIN * A_MINUTE))
    assert made.over == frozenset()
    made.spend(ids(snapshot, "gauge-1", 1))
    assert made.over


def test_no_limit_is_no_limit(snapshot: RegistrySnapshot) -> None:
    """0 switches the budget off."""
    made = budgets(snapshot, 0)
    made.spend(ids(snapshot, "gauge-1", 1_000_000))
    assert made.over == frozenset()


def test_a_device_keeps_its_bucket_when_the_registry_changes(snapshot: RegistrySnapshot) -> None:
    """Registering something is no way out of a budget."""
    made = budgets(snapshot)
    made.spend(ids(snapshot, "gauge-1", 10 * BURST_MIN * A_MINUTE))
    made.know(snapshot)
    made.refill(NOW + 1000)
    assert made.over == {snapshot.by_name["gauge-1"].id}


def _away(_wanted: object) -> tuple[SeriesDefinition, ...]:
    raise OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))


def test_without_the_database_known_series_go_on_and_new_ones_wait_raw(
    registry: Registry, snapshot: RegistrySnapshot
) -> None:
    """A new quantity needs the database; the flood readings beside it do not."""
    state = LaneState(snapshot, SeriesDesk(_away))
    new = b'{"t":%d,"v":{"water.level":1.5,"rain.intensity":4.5}}' % NOW
    messages = [(up("gauge-1"), new), (up("gauge-2"), payload(2.0, NOW))]
    frames = state.take_in(arrival(messages), Tally())
    assert values(frames) == [1.5, 2.0]
    assert refused(frames) == [(up("gauge-1"), "awaits_series")]
    assert of(frames, RejectedFrame)[0].payload == new
    later = LaneState(snapshot, registry.add_series)
    again = later.take_in(arrival([(up("gauge-1"), new)], f"{RESUBMISSION}1"), Tally())
    assert sorted(values(again)) == [1.5, 4.5]
    assert set(of(again, ReadingsFrame)[0].readings.measured_at.tolist()) == {NOW}


def test_a_database_that_says_nothing_is_waited_for_moments_only() -> None:
    """And it is not asked again while the first question stands, nor for some seconds after."""
    asked: list[object] = []
    held = threading.Event()

    def silent(wanted: object) -> tuple[SeriesDefinition, ...]:
        asked.append(wanted)
        held.wait(20)
        return ()

    time = [0.0]
    desk = SeriesDesk(silent, patience_s=0.01, monotonic=lambda: time[0])
    for _ in range(3):
        with pytest.raises(SeriesUnavailable, match="does not answer"):
            desk([(1, "rain.intensity")])
        time[0] += 60
    assert len(asked) == 1
    held.set()
