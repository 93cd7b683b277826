"""Both lanes' journals read as one stream, urgent first, with what was lost said once.

Refuses to know what the frames are for. Shared by the readers that live beside each other in web
(store writer, quarantine).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog

from devices.frames import Entry, Lane, Position
from ingest.journal_follower import PositionLost
from ingest.segments import JournalDamaged

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0


class Follower(Protocol):
    """A reader of one lane's journal (``ingest.journal_follower``)."""

    lane: Lane

    def head(self) -> Position | None: ...
    def read(self, after: Position | None, *, max_bytes: int = ...) -> list[Entry]: ...
    async def wait(self, timeout_s: float = ...) -> None: ...
    def retain(self, position: Position | None) -> None: ...


@dataclass(slots=True)
class _Pause:
    """How long a lane that cannot be read is left alone."""

    until: float = 0.0
    length_s: float = _FIRST_PAUSE_S

    def lengthen(self, now: float) -> None:
        self.until = now + self.length_s
        self.length_s = min(2 * self.length_s, _LONGEST_PAUSE_S)


class LanesReader:
    """Reads on from one position a lane; all but ``wait`` from one thread at a time."""

    def __init__(
        self,
        name: str,
        followers: Mapping[Lane, Follower],
        *,
        read_bytes: int = 4 << 20,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``name`` stands in the log where frames are lost; ``read_bytes`` bounds one read."""
        self._name, self._followers, self._read_bytes = name, followers, read_bytes
        self.lanes = tuple(lane for lane in (Lane.URGENT, Lane.ROUTINE) if lane in followers)
        self.heads: dict[Lane, Position | None] = dict.fromkeys(self.lanes)
        self.losses = 0  # how often frames were gone or damaged before they were read
        self._read_to: dict[Lane, Position | None] = dict.fromkeys(self.lanes)
        self._troubles: dict[Lane, str] = {}
        self._pauses = {lane: _Pause() for lane in self.lanes}
        self._monotonic = monotonic

    def start(self, positions: Mapping[Lane, Position]) -> None:
        """Read on after these; the journal keeps what follows them from now on."""
        for lane in self.lanes:
            self._read_to[lane] = positions.get(lane)
            self._followers[lane].retain(positions.get(lane))

    def look(self) -> None:
        """Note the newest position of each lane in ``heads``."""
        self.heads = {lane: self._followers[lane].head() for lane in self.lanes}

    def read(self) -> tuple[Lane, list[Entry]] | None:
        """New entries of the first lane that has any, urgent before routine."""
        for lane in self.lanes:
            if self._monotonic() < self._pauses[lane].until:
                continue
            if entries := self._read(lane):
                self._read_to[lane] = entries[-1].position
                return lane, entries
        return None

    def retain(self, positions: Mapping[Lane, Position]) -> None:
        """Let the journal go up to these positions."""
        for lane, position in positions.items():
            self._followers[lane].retain(position)

    async def wait(self, timeout_s: float) -> None:
        """Until any lane has something new, ``timeout_s`` at the latest."""
        waits = [
            asyncio.ensure_future(self._followers[lane].wait(timeout_s)) for lane in self.lanes
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _read(self, lane: Lane) -> list[Entry]:
        try:
            return self._followers[lane].read(self._read_to[lane], max_bytes=self._read_bytes)
        except PositionLost as lost:
            if self._troubles.get(lane) == str(lost):  # again, at a segment of another journal
                self._read_to[lane] = lost.after
                self._say(lane, lost)
            else:
                self._go_on_after(lane, lost, None)  # from the oldest kept: some are seen again
        except JournalDamaged as damaged:
            if damaged.resume_after is None:
                self._say(lane, damaged)
            else:
                self._go_on_after(lane, damaged, damaged.resume_after)
        return []

    def _go_on_after(self, lane: Lane, loss: Exception, position: Position | None) -> None:
        self.losses += 1
        self._say(lane, loss)
        self._read_to[lane] = position

    def _say(self, lane: Lane, trouble: Exception) -> None:
        """Once; met again, the lane rests a while, so that it takes no time from the other."""
        if self._troubles.get(lane) == str(trouble):
            self._pauses[lane].lengthen(self._monotonic())
        else:
            self._troubles[lane] = str(trouble)
            self._pauses[lane] = _Pause()
            log.error("journal.frames.lost", reader=self._name, lane=lane, reason=str(trouble))


async def finish(worker: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run in the worker thread; a cancellation waits for the end of the work before it goes on."""
    task = asyncio.get_running_loop().run_in_executor(worker, work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: what failed is done again from the journal
        raise
