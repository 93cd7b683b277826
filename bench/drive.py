"""Publishing and waiting: one phase of load against whoever consumes it.

Refuses to know who that is. A phase ends when everything acknowledged to the publishers was
consumed; what the publishers may be ahead is bounded, so that no broker fills the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bench.load import Load, Published
from bench.options import Options
from bench.progress import Progress

PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.1
_BROKER_BYTES_A_MESSAGE = 400  # mosquitto's own, beside the payload; measured 300 to 350
_QUEUED_BYTES = 1_500_000_000  # of payload; the shipped limit is 2 GiB a client, then it drops


class Consumer(Protocol):
    """Whoever takes the messages in."""

    def messages(self) -> int:
        """How many it has taken in for good since its start; up to a second old."""
        ...

    def check(self) -> None:
        """Raise BenchError if it is no longer what was started."""
        ...


def publish(
    load: Load,
    consumer: Consumer,
    options: Options,
    seconds: float,
    progress: Progress,
    *,
    rate: float | None = None,
    on_look: Callable[[Published], None] = lambda _: None,
) -> Published:
    """Publish for so long and wait until all acknowledged messages are consumed.

    Returns, too, when nothing has come for a minute: the comparison tells what is lost.
    """
    backlog = options.backlog or most_backlog(options)
    load.allow(consumer.messages() + backlog)
    load.begin(seconds, options.rate if rate is None else rate)
    while not load.is_done:
        time.sleep(_LOOK_EVERY_S)
        taken = consumer.messages()
        load.allow(taken + backlog)
        _look(load, consumer, taken, progress, on_look)
    published = load.published()
    _wait_for(published, load, consumer, progress, on_look)
    return published


def most_backlog(options: Options) -> int:
    """How many messages may wait in the broker: by its own limit and by the memory there is."""
    payload = 100 * options.readings_per_message
    by_memory = _available_bytes() / 2 / (payload + _BROKER_BYTES_A_MESSAGE)
    return int(min(_QUEUED_BYTES / payload, by_memory))


def _wait_for(
    published: Published,
    load: Load,
    consumer: Consumer,
    progress: Progress,
    on_look: Callable[[Published], None],
) -> None:
    taken, changed_at = -1, time.monotonic()
    while (now_taken := consumer.messages()) < published.acknowledged:
        if now_taken != taken:
            taken, changed_at = now_taken, time.monotonic()
        if time.monotonic() - changed_at > PATIENCE_S:
            progress.say(f"{taken:,} of {published.acknowledged:,} came; waited long for more")
            return
        _look(load, consumer, taken, progress, on_look)
        time.sleep(_LOOK_EVERY_S / 4)


def _look(
    load: Load,
    consumer: Consumer,
    taken: int,
    progress: Progress,
    on_look: Callable[[Published], None],
) -> None:
    consumer.check()
    published = load.published()
    on_look(published)
    progress.now_and_then(f"{published.acknowledged:,} acknowledged, {taken:,} taken in")


def _available_bytes() -> float:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / 2
