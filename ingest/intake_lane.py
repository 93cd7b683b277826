"""Runs one lane: what has gathered becomes a batch, the batch durable, then acknowledged, in order.

    gather ──▶ batch 1 ──▶ journal ──▶ PUBACKs
    gather ············ ──▶ batch 2 ──▶ journal ──▶ PUBACKs        one batch at a time,
                └─ at least 20 ms after the last began ─┘           one thread a lane

The thread works on the lane's state and the journal; the event loop only while it rests. Refuses to
know how a message becomes a frame (``ingest.lane``) and how it came (``ingest.mqtt``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeVar

import numpy as np
import structlog

from devices.failpoints import failpoint
from devices.frames import Frame, Lane, Position, RejectedFrame, TickFrame
from devices.registry import Registry, RegistrySnapshot
from ingest.device_ack import AckDesk
from ingest.intake_status import IntakeStatus
from ingest.journal import JournalFull, JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.lane import LaneState
from ingest.lane_snapshot import encode_snapshot, restore, save
from ingest.messages import Arrival
from ingest.mqtt import MAX_PENDING, Consumer, Gathered
from ingest.networks import Feed
from ingest.precedence import Precedence
from ingest.series_desk import SeriesDesk
from ingest.translations import Translations
from ingest.work import Work, as_arrival, frames_of

log = structlog.get_logger()

BATCH_EVERY_S: Final = 0.02
SNAPSHOT_EVERY_MS: Final = 10_000
RETRY_S: Final = 1.0

T = TypeVar("T")


class LaneRunner:
    """One lane's consumers, state, journal and thread."""

    def __init__(
        self,
        journal: JournalWriter,
        follower: JournalFollower,
        registry: Registry,
        status: IntakeStatus,
        now: Callable[[], int],
        precedence: Precedence,
        *,
        readings_per_minute: int = 0,
    ) -> None:
        """``precedence`` is the lanes' common one.

        ``readings_per_minute`` that a device may send (``ingest.budget``); 0 sets no limit.
        """
        self.lane: Lane = journal.lane
        self.consumers: list[Consumer] = []
        self._journal, self._follower, self._registry = journal, follower, registry
        self._status, self._counts, self._now = status, status.lanes[journal.lane], now
        self._precedence = precedence
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"intake-{self.lane}")
        self._feeds: dict[str, Feed] = {}
        self._work = Work(feeds=self._feeds)
        self._wake = asyncio.Event()
        self._rest = asyncio.Event()
        self._rest.set()
        self._desk = AckDesk()
        self._readings_per_minute = readings_per_minute
        self._saved_at = 0
        self._in_hand: list[Gathered] = []
        self._state: LaneState
        self._snapshot: RegistrySnapshot
        self._names: dict[int, str] = {}
        self.raw_journaled = 0
        self.on_raw: Callable[[], None] = _nobody
        """Called when raw frames are durable; ``raw_journaled`` of them since the start."""

    async def start(self, snapshot: RegistrySnapshot) -> None:
        """Rebuild the state from snapshot and journal; a new registry is journaled by `run`."""
        self._use(snapshot)
        self._state = LaneState(
            snapshot,
            SeriesDesk(self._registry.add_series),
            readings_per_minute=self._readings_per_minute,
        )
        await self._in_thread(lambda: restore(self._state, self._journal.directory, self._follower))
        if self._state.ticked_at:
            self._state.budgets.credit(self._now() - self._state.ticked_at)
        if begin := self._state.begin(snapshot, self._now()):
            # With the first batch: a lane whose disk is low must not keep the other one waiting.
            self._work.events += begin
            self._wake.set()
        else:
            await self._save(self._journal.position)

    @property
    def resubmitted(self) -> frozenset[int]:
        """Rows of the resubmission table that are in this journal and not yet forgotten."""
        return frozenset(self._state.resubmitted)

    def forget_resubmitted(self, rows: Collection[int]) -> None:
        """These are noted as done: nobody asks for them any more."""
        self._work.noted.update(rows)

    @property
    def translations(self) -> Translations:
        """What was translated of raw frames when this process began."""
        found = Translations()
        found.restore(self._state.translations.state())
        return found

    def keep_translations(self, epochs: Collection[int]) -> None:
        """Forget those of other epochs: no journal has frames of them. Before `run`."""
        self._state.translations.keep(epochs)

    def forget_translated(self, floor: Position) -> None:
        """Raw frames up to here are done: nobody asks for them any more."""
        self._work.floors[floor.epoch] = floor.n

    @property
    def known_connections(self) -> tuple[str, ...]:
        """Connections that had a session with the broker before this start."""
        return self._state.receipts.connections()

    def listen(self, consumer: Consumer, feed: Feed | None = None) -> None:
        """Take in what this connection hears, from a network server if there is a ``feed``."""
        self.consumers.append(consumer)
        if feed is not None:
            self._feeds[consumer.name] = feed

    # -- what others put in

    def wake(self) -> None:
        """Something has gathered."""
        self._wake.set()

    def add(self, event: Frame) -> None:
        """Journal this frame with the next batch, before its messages."""
        self._work.events.append(event)
        self._wake.set()

    def tick(self, at: int) -> None:
        """Journal a tick after the next batch; of several that wait, the newest."""
        self._work.tick = TickFrame(at)
        self._wake.set()

    def switch(self, snapshot: RegistrySnapshot) -> None:
        """Use this registry from the next batch on."""
        self._work.snapshot = snapshot
        self._wake.set()

    def forget(self, connection: str) -> None:
        """The broker has lost this connection's session."""
        for consumer in self.consumers:
            if consumer.name == connection:  # what is repeated of the old session comes before
                self._work.gathered += consumer.take()
        self._work.forget(connection)
        self._wake.set()

    def put(
        self, arrivals: Sequence[Arrival], refused: Sequence[RejectedFrame] = ()
    ) -> asyncio.Future[None]:
        """Take these messages in, from quarantine or translated; and what could not be translated.

        The future ends when all of it is durable.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._work.put.extend(arrivals)
        self._work.refused.extend(refused)
        self._work.done.append(done)
        self._wake.set()
        return done

    # -- the loop

    async def run(self) -> None:
        """Batch after batch, until cancelled (call `drain` before)."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wake.wait()
                self._rest.clear()
                self._wake.clear()
                began = loop.time()
                with self._right_of_way():
                    await self._take_in(self._collect())
                self._counts.last_commit_ms = (loop.time() - began) * 1000
                self._rest.set()
                await asyncio.sleep(began + BATCH_EVERY_S - loop.time())
        finally:
            self._rest.set()
            self._wake.clear()

    async def drain(self) -> None:
        """Return when everything that has gathered is durable and acknowledged, and state saved."""
        while self._wake.is_set() or not self._rest.is_set():
            await self._rest.wait()
            await asyncio.sleep(BATCH_EVERY_S)
        await self._save(self._journal.position)

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)

    def measure(self) -> None:
        """Put what is pending into the status."""
        waiting = [at for c in self.consumers if (at := c.oldest_at) is not None]
        waiting += [gathered.spans[0][1] for gathered in self._in_hand]
        self._counts.lag_ms = max(0, self._now() - min(waiting)) if waiting else 0
        self._counts.pending = sum(consumer.pending for consumer in self.consumers)
        is_pressed = any(consumer.pending > MAX_PENDING // 3 for consumer in self.consumers)
        self._counts.note_second(is_pressed=is_pressed)
        self._counts.over_budget = len(self._state.budgets.over)
        self._counts.journal_sync = self._journal.sync_s.fields()

    def _collect(self) -> Work:
        work, self._work = self._work, Work(feeds=self._feeds)
        work.gathered += [gathered for c in self.consumers for gathered in c.take()]
        self._in_hand = work.gathered
        return work

    async def _take_in(self, work: Work) -> None:
        """One batch: frames, journal, acknowledgements, and then what may wait."""
        if work.snapshot is not None:
            self._use(work.snapshot)
        frames, tally = await self._in_thread(
            lambda: frames_of(self._state, work, self._now(), self._give_way)
        )
        await self._append(frames)
        self._acknowledge(work)
        self._in_hand = []
        self._note_commit(work.gathered)
        self._tell_feeds(work)
        self._status.note(self.lane, tally, self._names, self._now())
        if tally.raw:
            self.raw_journaled += tally.raw
            self.on_raw()
        self._desk.note(tally.numbered)
        if work.tick is not None:
            self._counts.last_tick_at = work.tick.at
            self._answer_devices()
            if self._now() - self._saved_at >= SNAPSHOT_EVERY_MS:
                await self._save(self._journal.position)

    def _acknowledge(self, work: Work) -> None:
        if work.gathered:
            failpoint("intake.journaled")
            for consumer in self.consumers:
                for gathered in work.gathered:
                    if gathered.connection == consumer.name:
                        consumer.acknowledge(gathered)
            failpoint("intake.acknowledged")
        for done in work.done:
            if not done.done():
                done.set_result(None)

    def _tell_feeds(self, work: Work) -> None:
        for gathered in work.gathered:
            feed = self._feeds.get(gathered.connection)
            if feed is not None and feed.heard is not None:
                feed.heard(as_arrival(gathered, feed.network))

    def _note_commit(self, gathered: Sequence[Gathered]) -> None:
        """From what came at which moment: how long it took to be durable and acknowledged."""
        spans = [span for one in gathered for span in one.spans]
        if spans:
            counts, moments = zip(*spans, strict=True)
            self._counts.commit_lag.observe((self._now() - np.array(moments)) / 1000, counts)

    async def _append(self, frames: Sequence[Frame]) -> None:
        """Make frames durable, however long it takes; nothing is acknowledged meanwhile."""
        while frames:
            try:
                position = await self._in_thread(lambda: self._journal.append(frames))
            except (JournalFull, OSError) as error:
                self._note_refusal(str(error))
                await asyncio.sleep(RETRY_S)
            else:
                self._note_refusal("")
                self._counts.position = position.n
                self._counts.commits += 1
                return

    def _note_refusal(self, error: str) -> None:
        if error != self._counts.journal_error:
            self._counts.journal_error = error
            if error:
                log.error("ingest.journal.refused", lane=str(self.lane), error=error)
            else:
                log.info("ingest.journal.accepted", lane=str(self.lane))

    async def _save(self, position: Position) -> None:
        self._saved_at = self._now()
        await self._in_thread(lambda: self._save_now(position))

    def _save_now(self, position: Position) -> None:
        """A snapshot that cannot be written costs time at the next start, nothing else."""
        try:
            save(self._journal.directory, encode_snapshot(self._state, position))
            self._follower.retain(position)
        except OSError as error:
            log.warning("ingest.state.not_saved", lane=str(self.lane), error=str(error))

    def _answer_devices(self) -> None:
        consumer = next((c for c in self.consumers if c.link.is_up), None)
        if consumer is None:
            return
        answers = self._desk.answers(self._state.sequences, self._snapshot.devices, self._now())
        for topic, payload in answers:
            consumer.publish(topic, payload)

    def _right_of_way(self) -> AbstractContextManager[None]:
        return self._precedence.working() if self.lane is Lane.URGENT else nullcontext()

    def _give_way(self) -> None:
        if self.lane is not Lane.URGENT:
            self._precedence.give_way()

    def _use(self, snapshot: RegistrySnapshot) -> None:
        self._snapshot = snapshot
        self._names = {device.id: device.name for device in snapshot.devices.values()}

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _nobody() -> None:
    """Nobody wants to be told."""
