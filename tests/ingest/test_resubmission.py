"""Resubmitted messages: in small steps, each lane its own, none passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select

import ingest.tables  # noqa: F401 - its tables are known once it is read
from devices.database import metadata, open_database, writing
from devices.frames import Lane, TickFrame
from ingest import resubmission
from ingest.resubmission import AT_ONCE, AT_ONCE_BYTES, FORGET_AFTER_MS, note_done, waiting
from ingest.tables import intake_position, resubmission_done
from ingest.tables import resubmission as table
from tests.ingest.field import NOW, Town, of, payload, until, up
from tests.servers.mosquitto import Mosquitto

ROW = {"quarantine": 1, "created_at": NOW, "received_at": NOW, "topic": up("gauge-1")}


def row(lane: Lane = Lane.URGENT, body: bytes = b"{}") -> dict[str, object]:
    return {**ROW, "lane": lane.value, "payload": body}


def ids(database: Engine, lane: Lane = Lane.URGENT) -> list[int]:
    return [one.id for one in waiting(database, lane)]


def test_a_row_that_is_committed_after_a_higher_one_is_not_passed_over(postgres_url: str) -> None:
    """PostgreSQL gives numbers at the insert and shows rows at the commit."""
    database = open_database(postgres_url)
    metadata.create_all(database)
    with database.connect() as slow, slow.begin():
        slow.execute(insert(table).values(row()))
        with writing(database) as fast:
            fast.execute(insert(table).values(row()))
        assert ids(database) == [2]
        note_done(database, [2], NOW)
        assert ids(database) == []
    assert ids(database) == [1]
    note_done(database, [1], NOW)
    assert ids(database) == []
    database.dispose()


def test_what_is_done_is_forgotten_below_what_still_waits(database: Engine) -> None:
    """Looking stays cheap, and no waiting row is below the floor."""
    with writing(database) as connection:
        connection.execute(insert(table), [row(), row(Lane.ROUTINE), row(), row()])
    note_done(database, [1, 3, 4], NOW)
    note_done(database, [1], NOW + 5)
    resubmission.forget_done(database, NOW + FORGET_AFTER_MS)
    assert _floor(database) is None, "too young"
    resubmission.forget_done(database, NOW + FORGET_AFTER_MS + 1)
    assert _floor(database) == 1
    assert ids(database) == []
    assert ids(database, Lane.ROUTINE) == [2]
    note_done(database, [2], NOW)
    resubmission.forget_done(database, NOW + FORGET_AFTER_MS + 1)
    assert _floor(database) == 4
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(resubmission_done)) == 0


def _floor(database: Engine) -> int | None:
    with database.connect() as connection:
        return connection.scalar(select(intake_position.c.done))


def test_a_step_is_bounded_by_rows_and_by_bytes(database: Engine) -> None:
    """One row always goes, however large; a thousand small ones go in steps."""
    large = bytes(AT_ONCE_BYTES // 2 + 1)
    with writing(database) as connection:
        connection.execute(insert(table), [row(body=bytes(AT_ONCE_BYTES + 1)), row(body=large)])
        connection.execute(insert(table), [row(Lane.ROUTINE) for _ in range(AT_ONCE + 1)])
    assert ids(database) == [1]
    assert len(ids(database, Lane.ROUTINE)) == AT_ONCE


@pytest.mark.parametrize("rows", [2_000])
async def test_thousands_resubmitted_at_once_hold_up_no_tick_and_no_other_lane(
    tmp_path: Path, mosquitto: Mosquitto, rows: int
) -> None:
    """Both lanes tick on while they are taken in; each is in the journal once."""
    town = Town(tmp_path, mosquitto.port)
    with writing(town.database) as connection:
        meter = up("meter-1", "water-meter")
        many = [
            {**row(Lane.ROUTINE, b'{"t":%d,"v":{"water.total":%d}}' % (NOW + n, n)), "topic": meter}
            for n in range(rows)
        ]
        connection.execute(insert(table), [*many, row(body=payload(1.5, NOW))])
    await town.start()
    await until(lambda: town.values(Lane.URGENT) == [1.5], "the urgent one")
    await until(lambda: len(town.values(Lane.ROUTINE)) >= rows, "all of routine", 60)
    await until(lambda: _count_done(town.database) == rows + 1, "all noted", 60)
    assert town.values(Lane.ROUTINE) == [float(n) for n in range(rows)]
    for lane in Lane:
        at = [frame.at for frame in of(town.frames(lane), TickFrame)]
        assert at == sorted(at)
    assert of(town.frames(Lane.ROUTINE), TickFrame)
    await town.stop()


def _count_done(database: Engine) -> int:
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(resubmission_done)) or 0
