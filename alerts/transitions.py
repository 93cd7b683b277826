"""What the engine says: one change of state of one rule at one place, as a plain value.

Refuses to know how it is kept (``alerts.ledger``) and who is told (``alerts.routing``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

NORMAL: Final = "normal"
"""Stage of level 0."""

WITHDRAWN: Final = "withdrawn"
"""Stage of level 0 when the rule or the device went, not the water."""


@dataclass(frozen=True, slots=True)
class Transition:
    """From one stage to another, at event time ``measured_at`` (int ms UTC).

    ``alarm`` is the id of the transition that first opened the alarm (it may have been withdrawn
    since), ``series`` is None for silence. ``value`` is in the quantity's unit, None where there is
    none. The levels differ, or they are the same and ``is_verified`` has changed. ``is_historic``:
    it was known too late to wake anyone. ``is_correction``: a late reading brought it.
    """

    id: str
    alarm: str
    rule: str
    rule_kind: str
    rule_version: str
    device: int
    series: int | None
    measured_at: int
    received_at: int
    from_level: int
    to_level: int
    from_stage: str
    to_stage: str
    value: float | None
    is_verified: bool
    is_historic: bool
    is_exercise: bool
    is_correction: bool = False

    @property
    def is_opening(self) -> bool:
        """True for the transition that opens its alarm."""
        return self.from_level == 0

    @property
    def is_clearing(self) -> bool:
        """True for the transition that ends its alarm."""
        return self.to_level == 0


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A transition of before that does not hold: a late reading says otherwise.

    ``is_told``: it said what was so at present until now, and that is no more so. ``now_stage`` and
    ``now_level`` are the present stage.
    """

    transition: Transition
    is_told: bool
    now_stage: str
    now_level: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What a late reading changes at one place: the difference to what has been said of it.

    ``stands`` are transitions that are new, or that stand with another alarm, stage before or
    value; ``to_tell`` are the ids of those that say what is newly so at present, the others are
    historic. ``peaks`` are the exact highest
    plausible values of the alarms it touches (None: there is none), ``heirs`` pairs of alarms: the
    second is, or is a part of, what the first was taken for, and inherits its acknowledgement.
    """

    received_at: int
    stands: tuple[Transition, ...]
    to_tell: frozenset[str]
    withdrawn: tuple[Withdrawal, ...]
    peaks: Mapping[str, float | None]
    heirs: tuple[tuple[str, str], ...]


Change = Transition | Correction


def alarms_of(changes: Iterable[Change]) -> set[str]:
    """The ids of all alarms that are touched."""
    found = set()
    for one in changes:
        if isinstance(one, Transition):
            found.add(one.alarm)
        else:
            found |= (
                {t.alarm for t in one.stands}
                | one.peaks.keys()
                | {i for pair in one.heirs for i in pair}
            )
            found |= {w.transition.alarm for w in one.withdrawn}
    return found


def transitions_of(changes: Iterable[Change]) -> Iterator[Transition]:
    """All transitions that stand newly, in order."""
    for one in changes:
        if isinstance(one, Transition):
            yield one
        else:
            yield from one.stands


def ids_of(changes: Iterable[Change]) -> set[str]:
    """The ids of all transitions that stand newly, or are withdrawn."""
    found = set()
    for one in changes:
        if isinstance(one, Transition):
            found.add(one.id)
        else:
            found |= {t.id for t in one.stands} | {w.transition.id for w in one.withdrawn}
    return found


def transition_id(rule: str, rule_version: str, subject: str, measured_at: int, state: str) -> str:
    """128 bits in hex: the same transition has the same id however often it is computed.

    ``subject`` is ``s<series>`` or ``d<device>``; ``state`` names the stage and its doubt.
    """
    text = f"{rule}\n{rule_version}\n{subject}\n{measured_at}\n{state}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
