"""What the alert service needs of a journal, and nothing more.

Refuses to know files, segments and fsync: the composition root joins this to ``ingest``.
"""

from __future__ import annotations

from typing import Protocol

from devices.frames import Entry, Lane, Position


class JournalReader(Protocol):
    """Follows the journal of one lane.

    ``read`` raises LookupError when ``after`` is no longer in the journal (another epoch, or the
    segment is gone): the caller starts from the oldest entry kept and says so.
    """

    lane: Lane

    def read(self, after: Position | None, *, max_bytes: int = 4 << 20) -> list[Entry]:
        """Published entries after a position, in order; [] when there is nothing new."""

    async def wait(self, timeout_s: float = 0.2) -> None:
        """Return when something may have been published, or after the timeout."""

    def retain(self, position: Position | None) -> None:
        """Let entries up to this position go; None: nothing has been passed yet."""
