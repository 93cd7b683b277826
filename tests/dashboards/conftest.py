"""What the tests of the pages share: a city in SQLite, real journals and store, the real app."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, insert

import dashboards.tables  # noqa: F401 - its tables are known once it is read
import ingest.feeds.tables  # its tables are known once it is read
import ingest.tables  # noqa: F401 - its tables are known once it is read
from alerts.people import add_person
from alerts.tables import alarm
from dashboards.app import create_app
from dashboards.auth import create_access_token
from dashboards.settings import MapView
from devices.database import metadata, open_database, writing
from devices.frames import Frame, Lane, ReadingsFrame, Receipts, TickFrame
from devices.readings import readings_from_columns
from devices.registry import DeviceDraft, Registry
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.store_writer import StoreWriter
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.series_store import SeriesStore

START = 1_750_000_000_000
DRAFTS = (
    DeviceDraft("gauge", "river-gauge", area="川内", thresholds={"caution": 3.0, "danger": 4.5}),
    DeviceDraft("road", "flood-sensor", area="川内", thresholds={"caution": 0.05}),
    DeviceDraft("meter", "water-meter", area="平佐", owner="haruko"),
    DeviceDraft("zone", "zone-meter", area="平佐"),
    DeviceDraft("paddy", "paddy-node", area="樋脇", owner="haruko"),
    DeviceDraft("other-paddy", "paddy-node", area="樋脇", owner="natsuo"),
    DeviceDraft("trap", "trap", area="入来"),
    DeviceDraft("rain", "weather-station", area="入来"),
)
PEOPLE = {
    "admin": "admin",
    "hanako": "disaster",
    "taro": "waterworks",
    "jiro": "agriculture",
    "haruko": "owner",
    "everybody": "public",
}


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: int = START

    def __call__(self) -> int:
        return self.at


class NoQuarantine:
    """A quarantine writer with nothing to write."""

    rows = 0
    dropped = 0

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass
class House:
    """One installation under test."""

    root: Path
    database: Engine
    registry: Registry
    journals: dict[Lane, JournalWriter]
    now: Callable[[], int]
    people: dict[str, int] = field(default_factory=dict)
    static_dir: Path | None = None
    store_type: type[DuckDBStore] = DuckDBStore
    opened: list[JournalFollower | SeriesStore] = field(default_factory=list)

    def followers(self, reader: str) -> dict[Lane, JournalFollower]:
        found = {lane: JournalFollower(self.root / "journal" / lane, lane, reader) for lane in Lane}
        self.opened += found.values()
        return found

    def series(self, device: str, quantity: str) -> int:
        snapshot = self.registry.snapshot()
        return snapshot.series[snapshot.by_name[device].id, quantity]

    def device(self, name: str) -> int:
        return self.registry.snapshot().by_name[name].id

    def readings(self, device: str, quantity: str, *rows: tuple[int, float]) -> ReadingsFrame:
        number = self.series(device, quantity)
        at = [measured_at for measured_at, _ in rows]
        batch = readings_from_columns(
            [number] * len(rows), at, at, [value for _, value in rows], [0] * len(rows)
        )
        none = Receipts(
            "",
            np.zeros(0, np.uint16),
            np.zeros(0, np.uint64),
            np.zeros(0, np.int32),
            np.zeros(0, np.int64),
        )
        return ReadingsFrame(batch, none)

    def journal(self, *frames: Frame, lane: Lane = Lane.URGENT) -> None:
        self.journals[lane].append(frames)

    def token(self, name: str) -> str:
        return create_access_token(self.database, self.people[name], self.now(), 3600)

    def open_alarm(self, device: str, quantity: str | None = None, **columns: object) -> str:
        """Put an alarm where the alerts process would have."""
        values = {
            "id": f"alarm-{device}-{quantity}",
            "revision": 1,
            "rule": "river",
            "rule_kind": "stages",
            "device": self.device(device),
            "series": self.series(device, quantity) if quantity else None,
            "state": "active",
            "level": 4,
            "stage": "danger",
            "value": 4.6,
            "peak_level": 4,
            "peak_value": 4.6,
            "opened_at": START,
            "changed_at": START,
            "is_verified": True,
            "is_historic": False,
            "is_exercise": False,
            **columns,
        }
        with writing(self.database) as connection:
            connection.execute(insert(alarm).values(**values))
        return str(values["id"])

    def say(self, process: str, **said: object) -> None:
        """Write a process's status file as it would itself."""
        fields = {"at": self.now(), "pid": os.getpid(), **said}
        (self.root / "run" / f"{process}.json").write_text(json.dumps(fields))

    def app(self, store: SeriesStore | None = None) -> FastAPI:
        if store is None:
            store = self.store_type(self.root / "store" / "readings.duckdb")
            self.opened.append(store)
        writer = StoreWriter(store, self.followers("store"), flush_s=0.1)
        return create_app(
            database=self.database,
            registry=self.registry,
            followers=self.followers("live"),
            store_writer=writer,
            quarantine=NoQuarantine(),
            status_dir=self.root / "run",
            now=self.now,
            wake_socket=self.root / "run" / "web.sock",
            static_dir=self.static_dir,
            map_view=MapView(tiles="https://tiles.example.jp/{z}/{x}/{y}.png", attribution="例"),
        )

    @asynccontextmanager
    async def client(self, name: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """The running app as one person sees it, without a server between."""
        app = self.app()
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test", headers=self.headers(name)
            ) as client:
                yield client

    @asynccontextmanager
    async def server(self) -> AsyncIterator[tuple[str, FastAPI]]:
        """The app behind a real server on a free port; its address."""
        app = self.app()
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server._serve([bound]))
            await until(lambda: server.started)
            yield f"http://127.0.0.1:{bound.getsockname()[1]}", app
            server.should_exit = True
            await serving

    def headers(self, name: str | None) -> dict[str, str]:
        headers = {"X-Satomori": "1"}
        return headers | ({"Authorization": f"Bearer {self.token(name)}"} if name else {})


async def until(is_so: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait for a condition; fails when it does not come true in time."""
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> Iterator[House]:
    """A small city: eight devices, a person of each role, empty journals."""
    database = open_database(f"sqlite:///{tmp_path / 'satomori.db'}")
    metadata.create_all(database)
    registry = Registry(database)
    registry.register(DRAFTS, START - 86_400_000)
    (tmp_path / "run").mkdir()
    journals = {
        lane: JournalWriter(
            tmp_path / "journal" / lane,
            lane,
            segment_bytes=1 << 20,
            definitions=registry.snapshot().definitions.values,
            reserve_bytes=0,
            low_water_bytes=0,
        )
        for lane in Lane
    }
    built = House(tmp_path, database, registry, journals, clock)
    for name, role in PEOPLE.items():
        built.people[name] = add_person(database, name, role=role).id
    yield built
    for one in built.opened:
        one.close()
    for journal in journals.values():
        journal.append([TickFrame(clock())])
        journal.close()
    database.dispose()
