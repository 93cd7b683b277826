"""What is to be written on a full disk finds room inside the database's own files."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from devices.database import open_database, writing
from devices.database_room import ROOM_BYTES, keep_room, room_in

DISK_MIB = 48


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; skipped by name where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "small", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def database(small_disk: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{small_disk / 'small.db'}")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE alarm (text TEXT)")
    yield engine
    engine.dispose()


def _fill(disk: Path) -> None:
    """Until not one byte more can be had."""
    handle = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while os.write(handle, b"x" * size):
                    pass
    os.close(handle)
    assert os.statvfs(disk).f_bavail == 0


def _alarms_written(database: Engine, at_most: int) -> int:
    """How many of ``at_most`` commits of half a kilobyte succeed."""
    for number in range(at_most):
        try:
            with writing(database) as connection:
                connection.exec_driver_sql("INSERT INTO alarm VALUES (?)", ("x" * 512,))
        except OperationalError:
            return number
    return at_most


def test_alarms_are_written_on_a_full_disk(small_disk: Path, database: Engine) -> None:
    """Three thousand commits after the disk has taken its last byte."""
    assert keep_room(database)
    _fill(small_disk)
    assert _alarms_written(database, 3000) == 3000


def test_without_room_not_even_one_is_written(small_disk: Path, database: Engine) -> None:
    """What the room is for: the log has to grow for the first one that is a little larger."""
    _fill(small_disk)
    assert _alarms_written(database, 3000) < 100


def test_room_is_made_once_and_again_when_it_is_used_up(small_disk: Path, database: Engine) -> None:
    assert keep_room(database)
    assert room_in(database) >= ROOM_BYTES
    assert not keep_room(database)
    assert _alarms_written(database, 4000) == 4000
    assert room_in(database) < ROOM_BYTES * 0.75
    assert keep_room(database)
    assert room_in(database) >= ROOM_BYTES


def test_no_room_is_taken_from_a_disk_that_has_little(small_disk: Path, database: Engine) -> None:
    """The last megabytes are the journal's."""
    (small_disk / "filler").write_bytes(b"x" * (DISK_MIB - 12 << 20))
    assert not keep_room(database)
    assert room_in(database) == 0


def test_a_database_in_memory_needs_none() -> None:
    engine = open_database("sqlite://")
    assert not keep_room(engine)
    engine.dispose()
