"""Tells devices that number their messages how far they are kept, so that they may forget them.

At most one message a publisher every ``EVERY_MS``, and never more than ``AT_ONCE`` in a step. A
gateway gets an array, one element for each device it carries. Refuses to know MQTT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

from devices.readings import Int32s, Int64s, distinct_ids
from devices.registry import Device
from ingest.sequence import SequenceTracker
from ingest.topics import ack_topic

EVERY_MS: Final = 10_000
AT_ONCE: Final = 2_000

_NEVER: Final = -EVERY_MS
_DEVICE: Final = 0xFFFF_FFFF


class AckDesk:
    """Who is to be told, and when they were told last; vectorised over all of them."""

    def __init__(self) -> None:
        self._noted: list[Int32s] = []  # since the last `answers`
        self._due: Int64s = np.empty(0, np.int64)  # publisher << 32 | device, ascending
        self._told_at: Int64s = np.empty(0, np.int64)  # by publisher

    def note(self, numbered: Iterable[Int32s | tuple[int, int]]) -> None:
        """(publisher, device) pairs, or rows of such, that sent numbers which are durable now.

        They are kept as they are until `answers`, which is to be called each second.
        """
        self._noted += [np.reshape(rows, (-1, 2)) for rows in numbered]

    def answers(
        self, sequences: SequenceTracker, devices: Mapping[int, Device], now: int
    ) -> list[tuple[str, bytes]]:
        """(topic, payload) for all whose turn it is, who was told longest ago first."""
        self._take_noted()
        chosen = self._turn(now)
        is_told = np.isin(self._due >> 32, chosen)
        told, self._due = self._due[is_told], self._due[~is_told]
        self._told_at[chosen] = now
        of: dict[int, list[int]] = {publisher: [] for publisher in chosen.tolist()}
        for pair in told.tolist():
            of[pair >> 32].append(pair & _DEVICE)
        found = []
        for publisher, carried in of.items():
            payload = _payload(publisher, carried, sequences, devices)
            if payload is not None and publisher in devices:
                device = devices[publisher]
                found.append((ack_topic(device.kind, device.name), payload))
        return found

    def _take_noted(self) -> None:
        noted, self._noted = self._noted, []
        if noted:
            publisher, device = np.concatenate(noted).T.astype(np.int64)
            self._due = distinct_ids(np.r_[self._due, publisher << 32 | device])
            more = int(publisher.max()) + 1 - len(self._told_at)
            self._told_at = np.r_[self._told_at, np.full(max(more, 0), _NEVER)]

    def _turn(self, now: int) -> Int64s:
        """The publishers that may be told now, at most AT_ONCE."""
        waiting: Int64s = distinct_ids(self._due >> 32)
        ready = waiting[now - self._told_at[waiting] >= EVERY_MS]
        return ready[np.argsort(self._told_at[ready], kind="stable")][:AT_ONCE]


def _payload(
    publisher: int, told: list[int], sequences: SequenceTracker, devices: Mapping[int, Device]
) -> bytes | None:
    if told == [publisher]:
        return msgspec.json.encode(sequences.acknowledgement(publisher))
    found = [
        answer
        for device in told
        if device in devices
        and (answer := sequences.acknowledgement(device, devices[device].name)) is not None
    ]
    return msgspec.json.encode(found) if found else None
