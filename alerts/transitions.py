"""What the engine says: one change of state of one rule at one place, as a plain value.

Refuses to know how it is kept (``alerts.ledger``) and who is told (``alerts.routing``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

NORMAL: Final = "normal"
"""Stage of level 0."""

WITHDRAWN: Final = "withdrawn"
"""Stage of level 0 when the rule or the device went, not the water."""


@dataclass(frozen=True, slots=True)
class Transition:
    """From one stage to another, at event time ``measured_at`` (int ms UTC).

    ``alarm`` is the id of the transition that opened the alarm, ``series`` is None for silence.
    ``value`` is in the quantity's unit, None where there is none. The levels differ, or they are
    the same and ``is_verified`` has changed. ``is_historic``: it was known too late to wake anyone.
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

    @property
    def is_opening(self) -> bool:
        """True for the transition that opens its alarm."""
        return self.id == self.alarm

    @property
    def is_clearing(self) -> bool:
        """True for the transition that ends its alarm."""
        return self.to_level == 0


def transition_id(rule: str, rule_version: str, subject: str, measured_at: int, state: str) -> str:
    """128 bits in hex: the same transition has the same id however often it is computed.

    ``subject`` is ``s<series>`` or ``d<device>``; ``state`` names the stage and its doubt.
    """
    text = f"{rule}\n{rule_version}\n{subject}\n{measured_at}\n{state}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
