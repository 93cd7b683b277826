"""Rows of what did not come: gaps in the sequence numbers of devices, opened, closed, forgotten.

Functions over an open connection. Refuses to know who finds a gap (``ingest.sequence``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from devices.frames import SequenceGapFrame
from ingest.tables import sequence_gap


def note_gap(connection: Connection, gap: SequenceGapFrame) -> None:
    """Open what of the range is not open already, or close the part of it that has come.

    ::

        open      [10 ─────────────── 19]
        came             [13 ── 15]
        then      [10 12][13 ── 15][16 19]      open, filled, open
    """
    touched = connection.execute(
        select(sequence_gap)
        .where(
            sequence_gap.c.device == gap.device,
            sequence_gap.c.is_filled.is_(False),
            sequence_gap.c.first <= gap.last,
            sequence_gap.c.last >= gap.first,
        )
        .order_by(sequence_gap.c.first)
    ).all()
    if gap.is_filled:
        for row in touched:
            _fill(connection, row, gap)
    else:
        for first, last in _uncovered(gap, touched):
            _open_gap(connection, gap.device, first, last, gap.at)


def drop_oldest(connection: Connection, devices: Collection[int], keep: int) -> list[int]:
    """Leave the newest ``keep`` gaps of each of these devices; which had more."""
    counted = connection.execute(
        select(sequence_gap.c.device)
        .where(sequence_gap.c.device.in_(devices))
        .group_by(sequence_gap.c.device)
        .having(func.count() > keep)
    )
    over = [int(device) for (device,) in counted]
    for device in over:
        kept = (
            select(sequence_gap.c.id)
            .where(sequence_gap.c.device == device)
            .order_by(sequence_gap.c.id.desc())
            .limit(keep)
            .subquery()
        )
        oldest_kept = select(func.min(kept.c.id)).scalar_subquery()
        connection.execute(
            delete(sequence_gap).where(
                sequence_gap.c.device == device, sequence_gap.c.id < oldest_kept
            )
        )
    return over


def _fill(connection: Connection, row: Row[tuple[int, ...]], came: SequenceGapFrame) -> None:
    first, last = max(row.first, came.first), min(row.last, came.last)
    connection.execute(
        update(sequence_gap)
        .where(sequence_gap.c.id == row.id)
        .values(first=first, last=last, is_filled=True, filled_at=came.at)
    )
    if row.first < first:
        _open_gap(connection, row.device, row.first, first - 1, row.at)
    if row.last > last:
        _open_gap(connection, row.device, last + 1, row.last, row.at)


def _uncovered(
    gap: SequenceGapFrame, covering: Sequence[Row[tuple[int, ...]]]
) -> list[tuple[int, int]]:
    """What of the range none of the rows (by first) holds."""
    ranges = []
    first = gap.first
    for row in covering:
        if row.first > first:
            ranges.append((first, row.first - 1))
        first = max(first, row.last + 1)
    if first <= gap.last:
        ranges.append((first, gap.last))
    return ranges


def _open_gap(connection: Connection, device: int, first: int, last: int, at: int) -> None:
    connection.execute(
        insert(sequence_gap).values(device=device, first=first, last=last, at=at, is_filled=False)
    )
