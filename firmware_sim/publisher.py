"""Publishing over MQTT 5 at QoS 1 with a bounded window, and the record of what was acknowledged.

paho-mqtt does the network in a thread of its own, reconnects, and sends again what was not
acknowledged. Calls here come from one other thread. Refuses to know what is published, and when.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import structlog
from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

log = structlog.get_logger()

NO_SUBSCRIBERS: Final = 0x10
"""Reason code: the broker took it, and nobody was there to hear it."""
_FAILURE: Final = 0x80
_SESSION_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to publish. ``tls_ca``: a file of authorities to trust, which switches TLS on.

    ``mqtt`` is the version to speak. By 3.1.1 a broker cannot say that it refuses a message.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls_ca: Path | None = None
    mqtt: Literal["5", "3.1.1"] = "5"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The broker's word on one publication: the ``number`` that `publish` returned, and why.

    ``reason``, the MQTT 5 code: 0 taken, 0x10 taken but nobody subscribes, 0x80 and up refused.
    """

    number: int
    reason: int

    @property
    def is_acknowledged(self) -> bool:
        """Whether the broker has taken the message upon itself."""
        return self.reason < _FAILURE


class BrokerUnavailableError(Exception):
    """The broker cannot be reached or refuses us; trying again helps if ``can_retry``."""

    def __init__(self, detail: str, *, can_retry: bool) -> None:
        super().__init__(detail)
        self.can_retry = can_retry


class UnacknowledgedError(Exception):
    """The broker did not answer in time; ``unanswered`` messages are still on their way."""

    def __init__(self, unanswered: int) -> None:
        super().__init__(f"{unanswered} messages without acknowledgement")
        self.unanswered = unanswered


class Publisher:
    """One MQTT connection. ``window``: most messages that wait for an acknowledgement.

    ``rate_per_s`` > 0 holds publications back to at most that rate. ``on_receipt`` is called in
    the network thread for each answer of the broker; it must be quick and must not raise.
    ``on_message(topic, payload)`` is called in the same way for what comes on topics of ``hears``.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        window: int = 500,
        rate_per_s: float = 0.0,
        on_receipt: Callable[[Receipt], None] | None = None,
        hears: Sequence[str] = (),
        on_message: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._broker = broker
        self._window = window
        self._interval_s = 1.0 / rate_per_s if rate_per_s > 0 else 0.0
        self._next_s = 0.0
        self._on_receipt = on_receipt
        self._hears, self._on_heard = tuple(hears), on_message
        self._state = threading.Condition()
        self._numbers: dict[int, int] = {}  # packet id -> number, of what is not acknowledged
        self._early: dict[int, int] = {}  # packet id -> reason, answered before publish() returned
        self._published = 0
        self._acknowledged = 0
        self._unheard = 0
        self._refused = 0
        self._is_connected = False
        self._refusal = ""
        self._client = self._make_client(client_id)

    @property
    def published(self) -> int:
        """Messages handed over so far."""
        return self._published

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has taken upon itself, those that nobody heard included."""
        return self._acknowledged

    @property
    def unheard(self) -> int:
        """Of the acknowledged ones, those to which nobody had subscribed."""
        return self._unheard

    @property
    def refused(self) -> int:
        """Messages that the broker refused (not authorised, quota…)."""
        return self._refused

    def connect(self, timeout_s: float = 10.0) -> None:
        """Connect and wait for the broker's consent; BrokerUnavailableError without it."""
        try:
            self._client.connect(self._broker.host, self._broker.port, **self._session())
        except OSError as error:
            raise BrokerUnavailableError(str(error), can_retry=True) from error
        self._client.loop_start()
        with self._state:
            self._state.wait_for(lambda: self._is_connected or self._refusal, timeout_s)
            is_connected, refusal = self._is_connected, self._refusal
        if not is_connected:
            self._client.loop_stop()
            raise BrokerUnavailableError(refusal or "no answer in time", can_retry=not refusal)

    def publish(self, topic: str, payload: bytes, *, timeout_s: float = 60.0) -> int:
        """Publish at QoS 1; returns the publication's number, counted from 0.

        Blocks while the window is full, at most ``timeout_s``, then UnacknowledgedError. While the
        broker is away messages wait here and go out when it is back.
        """
        self._keep_rate()
        with self._state:
            if not self._state.wait_for(lambda: len(self._numbers) < self._window, timeout_s):
                raise UnacknowledgedError(len(self._numbers))
        info = self._client.publish(topic, payload, qos=1)
        if info.rc not in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            raise BrokerUnavailableError(f"publish: error {info.rc}", can_retry=True)
        with self._state:
            number = self._published
            self._published += 1
            self._numbers[info.mid] = number
            early = self._early.pop(info.mid, None)
        if early is not None:
            self._settle(info.mid, early)
        return number

    def drain(self, timeout_s: float = 60.0) -> None:
        """Wait until everything is answered; UnacknowledgedError if that takes longer."""
        with self._state:
            if not self._state.wait_for(lambda: not self._numbers, timeout_s):
                raise UnacknowledgedError(len(self._numbers))

    def close(self) -> None:
        """Say goodbye and end the network thread; what is unanswered stays unanswered."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _make_client(self, client_id: str) -> Client:
        client = (
            Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
            if self._broker.mqtt == "5"
            else Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False)
        )
        client.max_inflight_messages_set(self._window)
        client.max_queued_messages_set(0)
        client.reconnect_delay_set(1, 8)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls_ca is not None:
            client.tls_set(ca_certs=str(self._broker.tls_ca), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _session(self) -> dict[str, Any]:
        """A session that outlives the connection, so that a broken one is taken up again."""
        if self._broker.mqtt != "5":
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
        properties.SessionExpiryInterval = _SESSION_S
        return {"clean_start": MQTT_CLEAN_START_FIRST_ONLY, "properties": properties}

    def _keep_rate(self) -> None:
        if not self._interval_s:
            return
        now_s = time.monotonic()
        self._next_s = max(self._next_s, now_s - 0.1)  # at most 0.1 s is caught up
        if self._next_s > now_s:
            time.sleep(self._next_s - now_s)
        self._next_s += self._interval_s

    def _settle(self, packet_id: int, reason: int) -> None:
        """Note the broker's answer, whichever of `publish` and the network thread knows last."""
        with self._state:
            number = self._numbers.pop(packet_id, None)
            if number is None:
                self._early[packet_id] = reason
                return
            receipt = Receipt(number, reason)
            self._acknowledged += receipt.is_acknowledged
            self._unheard += reason == NO_SUBSCRIBERS
            self._refused += not receipt.is_acknowledged
            self._state.notify_all()
        if self._on_receipt:
            self._on_receipt(receipt)

    # -- called by paho in its thread --------------------------------------------------------------

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if self._on_heard:
            self._on_heard(message.topic, bytes(message.payload))

    def _on_connect(
        self,
        client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._hears and not reason.is_failure:  # a broker that crashed knows of no session
            client.subscribe([(topic, 0) for topic in self._hears])
        with self._state:
            self._is_connected = not reason.is_failure
            self._refusal = str(reason) if reason.is_failure else ""
            self._state.notify_all()

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._state:
            was_connected, self._is_connected = self._is_connected, False
        if was_connected and reason.is_failure:
            log.warning("publisher.broker.lost", reason=str(reason))

    def _on_publish(
        self,
        _client: Client,
        _userdata: Any,
        packet_id: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._settle(packet_id, reason.value)
