"""The migration tree leads to the tables that the packages declare, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from devices.database import open_database, writing
from devices.drafts import DeviceDraft
from devices.registry import Registry
from satomori.migrations import alembic_config, all_tables, upgrade


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'satomori.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_the_migrated_schema_is_the_declared_one(url: str) -> None:
    upgrade(url)
    database = open_database(url)
    with database.connect() as connection:
        # On SQLite Alembic takes DEFAULT '' for a difference; there the next test compares.
        options = {"compare_server_default": connection.dialect.name != "sqlite"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, all_tables()) == []
    database.dispose()


def test_migrated_sqlite_tables_are_the_created_ones_word_by_word(tmp_path: Path) -> None:
    """`compare_metadata` is blind to AUTOINCREMENT, checks and partial indexes: compare the DDL."""
    upgrade(f"sqlite:///{tmp_path / 'migrated.db'}")
    created = open_database(f"sqlite:///{tmp_path / 'created.db'}")
    all_tables().create_all(created)
    migrated = open_database(f"sqlite:///{tmp_path / 'migrated.db'}")
    assert _ddl(migrated) == _ddl(created)
    for database in (migrated, created):
        database.dispose()


def test_an_upgrade_of_the_newest_changes_nothing(url: str) -> None:
    upgrade(url)
    database = open_database(url)
    Registry(database).register([DeviceDraft("T-1", "trap")], now=1)
    upgrade(url)
    assert Registry(database).snapshot().by_name["T-1"].kind == "trap"
    database.dispose()


def test_upgrades_at_the_same_time_are_one_upgrade(url: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(upgrade, [url] * 3))
    database = open_database(url)
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    database.dispose()


def test_a_failed_upgrade_leaves_the_database_as_it_was(url: str) -> None:
    database = open_database(url)
    with writing(database) as connection:
        connection.execute(text("CREATE TABLE unit (stray INTEGER)"))
    with pytest.raises(Exception, match="unit"):
        upgrade(url)
    with database.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, all_tables())
    missing = {d[1].name for d in differences if d[0] == "add_table"}
    assert missing == set(all_tables().tables) - {"unit"}
    database.dispose()


def test_the_tree_has_one_trunk(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'satomori.db'}")
    with database.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
        assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
    database.dispose()


def _ddl(database: Engine) -> dict[str, list[str]]:
    """Each table and index with the lines that make it; constraints stand in any order."""
    query = text(
        "SELECT name, sql FROM sqlite_master"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    )
    with database.connect() as connection:
        rows = connection.execute(query).all()
    return {
        name: sorted(line.strip(" \t,") for line in sql.splitlines() if line.strip())
        for name, sql in rows
    }
