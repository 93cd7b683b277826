"""The last readings of every series that a rule looks at, in event-time order.

A ring a series: what comes in order is appended, vectorised; a late reading is put in its place.
How far back depends on the kind of the device, in time (its horizon) and in number. Refuses to
know rules and what a reading means.

::

    written in order       ·  ·  ·  ·  ·  ·  ·  ·     newest
    a late one                    x                    between its neighbours, if within the horizon
    older than all kept  x                             beyond: the store alone has it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, OtherLayout, expect_shapes
from alerts.place import DRILL, REAL, Sample
from devices.kinds import KINDS
from devices.readings import (
    SUSPECT,
    Indices,
    Int32s,
    Int64s,
    Quality,
    Readings,
    UInt8s,
    grouped_rows,
    is_first_of_group,
)
from devices.registry import RegistrySnapshot

_DRILL: Final = int(Quality.EXERCISE)
_NEVER: Final = -1
_RING: Final = ("at", "value", "quality")


class Insertion(StrEnum):
    """What became of a late reading."""

    INSERTED = "inserted"
    CHANGED = "changed"  # the same time with another value: the last wins
    REPEATED = "repeated"
    BEYOND = "beyond"  # older than the horizon, or than what is kept


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which series are kept: ids, cells of each ring, horizons in ms."""

    series: Int32s
    size: Int64s
    horizon_ms: Int64s


class History:
    """Rings of the given series; nothing has been heard at first."""

    def __init__(self, shape: _Shape, limit: int) -> None:
        self._series = shape.series
        self._size = shape.size
        self._horizon_ms = shape.horizon_ms
        self._start: Int64s = np.concatenate([[0], np.cumsum(shape.size)])[:-1].astype(np.int64)
        cells = int(shape.size.sum())
        self._end: Int64s = self._start + shape.size
        self._next: Int64s = self._start.copy()  # the cell that is written next
        self._at: Int64s = np.full(cells, _NEVER, np.int64)
        self._value = np.zeros(cells)
        self._quality = np.zeros(cells, np.uint8)
        self._place_of: Int32s = np.full(limit, -1, np.int32)
        self._place_of[shape.series] = np.arange(len(shape.series), dtype=np.int32)

    @classmethod
    def of(cls, series: Iterable[int], registry: RegistrySnapshot, limit: int) -> History:
        """Rings for these series, as long as their devices' kinds ask for."""
        ids = np.array(sorted(set(series)), np.int32)
        kinds = [KINDS[registry.definitions[s].kind] for s in ids.tolist()]
        size = np.array([k.kept_readings for k in kinds], np.int64)
        return cls(
            _Shape(ids, size, np.array([k.horizon_s * 1000 for k in kinds], np.int64)), limit
        )

    def covers(self, series: Int32s) -> NDArray[np.bool_]:
        """Mask of the series that are kept here."""
        kept: NDArray[np.bool_] = self._place_of[series] >= 0
        return kept

    def append(self, readings: Readings) -> None:
        """Write readings newer than all before of their series, no series twice."""
        place = self._place_of[readings.series]
        rows = np.flatnonzero(place >= 0)
        if len(rows) == 0:
            return
        at, value, quality = readings.measured_at, readings.value, readings.quality
        if len(rows) < len(place):
            place, at, value, quality = place[rows], at[rows], value[rows], quality[rows]
        cell = self._next[place]
        self._at[cell] = at
        self._value[cell] = value
        self._quality[cell] = quality
        cell += 1
        is_over = np.flatnonzero(cell == self._end[place])
        cell[is_over] = self._start[place[is_over]]
        self._next[place] = cell

    def append_runs(self, readings: Readings) -> None:
        """Write readings newer than all before of their series, each series in its order."""
        order = grouped_rows(readings.series)
        kept = readings.take(order[self._place_of[readings.series[order]] >= 0])
        if len(kept) == 0:
            return
        starts = np.flatnonzero(is_first_of_group(kept.series))
        lengths = np.diff(np.r_[starts, len(kept)])
        places = self._place_of[kept.series[starts]]
        rank = np.arange(len(kept)) - np.repeat(starts, lengths)
        stays = rank >= np.repeat(lengths - self._size[places], lengths)  # else written over
        first = self._next[places] - self._start[places]
        size, start = (
            np.repeat(self._size[places], lengths),
            np.repeat(self._start[places], lengths),
        )
        cell = (start + (np.repeat(first, lengths) + rank) % size)[stays]
        self._at[cell] = kept.measured_at[stays]
        self._value[cell] = kept.value[stays]
        self._quality[cell] = kept.quality[stays]
        self._next[places] = self._start[places] + (first + lengths) % self._size[places]

    def insert(self, series: int, at: int, value: float, quality: int, newest: int) -> Insertion:
        """Put a reading not newer than ``newest`` (both int ms UTC) where it belongs."""
        place = int(self._place_of[series])
        if newest - at > self._horizon_ms[place]:
            return Insertion.BEYOND
        cells = self._cells(place)
        known = self._at[cells]
        k = int(np.searchsorted(known, at))
        if k < len(cells) and known[k] == at:
            return self._change(int(cells[k]), value, quality)
        if len(cells) < self._size[place]:
            following = int(self._next[place])
            cells = np.append(cells, following)
            self._next[place] = (
                self._start[place] if following + 1 == self._end[place] else (following + 1)
            )
            self._move(cells[k + 1 :], cells[k:-1])
        elif k == 0:
            return Insertion.BEYOND
        else:
            k -= 1
            self._move(cells[:k], cells[1 : k + 1])
        self._write(int(cells[k]), at, value, quality)
        return Insertion.INSERTED

    def since(self, series: int, at: int) -> list[Sample]:
        """What is kept of a series from ``at`` on (inclusive), the oldest first."""
        cells = self._cells(int(self._place_of[series]))
        cells = cells[int(np.searchsorted(self._at[cells], at)) :]
        quality = self._quality[cells]
        suspect = _is_suspect(quality)
        return [
            Sample(*one)
            for one in zip(
                self._at[cells].tolist(),
                self._value[cells].tolist(),
                suspect.tolist(),
                ((quality & _DRILL) != 0).tolist(),
                strict=True,
            )
        ]

    def remembered(self, series: int, before: int | None = None) -> list[float]:
        """The last plausible values (real, drill) before a time, NaN where there is none kept."""
        cells = self._cells(int(self._place_of[series]))
        if before is not None:
            cells = cells[: int(np.searchsorted(self._at[cells], before))]
        quality = self._quality[cells]
        is_drill = (quality & _DRILL) != 0
        is_sound = ~_is_suspect(quality)
        values = [np.nan, np.nan]
        for which, mask in ((REAL, is_sound & ~is_drill), (DRILL, is_sound & is_drill)):
            found = np.flatnonzero(mask)
            if len(found):
                values[which] = float(self._value[cells[found[-1]]])
        return values

    def kept_from(self, series: int) -> int:
        """Event time of the oldest that is kept, -1 while there is room for more."""
        return int(self._at[self._next[self._place_of[series]]])

    def carry_over(self, previous: History) -> None:
        """Take what another history keeps of the series of this one."""
        mine = np.flatnonzero(self._series < len(previous._place_of))
        theirs = previous._place_of[self._series[mine]]
        mine, theirs = mine[theirs >= 0], theirs[theirs >= 0]
        same = self._size[mine] == previous._size[theirs]
        mine, theirs = mine[same], theirs[same]
        self._next[mine] = self._start[mine] + previous._next[theirs] - previous._start[theirs]
        to, of = (
            _spans(self._start[mine], self._size[mine]),
            _spans(previous._start[theirs], previous._size[theirs]),
        )
        for name in _RING:
            getattr(self, f"_{name}")[to] = getattr(previous, f"_{name}")[of]

    def is_like(self, other: History) -> bool:
        """True if both keep the same series."""
        return np.array_equal(self._series, other._series) and np.array_equal(
            self._size, other._size
        )

    def widen(self, limit: int) -> None:
        """Know of series ids up to ``limit`` (exclusive)."""
        more = limit - len(self._place_of)
        if more > 0:
            self._place_of = np.concatenate([self._place_of, np.full(more, -1, np.int32)])

    def state(self) -> Arrays:
        """All state as named arrays."""
        rings: Arrays = {name: getattr(self, f"_{name}") for name in _RING}
        return rings | {
            "series": self._series,
            "size": self._size,
            "horizon_ms": self._horizon_ms,
            "next": self._next,
            "limit": np.array(len(self._place_of)),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> History:
        """A history as ``state`` said; raises OtherLayout where the arrays do not fit."""
        places = arrays["series"].shape
        expect_shapes(arrays, size=places, horizon_ms=places, next=places)
        cells = (int(arrays["size"].sum()),)
        expect_shapes(arrays, at=cells, value=cells, quality=cells)
        series, size = arrays["series"], arrays["size"]
        limit = int(arrays["limit"])
        if (series < 0).any() or (series >= limit).any() or len(np.unique(series)) < len(series):
            raise OtherLayout("history/series are no ids of series")
        if (size < 1).any():
            raise OtherLayout("history/size of a ring is below 1")
        history = cls(_Shape(series, size, arrays["horizon_ms"]), limit)
        if (arrays["next"] < history._start).any() or (arrays["next"] >= history._end).any():
            raise OtherLayout("history/next is outside of its ring")
        for name in ("next", *_RING):
            setattr(history, f"_{name}", arrays[name].copy())
        return history

    def _cells(self, place: int) -> Indices:
        """Where the readings of a place stand, the oldest first."""
        start, following = int(self._start[place]), int(self._next[place])
        cells: Indices = np.r_[following : int(self._end[place]), start:following]
        return cells if self._at[following] > _NEVER else cells[self._at[cells] > _NEVER]

    def _change(self, cell: int, value: float, quality: int) -> Insertion:
        is_same_world = not (int(self._quality[cell]) ^ quality) & _DRILL
        if self._value[cell] == value and is_same_world:
            return Insertion.REPEATED
        self._value[cell], self._quality[cell] = value, quality
        return Insertion.CHANGED

    def _move(self, to: Indices, of: Indices) -> None:
        for name in _RING:
            ring = getattr(self, f"_{name}")
            ring[to] = ring[of]

    def _write(self, cell: int, at: int, value: float, quality: int) -> None:
        self._at[cell], self._value[cell], self._quality[cell] = at, value, quality


def _spans(starts: Int64s, sizes: Int64s) -> Int64s:
    """All indices of the spans ``start .. start + size - 1``, one span after the other."""
    ends = np.cumsum(sizes)
    spans: Int64s = np.repeat(starts - ends + sizes, sizes) + np.arange(int(sizes.sum()))
    return spans


def _is_suspect(quality: UInt8s) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (quality & np.uint8(SUSPECT)) != 0
    return mask
