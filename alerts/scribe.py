"""Turns a change of stage into a transition with its ids, and remembers which alarm is open.

Refuses to know why the stage changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import expect_shapes
from alerts.transitions import NORMAL, WITHDRAWN, Transition, transition_id


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule holds: a device, and one of its series (None for the device as a whole)."""

    device: int
    series: int | None

    @property
    def key(self) -> int:
        """What the place is indexed by: the series if there is one, else the device."""
        return self.device if self.series is None else self.series


@dataclass(frozen=True, slots=True)
class Shown:
    """What a place shows: stage 0 is normal, stage k the k-th of the rule."""

    stage: int
    is_verified: bool = True


@dataclass(frozen=True, slots=True)
class When:
    """Event time, when we knew, and what follows from the two (int ms UTC)."""

    measured_at: int
    received_at: int
    is_historic: bool
    is_exercise: bool


@dataclass(slots=True)
class Scribe:
    """Writes the transitions of one rule. ``stages`` are (name, level), lowest first."""

    rule: str
    rule_kind: str
    rule_version: str
    stages: tuple[tuple[str, int], ...]
    open: dict[tuple[int, bool], str] = field(default_factory=dict)

    def write(
        self, place: Place, before: Shown, after: Shown, value: float | None, when: When
    ) -> Transition:
        """The transition from ``before`` to ``after``; opens and closes the place's alarm."""
        to_stage, to_level = self._named(after.stage)
        # A clear says how sure we had been: there is nothing to be sure of when all is normal.
        is_verified = after.is_verified if after.stage else before.is_verified
        return self._write(place, before, (to_stage, to_level, is_verified), value, when)

    def withdraw(self, place: Place, before: Shown, when: When) -> Transition:
        """The transition that ends an alarm whose rule or place went."""
        return self._write(place, before, (WITHDRAWN, 0, before.is_verified), None, when)

    def _write(
        self,
        place: Place,
        before: Shown,
        to: tuple[str, int, bool],
        value: float | None,
        when: When,
    ) -> Transition:
        to_stage, to_level, is_verified = to
        subject = f"d{place.device}" if place.series is None else f"s{place.series}"
        state = f"{to_stage}/{is_verified:d}/{when.is_exercise:d}"
        this = transition_id(self.rule, self.rule_version, subject, when.measured_at, state)
        key = (place.key, when.is_exercise)
        alarm = self.open.setdefault(key, this)
        if to_level == 0:
            del self.open[key]
        from_stage, from_level = self._named(before.stage)
        return Transition(
            id=this,
            alarm=alarm,
            rule=self.rule,
            rule_kind=self.rule_kind,
            rule_version=self.rule_version,
            device=place.device,
            series=place.series,
            measured_at=when.measured_at,
            received_at=when.received_at,
            from_level=from_level,
            to_level=to_level,
            from_stage=from_stage,
            to_stage=to_stage,
            value=value,
            is_verified=is_verified,
            is_historic=when.is_historic,
            is_exercise=when.is_exercise,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Which alarms are open, as named arrays."""
        keys = list(self.open)
        return {
            "open_keys": np.array(keys, np.int64).reshape(len(keys), 2),
            "open_ids": np.array(list(self.open.values()), np.str_),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Remember the open alarms that ``state`` said."""
        expect_shapes(arrays, open_keys=(len(arrays["open_ids"]), 2))
        pairs = zip(arrays["open_keys"], arrays["open_ids"], strict=True)
        self.open = {(int(key), bool(drill)): str(alarm) for (key, drill), alarm in pairs}

    def stage_named(self, name: str) -> int | None:
        """The number of a stage, or None if this rule has none of this name."""
        names = [n for n, _ in self.stages]
        return names.index(name) + 1 if name in names else None

    def _named(self, stage: int) -> tuple[str, int]:
        return (NORMAL, 0) if stage == 0 else self.stages[stage - 1]
