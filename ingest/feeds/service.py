"""The feeds process: poller and status file, until cancelled. Decides nothing."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine

from ingest.feeds.book import FeedBook
from ingest.feeds.fetch import opened
from ingest.feeds.poller import Plan, Poller
from ingest.feeds.unread import UnreadFolder

log = structlog.get_logger()

STATUS_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Access:
    """How the publisher is reached: bounds of one answer, proxy and authorities where needed."""

    hosts: frozenset[str]
    agent: str
    size_limit: int
    deadline_s: float
    proxy: str = ""
    tls_ca: str = ""


async def run_feeds(
    database: Engine,
    plan: Plan,
    access: Access,
    *,
    unread_dir: Path,
    status_path: Path,
    now: Callable[[], int],
) -> None:
    """Poll the feeds of ``plan`` and say each second how they are, until cancelled."""
    async with opened(
        access.hosts,
        agent=access.agent,
        size_limit=access.size_limit,
        deadline_s=access.deadline_s,
        proxy=access.proxy,
        tls_ca=access.tls_ca,
    ) as fetcher:
        poller = Poller(plan, FeedBook(database), fetcher, UnreadFolder(unread_dir), now=now)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(poller.run(), name="feeds-poller")
            tasks.create_task(_say(poller, status_path, now), name="feeds-status")


async def _say(poller: Poller, path: Path, now: Callable[[], int]) -> None:
    """Rewrite the status file each second; a disk that takes it no more is said once."""
    is_unwritten = False
    while True:
        document = {"process": "feeds", "pid": os.getpid(), "at": now(), **poller.fields()}
        temporary = path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            if not is_unwritten:
                log.error("feeds.status.not_written", path=str(path), error=str(error))
            is_unwritten = True
        else:
            is_unwritten = False
        await asyncio.sleep(STATUS_EVERY_S)
