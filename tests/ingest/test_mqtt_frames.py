"""The MQTT parser: any chopping gives the same, any rubbish is a ProtocolError."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Unsuback,
    Version,
)


@dataclass
class Message:
    topic: str
    payload: bytes
    packet_id: int
    is_redelivered: bool
    is_retained: bool
    properties: bytes

    def encoded(self, version: Version) -> bytes:
        header = 0x30 | self.is_retained
        body = _text(self.topic.encode())
        if self.packet_id:
            header |= 0x02 | self.is_redelivered << 3
            body += struct.pack("!H", self.packet_id)
        if version is Version.V5:
            body += _variable(len(self.properties)) + self.properties
        body += self.payload
        return bytes((header,)) + _variable(len(body)) + body


def _text(raw: bytes) -> bytes:
    return struct.pack("!H", len(raw)) + raw


def _variable(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded += bytes((number & 127 | 128,))
        number >>= 7
    return encoded + bytes((number,))


messages = st.builds(
    Message,
    topic=st.text(min_size=1, max_size=40),
    payload=st.one_of(st.binary(max_size=300), st.integers(100, 20_000).map(bytes)),
    packet_id=st.integers(0, 65_535),
    is_redelivered=st.booleans(),
    is_retained=st.booleans(),
    properties=st.binary(max_size=200),
)  # fmt: skip
versions = st.sampled_from(Version)
CONTROLS = {
    Version.V5: [
        (b"\xd0\x00", Pingresp()),
        (b"\x20\x03\x01\x00\x00", Connack(is_session_present=True, reason_code=0)),
        (b"\x20\x06\x00\x00\x03\x13\x00\x0a",
         Connack(is_session_present=False, reason_code=0, server_keep_alive_s=10)),
        (b"\x90\x05\x00\x01\x00\x01\x87", Suback(1, b"\x01\x87")),
        (b"\xb0\x04\x00\x02\x00\x11", Unsuback(2)),
        (b"\xe0\x01\x8e", Disconnect(0x8E)),
        (b"\xe0\x08\x8b\x06\x1f\x00\x03bye", Disconnect(0x8B, "bye")),
    ],
    Version.V3_1_1: [
        (b"\xd0\x00", Pingresp()),
        (b"\x20\x02\x00\x05", Connack(is_session_present=False, reason_code=5)),
        (b"\x90\x04\x00\x01\x01\x80", Suback(1, b"\x01\x80")),
        (b"\xb0\x02\x00\x02", Unsuback(2)),
    ],
}  # fmt: skip


def _parse(chunks: list[bytes], version: Version) -> tuple[Publishes, list[Control]]:
    parser, publishes, controls = FrameParser(version), Publishes(), []
    for chunk in chunks:
        controls += parser.feed(chunk, publishes)
    return publishes, controls


def _parse_until_error(
    chunks: list[bytes], version: Version
) -> tuple[Publishes, list[Control], bool]:
    parser, publishes = FrameParser(version), Publishes()
    controls: list[Control] = []
    try:
        for chunk in chunks:
            controls += parser.feed(chunk, publishes)
    except ProtocolError:
        return publishes, controls, True
    return publishes, controls, False


@given(st.lists(messages, max_size=8), versions, st.data())
def test_messages_survive_any_chopping(
    sent: list[Message], version: Version, data: st.DataObject
) -> None:
    stream = b"".join(message.encoded(version) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    publishes, controls = _parse(chunks, version)
    assert controls == []
    assert publishes.topics == [m.topic.encode() for m in sent]
    assert publishes.payloads == [m.payload for m in sent]
    assert publishes.packet_ids == [struct.pack("!H", m.packet_id) for m in sent]
    assert publishes.redelivered == [
        k for k, m in enumerate(sent) if m.packet_id and m.is_redelivered
    ]


@given(st.binary(max_size=200), versions)
def test_rubbish_raises_protocol_error_and_nothing_else(rubbish: bytes, version: Version) -> None:
    """Bytes one at a time give what bytes at once give, errors included."""
    publishes, _, is_refused = _parse_until_error([rubbish], version)
    singly = _parse_until_error([bytes((b,)) for b in rubbish], version)
    assert (publishes, is_refused) == (singly[0], singly[2])


@given(
    st.sampled_from([0x20, 0x30, 0x32, 0x3A, 0x90, 0xB0, 0xD0, 0xE0]),
    st.binary(max_size=60),
    versions,
)
def test_rubbish_in_a_frame_raises_protocol_error_and_nothing_else(
    header: int, body: bytes, version: Version
) -> None:
    frame = bytes((header, len(body))) + body
    assert _parse_until_error([frame], version)[2] in (True, False)


@given(messages, versions)
def test_no_truncated_message_is_taken(message: Message, version: Version) -> None:
    frame = message.encoded(version)
    for end in range(min(len(frame), 400)):
        publishes, controls = _parse([frame[:end]], version)
        assert len(publishes) == 0
        assert controls == []


@given(messages, versions, st.data())
def test_a_message_whose_inside_is_cut_short_is_refused_or_shorter(
    message: Message, version: Version, data: st.DataObject
) -> None:
    """A frame that says less than its parts need never reads into the next frame."""
    body_at = 1 + len(_variable(len(message.encoded(version)) - 2))
    frame = message.encoded(version)
    body = frame[body_at:]
    kept = data.draw(st.integers(0, min(len(body), 60)))
    cut = bytes((frame[0],)) + _variable(kept) + body[:kept]
    publishes, _, _ = _parse_until_error([cut + b"\xd0\x00" * 50], version)
    assert all(len(p) <= kept for p in publishes.payloads)


@pytest.mark.parametrize("version", Version)
def test_control_packets_are_read(version: Version) -> None:
    frames, values = zip(*CONTROLS[version], strict=True)
    stream = b"".join(frames)
    assert _parse([stream], version)[1] == list(values)
    assert _parse([bytes((b,)) for b in stream], version)[1] == list(values)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\x34\x06\x00\x01a\x00\x01\x00", "not for a consumer"),  # QoS 2
        (b"\x32\x06\x00\x01a\x00\x00\x00", "packet id 0"),
        (b"\x30\x03\x00\x00\x00", "empty"),
        (b"\x30\x04\x00\x09ab", "exceeds"),
        (b"\x30\x01\x00", "without a topic"),
        (b"\x30\x03\x00\x01a", "property length"),
        (b"\x30\x05\x00\x01a\x09b", "properties exceed"),
        (b"\x30\xff\xff\xff\xff\x01", "more than four"),
        (b"\x30\x80\x80\x80\x01", "at most 1048576"),
        (b"\x20\x03\x02\x00\x00", "reserved"),
        (b"\x20\x06\x00\x00\x03\x77\x00\x0a", "unknown property"),
        (b"\x10\x00", "not for a consumer"),
        (b"\xf0\x00", "not for a consumer"),
    ],
)
def test_illegal_frames_are_refused_with_a_reason(frame: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        FrameParser(Version.V5).feed(frame, Publishes())


def test_an_mqtt_5_client_understands_a_refusal_by_an_older_broker() -> None:
    assert _parse([b"\x20\x02\x00\x01"], Version.V5)[1] == [
        Connack(is_session_present=False, reason_code=1)
    ]


def test_what_we_send_is_what_the_standard_says() -> None:
    connect = mqtt_frames.connect(
        "c", keep_alive_s=20, session_expiry_s=3600, receive_maximum=20_000,
        username="u", password="p",
    )  # fmt: skip
    assert connect == (
        b"\x10\x21\x00\x04MQTT\x05\xc0\x00\x14\x0d\x11\x00\x00\x0e\x10\x21\x4e\x20"
        b"\x27\x00\x10\x00\x00\x00\x01c\x00\x01u\x00\x01p"
    )
    assert mqtt_frames.connect("c", version=Version.V3_1_1) == (
        b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x3c\x00\x01c"
    )
    assert (
        mqtt_frames.subscribe(1, [("a/+", 0x21)], Version.V5)
        == b"\x82\x09\x00\x01\x00\x00\x03a/+\x21"
    )
    assert (
        mqtt_frames.subscribe(1, [("a", 0x21)], Version.V3_1_1) == b"\x82\x06\x00\x01\x00\x01a\x01"
    )
    assert mqtt_frames.pubacks([b"\x00\x01", b"\x02\x03"]) == b"\x40\x02\x00\x01\x40\x02\x02\x03"
    assert mqtt_frames.pubacks([]) == b""
    publishes, _ = _parse([mqtt_frames.publish("a", b"b" * 200, Version.V5)], Version.V5)
    assert publishes.payloads == [b"b" * 200]
