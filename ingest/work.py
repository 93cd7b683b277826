"""What waits to be taken in by a lane together, and the frames that it becomes.

Refuses to know threads, the journal and acknowledgements (``ingest.intake_lane``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from devices.frames import BrokerFrame, Frame, RejectedFrame, TickFrame
from devices.registry import RegistrySnapshot
from ingest.lane import LaneState
from ingest.messages import Arrival, Tally
from ingest.mqtt import Gathered
from ingest.networks import Feed
from ingest.precedence import slices


@dataclass(slots=True)
class Work:
    """What waits to be taken in together."""

    snapshot: RegistrySnapshot | None = None
    forgotten: list[tuple[str, int]] = field(default_factory=list)
    events: list[Frame] = field(default_factory=list)
    gathered: list[Gathered] = field(default_factory=list)
    put: list[Arrival] = field(default_factory=list)
    refused: list[RejectedFrame] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)
    floors: dict[int, int] = field(default_factory=dict)
    done: list[asyncio.Future[None]] = field(default_factory=list)
    tick: TickFrame | None = None
    feeds: Mapping[str, Feed] = field(default_factory=dict)

    def arrival(self, gathered: Gathered) -> Arrival:
        """What has gathered on one connection, as it is to be taken in."""
        feed = self.feeds.get(gathered.connection)
        arrival = as_arrival(gathered, feed.network if feed else "")
        return feed.sift(arrival) if feed and feed.sift else arrival

    def forget(self, connection: str) -> None:
        """The session of this connection is lost, after all that has gathered so far."""
        self.forgotten.append((connection, len(self.gathered)))

    def inputs(self) -> Iterator[Arrival | str]:
        """All messages, our own ones last; a connection's name where its session ended."""
        for index, gathered in enumerate(self.gathered):
            yield from (name for name, before in self.forgotten if before == index)
            yield self.arrival(gathered)
        yield from (name for name, before in self.forgotten if before == len(self.gathered))
        yield from self.put


def frames_of(
    state: LaneState, work: Work, at: int, give_way: Callable[[], None]
) -> tuple[list[Frame], Tally]:
    """What the journal is to hold of a batch: registry, events, messages, tick.

    ``give_way`` is called before each stretch of work.
    """
    tally = Tally()
    frames: list[Frame] = []
    if work.snapshot is not None:
        frames += state.switch(work.snapshot, at)
    state.resubmitted -= work.noted
    for epoch, floor in work.floors.items():
        state.translations.raise_floor(epoch, floor)
    for event in work.events:
        if isinstance(event, BrokerFrame):
            state.budgets.heed_link(event)
    frames += work.events
    for given in work.inputs():
        if isinstance(given, str):
            state.receipts.forget(given)
            continue
        for piece in slices(given):
            give_way()
            frames += state.take_in(piece, tally)
    frames += state.refuse(work.refused, tally)
    if work.tick is not None:
        state.ticked_at = work.tick.at
        state.budgets.refill(work.tick.at)
        frames.append(work.tick)
    return frames, tally


def as_arrival(gathered: Gathered, network: str = "") -> Arrival:
    """What has gathered on one connection as columns."""
    publishes = gathered.publishes
    ids = np.frombuffer(b"".join(publishes.packet_ids), ">u2").astype(np.uint16)
    return Arrival(
        gathered.connection,
        publishes.topics,
        publishes.payloads,
        ids,
        publishes.redelivered,
        gathered.received_at(),
        network,
    )
