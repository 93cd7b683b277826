"""The relational database: one metadata for all tables, one way to open it.

SQLite (WAL, durable commits) by default, PostgreSQL by URL. Each table has one writing process
(decision 6 of the design); this module refuses to know which.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

SILENT_SERVER_S: Final = 30
"""A server that says nothing for so long is away: no process waits for it forever."""

_BUSY_S: Final = 10.0
"""How long a statement waits for another process's write."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Tables of all packages register here; Alembic (``satomori/migrations``) builds them."""


def open_database(url: str) -> Engine:
    """Open ``sqlite:///path`` or ``postgresql+pg8000://…``; commits are durable when they return.

    Raises ``sqlalchemy.exc.ArgumentError`` for an URL that cannot be read, or whose driver is not
    installed.
    """
    try:
        asked = make_url(url)
        is_remote = asked.get_driver_name() == "pg8000"
        arguments = {"timeout": SILENT_SERVER_S} if is_remote else {}
        engine = create_engine(asked, pool_pre_ping=True, connect_args=arguments)
    except ModuleNotFoundError as error:
        raise ArgumentError(f"the driver {error.name} is not installed") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_sqlite_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(database: Engine) -> Iterator[Connection]:
    """One write transaction: SQLite's write lock at once, commit at the end, rollback on error.

    A transaction that reads first and writes later would fail at the upgrade (SQLITE_BUSY) when
    another process has written in between. Keep it under 50 ms and never await inside.
    """
    with database.connect().execution_options(is_writing=True) as connection, connection.begin():
        yield connection


def _set_sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN itself, see _begin
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={round(1000 * _BUSY_S)}")
    _use_wal(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Several may open a new database at once; for this change SQLite's own patience fails."""
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
