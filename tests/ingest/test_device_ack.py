"""Answers to devices: own topic, not too often, a gateway's together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices.frames import Lane
from devices.kinds import FIELD_KINDS
from devices.payload import NOT_GIVEN
from devices.registry import Registry, RegistrySnapshot
from ingest.device_ack import AT_ONCE, EVERY_MS, AckDesk
from ingest.sequence import SequenceTracker
from ingest.topics import lane_of, retired, subscriptions
from tests.ingest.field import NOW, open_town


@pytest.fixture
def town(tmp_path: Path) -> RegistrySnapshot:
    database = open_town(tmp_path)
    snapshot = Registry(database).snapshot()
    database.dispose()
    return snapshot


def _tracker(*devices: int) -> SequenceTracker:
    tracker = SequenceTracker()
    for device in devices:
        tracker.follow([device] * 2, [1, 4], [NOT_GIVEN] * 2, [NOW, NOW + 1], NOW)
    return tracker


def test_a_device_is_answered_on_its_own_topic_at_most_every_ten_seconds(
    town: RegistrySnapshot,
) -> None:
    gauge = town.by_name["gauge-1"].id
    desk, tracker = AckDesk(), _tracker(gauge)
    asked = [NOW, NOW + 1000, NOW + EVERY_MS - 1, NOW + EVERY_MS, NOW + 2 * EVERY_MS]
    answers = []
    for at in asked:
        if at != asked[-1]:
            desk.note([(gauge, gauge)])
        answers.append(desk.answers(tracker, town.devices, at))
    expected = ("field/v1/river-gauge/gauge-1/ack", b'{"n":4,"missing":[[2,3]]}')
    assert answers == [[expected], [], [], [expected], []]


def test_a_gateway_is_told_of_all_it_carries_in_one_message(town: RegistrySnapshot) -> None:
    gateway, trap = town.by_name["gate-way"].id, town.by_name["trap-1"].id
    desk, tracker = AckDesk(), _tracker(gateway, trap)
    desk.note([(gateway, trap), (gateway, gateway)])
    [(topic, body)] = desk.answers(tracker, town.devices, NOW)
    assert topic == "field/v1/gateway/gate-way/ack"
    assert {told["d"]: told["n"] for told in json.loads(body)} == {"gate-way": 4, "trap-1": 4}


def test_a_crowd_is_answered_in_turns() -> None:
    desk = AckDesk()
    desk.note([(k, k) for k in range(AT_ONCE + 5)])
    tracker = SequenceTracker()
    desk.answers(tracker, {}, NOW)
    assert len(desk._due) == 5


@pytest.mark.parametrize("shards", [1, 2, 3, 8])
def test_connections_share_all_topics_of_a_lane_without_overlap(shards: int) -> None:
    for lane in Lane:
        found = [name for k in range(shards) for name, _ in subscriptions(lane, k, shards)]
        assert len(found) == len(set(found))
        kinds = [kind.name for kind in FIELD_KINDS.values() if kind.lane is lane]
        others = 1 if lane is Lane.URGENT else 2  # gateways by lane; who asks to be admitted
        assert len(found) == 2 * len(kinds) + others
        for k in range(shards):
            own = {name for name, _ in subscriptions(lane, k, shards)}
            assert own | set(retired(lane, k, shards)) == set(found)
            assert not own & set(retired(lane, k, shards))


@pytest.mark.parametrize(
    ("topic", "lane"),
    [
        ("field/v1/river-gauge/x/up", Lane.URGENT),
        ("field/v1/water-meter/x/up", Lane.ROUTINE),
        ("field/v1/gateway/x/up", Lane.URGENT),
        ("field/v1/gateway/x/up/routine", Lane.ROUTINE),
        ("field/v1/gateway/x/up/urgent", Lane.URGENT),
        ("field/v1/gateway/x/up/else", Lane.URGENT),
        ("what/ever", Lane.ROUTINE),
        ("", Lane.ROUTINE),
    ],
)
def test_every_topic_has_a_lane(topic: str, lane: Lane) -> None:
    assert lane_of(topic) is lane
