"""Asks JMA's feeds again and again, reads what is new and keeps it.

A feed is *good* when it answered, is alive, and every document of warnings that it lists for us was
read; only then does its ``good_at`` move. Whatever goes wrong is said once and tried again, and
nothing of it ends the polling. Refuses to know rules and people: how old the last good answer is
stands in the status file, and a rule makes an alarm of it.

JMA's terms (https://xml.kishou.go.jp/xmlpull.html): conditional requests, each document once,
well below 10 GB a day; feeds are renewed each minute, so that asking more often gives nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from devices.outcomes import Rejected
from ingest.feeds.atom import AtomFeed, Entry, read_feed
from ingest.feeds.book import FeedBook, FeedState, Unread
from ingest.feeds.choice import Choice, wanted
from ingest.feeds.fetch import NO_VALIDATORS, Answer, Fetcher, FetchFailed
from ingest.feeds.jma_xml import read_document
from ingest.feeds.names import DocumentType, Names
from ingest.feeds.standing import SUMMARY_LAG_MS
from ingest.feeds.unread import UnreadFolder

log = structlog.get_logger()

GAP_MS: Final = 8 * 60_000
"""A high frequency feed lists the last 10 minutes: after this long without a good answer the long
feed is asked, too."""
LONG_AGAIN_MS: Final = 10 * 60_000
UNREAD_COUNTS_MS: Final = 24 * 3_600_000
SLOWEST: Final = 5
"""After failures a feed is asked at most so many times more seldom."""
PRUNE_EVERY_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Source:
    """One feed: ``long_url`` lists several days, empty where there is none."""

    name: str
    url: str
    long_url: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for: feeds, the table of names, our areas (towns, regions, rivers), offices.

    ``quiet_ms``: with nothing new in any feed for so long the publisher itself stands still; 0: no
    such limit.
    """

    sources: tuple[Source, ...]
    names: Names
    areas: frozenset[str]
    offices: frozenset[str]
    interval_s: float
    quiet_ms: int


class Poller:
    """Polls the feeds of one plan; ``run`` is its task, ``poll`` one round of one feed."""

    def __init__(
        self,
        plan: Plan,
        book: FeedBook,
        fetcher: Fetcher,
        folder: UnreadFolder,
        *,
        now: Callable[[], int],
        seed: int | None = None,
    ) -> None:
        self._plan, self._book, self._fetcher, self._folder = plan, book, fetcher, folder
        self._now = now
        self._chance = random.Random(seed)  # noqa: S311 - spreads load, hides nothing
        self._failures: dict[str, int] = {}
        self._stay_away: dict[str, float] = {}
        self._pruned_at = 0
        self._states = book.states()
        self._unread: list[Unread] = []
        self._is_database_away = False
        self._is_fresh = {source.name for source in plan.sources}  # the settings may be new ones

    async def run(self) -> None:
        """Poll until cancelled, each feed at its interval, counted on over a restart."""
        loop = asyncio.get_running_loop()
        due = {
            source.name: loop.time() + self._first_wait_s(source) for source in self._plan.sources
        }
        while True:
            source = min(self._plan.sources, key=lambda one: due[one.name])
            await asyncio.sleep(max(0.0, due[source.name] - loop.time()))
            due[source.name] = loop.time() + await self._poll_whatever_happens(source)

    async def poll(self, source: Source) -> FeedState:
        """Ask one feed, read what is new, keep how it is."""
        before = self._states.get(source.name) or FeedState(source.name, source.url)
        asked_at = self._now()
        self._states[source.name] = replace(before, tried_at=asked_at)
        await asyncio.to_thread(self._book.note, self._states[source.name])
        try:
            after = await self._take(source, before, asked_at)
        except FetchFailed as failure:
            self._stay_away[source.name] = failure.wait_s
            after = replace(before, error=str(failure))
        state = self._settled(before, replace(after, tried_at=asked_at), asked_at)
        self._states[source.name] = state
        await asyncio.to_thread(self._book.note, state)
        await self._prune(asked_at)
        return state

    def fields(self) -> dict[str, Any]:
        """For the status file. ``good_at`` is that of the feed that is behind, None: never."""
        states = [
            self._states.get(source.name) or FeedState(source.name, source.url)
            for source in self._plan.sources
        ]
        times = [state.good_at for state in states]
        return {
            "good_at": None if None in times else min(filter(None, times), default=None),
            "feeds": {
                state.feed: {
                    "tried_at": state.tried_at,
                    "good_at": state.good_at,
                    "is_good": state.error is None and state.good_at is not None,
                    "newest_entry_at": state.newest_entry_at,
                    "error": state.error,
                }
                for state in states
            },
            "unread": len(self._unread),
            "bytes_received": self._fetcher.bytes_received,
        }

    # -- one round

    async def _take(self, source: Source, before: FeedState, now: int) -> FeedState:
        """The feed's new state, still without times; raises FetchFailed."""
        has_gap = before.good_at is None or now - before.good_at > GAP_MS or bool(self._unread)
        validators = NO_VALIDATORS if has_gap else before.validators
        answer = await self._fetcher.get(source.url, validators)
        listed = await self._listed(answer)
        entries = list(listed.entries) if listed else []
        if has_gap:
            entries += await self._long_ago(source, now)
        is_all_needed = has_gap or source.name in self._is_fresh
        choice = await self._choose(entries, is_all_needed=is_all_needed)
        failed = [entry for entry, kind in choice.read if not await self._read(entry, kind)]
        if listed is not None:
            self._is_fresh.discard(source.name)
        if choice.passed_over:
            await asyncio.to_thread(self._book.skip, choice.passed_over, now)
        self._unread = await asyncio.to_thread(self._outstanding, now)
        newest = max(listed.newest_at if listed else 0, before.newest_entry_at or 0)
        state = replace(before, newest_entry_at=min(newest, now) or None)
        trouble = self._trouble(state, failed, choice, now)
        kept = answer.validators if not trouble else NO_VALIDATORS
        if answer.payload is None and not trouble:
            kept = before.validators
        return replace(state, validators=kept, error=trouble or None)

    async def _listed(self, answer: Answer) -> AtomFeed | None:
        """What the feed lists, None when it has not changed."""
        if answer.payload is None:
            return None
        listed = await asyncio.to_thread(read_feed, answer.payload)
        if isinstance(listed, Rejected):
            raise FetchFailed(f"the feed cannot be read: {listed.reason}: {listed.detail}")
        return listed

    async def _long_ago(self, source: Source, now: int) -> list[Entry]:
        """Entries of the last days, asked for seldom, also over restarts; none where it fails."""
        if not source.long_url:
            return []
        name = f"{source.name}_l"
        before = self._states.get(name) or FeedState(name, source.long_url)
        if before.tried_at is not None and now - before.tried_at < LONG_AGAIN_MS:
            return []
        state = replace(before, url=source.long_url, tried_at=now)
        self._states[name] = state
        await asyncio.to_thread(self._book.note, state)
        try:
            listed = await self._listed(await self._fetcher.get(source.long_url))
        except FetchFailed as failure:
            log.warning("feeds.long.failed", feed=source.name, reason=str(failure))
            return []
        return list(listed.entries) if listed else []

    async def _choose(self, entries: Iterable[Entry], *, is_all_needed: bool) -> Choice:
        by_id = {entry.id: entry for entry in entries}
        newest_first = sorted(by_id.values(), key=lambda e: (e.listed_at, e.id), reverse=True)
        names = self._plan.names
        ours = [entry for entry in newest_first if names.document(entry.type) is not None]
        known = await asyncio.to_thread(self._book.known, [entry.id for entry in ours])
        last_read = await asyncio.to_thread(self._book.last_read, names.documents)
        return wanted(
            ours, names, self._plan.offices, known, last_read, is_all_needed=is_all_needed
        )

    async def _read(self, entry: Entry, kind: DocumentType) -> bool:
        """Fetch and keep one document; False when it could not be had and is tried again."""
        try:
            answer = await self._fetcher.get(entry.url)
        except FetchFailed as failure:
            log.warning("feeds.document.failed", document=entry.id, reason=str(failure))
            await asyncio.to_thread(self._book.fail, entry, str(failure), self._now())
            return False
        payload = answer.payload or b""
        await asyncio.to_thread(self._understand, entry, kind, payload)
        return True

    def _understand(self, entry: Entry, kind: DocumentType, payload: bytes) -> None:
        """Read the bytes and keep what they say; what cannot be read is kept as it came."""
        document = read_document(payload, kind, self._plan.names, self._plan.areas)
        if isinstance(document, Rejected):
            log.error(
                "feeds.document.rejected",
                document=entry.id, reason=document.reason, detail=document.detail,
            )  # fmt: skip
            try:
                self._folder.keep(entry.id, document.reason, payload)
            except OSError as error:
                log.error("feeds.unread.not_kept", document=entry.id, error=str(error))
            self._book.reject(entry, document, self._now())
            return
        for remark in document.remarks:
            log.warning("feeds.document.remark", document=entry.id, remark=remark)
        self._book.keep(entry, kind, document, self._now())

    # -- whether it is good

    def _trouble(self, state: FeedState, failed: list[Entry], choice: Choice, now: int) -> str:
        """Why this answer is not good; empty when it is."""
        if failed:
            return f"{len(failed)} listed documents could not be had ({failed[0].id})"
        if not choice.is_whole:
            return "more is listed than was read"
        if self._unread:
            one = self._unread[0]
            return f"{len(self._unread)} documents could not be read ({one.id}: {one.detail})"
        newest = [known.newest_entry_at for known in (*self._states.values(), state)]
        quiet_ms = now - max(filter(None, newest), default=now)
        if self._plan.quiet_ms and quiet_ms > self._plan.quiet_ms:
            return f"nothing new is listed for {quiet_ms // 60_000} min"
        return ""

    def _outstanding(self, now: int) -> list[Unread]:
        """Documents of warnings that could not be read and that no later one has made needless."""
        return [
            one for one in self._book.unread(now - UNREAD_COUNTS_MS) if self._still_matters(one)
        ]

    def _still_matters(self, one: Unread) -> bool:
        kind = self._plan.names.document(one.type)
        if kind is None or kind.role != "warnings":
            return False
        is_ours = kind.offices == "ours" or kind.is_summary or one.office in self._plan.offices
        if not is_ours or self._book.newest_read(one.type, one.office) > one.listed_at:
            return False
        summaries = [
            summary
            for summary in self._plan.names.documents
            if summary.is_summary and set(kind.groups) <= set(summary.groups)
        ]
        last = self._book.last_read(summaries)
        return not any(listed > one.listed_at + SUMMARY_LAG_MS for listed in last.values())

    def _settled(self, before: FeedState, after: FeedState, now: int) -> FeedState:
        """The state with its times; what has changed is said once."""
        if after.error is None:
            if before.error is not None:
                log.info("feeds.feed.good_again", feed=after.feed, after=before.error)
            self._failures[after.feed] = 0
            self._stay_away[after.feed] = 0.0
            return replace(after, good_at=now, error_since=None)
        self._failures[after.feed] = self._failures.get(after.feed, 0) + 1
        if before.error is None:
            log.warning("feeds.feed.not_good", feed=after.feed, reason=after.error)
        since = before.error_since if before.error is not None else now
        return replace(after, error_since=since, validators=NO_VALIDATORS)

    # -- when

    async def _poll_whatever_happens(self, source: Source) -> float:
        """One round; returns the pause until the next one of this feed, in seconds."""
        try:
            await self.poll(source)
        except (SQLAlchemyError, OSError) as error:  # a full disk, a database that is away
            if not self._is_database_away:
                log.error("feeds.book.not_written", error=str(error).partition("\n")[0])
            self._is_database_away = True
            self._failures[source.name] = self._failures.get(source.name, 0) + 1
        else:
            self._is_database_away = False
        failures = self._failures.get(source.name, 0)
        patience = min(1 << max(0, min(failures, 8) - 1), SLOWEST)
        pause = self._plan.interval_s * patience * self._chance.uniform(1.0, 1.1)
        return max(pause, self._stay_away.get(source.name, 0.0))

    def _first_wait_s(self, source: Source) -> float:
        """A process that is started again and again must not ask again and again."""
        state = self._states.get(source.name)
        if state is None or state.tried_at is None:
            return 0.0
        passed_s = (self._now() - state.tried_at) / 1000
        return min(max(self._plan.interval_s - passed_s, 0.0), self._plan.interval_s)

    async def _prune(self, now: int) -> None:
        if now - self._pruned_at >= PRUNE_EVERY_MS:
            self._pruned_at = now
            await asyncio.to_thread(self._book.prune, now)
