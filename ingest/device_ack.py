"""Tells devices that number their messages how far they are kept, so that they may forget them.

At most one message a publisher every ``EVERY_MS``, and never more than ``AT_ONCE`` in a step. A
gateway gets an array, one element for each device it carries. Refuses to know MQTT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from devices.registry import Device
from ingest.sequence import SequenceTracker
from ingest.topics import ack_topic

EVERY_MS: Final = 10_000
AT_ONCE: Final = 2_000


class AckDesk:
    """Who is to be told, and when they were told last."""

    def __init__(self) -> None:
        self._due: dict[int, set[int]] = {}
        self._told_at: dict[int, int] = {}

    def note(self, numbered: Iterable[tuple[int, int]]) -> None:
        """(publisher, device) pairs that sent numbers which are durable now."""
        for publisher, device in numbered:
            self._due.setdefault(publisher, set()).add(device)

    def answers(
        self, sequences: SequenceTracker, devices: Mapping[int, Device], now: int
    ) -> list[tuple[str, bytes]]:
        """(topic, payload) for all whose turn it is, the longest waiting first."""
        ready = [p for p in self._due if now - self._told_at.get(p, -EVERY_MS) >= EVERY_MS]
        found = []
        for publisher in ready[:AT_ONCE]:
            told = self._due.pop(publisher)
            self._told_at[publisher] = now
            payload = _payload(publisher, told, sequences, devices)
            if payload is not None and publisher in devices:
                device = devices[publisher]
                found.append((ack_topic(device.kind, device.name), payload))
        return found


def _payload(
    publisher: int, told: set[int], sequences: SequenceTracker, devices: Mapping[int, Device]
) -> bytes | None:
    if told == {publisher}:
        return msgspec.json.encode(sequences.acknowledgement(publisher))
    found = [
        answer
        for device in sorted(told & devices.keys())
        if (answer := sequences.acknowledgement(device, devices[device].name)) is not None
    ]
    return msgspec.json.encode(found) if found else None
