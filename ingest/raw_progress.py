"""How far the raw frames of one journal are done: up to before the oldest that is on its way.

::

    journal   r  ·  r  r  ·  ·  r  ·        · frames of other sorts
    done      ✓     …  ✓        …
              ▲ floor              ▲ read to

Refuses to know what is done with them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from devices.frames import Position, RawFrame


@dataclass(frozen=True, slots=True)
class Item:
    """A raw frame on its way."""

    position: Position
    raw: RawFrame

    @property
    def device(self) -> str:
        """Whose it is, by its topic: messages with the same are kept in order."""
        return "/".join([self.raw.network, *self.raw.topic.split("/")[:4]])


class RawProgress:
    """Of one journal; bounded by who reads: `held` and `held_bytes` say what is on its way."""

    def __init__(self, read_to: Position | None) -> None:
        self.read_to = read_to
        self.held_bytes = 0
        self._open: OrderedDict[Position, Item] = OrderedDict()

    def begin(self, item: Item) -> None:
        """A raw frame is read; the caller sets ``read_to`` when all of its read has begun."""
        self._open[item.position] = item
        self.held_bytes += len(item.raw.payload)

    def end(self, item: Item) -> None:
        """It is done, whatever became of it."""
        del self._open[item.position]
        self.held_bytes -= len(item.raw.payload)

    @property
    def held(self) -> int:
        """How many frames are on their way."""
        return len(self._open)

    @property
    def floor(self) -> Position | None:
        """All up to here is done; None where nothing was read yet."""
        oldest = self._oldest
        if oldest is None:
            return self.read_to
        return Position(oldest.position.epoch, oldest.position.n - 1)

    @property
    def oldest_at(self) -> int | None:
        """When the oldest message that is on its way came (ms UTC)."""
        oldest = self._oldest
        return oldest.raw.received_at if oldest is not None else None

    @property
    def _oldest(self) -> Item | None:
        return next(iter(self._open.values()), None)
