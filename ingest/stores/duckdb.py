"""Readings in one DuckDB file: rows and journal positions are one transaction.

Refuses to know the journal and the registry. One process may open the file; ``cursor`` copies of
the connection serve its readers while one writer appends.

There is no primary key (its index costs more than all else). What makes a reading stored once::

    series 7   ───────────────●  newest measured_at that the store has (watermark, in memory)
    batch           ○   ○          not newer: looked up among the stored rows (anti-join)
                                ○ ○  newer: cannot be there, written without a look
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from devices.failpoints import failpoint
from devices.frames import Lane, Position, SeriesDefinition
from devices.readings import Float64s, Indices, Readings, UInt8s
from ingest.stores.newest import Newest
from ingest.stores.series_store import (
    Samples,
    StoreCounts,
    StoreOutage,
    distinct,
    thin,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS readings (
    series INTEGER NOT NULL, measured_at BIGINT NOT NULL, received_at BIGINT NOT NULL,
    value DOUBLE NOT NULL, quality UTINYINT NOT NULL);
CREATE TABLE IF NOT EXISTS series (
    series INTEGER NOT NULL, device INTEGER NOT NULL, name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, quantity VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS journal_position (
    lane VARCHAR NOT NULL, epoch UBIGINT NOT NULL, n UBIGINT NOT NULL);
"""

_BREAKING = (duckdb.FatalException, duckdb.InternalException, duckdb.ConnectionException)
"""After these (a full disk in a checkpoint) the file must be opened again."""

_SCAN_ROWS = 500_000  # of one batch of scan, about 15 MB
_BIN_MS = 3_600_000


class DuckDBStore:
    """A SeriesStore in the file ``path`` (made with its directory where missing)."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 2,
        memory_limit: str = "256MB",
        least_free_bytes: int = 0,
    ) -> None:
        """Open the file; raises StoreOutage where another process holds it or it cannot be read.

        With less than ``least_free_bytes`` on the disk nothing is appended: what is left is the
        urgent lane's, and readings wait in the journal.
        """
        self._least_free_bytes = least_free_bytes
        self.counts = StoreCounts()
        self._path = path
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": memory_limit,
        }
        self._writing = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def define(self, definitions: Sequence[SeriesDefinition]) -> None:
        with self._writing:
            wanted = {d.series: d for d in definitions}
            new = [d for d in wanted.values() if self._definitions.get(d.series) != d]
            if not new:
                return
            with self._transaction() as writer:
                writer.register(
                    "batch",
                    {
                        "series": np.array([d.series for d in new], np.int32),
                        "device": np.array([d.device for d in new], np.int32),
                        "name": np.array([d.name for d in new], object),
                        "kind": np.array([d.kind for d in new], object),
                        "quantity": np.array([d.quantity for d in new], object),
                    },
                )
                writer.execute("DELETE FROM series WHERE series IN (SELECT series FROM batch)")
                writer.execute("INSERT INTO series BY NAME SELECT * FROM batch")
                writer.unregister("batch")
            self._definitions.update({d.series: d for d in new})

    def append(self, readings: Readings, positions: Mapping[Lane, Position]) -> None:
        self._heed_disk()
        with self._writing:
            counts = StoreCounts()
            rows = distinct(readings, counts)
            with self._transaction() as writer:
                rows = self._without_known(writer, rows, counts)
                _insert(writer, rows)
                _save_positions(writer, positions)
                failpoint("store.written")
            failpoint("store.position_saved")
            self._newest.update(rows)
            self._positions.update(positions)
            self.counts.add(counts)

    def positions(self) -> Mapping[Lane, Position]:
        return dict(self._positions)

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        with self._reading() as reader:
            columns = reader.execute(
                "SELECT measured_at, value, quality FROM readings"
                " WHERE series = ? AND measured_at >= ? AND measured_at < ? ORDER BY measured_at",
                (series, start_at, end_at),
            ).fetchnumpy()
        samples = Samples(columns["measured_at"], columns["value"], columns["quality"])
        return thin(samples, start_at, end_at, max_points)

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        chosen = np.unique(np.asarray(series, np.int32))
        with self._reading() as reader:
            reader.begin()  # one snapshot for all batches
            reader.register("chosen", {"series": chosen})
            for first_at, until_at in _windows(reader, start_at, end_at):
                columns = reader.execute(
                    "SELECT readings.* FROM readings SEMI JOIN chosen USING (series)"
                    " WHERE measured_at >= ? AND measured_at < ? ORDER BY measured_at, series",
                    (first_at, until_at),
                ).fetchnumpy()
                if len(columns["series"]):
                    yield _readings(columns)

    def latest(self) -> Readings:
        with self._writing:
            return self._newest.readings()

    def forget_before(self, at: int) -> int:
        with self._writing:
            with self._transaction() as writer:
                found = writer.execute("DELETE FROM readings WHERE measured_at < ?", (at,))
                removed = int(found.fetchall()[0][0])
            self._newest.forget_before(at)
        with self._reading() as reader:
            reader.execute("CHECKPOINT")  # gives the freed blocks back for new rows
        return removed

    def close(self) -> None:
        with self._writing:
            self._writer.close()
            self._root.close()

    def _heed_disk(self) -> None:
        disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < self._least_free_bytes:
            raise StoreOutage(f"DuckDB: only {free >> 20} MiB of disk left", can_retry=True)

    def _open(self) -> None:
        with _outages():
            self._is_broken = True
            self._root = duckdb.connect(str(self._path), config=self._config)
            self._writer = self._root.cursor()
            self._writer.execute(_SCHEMA)
            self._newest = _newest(self._writer)
            self._positions = _read_positions(self._writer)
            self._definitions = _read_definitions(self._writer)
            self._is_broken = False

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing on the writer; a database that broke is opened anew before the next."""
        with _outages():
            if self._is_broken:
                self._root.close()
                self._open()
            try:
                self._writer.begin()
                yield self._writer
                self._writer.commit()
            except BaseException as failure:
                self._is_broken = isinstance(failure, _BREAKING)
                if not self._is_broken:
                    self._rollback()
                raise

    def _rollback(self) -> None:
        try:
            self._writer.rollback()
        except duckdb.TransactionException:  # the failure has ended the transaction already
            return

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with _outages():
            reader = self._root.cursor()
            try:
                yield reader
            finally:
                reader.close()

    def _without_known(
        self, writer: duckdb.DuckDBPyConnection, rows: Readings, counts: StoreCounts
    ) -> Readings:
        """Leave out what is stored already; rows with another value replace theirs."""
        behind = np.flatnonzero(rows.measured_at <= self._newest.measured_at(rows.series))
        if len(behind) == 0:
            counts.rows += len(rows)
            return rows
        row, value, quality = _stored(writer, rows, behind)
        is_same = (rows.value[row] == value) & (rows.quality[row] == quality)
        _delete(writer, rows.take(row[~is_same]))
        counts.rows += len(rows) - len(row)
        counts.repeated += int(is_same.sum())
        counts.changed += int((~is_same).sum())
        keep = np.ones(len(rows), np.bool_)
        keep[row[is_same]] = False
        return rows.take(keep)


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise StoreOutage(f"DuckDB: {error}", can_retry=True) from error


def _insert(writer: duckdb.DuckDBPyConnection, rows: Readings) -> None:
    if len(rows) == 0:
        return
    writer.register("batch", _columns(rows))
    writer.execute("INSERT INTO readings BY NAME SELECT * FROM batch")
    writer.unregister("batch")


def _stored(
    writer: duckdb.DuckDBPyConnection, rows: Readings, behind: Indices
) -> tuple[Indices, Float64s, UInt8s]:
    """Which of the rows ``behind`` are stored (as indices of ``rows``), with what is stored."""
    late = rows.take(behind)
    writer.register("late", {"row": behind, "series": late.series, "measured_at": late.measured_at})
    found = writer.execute(
        "SELECT late.row, readings.value, readings.quality"
        " FROM readings JOIN late USING (series, measured_at)"
        " WHERE readings.measured_at BETWEEN ? AND ?",  # lets DuckDB pass over other times' blocks
        (int(late.measured_at.min()), int(late.measured_at.max())),
    ).fetchnumpy()
    writer.unregister("late")
    return found["row"], found["value"], found["quality"]


def _delete(writer: duckdb.DuckDBPyConnection, rows: Readings) -> None:
    if len(rows) == 0:
        return
    writer.register("gone", {"series": rows.series, "measured_at": rows.measured_at})
    writer.execute(
        "DELETE FROM readings USING gone WHERE readings.series = gone.series"
        " AND readings.measured_at = gone.measured_at AND readings.measured_at BETWEEN ? AND ?",
        (int(rows.measured_at.min()), int(rows.measured_at.max())),
    )
    writer.unregister("gone")


def _save_positions(writer: duckdb.DuckDBPyConnection, positions: Mapping[Lane, Position]) -> None:
    for lane, position in positions.items():
        writer.execute("DELETE FROM journal_position WHERE lane = ?", (lane.value,))
        writer.execute(
            "INSERT INTO journal_position VALUES (?, ?, ?)",
            (lane.value, position.epoch, position.n),
        )


def _columns(rows: Readings) -> dict[str, NDArray[Any]]:
    return {
        "series": rows.series,
        "measured_at": rows.measured_at,
        "received_at": rows.received_at,
        "value": rows.value,
        "quality": rows.quality,
    }


def _readings(columns: Mapping[str, NDArray[Any]]) -> Readings:
    return Readings(
        columns["series"],
        columns["measured_at"],
        columns["received_at"],
        columns["value"],
        columns["quality"],
    )


def _newest(reader: duckdb.DuckDBPyConnection) -> Newest:
    """Rebuilt by one pass over all rows: 100 million take a few seconds."""
    newest = Newest()
    columns = reader.execute(
        "SELECT series, max(measured_at) AS measured_at,"
        " arg_max(received_at, measured_at) AS received_at,"
        " arg_max(value, measured_at) AS value, arg_max(quality, measured_at) AS quality"
        " FROM readings GROUP BY series ORDER BY series"
    ).fetchnumpy()
    newest.update(_readings(columns))
    return newest


def _read_positions(reader: duckdb.DuckDBPyConnection) -> dict[Lane, Position]:
    rows = reader.execute("SELECT lane, epoch, n FROM journal_position").fetchall()
    return {Lane(lane): Position(int(epoch), int(n)) for lane, epoch, n in rows}


def _read_definitions(reader: duckdb.DuckDBPyConnection) -> dict[int, SeriesDefinition]:
    rows = reader.execute("SELECT series, device, name, kind, quantity FROM series").fetchall()
    return {row[0]: SeriesDefinition(*row) for row in rows}


def _windows(
    reader: duckdb.DuckDBPyConnection, start_at: int, end_at: int
) -> list[tuple[int, int]]:
    """Cut the span into windows of about ``_SCAN_ROWS`` rows of the ``chosen`` series each."""
    days = reader.execute(
        "SELECT measured_at // ? AS bin, count(*) FROM readings SEMI JOIN chosen USING (series)"
        " WHERE measured_at >= ? AND measured_at < ? GROUP BY bin ORDER BY bin",
        (_BIN_MS, start_at, end_at),
    ).fetchall()
    windows: list[tuple[int, int]] = []
    from_at, rows = start_at, 0
    for bin_, n in days:
        if rows and rows + n > _SCAN_ROWS:
            windows.append((from_at, bin_ * _BIN_MS))
            from_at, rows = bin_ * _BIN_MS, 0
        rows += n
    if rows:
        windows.append((from_at, end_at))
    return windows
