"""One series on its ladder of stages: hysteresis, holds and doubt, as plain functions.

Refuses to know arrays, rules, devices and what an alarm is; ``alerts.stages`` steps thousands of
these and calls here only for the few readings that change something.

A stage k is *reached* when ``value >= threshold[k]`` and *left* when
``value < threshold[k] - hysteresis``; both ends inclusive as written, and a value within ROUNDING
of a threshold is at it (units are converted in float64). A NaN threshold is a stage that does not
exist here. The highest stage that holds is the stage; one reading may jump several at once::

    value      ____
    4 ─ ─ ─ ─ /─ ─ \\─ ─ ─ ─ ─ ─ ─   stage 2 from 4.0, until below 3.8
    3 ─ ─ ─ _/─ ─ ─ \\___ ─ ─ ─ ─    stage 1 from 3.0, until below 2.8
      _____/             \\______
    raw  0  1  2      1     0

Holds: what is reached must stay reached for ``hold_up`` before it is confirmed (left:
``hold_down``). Each stage has a hold of its own, counted from the reading that toggled it; it is
fulfilled at ``since + hold``, and a reading at exactly that time comes after it::

    raw        0 ─┐1────────┐0
    confirmed  0 ─ ─ ─ ─┐1──────       confirmed at since + hold_up, told with that event time
                  |<-up->|

Doubt: a suspect reading never moves ``raw``. Where it would have reached more, the stage it claims
is *shown* unverified (after ``hold_up``) until the next plausible reading, which either still is
above what was confirmed (then its stage is confirmed at once: two readings agree) or ends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

ROUNDING: Final = 1e-9
"""In the quantity's unit: far below any sensor's step, far above a unit conversion's error."""

NEVER: Final = (1 << 63) - 1
"""A time that does not come."""


@dataclass(frozen=True, slots=True)
class LadderShape:
    """What all places of a rule share: hysteresis in the quantity's unit, holds in ms."""

    hysteresis: float
    hold_up_ms: int
    hold_down_ms: int


@dataclass(slots=True)
class Standing:
    """Where one series stands; stage 0 is normal, stage k the k-th rung, times are int ms UTC.

    ``since[k - 1]`` is when stage k was last reached or left. ``doubt_raw`` is the stage claimed
    by suspect readings since the last plausible one (at ``doubt_since``, with ``doubt_value``),
    ``doubt`` what of it is shown.
    """

    raw: int
    confirmed: int
    since: list[int]
    doubt_raw: int
    doubt: int
    doubt_since: int
    doubt_value: float

    @property
    def shown(self) -> tuple[int, bool]:
        """(stage, is it verified): what the world is told."""
        return max(self.confirmed, self.doubt), self.doubt <= self.confirmed


def stage_at(value: float, thresholds: Sequence[float], shape: LadderShape, current: int) -> int:
    """The highest stage that ``value`` reaches, or that it has not left when at ``current``."""
    for stage in range(len(thresholds), 0, -1):
        slack = shape.hysteresis if stage <= current else 0.0
        if value >= thresholds[stage - 1] - slack - ROUNDING:
            return stage
    return 0


def step_plausible(
    standing: Standing, thresholds: Sequence[float], shape: LadderShape, value: float, at: int
) -> None:
    """Take in a reading that can be believed."""
    stage = stage_at(value, thresholds, shape, standing.raw)
    _move_raw(standing, stage, at)
    if standing.doubt > standing.confirmed and stage > standing.confirmed:
        standing.confirmed = stage
    standing.doubt = standing.doubt_raw = 0


def step_suspect(
    standing: Standing, thresholds: Sequence[float], shape: LadderShape, value: float, at: int
) -> None:
    """Take in a reading that is not to be believed; only a claim of more than before counts."""
    stage = stage_at(value, thresholds, shape, standing.raw)
    if stage > max(standing.raw, standing.doubt_raw):
        standing.doubt_raw = stage
        standing.doubt_since = at
        standing.doubt_value = value


def settle(standing: Standing, shape: LadderShape, until: int) -> Iterator[int]:
    """Fulfil the holds that are due at or before ``until``, in order; yields each due time.

    ``standing`` is as of that time when it is yielded.
    """
    while (due := next_due(standing, shape)) <= until:
        if standing.raw > standing.confirmed:
            _confirm_up(standing, shape, due)
        elif standing.raw < standing.confirmed:
            _confirm_down(standing, shape, due)
        if standing.doubt_raw > standing.doubt and standing.doubt_since + shape.hold_up_ms <= due:
            standing.doubt = standing.doubt_raw
        yield due


def next_due(standing: Standing, shape: LadderShape) -> int:
    """When the next hold is fulfilled if nothing comes between; NEVER if none is running."""
    due = NEVER
    if standing.raw > standing.confirmed:
        due = standing.since[standing.confirmed] + shape.hold_up_ms
    elif standing.raw < standing.confirmed:
        due = standing.since[standing.confirmed - 1] + shape.hold_down_ms
    if standing.doubt_raw > standing.doubt:
        due = min(due, standing.doubt_since + shape.hold_up_ms)
    return due


def _confirm_up(standing: Standing, shape: LadderShape, until: int) -> None:
    while (
        standing.confirmed < standing.raw
        and standing.since[standing.confirmed] + shape.hold_up_ms <= until
    ):
        standing.confirmed += 1


def _confirm_down(standing: Standing, shape: LadderShape, until: int) -> None:
    while (
        standing.confirmed > standing.raw
        and standing.since[standing.confirmed - 1] + shape.hold_down_ms <= until
    ):
        standing.confirmed -= 1


def _move_raw(standing: Standing, stage: int, at: int) -> None:
    low, high = sorted((standing.raw, stage))
    for toggled in range(low, high):
        standing.since[toggled] = at
    standing.raw = stage
