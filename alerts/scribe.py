"""Turns a change of stage into a transition with its ids, and remembers which alarm is open.

Refuses to know why the stage changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
    is_correction: bool = False


def sureness(before: Shown, after: Shown) -> bool:
    """Whether a transition is verified.

    A clear says how sure we had been: there is nothing to be sure of when all is normal.
    """
    return after.is_verified if after.stage else before.is_verified


def own_name(wanted: str, taken: Iterable[str]) -> str:
    """An id for an alarm: that of its opening, or one made of it where another alarm has that."""
    name = wanted
    while name in taken:
        name = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return name


@dataclass(slots=True)
class Scribe:
    """Writes the transitions of one rule. ``stages`` are (name, level), lowest first."""

    rule: str
    rule_kind: str
    rule_version: str
    stages: tuple[tuple[str, int], ...]
    open: dict[tuple[int, bool], str] = field(default_factory=dict)

    def write(
        self,
        place: Place,
        before: Shown,
        after: Shown,
        value: float | None,
        when: When,
        alarm: str | None = None,
        taken: Iterable[str] = (),
    ) -> Transition:
        """The transition from ``before`` to ``after``.

        Opens and closes the place's alarm, which gets none of the ids that are ``taken``; where
        ``alarm`` names one, it is said of that one and what is open is left as it is.
        """
        to = (*self.named(after.stage), sureness(before, after))
        return self._write(place, before, to, value, when, alarm, taken)

    def id_of(self, place: Place, when: When, to_stage: str, *, is_verified: bool) -> str:
        """The id of the transition to a stage at a place and time."""
        subject = f"d{place.device}" if place.series is None else f"s{place.series}"
        state = f"{to_stage}/{is_verified:d}/{when.is_exercise:d}"
        return transition_id(self.rule, self.rule_version, subject, when.measured_at, state)

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
        alarm: str | None = None,
        taken: Iterable[str] = (),
    ) -> Transition:
        to_stage, to_level, is_verified = to
        this = self.id_of(place, when, to_stage, is_verified=is_verified)
        key = (place.key, when.is_exercise)
        if alarm is None:
            alarm = self.open.get(key) or own_name(this, taken)
            self.open[key] = alarm
            if to_level == 0:
                del self.open[key]
        from_stage, from_level = self.named(before.stage)
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
            is_correction=when.is_correction,
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

    def named(self, stage: int) -> tuple[str, int]:
        """(name, level) of a stage by its number, 0 being normal."""
        return (NORMAL, 0) if stage == 0 else self.stages[stage - 1]
