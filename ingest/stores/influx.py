"""Readings in InfluxDB 1.x or 2.x: rows there, journal positions in a file here.

Refuses to know the journal and the registry. A point is its series, time and fields, so to write
it again changes nothing; that is why the position may be saved after the rows::

    write lines ──▶ ✗ crash: the rows are written again ──▶ save the position (fsync, rename)
        └ some refused for good: kept in a file, the others go on

Other than in DuckDB a value that is overwritten later is not counted: InfluxDB does not tell.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from devices.failpoints import failpoint
from devices.frames import Lane, Position, SeriesDefinition
from devices.quantities import QUANTITIES
from devices.readings import Readings
from ingest.stores.influx_http import InfluxAddress, InfluxServer
from ingest.stores.influx_line import line_prefix
from ingest.stores.influx_query import InfluxReader
from ingest.stores.influx_refused import RefusedLines
from ingest.stores.influx_step import Delivery
from ingest.stores.newest import Newest
from ingest.stores.series_store import Samples, StoreCounts, distinct, thin

log = structlog.get_logger()


class InfluxStore:
    """A SeriesStore in the server at ``address``; ``directory`` keeps positions and definitions.

    The server need not be there at the start: the first call that needs it connects.
    """

    def __init__(self, address: InfluxAddress, directory: Path) -> None:
        self.counts = StoreCounts()
        self._server = InfluxServer(address)
        self._databases = (address.database, address.personal_database)
        self._writing, self._connecting = threading.Lock(), threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        self._positions_file = directory / "influx-positions.json"
        self._definitions_file = directory / "influx-series.json"
        self._home = [address.url.rstrip("/"), *self._databases]
        self._definitions: dict[int, SeriesDefinition] = {}
        self._prefixes: dict[int, str] = {}
        self._personal: frozenset[int] = frozenset()
        self._newest: Newest | None = None
        self._delivery = Delivery(
            self._server, self._definitions, self._prefixes, RefusedLines(directory / "refused")
        )
        self._know(SeriesDefinition(*row) for row in _load(self._definitions_file, []))
        self._positions = self._load_positions()
        self._reader = InfluxReader(self._server, self._definitions, self._database)

    def define(self, definitions: Sequence[SeriesDefinition]) -> None:
        with self._writing:
            new = [d for d in definitions if self._definitions.get(d.series) != d]
            if new:
                self._know(new)
                _save(self._definitions_file, [_row(d) for d in self._definitions.values()])

    def append(self, readings: Readings, positions: Mapping[Lane, Position]) -> None:
        with self._writing:
            counts = StoreCounts()
            rows = self._defined(distinct(readings, counts), counts)
            if len(rows):
                self._connect()
                is_personal = np.isin(rows.series, list(self._personal))
                parts = [rows.take(~is_personal), rows.take(is_personal)]
                self._delivery.deliver(list(zip(self._databases, parts, strict=True)), counts)
            failpoint("store.written")
            self._save_positions(positions)
            failpoint("store.position_saved")
            if self._newest is not None:
                self._newest.update(rows)
            self.counts.add(counts)

    def positions(self) -> Mapping[Lane, Position]:
        return dict(self._positions)

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        self._connect()
        samples = self._reader.range(series, start_at, end_at)
        return thin(samples, start_at, end_at, max_points)

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        self._connect()
        return self._reader.scan(series, start_at, end_at)

    def latest(self) -> Readings:
        with self._writing:
            if self._newest is None:
                self._connect()
                newest = Newest()
                newest.update(self._reader.latest())
                self._newest = newest
            return self._newest.readings()

    def forget_before(self, at: int) -> int:
        with self._writing:
            self._connect()
            removed = sum(self._reader.count_before(database, at) for database in self._databases)
            for database in self._databases:
                self._server.execute(database, f"DELETE WHERE time < {at}ms")
            self._newest = None
            return removed

    def close(self) -> None:
        with self._writing:
            self._server.close()

    def _connect(self) -> None:
        with self._connecting:
            self._server.prepare(self._databases)

    def _know(self, definitions: Iterable[SeriesDefinition]) -> None:
        for definition in definitions:
            self._prefixes[definition.series] = line_prefix(definition)
            self._definitions[definition.series] = definition
        self._personal = frozenset(
            d.series for d in self._definitions.values() if _is_personal(d.quantity)
        )

    def _database(self, definition: SeriesDefinition) -> str:
        return self._databases[_is_personal(definition.quantity)]

    def _defined(self, rows: Readings, counts: StoreCounts) -> Readings:
        """Without the rows of series that nobody has defined: they have no name to go by."""
        known = np.isin(rows.series, list(self._definitions))
        if known.all():
            return rows
        unknown = np.unique(rows.series[~known]).tolist()
        counts.refuse(int((~known).sum()), f"series without a definition: {unknown[:20]}")
        log.error("store.series.undefined", series=unknown[:20], rows=int((~known).sum()))
        return rows.take(known)

    def _load_positions(self) -> dict[Lane, Position]:
        """None where the file speaks of another server or database: that one lacks the readings."""
        saved: Any = _load(self._positions_file, {})
        if saved.get("home") != self._home:
            return {}
        return {Lane(lane): Position(*place) for lane, place in saved["positions"].items()}

    def _save_positions(self, positions: Mapping[Lane, Position]) -> None:
        if not positions:
            return
        self._positions |= positions
        places = {lane.value: [p.epoch, p.n] for lane, p in self._positions.items()}
        _save(self._positions_file, {"home": self._home, "positions": places})


def _is_personal(quantity: str) -> bool:
    known = QUANTITIES.get(quantity)
    return known is None or known.is_personal  # what nobody described is not shown to everybody


def _row(definition: SeriesDefinition) -> list[Any]:
    return [
        definition.series,
        definition.device,
        definition.name,
        definition.kind,
        definition.quantity,
    ]


def _load(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default


def _save(path: Path, content: Any) -> None:
    """Replace the file at once and for good: after a crash there is the old one or the new one."""
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
