"""Intake killed at each step between broker and acknowledgement: nothing is lost, nothing twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from devices.frames import Lane
from tests.ingest.field import GAUGES, METERS, NOW, journaled_values, open_town, payload, until, up
from tests.ingest.intake_process import IntakeProcess
from tests.ingest.mqtt_publisher import Publisher
from tests.servers.mosquitto import Mosquitto

CHILD = Path(__file__).with_name("intake_child.py")


@pytest.fixture
def child(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[IntakeProcess]:
    open_town(tmp_path).dispose()
    child = IntakeProcess(CHILD, tmp_path, mosquitto.port, lambda status: status["broker"])
    yield child
    if not child.is_dead():
        child.end(signal.SIGKILL)


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.close()


def message(n: int, *, has_time: bool) -> tuple[str, bytes]:
    """Message ``n``; without a time two of a device differ in their value only."""
    return up(GAUGES[n % len(GAUGES)]), payload(n / 1000, NOW + n if has_time else None)


@pytest.mark.parametrize(
    "failpoint", ["journal.written", "journal.synced", "intake.journaled", "intake.acknowledged"]
)
@pytest.mark.parametrize("has_time", [True, False], ids=["with-t", "without-t"])
async def test_every_message_the_broker_took_is_in_the_journal_once(
    tmp_path: Path, child: IntakeProcess, publisher: Publisher, failpoint: str, has_time: bool
) -> None:
    """Killed there twice under load, at another batch each time."""
    child.start()
    await until(lambda: _has_subscribed(publisher), "the session")
    sent = 0
    for count in (2, 7):
        child.end(signal.SIGKILL)
        child.start(f"{failpoint}:{count}")
        end = time.monotonic() + 30
        while not child.is_dead():
            assert time.monotonic() < end, f"no death at {failpoint}"
            publisher.publish_many([message(sent + k, has_time=has_time) for k in range(20)])
            sent += 20
            await asyncio.sleep(0.01)  # (several batches, not one)
    child.start()
    await until(child.is_at_work, "the last start")
    await until(
        lambda: len(set(journaled_values(tmp_path, Lane.URGENT))) == sent, f"{sent} messages"
    )
    assert child.end() == 0
    assert sorted(journaled_values(tmp_path, Lane.URGENT)) == [n / 1000 for n in range(sent)]


async def test_kills_at_random_moments_lose_and_repeat_nothing(
    tmp_path: Path, child: IntakeProcess, publisher: Publisher
) -> None:
    """Both lanes under load, kill -9 after random numbers of messages."""
    random = np.random.default_rng(8)
    child.start()
    await until(lambda: _has_subscribed(publisher), "the session")
    sent = 0
    for _ in range(5):
        for _ in range(int(random.integers(5, 40))):
            publisher.publish_many([_either_lane(sent + k) for k in range(25)])
            sent += 25
        child.end(signal.SIGKILL)
        child.start()
    await until(child.is_at_work, "the last start")
    total = lambda: sum(len(set(journaled_values(tmp_path, lane))) for lane in Lane)  # noqa: E731 (short)
    await until(lambda: total() == sent, f"{sent} messages", 30)
    assert child.end() == 0
    both = journaled_values(tmp_path, Lane.URGENT) + journaled_values(tmp_path, Lane.ROUTINE)
    assert sorted(both) == [n / 1000 for n in range(sent)]


def _either_lane(n: int) -> tuple[str, bytes]:
    if n % 2:
        return message(n, has_time=False)
    body = b'{"v":{"water.total":%s}}' % str(n / 1000).encode()
    return up(METERS[n % len(METERS)], "water-meter"), body


def _has_subscribed(publisher: Publisher) -> bool:
    """A message of each lane finds a subscriber."""
    probes = [(up("nobody"), b"?"), (up("nobody", "water-meter"), b"?")]
    return all(code == 0 for code in publisher.publish_many(probes))
