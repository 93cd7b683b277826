"""The one migration tree for the tables of all packages, run by the supervisor before the children.

A new revision: change the tables, then ``python -m satomori.migrations "what changes"``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text

from devices.database import metadata, open_database, writing

TABLE_MODULES: Final = (
    "devices.tables",
    "devices.codecs.tables",
    "devices.provisioning_tables",
    "alerts.tables",
    "ingest.tables",
    "ingest.feeds.tables",
    "ingest.waiting_tables",
    "dashboards.tables",
    "dashboards.downlink_tables",
)

_LOCK: Final = 0x5A70_3012  # PostgreSQL advisory lock: one upgrade at a time


def upgrade(url: str) -> None:
    """Bring the database at ``url`` to the newest revision, in one transaction.

    Safe to run from two processes at once: the second waits and finds nothing to do. Raises what
    SQLAlchemy or Alembic raises; the database is then as it was.
    """
    database = open_database(url)
    try:
        with writing(database) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            command.upgrade(alembic_config(connection), "head")
    finally:
        database.dispose()


def all_tables() -> MetaData:
    """The metadata with the tables of all packages."""
    for name in TABLE_MODULES:
        import_module(name)
    return metadata


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for an open write transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
