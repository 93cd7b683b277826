"""Readings out of InfluxDB by InfluxQL, the one language that all its generations answer.

Refuses to know writing. Times in statements are ms; InfluxQL counts in int64 ns, so spans are cut
to the years 1678–2262 that it can express.
"""
# ruff: noqa: S608 - names and texts are quoted by _name and _text, the rest are our own numbers

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

import numpy as np

from devices.frames import SeriesDefinition
from devices.readings import Readings, concatenate, no_readings
from ingest.stores.influx_http import InfluxServer, Table
from ingest.stores.series_store import Samples, StoreOutage

_EARLIEST_MS: Final = -9_223_372_036_853
_LATEST_MS: Final = 9_223_372_036_853
_SCAN_ROWS: Final = 100_000  # about what one batch of scan is to hold
_FIRST_WIDTH_MS: Final = 60_000
_DEVICES_NAMED: Final = 50  # so many are named in a statement; beyond, all are read and sifted


class InfluxReader:
    """Answers range, scan and latest from a server; ``definitions`` is the store's own mapping."""

    def __init__(
        self,
        server: InfluxServer,
        definitions: Mapping[int, SeriesDefinition],
        database: Callable[[SeriesDefinition], str],
    ) -> None:
        self._server, self._definitions, self._database = server, definitions, database

    def range(self, series: int, start_at: int, end_at: int) -> Samples:
        """Raw readings of one series in ``[start_at, end_at)``."""
        definition = self._definitions.get(series)
        tables = []
        if definition is not None and start_at < end_at:
            tables = self._server.select(
                self._database(definition),
                f'SELECT "value", "quality" FROM {_name(definition.quantity)}'
                f' WHERE "device" = {_text(definition.name)} AND {_during(start_at, end_at)}',
            )
        if not tables:
            return Samples(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))
        if len(tables) > 1:
            raise StoreOutage("an answer of InfluxDB holds several series for one", can_retry=True)
        (table,) = tables
        return Samples(
            table.integers("time"),
            table.column("value"),
            table.integers("quality").astype(np.uint8),
        )

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        """Batches by time; the width of their windows follows how dense the readings are."""
        chosen = [self._definitions[s] for s in sorted(set(series)) if s in self._definitions]
        width, passed_at = _FIRST_WIDTH_MS, max(start_at, _EARLIEST_MS)
        while (at := self._next(chosen, passed_at, end_at)) is not None:
            passed_at = min(at + width, end_at)
            rows = self._read(chosen, "", _during(at, passed_at))
            if len(rows):
                yield rows.take(np.lexsort((rows.series, rows.measured_at)))
            if len(rows) < _SCAN_ROWS // 4:
                width *= 4
            elif len(rows) > _SCAN_ROWS:
                width = max(width // 4, 1000)

    def latest(self) -> Readings:
        """The newest reading of every series that is defined, sorted by series."""
        rows = self._read(list(self._definitions.values()), "LAST", "")
        return rows.take(np.argsort(rows.series, kind="stable"))

    def count_before(self, database: str, at: int) -> int:
        """How many readings of a database were measured before ``at``."""
        tables = self._server.select(
            database, f'SELECT COUNT("value") FROM /.*/ WHERE {_during(_EARLIEST_MS, at)}'
        )
        return sum(int(table.integers("count").sum()) for table in tables)

    def _next(self, chosen: Sequence[SeriesDefinition], at: int, end_at: int) -> int | None:
        """When the first of the chosen readings at or after ``at`` was measured."""
        if at >= end_at:
            return None
        found: list[int] = []
        for (database, quantity), group in self._by_measurement(chosen):
            tables = self._server.select(
                database,
                f'SELECT FIRST("value") FROM {_name(quantity)}'
                f" WHERE {_of_devices(group)}{_during(at, end_at)}",
            )
            found += [int(at) for table in tables for at in table.integers("time")[:1]]
        return min(found, default=None)

    def _read(self, chosen: Sequence[SeriesDefinition], selector: str, during: str) -> Readings:
        batches = []
        for (database, quantity), group in self._by_measurement(chosen):
            value = f'{selector}("value") AS "value"' if selector else '"value"'
            where = f"{_of_devices(group)}{during}".removesuffix(" AND ")
            tables = self._server.select(
                database,
                f'SELECT {value}, "quality", "received_at" FROM {_name(quantity)}'
                f'{" WHERE " if where else ""}{where} GROUP BY "device"',
            )
            by_name = {definition.name: definition.series for definition in group}
            batches += [
                _readings(by_name[name], table)
                for table in tables
                if (name := table.tags.get("device", "")) in by_name
            ]
        return concatenate(batches) if batches else no_readings()

    def _by_measurement(
        self, chosen: Sequence[SeriesDefinition]
    ) -> Iterator[tuple[tuple[str, str], list[SeriesDefinition]]]:
        def key(definition: SeriesDefinition) -> tuple[str, str]:
            return self._database(definition), definition.quantity

        for place, group in groupby(sorted(chosen, key=key), key):
            yield place, list(group)


def _readings(series: int, table: Table) -> Readings:
    measured_at = table.integers("time")
    return Readings(
        np.full(len(measured_at), series, np.int32),
        measured_at,
        table.integers("received_at"),
        table.column("value"),
        table.integers("quality").astype(np.uint8),
    )


def _name(identifier: str) -> str:
    escaped = identifier.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(literal: str) -> str:
    escaped = literal.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _of_devices(group: Sequence[SeriesDefinition]) -> str:
    if len(group) > _DEVICES_NAMED:
        return ""
    names = " OR ".join(f'"device" = {_text(d.name)}' for d in group)
    return f"({names}) AND "


def _during(start_at: int, end_at: int) -> str:
    start_at, end_at = max(start_at, _EARLIEST_MS), min(end_at, _LATEST_MS)
    return f"time >= {start_at}ms AND time < {end_at}ms"
