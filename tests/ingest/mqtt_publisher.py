"""A device's MQTT client for tests: QoS 1, knows when the broker has taken a message."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode


class Publisher:
    """Publishes and waits for the PUBACK; ``heard`` are the messages of `listen`."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._codes: dict[int, int] = {}
        self._taken = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.max_inflight_messages_set(1000)
        self._client.on_message = self._hear
        self._client.on_publish = self._note
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        """Publish one message."""
        self._client.publish(topic, body, qos=1, retain=retain).wait_for_publish(10)

    def publish_many(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """Publish all; the reason codes of their PUBACKs (0x10: nobody subscribes)."""
        ids = [self._client.publish(topic, body, qos=1).mid for topic, body in messages]
        with self._taken:
            came = self._taken.wait_for(lambda: self._codes.keys() >= set(ids), 20)
            assert came, "the broker acknowledges"
            return [self._codes.pop(number) for number in ids]

    def listen(self, topic: str) -> None:
        """Hear what is published there from now on."""
        self._client.subscribe(topic, qos=1)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))

    def _note(self, _client: Client, _data: Any, mid: int, code: ReasonCode, _more: Any) -> None:
        with self._taken:
            self._codes[mid] = code.value
            self._taken.notify()
