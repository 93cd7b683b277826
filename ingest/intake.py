"""The intake process: broker → lanes → journal → acknowledgement, with clock and registry.

Two lanes that never wait for each other, each with connections, a thread and a journal of its own.
Ends in order: stop reading, make durable what was read, acknowledge it, say goodbye to the broker.
Refuses to know stores, rules and pages: they read the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from devices.frames import BrokerFrame, Lane
from devices.registry import Registry, RegistrySnapshot
from ingest import resubmission
from ingest.codec_desk import CodecDesk
from ingest.enrolment_answers import AnswerDesk
from ingest.intake_lane import LaneRunner
from ingest.intake_status import IntakeStatus, write_status
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.mqtt import BrokerAddress, Consumer, Link
from ingest.mqtt_session import Greeting
from ingest.networks import Feed, Network, Overlap, retired_filters
from ingest.precedence import Precedence
from ingest.self_watch import SelfWatch, WatchPlaces, greeting_of, totals_before
from ingest.topics import (
    network_subscriptions,
    retired,
    stray_subscriptions,
    subscriptions,
)
from ingest.translator import Translating, Translator

__all__ = ["BrokerAddress", "Intake"]

log = structlog.get_logger()

EVERY_S: Final = 1.0
WIND_UP_S: Final = 10.0
EXPIRE_EVERY_S: Final = 10.0
FORGET_EVERY_S: Final = 600.0
KEEP_MS: Final = 72 * 3_600_000
FILTERS_FILE: Final = "intake-filters.json"


class Intake:
    """Takes in all messages of a broker. One instance a client prefix: sessions are named by it."""

    def __init__(
        self,
        *,
        broker: BrokerAddress,
        strays: BrokerAddress | None = None,
        registry: Registry,
        journals: Mapping[Lane, JournalWriter],
        followers: Mapping[Lane, JournalFollower],
        now: Callable[[], int],
        status_path: Path | None = None,
        client_prefix: str = "satomori-intake",
        client_secret: str = "",
        connections_per_lane: int = 1,
        session_expiry_s: int = 604_800,
        receive_maximum: int = 20_000,
        keep_alive_s: int = 20,
        keep_ms: int = KEEP_MS,
        readings_per_minute: int = 0,
        places: WatchPlaces | None = None,
        networks: Sequence[Network] = (),
        translating: Translating | None = None,
    ) -> None:
        """``followers`` (reader ``intake``) read our own journals at the start.

        ``client_secret`` ends our client ids and nothing else: a broker hands a session to
        whoever names it, and a device that could name ours would destroy what waits in it.
        ``strays`` is an account that may read the topics of no known kind and nothing else; what
        is published there goes into the quarantine.
        Journal segments older than ``keep_ms`` go when every reader has passed them, younger ones
        too while the disk is nearly full.
        ``readings_per_minute`` is the budget of a device (``ingest.budget``); 0 sets none.
        ``places`` is where the installation looks at itself, and so reports of itself.
        ``networks`` are the network servers that are heard, ``translating`` what makes readings of
        their messages, and of those of devices whose unit has a codec.
        """
        self._broker, self._registry, self._now = broker, registry, now
        self._strays = strays
        self._journals, self._status_path, self._keep_ms = journals, status_path, keep_ms
        self._prefix, self._connections = client_prefix, connections_per_lane
        self._client_secret = client_secret
        self._session_expiry_s, self._receive_maximum = session_expiry_s, receive_maximum
        self._keep_alive_s = keep_alive_s
        self._readings_per_minute = readings_per_minute
        self._places = places
        self._watch: SelfWatch | None = None
        self._networks, self._translating = networks, translating
        self._desk: CodecDesk | None = None
        self._translators: list[Translator] = []
        self._translations: list[asyncio.Task[None]] = []
        self._of_networks: dict[tuple[str, Lane], Consumer] = {}
        self._status = IntakeStatus()
        self._followers = followers
        self._lanes: dict[Lane, LaneRunner] = {}
        self._consumers: list[Consumer] = []
        self._hearing: list[Consumer] = []  # those whose silence would be ours
        self._outages: dict[str, str] = {}
        self._answers = AnswerDesk(registry.database, self._publish_retained, now)

    async def run(self) -> None:
        """Take in until cancelled; everything read by then is durable and acknowledged."""
        await self._start()
        try:
            async with asyncio.TaskGroup() as tasks:
                for runner in self._lanes.values():
                    tasks.create_task(runner.run(), name=f"intake-{runner.lane}")
                for consumer in self._consumers:
                    tasks.create_task(consumer.run(), name=consumer.name)
                tasks.create_task(self._tick(), name="intake-tick")
                if self._watch is not None:
                    tasks.create_task(self._watch.run(), name="intake-watch")
                self._begin_translating(tasks)
                for runner in self._lanes.values():
                    take = partial(self._take_resubmitted, runner)
                    self._begin_every(tasks, EVERY_S, take, f"resubmission.{runner.lane}")
                self._begin_every(tasks, EVERY_S, self._follow_registry, "registry")
                self._begin_every(tasks, EXPIRE_EVERY_S, self._expire, "expiry")
                self._begin_every(tasks, FORGET_EVERY_S, self._forget_resubmitted, "forgetting")
                self._begin_every(tasks, EVERY_S, self._answers.step, "enrolment.answers")
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await self._wind_up()
                    raise
        finally:
            for runner in self._lanes.values():
                runner.close()

    # -- beginning and end

    async def _start(self) -> None:
        snapshot = await asyncio.to_thread(self._registry.snapshot)
        self._status.revision = snapshot.revision
        self._known = snapshot
        precedence = Precedence()
        for lane in Lane:
            runner = LaneRunner(
                self._journals[lane],
                self._followers[lane],
                self._registry,
                self._status,
                self._now,
                precedence,
                readings_per_minute=self._readings_per_minute,
            )
            await runner.start(snapshot)
            self._lanes[lane] = runner
            for shard in range(self._connections):
                runner.listen(self._consumer(runner, shard))
        self._hearing = [c for runner in self._lanes.values() for c in runner.consumers]
        if self._strays is not None:
            self._lanes[Lane.ROUTINE].listen(self._stray_consumer(self._strays))
        self._of_our_broker = [c for runner in self._lanes.values() for c in runner.consumers]
        for network in self._networks:
            await asyncio.to_thread(self._listen_to, network)
        self._consumers = [*self._of_our_broker, *self._of_networks.values()]
        if self._translating is not None:
            await self._make_translators(self._translating, precedence)
        if self._places is not None:
            self._watch = self._self_watch(self._places)

    def _self_watch(self, places: WatchPlaces) -> SelfWatch:
        name = f"{self._prefix}-sys"
        return SelfWatch(
            places,
            name,
            greeting_of(f"{name}-{self._client_secret}" if self._client_secret else name),
            self._broker,
            journal=self._lanes[Lane.URGENT].add,
            registry=self._registry.snapshot,
            consumers=self._consumers,
            accounted=self._of_our_broker,
            status=self._status,
            before=totals_before(self._status_path),
            now=self._now,
        )

    def _consumer(self, runner: LaneRunner, shard: int) -> Consumer:
        lane, count = runner.lane, self._connections
        name = f"{self._prefix}-{lane}-{shard}"
        filters = subscriptions(lane, shard, count), retired(lane, shard, count)
        runner.add(BrokerFrame(self._now(), name, is_up=False))
        return self._connection(
            runner, self._broker, name, filters, lambda link: self._note_link(runner, link)
        )

    def _stray_consumer(self, strays: BrokerAddress) -> Consumer:
        """Its link is journaled nowhere: a device is no more silent for its being away."""
        name = f"{self._prefix}-strays"
        return self._connection(
            self._lanes[Lane.ROUTINE], strays, name, (stray_subscriptions(), []), lambda _: None
        )

    def _listen_to(self, network: Network) -> None:
        """A connection a lane, each with a session of its own; links are journaled nowhere."""
        overlap = Overlap(network.is_urgent) if all(network.filters.values()) else None
        feeds = {
            Lane.URGENT: Feed(network.name, heard=overlap.heard if overlap else None),
            Lane.ROUTINE: Feed(network.name, sift=overlap.sift if overlap else None),
        }
        for lane, filters in network.filters.items():
            if not filters:
                continue
            name = f"{self._prefix}-{network.name}-{lane}"
            lost = overlap.lost if overlap and lane is Lane.URGENT else None
            consumer = self._connection(
                self._lanes[lane],
                network.broker,
                name,
                (network_subscriptions(filters), self._retired(name, filters)),
                lambda _, lost=lost: lost() if lost else None,  # type: ignore[misc]  # bound now
                session_expiry_s=self._session_expiry_s if network.keeps_session else 0,
            )
            self._lanes[lane].listen(consumer, feeds[lane])
            self._of_networks[network.name, lane] = consumer

    def _retired(self, name: str, filters: Sequence[str]) -> list[str]:
        if self._status_path is None:
            return []
        try:
            return retired_filters(self._status_path.with_name(FILTERS_FILE), name, filters)
        except OSError as error:
            self._note_outage("retired_filters", error)
            return []

    async def _make_translators(self, of: Translating, precedence: Precedence) -> None:
        self._desk = CodecDesk(of.library, of.pool)
        reads = {network.name: network.read for network in self._networks}
        for lane, follower in of.followers.items():
            give_way = precedence.give_way if lane is Lane.ROUTINE else lambda: None
            translator = Translator(
                follower, self._lanes, reads, self._desk, lambda: self._known, give_way
            )
            await asyncio.to_thread(translator.start)
            self._translators.append(translator)
        epochs = set().union(*(translator.epochs() for translator in self._translators))
        for runner in self._lanes.values():
            runner.keep_translations(epochs)

    def _begin_translating(self, tasks: asyncio.TaskGroup) -> None:
        works = [(one.run(), f"translator-{one.lane}") for one in self._translators]
        if self._desk is not None:
            works.append((self._desk.run(), "codec-desk"))
        self._translations = [tasks.create_task(work, name=name) for work, name in works]

    def _connection(
        self,
        runner: LaneRunner,
        broker: BrokerAddress,
        name: str,
        filters: tuple[Sequence[tuple[str, int]], Sequence[str]],
        on_link: Callable[[Link], None],
        *,
        session_expiry_s: int | None = None,
    ) -> Consumer:
        greeting = Greeting(
            f"{name}-{self._client_secret}" if self._client_secret else name,
            *filters,
            keep_alive_s=self._keep_alive_s,
            session_expiry_s=self._session_expiry_s
            if session_expiry_s is None
            else session_expiry_s,
            receive_maximum=self._receive_maximum,
        )
        return Consumer(
            greeting,
            broker,
            now=self._now,
            on_messages=runner.wake,
            on_link=on_link,
            on_session_lost=runner.forget,
            had_session=name in runner.known_connections,
            name=name,
        )

    def _publish_retained(self, topic: str, payload: bytes) -> None:
        """By the first connection of the routine lane; no lane is kept waiting for it."""
        self._lanes[Lane.ROUTINE].consumers[0].publish(topic, payload, is_retained=True)

    def _note_link(self, runner: LaneRunner, link: Link) -> None:
        runner.add(BrokerFrame(self._now(), link.name, is_up=link.is_up))

    async def _wind_up(self) -> None:
        for consumer in self._consumers:
            consumer.stop_reading()
        for task in self._translations:  # what is left is translated at the next start
            task.cancel()
        await asyncio.gather(*self._translations, return_exceptions=True)
        try:
            async with asyncio.timeout(WIND_UP_S):
                await asyncio.gather(*(runner.drain() for runner in self._lanes.values()))
        except TimeoutError:
            log.warning("ingest.intake.not_drained", waited_s=WIND_UP_S)

    # -- what is done again and again

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            at = self._now()
            for runner in self._lanes.values():
                runner.tick(at)
                runner.measure()
            await self._write_status(at)
            due = max(due + EVERY_S, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _write_status(self, at: int) -> None:
        """A status that cannot be written (a full disk) holds up no reading."""
        if self._status_path is None:
            return
        links = {key: consumer.link for key, consumer in self._of_networks.items()}
        fields = self._status.fields(at, [c.link for c in self._hearing], links)
        fields["translator"] = {one.lane.value: one.fields(at) for one in self._translators}
        fields["suspended_codecs"] = dict.fromkeys(self._desk.suspended if self._desk else (), 1)
        if self._watch is not None:
            fields |= self._watch.fields()
        try:
            await asyncio.to_thread(write_status, self._status_path, fields)
        except OSError as error:
            self._note_outage("write_status", error)
        else:
            self._outages.pop("write_status", None)

    def _begin_every(
        self,
        tasks: asyncio.TaskGroup,
        seconds: float,
        step: Callable[[], Awaitable[None]],
        name: str,
    ) -> None:
        tasks.create_task(self._every(seconds, step, name), name=name)

    async def _every(self, seconds: float, step: Callable[[], Awaitable[None]], name: str) -> None:
        """Repeat a step that needs database or disk; an outage is logged once and passes."""
        while True:
            try:
                await step()
            except (SQLAlchemyError, OSError) as error:
                self._note_outage(name, error)
            else:
                self._outages.pop(name, None)
            await asyncio.sleep(seconds)

    def _note_outage(self, step: str, error: Exception) -> None:
        text = str(error).partition("\n")[0]
        if self._outages.get(step) != text:
            self._outages[step] = text
            log.warning("ingest.intake.outage", step=step, error=text)

    async def _follow_registry(self) -> None:
        if await asyncio.to_thread(self._registry.revision) == self._status.revision:
            return
        snapshot: RegistrySnapshot = await asyncio.to_thread(self._registry.snapshot)
        self._status.revision = snapshot.revision
        for runner in self._lanes.values():
            runner.switch(snapshot)
        self._known = snapshot

    async def _take_resubmitted(self, runner: LaneRunner) -> None:
        """A lane's rows in small steps, until none waits; the other lane knows nothing of it."""
        database = self._registry.database
        while rows := await asyncio.to_thread(resubmission.waiting, database, runner.lane):
            await self._follow_registry()  # they may be here because their device is, since now
            known = runner.resubmitted
            fresh = [row.as_arrival() for row in rows if row.id not in known]
            if fresh:
                await runner.put(fresh)
            ids = [row.id for row in rows]
            await asyncio.to_thread(resubmission.note_done, database, ids, self._now())
            runner.forget_resubmitted(ids)

    async def _forget_resubmitted(self) -> None:
        await asyncio.to_thread(resubmission.forget_done, self._registry.database, self._now())

    async def _expire(self) -> None:
        for journal in self._journals.values():
            at = self._now()
            older_than_at = at if journal.is_short_of_disk else at - self._keep_ms
            await asyncio.to_thread(journal.expire, older_than_at)
            await asyncio.to_thread(self._status.lanes[journal.lane].journal.look, journal)
