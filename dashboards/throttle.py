"""How often somebody may fail: sliding counts in bounded memory.

Refuses to know what is being tried, and the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final


@dataclass(slots=True)
class Throttle:
    """At most ``limit`` failures a key within ``window_ms``; the longest unseen key is forgotten.

    Forgetting under ``max_keys`` different keys lets an attacker with that many addresses try
    again: a second throttle on the name stands behind the one on the address.
    """

    limit: int
    window_ms: int
    max_keys: int = 10_000
    _failures: OrderedDict[str, deque[int]] = field(default_factory=OrderedDict)

    def wait_ms(self, key: str, now: int) -> int:
        """How long the key has to wait before it may try, 0 if not at all."""
        failures = self._failures.get(key)
        if failures is None or len(failures) < self.limit:
            return 0
        return max(0, failures[0] + self.window_ms - now)

    def tried(self, key: str, now: int) -> None:
        """Count one try as failed until it is forgiven."""
        failures = self._failures.setdefault(key, deque(maxlen=self.limit))
        failures.append(now)
        self._failures.move_to_end(key)
        if len(self._failures) > self.max_keys:
            self._failures.popitem(last=False)

    def forgive(self, key: str) -> None:
        """The newest try of the key has not failed."""
        if self._failures.get(key):
            self._failures[key].pop()

    def forget(self, key: str) -> None:
        """Forget the failures of the key."""
        self._failures.pop(key, None)


_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class LoginGuard:
    """Slows down guessing: by name and address, by name, by address; few hashes at a time.

    The limit by name alone is wide: somebody who fails on purpose must not lock others out for
    long (and one-time links still open the door).
    """

    pair: Throttle = field(default_factory=lambda: Throttle(5, _MINUTE_MS))
    name: Throttle = field(default_factory=lambda: Throttle(30, 5 * _MINUTE_MS))
    address: Throttle = field(default_factory=lambda: Throttle(30, 5 * _MINUTE_MS))
    max_waiting: int = 20
    _hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))  # 64 MiB each
    _waiting: int = 0

    def wait_ms(self, name: str, address: str, now: int) -> int:
        """How long this name from this address has to wait, 0 if not at all."""
        return max(throttle.wait_ms(key, now) for throttle, key in self._keys(name, address))

    def tried(self, name: str, address: str, now: int) -> None:
        """Count a try before it is made, so that many at once gain nothing."""
        for throttle, key in self._keys(name, address):
            throttle.tried(key, now)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of this name from this address; those of others stay."""
        for throttle, key in self._keys(name, address):
            throttle.forgive(key)
        self.pair.forget(f"{name}\n{address}")

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Wait for one of the few places where passwords are hashed; False: too many wait."""
        if self._waiting >= self.max_waiting:
            yield False
            return
        self._waiting += 1
        try:
            async with self._hashing:
                yield True
        finally:
            self._waiting -= 1

    def _keys(self, name: str, address: str) -> tuple[tuple[Throttle, str], ...]:
        return (
            (self.pair, f"{name}\n{address}"),
            (self.name, name),
            (self.address, address),
        )
