"""Server-sent events: each change encoded and packed once a view, however many look.

::

    board ─ touched ─▶ EventHub ── one Frame a view ──▶ Subscriber (at most 16 frames) ─▶ browser
                        every 250 ms at most             full: dropped, a fresh snapshot follows

Lives in one event loop. Refuses to know sessions (it is told which ended) and journals.
"""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dashboards.board import Board, Changes
from dashboards.permissions import View

PERIOD_S: Final = 0.25
MAX_STREAMS: Final = 2000
MAX_STREAMS_A_PERSON: Final = 50
_MAX_WAITING: Final = 16
_STUCK_S: Final = 60.0
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class Frame:
    """One event on the wire, plain or as deflate blocks that stand for themselves.

    The packed form ends at a byte boundary and refers to nothing before it (``Z_FULL_FLUSH``), so
    one compression serves every browser: a gzip header, then such frames one after another.
    """

    def __init__(self, event: str, data: bytes) -> None:
        self.data = data
        self.plain = b"event: %b\ndata: %b\n\n" % (event.encode(), data)

    @cached_property
    def packed(self) -> bytes:
        """The frame as raw deflate blocks."""
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packer.compress(self.plain) + packer.flush(zlib.Z_FULL_FLUSH)

    @cached_property
    def data_gzipped(self) -> bytes:
        """The data alone as a whole gzip file."""
        return gzip.compress(self.data, 1)


@dataclass(eq=False, slots=True)
class Subscriber:
    """One open stream: whose, what may be seen, and what waits to be sent."""

    view: View
    session: str
    person: int
    waiting: deque[Frame] = field(default_factory=deque)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    needs_snapshot: bool = True
    is_ended: bool = False

    def send(self, frame: Frame) -> None:
        """Queue a frame; a stream that is too slow starts afresh with a snapshot."""
        if self.needs_snapshot:
            return  # the snapshot to come will hold it
        if len(self.waiting) >= _MAX_WAITING:
            self.start_afresh()
            return
        self.waiting.append(frame)
        self.woken.set()

    def start_afresh(self) -> None:
        """Forget what waits; the next thing sent is a snapshot."""
        self.waiting.clear()
        self.needs_snapshot = True
        self.woken.set()

    def end(self) -> None:
        """Send nothing more and close."""
        self.waiting.clear()
        self.is_ended = True
        self.woken.set()


@dataclass(slots=True)
class EventCounts:
    """What the hub did since the start."""

    frames: int = 0
    encoded_bytes: int = 0
    snapshots: int = 0
    dropped_to_snapshot: int = 0


class TooManyStreams(Exception):
    """No further stream for this person, or at all; answer 503 and let the browser come again."""


class EventHub:
    """Gives every subscriber the changes of its view, at most four times a second."""

    def __init__(self, board: Board, now: Callable[[], int], clock: Callable[[], bytes]) -> None:
        """``clock`` gives the data of the ``clock`` event as JSON."""
        self.counts = EventCounts()
        self._board = board
        self._now = now
        self._clock = clock
        self._subscribers: set[Subscriber] = set()
        self._changed = asyncio.Event()
        self._snapshots: dict[View, Frame] = {}  # made since the last publish

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def sessions(self) -> set[str]:
        """The sessions (token hashes) that hold streams open."""
        return {subscriber.session for subscriber in self._subscribers}

    def subscribe(self, view: View, session: str, person: int) -> Subscriber:
        """A new stream, until it leaves; raises TooManyStreams."""
        own = sum(subscriber.person == person for subscriber in self._subscribers)
        if own >= MAX_STREAMS_A_PERSON or len(self._subscribers) >= MAX_STREAMS:
            raise TooManyStreams
        subscriber = Subscriber(view, session, person)
        self._subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """The stream is closed."""
        self._subscribers.discard(subscriber)

    async def frames(self, subscriber: Subscriber) -> AsyncIterator[Frame]:
        """What to send to this subscriber, until it is ended."""
        while not subscriber.is_ended:
            if subscriber.needs_snapshot:
                subscriber.needs_snapshot = False
                self.counts.snapshots += 1
                yield self.snapshot(subscriber.view)
                yield Frame("clock", self._clock())
            elif subscriber.waiting:
                yield subscriber.waiting.popleft()
            else:
                subscriber.woken.clear()
                await subscriber.woken.wait()

    def snapshot(self, view: View) -> Frame:
        """All that the view sees; one for all who ask between two publications.

        What changes after it was made is yet to be sent, so a stream may begin with it, and a
        crowd that comes back after a restart costs as much as one page.
        """
        if view not in self._snapshots:
            self._snapshots[view] = Frame("snapshot", self._board.snapshot(view, self._now()))
        return self._snapshots[view]

    def changed(self) -> None:
        """The board has changed: publish soon."""
        self._changed.set()

    def start_all_afresh(self) -> None:
        """Every stream gets a snapshot next (devices went or may be seen by others now)."""
        self._snapshots.clear()
        for subscriber in self._subscribers:
            subscriber.start_afresh()

    def tell_clock(self) -> None:
        """Send the ``clock`` event to everybody."""
        self._send_all(Frame("clock", self._clock()))

    def keep_sessions(self, living: Mapping[str, View], asked: Collection[str]) -> None:
        """End the streams of those ``asked`` for that do not live, or may see something else now.

        Streams that came since they were asked for stay.
        """
        for subscriber in self._subscribers:
            is_asked = subscriber.session in asked
            if is_asked and living.get(subscriber.session) != subscriber.view:
                subscriber.end()

    def end_session(self, session: str) -> None:
        """End the streams of one session."""
        for subscriber in self._subscribers:
            if subscriber.session == session:
                subscriber.end()

    def close(self) -> None:
        """End all streams (the process stops)."""
        for subscriber in self._subscribers:
            subscriber.end()

    async def run(self) -> None:
        """Publish changes until cancelled: at once, but at most every 250 ms.

        Encoding may take a quarter of the time at most: with more changes than that, frames
        become fewer and larger.
        """
        while True:
            await self._changed.wait()
            self._changed.clear()
            started = time.monotonic()
            self.publish()
            took_s = time.monotonic() - started
            await asyncio.sleep(max(PERIOD_S, 4 * took_s))

    def publish(self) -> None:
        """Send what changed since the last time, one frame a view."""
        changes = self._board.touched()
        self._snapshots.clear()
        frames: dict[View, Frame | None] = {}
        for subscriber in self._subscribers:
            if subscriber.needs_snapshot:
                continue
            if subscriber.view not in frames:
                frames[subscriber.view] = self._frame(subscriber.view, changes)
            frame = frames[subscriber.view]
            if frame is not None:
                self._send(subscriber, frame)

    def _frame(self, view: View, changes: Changes) -> Frame | None:
        data = self._board.changes(view, changes, self._now())
        if data is None:
            return None
        self.counts.frames += 1
        self.counts.encoded_bytes += len(data)
        return Frame("changes", data)

    def _send_all(self, frame: Frame) -> None:
        for subscriber in self._subscribers:
            self._send(subscriber, frame)

    def _send(self, subscriber: Subscriber, frame: Frame) -> None:
        was_waiting = subscriber.needs_snapshot
        subscriber.send(frame)
        if subscriber.needs_snapshot and not was_waiting:
            self.counts.dropped_to_snapshot += 1


class EventStream(Response):
    """The response that carries one subscriber's frames until either side ends it."""

    media_type = "text/event-stream"

    def __init__(self, hub: EventHub, subscriber: Subscriber, *, is_packed: bool) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if is_packed:
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        super().__init__(headers=headers)
        del self.headers["content-length"]  # there is no end to count
        self._hub, self._subscriber, self._is_packed = hub, subscriber, is_packed

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        listener = asyncio.create_task(self._until_gone(receive), name="web.events.listener")
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for chunk in self._chunks():
                async with asyncio.timeout(_STUCK_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # the browser takes nothing any more: give it up, it comes again
        finally:
            self._hub.leave(self._subscriber)
            listener.cancel()

    async def _chunks(self) -> AsyncIterator[bytes]:
        if self._is_packed:
            yield _GZIP_HEADER
        async for frame in self._hub.frames(self._subscriber):
            yield frame.packed if self._is_packed else frame.plain

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscriber.end()
