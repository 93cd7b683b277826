"""Translates one lane's raw frames behind the journal: each once, bounded, a device's in order.

::

    journal ─▶ read on ─▶ by device ─▶ whose? ─▶ codec ─▶ lane of the device's kind ─▶ journal
                             │ one message of a device at a time           │
                             └ devices do not wait for each other          └▶ done: floor rises

A message that is translated, or refused, is journaled under the number of its raw frame
(``ingest.translations``), so after a death the journals themselves tell what is left. What passes
without a reading (a join, a second delivery) leaves nothing and passes again. Refuses to know what
network servers and codecs say (``ingest.translation``).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from devices.codecs.codec import Answer, Reason
from devices.codecs.pool import CodecPool
from devices.failpoints import failpoint
from devices.frames import Lane, Position, RawFrame
from devices.networks.messages import Ignored, NetworkMessage, Uplink
from devices.outage_note import OutageNote
from devices.outcomes import Rejected, shown
from devices.registry import RegistrySnapshot
from ingest import handover, translation
from ingest.codec_desk import CodecDesk, Library
from ingest.device_chains import Chain, DeviceChains
from ingest.gate import Gate
from ingest.handover import Ready
from ingest.intake_lane import LaneRunner
from ingest.journal_follower import JournalFollower
from ingest.journal_retention import load_readers
from ingest.lanes_reader import LanesReader, finish
from ingest.messages import RESUBMISSION
from ingest.raw_progress import Item, RawProgress
from ingest.topics import lane_of
from ingest.translation import Addressed, Passed, Question, Translated, Translation
from ingest.translations import Translations

log = structlog.get_logger()

READER: Final = "translator"
HELD: Final = 8_192
HELD_BYTES: Final = 32 << 20
"""Of one lane so much is read and not done; the rest stays in the journal."""
AT_ONCE: Final = 20  # messages begun before everybody else has had a turn
READ_BYTES: Final = 1 << 20
LOOK_S: Final = 1.0
"""How often the journal is looked through while nobody says that there is something raw in it."""
IDLE_NOTES: Final = 10
"""A floor that rose over frames which are nothing to us is noted each tenth look."""

_NO_ANSWER: Final = frozenset({Reason.TIME, Reason.MEMORY, Reason.ENDED, Reason.SUSPENDED})

ReadNetwork = Callable[[str, bytes], NetworkMessage | Ignored | Rejected]
"""What a network server's message (topic, payload) says."""


@dataclass(frozen=True, slots=True)
class Translating:
    """What translators need: followers (reader ``translator``) of our own journals, codecs."""

    followers: Mapping[Lane, JournalFollower]
    library: Library
    pool: Callable[[], CodecPool] = CodecPool


@dataclass(slots=True)
class Counts:
    """What became of raw frames since the start."""

    translated: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class Translator:
    """Of one lane's journal; `start` once, then ``run`` is its task."""

    def __init__(
        self,
        follower: JournalFollower,
        runners: Mapping[Lane, LaneRunner],
        networks: Mapping[str, ReadNetwork],
        desk: CodecDesk,
        registry: Callable[[], RegistrySnapshot],
        give_way: Callable[[], None],
    ) -> None:
        """``runners`` are those of both lanes, ``registry`` is what they use now.

        ``give_way`` is called before each look into the journal.
        """
        self.lane: Lane = follower.lane
        self.counts = Counts()
        self._follower, self._runners, self._networks = follower, runners, networks
        self._desk, self._registry, self._give_way = desk, registry, give_way
        self._reader = LanesReader(READER, {self.lane: follower}, read_bytes=READ_BYTES)
        self._progress = RawProgress(None)
        self._before = Translations()
        self._began: Position | None = None
        self._read_new = 0
        self._chains = DeviceChains(self._work, self._give_up)
        self._gates: dict[str, Gate] = {}
        self._ready: dict[Lane, list[Ready]] = {}
        self._has_ready = {lane: asyncio.Event() for lane in runners}
        self._has_room, self._has_news = asyncio.Event(), asyncio.Event()
        self._noted: Position | None = None
        self._is_work_done = False
        self._outage = OutageNote(
            lambda reason: log.error("ingest.translator.outage", lane=str(self.lane), error=reason)
        )
        runners[self.lane].on_raw = self._has_news.set

    def start(self) -> None:
        """Find out what is left of an earlier process; before the lanes run. Raises OSError."""
        self._before = Translations.together(one.translations for one in self._runners.values())
        self._began = self._follower.head()
        after = self._place()
        self._progress.read_to = after
        self._reader.start({self.lane: after} if after is not None else {})

    async def run(self) -> None:
        """Translate until cancelled; what is not journaled by then is translated again."""
        with ThreadPoolExecutor(1, f"translator-{self.lane}") as worker:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read_on(worker), name=f"translator-read-{self.lane}")
                    tasks.create_task(self._look_after(worker), name=f"translator-{self.lane}")
                    for lane in self._runners:
                        tasks.create_task(
                            self._hand_over_to(lane), name=f"translator-{self.lane}-to-{lane}"
                        )
            finally:
                await self._chains.close()

    def epochs(self) -> set[int]:
        """Of the journal's frames that are not all done; right after `start`."""
        return {at.epoch for at in (self._progress.read_to, self._began) if at is not None}

    def fields(self, now: int) -> dict[str, Any]:
        """For the status file."""
        oldest_at = self._progress.oldest_at
        unread = self._runners[self.lane].raw_journaled - self._read_new
        return {
            "waiting": self._progress.held + max(0, unread),
            "lag_ms": max(0, now - oldest_at) if oldest_at is not None else 0,
            "translated": self.counts.translated,
            "passed": dict(self.counts.passed),
            "failed": dict(self.counts.failed),
        }

    # -- reading on

    def _place(self) -> Position | None:
        """All up to here was done; None: begin with the oldest frame that is kept.

        The note is not synced to the disk, the lanes' snapshots are: whichever is further.
        """
        noted = load_readers(self._follower.directory).get(READER)
        epoch = noted.epoch if noted and noted.n else self._began.epoch if self._began else 0
        n = max(noted.n if noted else 0, self._before.floor(epoch))
        return Position(epoch, n) if n else None

    async def _read_on(self, worker: ThreadPoolExecutor) -> None:
        while True:
            if self._progress.held >= HELD or self._progress.held_bytes >= HELD_BYTES:
                self._has_room.clear()
                await self._has_room.wait()
                continue
            self._has_news.clear()
            try:
                found = await finish(worker, self._read)
            except OSError as error:
                self._outage.note(error)
                found = None
            if found is None:
                await self._until_news()
            else:
                await self._begin(*found)

    def _read(self) -> tuple[list[Item], Position] | None:
        self._give_way()
        found = self._reader.read()
        if found is None:
            return None
        entries = found[1]
        items = [Item(e.position, e.frame) for e in entries if isinstance(e.frame, RawFrame)]
        return items, entries[-1].position

    async def _until_news(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._has_news.wait()
        except TimeoutError:
            pass

    async def _begin(self, items: list[Item], read_to: Position) -> None:
        """Begin with all that was read, a few at a time; each is on its way before the first."""
        for item in items:
            self._progress.begin(item)
            self._read_new += self._is_new(item.position)
        self._progress.read_to = read_to
        for index, item in enumerate(items):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            chain = self._chains.of(item)
            if chain is not None and chain.gate is not None and chain.gate.is_overloaded:
                self._conclude(item, _overloaded(chain.gate))
            else:
                self._chains.add(item)

    def _is_new(self, position: Position) -> bool:
        """Whether it was journaled since the start."""
        began = self._began
        return began is None or position.epoch != began.epoch or position.n > began.n

    # -- one message

    async def _work(self, item: Item, chain: Chain) -> None:
        self._conclude(item, await self._translate(item, chain))

    def _give_up(self, item: Item, error: BaseException) -> None:
        """Something that a message brings was not thought of: it is kept, the others go on."""
        log.error("ingest.translator.failed", topic=shown(item.raw.topic), error=repr(error)[:300])
        self._conclude(item, Rejected("translation_failed", repr(error)[:300]))

    async def _translate(self, item: Item, chain: Chain) -> Translation:
        said = self._heard(item.raw)
        is_repeated = isinstance(said, Uplink) and self._desk.is_repeated(said.key)
        if self._before.holds(item.position.epoch, item.position.n):
            return Passed("translated before")
        if is_repeated and not item.raw.connection.startswith(RESUBMISSION):
            return Passed("repeated")
        found = self._addressed(item.raw, said)
        if isinstance(found, Addressed):
            found = await self._decode(found, chain)
        failpoint("translator.decoded")
        return found

    def _heard(self, raw: RawFrame) -> NetworkMessage | Translation | None:
        """What a network server's message says; None for one of our own topics."""
        if not raw.network:
            return None
        read = self._networks.get(raw.network)
        if read is None:
            return Rejected("unknown_network", f"no network {raw.network} is in the settings")
        said = read(raw.topic, raw.payload)
        return Passed("ignored") if isinstance(said, Ignored) else said

    def _addressed(
        self, raw: RawFrame, said: NetworkMessage | Translation | None
    ) -> Translation | Addressed:
        match said:
            case None:
                return translation.of_device(raw, self._registry())
            case Rejected() | Passed() | Translated():
                return said
            case _:
                return translation.of_network(said, self._registry())

    async def _decode(self, of: Addressed, chain: Chain) -> Translation:
        name = of.place.codec
        enabled = await self._desk.find(name, self._registry().revision) if name else None
        found = translation.read(of, enabled)
        if not isinstance(found, Question):
            chain.leave()
            return found
        gate = self._gates.setdefault(found.enabled.codec.name, Gate())
        chain.stand_before(gate)
        return await self._ask(found, gate)

    async def _ask(self, question: Question, gate: Gate) -> Translation:
        if not await gate.enter():
            return _overloaded(gate)
        codec, is_back = question.enabled.codec, False
        try:
            outcome = await self._desk.ask(codec, question.given)
            is_back = isinstance(outcome, Answer) or outcome.reason not in _NO_ANSWER
        finally:
            gate.leave(is_back=is_back, cost_s=self._desk.cost_s(codec))
        return translation.answered(question, outcome)

    # -- to the lanes

    def _conclude(self, item: Item, found: Translation) -> None:
        match found:
            case Passed():
                self.counts.passed[found.why] += 1
                self._end(item)
                return
            case Translated():
                lane = lane_of(found.topic)
            case Rejected():
                lane = self.lane
        self._ready.setdefault(lane, []).append((item, found))
        self._has_ready[lane].set()

    def _end(self, item: Item) -> None:
        self._progress.end(item)
        self._is_work_done = True
        self._has_room.set()

    async def _hand_over_to(self, lane: Lane) -> None:
        """What is ready goes into the next batch; it is done when that is durable."""
        while True:
            await self._has_ready[lane].wait()
            self._has_ready[lane].clear()
            ready = self._ready.pop(lane, [])
            if not ready:
                continue
            await self._runners[lane].put(handover.arrivals(ready), handover.refusals(ready))
            failpoint("translator.journaled")
            for item, found in ready:
                self._count(found)
                self._end(item)

    def _count(self, found: Translated | Rejected) -> None:
        if isinstance(found, Translated):
            self.counts.translated += 1
        else:
            self.counts.failed[found.reason] += 1

    # -- each second

    async def _look_after(self, worker: ThreadPoolExecutor) -> None:
        """Turn away what waits too long, note how far all is done."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_S)
            looks += 1
            for gate in self._gates.values():
                gate.look()
            floor = self._progress.floor
            is_due = self._is_work_done or looks % IDLE_NOTES == 0
            if floor is not None and floor != self._noted and is_due:
                self._is_work_done = False
                await self._note(floor, worker)

    async def _note(self, floor: Position, worker: ThreadPoolExecutor) -> None:
        try:
            await finish(worker, lambda: self._follower.retain(floor))
        except OSError as error:  # a full disk: an older note keeps more
            self._outage.note(error)
            return
        failpoint("translator.noted")
        self._noted = floor
        self._outage.over()
        for runner in self._runners.values():
            runner.forget_translated(floor)


def _overloaded(gate: Gate) -> Rejected:
    return Rejected("codec_failed", f"its codec is too slow: {gate.held:,} messages wait for it")
