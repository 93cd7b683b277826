"""Finds and asks codecs for both lanes: a pool of workers that is there once it is needed.

A database that is away holds up what needs a codec that was not asked for before, and nothing else.
Refuses to know messages; limits of a codec are the pool's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from devices.codecs.codec import Call, Codec, Failure, Outcome, Reason
from devices.codecs.library import Enabled
from devices.codecs.pool import CodecPool

log = structlog.get_logger()

RETRY_S: Final = 1.0
REMEMBERED: Final = 50_000
"""Transmissions of which a second delivery is recognised; a later one changes nothing stored."""


class Library(Protocol):
    """Where enabled codecs are (`devices.codecs.library`); may raise SQLAlchemyError."""

    def codec(self, name: str, revision: int | None = None) -> Enabled | None: ...


class CodecDesk:
    """``run`` is its task; `find` and `ask` are for as many tasks as want."""

    def __init__(self, library: Library, pool: Callable[[], CodecPool] = CodecPool) -> None:
        self._library, self._make_pool = library, pool
        self._thread = ThreadPoolExecutor(1, "codec-library")
        self._is_needed = asyncio.Event()
        self._is_running = asyncio.Event()
        self._pool: CodecPool | None = None
        self._found: dict[str, tuple[int, Enabled | None]] = {}
        self._outage = ""
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._suspended: set[str] = set()

    async def run(self) -> None:
        """Have workers from the first question on, until cancelled."""
        try:
            await self._is_needed.wait()
            while True:
                await self._have_pool()
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _have_pool(self) -> None:
        """Until it is broken, which is a bug of ours: others are not to wait for its repair."""
        async with self._make_pool() as self._pool:
            self._is_running.set()
            while (broken := self._pool.broken) is None:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(RETRY_S)
        log.error("ingest.codec.pool_ended", error=repr(broken)[:300])

    @property
    def is_running(self) -> bool:
        """Whether there are workers: something was asked."""
        return self._pool is not None

    @property
    def suspended(self) -> list[str]:
        """Codecs that were not run when they were asked last."""
        return sorted(self._suspended)

    def is_repeated(self, key: str) -> bool:
        """Whether this transmission came before; it has from now on, whatever becomes of it."""
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    async def find(self, name: str, revision: int) -> Enabled | None:
        """The codec as of this revision of the registry; waits while it cannot be known."""
        while True:
            known = self._found.get(name)
            if known is not None and known[0] == revision:
                return known[1]
            try:
                found = await self._look_up(name, revision)
            except SQLAlchemyError as error:
                self._note_outage(str(error).partition("\n")[0])
                if known is not None:
                    return known[1]
                await asyncio.sleep(RETRY_S)
            else:
                self._note_outage("")
                self._found[name] = revision, found
                return found

    async def ask(self, codec: Codec, given: Mapping[str, Any]) -> Outcome:
        """What the codec makes of an uplink.

        What ended with its worker is asked once more: it may have been a machine that stood still.
        """
        self._is_needed.set()
        while self._pool is None:
            await self._is_running.wait()
        outcome = await self._pool.run(codec, Call.DECODE_UPLINK, given)
        if isinstance(outcome, Failure) and outcome.reason is Reason.ENDED:
            outcome = await self._pool.run(codec, Call.DECODE_UPLINK, given)
        self._note_suspension(codec.name, outcome)
        return outcome

    def cost_s(self, codec: Codec) -> float:
        """CPU seconds that a call of it takes of late."""
        return self._pool.cost_s(codec) if self._pool is not None else 0.0

    async def _look_up(self, name: str, revision: int) -> Enabled | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._library.codec, name, revision)

    def _note_suspension(self, name: str, outcome: Outcome) -> None:
        if isinstance(outcome, Failure) and outcome.reason is Reason.SUSPENDED:
            if name not in self._suspended:
                log.error("ingest.codec.suspended", codec=name, reason=outcome.detail)
            self._suspended.add(name)
        elif name in self._suspended:
            log.warning("ingest.codec.running_again", codec=name)
            self._suspended.discard(name)

    def _note_outage(self, reason: str) -> None:
        if reason and not self._outage:
            log.error("ingest.codec.library_away", error=reason)
        elif self._outage and not reason:
            log.warning("ingest.codec.library_back")
        self._outage = reason
