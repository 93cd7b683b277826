"""What flowed through a meter, from the readings of its counter: rollover, swap, reset, glitches.

A counter's readings are joined into a chain of steps; a step is what was counted between two
readings, and says what is known of it. Intervals of any borders are then cut from the chain::

    readings   ●────●──────●──────────────●──●          a step between each two
    intervals  |       |       |       |       |        a border inside a step: *estimated*

Which reading follows which is decided by `devices.counter_chain`; the rules, drawn, stand in
docs/consumption.md. Nothing is guessed: what no reading tells counts nothing and is said (GAP).
Refuses to know stores, people and the calendar. Pure: the same set of readings in any order gives
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.counter_chain import Counter, Join, chain
from devices.quantities import QUANTITIES
from devices.readings import Float64s, Indices, Int64s, Quality, UInt8s

_LEFT_OUT_BY: Final = np.uint8(Quality.RANGE | Quality.SPIKE | Quality.DATUM | Quality.EXERCISE)
"""STUCK is not among them: a counter stands still where no water flows."""
_FAR: Final = 2**62


class Remarkable(IntFlag):
    """What is to be said of an interval's consumption; bits add up."""

    ESTIMATED = 1  # a border lies between two readings with flow between: shared out by time
    GAP = 2  # of part of the interval nothing is known; the value is the known part of it
    ROLLOVER = 4  # the register passed its highest figure and began again
    SWAP = 8  # the meter was replaced
    RESET = 16  # the register fell to zero without a swap: counted from zero
    REVERSED = 32  # the register ran back: counted as nothing
    LEFT_OUT = 64  # readings that fit no other were left out


@dataclass(frozen=True, slots=True)
class MeterUnit:
    """One meter at the place, in service in [installed_at, removed_at), ms UTC.

    ``rollover_at`` is the volume at which its register is at zero again (100,000 for five digits),
    ``initial_reading`` and ``final_reading`` what it showed when it came and went.
    """

    installed_at: int
    removed_at: int | None = None
    rollover_at: float | None = None
    initial_reading: float | None = None
    final_reading: float | None = None


@dataclass(frozen=True, slots=True)
class Consumption:
    """Intervals [start_at, end_at), arrays of one length.

    ``value`` in the counter's unit, NaN where nothing is known; ``remarks`` bits of Remarkable;
    ``share_measured`` 0..1, the part of the time that lies between readings which follow each
    other closely enough (``longest_step_ms``) or wholly inside the interval.
    """

    start_at: Int64s
    end_at: Int64s
    value: Float64s
    remarks: UInt8s
    share_measured: Float64s

    def __len__(self) -> int:
        return len(self.value)


def consumption(
    measured_at: Int64s,
    value: Float64s,
    quality: UInt8s,
    units: Sequence[MeterUnit],
    borders: Int64s,
    *,
    quantity: str,
    usual_register: float,
    longest_step_ms: int = 2 * 3_600_000,
) -> Consumption:
    """Consumption between each two of the rising ``borders`` (ms UTC), from any set of readings.

    ``usual_register`` (m3) is taken for a unit whose own is not known, but no rollover is counted
    by it. Readings that are not finite, negative or suspect are left out. Without ``units`` all
    readings are of one unknown meter. Readings should reach beyond both ends of ``borders``:
    before the first and after the last one nothing is known.
    """
    readings = _Counted.of(measured_at, value, quality)
    steps = _steps(readings, units, quantity, usual_register)
    return _cut(steps, borders, longest_step_ms)


def units_during(units: Sequence[MeterUnit], start_at: int, end_at: int) -> list[MeterUnit]:
    """The units in service in [start_at, end_at), without what was read off them outside of it.

    Whoever looks at readings of a span must not join them to a reading of years before.
    """
    found = []
    for unit in units:
        removed_at = _FAR if unit.removed_at is None else unit.removed_at
        if unit.installed_at >= end_at or removed_at <= start_at:
            continue
        initial = unit.initial_reading if unit.installed_at >= start_at else None
        final = unit.final_reading if removed_at <= end_at else None
        found.append(replace(unit, initial_reading=initial, final_reading=final))
    return found


_SMALLEST_REGISTER: Final = 1e4
_HOURS_AT_Q3: Final = 10_000 / 6.3
_OVERLOAD: Final = 1.25


def counter_of(quantity: str, register: float) -> Counter:
    """How fast a counter of this quantity can rise whose register holds ``register`` (m3).

    Water: OIML R 49-1 gives registers of 9,999 m3 to meters of a permanent flow Q3 up to 6.3 m3/h,
    99,999 up to 63, 999,999 up to 630, so that a register lasts 1,587 h at Q3; Q4 = 1.25 Q3 is the
    most that may flow. A smaller modulus is that of a transmitter, not of a smaller meter. Rain
    (mm): at most 500 mm/h, the limit of the quantity itself.
    """
    if QUANTITIES[quantity].unit == "mm":
        return Counter(max_per_h=500.0, near_zero=100.0)
    size = max(register, _SMALLEST_REGISTER)
    return Counter(max_per_h=_OVERLOAD * size / _HOURS_AT_Q3, near_zero=size / 1000.0)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Usable readings by time, one a moment, and the moments of those that are not."""

    at: Int64s
    value: Float64s
    refused_at: Int64s

    @staticmethod
    def of(at: Int64s, value: Float64s, quality: UInt8s) -> _Counted:
        with np.errstate(invalid="ignore"):
            is_usable = np.isfinite(value) & (value > -1e-6) & ((quality & _LEFT_OUT_BY) == 0)
        order = np.lexsort((value[is_usable], at[is_usable]))
        good_at, good = at[is_usable][order], value[is_usable][order]
        is_first = np.append(True, good_at[1:] != good_at[:-1])[: len(good_at)]
        return _Counted(good_at[is_first], np.maximum(good[is_first], 0.0), at[~is_usable])

    def during(self, unit: MeterUnit) -> slice:
        removed_at = _FAR if unit.removed_at is None else unit.removed_at
        return slice(*np.searchsorted(self.at, (unit.installed_at, removed_at)))


@dataclass(frozen=True, slots=True)
class _Steps:
    """Step i leads from ``at[i]`` to ``at[i + 1]``; so there is one fewer of them than of times."""

    at: Int64s
    volume: Float64s
    is_known: NDArray[np.bool_]
    remarks: UInt8s
    left_out_at: Int64s


_REMARKS: Final = np.array(
    [0, Remarkable.ROLLOVER, Remarkable.RESET, Remarkable.REVERSED, 0], np.uint8
)
"""What is to be said of a step, by its Join."""
_NO_TIMES: Final = np.empty(0, np.int64)
_NOTHING_BETWEEN: Final = _Steps(
    _NO_TIMES, np.zeros(1), np.zeros(1, np.bool_), np.array([Remarkable.SWAP], np.uint8), _NO_TIMES
)
"""The step from the last reading of one meter to the first of the next."""


def periods(units: Sequence[MeterUnit]) -> list[MeterUnit]:
    """The meters in order, so that whatever was read before the first one is of some meter.

    A first unit of which no initial reading is known may have been there all along (a unit is
    made when a device gets its password); one with an initial reading came after another.
    """
    found = sorted(units, key=lambda unit: unit.installed_at)
    if not found or found[0].initial_reading is not None:
        until = found[0].installed_at if found else None
        return [MeterUnit(-_FAR, until), *found]
    return [replace(found[0], installed_at=-_FAR), *found[1:]]


def _steps(
    readings: _Counted, units: Sequence[MeterUnit], quantity: str, usual_register: float
) -> _Steps:
    """The chains of all meters, one after the other; nothing is known between two of them."""
    parts: list[_Steps] = []
    is_of_none = np.ones(len(readings.at), np.bool_)
    for unit in periods(units):
        chosen = readings.during(unit)
        is_of_none[chosen] = False
        counter = counter_of(quantity, unit.rollover_at or usual_register)
        part = _steps_of(unit, readings.at[chosen], readings.value[chosen], counter)
        if len(part.at) and any(len(before.at) for before in parts):
            parts.append(_NOTHING_BETWEEN)
        parts.append(part)
    left_out = [readings.refused_at, readings.at[is_of_none], *(p.left_out_at for p in parts)]
    return _Steps(
        np.concatenate([p.at for p in parts]),
        np.concatenate([p.volume for p in parts]),
        np.concatenate([p.is_known for p in parts]),
        np.concatenate([p.remarks for p in parts]),
        np.sort(np.concatenate(left_out)),
    )


def _steps_of(unit: MeterUnit, at: Int64s, value: Float64s, counter: Counter) -> _Steps:
    """One meter's chain, from the reading at its installation to the one at its removal."""
    is_first_certain = unit.initial_reading is not None
    is_last_certain = unit.final_reading is not None and unit.removed_at is not None
    if unit.initial_reading is not None:
        at, value = np.r_[unit.installed_at, at], np.r_[unit.initial_reading, value]
    if unit.final_reading is not None and unit.removed_at is not None:
        at, value = np.r_[at, unit.removed_at], np.r_[value, unit.final_reading]
    found = chain(
        at,
        value,
        counter,
        unit.rollover_at,
        is_first_certain=is_first_certain,
        is_last_certain=is_last_certain,
    )
    is_known = found.join <= Join.ROLLOVER
    return _Steps(at[found.kept], found.volume, is_known, _REMARKS[found.join], at[found.left_out])


def _cut(steps: _Steps, borders: Int64s, longest_step_ms: int) -> Consumption:
    """Cut the steps at the borders: what was counted, for how much of the time, and the remarks."""
    if len(borders) < 2 or (np.diff(borders) <= 0).any():
        raise ValueError("at least two borders, each later than the one before, are needed")
    remarks = _remarks(steps, borders)
    lasts_ms = np.diff(borders)
    if len(steps.volume) == 0:
        nothing = np.full(len(lasts_ms), np.nan)
        remarks |= np.uint8(Remarkable.GAP)
        return Consumption(borders[:-1], borders[1:], nothing, remarks, np.zeros(len(lasts_ms)))
    volume = _between(borders, steps.at, steps.volume)
    known_ms = _between(borders, steps.at, np.diff(steps.at) * steps.is_known)
    is_counted = steps.is_known | (steps.remarks == np.uint8(Remarkable.RESET))
    counted_ms = _between(borders, steps.at, np.diff(steps.at) * is_counted)
    step, is_inside = _steps_at(borders, steps.at)
    is_shared_out = is_inside & (steps.volume[step] > 0)
    is_rough = is_inside & steps.is_known[step] & (np.diff(steps.at)[step] > longest_step_ms)
    rough_ms = _rough_ms(borders, steps.at, step, is_rough)
    remarks[is_shared_out[:-1] | is_shared_out[1:]] |= np.uint8(Remarkable.ESTIMATED)
    remarks[known_ms < lasts_ms] |= np.uint8(Remarkable.GAP)
    return Consumption(
        borders[:-1],
        borders[1:],
        np.where((counted_ms > 0) | (volume > 0), volume, np.nan),
        remarks,
        np.clip((known_ms - rough_ms) / lasts_ms, 0.0, 1.0),
    )


def _between(borders: Int64s, at: Int64s, amount: NDArray[np.number]) -> Float64s:
    """What falls between each two borders of what each step brings, spread evenly over it."""
    reached = np.interp(borders, at, np.append(0.0, np.cumsum(amount)))
    differences: Float64s = np.maximum(np.diff(reached), 0.0)
    return differences


def _steps_at(borders: Int64s, at: Int64s) -> tuple[Indices, NDArray[np.bool_]]:
    """The step of each border, and whether the border truly lies inside it, not at a reading."""
    step = np.clip(np.searchsorted(at, borders, "right") - 1, 0, len(at) - 2)
    return step, (at[step] < borders) & (borders < at[step + 1])


def _rough_ms(
    borders: Int64s, at: Int64s, step: Indices, is_rough: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """How much of each interval lies in long steps that one of its borders cuts."""
    before = np.minimum(at[step + 1][:-1], borders[1:]) - borders[:-1]
    after = borders[1:] - np.maximum(at[step][1:], borders[:-1])
    is_one_step = is_rough[:-1] & is_rough[1:] & (step[:-1] == step[1:])
    rough: NDArray[np.int64] = before * is_rough[:-1] + after * (is_rough[1:] & ~is_one_step)
    return rough


def _remarks(steps: _Steps, borders: Int64s) -> UInt8s:
    """For each interval what is said of the steps that reach into it."""
    intervals = len(borders) - 1
    remarks = np.zeros(intervals, np.uint8)
    for bit in (Remarkable.ROLLOVER, Remarkable.SWAP, Remarkable.RESET, Remarkable.REVERSED):
        rows = np.flatnonzero(steps.remarks & np.uint8(bit))
        first = np.searchsorted(borders, steps.at[rows], "right") - 1
        last = np.maximum(np.searchsorted(borders, steps.at[rows + 1], "left") - 1, first)
        is_seen = (first < intervals) & (last >= 0)
        count = np.zeros(intervals + 1, np.int64)
        np.add.at(count, np.maximum(first[is_seen], 0), 1)
        np.add.at(count, np.minimum(last[is_seen], intervals - 1) + 1, -1)
        remarks[np.cumsum(count)[:-1] > 0] |= np.uint8(bit)
    left_out = np.searchsorted(borders, steps.left_out_at, "right") - 1
    remarks[left_out[(left_out >= 0) & (left_out < intervals)]] |= np.uint8(Remarkable.LEFT_OUT)
    return remarks
