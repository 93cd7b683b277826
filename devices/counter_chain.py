"""Which reading of a counter follows which: one chain of readings through the life of one meter.

A reading *follows* another when the value did not fall and did not rise by more than the meter can
have let through since (and an hour: clocks differ, late messages carry the time of arrival). One
that does not is a stranger; three strangers in a row that follow each other are believed, as in
`ingest.check`, and a reading that follows the chain again sends them away::

    value   ●  ●  ●     ●  ●                 ●: in the chain     x: left out
                     x        x  x  ●  ●
    strangers        1        1  2  3→ believed: rollover, reset, ran back or unexplained

Believed strangers may prove that something before them was wrong: a few too high readings, or a
whole spell of another meter's within a week. Refuses to know units, intervals and flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import Float64s, Indices, Int64s, UInt8s

AGREEING: Final = 3
"""Strangers in a row, following each other, that are believed."""
NOISE: Final = 1e-6
"""A fall of no more is the noise of floating point: no register has such fine steps."""
HEAL_MS: Final = 7 * 86_400_000
"""How long another meter's readings may have been taken for this one's."""

_HOUR_MS: Final = 3_600_000
_NEAR_TOP: Final = 0.9  # of a known register
_NEAR_TOP_INFERRED: Final = 0.99
_SMALLEST_REGISTER: Final = 1e4  # OIML R 49-1: 9,999 m3 at least
_TOO_HIGH: Final = 2  # readings at the end of the chain that may turn out too high
_LOOK_BACK: Final = 16


class Join(IntEnum):
    """How a reading is joined to the one before it in the chain."""

    FOLLOWS = 0
    ROLLOVER = 1  # the register passed its highest figure
    RESET = 2  # fell to about zero: what it shows since is counted
    REVERSED = 3  # ran back by no more than can flow
    UNEXPLAINED = 4  # another level; what flowed between is not known


@dataclass(frozen=True, slots=True)
class Counter:
    """How fast it can rise, and up to where it has just begun at zero; both in its own unit."""

    max_per_h: float
    near_zero: float


@dataclass(frozen=True, slots=True)
class Chain:
    """Row numbers ``kept`` and ``left_out``; step i leads from kept[i] to kept[i + 1].

    ``volume`` of a step is never negative; 0 where it is not known. ``join`` is a Join.
    """

    kept: Indices
    left_out: Indices
    volume: Float64s
    join: UInt8s


def chain(
    at: Int64s,
    value: Float64s,
    counter: Counter,
    rollover_at: float | None = None,
    *,
    is_first_certain: bool = False,
    is_last_certain: bool = False,
) -> Chain:
    """Chain readings by time, finite and not negative.

    A certain reading was read off the meter by a person when it was put in or taken out.
    """
    if len(at) == 0:
        return Chain(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), np.empty(0, np.uint8))
    walk = _Walk(at, value, counter, rollover_at, is_first_certain, is_last_certain)
    walk.run()
    return walk.result()


@dataclass(slots=True)
class _Level:
    """Readings that follow each other, from row ``first`` to ``last``, and how the level began."""

    first: int
    last: int
    join: Join
    volume: float


class _Walk:
    """One pass over the readings; rows that follow each other are taken many at once."""

    def __init__(
        self,
        at: Int64s,
        value: Float64s,
        counter: Counter,
        rollover_at: float | None,
        is_first_certain: bool,
        is_last_certain: bool,
    ) -> None:
        self._at, self._value, self._counter = at, value, counter
        self._rollover_at = rollover_at
        self._is_first_certain = is_first_certain
        self._certain_last = len(at) - 1 if is_last_certain else -1
        self._is_kept = np.zeros(len(at), np.bool_)
        self._levels = [_Level(0, 0, Join.FOLLOWS, 0.0)]
        self._strangers: list[int] = []

    def run(self) -> None:
        count = len(self._at)
        broken = np.append(np.flatnonzero(~self._follow_each_other()) + 1, count)
        self._is_kept[0] = True
        row = 1
        while row < count:
            if self._strangers or self._levels[-1].last != row - 1:
                self._take(row)
                row += 1
                continue
            end = int(broken[np.searchsorted(broken, row)])
            if end == row:
                self._take(row)
                row += 1
            else:
                self._is_kept[row:end] = True
                self._levels[-1].last = end - 1
                row = end

    def result(self) -> Chain:
        kept = np.flatnonzero(self._is_kept)
        join = np.zeros(max(len(kept) - 1, 0), np.uint8)
        volume = np.empty(len(join))
        bounds = [int(np.searchsorted(kept, level.first)) for level in self._levels]
        for level, start, end in zip(self._levels, bounds, [*bounds[1:], len(kept)], strict=True):
            volume[start : end - 1] = np.diff(np.maximum.accumulate(self._value[kept[start:end]]))
            if start:
                join[start - 1], volume[start - 1] = level.join, level.volume
        return Chain(kept, np.flatnonzero(~self._is_kept), volume, join)

    def _follow_each_other(self) -> NDArray[np.bool_]:
        rise = np.diff(self._value)
        allowed = self._counter.max_per_h * (np.diff(self._at) / _HOUR_MS + 1.0)
        follows: NDArray[np.bool_] = (rise >= -NOISE) & (rise <= allowed)
        return follows

    def _allowed(self, before: int, row: int) -> float:
        elapsed_h = (int(self._at[row]) - int(self._at[before])) / _HOUR_MS
        return self._counter.max_per_h * (elapsed_h + 1.0)

    def _follows(self, before: int, row: int) -> bool:
        rise = float(self._value[row] - self._value[before])
        return -NOISE <= rise <= self._allowed(before, row)

    def _take(self, row: int) -> None:
        """One reading after an interruption."""
        level = self._levels[-1]
        if self._follows(level.last, row):
            self._strangers.clear()
            self._is_kept[row] = True
            level.last = row
            return
        if self._strangers and not self._follows(self._strangers[-1], row):
            self._strangers.clear()
        self._strangers.append(row)
        if len(self._strangers) >= AGREEING or row == self._certain_last:
            self._believe()

    def _believe(self) -> None:
        """Join the strangers to the chain, at the place where they fit best."""
        first = self._strangers[0]
        if not (self._heal(first) or self._drop_too_high(first) or self._begin_level(first)):
            return
        self._is_kept[self._strangers] = True
        self._levels[-1].last = self._strangers[-1]
        self._strangers.clear()

    def _heal(self, first: int) -> bool:
        """Whether they go on from an earlier level: what came between was not this meter's."""
        for k in range(len(self._levels) - 2, max(len(self._levels) - 6, -1), -1):
            before = self._levels[k].last
            if int(self._at[first]) - int(self._at[before]) > HEAL_MS:
                return False
            if self._follows(before, first):
                self._is_kept[before + 1 : first] = False
                del self._levels[k + 1 :]
                return True
        return False

    def _drop_too_high(self, first: int) -> bool:
        """Whether they follow what stands just before the last few readings of the chain."""
        level = self._levels[-1]
        start = max(level.first, level.last - _LOOK_BACK)
        rows = start + np.flatnonzero(self._is_kept[start : level.last + 1])
        for before in rows[-1 - _TOO_HIGH : -1][::-1]:
            if self._follows(int(before), first):
                self._is_kept[before + 1 : first] = False
                return True
        return self._replace_lone_beginning(first)

    def _replace_lone_beginning(self, first: int) -> bool:
        """Whether the very first reading, alone against three, is what does not fit."""
        level = self._levels[-1]
        is_alone = level.first == level.last and len(self._levels) == 1
        if not is_alone or self._is_first_certain or len(self._strangers) < AGREEING:
            return False
        if self._explain(level.last, first)[0] is Join.ROLLOVER:
            return False
        self._is_kept[level.first] = False
        level.first = first
        return True

    def _begin_level(self, first: int) -> bool:
        join, volume = self._explain(self._levels[-1].last, first)
        is_sure = join is Join.ROLLOVER or len(self._strangers) >= AGREEING
        if is_sure:
            self._levels.append(_Level(first, first, join, volume))
        return is_sure

    def _explain(self, before: int, first: int) -> tuple[Join, float]:
        """What lies between the last reading of the chain and the first stranger."""
        last, now = float(self._value[before]), float(self._value[first])
        allowed = self._allowed(before, first)
        step = now + self._register(last, now) - last
        if 0.0 <= step <= allowed:
            return Join.ROLLOVER, step
        if now <= min(self._counter.near_zero, last / 2, allowed):
            return Join.RESET, now
        if last / 2 <= now < last and last - now <= allowed:
            return Join.REVERSED, 0.0
        return Join.UNEXPLAINED, 0.0

    def _register(self, last: float, now: float) -> float:
        """The register's size if it may have passed its top between the two, else infinity."""
        size = self._rollover_at
        if size is not None and last < size:
            is_passed = last >= _NEAR_TOP * size and now <= (1 - _NEAR_TOP) * size
            return size if is_passed else np.inf
        size = _SMALLEST_REGISTER
        while size <= last:
            size *= 10
        is_passed = last >= _NEAR_TOP_INFERRED * size and now <= (1 - _NEAR_TOP_INFERRED) * size
        return size if is_passed else np.inf
