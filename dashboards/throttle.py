"""How often somebody may fail: sliding counts in bounded memory.

Refuses to know what is being tried, and the clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field


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

    def failed(self, key: str, now: int) -> None:
        """Count one failure."""
        failures = self._failures.setdefault(key, deque(maxlen=self.limit))
        failures.append(now)
        self._failures.move_to_end(key)
        if len(self._failures) > self.max_keys:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forget the failures of the key."""
        self._failures.pop(key, None)
