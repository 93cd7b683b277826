"""The bytes of MQTT 5 and 3.1.1 that a consumer needs: a bulk parser and a few packets to send.

Refuses to know sockets, time and what a message means. Everything that is not a complete, legal
frame for a consumer without QoS 2, topic aliases and enhanced authentication is a ProtocolError;
no other exception leaves this module. Section numbers are those of the OASIS MQTT 5.0 standard.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MAX_FRAME_BYTES: Final = 1 << 20
"""A frame with a longer body is refused: no reading is that large."""

_PUBACK: Final = b"\x40\x02"
_PINGREQ: Final = b"\xc0\x00"
_DISCONNECT: Final = b"\xe0\x00"


class Version(IntEnum):
    """Protocol level in CONNECT (3.1.2.2)."""

    V3_1_1 = 4
    V5 = 5


class ProtocolError(Exception):
    """The peer does not speak MQTT as we asked; drop the connection, a new one may help."""


@dataclass(slots=True)
class Publishes:
    """Messages as parallel lists, in order of arrival; the parser appends to them.

    ``packet_ids`` are two bytes each as they came (``b"\\0\\0"`` for QoS 0); ``redelivered`` the
    indices of messages with the DUP flag. No object a message: this is the hot path.
    """

    topics: list[bytes] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    packet_ids: list[bytes] = field(default_factory=list)
    redelivered: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.topics)


@dataclass(frozen=True, slots=True)
class Connack:
    """Answer to CONNECT; ``reason_code`` 0 is success (3.1.1 codes 1-5 stand as they are)."""

    is_session_present: bool
    reason_code: int
    server_keep_alive_s: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Suback:
    """Answer to SUBSCRIBE: granted QoS per filter, 0x80 and above is a refusal."""

    packet_id: int
    reason_codes: bytes


@dataclass(frozen=True, slots=True)
class Unsuback:
    """Answer to UNSUBSCRIBE."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingresp:
    """Answer to PINGREQ: the peer lives."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The broker ends the connection and says why (MQTT 5)."""

    reason_code: int
    reason: str = ""


Control = Connack | Suback | Unsuback | Pingresp | Disconnect


class FrameParser:
    """Turn a byte stream into messages and control packets; keeps what is incomplete."""

    __slots__ = ("_is_v5", "_max_frame_bytes", "_tail")

    def __init__(self, version: Version, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._is_v5 = version is Version.V5
        self._max_frame_bytes = max_frame_bytes
        self._tail = b""

    def feed(self, data: bytes, publishes: Publishes) -> list[Control]:
        """Append all complete PUBLISH frames to ``publishes`` and return the other packets.

        Raises ProtocolError; the parser is of no use after it.
        """
        if self._tail:
            data = self._tail + data
        controls: list[Control] = []
        used = self._parse(data, publishes, controls)
        self._tail = data[used:]
        return controls

    def _parse(  # noqa: PLR0912 - one tight loop over all frames of a chunk: 0.5 million a second
        self, data: bytes, publishes: Publishes, controls: list[Control]
    ) -> int:
        add_topic = publishes.topics.append
        add_payload = publishes.payloads.append
        add_packet_id = publishes.packet_ids.append
        is_v5, limit = self._is_v5, self._max_frame_bytes
        start, end = 0, len(data)
        while end - start >= 2:
            length, body = data[start + 1], start + 2
            if length > 127:
                long = _long_length(data, start + 1, end)
                if long is None:
                    break
                length, body = long
                if length > limit:
                    raise ProtocolError(f"frame of {length} bytes, at most {limit} are accepted")
            stop = body + length
            if stop > end:
                break
            header = data[start]
            if header & 0xF4 == 0x30:  # PUBLISH with QoS 0 or 1, any DUP and RETAIN
                at = body + 2
                if at > stop:
                    raise ProtocolError("PUBLISH without a topic")
                topic_end = at + (data[body] << 8 | data[body + 1])
                rest = topic_end + (header & 2)
                if rest > stop or topic_end == at:
                    raise ProtocolError("PUBLISH whose topic is empty or exceeds the frame")
                if header & 2:
                    packet_id = data[topic_end:rest]
                    if packet_id == b"\0\0":
                        raise ProtocolError("PUBLISH with packet id 0")
                else:
                    packet_id = b"\0\0"
                if is_v5:
                    if rest >= stop:
                        raise ProtocolError("PUBLISH without property length")
                    skip = data[rest]
                    rest += 1
                    if skip:
                        rest = _after_properties(data, rest - 1, stop)
                if header & 8:
                    publishes.redelivered.append(len(publishes.topics))
                add_topic(data[at:topic_end])
                add_payload(data[rest:stop])
                add_packet_id(packet_id)
            else:
                controls.append(_control(header, data[body:stop], is_v5))
            start = stop
        return start


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Remaining length of two to four bytes (1.5.5) and where it ends; None if not yet complete."""
    length = 0
    for shift in (0, 7, 14, 21):
        if at >= end:
            return None
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            return length, at
    raise ProtocolError("remaining length of more than four bytes")


def _after_properties(data: bytes, at: int, stop: int) -> int:
    found = _long_length(data, at, stop)
    if found is None or sum(found) > stop:
        raise ProtocolError("properties exceed the frame")
    return sum(found)


def _control(header: int, body: bytes, is_v5: bool) -> Control:
    try:
        match header:
            case 0x20:
                return _connack(body, is_v5)
            case 0x90:
                at = _after_properties(body, 2, len(body)) if is_v5 else 2
                if len(body) <= at:
                    raise ProtocolError("SUBACK without reason codes")
                return Suback(body[0] << 8 | body[1], body[at:])
            case 0xB0:
                return Unsuback(body[0] << 8 | body[1])
            case 0xD0:
                return Pingresp()
            case 0xE0 if is_v5:
                properties = _properties(body, 1) if len(body) > 1 else {}
                return Disconnect(body[0] if body else 0, str(properties.get(0x1F, "")))
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise ProtocolError(f"packet {header:#04x} of {len(body)} bytes is broken") from error
    raise ProtocolError(f"packet {header:#04x} is not for a consumer")


def _connack(body: bytes, is_v5: bool) -> Connack:
    if body[0] & 0xFE:
        raise ProtocolError("CONNACK with reserved flags")
    # A broker without MQTT 5 refuses with a CONNACK of 3.1.1, which has no properties.
    properties = _properties(body, 2) if is_v5 and len(body) > 2 else {}
    keep_alive = properties.get(0x13)
    return Connack(
        is_session_present=bool(body[0]),
        reason_code=body[1],
        server_keep_alive_s=keep_alive if isinstance(keep_alive, int) else None,
        reason=str(properties.get(0x1F, "")),
    )


# Identifier → shape (2.2.2.2): b byte, h two bytes, i four, v variable, s text, d data, p pair.
_SHAPES: Final[dict[int, str]] = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), "b"),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), "h"),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), "i"),
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), "s"),
    **{0x0B: "v", 0x09: "d", 0x16: "d", 0x26: "p"},
}
_WIDTHS: Final = {"b": 1, "h": 2, "i": 4}


def _properties(body: bytes, at: int) -> dict[int, int | str]:
    """Properties of a control packet; user properties and binary data are skipped."""
    stop = _after_properties(body, at, len(body))
    while body[at] > 127:
        at += 1
    at += 1
    found: dict[int, int | str] = {}
    while at < stop:
        name, at = body[at], at + 1
        shape = _SHAPES.get(name)
        if shape is None:
            raise ProtocolError(f"unknown property {name:#04x}")
        if shape in _WIDTHS:
            value = body[at : at + _WIDTHS[shape]]
            found[name], at = int.from_bytes(value, "big"), at + _WIDTHS[shape]
        elif shape == "v":
            at = _after_variable(body, at, stop)
        else:
            for _ in range(2 if shape == "p" else 1):
                (length,) = struct.unpack_from("!H", body, at)
                text, at = body[at + 2 : at + 2 + length], at + 2 + length
            if shape == "s":
                found[name] = text.decode()
    if at != stop:
        raise ProtocolError("properties exceed their length")
    return found


def _after_variable(body: bytes, at: int, stop: int) -> int:
    found = _long_length(body, at, stop)
    if found is None:
        raise ProtocolError("properties exceed their length")
    return found[1]


def connect(
    client_id: str,
    *,
    version: Version = Version.V5,
    clean_start: bool = False,
    keep_alive_s: int = 60,
    session_expiry_s: int = 0,
    receive_maximum: int = 65_535,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """CONNECT (3.1). In 3.1.1 the session expiry and the receive maximum do not exist."""
    flags = clean_start << 1 | (username is not None) << 7 | (password is not None) << 6
    body = _text("MQTT") + struct.pack("!BBH", version, flags, keep_alive_s)
    if version is Version.V5:
        properties = struct.pack("!BIBH", 0x11, session_expiry_s, 0x21, receive_maximum)
        properties += struct.pack("!BI", 0x27, MAX_FRAME_BYTES)
        body += _variable(len(properties)) + properties
    body += _text(client_id)
    body += b"".join(_text(part) for part in (username, password) if part is not None)
    return _frame(0x10, body)


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]], version: Version) -> bytes:
    """SUBSCRIBE (3.8) of (filter, options); in 3.1.1 only the QoS bits of the options are sent."""
    mask = 0xFF if version is Version.V5 else 0x03
    body = struct.pack("!H", packet_id) + _no_properties(version)
    body += b"".join(_text(name) + bytes((options & mask,)) for name, options in filters)
    return _frame(0x82, body)


def unsubscribe(packet_id: int, filters: Sequence[str], version: Version) -> bytes:
    """UNSUBSCRIBE (3.10)."""
    body = struct.pack("!H", packet_id) + _no_properties(version)
    return _frame(0xA2, body + b"".join(map(_text, filters)))


def publish(topic: str, payload: bytes, version: Version, *, is_retained: bool = False) -> bytes:
    """PUBLISH (3.3) with QoS 0; the broker keeps a retained one for those who listen later."""
    return _frame(0x31 if is_retained else 0x30, _text(topic) + _no_properties(version) + payload)


def pubacks(packet_ids: Sequence[bytes]) -> bytes:
    """One PUBACK (3.4, success) for each two-byte packet id, in that order."""
    return _PUBACK + _PUBACK.join(packet_ids) if packet_ids else b""


def pingreq() -> bytes:
    """PINGREQ (3.12)."""
    return _PINGREQ


def disconnect() -> bytes:
    """DISCONNECT (3.14) that keeps the session."""
    return _DISCONNECT


REASONS: Final = {
    0x01: "unacceptable protocol version",  # 0x01-0x05 are return codes of 3.1.1
    0x02: "client identifier not valid",
    0x03: "server unavailable",
    0x04: "bad user name or password",
    0x05: "not authorized",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x98: "administrative action",
}
"""Reason codes of CONNACK and DISCONNECT in words."""


def reason_text(code: int, reason: str = "") -> str:
    """A reason code for a person: ``bad user name or password (0x86)``."""
    return f"{reason or REASONS.get(code, 'reason')} ({code:#04x})"


def _frame(header: int, body: bytes) -> bytes:
    return bytes((header,)) + _variable(len(body)) + body


def _no_properties(version: Version) -> bytes:
    return b"\0" if version is Version.V5 else b""


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _variable(number: int) -> bytes:
    encoded = bytearray()
    while True:
        number, byte = divmod(number, 128)
        encoded.append(byte | 128 if number else byte)
        if not number:
            return bytes(encoded)
