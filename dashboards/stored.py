"""What the pages ask of the store, and how its state is told. Refuses to know which store it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from devices.frames import Lane, Position
from devices.readings import Readings
from ingest.store_writer import StoreLag
from ingest.stores.series_store import Samples


class StoredReadings(Protocol):
    """What live asks of the store, from any thread; each may raise StoreOutage."""

    def latest(self) -> Readings:
        """The newest reading of every series."""

    def positions(self) -> Mapping[Lane, Position]:
        """How far the journal is in the store."""

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        """All readings of the series in ``[start_at, end_at)``, by time."""

    def lag(self) -> StoreLag:
        """How far the store is behind, and its outage if it has one; never raises."""

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        """Readings of one series in ``[start_at, end_at)``, what is not yet written included."""


class QuarantineCounts(Protocol):
    """What is told of the quarantine."""

    dropped: int

    @property
    def rows(self) -> int:
        """How many messages are kept now."""


def store_status(lag: StoreLag) -> dict[str, object]:
    """The store's part of ``web.json``; lanes without a journal are left out."""
    frames = {lane.value: n for lane, n in lag.frames.items() if n is not None}
    counts = lag.counts
    return {
        "lag_frames": frames,
        "stored_until": {lane.value: at for lane, at in lag.stored_until.items()},
        "write": lag.write,
        "held_rows": lag.held_rows,
        "outage": lag.outage,
        "outage_s": round(lag.outage_since_s, 1),
        "losses": lag.losses,
        "rows": counts.rows,
        "repeated": counts.repeated,
        "changed": counts.changed,
        "refused": counts.refused,
    }
