"""Publications on their way out: in real time, faster, or as fast as the broker answers.

Runs in a thread and stops cleanly at an event; the ``async`` forms wrap that. Refuses to know where
publications come from.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from firmware_sim.encode import Publication
from firmware_sim.fleet import Fleet

_TICK_S = 0.1


class Sink(Protocol):
    """Takes messages; blocks while it can take no more, raises when it never will."""

    def publish(self, topic: str, payload: bytes) -> object:
        """Publish one message."""


class Schedule(Protocol):
    """Something that makes publications as time goes by (a Fleet, a scenario over one)."""

    def step(self, until_at: int) -> list[Publication]:
        """What leaves up to ``until_at`` (ms UTC) and has not left yet, ordered by time."""


def play(
    publications: Iterable[Publication],
    sink: Sink,
    stop: threading.Event,
    *,
    speed: float | None = None,
) -> int:
    """Publish all, or until ``stop``; returns how many.

    ``speed`` None: as fast as the sink takes them. Else their ``at`` sets the rhythm, the first one
    at once: 1 in real time, 60 a minute in a second.
    """
    begun_s = time.monotonic()
    first_at: int | None = None
    count = 0
    for publication in publications:
        if first_at is None:
            first_at = publication.at
        if speed is not None:
            due_s = begun_s + (publication.at - first_at) / 1000.0 / speed
            if stop.wait(max(0.0, due_s - time.monotonic())):
                break
        elif stop.is_set():
            break
        sink.publish(publication.topic, publication.payload)
        count += 1
    return count


def live(schedule: Schedule, sink: Sink, stop: threading.Event, *, now: Callable[[], int]) -> int:
    """Publish what a schedule makes, at the time that it says, until ``stop``; returns how many.

    After a pause (a broker that was away) what was due in the meantime is published at once.
    """
    count = 0
    while not stop.wait(_TICK_S):
        for publication in schedule.step(now()):
            sink.publish(publication.topic, publication.payload)
            count += 1
            if stop.is_set():
                break
    return count


async def play_async(
    publications: Iterable[Publication], sink: Sink, *, speed: float | None = None
) -> int:
    """`play` in a thread; cancelling stops it before the next message."""
    stop = threading.Event()
    return await _in_thread(lambda: play(publications, sink, stop, speed=speed), stop)


async def live_async(schedule: Schedule, sink: Sink, *, now: Callable[[], int]) -> int:
    """`live` in a thread; cancelling stops it before the next message."""
    stop = threading.Event()
    return await _in_thread(lambda: live(schedule, sink, stop, now=now), stop)


async def _in_thread(work: Callable[[], int], stop: threading.Event) -> int:
    thread = asyncio.create_task(asyncio.to_thread(work), name="firmware_sim.player")
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        await thread
        raise


_: type[Schedule] = Fleet
