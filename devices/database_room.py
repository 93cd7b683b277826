"""Room inside SQLite's own files, so that an alarm can be written when the disk is full.

A file that is given up when the disk is full helps whoever writes next, seldom the alarm. So room
is kept where nobody else can take it: free pages in the database file, and a write-ahead log that
has been as long before (SQLite overwrites it from the start; it shrinks when the last process that
has the database open lets go of it). What is written then takes free pages and overwrites the log:
no new block of the disk is needed, on file systems that overwrite in place.
Refuses to know what is written. PostgreSQL keeps its own disk.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from devices.database import writing

log = structlog.get_logger()

MIB: Final = 1 << 20
ROOM_BYTES: Final = 4 * MIB
"""Some thousand alarms with their deliveries."""

_ENOUGH: Final = 0.75  # of the room, below which it is made again
_SPARE: Final = 4  # times the room must be free on the disk before it is taken


def keep_room(database: Engine, room_bytes: int = ROOM_BYTES) -> bool:
    """See to it that there is room; True where it was missing and has been made.

    Two transactions of about the time that writing ``room_bytes`` takes (4 MiB: 40 ms). Makes
    none on a disk that is nearly full, and none in memory. Raises no error: room is a precaution.
    """
    file = _file(database)
    if file is None:
        return False
    try:
        if _has_room(database, file, room_bytes) or _free_bytes(file) < _SPARE * room_bytes:
            return False
        _make_room(database, room_bytes)
    except (OSError, OperationalError) as error:
        log.warning("database.room.not_made", error=str(error).partition("\n")[0])
        return False
    return True


def room_in(database: Engine) -> int:
    """Bytes of free pages inside the database file."""
    with database.connect() as connection:
        pages = _pragma(connection, "freelist_count")
        return pages * _pragma(connection, "page_size")


def _has_room(database: Engine, file: Path, room_bytes: int) -> bool:
    wanted = _ENOUGH * room_bytes
    wal = file.with_name(f"{file.name}-wal")
    return wal.exists() and wal.stat().st_size >= wanted and room_in(database) >= wanted


def _make_room(database: Engine, room_bytes: int) -> None:
    """Fill pages and let go of them: they stay in the file, and the log was as long as that."""
    with writing(database) as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS _room")
        connection.exec_driver_sql("CREATE TABLE _room (filler BLOB)")
        connection.exec_driver_sql("INSERT INTO _room VALUES (zeroblob(?))", (room_bytes,))
    with writing(database) as connection:
        connection.exec_driver_sql("DROP TABLE _room")


def _file(database: Engine) -> Path | None:
    name = database.url.database
    if database.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name)


def _free_bytes(file: Path) -> int:
    disk = os.statvfs(file.parent)
    return disk.f_bavail * disk.f_frsize


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
