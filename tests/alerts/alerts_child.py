"""Run as a process of its own: ``alerts_child.py DIRECTORY SMTP_PORT``, until it is killed.

The alerts process on the database, journals and state under DIRECTORY, with a mail server on
127.0.0.1 and webhooks, retrying quickly.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerts.channels.log import LogChannel
from alerts.channels.mail import MailChannel, MailServer
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Channel
from alerts.service import AlertService
from devices.database import open_database
from devices.frames import Lane
from devices.registry import Registry
from ingest.journal_follower import JournalFollower

SECRET = "a shared secret"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def service(directory: Path, channels: dict[str, Channel]) -> Iterator[AlertService]:
    """The alerts process on what is under ``directory``."""
    database = open_database(f"sqlite:///{directory / 'satomori.db'}")
    state = directory / "alerts"
    state.mkdir(exist_ok=True)
    readers = {lane: JournalFollower(directory / "journal" / lane, lane, "alerts") for lane in Lane}
    yield AlertService(
        database=database,
        registry=Registry(database),
        readers=readers,
        state_dir=state,
        channels=channels,
        now=now_ms,
        status_path=directory / "alerts.json",
    )
    for reader in readers.values():
        reader.close()
    database.dispose()


if __name__ == "__main__":
    port = int(sys.argv[2])
    everything: dict[str, Channel] = {
        "mail": MailChannel(MailServer("127.0.0.1", port), sender="s@city.example.jp"),
        "webhook": WebhookChannel(secret=SECRET),
        "log": LogChannel(),
    }
    with service(Path(sys.argv[1]), everything) as alerts:
        asyncio.run(alerts.run())
