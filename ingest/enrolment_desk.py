"""Lets so many requests for admission into the journal, and no more, whoever has the key.

A request is asked again until it is answered, so what is turned away here is no loss; without a
bound whoever has the shared key could fill the disk and drive other messages out of the quarantine.
Time is that of the messages. Refuses to know the waiting list: it reads the journal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from devices import enrolment
from devices.outcomes import Rejected
from devices.readings import Int64s

A_MINUTE: Final = 300
"""Requests of all devices together; 500 that are switched on at once are through in two minutes."""
BAD_A_MINUTE: Final = 10
"""Requests that cannot be read: enough for somebody to see in the quarantine what is wrong."""
AGAIN_AFTER_MS: Final = 20_000
"""A serial number that asks again sooner is not listened to."""
_REMEMBERED: Final = 2_000
TURNED_AWAY: Final = Rejected("enrolment_turned_away", "more requests than are taken in a minute")


@dataclass(slots=True)
class _Bucket:
    """``a_minute`` tokens a minute, a minute's worth at most."""

    a_minute: int
    left: float
    at: int = 0

    def take(self, at: int) -> bool:
        gained = max(at - self.at, 0) * self.a_minute / 60_000
        self.left, self.at = min(self.left + gained, float(self.a_minute)), max(at, self.at)
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class EnrolmentDesk:
    """What one lane remembers of requests."""

    _good: _Bucket = field(default_factory=lambda: _Bucket(A_MINUTE, A_MINUTE))
    _bad: _Bucket = field(default_factory=lambda: _Bucket(BAD_A_MINUTE, BAD_A_MINUTE))
    _asked: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    turned_away: int = 0

    def admit(
        self,
        rejected: Sequence[tuple[int, Rejected]],
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        received_at: Int64s,
    ) -> list[tuple[int, Rejected]]:
        """The refusals that go into the journal: all but requests beyond what may be asked."""
        kept: list[tuple[int, Rejected]] = []
        for row, found in rejected:
            if found.reason != enrolment.REASON:
                kept.append((row, found))
                continue
            known = self._one(topics[row], payloads[row], int(received_at[row]), found)
            if known is None:
                self.turned_away += 1
            else:
                kept.append((row, known))
        return kept

    def _one(self, topic: bytes, payload: bytes, at: int, found: Rejected) -> Rejected | None:
        said = enrolment.read(topic.decode("utf-8", "backslashreplace"), payload)
        if isinstance(said, Rejected):
            is_kept = len(payload) <= enrolment.MAX_BYTES and self._bad.take(at)
            return said if is_kept else None
        if at - self._asked.get(topic, at - AGAIN_AFTER_MS) < AGAIN_AFTER_MS:
            return None
        if not self._good.take(at):
            return None
        self._asked[topic] = at
        self._asked.move_to_end(topic)
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return found
