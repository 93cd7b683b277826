"""From an encoded reading to the message that leaves: gateways, lost coverage, loss, repetition.

element ─▶ coverage? ─ no ─▶ held until it returns, then many in one message
              │ yes
              ▼
           message ─▶ lost on the air (0.6 %) | sent | sent twice (0.4 %)
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.kinds import KINDS
from devices.readings import Indices, Int64s
from firmware_sim import encode, noise
from firmware_sim.city import CityDevice
from firmware_sim.encode import Publication
from firmware_sim.firmware import LOSS, REPETITION

_ELEMENTS_A_MESSAGE = 24
_BETWEEN_MESSAGES_MS = 40


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """An element that waits for coverage; ordered by when it was measured."""

    at: int
    device: int
    order: int
    element: str


class Outgoing:
    """What waits to leave, by time. ``is_flawless``: the air loses nothing."""

    def __init__(self, city: Sequence[CityDevice], *, seed: int, is_flawless: bool) -> None:
        self._city = city
        self._seed = seed
        self._is_flawless = is_flawless
        self._topics = [_topic(d) for d in city]
        self._held: dict[int, list[Held]] = {}
        self._leaving: list[tuple[int, int, int, Publication]] = []
        self._order = 0

    def delays_ms(
        self, device: Indices, at: Int64s, is_sure: NDArray[np.bool_]
    ) -> list[tuple[int, ...]]:
        """When each message of ``device[i]`` at ``at[i]`` arrives: (0,), never (), or twice."""
        if self._is_flawless:
            return [(0,)] * len(device)
        chance = noise.uniform(self._seed, 831, device, at)
        chance[is_sure] = 1.0
        return [_fate(c) for c in chance.tolist()]

    def send(self, device: int, at: int, elements: list[str], delays_ms: tuple[int, ...]) -> None:
        """Messages of one device, each copy of them after its delay."""
        for offset in range(0, len(elements), _ELEMENTS_A_MESSAGE):
            payload = encode.message(elements[offset : offset + _ELEMENTS_A_MESSAGE])
            for delay_ms in delays_ms:
                leaves_at = at + offset + delay_ms  # later messages a little later
                self.post(device, Publication(leaves_at, self._topics[device], payload))

    def hold(self, device: int, at: int, elements: list[str], until_at: int) -> None:
        """Keep elements until the coverage returns at ``until_at``."""
        waiting = self._held.setdefault(until_at, [])
        for element in elements:
            self._order += 1
            waiting.append(Held(at, device, self._order, element))

    def post(self, device: int, publication: Publication) -> None:
        """Let a publication leave at its time, whatever the air is like."""
        self._order += 1
        heapq.heappush(self._leaving, (publication.at, device, self._order, publication))

    def take(self, until_at: int) -> list[Publication]:
        """All that leaves up to ``until_at`` (inclusive), ordered by time, then device."""
        for back_at in sorted(at for at in self._held if at <= until_at):
            self._release(back_at, self._held.pop(back_at))
        taken = []
        while self._leaving and self._leaving[0][0] <= until_at:
            taken.append(heapq.heappop(self._leaving)[-1])
        return taken

    def _release(self, back_at: int, waiting: list[Held]) -> None:
        by_topic: dict[str, list[Held]] = {}
        for held in sorted(waiting):
            by_topic.setdefault(self._topics[held.device], []).append(held)
        for topic, held_here in by_topic.items():
            for k, first in enumerate(range(0, len(held_here), _ELEMENTS_A_MESSAGE)):
                part = held_here[first : first + _ELEMENTS_A_MESSAGE]
                payload = encode.message([h.element for h in part])
                leaves_at = back_at + k * _BETWEEN_MESSAGES_MS
                self.post(part[0].device, Publication(leaves_at, topic, payload))


def _fate(chance: float) -> tuple[int, ...]:
    if chance < LOSS:
        return ()
    if chance < LOSS + REPETITION:
        return (0, 60 + int(chance * 1e6) % 400)
    return (0,)


def _topic(device: CityDevice) -> str:
    if device.gateway:
        return encode.gateway_topic(device.gateway, KINDS[device.kind].lane)
    return encode.up_topic(device.kind, device.name)
