"""Network servers as intake hears them: connections, and what two of them hear alike.

An application is in the urgent lane or in the routine one. Where the routine connection reads all
applications, it hears the urgent ones, too, and passes them over once it is certain that the urgent
connection has them: a broker hands out in order, so from the first message on that both have heard,
the urgent one hears all that follows::

    urgent     ·  ·  c  d  e        subscribed later than routine, or was away
    routine    a  b  c  d  e
    journaled  a  b  —  —  —        by routine; c, d, e by urgent

Refuses to know what is in messages.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np

from devices.frames import Lane
from devices.networks.messages import Ignored, NetworkMessage
from devices.outcomes import Rejected
from ingest.messages import Arrival, chosen_rows, topic_text
from ingest.mqtt import BrokerAddress
from ingest.receipts import payload_hash

REMEMBERED: Final = 4_096
FILTERS_KEPT: Final = 500


@dataclass(frozen=True, slots=True)
class Network:
    """One network server. ``filters`` of a lane may be empty: it has no connection then.

    ``is_urgent`` says of a topic whether it belongs to an urgent application; ``keeps_session``
    whether the server's broker keeps messages for us while we are away.
    """

    name: str
    broker: BrokerAddress
    read: Callable[[str, bytes], NetworkMessage | Ignored | Rejected]
    filters: Mapping[Lane, Sequence[str]]
    is_urgent: Callable[[str], bool]
    keeps_session: bool


@dataclass(frozen=True, slots=True)
class Feed:
    """What a lane does with the messages of one connection to a network server.

    ``sift`` is called before they are taken in, ``heard`` when they are durable.
    """

    network: str
    sift: Callable[[Arrival], Arrival] | None = None
    heard: Callable[[Arrival], None] | None = None


class Overlap:
    """Which messages both connections of a network have heard. Thread-safe."""

    def __init__(self, is_urgent: Callable[[str], bool]) -> None:
        self._is_urgent = is_urgent
        self._heard = _Recent()  # by the urgent connection
        self._kept = _Recent()  # by the routine one
        self._is_ahead = False
        self._lock = Lock()

    def heard(self, arrival: Arrival) -> None:
        """The urgent connection's messages are durable."""
        with self._lock:
            for message in zip(arrival.topics, arrival.payloads, strict=True):
                hashed = payload_hash(*message)
                self._heard.add(hashed)
                self._is_ahead |= hashed in self._kept

    def lost(self) -> None:
        """The urgent connection ended or begins anew: it may have missed something."""
        with self._lock:
            self._heard, self._kept = _Recent(), _Recent()
            self._is_ahead = False

    def sift(self, arrival: Arrival) -> Arrival:
        """The routine connection's messages without those that the urgent one has."""
        messages = zip(arrival.topics, arrival.payloads, strict=True)
        with self._lock:
            rows = [row for row, message in enumerate(messages) if self._is_kept(*message)]
        if len(rows) == len(arrival.topics):
            return arrival
        return chosen_rows(arrival, np.array(rows, np.intp))

    def _is_kept(self, topic: bytes, payload: bytes) -> bool:
        if not self._is_urgent(topic_text(topic)):
            return True
        if not self._is_ahead:
            hashed = payload_hash(topic, payload)
            self._kept.add(hashed)
            self._is_ahead |= hashed in self._heard
        return not self._is_ahead


class _Recent:
    """The newest hashes of messages, REMEMBERED of them."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, hashed: int) -> bool:
        return hashed in self._hashes

    def add(self, hashed: int) -> None:
        self._hashes[hashed] = None
        if len(self._hashes) > REMEMBERED:
            self._hashes.popitem(last=False)


def retired_filters(file: Path, connection: str, filters: Collection[str]) -> list[str]:
    """Filters that this connection had in earlier settings and has no more; the file is kept.

    A broker keeps subscriptions with the session. Raises OSError; a file that is no JSON is begun
    anew.
    """
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    before = [one for one in known.get(connection, ()) if isinstance(one, str)]
    ever = list(dict.fromkeys([*filters, *before]))[:FILTERS_KEPT]
    if ever != before:
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps({**known, connection: ever}), encoding="utf-8")
        draft.replace(file)
    return [one for one in ever if one not in filters]
