"""Says once that something is away which is tried again and again, and once that it is back.

Refuses to know what is away and how it is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _silently() -> None:
    """Its end is not said."""


@dataclass(slots=True)
class OutageNote:
    """``begun`` is told the reason (its first line), again only when it is another one."""

    begun: Callable[[str], None]
    ended: Callable[[], None] = _silently
    reason: str = ""

    def note(self, error: Exception) -> None:
        """It has failed (again)."""
        reason = str(error).partition("\n")[0]
        if reason != self.reason:
            self.begun(reason)
        self.reason = reason

    def over(self) -> None:
        """It has worked."""
        if self.reason:
            self.ended()
        self.reason = ""
