"""A reader is woken by the writer's datagram, wherever the journal lies, and polls otherwise."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.frames import TickFrame
from tests.ingest.journal_frames import Place, read_all, ticks, write_ticks

FOREVER_S = 30.0


@pytest.fixture(params=["short", "d" * 120], ids=["short path", "path over 108 bytes"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    opened = Place(tmp_path / request.param / "urgent")
    yield opened
    opened.close()


async def is_woken(place: Place, reader: str, wake_socket: Path | None = None) -> bool:
    """Whether an append ends a long wait."""
    writer = place.writer()
    follower = place.follower(reader, wake_socket)
    await follower.wait()
    after = follower.head()
    waiting = asyncio.create_task(follower.wait(FOREVER_S))
    await asyncio.sleep(0)
    started = time.monotonic()
    await asyncio.to_thread(writer.append, [TickFrame(7)])
    await waiting
    assert ticks(follower.read(after)) == [7]
    return time.monotonic() - started < FOREVER_S / 2


async def test_an_append_wakes_a_waiting_reader(place: Place) -> None:
    assert await is_woken(place, "store")


async def test_a_reader_may_bind_its_socket_elsewhere(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "run" / "store.sock"
    assert await is_woken(place, "store", elsewhere)
    assert elsewhere.exists()
    place.close()
    assert not elsewhere.exists()
    assert list((place.directory / "wake").iterdir()) == []


async def test_an_append_before_the_wait_ends_it_at_once(place: Place) -> None:
    writer, follower = place.writer(), place.follower()
    await follower.wait()
    write_ticks(writer, range(50))
    async with asyncio.timeout(FOREVER_S / 2):
        await follower.wait(FOREVER_S)
    assert ticks(read_all(follower)) == list(range(50))


async def test_a_wait_ends_without_a_writer(place: Place) -> None:
    follower = place.follower()
    await follower.wait(0.01)
    await follower.wait(0.01)


async def test_the_socket_of_a_dead_reader_is_removed(place: Place, tmp_path: Path) -> None:
    writer = place.writer()
    wake = place.directory / "wake"
    await place.follower("alive").wait()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "s"))
    (tmp_path / "s").rename(wake / "dead.sock")
    write_ticks(writer, [1])
    assert [path.name for path in wake.iterdir()] == ["alive.sock"]


async def test_a_reader_takes_over_the_socket_of_its_dead_predecessor(
    place: Place, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "s"))
    (place.directory / "wake").mkdir(parents=True)
    (tmp_path / "s").rename(place.directory / "wake" / "store.sock")
    assert await is_woken(place, "store")


async def test_a_second_reader_of_the_same_name_polls(place: Place) -> None:
    writer, first, second = place.writer(), place.follower("store"), place.follower("store")
    await first.wait()
    await second.wait()
    write_ticks(writer, [1])
    async with asyncio.timeout(FOREVER_S / 2):
        await first.wait(FOREVER_S)
    await second.wait(0.01)
    assert ticks(second.read(None)) == [1]
    second.close()
    write_ticks(writer, [2])
    async with asyncio.timeout(FOREVER_S / 2):
        await first.wait(FOREVER_S)


async def test_a_reader_whose_name_was_removed_comes_back(place: Place) -> None:
    follower = place.follower("store")
    await follower.wait()
    (place.directory / "wake" / "store.sock").unlink()
    await follower.wait(0.01)
    assert (place.directory / "wake" / "store.sock").exists()


async def test_a_reader_that_does_not_read_holds_up_nobody(place: Place) -> None:
    writer, follower = place.writer(), place.follower()
    await follower.wait()
    write_ticks(writer, range(2000))
    assert ticks(read_all(follower)) == list(range(2000))
