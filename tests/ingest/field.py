"""A small town for intake's tests: registry, journals, messages, and reading back what was kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

import devices.tables  # noqa: F401 - the tables register themselves
import ingest.tables  # noqa: F401 - as above
from devices.database import metadata, open_database
from devices.drafts import DeviceDraft
from devices.frames import Entry, Frame, Lane, ReadingsFrame, SeriesDefinition
from devices.registry import Registry
from ingest.intake import BrokerAddress, Intake
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower

NOW = 1_767_225_600_000  # 2026-01-01T00:00Z

GAUGES = tuple(f"gauge-{n}" for n in range(20))
METERS = tuple(f"meter-{n}" for n in range(20))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def open_town(directory: Path) -> Engine:
    """A database with 20 river gauges, 20 water meters, two traps, each behind its gateway."""
    database = open_database(f"sqlite:///{directory / 'town.db'}")
    metadata.create_all(database)
    drafts = [DeviceDraft(name, "river-gauge") for name in GAUGES]
    drafts += [DeviceDraft(name, "water-meter") for name in METERS]
    drafts += [
        DeviceDraft("gate-way", "gateway"),
        DeviceDraft("other-way", "gateway"),
        DeviceDraft("trap-1", "trap", gateway="gate-way"),
        DeviceDraft("trap-2", "trap", gateway="other-way"),
    ]
    Registry(database).register(drafts, NOW)
    return database


def payload(value: float, at: int | None = None, n: int | None = None, **more: Any) -> bytes:
    """Our JSON with one water level."""
    fields: dict[str, Any] = {"v": {"water.level": value}, **more}
    if at is not None:
        fields["t"] = at
    if n is not None:
        fields["n"] = n
    return json.dumps(fields).encode()


def up(device: str, kind: str = "river-gauge") -> str:
    return f"field/v1/{kind}/{device}/up"


class Town:
    """Intake over real journals in a directory."""

    def __init__(self, directory: Path, port: int, **options: Any) -> None:
        self.directory, self.port = directory, port
        self.database = open_town(directory)
        self.registry = Registry(self.database)
        self.status_path = directory / "intake.json"
        self.free_bytes = 1 << 40
        version = options.pop("version", None)
        self.broker: BrokerAddress = options.pop(
            "broker", BrokerAddress("127.0.0.1", port, version=version)
        )
        self.options = options
        self._task: asyncio.Task[None] | None = None
        self._journals: dict[Lane, JournalWriter] = {}
        self._followers: dict[Lane, JournalFollower] = {}

    def intake(self, now: Callable[[], int] = now_ms) -> Intake:
        self._journals = {
            lane: JournalWriter(
                self.directory / lane,
                lane,
                definitions=self._definitions,
                low_water_bytes=1,
                reserve_bytes=0,
                free_bytes=lambda _: self.free_bytes,
            )
            for lane in Lane
        }
        self._followers = {
            lane: JournalFollower(self.directory / lane, lane, "intake") for lane in Lane
        }
        return Intake(
            broker=self.broker,
            registry=self.registry,
            journals=self._journals,
            followers=self._followers,
            now=now,
            status_path=self.status_path,
            **self.options,
        )

    async def start(self) -> None:
        self._task = asyncio.create_task(self.intake().run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.close()

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()
        for follower in self._followers.values():
            follower.close()

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.status_path.read_text())
        except FileNotFoundError:
            return {}
        return found

    def is_connected(self) -> bool:
        broker = self.status().get("broker", {})
        return len(broker) >= 2 and set(broker.values()) == {"up"}

    def _definitions(self) -> Iterable[SeriesDefinition]:
        return self.registry.snapshot().definitions.values()

    def frames(self, lane: Lane) -> list[Frame]:
        return [entry.frame for entry in entries(self.directory / lane, lane)]

    def values(self, lane: Lane) -> list[float]:
        """All journaled values of water.level and water.total, in journal order."""
        return journaled_values(self.directory, lane)


def entries(directory: Path, lane: Lane) -> Iterator[Entry]:
    follower = JournalFollower(directory, lane, "test")
    position = None
    try:
        while found := follower.read(position):
            yield from found
            position = found[-1].position
    finally:
        follower.close()


def journaled_values(directory: Path, lane: Lane) -> list[float]:
    values: list[float] = []
    for entry in entries(directory / lane, lane):
        if isinstance(entry.frame, ReadingsFrame):
            values += entry.frame.readings.value.tolist()
    return values


async def until(
    is_so: Callable[[], bool | Awaitable[bool]], what: str, deadline_s: float = 15.0
) -> None:
    """Wait for a condition; fails with ``what`` after the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        found = is_so()
        if found if isinstance(found, bool) else await found:
            return
        assert loop.time() < end, f"not within {deadline_s:.0f} s: {what}"
        await asyncio.sleep(0.02)


def of(frames: Sequence[Frame], kind: type) -> list[Any]:
    return [frame for frame in frames if isinstance(frame, kind)]
