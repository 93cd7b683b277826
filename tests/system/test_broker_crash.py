"""A crash of the broker: how much it loses as shipped, and how devices that keep lose nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from devices.frames import Lane, SequenceGapFrame
from firmware_sim import encode
from firmware_sim.keeper import Keeper
from firmware_sim.publisher import Broker, Publisher, Receipt
from ingest import device_ack, mqtt
from satomori.broker import child_config, shipped_config
from satomori.broker_saves import OFTEN_S, save_often
from tests.ingest.field import Town, now_ms, of, until
from tests.servers.mosquitto import Mosquitto
from tests.servers.satomori_system import wait_until
from tests.system.test_broker_faults import journaled, taking_in

NOT_HERE = ("password_file", "acl_file", "allow_anonymous")


class ShippedBroker(Mosquitto):
    """mosquitto with the very persistence that comes with Satomori; lets everybody in."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        text = child_config(shipped_config(), port=self.port, directory=directory)
        kept = [line for line in text.splitlines() if not line.startswith(NOT_HERE)]
        self._config.write_text("\n".join([*kept, "allow_anonymous true", ""]))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ShippedBroker]:
    made = ShippedBroker(tmp_path / "mosquitto")
    made.start()
    yield made
    made.stop()


class Station:
    """A station of the field: measures, keeps, sends, and hears what it may forget.

    ``devices`` are those that a gateway carries; none for a device that speaks for itself.
    """

    def __init__(self, port: int, kind: str, name: str, quantity: str, *devices: str) -> None:
        self.keeper = Keeper(boot=7, patience_ms=1500)
        self.sent: set[float] = set()
        self._quantity, self._devices = quantity, devices or ("",)
        self._topic = (
            encode.gateway_topic(name, "urgent") if devices else encode.up_topic(kind, name)
        )
        self._number = 0
        self._last_at = 0
        self._mutex = threading.Lock()
        self._publisher = Publisher(
            Broker("127.0.0.1", port),
            client_id=name,
            window=5000,
            hears=[f"field/v1/{kind}/{name}/ack"],
            on_message=self._hear,
        )
        self._publisher.connect()

    def measure(self, values: list[float]) -> None:
        """One reading of each device a value, kept before it is sent."""
        with self._mutex:
            for value in values:
                self._number += 1
                self._last_at = max(now_ms(), self._last_at + 1)
                for k, device in enumerate(self._devices):
                    self.sent.add(value + k / 4)
                    element = encode.element(
                        [(self._quantity, encode.number(value + k / 4))],
                        measured_at=self._last_at,
                        sequence=self._number,
                        boot=7,
                        device=device or None,
                    )
                    self.keeper.keep(self._number, element, device)
        self.send()

    def send(self) -> None:
        """Whatever is due leaves."""
        with self._mutex:
            while elements := self.keeper.due(now_ms()):
                self._publisher.publish(self._topic, encode.message(elements))

    def is_sure(self) -> bool:
        """Whether it has been told that all it ever measured is kept."""
        self.send()
        return len(self.keeper) == 0

    def close(self) -> None:
        self._publisher.close()

    def _hear(self, _topic: str, payload: bytes) -> None:
        with self._mutex:
            self.keeper.hear(payload)


async def test_devices_and_gateways_that_keep_until_the_ack_lose_nothing_when_the_broker_crashes(
    broker: ShippedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while intake takes in, and while it is away: then everything since the last save goes.

    The broker had acknowledged it all. Numbers that are missing are asked for and come again.
    """
    monkeypatch.setattr(device_ack, "EVERY_MS", 300)
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE_S", 0.3)
    town = Town(tmp_path, broker.port)
    stations = [
        Station(broker.port, "river-gauge", "gauge-0", "water.level"),
        Station(broker.port, "water-meter", "meter-0", "water.total"),
        Station(broker.port, "gateway", "gate-way", "trap.triggered", "gate-way", "trap-1"),
    ]
    value = 0
    try:
        for is_away in (False, True, False, True):
            async with taking_in(town):
                for _ in range(10):
                    for station in stations:
                        await asyncio.to_thread(station.measure, [float(value), value + 0.5])
                        value += 1
                if not is_away:
                    await asyncio.to_thread(broker.kill)
                    broker.start()
            if is_away:
                for station in stations:
                    await asyncio.to_thread(station.measure, [float(value + k) for k in range(200)])
                    value += 200
                    await asyncio.to_thread(station._publisher.drain, 20)
                await asyncio.to_thread(broker.kill)
                broker.start()
        async with taking_in(town):
            marker = Station(broker.port, "river-gauge", "gauge-1", "water.level")
            stations.append(marker)
            await asyncio.to_thread(marker.measure, [0.125])
            await until(lambda: 0.125 in journaled(town), "what the broker still had")
            everything = {value for station in stations for value in station.sent}
            assert len(everything - set(journaled(town))) >= 400, "much was lost"
            for station in stations:
                await until(station.is_sure, f"{len(station.sent)} readings are sure", 60)
                assert station.keeper.given_up == station.keeper.forgotten == 0
            assert set(journaled(town)) == everything
        gaps = [f for lane in Lane for f in of(town.frames(lane), SequenceGapFrame)]
        missing: set[tuple[int, int]] = set()
        for gap in gaps:
            numbers = {(gap.device, n) for n in range(gap.first, gap.last + 1)}
            missing = missing - numbers if gap.is_filled else missing | numbers
        assert not missing, "what came again is shown as lost no more"
    finally:
        for station in stations:
            station.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_listening", [True, False], ids=["intake-there", "intake-away"])
def test_a_crash_loses_what_came_since_the_last_save_and_no_more(
    is_listening: bool, broker: ShippedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve kill -9 at random moments under load; prints how much was gone, of what was PUBACKed.

    The broker is asked for a save each 5 s, as the supervisor does with a child; intake is either
    there, or away, and then everything waits in the broker.
    """
    chance = random.Random(5)
    lost: list[int] = []
    seconds: list[float] = []
    sink = Sink(broker.port)
    for number in range(12):
        if not is_listening:
            sink.leave()
        load = CountedLoad(broker.port, f"load-{number}", rate_per_s=1000)
        with saving(broker):
            killed_at = load.run_for(chance.uniform(6.0, 16.0), broker.kill)
        broker.start()
        sink.come()
        end = f"end-{number}"
        with Publisher(Broker("127.0.0.1", broker.port), client_id="end") as last:
            last.publish("field/v1/river-gauge/x/up", end.encode())
            last.drain(20)
        wait_until(lambda: end in sink.heard, "the rest", 60)  # noqa: B023 - called at once
        gone = {name: at for name, at in load.acknowledged.items() if name not in sink.heard}
        lost.append(len(gone))
        seconds.append(killed_at - min(gone.values()) if gone else 0.0)
    sink.leave()
    figures = {
        "reader": "there" if is_listening else "away",
        "kills": len(lost),
        "lost_messages": sorted(lost),
        "lost_messages_median": statistics.median(lost),
        "lost_s_median": round(statistics.median(seconds), 2),
        "lost_s_max": round(max(seconds), 2),
    }
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(figures)}\n")
    assert max(seconds) < 3 * OFTEN_S
    assert sum(lost) > 0 or is_listening


@contextmanager
def saving(broker: ShippedBroker) -> Iterator[None]:
    """What the supervisor does with its own broker, while the block runs."""
    pid = broker.pid

    def save() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)

    loop = asyncio.new_event_loop()
    task = loop.create_task(save_often(broker.directory / "mosquitto.db", lambda: pid, save))
    thread = threading.Thread(target=loop.run_until_complete, args=(asyncio.wait([task]),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


class CountedLoad:
    """Publishes numbered messages; ``acknowledged`` when the broker took each upon itself."""

    def __init__(self, port: int, name: str, *, rate_per_s: float) -> None:
        self._name, self.acknowledged = name, dict[str, float]()
        self._publisher = Publisher(
            Broker("127.0.0.1", port), client_id=name, rate_per_s=rate_per_s, on_receipt=self._note
        )
        self._publisher.connect()

    def run_for(self, seconds: float, kill: Callable[[], None]) -> float:
        """Publish so long, then kill the broker in the midst of it; when that was."""
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            body = f"{self._name}/{number}".ljust(110)
            self._publisher.publish("field/v1/river-gauge/x/up", body.encode())
            number += 1
        kill()
        killed_at = time.monotonic()
        self._publisher.close()
        return killed_at

    def _note(self, receipt: Receipt) -> None:
        if receipt.is_acknowledged:
            self.acknowledged[f"{self._name}/{receipt.number}"] = time.monotonic()


class Sink:
    """A reader with a session, as intake is one; ``heard`` is all that ever came."""

    def __init__(self, port: int) -> None:
        self._port, self.heard = port, set[str]()
        self._client: Client | None = None
        self.come()

    def come(self) -> None:
        """Connect and take up the session."""
        self.leave()
        client = Client(CallbackAPIVersion.VERSION2, client_id="sink", clean_session=False)
        client.on_message = self._hear
        is_in = threading.Event()
        client.on_subscribe = lambda *_: is_in.set()
        client.on_connect = lambda *_: client.subscribe("field/v1/river-gauge/+/up", qos=1)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        assert is_in.wait(20)
        self._client = client

    def leave(self) -> None:
        """Go; the session stays."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
        self._client = None

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.add(message.payload.decode().strip())
