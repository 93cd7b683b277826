"""Fuzz target of what LoRaWAN network servers say."""

from __future__ import annotations

import json
from pathlib import Path

from devices.networks import NetworkKind, application_of, read
from devices.networks.fields import DETAIL_CHARS, MAX_FRM_PAYLOAD_BYTES, MAX_RECEPTIONS
from devices.networks.messages import DownlinkProgress, Ignored, Located, Logged, Uplink
from devices.outcomes import Rejected
from tests.fuzz.target import NUMBERS, Target

_GOLDEN = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[1] / "golden" / "networks").glob("*.json"))
]
_SERVERS = (NetworkKind.CHIRPSTACK, NetworkKind.THE_THINGS_STACK)
_REASONS = frozenset({"unknown_topic", "bad_json", "bad_shape", "too_large"})


def network_message(data: bytes) -> None:
    """First byte: whose; then a line with the topic, then the message: read, or refused."""
    kind = _SERVERS[data[0] & 1 if data else 0]
    topic, _, payload = data[1:].partition(b"\n")
    name = topic.decode("utf-8", "surrogateescape")
    assert application_of(kind, name) in name
    found = read(kind, name, payload)
    if isinstance(found, Rejected):
        assert found.reason in _REASONS
        assert 0 < len(found.detail) < DETAIL_CHARS + 200
        return
    if isinstance(found, Ignored):
        assert 0 < len(found.why) < DETAIL_CHARS
        return
    assert len(found.sender.dev_eui) == 16
    assert max(map(len, (found.sender.name, found.sender.application, found.sender.model))) <= 100
    _check(found)


def _check(found: object) -> None:
    """What is said is bounded."""
    if isinstance(found, Uplink):
        assert len(found.payload) <= MAX_FRM_PAYLOAD_BYTES
        assert len(found.receptions) <= MAX_RECEPTIONS
        assert len({one.gateway for one in found.receptions}) == len(found.receptions)
        assert 0 <= found.port <= 255
        assert 0 < len(found.key) <= 256
    elif isinstance(found, (Logged, DownlinkProgress)):
        assert len(found.detail) <= DETAIL_CHARS + 100
        assert found.detail.isprintable()
    elif isinstance(found, Located):
        assert -90 <= found.latitude <= 90
        assert -180 <= found.longitude <= 180


_TOKENS = (
    *NUMBERS, b'"devEui":', b'"deviceInfo":{', b'"rxInfo":[', b'"location":{}', b'"NaN"', b"null",
    b'"dev_eui":', b'"uplink_message":{', b'"rx_metadata":[', b'"simulated":true', b"\\ud800",
    b'"time":"', b"1970-01-01T00:00:00Z", b"9999-12-31T23:59:60.999999999-23:59", b'"data":"_-8="',
    b"/event/log", b"/down/nack", b"/service/data", b"[", b"]", b"{", b"}", b",", b"\xff",
)  # fmt: skip

TARGETS = (
    Target(
        "network_message", network_message,
        tuple(
            bytes([_SERVERS.index(one["network"])]) + f"{one['topic']}\n{one['payload']}".encode()
            for one in _GOLDEN
        ),
        _TOKENS,
        ("devices.networks",),
    ),
)  # fmt: skip
