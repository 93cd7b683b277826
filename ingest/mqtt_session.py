"""One TCP (or TLS) connection to a broker, from CONNECT to its end, as an asyncio Protocol.

Refuses to know what messages mean, when they are durable, and what to do after the connection's
end (``ingest.mqtt``). Half-open connections end: PINGREQ twice in a keep-alive, and a broker that
has said nothing for a whole one is taken for dead; while reading is paused, one whose host has not
acknowledged the pings for so long.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from ingest import mqtt_frames
from ingest.mqtt_frames import (
    Connack,
    Control,
    Disconnect,
    FrameParser,
    Pingresp,
    ProtocolError,
    Publishes,
    Suback,
    Version,
)

REFUSED_FROM: Final = 0x80
"""Reason codes from here on are failures."""


class RefusedError(Exception):
    """The broker lives and does not want us: wrong password, no right, other protocol version.

    Trying again at once is of no use; somebody must change something.
    """

    def __init__(self, what: str, reason_code: int, reason: str = "") -> None:
        super().__init__(f"{what}: {mqtt_frames.reason_text(reason_code, reason)}")
        self.reason_code = reason_code


class ConnectionEndedError(Exception):
    """The connection is gone; a new one may be had."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a session says first: who it is, how it wants to be served, what it wants to read.

    ``filters`` are (topic filter, subscription options); ``retired`` are filters that an earlier
    configuration of the same client may have subscribed.
    """

    client_id: str
    filters: Sequence[tuple[str, int]]
    retired: Sequence[str] = ()
    version: Version = Version.V5
    keep_alive_s: int = 20
    session_expiry_s: int = 604_800
    receive_maximum: int = 20_000
    username: str | None = None
    password: str | None = None


class Listener(Protocol):
    """What a session tells its owner. Calls come from the event loop and must return at once."""

    def greeted(self, *, is_session_present: bool) -> None:
        """The broker took us; messages may follow."""

    def gathered(self, session: Session, added: int, size: int) -> None:
        """``added`` messages (0 or more) in ``size`` bytes were put into ``session.publishes``."""


class Session(asyncio.Protocol):
    """Greets, gathers messages into ``publishes``, pings; ``ready`` when subscribed.

    ``closed`` ends with the reason as an exception. After any error nothing more is gathered.
    """

    def __init__(self, greeting: Greeting, listener: Listener) -> None:
        self.publishes = Publishes()
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._loop, self._greeting, self._listener = loop, greeting, listener
        self._parser = FrameParser(greeting.version)
        self._transport: asyncio.Transport | None = None
        self._is_greeted = False
        self._keep_alive_s = float(greeting.keep_alive_s)
        self._heard_at = loop.time()
        self._alarm: asyncio.TimerHandle | None = None
        self._holds: set[str] = set()
        self._reason: Exception | None = None

    # -- what the owner may ask for

    @property
    def is_open(self) -> bool:
        """Whether something written now may reach the broker."""
        return self._transport is not None and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send bytes, if the connection still stands."""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def hold(self, why: str) -> None:
        """Stop reading for a reason; the broker keeps what it has."""
        self._holds.add(why)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self, why: str) -> None:
        """Withdraw a reason; read on if none is left."""
        self._holds.discard(why)
        self._heard_at = self._loop.time()
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Say goodbye, keep the session at the broker, close when all is written."""
        self.write(mqtt_frames.disconnect())
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: Exception) -> None:
        """End the connection at once, for this reason."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self._end_if_unanswered(transport.get_extra_info("socket"))
        greeting = self._greeting
        self.write(
            mqtt_frames.connect(
                greeting.client_id,
                version=greeting.version,
                keep_alive_s=greeting.keep_alive_s,
                session_expiry_s=greeting.session_expiry_s,
                receive_maximum=greeting.receive_maximum,
                username=greeting.username,
                password=greeting.password,
            )
        )
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Parse a chunk; everything complete in it is gathered in one step."""
        self._heard_at = self._loop.time()
        if self._reason is not None:
            return
        before = len(self.publishes)
        try:
            for control in self._parser.feed(data, self.publishes):
                self._heed(control)
        except (ProtocolError, RefusedError, ConnectionEndedError) as error:
            self.abort(error)
        self._listener.gathered(self, len(self.publishes) - before, len(data))

    def eof_received(self) -> bool:
        """The broker closes: so do we."""
        return False

    def pause_writing(self) -> None:
        """The broker does not read its acknowledgements: take nothing more from it.

        For a whole keep-alive: then it is taken for dead like one that says nothing.
        """
        self._heard_at = self._loop.time()
        self.hold("writing")

    def resume_writing(self) -> None:
        """It reads again."""
        self.release("writing")

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end and its reason."""
        if self._alarm is not None:
            self._alarm.cancel()
        reason = self._reason or exc or ConnectionEndedError("closed by the broker")
        for future in (self.greeted, self.ready, self.closed):
            if not future.done():
                future.set_exception(reason)
                future.exception()  # whoever awaits it still gets it; nobody has to

    # -- inside

    def _end_if_unanswered(self, connected: socket.socket | None) -> None:
        """While reading is paused no answer is read: then the kernel finds out that the peer is
        gone, by what it has not acknowledged of our pings, and the next ping fails."""
        if connected is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            timeout_ms = round(self._keep_alive_s * 1000)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)

    def _heed(self, control: Control) -> None:
        match control:
            case Connack():
                self._be_greeted(control)
            case Suback():
                self._be_subscribed(control)
            case Disconnect(reason_code=code, reason=reason):
                text = mqtt_frames.reason_text(code, reason)
                raise ConnectionEndedError(f"the broker ended the connection: {text}")
            case Pingresp() | mqtt_frames.Unsuback():
                pass

    def _be_greeted(self, connack: Connack) -> None:
        if self._is_greeted:
            raise ProtocolError("a second CONNACK")
        if connack.reason_code:
            raise RefusedError("the broker refuses us", connack.reason_code, connack.reason)
        self._is_greeted = True
        if connack.server_keep_alive_s:
            self._keep_alive_s = min(self._keep_alive_s, connack.server_keep_alive_s)
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._listener.greeted(is_session_present=connack.is_session_present)
        greeting = self._greeting
        if greeting.retired:
            self.write(mqtt_frames.unsubscribe(2, greeting.retired, greeting.version))
        self.write(mqtt_frames.subscribe(1, greeting.filters, greeting.version))

    def _be_subscribed(self, suback: Suback) -> None:
        codes = zip(self._greeting.filters, suback.reason_codes, strict=False)
        for (topic_filter, _), code in codes:
            if code >= REFUSED_FROM:
                raise RefusedError(f"the broker refuses to let us read {topic_filter}", code)
        if not self.ready.done():
            self.ready.set_result(None)

    def _watch(self) -> None:
        """Ping twice in a keep-alive; give up after a whole one of silence."""
        silent_s = self._loop.time() - self._heard_at
        if silent_s >= self._keep_alive_s and self._holds <= {"writing"}:
            self.abort(
                ConnectionEndedError(f"no sign of life from the broker for {silent_s:.0f} s")
            )
            return
        if self._is_greeted:
            self.write(mqtt_frames.pingreq())
        self._alarm = self._loop.call_later(self._keep_alive_s / 2, self._watch)
