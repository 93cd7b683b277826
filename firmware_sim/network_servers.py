"""A LoRaWAN network server that does not exist: radio, sessions, queues of downlinks.

Devices are of class A: what waits for one leaves after its next uplink, and a confirmed one is
acknowledged by the uplink after that::

    uplink 1 ──▶ sent ──▶ uplink 2 (acknowledges) ──▶ acknowledged

Some messages come twice, some after the one that followed them. Chance is hashed from the seed.
Refuses to know how a server writes all this (``firmware_sim.network_dialects``) and MQTT.
"""

from __future__ import annotations

import heapq
import json
import queue
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot, log10
from typing import Final, Protocol

import structlog

from firmware_sim import noise
from firmware_sim.encode import Publication
from firmware_sim.lorawan import FRAMES, Frame, interval_s
from firmware_sim.network_dialects import Dialect, Heard, Item, Message, Node, Sent
from firmware_sim.storm import KM_PER_DEG_LAT, KM_PER_DEG_LON

log = structlog.get_logger()

MAX_DOWNLINK_BYTES: Final = 51
"""What fits at the data rate of a device far away (SF10 at 400 ms dwell time has less still)."""
_MOST_WAITING: Final = 16
_HEARD_BY: Final = 3
_REPEATED_AFTER_MS: Final = 1_500
_LATE_MS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway: its EUI in lower case, and its place, which not every one has been given."""

    eui: str
    latitude: float
    longitude: float
    is_placed: bool = True


@dataclass(frozen=True, slots=True)
class Station:
    """A device of a kind in ``lorawan.FRAMES`` at its place."""

    node: Node
    kind: str
    latitude: float
    longitude: float


@dataclass(slots=True)
class _Link:
    """What the server keeps of one device."""

    number: int = 0
    has_joined: bool = False
    waiting: deque[Item] = field(default_factory=deque)
    unanswered: Item | None = None
    interval_s: int | None = None


class NetworkServer:
    """One server with its gateways and devices; not for two threads, but for ``hear``."""

    def __init__(
        self,
        dialect: Dialect,
        stations: Sequence[Station],
        gateways: Sequence[Gateway],
        *,
        seed: int,
        repeated: float = 0.01,
        late: float = 0.01,
    ) -> None:
        """``repeated`` and ``late`` are shares of messages (0–1)."""
        self.dialect, self._gateways, self._seed = dialect, tuple(gateways), seed
        self._repeated, self._late = repeated, late
        self._stations = {one.node.dev_eui: one for one in stations}
        self._nodes = {eui: one.node for eui, one in self._stations.items()}
        self._by_name = {one.node.name: one.node.dev_eui for one in stations}
        self._links = {eui: _Link() for eui in self._stations}
        self._told: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    def __contains__(self, name: str) -> bool:
        """Whether a device of this name hangs on this server."""
        return name in self._by_name

    def kind_of(self, name: str) -> str:
        """The kind of a device."""
        return self._stations[self._by_name[name]].kind

    def interval_s(self, name: str) -> int | None:
        """The interval that a downlink has set in a device, None where none came."""
        return self._links[self._by_name[name]].interval_s

    def hear(self, topic: str, payload: bytes) -> None:
        """A command for the server; from any thread, heeded at the next ``answers``."""
        self._told.put((topic, payload))

    def answers(self, at: int) -> list[Publication]:
        """Heed what was heard: what the server says of it at once."""
        found: list[Publication] = []
        while not self._told.empty():
            topic, payload = self._told.get()
            for item in self._understood(topic, payload):
                found += self._published(at, self._queue(at, item))
        return found

    def uplink(
        self, name: str, at: int, frame: Frame, *, is_confirmed: bool = False
    ) -> list[Publication]:
        """A device sends: what the server says of it, and of what waited for it; not in order."""
        station = self._stations[self._by_name[name]]
        node, link = station.node, self._links[station.node.dev_eui]
        heard = self._heard(station, link.number, at)
        messages = [] if link.has_joined else self.dialect.joined(node, at - 500)
        link.has_joined = True
        sent = Sent(at, link.number, frame, heard, is_confirmed=is_confirmed)
        messages += self.dialect.uplink(node, sent)
        link.number += 1
        messages += self._after_uplink(node, link, at, heard[0])
        return self._published(at, messages, (*name.encode(), link.number))

    def _after_uplink(self, node: Node, link: _Link, at: int, by: Heard) -> list[Message]:
        messages: list[Message] = []
        if link.unanswered:
            messages += self.dialect.answered(node, at + 10, link.unanswered, is_ack=True)
            link.unanswered = None
        if link.waiting:
            item = link.waiting.popleft()
            messages += self.dialect.transmitted(node, at + 1000, item, by)
            link.interval_s = interval_s(item.frame) or link.interval_s
            link.unanswered = item if item.is_confirmed else None
        return messages

    def _understood(self, topic: str, payload: bytes) -> Sequence[Item]:
        try:
            return self.dialect.understood(topic, payload, self._nodes)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, json.JSONDecodeError):
            log.warning("network_server.command.unreadable", topic=topic[:200])
            return ()

    def _queue(self, at: int, item: Item) -> list[Message]:
        node, link = self._nodes[item.dev_eui], self._links[item.dev_eui]
        if len(item.frame.payload) > MAX_DOWNLINK_BYTES or len(link.waiting) >= _MOST_WAITING:
            return self.dialect.refused(node, at, item, MAX_DOWNLINK_BYTES)
        link.waiting.append(item)
        return self.dialect.queued(node, at, item)

    def _heard(self, station: Station, number: int, at: int) -> tuple[Heard, ...]:
        """The nearest gateways, by a path loss of 35 dB a decade and 6 dB of fading."""
        ranked = sorted(self._gateways, key=lambda one: _km(station, one))[:_HEARD_BY]
        keys = [int(station.node.dev_eui[-6:], 16), number, at]
        found = []
        for n, gateway in enumerate(ranked):
            fading = 6.0 * float(noise.normal(self._seed, 901 + n, *keys)[0])
            rssi = -52.0 - 35.0 * log10(max(_km(station, gateway), 0.05) * 10) + fading
            if n and rssi < -132:
                continue  # too far; the nearest hears it in any case
            place = (gateway.latitude, gateway.longitude) if gateway.is_placed else None
            snr = max(-20.0, min(rssi + 120.0, 11.0))
            found.append(Heard(gateway.eui, round(max(rssi, -137)), round(snr * 4) / 4, place))
        return tuple(found)

    def _published(
        self, at: int, messages: Sequence[Message], keys: Sequence[int] = ()
    ) -> list[Publication]:
        """As they leave: some twice, some late. ``keys`` empty: neither."""
        found = []
        for n, (topic, payload) in enumerate(messages):
            leaves_at = at + 250 + n
            if keys:
                twice, late = (
                    float(noise.uniform(self._seed, stream, n, *keys)[0]) for stream in (911, 912)
                )
                leaves_at += _LATE_MS if late < self._late else 0
                if twice < self._repeated:
                    found.append(Publication(leaves_at + _REPEATED_AFTER_MS, topic, payload))
            found.append(Publication(leaves_at, topic, payload))
        return found


class Schedule(Protocol):
    """Something that makes publications as time goes by (``firmware_sim.player``)."""

    def step(self, until_at: int) -> list[Publication]: ...


class OverNetworkServer:
    """A fleet some of whose devices speak LoRaWAN: their readings go by way of a network server."""

    def __init__(self, fleet: Schedule, server: NetworkServer) -> None:
        self._fleet, self._server = fleet, server
        self._leaving: list[tuple[int, int, Publication]] = []
        self._count = 0

    def step(self, until_at: int) -> list[Publication]:
        """What leaves up to ``until_at`` and has not left yet, ordered by time."""
        for publication in self._fleet.step(until_at):
            for one in self._by_way_of_server(publication):
                self._put(one)
        for one in self._server.answers(until_at):
            self._put(one)
        found = []
        while self._leaving and self._leaving[0][0] <= until_at:
            found.append(heapq.heappop(self._leaving)[2])
        return found

    def _put(self, publication: Publication) -> None:
        self._count += 1
        heapq.heappush(self._leaving, (publication.at, self._count, publication))

    def _by_way_of_server(self, publication: Publication) -> list[Publication]:
        parts = publication.topic.split("/")
        name = parts[3] if len(parts) > 4 else ""
        if name not in self._server:
            return [publication]
        if parts[4] != "up":
            return []  # a LoRaWAN device has no status topic
        frame_of = FRAMES[self._server.kind_of(name)]
        said = json.loads(publication.payload)
        newest = said[-1] if isinstance(said, list) else said  # it keeps nothing for later
        values: Mapping[str, float] = newest["v"]
        return self._server.uplink(name, publication.at, frame_of(values))


def _km(station: Station, gateway: Gateway) -> float:
    return hypot(
        (station.latitude - gateway.latitude) * KM_PER_DEG_LAT,
        (station.longitude - gateway.longitude) * KM_PER_DEG_LON,
    )
