"""A lane's journal as the alerts process reads it: what is damaged is said and passed over.

One rotten byte costs one frame, never the alarms behind it. Refuses to know what frames mean.
"""

from __future__ import annotations

import structlog

from devices.frames import Entry, Lane, Position
from ingest.journal_follower import JournalFollower
from ingest.segments import JournalDamaged

log = structlog.get_logger()


class SteadyReader:
    """Joins a follower to ``alerts.feed.JournalReader``, which knows no damage."""

    def __init__(self, follower: JournalFollower) -> None:
        self.lane: Lane = follower.lane
        self._follower = follower
        self._said = ""

    def read(self, after: Position | None, *, max_bytes: int = 4 << 20) -> list[Entry]:
        """Published entries after a position that can be read; LookupError as the follower's."""
        while True:
            try:
                return self._follower.read(after, max_bytes=max_bytes)
            except JournalDamaged as damaged:
                self._say(damaged)
                if damaged.resume_after is None:
                    return []  # nothing follows yet; asked again, something may
                after = damaged.resume_after

    async def wait(self, timeout_s: float = 0.2) -> None:
        """Return when something may have been published, or after the timeout."""
        await self._follower.wait(timeout_s)

    def retain(self, position: Position | None) -> None:
        """Let entries up to this position go."""
        self._follower.retain(position)

    def _say(self, damaged: JournalDamaged) -> None:
        if self._said != str(damaged):
            self._said = str(damaged)
            log.error("alerts.journal.frames_lost", lane=str(self.lane), reason=str(damaged))
