"""The life of an alarm as a table: which event leads from which state to which.

Refuses to know rules, people and SQL. An alarm's whole state is (stage of its life, acknowledged
or not); what is not in the table cannot happen and is a bug of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from alerts.transitions import WITHDRAWN, Transition


class State(StrEnum):
    """Where an alarm stands; ``acknowledged`` is beside it, not in it."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Event(StrEnum):
    """What can befall an alarm."""

    OPENED = "opened"
    RAISED = "raised"
    LOWERED = "lowered"
    VERIFIED = "verified"
    DOUBTED = "doubted"
    CLEARED = "cleared"
    WITHDRAWN = "withdrawn"
    ACKNOWLEDGED = "acknowledged"


NEXT: Final[Mapping[tuple[State | None, Event], State]] = MappingProxyType(
    {
        (None, Event.OPENED): State.ACTIVE,
        (State.ACTIVE, Event.RAISED): State.ACTIVE,
        (State.ACTIVE, Event.LOWERED): State.ACTIVE,
        (State.ACTIVE, Event.VERIFIED): State.ACTIVE,
        (State.ACTIVE, Event.DOUBTED): State.ACTIVE,
        (State.ACTIVE, Event.CLEARED): State.CLEARED,
        (State.ACTIVE, Event.WITHDRAWN): State.CLEARED,
        (State.ACTIVE, Event.ACKNOWLEDGED): State.ACTIVE,
        # Somebody may say "seen" after the water has gone: who saw it is still to be on record.
        (State.CLEARED, Event.ACKNOWLEDGED): State.CLEARED,
    }
)
"""(state before, event) → state after; ``None`` is before the alarm existed."""


def event_of(transition: Transition) -> Event:
    """The event that a transition of the engine is in its alarm's life."""
    if transition.is_opening:
        return Event.OPENED
    if transition.is_clearing:
        return Event.WITHDRAWN if transition.to_stage == WITHDRAWN else Event.CLEARED
    if transition.to_level > transition.from_level:
        return Event.RAISED
    if transition.to_level < transition.from_level:
        return Event.LOWERED
    return Event.VERIFIED if transition.is_verified else Event.DOUBTED


def after(state: State | None, event: Event) -> State:
    """The state that follows. Raises KeyError for what cannot happen."""
    return NEXT[state, event]
