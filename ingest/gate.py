"""How many messages one codec may have in work, and how many may wait for it.

A codec that is slow or hangs must hold up its own messages and nobody else's::

    waiting ─▶ in work: IN_WORK at once, one while it has not answered, is slow or has hung ─▶ done
       └─ more than it can do in PATIENCE_S, or FEW where it hangs: the rest is turned away

It is judged by what it costs and how it ends, never by how long messages have waited: a machine
that stands still for a while is no fault of a codec. Refuses to know messages and how codecs are
run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

IN_WORK: Final = 16
FEW: Final = 64
"""So many may wait however bad it is."""
PATIENCE_S: Final = 30.0
SLOW_S: Final = 0.02
STRIKES: Final = 2
"""After so many failures in a row in which it did not come back by itself it counts as hanging."""
FIRST_LOOKS: Final = 30
"""So many seconds, counted one by one, may pass before its first answer."""


class Gate:
    """Before one codec. ``held`` are all messages that are for it, in work and waiting."""

    def __init__(self) -> None:
        self.held = 0
        self._in_work = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._cost_s = 0.0
        self._strikes = 0
        self._has_ended = False
        self._looks = 0

    async def enter(self) -> bool:
        """Wait for one's turn; False where too many wait already. Who entered must `leave`."""
        if self._in_work < self._limit and not self._waiting:
            self._in_work += 1
            return True
        if self.is_overloaded:
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._in_work -= 1
            raise

    def leave(self, *, is_back: bool, cost_s: float) -> None:
        """One is done; ``is_back``: the codec came back by itself. ``cost_s`` CPU a call."""
        self._in_work -= 1
        self._has_ended = True
        self._cost_s = cost_s
        self._strikes = 0 if is_back else self._strikes + 1
        while self._waiting and self._in_work < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_work += 1
                turn.set_result(True)

    @property
    def is_overloaded(self) -> bool:
        """Whether more is held than it can do."""
        return self.held > self._room

    def look(self) -> None:
        """A second has passed: turn away those who waited shortest where there is no room."""
        self._looks += bool(self._in_work) and not self._has_ended
        excess = self.held - self._room
        while excess > 0 and self._waiting:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_result(False)
                excess -= 1

    @property
    def _limit(self) -> int:
        is_good = self._has_ended and not self._strikes and self._cost_s < SLOW_S
        return IN_WORK if is_good else 1

    @property
    def _room(self) -> float:
        if self._strikes >= STRIKES or (self._looks >= FIRST_LOOKS and not self._has_ended):
            return FEW
        if self._cost_s >= SLOW_S:
            return max(FEW, PATIENCE_S / self._cost_s)
        return float("inf")
