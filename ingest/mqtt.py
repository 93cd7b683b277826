"""The bulk consumer: keeps one client connected, hands over what gathers, acknowledges afterwards.

Refuses to know what messages mean and when they are durable: whoever takes them acknowledges them.
A message that was taken and not acknowledged comes again on the next connection (MQTT session with
clean start off). Bounded: above ``MAX_PENDING`` messages or ``MAX_PENDING_BYTES`` that are not yet
acknowledged it stops reading, and the broker keeps them.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from devices.readings import Int64s
from ingest import mqtt_frames
from ingest.mqtt_frames import ProtocolError, Publishes, Version
from ingest.mqtt_session import ConnectionEndedError, Greeting, RefusedError, Session
from ingest.mqtt_tls import not_trusted, tls_context

log = structlog.get_logger()

MAX_PENDING: Final = 20_000
MAX_PENDING_BYTES: Final = 64 << 20
CONNECT_TIMEOUT_S: Final = 10.0
SUBSCRIBED_TIMEOUT_S: Final = 300.0
"""A broker that goes on with a session sends what waits there before it answers anything else; that
it lives at all is watched meanwhile as ever (keep-alive)."""
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 15.0
REFUSED_PAUSE_S: Final = 30.0

_NO_ID: Final = b"\0\0"
_OTHER_VERSION: Final = frozenset({0x01, 0x84})
_TAKEN_OVER: Final = "(0x8e)"
SHORT_LIFE_MS: Final = 5_000
SHORT_LIVES: Final = 3
"""So many connections in a row that end so soon are taken over: few brokers say so."""


class NoAnswerError(ConnectionEndedError):
    """The broker took the connection and then said nothing."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and who we are there; ``tls_ca`` switches TLS on.

    A ``password`` that is called is asked anew for each connection; it may raise OSError.
    ``version`` is tried first, in place of the greeting's; where it is refused, the other one.
    """

    host: str
    port: int
    username: str | None = None
    password: str | Callable[[], str] | None = field(default=None, repr=False)
    tls_ca: Path | None = None
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Messages of one connection, in order; ``spans`` says how many came at which moment."""

    connection: str
    session: Session
    publishes: Publishes
    spans: list[tuple[int, int]]
    size: int

    def received_at(self) -> Int64s:
        """When each message came, ms UTC."""
        counts, moments = zip(*self.spans, strict=True)
        return np.repeat(np.array(moments, np.int64), counts)


@dataclass(frozen=True, slots=True)
class Link:
    """The state of a consumer's connection, for people.

    ``taken_over``: how often somebody else connected with our client id.
    """

    name: str
    is_up: bool
    since_at: int
    sessions_lost: int = 0
    taken_over: int = 0
    connects: int = 0
    error: str = ""


class Consumer:
    """One MQTT client that reads ``greeting.filters`` for as long as `run` runs.

    ``on_messages()`` is called when something was gathered; ``on_link(link)`` at each gain or loss
    of the broker; ``on_session_lost(name)`` when the broker no longer knows a session that we had.
    """

    def __init__(
        self,
        greeting: Greeting,
        broker: BrokerAddress,
        *,
        now: Callable[[], int],
        on_messages: Callable[[], None],
        on_link: Callable[[Link], None],
        on_session_lost: Callable[[str], None],
        had_session: bool = False,
        jitter: Callable[[], float] = random.random,
        name: str | None = None,
    ) -> None:
        """``name`` is what people and receipts call the connection; its client id if left out."""
        self._greeting = replace(
            greeting,
            username=broker.username,
            version=broker.version or greeting.version,
        )
        self._broker, self._now, self._jitter = broker, now, jitter
        self._on_messages, self._on_link = on_messages, on_link
        self._on_session_lost = on_session_lost
        self._had_session = had_session
        self._is_version_proven = False
        self._session: Session | None = None
        self._waiting: list[Gathered] = []
        self._spans: list[tuple[int, int]] = []
        self._size = 0
        self._is_stopped = False
        self.pending = 0
        self.pending_bytes = 0
        self.received = 0
        self.published = 0
        self._short_lives = 0
        self.name = name or greeting.client_id
        self.link = Link(self.name, is_up=False, since_at=now())

    @property
    def oldest_at(self) -> int | None:
        """When the oldest message that nobody has taken came; None if there is none."""
        if self._waiting:
            return self._waiting[0].spans[0][1]
        return self._spans[0][1] if self._spans else None

    async def run(self) -> None:
        """Connect, read, reconnect with growing pauses; until cancelled, then say goodbye."""
        tries = 0
        while True:
            connects = self.link.connects
            try:
                await self._live_once()
            except (OSError, ProtocolError, ConnectionEndedError, RefusedError) as error:
                tries = 1 if self.link.connects > connects else tries + 1
                self._note_loss(error)
                await asyncio.sleep(self._pause_s(error, tries))

    def take(self) -> list[Gathered]:
        """All that has gathered since the last call; the caller owes `acknowledge` for each."""
        if self._session is not None:
            self._close_gathering(self._session)
        taken, self._waiting = self._waiting, []
        return taken

    def acknowledge(self, gathered: Gathered) -> None:
        """PUBACK these messages, in order, in one write; they count as pending no more."""
        self.pending -= len(gathered.publishes)
        self.pending_bytes -= gathered.size
        ids = gathered.publishes.packet_ids
        gathered.session.write(mqtt_frames.pubacks([i for i in ids if i != _NO_ID]))
        if self._session is not None and not self._is_over(0.5):
            self._session.release("pending")

    def publish(self, topic: str, payload: bytes, *, is_retained: bool = False) -> None:
        """Send a QoS 0 message; lost if there is no connection."""
        if self._session is not None:
            self.published += 1
            version = self._greeting.version
            self._session.write(
                mqtt_frames.publish(topic, payload, version, is_retained=is_retained)
            )

    def stop_reading(self) -> None:
        """Take nothing more from the broker, for good; what was gathered can still be taken."""
        self._is_stopped = True
        if self._session is not None:
            self._session.hold("stopped")

    # -- Listener

    def greeted(self, *, is_session_present: bool) -> None:
        """Find out whether the broker still has what it kept for us, if it was to keep anything."""
        is_kept = self._greeting.session_expiry_s > 0
        if is_kept and self._had_session and not is_session_present:
            self.link = replace(self.link, sessions_lost=self.link.sessions_lost + 1)
            log.warning("ingest.session.lost", connection=self.name)
            self._on_session_lost(self.name)
        self._had_session = True

    def gathered(self, session: Session, added: int, size: int) -> None:
        """Note when messages came and how much is pending."""
        if added == 0:
            return
        self._spans.append((added, self._now()))
        self._size += size
        self.pending += added
        self.pending_bytes += size
        self.received += added
        if self._is_over(1.0):
            session.hold("pending")
        self._on_messages()

    # -- inside

    async def _live_once(self) -> None:
        given = self._broker.password
        password = given() if callable(given) else given
        session = Session(replace(self._greeting, password=password), self)
        self._session = session
        try:
            await self._connect(session)
            self._is_version_proven = True
            self._set_link(is_up=True)
            if self._is_stopped:
                session.hold("stopped")
            await asyncio.shield(session.closed)
        except asyncio.CancelledError:
            session.close()
            await asyncio.wait([session.closed], timeout=1.0)
            raise
        finally:
            session.abort(ConnectionEndedError("given up"))
            self._close_gathering(session)
            self._session = None

    async def _connect(self, session: Session) -> None:
        broker = self._broker
        tls = tls_context(broker.tls_ca) if broker.tls_ca else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: session, broker.host, broker.port, ssl=tls
                )
                await asyncio.shield(session.greeted)
            async with asyncio.timeout(SUBSCRIBED_TIMEOUT_S):
                await asyncio.shield(session.ready)
        except ssl.SSLCertVerificationError as error:
            if tls is None or broker.tls_ca is None:
                raise
            raise not_trusted(error, tls, broker.tls_ca, broker.host, broker.port) from error
        except TimeoutError as error:
            waited_s = SUBSCRIBED_TIMEOUT_S if session.greeted.done() else CONNECT_TIMEOUT_S
            raise NoAnswerError(f"no answer within {waited_s:.0f} s") from error

    def _close_gathering(self, session: Session) -> None:
        """Put what the session gathered aside as one batch and let it begin another."""
        if not self._spans:
            return
        full, session.publishes = session.publishes, Publishes()
        self._waiting.append(Gathered(self.name, session, full, self._spans, self._size))
        self._spans, self._size = [], 0

    def _is_over(self, share: float) -> bool:
        return self.pending > share * MAX_PENDING or self.pending_bytes > share * MAX_PENDING_BYTES

    def _set_link(self, *, is_up: bool, error: str = "") -> None:
        before = self.link
        connects = before.connects + is_up
        self.link = replace(
            before, is_up=is_up, since_at=self._now(), error=error, connects=connects
        )
        if is_up and before.error:
            log.info("ingest.broker.connected", connection=self.name)
        self._on_link(self.link)

    def _note_loss(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        is_taken_over = self._is_taken_over(error)
        if is_taken_over:
            text = f"another client uses our client id: {text}"
            self.link = replace(self.link, taken_over=self.link.taken_over + 1)
        if self.link.is_up:
            self._set_link(is_up=False, error=text)
            event = "ingest.session.taken_over" if is_taken_over else "ingest.broker.lost"
            log.warning(event, connection=self.name, error=text)
        elif text != self.link.error:
            self.link = replace(self.link, error=text)
            event = (
                "ingest.broker.refused" if isinstance(error, RefusedError) else "ingest.broker.away"
            )
            log.error(event, connection=self.name, error=text)

    def _is_taken_over(self, error: Exception) -> bool:
        """Whether this end of a connection is the work of another client with our id.

        MQTT 5 brokers should say so; mosquitto 2.0.11 just hangs up, as all do in 3.1.1. Once may
        be anything; again and again right after it let us in is a rival that does the same. A
        broker that is being restarted refuses connections in between.
        """
        is_hung_up = self.link.is_up and isinstance(error, ConnectionEndedError)
        is_short = self._now() - self.link.since_at < SHORT_LIFE_MS
        is_suspect = is_hung_up and is_short
        self._short_lives = self._short_lives + 1 if is_suspect else 0
        return self._has_rival(error)

    def _has_rival(self, error: Exception) -> bool:
        return _TAKEN_OVER in str(error) or self._short_lives >= SHORT_LIVES

    def _pause_s(self, error: Exception, tries: int) -> float:
        """How long to wait before the next try: jittered, growing; long where somebody must act."""
        if not self._is_version_proven and self._may_need_other_version(error, tries):
            version = self._greeting.version
            other = Version.V3_1_1 if version is Version.V5 else Version.V5
            self._greeting = replace(self._greeting, version=other)
            return FIRST_PAUSE_S
        if isinstance(error, RefusedError) or self._has_rival(error):
            return REFUSED_PAUSE_S * (0.5 + self._jitter())
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 16), LONGEST_PAUSE_S)
        return pause_s * (0.5 + self._jitter())

    @staticmethod
    def _may_need_other_version(error: Exception, tries: int) -> bool:
        """A broker without MQTT 5 says so, or hangs up on CONNECT, or falls silent."""
        if isinstance(error, RefusedError):
            return error.reason_code in _OTHER_VERSION
        hangs_up = isinstance(error, ConnectionEndedError) and tries % 2 == 0
        return hangs_up or isinstance(error, NoAnswerError)
