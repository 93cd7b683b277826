"""InfluxDB down, slow, full, refusing a part: the journal holds, drains in order, nothing twice."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from devices.frames import Lane, Position, ReadingsFrame, SeriesFrame
from devices.readings import concatenate
from ingest import store_writer
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.store_writer import StoreWriter
from ingest.stores.influx import InfluxStore
from ingest.stores.influx_http import InfluxAddress
from ingest.stores.series_store import StoreOutage
from tests.ingest.store_contract import DEFINITIONS, METER, RAIN, RIVER, T0, TRAP, at, pairs, rows
from tests.ingest.test_store_crashes import no_receipts
from tests.running import running
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.servers.influx import SECRET, Influx, StartInflux

WRITES = b"/write"
FULL = '{"error":"engine: error syncing wal: write /wal/_00001.wal: no space left on device"}'
SERIES = (RIVER, METER, RAIN, TRAP)


class Town:
    """A journal, a store behind a proxy, and what was journaled."""

    def __init__(self, directory: Path, address: InfluxAddress, proxy: FaultProxy) -> None:
        self.directory, self.proxy = directory, proxy
        self.address = replace(address, url=f"http://127.0.0.1:{proxy.port}")
        self.store = InfluxStore(self.address, directory / "store")
        self.journals = {lane: JournalWriter(directory / lane, lane) for lane in Lane}
        self.journals[Lane.URGENT].append([SeriesFrame(DEFINITIONS)])
        self.sent: dict[int, list[tuple[int, float]]] = {series: [] for series in SERIES}
        self.heads: dict[Lane, Position] = {}
        self._round = 0

    def journal(self, rounds: int = 1) -> None:
        """A frame in each lane a round, ten readings a series."""
        for _ in range(rounds):
            for lane, some in ((Lane.URGENT, (RIVER, TRAP)), (Lane.ROUTINE, (METER, RAIN))):
                columns = [(s, self._round * 1000 + k, k / 3) for s in some for k in range(10)]
                for series, offset, value in columns:
                    self.sent[series].append((offset, value))
                frame = ReadingsFrame(rows(*columns), no_receipts())
                self.heads[lane] = self.journals[lane].append([frame])
            self._round += 1

    def has_all(self) -> bool:
        return dict(self.store.positions()) == self.heads

    def stored(self) -> dict[int, list[tuple[int, float]]]:
        """What a reader of the database finds, by series; each time is there once at most."""
        found = concatenate(list(self.store.scan(SERIES, T0 - 1, T0 + (1 << 40))))
        return {
            series: sorted(zip((of.measured_at - T0).tolist(), of.value.tolist(), strict=True))
            for series in SERIES
            if (of := found.take(found.series == series)) is not None
        }

    @asynccontextmanager
    async def writing(self, **options: float) -> AsyncIterator[StoreWriter]:
        followers = {lane: JournalFollower(self.directory / lane, lane, "store") for lane in Lane}
        options = {"flush_s": 0.02, **options}
        writer = StoreWriter(self.store, followers, **options)  # type: ignore[arg-type]  # by name
        try:
            async with running(writer.run()):
                yield writer
        finally:
            for follower in followers.values():
                follower.close()

    def close(self) -> None:
        self.store.close()
        for journal in self.journals.values():
            journal.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other quickly here."""
    monkeypatch.setattr(store_writer, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(store_writer, "_LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def town(influx: Influx, tmp_path: Path) -> Iterator[Town]:
    """On each generation that is installed."""
    yield from _town(influx, tmp_path)


@pytest.fixture
def one_town(shared_influx: StartInflux, tmp_path: Path) -> Iterator[Town]:
    """On one generation: faults that stand before any server."""
    yield from _town(shared_influx("1.8"), tmp_path)


def _town(influx: Influx, directory: Path) -> Iterator[Town]:
    name = f"t{uuid.uuid4().hex[:12]}"
    address = replace(
        influx.address, database=name, personal_database=f"{name}_personal", timeout_s=0.5
    )
    with fault_proxy(influx.port) as proxy:
        town = Town(directory, address, proxy)
        yield town
        town.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("refuse"), "InfluxDB at http://127.0.0.1"),
        (Fault("hang", only=WRITES), "imed"),
        (Fault("cut_request", size=700, only=WRITES), "InfluxDB at http://127.0.0.1"),
        (Fault("cut_answer", only=WRITES), "InfluxDB at http://127.0.0.1"),
        (Fault("answer", status=500, body=FULL, only=WRITES), "no space left on device"),
        (Fault("answer", status=503, body="busy", retry_after_s=1, only=WRITES), "503: busy"),
        (Fault("answer", status=429, body="quota", retry_after_s=0, only=WRITES), "429: quota"),
        (Fault("answer", status=401, body="unauthorized"), "401: unauthorized"),
        (Fault("answer", status=403, body="forbidden", only=WRITES), "403: forbidden"),
        (Fault("answer", status=400, body="plain HTTP sent to TLS port"), "400: plain HTTP"),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else "",
)
async def test_what_the_server_does_not_take_waits_and_drains_in_order(
    one_town: Town, fault: Fault, said: str
) -> None:
    """Readings go on coming in; the lag is told; at the end the store equals what was journaled."""
    async with one_town.writing() as writer:
        one_town.journal(3)
        await until(one_town.has_all, "all is well")
        before = dict(one_town.store.positions())
        one_town.proxy.fault = fault
        one_town.proxy.cut()
        for _ in range(3):
            struck = one_town.proxy.struck
            one_town.journal(2)
            await until(lambda n=struck: one_town.proxy.struck > n, "the fault is met")  # type: ignore[misc]
        await until(lambda: writer.lag().outage is not None, "the outage is told")
        lag = writer.lag()
        assert said in (lag.outage or "")
        assert (lag.frames[Lane.URGENT] or 0) >= 1
        assert dict(one_town.store.positions()) == before
        assert lag.counts.refused == 0
        one_town.proxy.fault = None
        await until(one_town.has_all, "caught up")
        await until(lambda: writer.lag().outage is None, "the outage is over")
        await until(lambda: writer.lag().frames == dict.fromkeys(Lane, 0), "no lag any more")
    assert one_town.stored() == one_town.sent


async def test_a_slow_server_is_written_to_all_the_same(one_town: Town) -> None:
    """Every answer comes late, but in time: no outage, only lag."""
    one_town.proxy.fault = Fault("delay", seconds=0.1)
    async with one_town.writing() as writer:
        one_town.journal(20)
        await until(one_town.has_all, "all written")
        assert writer.lag().outage is None
    assert one_town.stored() == one_town.sent


async def test_a_server_too_slow_for_a_large_request_gets_smaller_ones(one_town: Town) -> None:
    """3 kB in 50 ms and half a second of patience: a large request would never end in time."""
    many = [(RIVER, k, float(k)) for k in range(1000)]
    one_town.store.define(DEFINITIONS)
    one_town.store.append(rows((RIVER, -1, 0.0)), {})
    one_town.proxy.fault = Fault("slow", seconds=0.05, size=3000)
    one_town.proxy.cut()
    outages = 0
    while True:
        try:
            one_town.store.append(rows(*many), at(Lane.URGENT, 2))
        except StoreOutage:
            outages += 1
            assert outages < 30
        else:
            break
    assert outages > 0
    assert len(one_town.store.range(RIVER, T0, T0 + 1000)) == 1000
    assert one_town.store.counts.rows == 1001


async def test_a_step_tried_again_goes_on_where_the_server_last_said_yes(one_town: Town) -> None:
    """A network that ends every third request still carries a large step across."""
    many = [(RIVER, k, float(k)) for k in range(25_000)] + [(METER, k, 1.0) for k in range(9_000)]
    one_town.store.define(DEFINITIONS)
    one_town.store.append(rows((RIVER, -1, 0.0)), {})
    for fault in (Fault("cut_answer", only=WRITES), Fault("cut_request", only=WRITES)) * 2:
        one_town.proxy.fault = fault
        with pytest.raises(StoreOutage):
            one_town.store.append(rows(*many), at(Lane.URGENT, 2))
    one_town.proxy.fault = None
    one_town.store.append(rows(*many), at(Lane.URGENT, 2))
    assert one_town.store.counts.rows == 34_001
    assert len(one_town.store.range(RIVER, T0, T0 + 25_000)) == 25_000
    assert len(one_town.store.range(METER, T0, T0 + 25_000)) == 9_000


async def test_points_refused_for_good_are_put_aside_and_stop_nobody(
    town: Town, influx: Influx
) -> None:
    """A type conflict, made with another client, in the midst of other readings.

    The refused points stand in a file with the reason; posted again after the cause is mended, as
    the documentation says, they are in the database.
    """
    database = town.address.database
    town.store.define(DEFINITIONS)
    town.store.append(rows((METER, -1, 0.0)), {})
    line = f"rain.intensity,device=x value=7i {T0}"
    assert _post(influx, database, line).status_code == 204
    async with town.writing() as writer:
        town.journal(5)
        await until(town.has_all, "nothing is held up")
        refusals = len(town.sent[RAIN])
        await until(lambda: writer.lag().counts.refused == refusals, "the refused are counted")
        counts = writer.lag().counts
        assert "field type conflict" in counts.refusals[-1]
        assert writer.lag().outage is None
    others = {series: sent for series, sent in town.sent.items() if series != RAIN}
    found = town.stored()
    assert {series: found[series] for series in others} == others | {
        METER: [(-1, 0.0), *town.sent[METER]]
    }
    refused = town.directory / "store" / "refused" / f"{database}.lp"
    assert refused.stat().st_mode & 0o077 == 0
    text = refused.read_text()
    assert text.startswith("# ")
    assert "field type conflict" in text.splitlines()[0]
    assert sum(not line.startswith("#") for line in text.splitlines()) == counts.refused

    if influx.generation == "2":
        return  # a measurement of a bucket is deleted by another call there
    influx.query('DROP MEASUREMENT "rain.intensity"', database)
    assert _post(influx, database, text).status_code == 204
    assert town.stored()[RAIN] == town.sent[RAIN]


async def test_readings_beyond_the_retention_are_put_aside_and_the_others_stored(
    town: Town, influx: Influx
) -> None:
    now, day = time.time_ns() // 1_000_000, 86_400_000
    if influx.generation == "2":
        _make_bucket(influx, town.address.database)
    else:
        _execute(influx, f'CREATE DATABASE "{town.address.database}" WITH DURATION 2h')
    town.store.define(DEFINITIONS)
    old = [(series, now - T0 - 30 * day + k, 1.0) for series in (RIVER, TRAP) for k in range(20)]
    new = [(series, now - T0 - k, 2.0) for series in (RIVER, TRAP) for k in range(20)]
    town.store.append(rows(*old, *new), at(Lane.URGENT, 5))
    counts = town.store.counts
    assert (counts.rows, counts.refused) == (40, 40)
    assert "etention" in counts.refusals[-1]
    for series in (RIVER, TRAP):
        assert len(town.store.range(series, now - 31 * day, now + 1)) == 20
    assert town.store.positions() == at(Lane.URGENT, 5)


async def test_a_request_that_is_too_large_for_the_way_is_sent_in_smaller_ones(
    one_town: Town,
) -> None:
    """A proxy before the server that answers 413: no line is refused for it."""
    one_town.store.define(DEFINITIONS)
    one_town.store.append(rows((RIVER, -1, 0.0)), {})
    one_town.proxy.fault = Fault("answer", status=413, body="too large", only=WRITES)
    with pytest.raises(StoreOutage, match="413 to one line"):
        one_town.store.append(rows(*((RIVER, k, 1.0) for k in range(64))), at(Lane.URGENT, 2))
    assert one_town.store.counts.refused == 0
    one_town.proxy.fault = None
    one_town.store.append(rows(*((RIVER, k, 1.0) for k in range(64))), at(Lane.URGENT, 2))
    assert one_town.store.counts.rows == 65


@pytest.mark.parametrize("influx", ["2"], indirect=True)  # there every server has authorisation
def test_another_secret_takes_effect_without_a_restart(influx: Influx, tmp_path: Path) -> None:
    """The password is changed at the server, then in our file; nothing is lost in between."""
    secret = SECRET
    address = replace(influx.address, database=f"t{uuid.uuid4().hex[:9]}", secret=lambda: secret)
    store = InfluxStore(replace(address, personal_database=f"{address.database}_p"), tmp_path)
    store.define(DEFINITIONS)
    store.append(rows((RIVER, 0, 1.0)), {})
    secret = "another"
    store._server.forget_server()
    with pytest.raises(StoreOutage, match="401") as outage:
        store.append(rows((RIVER, 1, 2.0)), {})
    assert not outage.value.can_retry
    with pytest.raises(StoreOutage, match="401"):
        store.range(RIVER, T0, T0 + 10)
    secret = SECRET
    store.append(rows((RIVER, 1, 2.0)), {})
    assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0), (1, 2.0)]
    store.close()


def _post(influx: Influx, database: str, lines: str) -> httpx.Response:
    """What an operator does with curl."""
    if influx.generation == "2":
        return httpx.post(
            f"{influx.address.url}/api/v2/write",
            params={"bucket": database, "org": "satomori", "precision": "ms"},
            headers={"Authorization": f"Token {SECRET}"}, content=lines, trust_env=False,
        )  # fmt: skip
    params = {"db": database, "precision": "ms"}
    return httpx.post(f"{influx.address.url}/write", params=params, content=lines, trust_env=False)


def _execute(influx: Influx, statement: str) -> None:
    httpx.post(
        f"{influx.address.url}/query", params={"q": statement}, trust_env=False
    ).raise_for_status()


def _make_bucket(influx: Influx, name: str) -> None:
    url, headers = influx.address.url, {"Authorization": f"Token {SECRET}"}
    orgs = httpx.get(f"{url}/api/v2/orgs", headers=headers, trust_env=False).json()["orgs"]
    body = {
        "orgID": orgs[0]["id"],
        "name": name,
        "retentionRules": [{"type": "expire", "everySeconds": 7200}],
    }
    httpx.post(
        f"{url}/api/v2/buckets", headers=headers, json=body, trust_env=False
    ).raise_for_status()
