"""A child broker saves often while that is quick, and not while it has a backlog."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from satomori import broker_saves
from satomori.broker_saves import SMALL_BYTES, is_small, save_often


def test_a_database_is_small_until_it_says_otherwise(tmp_path: Path) -> None:
    """One that is not there yet, too; a backlog makes it large, and only the next save small."""
    database = tmp_path / "mosquitto.db"
    assert is_small(database)
    database.touch()
    assert is_small(database)
    os.truncate(database, SMALL_BYTES + 1)
    assert not is_small(database)


def test_a_broker_that_has_just_started_is_left_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process is signalled from the second look on; none while it is down."""
    monkeypatch.setattr(broker_saves, "OFTEN_S", 0)
    pids = [None, 7, 7, 8, 8, 8, None, 9]
    seen: list[int | None] = []
    saved: list[int] = []

    def pid() -> int | None:
        if len(seen) == len(pids):
            raise asyncio.CancelledError
        seen.append(pids[len(seen)])
        return seen[-1]

    def save() -> None:
        assert seen[-1] is not None
        saved.append(seen[-1])

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(save_often(tmp_path / "mosquitto.db", pid, save))
    assert saved == [7, 8, 8]
