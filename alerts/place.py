"""One place of a rule, step by step: the standing of its real readings and that of its drills.

Pure and scalar. Live evaluation and the re-run after a late reading are this one code: a reading
and the state before it go in, the steps that the world is told come out. A drill is another world
with the same thresholds; it ends with the first real reading if no drill reading ended it before.
Refuses to know arrays, ids and who is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from alerts.ladder import LadderShape, Standing, settle, step_plausible, step_suspect

REAL: Final = 0
DRILL: Final = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading as a ladder sees it; ``at`` is its event time (int ms UTC)."""

    at: int
    value: float
    is_suspect: bool = False
    is_drill: bool = False


@dataclass(slots=True)
class PlaceState:
    """Where a place stands; each pair is (real, drill), times are int ms UTC, -1 before the first.

    ``changed_at`` is the event time of the last step that was told: those of a place only rise, so
    that no two have the same identity. ``settled_at`` is when the last hold was fulfilled.
    """

    standings: list[Standing]
    changed_at: list[int]
    settled_at: list[int]

    def copy(self) -> PlaceState:
        """A state of its own that is stepped apart from this one."""
        standings = [
            Standing(
                s.raw, s.confirmed, s.since[:], s.doubt_raw, s.doubt, s.doubt_since, s.doubt_value
            )
            for s in self.standings
        ]
        return PlaceState(standings, list(self.changed_at), list(self.settled_at))

    @property
    def shown(self) -> tuple[tuple[int, bool], tuple[int, bool]]:
        """What the world is told of both."""
        return self.standings[REAL].shown, self.standings[DRILL].shown


@dataclass(frozen=True, slots=True)
class Step:
    """What is told: from one (stage, is it verified) to another.

    ``nominal`` is when it happened, ``at`` the same or the first moment after the step before;
    ``value`` is NaN where no plausible reading says anything.
    """

    is_drill: bool
    before: tuple[int, bool]
    after: tuple[int, bool]
    nominal: int
    at: int
    value: float


def normal_place(rungs: int) -> PlaceState:
    """A place of which nothing was heard."""
    return PlaceState([normal(rungs), normal(rungs)], [-1, -1], [-1, -1])


def normal(rungs: int) -> Standing:
    """A standing at stage 0."""
    return Standing(0, 0, [0] * rungs, 0, 0, 0, 0.0)


def is_on(standing: Standing) -> bool:
    """True where something is reached, confirmed or claimed."""
    return bool(standing.raw or standing.confirmed or standing.doubt_raw)


def take(
    state: PlaceState,
    sample: Sample,
    thresholds: Sequence[float],
    shape: LadderShape,
    remembered: Sequence[float],
) -> list[Step]:
    """Step with a reading not older than all before.

    ``remembered`` are the last plausible values (real, drill) before it, NaN where there is none.
    """
    steps: list[Step] = []
    if not sample.is_drill and is_on(state.standings[DRILL]):
        steps += settle_until(state, DRILL, sample.at, remembered[DRILL], shape)
        steps += _end_drill(state, sample)
    which = DRILL if sample.is_drill else REAL
    steps += settle_until(state, which, sample.at, remembered[which], shape)
    standing = state.standings[which]
    before = standing.shown
    step = step_suspect if sample.is_suspect else step_plausible
    step(standing, thresholds, shape, sample.value, sample.at)
    if standing.shown != before:
        steps.append(_told(state, which, before, sample.at, sample.value))
    steps += settle_until(state, which, sample.at, sample.value, shape)
    return steps


def settle_until(
    state: PlaceState, which: int, until: int, value: float, shape: LadderShape
) -> list[Step]:
    """Fulfil holds up to ``until``, ``value`` being the last plausible one."""
    standing = state.standings[which]
    before = standing.shown
    steps = []
    for due in settle(standing, shape, until):
        state.settled_at[which] = due
        if standing.shown != before:
            told = value if standing.shown[1] else standing.doubt_value
            steps.append(_told(state, which, before, due, told))
            before = standing.shown
    return steps


def _end_drill(state: PlaceState, sample: Sample) -> list[Step]:
    before = state.standings[DRILL].shown
    state.standings[DRILL] = normal(len(state.standings[DRILL].since))
    if before[0] == 0:
        return []
    return [_told(state, DRILL, before, sample.at, sample.value)]


def _told(
    state: PlaceState, which: int, before: tuple[int, bool], nominal: int, value: float
) -> Step:
    at = max(nominal, state.changed_at[which] + 1)
    state.changed_at[which] = at
    return Step(which == DRILL, before, state.standings[which].shown, nominal, at, value)
