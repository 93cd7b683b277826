"""The live stream over a real server: snapshot, changes, clock, and its end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from dashboards import auth, people_admin
from dashboards.app import end_streams
from dashboards.board import Board
from dashboards.events import MAX_STREAMS_A_PERSON, EventHub, Frame, TooManyStreams
from dashboards.permissions import Role, View
from devices.frames import TickFrame
from tests.dashboards.conftest import START, Clock, House, until

Event = tuple[str, Any]


@asynccontextmanager
async def stream(
    address: str, headers: dict[str, str], *, encoding: str = "gzip"
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of one browser."""
    async with httpx.AsyncClient(timeout=10) as client:
        wanted = {**headers, "Accept-Encoding": encoding}
        async with client.stream("GET", address + "/api/live", headers=wanted) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers.get("content-encoding", "identity") == encoding
            yield events(answer)


async def events(answer: httpx.Response) -> AsyncIterator[Event]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def next_of(
    stream: AsyncIterator[Event], wanted: str, is_so: Callable[[Any], bool] = lambda _: True
) -> Any:
    """Data of the next event of this name for which the condition holds, within 5 s."""
    async with asyncio.timeout(5):
        async for name, data in stream:
            if name == wanted and is_so(data):
                return data
    raise AssertionError(f"the stream ended before {wanted}")


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_snapshot_comes_first_and_then_what_changes(house: House, encoding: str) -> None:
    async with (
        house.server() as (address, _),
        stream(address, house.headers("hanako"), encoding=encoding) as live,
    ):
        snapshot = await next_of(live, "snapshot")
        assert len(snapshot["stations"]) == 7
        house.journal(house.readings("gauge", "water.level", (START, 2.5)))
        changes = await next_of(live, "changes", lambda c: c["stations"][0]["latest"])
        assert [s["name"] for s in changes["stations"]] == ["gauge"]
        assert changes["stations"][0]["latest"]["water.level"]["value"] == 2.5


async def test_alarm_arrives_with_its_station_within_a_second(house: House) -> None:
    async with house.server() as (address, _), stream(address, house.headers("hanako")) as live:
        await next_of(live, "snapshot")
        house.journal(house.readings("gauge", "water.level", (START, 4.6)))
        house.open_alarm("gauge", "water.level")
        async with asyncio.timeout(1):
            changes = await next_of(live, "changes", lambda c: c["alarms"])
        assert changes["alarms"][0]["stage"] == "danger"
        assert changes["stations"][0]["level"] == 4


async def test_alerts_wake_the_page_at_once(house: House) -> None:
    """A datagram on the wake socket is answered without waiting for the next poll."""
    async with house.server() as (_, app):
        live = app.state.parts.live
        await until(lambda: live.alarm_reads > 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as alerts:
            before = live.alarm_reads
            for _ in range(5):
                alerts.sendto(b"!", str(house.root / "run" / "web.sock"))
                seen = live.alarm_reads
                await until(lambda: live.alarm_reads > seen, timeout_s=0.2)  # noqa: B023 - awaited
        assert live.alarm_reads >= before + 5


async def test_view_never_carries_what_the_role_may_not_see(house: House) -> None:
    async with (
        house.server() as (address, _),
        stream(address, house.headers("everybody")) as public,
        stream(address, house.headers("taro")) as waterworks,
    ):
        await next_of(public, "snapshot")
        await next_of(waterworks, "snapshot")
        house.journal(house.readings("meter", "water.total", (START, 12.5)))
        house.open_alarm("meter", "water.total")
        await next_of(waterworks, "changes", lambda c: c["alarms"])
        house.journal(house.readings("gauge", "water.level", (START, 1.0)))
        seen = []
        async with asyncio.timeout(5):
            async for name, data in public:
                seen.append(json.dumps(data))
                stations = data.get("stations", [])
                if name == "changes" and any(s["latest"] for s in stations):
                    break
        assert not any("meter" in text for text in seen)


async def test_stream_ends_with_the_session(house: House) -> None:
    async with house.server() as (address, _), stream(address, house.headers("hanako")) as live:
        await next_of(live, "snapshot")
        async with httpx.AsyncClient(base_url=address) as client:
            # another session of the same person logs out: this one stays
            await client.post("/api/logout", headers=house.headers("hanako"))
            headers = house.headers("hanako")
        async with stream(address, headers) as second:
            await next_of(second, "snapshot")
            async with httpx.AsyncClient(base_url=address) as client:
                await client.post("/api/logout", headers=headers)
            async with asyncio.timeout(5):
                assert [name async for name, _ in second if name == "snapshot"] == []
        house.journal(house.readings("gauge", "water.level", (START, 1.0)))
        await next_of(live, "changes")


async def test_stream_ends_when_the_person_is_put_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked by another process: seen by the next look at the sessions."""
    monkeypatch.setattr("dashboards.live.SESSIONS_EVERY", 1)
    async with house.server() as (address, _), stream(address, house.headers("hanako")) as live:
        await next_of(live, "snapshot")
        people_admin.set_role(house.database, "hanako", "public", now=START)
        async with asyncio.timeout(5):
            async for _ in live:
                pass


async def test_clock_says_when_no_data_comes_in(house: House, clock: Clock) -> None:
    """A dead intake or broker is told at once; the page must not look calm."""
    house.say("intake", broker="up")
    house.say("alerts")
    async with house.server() as (address, _), stream(address, house.headers("hanako")) as live:
        told = await next_of(live, "clock")
        assert told["broker"] == "up"
        assert {p: s["state"] for p, s in told["processes"].items()} == {
            "intake": "up", "alerts": "up", "web": "up",
        }  # fmt: skip
        house.say("intake", broker="down")
        told = await next_of(live, "clock", lambda c: c["broker"] == "down")
        assert told["processes"]["intake"]["state"] == "up"
        clock.at += 6_000
        house.say("alerts")
        told = await next_of(live, "clock", lambda c: c["processes"]["intake"]["state"] == "stale")
        assert told["processes"]["intake"]["seen_at"] == START
        assert told["broker"] == "unknown"


async def test_web_says_that_it_is_deaf(house: House, clock: Clock) -> None:
    """Intake is up but its ticks do not arrive here: it is web that is not to be believed."""
    house.say("intake", broker="up")
    async with house.server() as (address, _), stream(address, house.headers("hanako")) as live:
        await next_of(live, "snapshot")
        clock.at += 11_000
        house.say("intake", broker="up")
        told = await next_of(live, "clock", lambda c: c["processes"]["web"]["state"] == "stale")
        assert told["processes"]["intake"]["state"] == "stale"  # seen from the page it is
        for lane in house.journals:
            house.journal(TickFrame(clock.at), lane=lane)
        await next_of(live, "clock", lambda c: c["processes"]["web"]["state"] == "up")


async def test_station_that_falls_silent_becomes_unknown(house: House, clock: Clock) -> None:
    """Even when nobody raises the silence alarm."""
    async with house.server() as (address, _), stream(address, house.headers("hanako")) as live:
        house.journal(house.readings("gauge", "water.level", (START, 2.0)))
        await next_of(live, "changes", lambda c: c["stations"][0]["state"] == "normal")
        clock.at += 1_816_000  # three intervals of 10 minutes, and the grace
        changes = await next_of(live, "changes", lambda c: c["stations"][0]["state"] == "unknown")
        assert changes["stations"][0]["name"] == "gauge"


async def test_server_stops_although_pages_are_open(house: House) -> None:
    async with (
        asyncio.timeout(10),
        house.server() as (address, app),
        stream(address, house.headers("hanako")) as live,
    ):
        await next_of(live, "snapshot")
        end_streams(app)
        async for _ in live:
            pass


def hub_of(board: Board) -> EventHub:
    return EventHub(board, lambda: START, lambda: b"{}")


async def test_slow_page_is_given_a_fresh_snapshot(house: House) -> None:
    """What waits for a page is bounded; then it starts anew instead of lagging behind."""
    board = Board()
    board.take_registry(house.registry.snapshot())
    hub = hub_of(board)
    subscriber = hub.subscribe(View(Role.ADMIN), "session", 1)
    frames = hub.frames(subscriber)
    assert b"event: snapshot" in (await anext(frames)).plain
    assert b"event: clock" in (await anext(frames)).plain
    for k in range(40):
        board.take_readings(house.readings("gauge", "water.level", (START + k, k)).readings)
        hub.publish()
    assert len(subscriber.waiting) <= 16
    assert hub.counts.dropped_to_snapshot == 1
    snapshot = (await anext(frames)).plain
    assert b'"value":39.0' in snapshot
    assert b"event: snapshot" in snapshot


async def test_one_frame_a_view_however_many_look(house: House) -> None:
    board = Board()
    board.take_registry(house.registry.snapshot())
    hub = hub_of(board)
    subscribers = [hub.subscribe(View(Role.DISASTER), "s", k) for k in range(100)]
    for subscriber in subscribers:
        subscriber.needs_snapshot = False
    board.take_readings(house.readings("gauge", "water.level", (START, 1.0)).readings)
    hub.publish()
    assert hub.counts.frames == 1
    assert len({id(s.waiting[-1]) for s in subscribers}) == 1


async def test_snapshot_made_for_another_lacks_nothing_that_comes_after_it(house: House) -> None:
    """It is shared until the next publication, and what it lacks is in that publication."""
    board = Board()
    board.take_registry(house.registry.snapshot())
    hub = hub_of(board)
    hub.publish()
    first, second = (hub.subscribe(View(Role.ADMIN), "s", k) for k in (1, 2))
    shared = await anext(hub.frames(first))
    board.take_readings(house.readings("gauge", "water.level", (START, 1.25)).readings)
    frames = hub.frames(second)
    assert await anext(frames) is shared
    assert b"event: clock" in (await anext(frames)).plain
    hub.publish()
    assert b'"value":1.25' in (await anext(frames)).plain


async def test_streams_of_a_person_are_bounded() -> None:
    hub = hub_of(Board())
    for _ in range(MAX_STREAMS_A_PERSON):
        hub.subscribe(View(Role.PUBLIC), "s", 7)
    with pytest.raises(TooManyStreams):
        hub.subscribe(View(Role.PUBLIC), "s", 7)
    hub.subscribe(View(Role.PUBLIC), "s", 8)


def test_packed_frames_are_one_gzip_stream_for_whoever_joins() -> None:
    """Each packed frame stands for itself: any two may follow each other."""
    import zlib

    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    frames = [Frame("changes", b"x" * 1000), Frame("clock", b"{}"), Frame("changes", b"x" * 1000)]
    for order in (frames, frames[::-1], frames[1:]):
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert unpack.decompress(header) == b""
        for frame in order:
            assert unpack.decompress(frame.packed) == frame.plain


def test_access_token_expires_with_its_session(house: House) -> None:
    token = auth.create_access_token(house.database, 1, START, 60)
    assert auth.visitor_of(house.database, token, START + 59_999)
    assert auth.visitor_of(house.database, token, START + 60_000) is None
