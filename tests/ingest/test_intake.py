"""Intake end to end: real mosquitto, real journals, a real MQTT client that publishes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from devices.database import writing
from devices.drafts import DeviceDraft
from devices.frames import (
    BrokerFrame,
    Lane,
    ReadingsFrame,
    RejectedFrame,
    RevisionFrame,
    SequenceGapFrame,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from devices.readings import Quality
from ingest.tables import resubmission, resubmission_done
from tests.ingest.field import NOW, Town, now_ms, of, payload, until, up
from tests.ingest.mqtt_publisher import Publisher
from tests.servers.mosquitto import Mosquitto


@pytest.fixture
async def town(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Town]:
    town = Town(tmp_path, mosquitto.port)
    await town.start()
    await until(town.is_connected, "both lanes connected")
    yield town
    await town.stop()
    town.database.dispose()


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.close()


async def test_readings_of_both_lanes_reach_their_journals(
    town: Town, publisher: Publisher
) -> None:
    at = now_ms()
    publisher.publish(up("gauge-1"), payload(1.25, at))
    publisher.publish(up("meter-1", "water-meter"), b'{"t":%d,"v":{"water.total":7}}' % at)
    await until(lambda: town.values(Lane.URGENT) == [1.25], "the level")
    await until(lambda: town.values(Lane.ROUTINE) == [7.0], "the total")
    frame = of(town.frames(Lane.URGENT), ReadingsFrame)[0]
    assert frame.readings.measured_at.tolist() == [at]
    assert frame.readings.quality.tolist() == [0]
    assert abs(int(frame.readings.received_at[0]) - at) < 10_000
    snapshot = town.registry.snapshot()
    assert frame.receipts.device.tolist() == [snapshot.by_name["gauge-1"].id]
    assert frame.readings.series.tolist() == [
        snapshot.series[snapshot.by_name["gauge-1"].id, "water.level"]
    ]


async def test_every_bad_message_is_kept_whole_with_its_reason(
    town: Town, publisher: Publisher
) -> None:
    """Unknown device, wrong JSON, wrong kind: journaled, counted, told; the good go on."""
    bad = [
        (up("nobody"), payload(1.0), "unknown_device"),
        (up("gauge-1"), b"{oops", "bad_json"),
        (up("gauge-1"), b"42", "bad_shape"),
        (up("meter-1"), payload(1.0), "kind_mismatch"),
        ("field/v1/gateway/gate-way/up/urgent", payload(1.0, d="trap-2"), "not_carried"),
    ]
    publisher.publish_many([(topic, body) for topic, body, _ in bad])
    publisher.publish(up("gauge-1"), payload(2.0))

    def rejected() -> list[tuple[str, bytes, str]]:
        frames = of(town.frames(Lane.URGENT), RejectedFrame)
        return [(frame.topic, frame.payload, frame.reason) for frame in frames]

    await until(lambda: len(rejected()) == len(bad), "five rejections")
    assert sorted(rejected()) == sorted(bad)
    assert town.values(Lane.URGENT) == [2.0]
    await until(lambda: sum(_lane(town)["rejected"].values()) == len(bad), "the status")
    assert {row["topic"] for row in town.status()["rejected"]} == {topic for topic, _, _ in bad}


async def test_what_is_wrong_in_a_message_is_told_and_the_rest_is_kept(
    town: Town, publisher: Publisher
) -> None:
    """Impossible times become ours with the flag CLOCK; wrong fields are left out by path."""
    in_2100 = 4_102_444_800_000
    publisher.publish(up("gauge-1"), payload(1.0, 0))
    publisher.publish(up("gauge-2"), payload(2.0, in_2100))
    publisher.publish(up("gauge-3"), b'{"v":{"water.level":3.0,"no.such":1,"battery.voltage":"x"}}')
    await until(lambda: sorted(town.values(Lane.URGENT)) == [1.0, 2.0, 3.0], "three levels")
    for frame in of(town.frames(Lane.URGENT), ReadingsFrame):
        assert set(frame.readings.quality.tolist()) == {Quality.CLOCK}
        assert (frame.readings.measured_at == frame.readings.received_at).all()
    await until(lambda: len(town.status()["remarks"]) == 4, "the status")
    told = {(r["device"], r["reason"]): (r["path"], r["value"]) for r in town.status()["remarks"]}
    assert told == {
        ("gauge-1", "clock_past"): ("t", "0"),
        ("gauge-2", "clock_future"): ("t", str(in_2100)),
        ("gauge-3", "unknown_quantity"): ('v["no.such"]', "1"),
        ("gauge-3", "bad_type"): ('v["battery.voltage"]', "x"),
    }


async def test_a_gateway_speaks_for_what_it_carries(town: Town, publisher: Publisher) -> None:
    at = now_ms()
    body = [{"d": "trap-1", "t": at, "v": {"trap.triggered": True}},
            {"d": "trap-2", "t": at, "v": {"trap.triggered": True}}]  # fmt: skip
    publisher.publish("field/v1/gateway/gate-way/up/urgent", json.dumps(body).encode())
    await until(lambda: len(of(town.frames(Lane.URGENT), RejectedFrame)) == 1, "the stranger")
    readings = of(town.frames(Lane.URGENT), ReadingsFrame)[0]
    assert readings.receipts.device.tolist() == [town.registry.snapshot().by_name["trap-1"].id]


async def test_status_messages_are_journaled(town: Town, publisher: Publisher) -> None:
    publisher.publish("field/v1/water-meter/meter-3/status", b"online")
    await until(lambda: bool(of(town.frames(Lane.ROUTINE), StatusFrame)), "the status")
    frame = of(town.frames(Lane.ROUTINE), StatusFrame)[0]
    assert frame.payload == b"online"
    assert frame.device == town.registry.snapshot().by_name["meter-3"].id


async def test_a_quantity_that_is_new_to_a_device_is_defined_before_it_is_used(
    town: Town, publisher: Publisher
) -> None:
    publisher.publish(up("gauge-1"), b'{"v":{"rain.intensity":4.5}}')
    await until(lambda: town.values(Lane.URGENT) == [4.5], "the rain")
    defined: set[int] = set()
    for frame in town.frames(Lane.URGENT):
        if isinstance(frame, SeriesFrame):
            defined |= {d.series for d in frame.definitions}
        if isinstance(frame, ReadingsFrame):
            assert set(frame.readings.series.tolist()) <= defined


async def test_a_device_registered_in_service_is_taken_in_at_once(
    town: Town, publisher: Publisher
) -> None:
    snapshot = town.registry.register([DeviceDraft("late-1", "river-gauge")], NOW)

    def has_switched() -> bool:
        frames = of(town.frames(Lane.URGENT), RevisionFrame)
        return any(frame.revision == snapshot.revision for frame in frames)

    await until(has_switched, "the revision")
    publisher.publish(up("late-1"), payload(3.5))
    await until(lambda: town.values(Lane.URGENT) == [3.5], "the reading")
    assert len(of(town.frames(Lane.ROUTINE), RevisionFrame)) == 2


async def test_both_lanes_tick_every_second(town: Town) -> None:
    for lane in Lane:
        await until(lambda lane=lane: len(of(town.frames(lane), TickFrame)) >= 3, "ticks")
        at = [frame.at for frame in of(town.frames(lane), TickFrame)]
        assert all(500 <= b - a <= 2500 for a, b in pairwise(at))


async def test_the_loss_of_the_broker_is_journaled_and_nothing_is_lost(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    broker = start_mosquitto(persistence=True)
    town = Town(tmp_path, broker.port)
    await town.start()
    await until(town.is_connected, "connected")
    publisher = Publisher(broker.port)
    publisher.publish(up("gauge-1"), payload(1.0))
    await until(lambda: town.values(Lane.URGENT) == [1.0], "the first")
    broker.stop()
    await until(lambda: _links(town)[-1] is False, "the loss")
    broker.start()
    await until(lambda: _links(town)[-1] is True, "the gain")
    assert _links(town) == [False, True, False, True]
    publisher.close()
    publisher = Publisher(broker.port)
    publisher.publish(up("gauge-1"), payload(2.0))
    await until(lambda: town.values(Lane.URGENT) == [1.0, 2.0], "the second")
    await until(town.is_connected, "the status")
    assert [c["sessions_lost"] for c in town.status()["connections"]] == [0, 0]
    publisher.close()
    await town.stop()


async def test_a_lost_session_is_told(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """A broker without persistence forgets us when it restarts."""
    broker = start_mosquitto(persistence=False)
    town = Town(tmp_path, broker.port)
    await town.start()
    await until(town.is_connected, "connected")
    broker.stop()
    broker.start()
    lost = lambda: [c["sessions_lost"] for c in town.status()["connections"]]  # noqa: E731 (short)
    await until(lambda: town.is_connected() and lost() == [1, 1], "both sessions lost")
    await town.stop()


async def test_what_comes_while_intake_is_away_is_read_when_it_is_back(
    town: Town, publisher: Publisher
) -> None:
    await town.stop()
    publisher.publish_many([(up("gauge-1"), payload(float(n), NOW + n)) for n in range(50)])
    await town.start()
    await until(lambda: town.values(Lane.URGENT) == [float(n) for n in range(50)], "all, in order")


async def test_gaps_are_journaled_and_told_to_the_device(town: Town, publisher: Publisher) -> None:
    publisher.listen("field/v1/+/+/ack")
    at = now_ms()
    for n in (5, 6, 9, 7):
        publisher.publish(up("gauge-1"), payload(1.0, at + n, n, boot=3))
    await until(lambda: len(publisher.heard) > 0, "the answer")
    topic, body = publisher.heard[0]
    assert topic == "field/v1/river-gauge/gauge-1/ack"
    told = json.loads(body)
    assert told["boot"] == 3
    await until(lambda: len(of(town.frames(Lane.URGENT), SequenceGapFrame)) == 2, "two gap frames")
    gaps = of(town.frames(Lane.URGENT), SequenceGapFrame)
    assert [(g.first, g.last, g.is_filled) for g in gaps] == [(7, 8, False), (7, 7, True)]


async def test_numbers_are_followed_across_restarts(town: Town, publisher: Publisher) -> None:
    publisher.publish(up("gauge-1"), payload(1.0, NOW, 1))
    await until(lambda: len(town.values(Lane.URGENT)) == 1, "the first")
    await town.stop()
    await town.start()
    publisher.publish(up("gauge-1"), payload(1.0, NOW + 1, 4))
    await until(lambda: bool(of(town.frames(Lane.URGENT), SequenceGapFrame)), "the gap")
    gap = of(town.frames(Lane.URGENT), SequenceGapFrame)[0]
    assert (gap.first, gap.last) == (2, 3)


async def test_resubmitted_messages_are_taken_in_once_with_their_own_time(
    town: Town, publisher: Publisher
) -> None:
    publisher.publish(up("new-1"), payload(1.5))
    await until(lambda: bool(of(town.frames(Lane.URGENT), RejectedFrame)), "the rejection")
    rejected = of(town.frames(Lane.URGENT), RejectedFrame)[0]
    town.registry.register([DeviceDraft("new-1", "river-gauge")], NOW)
    await until(lambda: len(of(town.frames(Lane.URGENT), RevisionFrame)) == 2, "the revision")
    row: dict[str, Any] = {
        "quarantine": 1,
        "created_at": NOW,
        "topic": rejected.topic,
        "payload": rejected.payload,
        "received_at": rejected.received_at,
        "lane": Lane.URGENT.value,
    }
    with writing(town.database) as connection:
        connection.execute(insert(resubmission).values(row))
    await until(lambda: town.values(Lane.URGENT) == [1.5], "the reading")
    await until(lambda: _is_done(town) == [1], "that it is done")
    await town.stop()
    with writing(town.database) as connection:
        connection.execute(resubmission_done.delete())  # as if it had died before it was noted
    await town.start()
    publisher.publish(up("new-1"), payload(2.5, NOW))
    await until(lambda: 2.5 in town.values(Lane.URGENT), "another")
    await until(lambda: _is_done(town) == [1], "that it is done")
    assert town.values(Lane.URGENT) == [1.5, 2.5]
    frame = of(town.frames(Lane.URGENT), ReadingsFrame)[0]
    assert frame.readings.measured_at.tolist() == [rejected.received_at]


def _is_done(town: Town) -> list[int]:
    with town.database.connect() as connection:
        return list(connection.scalars(select(resubmission_done.c.id)))


async def test_a_resubmission_of_one_lane_never_passes_over_one_of_the_other(
    town: Town, publisher: Publisher
) -> None:
    """Killed after the urgent lane has journaled row 2, before routine has journaled row 1."""
    rows = [
        {"topic": up("meter-1", "water-meter"), "payload": b'{"v":{"water.total":7}}'},
        {"topic": up("gauge-1"), "payload": payload(1.5)},
    ]
    rows[0]["lane"], rows[1]["lane"] = Lane.ROUTINE.value, Lane.URGENT.value
    common = {"quarantine": 1, "created_at": NOW, "received_at": NOW}
    await until(lambda: bool(of(town.frames(Lane.ROUTINE), TickFrame)), "the routine lane")
    town.free_bytes = 0  # holds the routine lane up
    with writing(town.database) as connection:
        connection.execute(insert(resubmission), [row | common for row in rows])
    await until(lambda: town.values(Lane.URGENT) == [1.5], "the urgent row")
    await town.stop()
    town.free_bytes = 1 << 40
    await town.start()
    await until(lambda: town.values(Lane.ROUTINE) == [7.0], "the routine row")
    await until(lambda: _lane(town)["messages"] == 0, "the urgent row is not taken in again")
    assert town.values(Lane.URGENT) == [1.5]


async def test_a_status_file_that_cannot_be_written_stops_nothing(
    town: Town, publisher: Publisher
) -> None:
    """A full disk of the status file: readings and ticks go on, and so does the file in the end."""
    draft = town.status_path.with_suffix(".tmp")

    def is_in_the_way() -> bool:
        try:
            draft.mkdir()
        except FileExistsError:
            return draft.is_dir()
        return True

    await until(is_in_the_way, "the draft is a directory")
    before = len(of(town.frames(Lane.URGENT), TickFrame))
    await until(lambda: len(of(town.frames(Lane.URGENT), TickFrame)) >= before + 3, "ticks")
    publisher.publish(up("gauge-1"), payload(1.0))
    await until(lambda: town.values(Lane.URGENT) == [1.0], "the level")
    draft.rmdir()
    await until(lambda: _lane(town)["messages"] == 1, "the status")


async def test_a_start_on_a_full_disk_lets_the_urgent_lane_work(
    town: Town, publisher: Publisher
) -> None:
    """Found by the chaos test: the registry has changed, the routine lane cannot journal that, and
    a position cannot be noted; urgent readings are taken in all the same."""
    await town.stop()
    town.registry.register([DeviceDraft("gauge-new", "river-gauge")], now_ms())
    for lane in Lane:  # no reader's position can be noted there
        (town.directory / lane / "readers" / "intake.new").mkdir()
    town.free_bytes = 0
    await town.start()
    await until(town.is_connected, "connected")
    publisher.publish(up("meter-1", "water-meter"), b'{"v":{"water.total":5}}')
    publisher.publish(up("gauge-1"), payload(1.25))
    await until(lambda: town.values(Lane.URGENT) == [1.25], "urgent is taken in")
    assert town.values(Lane.ROUTINE) == []
    town.free_bytes = 1 << 40
    await until(lambda: town.values(Lane.ROUTINE) == [5.0], "routine is taken in")


async def test_a_full_disk_stops_the_routine_lane_only_until_there_is_room_again(
    town: Town, publisher: Publisher
) -> None:
    """Nothing is acknowledged, nothing lost; it is told once."""
    town.free_bytes = 0
    total = b'{"v":{"water.total":7}}'
    publisher.publish(up("meter-1", "water-meter"), total)
    publisher.publish(up("gauge-1"), payload(1.0))
    await until(lambda: town.values(Lane.URGENT) == [1.0], "the urgent lane")
    await until(lambda: _lane(town, Lane.ROUTINE)["journal_error"] != "", "the status")
    assert town.values(Lane.ROUTINE) == []
    assert _lane(town, Lane.ROUTINE)["pending"] == 1
    town.free_bytes = 1 << 40
    await until(lambda: town.values(Lane.ROUTINE) == [7.0], "the routine lane")
    await until(lambda: _lane(town, Lane.ROUTINE)["pending"] == 0, "the acknowledgement")
    assert _lane(town, Lane.ROUTINE)["journal_error"] == ""


async def test_several_connections_share_a_lane(
    tmp_path: Path, mosquitto: Mosquitto, publisher: Publisher
) -> None:
    """Also after the number has changed, each message comes once."""
    town = Town(tmp_path, mosquitto.port)
    await town.start()
    await until(town.is_connected, "connected")
    await town.stop()
    town.options["connections_per_lane"] = 3
    await town.start()
    await until(lambda: town.is_connected() and len(town.status()["broker"]) == 6, "six")
    publisher.publish(up("gauge-1"), payload(1.0))
    publisher.publish("field/v1/trap/trap-1/up", b'{"v":{"trap.triggered":false}}')
    publisher.publish("field/v1/gateway/gate-way/up/urgent", b'{"v":{"battery.voltage":12}}')
    await until(lambda: sorted(town.values(Lane.URGENT)) == [0.0, 1.0, 12.0], "each once")
    await town.stop()


def _lane(town: Town, lane: Lane = Lane.URGENT) -> dict[str, Any]:
    fields: dict[str, Any] = town.status()["lanes"][lane]
    return fields


def _links(town: Town) -> list[bool]:
    return [frame.is_up for frame in of(town.frames(Lane.URGENT), BrokerFrame)]


async def test_a_locked_database_holds_up_no_known_series_and_loses_no_new_one(
    town: Town, publisher: Publisher
) -> None:
    """Flood readings go on; what needs a new series is kept raw, to be taken in again."""
    new = b'{"t":%d,"v":{"rain.intensity":4.5}}' % NOW
    with writing(town.database):  # as long as this block lasts nobody else can write
        publisher.publish(up("gauge-1"), new)
        publisher.publish(up("gauge-2"), payload(2.0, NOW))
        await until(lambda: town.values(Lane.URGENT) == [2.0], "the known series")
        rejected = of(town.frames(Lane.URGENT), RejectedFrame)
        assert [(f.payload, f.reason) for f in rejected] == [(new, "awaits_series")]
        assert all(town.status()["broker"].values())
