"""Intake killed between a raw frame and what it becomes: nothing is lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from devices.frames import Lane, ReadingsFrame, RejectedFrame
from tests.ingest.field import NOW, entries, until
from tests.ingest.intake_process import IntakeProcess
from tests.ingest.mqtt_publisher import Publisher
from tests.ingest.radio import FLOOD_APPLICATION, RadioTown, uplink
from tests.servers.mosquitto import Mosquitto

CHILD = Path(__file__).with_name("translator_child.py")
UNKNOWN = 0x999


@pytest.fixture
def child(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[IntakeProcess]:
    RadioTown(tmp_path, mosquitto.port).database.dispose()
    child = IntakeProcess(
        CHILD, tmp_path, mosquitto.port, lambda status: status["networks"].get("lora", {})
    )
    yield child
    if not child.is_dead():
        child.end(signal.SIGKILL)


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.close()


def message(n: int) -> tuple[str, bytes]:
    """Message ``n``: of both lanes, with a time and without, and every tenth from a stranger."""
    application = {"application": FLOOD_APPLICATION} if n % 3 == 0 else {}
    number = UNKNOWN if n % 10 == 9 else n % 20 + (100 if n % 2 else 0)
    return uplink(number, (n + 1) / 1000, n, at=NOW + n if n % 4 else None, **application)


def translated(directory: Path) -> Counter[int]:
    """How often the value of each message is journaled, those of strangers as refusals."""
    found: Counter[int] = Counter()
    for lane in Lane:
        for entry in entries(directory / lane, lane):
            frame = entry.frame
            if isinstance(frame, ReadingsFrame):
                values = frame.readings.value
                found.update(round(v * 1000) - 1 for v in values.tolist() if 0 < v < 7)
            elif isinstance(frame, RejectedFrame) and frame.reason == "unknown_device":
                found[json.loads(frame.payload)["fCnt"]] += 1
    return found


def each_once(sent: int) -> Counter[int]:
    return Counter(range(sent))


@pytest.mark.parametrize(
    "failpoint",
    ["translator.decoded", "translator.journaled", "translator.noted", "intake.journaled"],
)
async def test_every_message_of_a_network_server_is_translated_once(
    tmp_path: Path, child: IntakeProcess, publisher: Publisher, failpoint: str
) -> None:
    """Killed there twice under load, at another message each time."""
    child.start()
    await until(child.is_at_work, "the sessions", 30)
    sent = 0
    for count in (2, 5):
        child.end(signal.SIGKILL)
        child.start(f"{failpoint}:{count}")
        end = time.monotonic() + 60
        while not child.is_dead():
            assert time.monotonic() < end, f"no death at {failpoint}"
            publisher.publish_many([message(sent + k) for k in range(5)])
            sent += 5
            await asyncio.sleep(0.05)  # (several batches, not one)
    child.start()
    await until(child.is_at_work, "the last start", 30)
    await until(lambda: len(translated(tmp_path)) == sent, f"{sent} messages", 60)
    assert child.end() == 0
    assert translated(tmp_path) == each_once(sent)


async def test_kills_at_random_moments_lose_and_repeat_no_translation(
    tmp_path: Path, child: IntakeProcess, publisher: Publisher
) -> None:
    random = np.random.default_rng(12)
    child.start()
    await until(child.is_at_work, "the sessions", 30)
    sent = 0
    for _ in range(4):
        for _ in range(int(random.integers(3, 12))):
            publisher.publish_many([message(sent + k) for k in range(20)])
            sent += 20
        await asyncio.sleep(float(random.uniform(0.0, 2.0)))  # (the death comes at any step)
        child.end(signal.SIGKILL)
        child.start()
    await until(child.is_at_work, "the last start", 30)
    await until(lambda: len(translated(tmp_path)) == sent, f"{sent} messages", 60)
    assert child.end() == 0
    assert translated(tmp_path) == each_once(sent)
