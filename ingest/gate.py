"""How many messages one codec may have in work, and how many may wait for it.

A codec that is slow or hangs must hold up its own messages and nobody else's::

    waiting ─▶ in work: IN_WORK at once, one while it has not answered or has hung ─▶ answered
       └─ more than it can do in PATIENCE_S, seen over WINDOW_S: the rest is turned away

Time is an argument. Refuses to know messages and how codecs are run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

IN_WORK: Final = 16
FEW: Final = 64
"""So many may wait however slow it is."""
PATIENCE_S: Final = 30.0
WINDOW_S: Final = 5.0
"""A codec is judged by its last seconds of work: a worker that starts anew takes a part of one."""


class Gate:
    """Before one codec. ``held`` are all messages that are for it, in work and waiting."""

    def __init__(self) -> None:
        self.held = 0
        self._in_work = 0
        self._is_good = False
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._busy_since: float | None = None
        self._answers: deque[float] = deque()

    async def enter(self, now: float) -> bool:
        """Wait for one's turn; False where too many wait already. Who entered must `leave`."""
        if self._busy_since is None:
            self._busy_since = now
        if self._in_work < self._limit and not self._waiting:
            self._in_work += 1
            return True
        if self.is_overloaded(now):
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._in_work -= 1
            raise

    def leave(self, now: float, *, is_good: bool) -> None:
        """One is done; ``is_good``: the codec came back by itself."""
        self._in_work -= 1
        self._is_good = is_good
        self._answers.append(now)
        self._forget_old(now)
        while self._waiting and self._in_work < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_work += 1
                turn.set_result(True)
        if not self._in_work:
            self._busy_since = None

    def is_overloaded(self, now: float) -> bool:
        """Whether more is held than it can do in PATIENCE_S."""
        return self.held > self._room(now)

    def turn_away(self, now: float) -> None:
        """Tell those who waited shortest that there is no room; call it each second."""
        excess = self.held - self._room(now)
        while excess > 0 and self._waiting:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_result(False)
                excess -= 1

    @property
    def _limit(self) -> int:
        return IN_WORK if self._is_good else 1

    def _room(self, now: float) -> float:
        if self._busy_since is None or now - self._busy_since < WINDOW_S:
            return float("inf")
        self._forget_old(now)
        return max(FEW, PATIENCE_S * len(self._answers) / WINDOW_S)

    def _forget_old(self, now: float) -> None:
        while self._answers and self._answers[0] < now - WINDOW_S:
            self._answers.popleft()
