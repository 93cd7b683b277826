"""When a battery will be empty, from the daily median of its voltage or charge, with an interval.

::

    level  ●●●●●                                swap: a jump up, or a unit replaced
                ●●●●●  │●●●●●
                       │     ●●●●●●  ← line of this battery alone ─ ─ ─ ─ ─ end voltage
                       └ begins anew                 low      days      high

What cannot be said is said so (``why``), never guessed. Refuses to know devices, models and words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from devices.health.curves import STRAIGHT, share_left
from devices.health.robust import Line, line
from devices.readings import Float64s, Int64s

State = Literal["forecast", "lasting", "empty", "unsure", "recharged", "external", "none"]
Why = Literal["", "few_days", "swapped", "flat_cell", "rising"]
Unit = Literal["V", "%"]

FEWEST_DAYS: Final = 21
"""Nothing is said from fewer days of one battery, or from fewer than two thirds as many medians."""
HORIZON_DAYS: Final = 730
"""Further ahead nothing is said but that it lasts."""
END_PERCENT: Final = 5.0

_SIGMAS: Final = 1.3  # four of five
_JUMP_SHARE: Final = 0.04  # of the level: 0.13 V of 3.3 V
_JUMP_PERCENT: Final = 15.0
_SEASON_SHARE: Final = 0.012  # by how much of its level a year's cold moves a voltage
_SEASON_PERCENT: Final = 3.0
_YEAR_DAYS: Final = 365.0
_CURVE_ERROR: Final = 0.3
_STRAIGHT_LEAST: Final = 0.35
_STEEPER: Final = 1.5
_RECHARGED_SHARE: Final = 0.35
_ENDS: Final = ((1.8, 1.0), (2.45, 1.6), (3.4, 2.4), (3.75, 3.0), (4.35, 3.3), (5.2, 3.6),
                (6.8, 4.4), (9.9, 6.5), (15.0, 11.3), (30.0, 22.6))  # fmt: skip
"""Fresh voltage up to which, and the voltage at which a device usually stops: one alkaline cell,
…, two alkaline or one LiMnO2, LiSOCl2, Li-ion, four alkaline, …, lead of 12 and 24 V."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of the battery of a model: when it is empty (V or %) and how it falls."""

    end: float | None = None
    curve: str = STRAIGHT
    cells_in_series: float = 1.0


@dataclass(frozen=True, slots=True)
class Battery:
    """What can be said of a battery today.

    ``level`` now and ``end`` in ``unit``; ``since`` the first day of this battery that is known;
    ``days`` until it is empty, most likely between ``days_low`` and ``days_high`` (None: no limit
    within sight); ``per_year`` how the level changes.
    """

    state: State
    why: Why = ""
    unit: Unit | None = None
    level: float | None = None
    end: float | None = None
    since: int | None = None
    days: int | None = None
    days_low: int | None = None
    days_high: int | None = None
    per_year: float | None = None


def usual_end(level: Float64s, unit: Unit) -> float:
    """At which level a device usually stops, by its level when it was fresh."""
    if unit == "%":
        return END_PERCENT
    fresh = float(np.quantile(level, 0.9))
    return next((end for up_to, end in _ENDS if fresh <= up_to), 0.8 * fresh)


def forecast(
    day: Int64s,
    level: Float64s,
    *,
    today: int,
    unit: Unit,
    cell: Cell | None = None,
    replaced_on: Sequence[int] = (),
    temperature: Float64s | None = None,
) -> Battery:
    """Say when the battery will be empty, from daily medians (NaN: none that day), in any order.

    ``replaced_on``: days on which other hardware came in. ``temperature``: Cel of each day (NaN
    where not known), by which the cold is told from the age.
    """
    cell = cell or Cell()
    day, level, temperature = _ordered(day, level, temperature)
    if len(day) == 0:
        return Battery("none")
    begin = _begin(day, level, unit, replaced_on)
    day, level, temperature = day[begin:], level[begin:], temperature[begin:]
    end = cell.end if cell.end is not None else usual_end(level, unit)
    now = float(np.median(level[-5:]))
    said = Battery("unsure", "few_days", unit, now, end, int(day[0]))
    if now <= end:
        return _as(said, "empty", days=0, days_low=0, days_high=0)
    if day[-1] - day[0] < FEWEST_DAYS - 1 or len(day) < FEWEST_DAYS * 2 // 3:
        return _as(said, "unsure", why="swapped" if begin else "few_days")
    return _judged(said, day, _without_cold(day, level, temperature), today, cell)


def _judged(said: Battery, day: Int64s, level: Float64s, today: int, cell: Cell) -> Battery:
    """The line through the days of one battery, if it says anything."""
    fitted = line(day.astype(np.float64), level)
    if fitted is None or said.unit is None or said.end is None:
        return said
    unit, end = said.unit, said.end
    said = _as(said, "unsure", per_year=fitted.slope * _YEAR_DAYS)
    if _is_recharged(day, level, fitted):
        return _as(said, "recharged")
    left, left_at_end = level, end
    if cell.curve != STRAIGHT and unit == "V":
        left = share_left(level, cell.curve, cell.cells_in_series)
        left_at_end = float(share_left(np.array([end]), cell.curve, cell.cells_in_series)[0])
    elif _is_flat_cell(unit, fitted):
        return _as(said, "unsure", why="flat_cell")
    is_curve = left is not level
    return _extrapolated(said, day, left, left_at_end, today, is_curve=is_curve)


def _extrapolated(
    said: Battery, day: Int64s, left: Float64s, end: float, today: int, *, is_curve: bool
) -> Battery:
    x = day.astype(np.float64)
    whole = line(x, left)
    if whole is None:
        return said
    used = _steepest(x, left, whole)
    error = float(np.hypot(used.slope_error, _season_slope(said, day, is_curve)))
    over = max(used.at(float(today)), float(np.median(left[-5:]))) - end
    fastest, slowest = -(used.slope - _SIGMAS * error), -(used.slope + _SIGMAS * error)
    if fastest <= 0:
        return _as(said, "unsure", why="rising")
    low = over / fastest
    low *= 1.0 - _CURVE_ERROR if is_curve else _STRAIGHT_LEAST + 0.4 * _seen(left, over)
    if low > HORIZON_DAYS:
        return _as(said, "lasting", days_low=HORIZON_DAYS)
    high = over / slowest * (1.0 + _CURVE_ERROR) if slowest > 0 else np.inf
    likely = over / -used.slope if used.slope < 0 else np.inf
    if likely > 2 * HORIZON_DAYS:  # it may end, and nobody can say when
        return _as(said, "lasting", days_low=round(max(low, 0.0)))
    return _as(
        said,
        "forecast",
        days=round(max(likely, 0.0)),
        days_low=round(max(min(low, likely), 0.0)),
        days_high=round(high) if high <= 2 * HORIZON_DAYS else None,
    )


def _seen(left: Float64s, over: float) -> float:
    """How much of the way from the first level to the end has been seen, 0..1."""
    way = float(np.median(left[:5])) - float(np.median(left[-5:]))
    return float(np.clip(way / (way + over), 0.0, 1.0)) if way > 0 else 0.0


def _steepest(x: Float64s, left: Float64s, whole: Line) -> Line:
    """The line of the last third, where it falls clearly faster: many batteries end so."""
    is_last = x >= x[-1] - max((x[-1] - x[0]) / 3.0, 2.0 * FEWEST_DAYS)
    last = line(x[is_last], left[is_last])
    if last is None or last.slope >= 0:
        return whole
    is_clear = whole.slope - last.slope > 3.0 * float(np.hypot(last.slope_error, whole.slope_error))
    return last if is_clear and last.slope < _STEEPER * min(whole.slope, 0.0) else whole


def _season_slope(said: Battery, day: Int64s, is_curve: bool) -> float:
    """What a change of season may have added to the slope, where it was not told apart."""
    swing = _SEASON_PERCENT if said.unit == "%" else _SEASON_SHARE * (said.level or 0.0)
    if is_curve:
        swing = 0.03
    span = float(day[-1] - day[0] + 1)
    return swing / max(span, 1.0) * min(_YEAR_DAYS / span, 1.0)


def _is_flat_cell(unit: Unit, fitted: Line) -> bool:
    """Lithium thionyl chloride in the flat of its life: its voltage tells nothing of its end."""
    return unit == "V" and 3.4 < fitted.level < 3.75 and fitted.slope * _YEAR_DAYS > -0.15


def _is_recharged(day: Int64s, level: Float64s, fitted: Line) -> bool:
    """Whether it rises about as much as it falls, by more than noise: a panel or a charger."""
    weeks = (day - day[0]) // 7
    medians = np.array([np.median(level[weeks == week]) for week in np.unique(weeks)])
    steps = np.diff(medians)
    moved = float(np.abs(steps).sum())
    is_large = float(np.ptp(medians)) > max(6.0 * _usual_step(level), 0.03 * abs(fitted.level))
    return moved > 0 and is_large and float(steps[steps > 0].sum()) > _RECHARGED_SHARE * moved


def _usual_step(level: Float64s) -> float:
    return float(np.median(np.abs(np.diff(level)))) if len(level) > 1 else 0.0


def _ordered(
    day: Int64s, level: Float64s, temperature: Float64s | None
) -> tuple[Int64s, Float64s, Float64s]:
    """One level a day, by day; of several the lowest (a battery is not to look better)."""
    warm = np.full(len(day), np.nan) if temperature is None else temperature
    is_known = np.isfinite(level) & (level >= 0)
    day, level, warm = day[is_known], level[is_known], warm[is_known]
    order = np.lexsort((level, day))
    day, level, warm = day[order], level[order], warm[order]
    is_first = np.append(True, day[1:] != day[:-1])[: len(day)]
    return day[is_first], level[is_first], warm[is_first]


def _begin(day: Int64s, level: Float64s, unit: Unit, replaced_on: Sequence[int]) -> int:
    """The row from which on the present battery is in."""
    begin = int(np.searchsorted(day, max(replaced_on, default=-1)))
    begin = begin if begin < len(day) else 0
    up = np.diff(level, prepend=level[:1])
    least = _JUMP_PERCENT * np.ones(len(day)) if unit == "%" else _JUMP_SHARE * level
    for row in np.flatnonzero(up > 0.3 * least)[::-1].tolist():  # a day of both is in between
        if row <= begin:
            break
        before = float(np.median(level[max(row - 4, begin) : row]))
        after = float(np.median(level[row : row + 4]))
        around = level[max(row - 8, begin) : row + 8]
        if after - before > max(float(least[row - 1]), 8.0 * _usual_step(around)) and _stays(
            level, row, before
        ):
            return int(row)
    return begin


def _stays(level: Float64s, row: int, before: float) -> bool:
    """Whether what came after the jump up is above what was before it: no warm days in winter."""
    after = level[row : row + 30]
    return len(after) < 4 or float(np.quantile(after, 0.1)) > before


def _without_cold(day: Int64s, level: Float64s, temperature: Float64s) -> Float64s:
    """The level as it would be at the mean temperature of the days.

    How much a degree moves it is learned from one day to the next, where age plays no part.
    """
    is_known = np.isfinite(temperature)
    if is_known.sum() < FEWEST_DAYS:
        return level
    at, warm, volts = day[is_known], temperature[is_known], level[is_known]
    apart = np.flatnonzero((np.diff(at) <= 3) & (np.abs(np.diff(warm)) > 0.5))
    if len(apart) < FEWEST_DAYS // 2:
        return level
    warmer, higher = np.diff(warm)[apart], np.diff(volts)[apart]
    per_degree = float((warmer * np.clip(higher, *np.quantile(higher, (0.05, 0.95)))).sum())
    per_degree = float(np.clip(per_degree / float((warmer**2).sum()), 0.0, 0.01 * volts.mean()))
    off = np.where(is_known, temperature - warm.mean(), 0.0)
    adjusted: Float64s = level - per_degree * off
    return adjusted


def _as(said: Battery, state: State, **more: object) -> Battery:
    """``said`` with another state; what is not named stays."""
    return replace(said, state=state, **{"why": "", **more})  # type: ignore[arg-type]  # names are checked by the constructor
