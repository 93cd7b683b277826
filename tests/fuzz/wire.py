"""Fuzz targets of what comes from the field: MQTT, topics, payloads."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np

from devices.datum import Datum
from devices.drafts import DeviceDraft
from devices.frames import Lane, SeriesDefinition
from devices.kinds import KINDS
from devices.outcomes import Rejected
from devices.payload import QUANTITY_NAMES, decode, decode_batch
from devices.registry import Device, RegistrySnapshot
from ingest.check import Checker
from ingest.decode import Decoder
from ingest.derive import Derivation
from ingest.mqtt_frames import Control, FrameParser, ProtocolError, Publishes, Version
from ingest.mqtt_session import ConnectionEndedError, Greeting, RefusedError, Session
from ingest.topics import lane_of
from tests.fuzz.target import NUMBERS, Target

GOLDEN = [
    json.loads(path.read_text())["payload"].encode()
    for path in sorted((Path(__file__).parents[1] / "golden").glob("*.json"))
]

# --- MQTT frames ---------------------------------------------------------------------------------

_V5_FRAMES = (
    b"\x20\x03\x01\x00\x00", b"\x20\x06\x00\x00\x03\x13\x00\x0a", b"\x90\x05\x00\x01\x00\x01\x87",
    b"\xb0\x04\x00\x02\x00\x11", b"\xd0\x00", b"\xe0\x01\x8e", b"\xe0\x08\x8b\x06\x1f\x00\x03bye",
    b"\x32\x0b\x00\x03a/b\x00\x07\x00{}\n", b"\x30\x0e\x00\x01a\x05\x01\x01\x23\x00\x01hello",
    b"\x20\x12\x00\x87\x0f\x1f\x00\x03not\x26\x00\x01a\x00\x01b\x21\x00\x0a",
)  # fmt: skip
_V3_FRAMES = (
    b"\x20\x02\x01\x00", b"\x20\x02\x00\x05", b"\x90\x04\x00\x01\x01\x80", b"\xb0\x02\x00\x02",
    b"\x3a\x0a\x00\x03a/b\x00\x07{}\n", b"\x30\x82\x01\x00\x01a" + b"x" * 127,
)  # fmt: skip
_FRAME_TOKENS = (b"\xff\xff\xff\x7f", b"\x80\x80\x80\x01", b"\x00\x00", b"\xff\xff", b"\x32\x00",
                 *_V5_FRAMES, *_V3_FRAMES)  # fmt: skip


def mqtt_frames(data: bytes) -> None:
    """First byte: the version; second: the size of a chunk. However it is cut, the same comes."""
    version = Version.V5 if data[:1] >= b"\x80" else Version.V3_1_1
    size = max(data[1] if len(data) > 1 else 1, 1)
    stream = data[2:]
    at_once = _parsed([stream], version)
    assert _parsed([stream[k : k + size] for k in range(0, len(stream), size)], version) == at_once
    publishes = at_once[0]
    assert sum(map(len, publishes.topics)) + sum(map(len, publishes.payloads)) <= len(stream)
    assert len(publishes.packet_ids) == len(publishes.topics) == len(publishes.payloads)


def _parsed(chunks: list[bytes], version: Version) -> tuple[Publishes, bool, list[Control]]:
    """Messages, whether it was refused, and, where it was not, the control packets."""
    parser, publishes = FrameParser(version, max_frame_bytes=1 << 16), Publishes()
    controls: list[Control] = []
    try:
        for chunk in chunks:
            controls += parser.feed(chunk, publishes)
    except ProtocolError:
        return publishes, True, []
    return publishes, False, controls


# --- an MQTT session -----------------------------------------------------------------------------


class _Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class _Owner:
    def greeted(self, *, is_session_present: bool) -> None:
        pass

    def gathered(self, session: Session, added: int, size: int) -> None:
        assert added >= 0


_loop = asyncio.new_event_loop()


def mqtt_session(data: bytes) -> None:
    """A broker may say what it likes: the session goes on, or ends for one of three reasons."""
    _loop.run_until_complete(_hear(data))


async def _hear(data: bytes) -> None:
    version = Version.V5 if data[:1] >= b"\x80" else Version.V3_1_1
    session = Session(
        Greeting("c", [("a/#", 1), ("b/#", 1)], retired=["c/#"], version=version), _Owner()
    )
    wire = _Wire()
    session.connection_made(wire)
    size = max(data[1] if len(data) > 1 else 1, 1)
    for k in range(2, len(data), size):
        session.data_received(data[k : k + size])
    assert wire.written <= 1000
    was_ended = wire.is_closed
    session.connection_lost(None)
    reason = session.closed.exception()
    assert isinstance(reason, (ProtocolError, RefusedError, ConnectionEndedError))
    assert was_ended or str(reason) == "closed by the broker"
    if session.ready.exception() is None:
        assert session.ready.done()


# --- payloads ------------------------------------------------------------------------------------

_PAYLOAD_TOKENS = (
    *NUMBERS, *(f'"{name}"'.encode() for name in QUANTITY_NAMES[:6]), b'"v":{', b'"t":', b'"n":',
    b'"d":', b'"boot":', b"[", b"]", b"{", b"}", b",", b":", b"\\ud800", b"\xef\xbb\xbf", b"\0\0",
    b'{"v":{"water.distance":1.5}}',
)  # fmt: skip


_REASONS = {"bad_json", "bad_cbor", "bad_senml", "bad_shape", "no_values", "too_large"}


def payload(data: bytes) -> None:
    """Messages between two NULs each: decoded or rejected, together as one by one."""
    payloads = data.split(b"\0\0")
    batch = decode_batch(payloads)
    assert np.isfinite(batch.value).all()
    rejected = dict(batch.rejected)
    for index, message in enumerate(payloads):
        found = decode(message)
        rows = np.flatnonzero(batch.message == index)
        if isinstance(found, Rejected):
            assert rejected[index] == found
            assert found.reason in _REASONS
            assert len(found.detail) < 5000
            continue
        assert len(rows) == len(found.samples)
        assert [r for i, r in batch.remarks if i == index] == list(found.remarks)
        for row, sample in zip(rows.tolist(), found.samples, strict=True):
            span = slice(batch.first[row], batch.first[row] + batch.count[row])
            names = [QUANTITY_NAMES[code] for code in batch.quantity[span]]
            assert dict(zip(names, batch.value[span].tolist(), strict=True)) == sample.values


# --- messages with their topics, as intake takes them in -----------------------------------------

_RECEIVED_AT = 1_792_540_900_000


def _device(number: int, name: str, kind: str, gateway: str | None = None) -> Device:
    draft = DeviceDraft(name, kind)
    return Device(
        id=number, name=name, kind=kind, label=draft.label, label_en="", site="", area="",
        latitude=None, longitude=None, interval_s=600, silence_after_s=1800.0, thresholds={},
        tags=(), gateway=gateway, owner=None, registered_at=0, decommissioned_at=None,
    )  # fmt: skip


def _snapshot() -> RegistrySnapshot:
    devices = [
        _device(1, "R-1", "river-gauge"), _device(2, "W-1", "water-meter", "G-1"),
        _device(3, "G-1", "gateway"), _device(4, "T-1", "trap", "G-1"),
    ]  # fmt: skip
    pairs = [(d, quantity) for d in devices for quantity in KINDS[d.kind].quantities]
    definitions = {
        number: SeriesDefinition(number, d.id, d.name, d.kind, quantity)
        for number, (d, quantity) in enumerate(pairs)
    }
    return RegistrySnapshot(
        1, {d.id: d for d in devices}, {d.name: d for d in devices},
        {(d.device, d.quantity): n for n, d in definitions.items()}, definitions,
        datums={1: (Datum(0, None, 5.0), Datum(_RECEIVED_AT, 12.0, None))},
    )  # fmt: skip


_SNAPSHOT = _snapshot()
_DERIVATION = Derivation(_SNAPSHOT)


def messages(data: bytes) -> None:
    """Lines of ``topic payload``: taken in or rejected, each of them, and nothing is raised."""
    lines = [line.partition(b" ")[::2] for line in data.split(b"\n")]
    topics, payloads = [topic for topic, _ in lines], [text for _, text in lines]
    for topic in topics:
        assert lane_of(topic.decode("utf-8", "surrogateescape")) in tuple(Lane)
    decoder, checker = Decoder(_SNAPSHOT), Checker()
    checker.define(_SNAPSHOT.definitions.values())
    sent = decoder.decode(topics, payloads, np.full(len(lines), _RECEIVED_AT, np.int64))
    decoded = _DERIVATION.add(sent)
    assert len(sent.value) <= len(decoded.value) <= 2 * len(sent.value)
    heard = {*decoded.message.tolist(), *(i for i, _ in decoded.statuses),
             *(i for i, _ in decoded.rejected)}  # fmt: skip
    assert heard == set(range(len(lines))), "every message has an outcome"
    known = decoder.without_unknown(decoded, "x") if decoder.without_series(decoded) else decoded
    readings = checker.check(decoder.readings(known))
    assert np.isfinite(readings.value).all()
    assert (readings.measured_at <= _RECEIVED_AT + 400_000).all()


_TOPICS = (
    b"field/v1/river-gauge/R-1/up", b"field/v1/water-meter/W-1/status", b"field/v1/trap/T-1/up",
    b"field/v1/gateway/G-1/up/urgent", b"field/v1/gateway/G-1/up/routine", b"field/v1/x/y/up",
)  # fmt: skip

TARGETS = (
    Target(
        "mqtt_frames", mqtt_frames,
        (b"\xff\x05" + b"".join(_V5_FRAMES), b"\x00\x03" + b"".join(_V3_FRAMES),
         *(b"\xff\x01" + frame for frame in _V5_FRAMES),
         *(b"\x00\x01" + frame for frame in _V3_FRAMES)),
        _FRAME_TOKENS,
    ),
    Target(
        "mqtt_session", mqtt_session,
        (b"\xff\x07" + b"".join((_V5_FRAMES[0], b"\x90\x05\x00\x01\x00\x01\x01", *_V5_FRAMES[7:9])),
         b"\x00\x07" + b"".join((_V3_FRAMES[0], b"\x90\x04\x00\x01\x01\x01", *_V3_FRAMES[4:])),
         *(b"\xff\x05" + frame for frame in _V5_FRAMES)),
        _FRAME_TOKENS,
    ),
    Target("payload", payload, (*GOLDEN, b"\0\0".join(GOLDEN[:3])), _PAYLOAD_TOKENS),
    Target(
        "messages", messages,
        tuple(topic + b" " + text.replace(b"\n", b"") for topic in _TOPICS for text in GOLDEN),
        (*_PAYLOAD_TOKENS, *_TOPICS, b"\n", b" ", b"/up", b"/", b"#", b"+"),
    ),
)  # fmt: skip
