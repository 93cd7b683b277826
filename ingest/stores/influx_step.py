"""Delivers one step of rows to InfluxDB, whatever the server does with some of them.

Refuses to know the journal and positions. Rows go in requests, in order; what was taken is not
sent again when the step is tried again after an outage::

    rows   ├── taken ──┼── taken ──┼── ✗ outage ──┼───────┤
    again                           ├──────────────┼───────┤

A refusal is partial: of the lines beside a refused one some are stored and some are not, and to
send them again changes nothing. So the refused ones are found by splitting, put aside with the
reason, and the others go on::

    10,000 lines, 40 refused ─▶ by quantity ─▶ by halves of time ─▶ parts refused whole

A server that does not answer in time gets fewer lines at once, until it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from zlib import crc32

import numpy as np
import structlog

from devices.frames import SeriesDefinition
from devices.readings import Readings
from ingest.stores.influx_http import LinesRefused
from ingest.stores.influx_line import lines
from ingest.stores.influx_refused import RefusedLines
from ingest.stores.series_store import StoreCounts, StoreOutage, StoreSlow

log = structlog.get_logger()

LINES_A_REQUEST: Final = 10_000  # about 1 MB; 1.x refuses bodies above 25 MB
FEWEST_LINES: Final = 100


class LineServer(Protocol):
    """Takes lines. Raises LinesRefused (some are not wanted) and StoreOutage (try again)."""

    def write(self, database: str, lines: Sequence[str]) -> None: ...
    def forget_server(self) -> None: ...


@dataclass(slots=True)
class _Step:
    """One step that may take several attempts: what of it is done, and what was met on the way."""

    mark: int
    done: dict[str, int] = field(default_factory=dict)
    counts: StoreCounts = field(default_factory=StoreCounts)


class Delivery:
    """Writes steps, one at a time; the mappings are the store's own and grow with it."""

    def __init__(
        self,
        server: LineServer,
        definitions: Mapping[int, SeriesDefinition],
        prefixes: Mapping[int, str],
        refused: RefusedLines,
    ) -> None:
        self._server, self._definitions, self._prefixes = server, definitions, prefixes
        self._refused = refused
        self._lines_a_request = LINES_A_REQUEST
        self._step = _Step(0)
        self._said: set[str] = set()

    def deliver(self, parts: Sequence[tuple[str, Readings]], counts: StoreCounts) -> None:
        """Write rows to databases and add to ``counts``; raises StoreOutage and OSError.

        Called again with the same rows it goes on where the server last said yes.
        """
        mark = _mark(parts)
        if self._step.mark != mark:
            self._step = _Step(mark)
        for database, rows in parts:
            self._write(database, rows, self._step)
        counts.add(self._step.counts)
        self._step = _Step(0)

    def _write(self, database: str, rows: Readings, step: _Step) -> None:
        while (done := step.done.get(database, 0)) < len(rows):
            part = rows.take(slice(done, done + self._lines_a_request))
            try:
                self._write_part(database, part, step)
            except StoreOutage as outage:
                self._server.forget_server()
                if isinstance(outage, StoreSlow):
                    self._lines_a_request = max(len(part) // 2, FEWEST_LINES)
                raise
            step.done[database] = done + len(part)
            self._lines_a_request = min(2 * self._lines_a_request, LINES_A_REQUEST)

    def _write_part(self, database: str, part: Readings, step: _Step) -> None:
        """All lines of a part, be it by halves: stored, or put aside.

        What was found out is counted when all of the part is done: after an outage it comes again.
        """
        met, waiting = StoreCounts(), [part]
        while waiting:
            rows = waiting.pop()
            text = lines(rows, self._prefixes)
            try:
                self._server.write(database, text)
            except LinesRefused as refusal:
                if not refusal.is_too_large and refusal.dropped == len(rows):
                    self._put_aside(database, text, refusal.message, met)
                elif len(rows) > 1:
                    waiting += self._split(rows)[::-1]
                elif refusal.is_too_large:
                    reason = f"InfluxDB answers 413 to one line: {refusal.message[:300]}"
                    raise StoreOutage(reason, can_retry=False) from refusal
                else:
                    self._put_aside(database, text, refusal.message, met)
            else:
                met.rows += len(rows)
        step.counts.add(met)

    def _split(self, rows: Readings) -> list[Readings]:
        """By quantity, for types conflict there; else by time, for shards and retention are."""
        quantities = np.array([self._definitions[s].quantity for s in rows.series.tolist()])
        found = np.unique(quantities)
        if len(found) > 1:
            return [rows.take(quantities == quantity) for quantity in found]
        ordered = rows.take(np.argsort(rows.measured_at, kind="stable"))
        middle = len(ordered) // 2
        return [ordered.take(slice(None, middle)), ordered.take(slice(middle, None))]

    def _put_aside(
        self, database: str, refused: Sequence[str], message: str, counts: StoreCounts
    ) -> None:
        self._refused.add(database, refused, message)
        counts.refuse(len(refused), f"{refused[0][:200]}: {message[:300]}")
        cause = message.partition("dropped")[0][:300]
        if cause not in self._said and len(self._said) < 100:
            self._said.add(cause)
            first = refused[0][:200]
            log.error("store.lines.refused", lines=len(refused), first=first, reason=message[:300])


def _mark(parts: Sequence[tuple[str, Readings]]) -> int:
    """Tells one step from another; never 0."""
    mark = 0
    for database, rows in parts:
        mark = crc32(database.encode(), mark)
        for column in (rows.series, rows.measured_at, rows.value, rows.quality, rows.received_at):
            mark = crc32(np.ascontiguousarray(column).data, mark)
    return mark << 1 | 1
