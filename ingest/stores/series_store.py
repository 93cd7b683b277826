"""What every store of readings promises, and the values it speaks in.

Refuses to know any one database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from devices.frames import Lane, Position, SeriesDefinition
from devices.readings import Float64s, Int64s, Readings, UInt8s, rows_by_time

_REFUSALS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Samples:
    """One series over time: three arrays of one length, ``measured_at`` strictly rising."""

    measured_at: Int64s
    value: Float64s
    quality: UInt8s

    def __len__(self) -> int:
        return len(self.measured_at)


@dataclass(slots=True)
class StoreCounts:
    """What a store met since it was opened.

    ``rows`` new readings; ``repeated`` readings that were already there, the same; ``changed``
    readings of a known series and time with another value or quality; ``refused`` readings that
    the store would not take (``refusals`` holds why, the newest few).
    """

    rows: int = 0
    repeated: int = 0
    changed: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)

    def refuse(self, rows: int, why: str) -> None:
        """Count rows that the store does not take, and remember why."""
        self.refused += rows
        self.refusals = [*self.refusals[1 - _REFUSALS_KEPT :], why]

    def add(self, other: StoreCounts) -> None:
        """Add what one batch met."""
        self.rows += other.rows
        self.repeated += other.repeated
        self.changed += other.changed
        self.refused += other.refused
        self.refusals = [*self.refusals, *other.refusals][-_REFUSALS_KEPT:]


class StoreOutage(Exception):
    """The store did not take or give readings; nothing of the call may be assumed done.

    With ``can_retry`` wait and call again with the same arguments, after ``wait_s`` seconds where
    the store says so; without it somebody must act (credentials, disk, configuration), and
    ``reason`` says on what.
    """

    def __init__(self, reason: str, *, can_retry: bool, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.can_retry = can_retry
        self.wait_s = wait_s


class StoreSlow(StoreOutage):
    """The store did not answer in time, and may have done the work: ask for less at a time."""


class SeriesStore(Protocol):
    """Readings of all series, one a series and ``measured_at``: the last one appended wins.

    ``quality`` is that of the reading that won. All methods may be called from any thread; one
    ``append`` at a time. Any of them may raise StoreOutage.
    """

    counts: StoreCounts

    def define(self, definitions: Sequence[SeriesDefinition]) -> None:
        """Make series known, before their readings are appended; repeating changes nothing."""

    def append(self, readings: Readings, positions: Mapping[Lane, Position]) -> None:
        """Keep the readings for good, and how far the journal has been read.

        After a crash ``positions`` never runs ahead of the readings; to append the same readings
        again changes nothing.
        """

    def positions(self) -> Mapping[Lane, Position]:
        """The positions of the last ``append`` that was completed."""

    def range(
        self, series: int, start_at: int, end_at: int, *, max_points: int | None = None
    ) -> Samples:
        """Readings of one series with ``start_at <= measured_at < end_at``, by time.

        With ``max_points`` (at least 2) there are at most so many: of each of ``max_points // 2``
        equal buckets of time the lowest and the highest reading, as they were measured.
        """

    def scan(self, series: Sequence[int], start_at: int, end_at: int) -> Iterator[Readings]:
        """All readings of the series in ``[start_at, end_at)``, in batches, by time."""

    def latest(self) -> Readings:
        """The reading with the newest ``measured_at`` of every series, by series."""

    def forget_before(self, at: int) -> int:
        """Remove readings measured before ``at``; how many, or -1 where the store cannot say."""

    def close(self) -> None:
        """Release files and connections; the store cannot be used afterwards."""


def distinct(readings: Readings, counts: StoreCounts) -> Readings:
    """Sort by series and time; of the same series and time the last row stays.

    What is left out is counted: rows that are not finite as refused, the others as repeated or,
    where value or quality differ from the row that follows, as changed.
    """
    is_finite = np.isfinite(readings.value)
    if not is_finite.all():
        counts.refuse(int((~is_finite).sum()), "a value that is not finite")
        readings = readings.take(is_finite)
    rows = readings.take(rows_by_time(readings))
    if len(rows) < 2:
        return rows
    one, other = rows.take(slice(None, -1)), rows.take(slice(1, None))
    is_again = (one.series == other.series) & (one.measured_at == other.measured_at)
    if not is_again.any():
        return rows
    is_same = (one.value == other.value) & (one.quality == other.quality)
    counts.repeated += int((is_again & is_same).sum())
    counts.changed += int((is_again & ~is_same).sum())
    return rows.take(np.append(~is_again, True))


def merge_samples(stored: Samples, held: Samples) -> Samples:
    """Both by time; where both know a time, ``held`` wins (it is the newer)."""
    if len(held) == 0:
        return stored
    if len(stored) == 0:
        return held
    measured_at = np.concatenate((stored.measured_at, held.measured_at))
    order = np.argsort(measured_at, kind="stable")
    at = measured_at[order]
    is_last = np.append(at[1:] != at[:-1], True)
    rows = order[is_last]
    return Samples(
        measured_at[rows],
        np.concatenate((stored.value, held.value))[rows],
        np.concatenate((stored.quality, held.quality))[rows],
    )


def thin(samples: Samples, start_at: int, end_at: int, max_points: int | None) -> Samples:
    """At most ``max_points`` (>= 2): lowest and highest of each of ``max_points // 2`` buckets.

    ::

        start_at |  bucket 0  |  bucket 1  | … | end_at
                    lo    hi     hi  lo          order of time is kept
    """
    if max_points is None or len(samples) <= max_points:
        return samples
    buckets = max(max_points // 2, 1)
    bucket = (samples.measured_at - start_at) * buckets // max(end_at - start_at, 1)
    order = np.lexsort((samples.value, bucket))  # stable: by bucket, then value, then time
    grouped = bucket[order]
    is_first = np.append(True, grouped[1:] != grouped[:-1])
    is_last = np.append(grouped[1:] != grouped[:-1], True)
    rows = np.unique(np.concatenate((order[is_first], order[is_last])))
    return Samples(samples.measured_at[rows], samples.value[rows], samples.quality[rows])
