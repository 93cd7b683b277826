"""The publisher against a real mosquitto: nothing counts as published that was not acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware_sim import city
from firmware_sim.encode import Publication
from firmware_sim.fleet import Fleet
from firmware_sim.player import live_async, play, play_async
from firmware_sim.publisher import (
    NO_SUBSCRIBERS,
    Broker,
    BrokerUnavailableError,
    Publisher,
    Receipt,
    UnacknowledgedError,
)
from tests.servers.mosquitto import Mosquitto, free_port

TOPIC = "field/v1/river-gauge/river-01/up"


class Listener:
    """Subscribes to everything and keeps what comes."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._change = threading.Condition()
        self._is_subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("field/#", qos=1)
        assert self._is_subscribed.wait(10)

    def wait_for(self, count: int) -> None:
        with self._change:
            assert self._change.wait_for(lambda: len(self.heard) >= count, 30), len(self.heard)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        with self._change:
            self.heard.append((message.topic, bytes(message.payload)))
            self._change.notify_all()


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    heard = Listener(mosquitto.port)
    yield heard
    heard.close()


def _numbered(count: int) -> list[Publication]:
    return [Publication(k, TOPIC, b"%d" % k) for k in range(count)]


def test_all_messages_arrive_once_in_order_and_are_acknowledged(
    mosquitto: Mosquitto, listener: Listener
) -> None:
    """Two thousand through a window of fifty."""
    receipts: list[Receipt] = []
    publisher = Publisher(
        Broker(port=mosquitto.port), client_id="p", window=50, on_receipt=receipts.append
    )
    with publisher:
        assert play(_numbered(2_000), publisher, threading.Event()) == 2_000
        publisher.drain(30)
    listener.wait_for(2_000)
    assert listener.heard == [(p.topic, p.payload) for p in _numbered(2_000)]
    assert publisher.published == publisher.acknowledged == 2_000
    assert (publisher.refused, publisher.unheard) == (0, 0)
    assert [r.number for r in receipts] == list(range(2_000))
    assert all(r.is_acknowledged for r in receipts)


def test_a_message_that_nobody_hears_is_acknowledged_and_counted(mosquitto: Mosquitto) -> None:
    """MQTT 5 says so: reason 0x10."""
    receipts: list[Receipt] = []
    with Publisher(
        Broker(port=mosquitto.port), client_id="p", on_receipt=receipts.append
    ) as publisher:
        publisher.publish(TOPIC, b"{}")
        publisher.drain(10)
    assert receipts == [Receipt(0, NO_SUBSCRIBERS)]
    assert publisher.unheard == publisher.acknowledged == 1


def test_a_message_that_the_broker_refuses_is_not_acknowledged(
    start_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """Not authorised: counted as refused."""
    acl = tmp_path / "acl"
    acl.write_text("topic write field/v1/trap/#\n")
    broker = start_mosquitto(extra=f"acl_file {acl}\n")
    with Publisher(Broker(port=broker.port), client_id="p") as publisher:
        publisher.publish(TOPIC, b"{}")
        publisher.publish("field/v1/trap/trap-01/up", b"{}")
        publisher.drain(10)
    assert (publisher.acknowledged, publisher.refused) == (1, 1)


def test_a_broker_that_restarts_loses_nothing_on_the_way(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    """What was not acknowledged is sent again after the reconnection."""
    broker = start_mosquitto(persistence=True)
    window = 350  # all of them: while the broker is away nothing may block here
    publisher = Publisher(Broker(port=broker.port), client_id="p", window=window)
    with publisher:
        for publication in _numbered(300):
            publisher.publish(publication.topic, publication.payload)
        broker.stop()
        for publication in _numbered(50):
            publisher.publish(publication.topic, publication.payload)
        with pytest.raises(UnacknowledgedError) as caught:
            publisher.drain(0.2)
        assert caught.value.unanswered >= 50
        broker.start()
        publisher.drain(30)
    assert publisher.acknowledged == publisher.published == 350


def test_a_full_window_holds_the_publisher_back(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    """While the broker is away no more than the window is taken."""
    broker = start_mosquitto()
    with Publisher(Broker(port=broker.port), client_id="p", window=10) as publisher:
        broker.stop()
        with pytest.raises(UnacknowledgedError):
            for publication in _numbered(30):
                publisher.publish(publication.topic, publication.payload, timeout_s=0.3)
        assert publisher.published <= 11


def test_no_broker_and_a_wrong_password_are_told_apart(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    """Trying again helps in the first case alone."""
    with pytest.raises(BrokerUnavailableError) as caught:
        Publisher(Broker(port=free_port()), client_id="p").connect(2)
    assert caught.value.can_retry
    broker = start_mosquitto(allow_anonymous=False)
    with pytest.raises(BrokerUnavailableError, match="Not authorized") as caught:
        Publisher(Broker(port=broker.port, username="x", password="y"), client_id="p").connect(5)
    assert not caught.value.can_retry


def test_the_rate_is_kept(mosquitto: Mosquitto) -> None:
    """Fifty messages at 250 a second take at least 0.1 s (the first 25 may be caught up)."""
    with Publisher(Broker(port=mosquitto.port), client_id="p", rate_per_s=250) as publisher:
        began_s = time.monotonic()
        play(_numbered(50), publisher, threading.Event())
        assert time.monotonic() - began_s >= 0.09


class Collector:
    """A sink that keeps what it is given and when."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, bytes]] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.taken.append((time.monotonic(), payload))


def test_real_time_keeps_the_gaps_between_publications() -> None:
    """0, 100 and 300 ms apart at speed 2: 0, 50 and 150 ms."""
    sink = Collector()
    publications = [Publication(at, TOPIC, b"") for at in (1_000, 1_100, 1_300)]
    assert play(publications, sink, threading.Event(), speed=2.0) == 3
    first = sink.taken[0][0]
    assert sink.taken[1][0] - first >= 0.049
    assert sink.taken[2][0] - first >= 0.149


async def test_cancelling_stops_a_player_before_its_next_message() -> None:
    """No message is torn; the thread has ended when the cancellation is through."""
    sink = Collector()
    endless = (Publication(k * 20, TOPIC, b"") for k in range(1_000_000))
    task = asyncio.create_task(play_async(endless, sink, speed=1.0))
    while len(sink.taken) < 3:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    count = len(sink.taken)
    await asyncio.sleep(0.05)
    assert len(sink.taken) == count


async def test_a_live_city_reaches_the_broker(mosquitto: Mosquitto, listener: Listener) -> None:
    """All devices are heard of within seconds, at the time that it is."""
    begun_at = round(time.time() * 1000)
    fleet = Fleet(city.devices(), seed=1, start_at=begun_at, flawless=True)
    with Publisher(Broker(port=mosquitto.port), client_id="city") as publisher:
        task = asyncio.create_task(
            live_async(fleet, publisher, now=lambda: round(time.time() * 1000))
        )
        await asyncio.to_thread(listener.wait_for, 600)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        publisher.drain(10)
    assert publisher.acknowledged == publisher.published
    assert time.time() * 1000 - begun_at < 20_000
