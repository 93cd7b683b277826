"""A small disk without a byte left: what must still happen there, and what returns by itself."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

from alerts.tables import delivery, transition
from firmware_sim.publisher import Broker, Publisher
from tests.ingest.mqtt_publisher import Publisher as QuickPublisher
from tests.servers.mosquitto import Mosquitto
from tests.servers.satomori_system import wait_until
from tests.system.chaos_load import FLEET, Device
from tests.system.chaos_scene import (
    PROCESSES,
    Scene,
    SmallDisk,
    make_scene,
    may_mount,
    small_disks,
)

FILL_FOR_S = 6.0


@pytest.fixture(params=["one", "split"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A system at work whose own files lie on one small disk, or on three."""
    if not may_mount(tmp_path):
        pytest.skip("mounting a small file system is not permitted here")
    with small_disks(tmp_path, request.param) as disks:
        scene = make_scene(tmp_path, disks, None)
        try:
            scene.system.start()
            yield scene
        finally:
            for disk in disks:
                disk.free()
            scene.system.stop()


class Field:
    """The fleet, each device with a level of its own choice."""

    def __init__(self, scene: Scene) -> None:
        self._publisher = Publisher(Broker(*scene.system.broker_login()), client_id="small-disk")
        self._publisher.connect()
        self._at = 0
        self.published: dict[str, int] = {}

    def say(self, device: Device, value: float) -> None:
        """One reading, now."""
        self._at = max(self._at + 1, time.time_ns() // 1_000_000)
        body = json.dumps({"t": self._at, "v": {device.quantity: value}}).encode()
        self._publisher.publish(f"field/v1/{device.kind}/{device.name}/up", body)
        self.published[device.name] = self.published.get(device.name, 0) + 1

    def all_say(self, rounds: int) -> None:
        """Everybody is below every threshold."""
        for _ in range(rounds):
            for device in NUMBERED:
                self.say(device, 0.05)
            time.sleep(0.05)

    def close(self) -> None:
        self._publisher.drain(60)
        self._publisher.close()


NUMBERED = [device for device in FLEET if device.habit == "numbered"]
GAUGE = NUMBERED[0]


def _crossings(scene: Scene) -> list[tuple[int, str]]:
    """(level, delivery's state) of each transition that somebody is to be told of."""
    query = select(transition.c.to_level, delivery.c.state).join(
        delivery, delivery.c.transition == transition.c.id
    )
    database = scene.system.database()
    with database.connect() as connection:
        rows = [(int(level), str(state)) for level, state in connection.execute(query)]
    database.dispose()
    return rows


def _fill_under_load(scene: Scene, field: Field) -> None:
    """No byte is left, and whatever a process lets go of is taken at once, for some seconds; what
    is put by for the urgent lane is left to it."""
    for disk in scene.disks:
        disk.fill(0)
    end = time.monotonic() + FILL_FOR_S
    while time.monotonic() < end:
        field.all_say(1)


def _assert_all_is_well_again(scene: Scene, field: Field) -> None:
    for disk in scene.disks:
        disk.free()
    field.close()
    scene.system.wait_ready(60)
    scene.system.wait_for_readers(60)
    assert scene.system.stop() == 0
    registry = scene.system.registry()
    with scene.system.store() as store:
        for device in NUMBERED:
            series = registry.series[registry.by_name[device.name].id, device.quantity]
            stored = sum(len(batch) for batch in store.scan([series], 0, 1 << 62))
            assert stored == field.published[device.name], device.name


def test_with_no_byte_left_a_crossing_is_an_alarm_and_somebody_is_told(scene: Scene) -> None:
    """Urgent readings go on from the reserve, the alarm and its outbox row are written; when there
    is room again everything returns by itself and nothing is lost."""
    field = Field(scene)
    field.all_say(20)
    _fill_under_load(scene, field)
    field.say(GAUGE, 2.5)
    wait_until(
        lambda: (4, "sent") in _crossings(scene),
        f"alarm and delivery on a full disk; log: {scene.system.log_tail()}",
        20,
    )
    _assert_all_is_well_again(scene, field)


def test_a_broker_whose_disk_is_full_has_everything_if_there_is_room_before_it_ends(
    tmp_path: Path,
) -> None:
    """It goes on acknowledging and saves nothing; what it took in meanwhile is in its memory alone
    until its disk has room again. Hence a file system of its own, and a warning."""
    if not may_mount(tmp_path):
        pytest.skip("mounting a small file system is not permitted here")
    disk = SmallDisk(tmp_path / "disk", 8)
    broker = Mosquitto(disk.path / "broker", persistence=True, extra="autosave_interval 1\n")
    try:
        broker.start()
        _hear(broker, lambda _: True)
        disk.fill(0)
        publisher = QuickPublisher(broker.port)
        assert set(publisher.publish_many([("x/y", b"%d" % k) for k in range(300)])) == {0}
        publisher.close()
        wait_until(lambda: "No space left on device" in broker.log(), "said in the broker's log")
        disk.free()
        broker.stop()
        broker.start()
        assert _hear(broker, lambda heard: len(heard) == 300) == [b"%d" % k for k in range(300)]
    finally:
        broker.stop()
        disk.unmount()


def _hear(broker: Mosquitto, is_enough: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Be a persistent subscriber until that is heard which is waited for; then be gone."""
    heard: list[bytes] = []
    subscribed = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id="ear", clean_session=False)
    client.on_message = lambda _client, _data, message: heard.append(message.payload)
    client.on_connect = lambda *_: client.subscribe("x/#", 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert subscribed.wait(10)
    wait_until(lambda: is_enough(heard), "what waited in the broker")
    client.disconnect()
    client.loop_stop()
    return heard


def test_processes_that_die_on_a_full_disk_return_on_it(scene: Scene) -> None:
    """Killed with no byte left, they start again there, and a crossing is an alarm."""
    field = Field(scene)
    field.all_say(20)
    _fill_under_load(scene, field)
    for name in PROCESSES:
        scene.signal(name, signal.SIGKILL)
    field.say(GAUGE, 2.5)
    wait_until(
        lambda: (4, "sent") in _crossings(scene),
        f"alarm and delivery on a full disk; log: {scene.system.log_tail()}",
        40,
    )
    _assert_all_is_well_again(scene, field)
