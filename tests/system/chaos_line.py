"""One MQTT 3.1.1 connection that publishes at QoS 1 and knows how often it has sent each message.

After a lost connection everything unacknowledged is sent again, in order, as new messages: what a
device does that keeps its readings until the PUBACK. Refuses to know what is published.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_CONNACK, _PUBACK = 0x20, 0x40
_PING_EVERY_S: Final = 3.0
_PAUSE_S: Final = 0.2

Reading = tuple[str, str, int | None, float]  # device, quantity, measured_at (None: no `t`), value


@dataclass(slots=True)
class Message:
    """What was published; ``attempts`` counts how often it went out."""

    topic: str
    payload: bytes
    readings: tuple[Reading, ...] = ()
    number: int | None = None
    attempts: int = 0
    first_at: int = 0
    is_acknowledged: bool = False
    is_bad: bool = False


class Line:
    """``run`` is its task; ``publish`` never waits: look at ``waiting`` first."""

    def __init__(
        self, login: tuple[str, int, str, str], client_id: str, *, patience_s: float
    ) -> None:
        """``patience_s`` without a word of the broker end the connection."""
        self._host, self._port, self._user, self._password = login
        self._client_id, self._patience_s = client_id, patience_s
        self._unacknowledged: OrderedDict[int, Message] = OrderedDict()
        self._writer: asyncio.StreamWriter | None = None
        self._heard_at = 0.0
        self._next_id = 0
        self.connects = 0

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged."""
        return len(self._unacknowledged)

    async def run(self) -> None:
        """Connect, stay connected, connect again; until cancelled."""
        while True:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await self._live()
            await asyncio.sleep(_PAUSE_S)

    def publish(self, message: Message) -> None:
        """Send it now, or when the broker is there."""
        self._next_id = self._next_id % 65_535 + 1
        self._unacknowledged[self._next_id] = message
        if self._writer is not None:
            self._send(self._writer, self._next_id, message)

    def forget(self) -> None:
        """Lose what is not acknowledged, as a device does that loses its power."""
        self._unacknowledged.clear()
        if self._writer is not None:
            self._writer.transport.abort()

    async def _live(self) -> None:
        async with asyncio.timeout(self._patience_s):
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(_connect(self._client_id, self._user, self._password))
            async with asyncio.timeout(self._patience_s):
                kind, body = await _read_packet(reader)
            if kind != _CONNACK or body[1] != 0:
                raise ConnectionError(f"refused: {kind:#x} {body!r}")
            self._writer = writer
            self.connects += 1
            for packet_id, message in self._unacknowledged.items():
                self._send(writer, packet_id, message)
            await self._listen(reader, writer)
        finally:
            self._writer = None
            writer.transport.abort()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._heard_at = time.monotonic()
        pinging = asyncio.create_task(self._ping(writer), name=f"ping-{self._client_id}")
        try:
            while True:
                kind, body = await _read_packet(reader)
                self._heard_at = time.monotonic()
                if kind == _PUBACK:
                    message = self._unacknowledged.pop(int.from_bytes(body[:2], "big"), None)
                    if message is not None:
                        message.is_acknowledged = True
        finally:
            pinging.cancel()

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(_PING_EVERY_S / 3)
            if time.monotonic() - self._heard_at > self._patience_s:
                writer.transport.abort()
                return
            writer.write(b"\xc0\x00")

    @staticmethod
    def _send(writer: asyncio.StreamWriter, packet_id: int, message: Message) -> None:
        message.attempts += 1
        message.first_at = message.first_at or time.time_ns() // 1_000_000
        topic = _text(message.topic)
        writer.write(_packet(0x32, topic + packet_id.to_bytes(2, "big") + message.payload))


def _connect(client_id: str, user: str, password: str) -> bytes:
    variable = _text("MQTT") + bytes([4, 0b1100_0010]) + (60).to_bytes(2, "big")
    return _packet(0x10, variable + _text(client_id) + _text(user) + _text(password))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _packet(first: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return bytes([first]) + length + body


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Kind and body; the broker's packets to us are all shorter than 128 bytes."""
    first, length = await reader.readexactly(2)
    return first & 0xF0, await reader.readexactly(length)
