"""What the tests of alerts share: a database with all tables, on each kind that we run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

import alerts.tables  # noqa: F401  (its tables are to be made)
import devices.tables  # noqa: F401  (its tables are to be made, too)
from devices.database import metadata, open_database


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite database with all tables."""
    engine = open_database(f"sqlite:///{tmp_path / 'satomori.db'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()
