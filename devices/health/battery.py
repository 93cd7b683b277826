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

from devices.health.curves import STRAIGHT, is_flat, plausible, share_left
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
_SHAPE_ERROR: Final = 0.4
_READ_WRONG: Final = {"li-mno2": 0.012}
_USUALLY_WRONG: Final = 0.008
_WIDEST: Final = 5.0
_SHORT_DAYS: Final = 14.0
_SOON_DAYS: Final = 45.0
_LASTING_DAYS: Final = 180.0
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
    """What the lines through the days of one battery say together, if they say anything."""
    x = day.astype(np.float64)
    fitted = line(x, level)
    if fitted is None or said.end is None:
        return said
    end_level = said.end
    said = _as(said, "unsure", per_year=fitted.slope * _YEAR_DAYS)
    if _is_recharged(day, level, fitted):
        return _as(said, "recharged")
    cells = _cells(level, said.unit, cell)
    if any(is_flat(float(np.median(level[-7:])), *one) for one in cells):
        return _as(said, "unsure", why="flat_cell")
    spans = [
        span
        for left, end in _ways(level, end_level, cells)
        if (span := _span(said, x, left, end, today)) is not None
    ]
    return _joined(said, spans) if spans else _as(said, "unsure", why="rising")


@dataclass(frozen=True, slots=True)
class _Span:
    """Days left as one reading of the curve has it; inf: no end in sight."""

    low: float
    likely: float
    high: float


def _cells(level: Float64s, unit: Unit | None, cell: Cell) -> tuple[tuple[str, float], ...]:
    """Kinds of cell, and how many in series, that the battery may be of; none: a straight line."""
    if unit == "%":
        return ()
    if cell.curve != STRAIGHT:
        return ((cell.curve, cell.cells_in_series),)
    return plausible(float(np.quantile(level, 0.95)))


def _ways(
    level: Float64s, end: float, cells: Sequence[tuple[str, float]]
) -> list[tuple[Float64s, float]]:
    """What may be left day by day, and at the end, by each curve that the battery may follow.

    Each also for a voltage that is read a little too high or too low: where a curve is flat, that
    is the difference between half full and nearly empty.
    """
    ways = []
    for curve, n in cells:
        at_end = float(share_left(np.array([end]), curve, n)[0])
        error = _READ_WRONG.get(curve, _USUALLY_WRONG)
        for wrong in (-error, 0.0, error):
            left = share_left(level * (1.0 + wrong), curve, n)
            ways.append((left, min(at_end, float(left.min()))))
    return ways or [(level, end)]


def _span(said: Battery, x: Float64s, left: Float64s, end: float, today: int) -> _Span | None:
    """How long ``left`` lasts until ``end``; None where it does not fall."""
    whole = line(x, left)
    if whole is None:
        return None
    used = _steepest(x, left, whole)
    error = float(np.hypot(used.slope_error, _season_slope(said, left, x)))
    over = float(np.median(left[-7:])) - end - max(float(today) - x[-1], 0.0) * -used.slope
    over = max(over, 0.0)
    fastest, slowest = -(used.slope - _SIGMAS * error), -(used.slope + _SIGMAS * error)
    if fastest <= 0:
        return None
    likely = over / -used.slope if used.slope < 0 else np.inf
    return _Span(
        over / fastest * (1.0 - _SHAPE_ERROR),
        likely,
        over / slowest * (1.0 + _SHAPE_ERROR) if slowest > 0 else np.inf,
    )


def _joined(said: Battery, spans: Sequence[_Span]) -> Battery:
    """One forecast of all that may be; nothing is named where they differ too much to be of use."""
    low = min(span.low for span in spans)
    high = max(span.high for span in spans)
    likely = float(np.median([span.likely for span in spans]))
    if low > HORIZON_DAYS:
        return _as(said, "lasting", days_low=HORIZON_DAYS)
    if low > _LASTING_DAYS and likely > 2 * HORIZON_DAYS:
        return _as(said, "lasting", days_low=round(low))
    if likely > _WIDEST * max(low, _SHORT_DAYS) and low > _SOON_DAYS:
        return _as(said, "unsure", why="flat_cell")
    days = round(likely)
    return _as(
        said,
        "forecast",
        days=days,
        days_low=min(round(low), days),
        days_high=max(round(high), days) if high <= 2 * HORIZON_DAYS else None,
    )


def _steepest(x: Float64s, left: Float64s, whole: Line) -> Line:
    """The line of the last third, where it falls clearly faster: many batteries end so."""
    is_last = x >= x[-1] - max((x[-1] - x[0]) / 3.0, 2.0 * FEWEST_DAYS)
    last = line(x[is_last], left[is_last])
    if last is None or last.slope >= 0:
        return whole
    is_clear = whole.slope - last.slope > 3.0 * float(np.hypot(last.slope_error, whole.slope_error))
    return last if is_clear and last.slope < _STEEPER * min(whole.slope, 0.0) else whole


def _season_slope(said: Battery, left: Float64s, x: Float64s) -> float:
    """What a change of season may have added to the slope, where it was not told apart."""
    span = float(x[-1] - x[0] + 1)
    share = _SEASON_PERCENT / 100.0 if said.unit == "%" else _SEASON_SHARE
    return share * float(np.max(left)) / span * min(_YEAR_DAYS / span, 1.0)


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
