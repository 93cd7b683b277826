"""Whether a sensor still measures: stuck at one value, or noisy.

Judged against what the series itself used to do, and against others of its kind at the same time: a
flood, a frost or a storm moves them all. Refuses to know devices and the words for it.

A sensor that hangs dry at 0 m looks like a dry road: that cannot be seen from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from devices.health.days import DAY_MS, SERIES, SERIES_FIGURES, day_of
from devices.quantities import QUANTITIES
from devices.readings import Float64s, Int64s

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Habit:
    """How a quantity behaves in a sound sensor.

    ``still_s``: never still for longer, whatever happens (inf: it may stand still for good);
    ``noise``: usual standard deviation of the noise, in its unit; ``rest``: the value at which it
    may stand for good (dry), None: none.
    """

    still_s: float
    noise: float
    rest: float | None = None


HABITS: Final[Mapping[str, Habit]] = MappingProxyType(
    {
        "air.temperature": Habit(12 * _HOUR_S, 0.3),
        "air.relativeHumidity": Habit(18 * _HOUR_S, 1.5, rest=100.0),
        "air.pressure": Habit(12 * _HOUR_S, 0.3),
        "air.co2": Habit(12 * _HOUR_S, 25.0),
        "light.intensity": Habit(20 * _HOUR_S, 3000.0),
        "wind.speed": Habit(24 * _HOUR_S, 1.5, rest=0.0),
        "wind.direction": Habit(24 * _HOUR_S, 60.0),
        "soil.temperature": Habit(48 * _HOUR_S, 0.2),
        "water.temperature": Habit(24 * _HOUR_S, 0.2),
        "animal.temperature": Habit(12 * _HOUR_S, 0.2),
        "soil.moisture": Habit(14 * _DAY_S, 1.0),
        "soil.ec": Habit(14 * _DAY_S, 0.01),
        "water.ec": Habit(7 * _DAY_S, 0.01),
        "water.level": Habit(7 * _DAY_S, 0.01),
        "water.distance": Habit(7 * _DAY_S, 0.01),
        "flood.depth": Habit(2 * _DAY_S, 0.005, rest=0.0),
        "paddy.depth": Habit(7 * _DAY_S, 0.005, rest=0.0),
        "water.pressure": Habit(12 * _HOUR_S, 15_000.0),
        "water.flow": Habit(2 * _DAY_S, 0.005, rest=0.0),
        "tilt.angle": Habit(np.inf, 0.02),
    }
)
"""Quantities that are judged; rough, for the sensors of cities (docs/device-health.md)."""

_STILL_FACTOR: Final = 3.0
_MOVED_SHARE: Final = 0.5
_FEWEST_READINGS: Final = 6.0
_NOISY_FACTOR: Final = 5.0
_NOISY_DAYS: Final = 2
_USUAL_DAYS: Final = 7
_IMPLAUSIBLE_SHARE: Final = 0.1
_FEWEST_A_DAY: Final = 12.0


@dataclass(frozen=True, slots=True)
class Around:
    """What others of the same kind did: ``moved`` share of them that changed in the last day.

    ``noise_factor``: today's noise over the usual one, median of them; None where too few are
    there to tell.
    """

    moved: float | None = None
    noise_factor: float | None = None


@dataclass(frozen=True, slots=True)
class Sensing:
    """One quantity: ``still_s`` how long it has not changed, ``noise`` now and ``usual_noise``.

    ``implausible``: share of three days' readings that are out of range or spikes.
    """

    quantity: str
    is_stuck: bool = False
    is_noisy: bool = False
    value: float | None = None
    still_s: float | None = None
    noise: float | None = None
    usual_noise: float | None = None
    implausible: float | None = None


def judge(
    quantity: str, day: Int64s, series_days: Float64s, *, now: int, around: Around
) -> Sensing | None:
    """Judge a series from its series-days (row a day, NaN: none); None where there is no measure.

    Today's row may be there in part. What was measured more than a day ago judges nothing: that is
    silence.
    """
    habit = HABITS.get(quantity)
    if habit is None or quantity not in QUANTITIES:
        return None
    count = np.nan_to_num(series_days[:, SERIES["count"]])
    is_recent = (day >= day_of(now) - 1) & (count > 0)
    if not is_recent.any():
        return None
    still = _Still.of(day, series_days, now)
    noise, usual = _noises(day, series_days, now)
    share = _implausible(day, series_days, now)
    last = float(series_days[count > 0][-1, SERIES["last"]])
    return Sensing(
        quantity,
        is_stuck=_is_stuck(still, habit, last, around),
        is_noisy=_is_noisy(noise, usual, habit, around) or share > _IMPLAUSIBLE_SHARE,
        value=last,
        still_s=round(still.now_s, 0),
        noise=None if not len(noise) else float(np.median(noise)),
        usual_noise=usual,
        implausible=round(share, 4),
    )


def noise_factor(day: Int64s, series_days: Float64s, now: int) -> float | None:
    """Noise of the last days over the usual one of the series; None where one is not known."""
    noise, usual = _noises(day, series_days, now)
    if not len(noise) or not usual:
        return None
    return float(np.median(noise)) / usual


def has_moved(day: Int64s, series_days: Float64s, now: int) -> bool | None:
    """Whether the series changed yesterday or today; None where it has too few readings."""
    rows = series_days[day >= day_of(now) - 1]
    if np.nan_to_num(rows[:, SERIES["count"]]).sum() < 2:
        return None
    is_inside = bool(np.isfinite(rows[:, SERIES["last_change_s"]]).any())
    ends = rows[np.isfinite(rows[:, SERIES["first"]])]
    return is_inside or len(np.unique(ends[:, SERIES["first"]])) > 1


@dataclass(frozen=True, slots=True)
class _Still:
    """For how long the series stands now, how often it was read since, its longest stand before."""

    now_s: float
    readings: float
    longest_before_s: float

    @staticmethod
    def of(day: Int64s, rows: Float64s, now: int) -> _Still:
        """Walk the days: a value that differs from the day before, or a change inside, ends one."""
        begins: list[float] = []
        readings, last, last_at = 0.0, np.nan, 0.0
        for at, row in zip(day.tolist(), rows.tolist(), strict=True):
            figure = dict(zip(SERIES_FIGURES, row, strict=True))
            if not figure["count"] > 0:
                continue
            start_s = at * DAY_MS / 1000.0
            if figure["first"] != last:
                begins.append(start_s)
                readings = 0.0
            readings += figure["count"]
            if np.isfinite(figure["last_change_s"]):
                begins += [start_s + figure["first_change_s"], start_s + figure["last_change_s"]]
                readings = _readings_after(figure)
            last, last_at = figure["last"], start_s + _DAY_S
        until = min(last_at, now / 1000.0)
        stands = np.diff(np.array(begins)) if len(begins) > 1 else np.zeros(0)
        begun = begins[-1] if begins else until
        return _Still(max(until - begun, 0.0), readings, float(stands.max(initial=0.0)))


def _readings_after(figure: Mapping[str, float]) -> float:
    """About how many readings came after the last change of the day."""
    return figure["count"] * (1.0 - figure["last_change_s"] / _DAY_S)


def _is_stuck(still: _Still, habit: Habit, value: float, around: Around) -> bool:
    if habit.rest is not None and abs(value - habit.rest) < 1e-9:
        return False
    if still.readings < _FEWEST_READINGS:
        return False
    may_stand = habit.still_s > _DAY_S
    if may_stand and (around.moved is None or around.moved < _MOVED_SHARE):
        return False  # a dry month holds all rivers still
    return still.now_s > max(habit.still_s, _STILL_FACTOR * still.longest_before_s)


def _noises(day: Int64s, rows: Float64s, now: int) -> tuple[Float64s, float | None]:
    """The noise of the last three days, and the usual one of the weeks before."""
    noise = rows[:, SERIES["noise"]]
    is_known = np.isfinite(noise) & (np.nan_to_num(rows[:, SERIES["count"]]) >= _FEWEST_A_DAY)
    is_new = day >= day_of(now) - 2
    before = noise[is_known & ~is_new]
    usual = float(np.median(before)) if len(before) >= _USUAL_DAYS else None
    return noise[is_known & is_new], usual


def _is_noisy(noise: Float64s, usual: float | None, habit: Habit, around: Around) -> bool:
    """On two of three days far above its own usual noise, and above that of its kind."""
    raised = max(around.noise_factor or 1.0, 1.0)
    least = habit.noise * (2.0 if usual is not None else _NOISY_FACTOR)
    limit = max(least, _NOISY_FACTOR * (usual or 0.0)) * raised
    return int((noise > limit).sum()) >= _NOISY_DAYS


def _implausible(day: Int64s, rows: Float64s, now: int) -> float:
    """Share of the last three days' readings that are out of range or spikes."""
    recent = rows[day >= day_of(now) - 2]
    count = np.nan_to_num(recent[:, SERIES["count"]])
    share = np.nan_to_num(recent[:, SERIES["implausible"]])
    if count.sum() < _FEWEST_A_DAY:
        return 0.0
    return float((count * share).sum() / count.sum())
