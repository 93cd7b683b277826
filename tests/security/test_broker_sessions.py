"""Whoever may log in to the broker as a device cannot take intake's or another device's session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devices.frames import Lane
from devices.registry import Registry
from ingest.intake import BrokerAddress, Intake
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.settings import Settings
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.satomori_system import wait_until


class Visitor:
    """A client with any client id; ``was_ended`` when the broker ended its connection."""

    def __init__(self, port: int, client_id: str, username: str = "") -> None:
        self.is_in = self.was_ended = False
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        self._client.username_pw_set(username)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.connect("127.0.0.1", port, clean_start=True)
        self._client.loop_start()

    def _connected(self, *_: object) -> None:
        self.is_in = True

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: object,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.was_ended |= code.is_failure

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    settings = Settings.model_validate({"paths": {"var": tmp_path / "var"}})
    installation = Installation(settings)
    installation.prepare(now_ms())
    return installation


def test_the_end_of_intakes_client_ids_is_secret_and_stays(place: Installation) -> None:
    """Another one at each start would leave sessions behind, and what waits in them."""
    secret = place.client_secret()
    place.prepare(now_ms())
    assert place.client_secret() == secret
    assert len(secret) >= 32
    assert place.client_secret_file.stat().st_mode & 0o077 == 0


async def test_a_device_that_knows_the_connections_name_does_not_end_it(
    place: Installation, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """The name is shown to people; the client id at the broker is not."""
    broker = start_mosquitto()
    registry = Registry(place.open_database())
    journals = {lane: JournalWriter(place.journal / lane, lane) for lane in Lane}
    intake = Intake(
        broker=BrokerAddress("127.0.0.1", broker.port),
        registry=registry,
        journals=journals,
        followers={lane: JournalFollower(place.journal / lane, lane, "intake") for lane in Lane},
        now=now_ms,
        status_path=place.run / "intake.json",
        client_secret=place.client_secret(),
    )
    task = asyncio.create_task(intake.run())
    try:
        secret = place.client_secret()
        await asyncio.to_thread(
            wait_until,
            lambda: broker.log().count(f"-0-{secret}") >= len(Lane),
            f"both lanes are in with secret client ids: {broker.log()}",
        )
        names = [f"satomori-intake-{lane}-0" for lane in Lane]
        thieves = [Visitor(broker.port, name) for name in names]
        await asyncio.to_thread(wait_until, lambda: all(t.is_in for t in thieves), "thieves are in")
        for thief in thieves:
            thief.leave()
        assert "already connected" not in broker.log()
        status = (place.run / "intake.json").read_text()
        assert all(f'"{name}"' in status for name in names)
        assert secret not in status
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for journal in journals.values():
            journal.close()
        registry.database.dispose()


@pytest.fixture
def field_port(start_mosquitto: Callable[..., Mosquitto]) -> Iterator[int]:
    port = free_port()
    start_mosquitto(extra=f"listener {port} 127.0.0.1\nuse_username_as_clientid true\n")
    yield port


def test_a_device_cannot_end_another_devices_connection_on_the_field_listener(
    field_port: int,
) -> None:
    """What `mosquitto.conf` proposes for the TLS listener holds in the broker itself."""
    gauge = Visitor(field_port, "gauge-1", username="gauge-1")
    wait_until(lambda: gauge.is_in, "gauge is in")
    meter = Visitor(field_port, "gauge-1", username="meter-1")
    wait_until(lambda: meter.is_in, "meter is in")
    again = Visitor(field_port, "anything", username="meter-1")
    wait_until(lambda: meter.was_ended, "its own connection is ended by itself")
    assert not gauge.was_ended
    for visitor in (gauge, meter, again):
        visitor.leave()
