"""A device's or gateway's memory of what it has sent, until it is told that it is kept for good.

The broker's acknowledgement is no reason to forget: a broker that crashes loses what it took in
last. Only Satomori's ``ack`` is, which covers a number ``n`` or names it as missing::

    sent   1 2 3 4 5 6 7 8
    ack    {"n": 6, "missing": [[3, 4]]}
    kept       3 4     7 8          3 and 4 leave again at once, 7 and 8 after PATIENCE_MS

Refuses to know MQTT and clocks. Bounded: over ``capacity`` the oldest is forgotten, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

PATIENCE_MS: Final = 15_000
"""How long to wait for an answer before a message leaves again."""
TRIES: Final = 8
"""A message that is still named as missing after so many is refused: it is given up."""


@dataclass(slots=True)
class _Kept:
    element: str
    sent_at: int | None = None
    tries: int = 0


class Keeper:
    """Numbered elements by (device, number); ``device`` is "" for the publisher itself."""

    def __init__(
        self, *, boot: int | None, capacity: int = 10_000, patience_ms: int = PATIENCE_MS
    ) -> None:
        self._boot, self._capacity, self._patience_ms = boot, capacity, patience_ms
        self._kept: dict[tuple[str, int], _Kept] = {}
        self._missing: set[tuple[str, int]] = set()
        self.forgotten = 0
        """Elements that were dropped because there was no room: lost, if nobody had them."""
        self.given_up = 0
        """Elements that were dropped because they were refused again and again."""
        self.repeated = 0
        """How often an element left again."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, number: int, element: str, device: str = "") -> None:
        """Remember an element (JSON text with this ``n``, our ``boot``, and ``d`` if any)."""
        self._kept[device, number] = _Kept(element)
        while len(self._kept) > self._capacity:
            self._kept.pop(next(iter(self._kept)))
            self.forgotten += 1

    def due(self, at: int, most: int = 24) -> list[str]:
        """Elements that are to leave now, oldest first, at most so many; they count as sent."""
        found: list[str] = []
        for key, kept in list(self._kept.items()):
            if len(found) == most:
                break
            is_late = kept.sent_at is None or at - kept.sent_at >= self._patience_ms
            if not (is_late or key in self._missing):
                continue
            if kept.tries >= TRIES and key in self._missing:
                del self._kept[key]
                self.given_up += 1
            else:
                found.append(kept.element)
                self.repeated += kept.sent_at is not None
                kept.sent_at, kept.tries = at, kept.tries + (key in self._missing)
            self._missing.discard(key)
        return found

    def hear(self, ack: bytes) -> None:
        """Forget what is kept for good, note what is missing. An ``ack`` not for us says nothing.

        One that cannot be read neither: we keep, and another will come.
        """
        try:
            said = json.loads(ack)
        except ValueError:
            return
        for answer in said if isinstance(said, list) else [said]:
            if _is_answer(answer) and answer.get("boot") == self._boot:
                self._heed(answer.get("d", ""), answer["n"], answer["missing"])

    def _heed(self, device: str, highest: int, missing: Iterable[list[int]]) -> None:
        ranges = [(first, last) for first, last in missing]
        for key in [k for k in self._kept if k[0] == device and k[1] <= highest]:
            if not any(first <= key[1] <= last for first, last in ranges):
                del self._kept[key]
                self._missing.discard(key)
            elif self._kept[key].sent_at is not None:
                self._missing.add(key)


def _is_answer(answer: Any) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("n"), int):
        return False
    missing = answer.get("missing")
    return isinstance(missing, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, int) for n in pair)
        for pair in missing
    )
