"""One message to a network server's broker, on a connection of its own, once and never again.

    connect ─▶ publish (QoS 1; 0 where the server knows no other) ─▶ answer ─▶ goodbye

Refuses to know what the message says. By MQTT 3.1.1 a broker cannot say that it refuses a message.
"""

from __future__ import annotations

import ssl
import threading
from typing import Any, Final
from uuid import uuid4

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt import BrokerAddress
from ingest.mqtt_frames import Version

ANSWER_S: Final = 10.0


class HandOverError(Exception):
    """The broker did not confirm; ``may_have_left``: it may have the message all the same."""

    def __init__(self, detail: str, *, may_have_left: bool) -> None:
        super().__init__(detail)
        self.may_have_left = may_have_left


def hand_over(
    broker: BrokerAddress, topic: str, payload: bytes, *, qos: int, answer_s: float = ANSWER_S
) -> None:
    """Publish and wait for the broker's word; with QoS 0 until it is written to the connection.

    Raises HandOverError. Takes at most three times ``answer_s``: call it in a thread.
    """
    exchange = _Exchange()
    client = _client(broker, exchange, answer_s)
    try:
        _connect(client, broker, exchange, answer_s)
        client.publish(topic, payload, qos)
        if not exchange.answered.wait(answer_s):
            raise HandOverError("the broker did not answer", may_have_left=True)
        if exchange.refusal:
            raise HandOverError(exchange.refusal, may_have_left=exchange.is_lost)
    finally:
        client.disconnect()
        client.loop_stop()


class _Exchange:
    """What the network thread has heard."""

    def __init__(self) -> None:
        self.connected, self.answered = threading.Event(), threading.Event()
        self.refusal = ""
        self.is_lost = False

    def on_connect(self, _c: Client, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        self.refusal = f"the broker refuses us: {reason}" if reason.is_failure else ""
        self.connected.set()

    def on_publish(self, _c: Client, _u: Any, _packet: int, reason: Any, _p: Any) -> None:
        self.refusal = f"the broker refuses the message: {reason}" if reason.is_failure else ""
        self.answered.set()

    def on_disconnect(self, _c: Client, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        if not self.answered.is_set():
            self.refusal, self.is_lost = f"the connection ended: {reason}", True
            self.connected.set()
            self.answered.set()


def _client(broker: BrokerAddress, exchange: _Exchange, answer_s: float) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"satomori-downlink-{uuid4().hex[:12]}",
        protocol=MQTTv5 if broker.version is Version.V5 else MQTTv311,
        reconnect_on_failure=False,  # it would publish again what was not answered
    )
    client.connect_timeout = answer_s
    client.on_connect = exchange.on_connect
    client.on_publish = exchange.on_publish
    client.on_disconnect = exchange.on_disconnect
    return client


def _connect(client: Client, broker: BrokerAddress, exchange: _Exchange, answer_s: float) -> None:
    try:
        if broker.username is not None:
            secret = broker.password() if callable(broker.password) else broker.password
            client.username_pw_set(broker.username, secret)
        if broker.tls_ca is not None:
            client.tls_set(ca_certs=str(broker.tls_ca), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.connect(broker.host, broker.port)
    except (OSError, ValueError) as error:
        raise HandOverError(str(error), may_have_left=False) from error
    client.loop_start()
    if not exchange.connected.wait(answer_s):
        raise HandOverError("the broker does not answer", may_have_left=False)
    if exchange.refusal:
        raise HandOverError(exchange.refusal, may_have_left=False)
