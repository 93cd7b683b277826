"""Which raw frames have been translated: their messages are in a journal, readings or refusals.

Rebuilt from the journal, since each translated message is journaled under its raw frame's number::

    raw frames   1  2  3  4  5  6  7        of one journal (epoch)
    translated   ▪  ▪  ▪     ▪  ▪
                       ▲ floor: all up to here, and forgotten one by one

Refuses to know messages and how they are translated (``ingest.translator``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ingest.messages import TRANSLATED


@dataclass(slots=True)
class Done:
    """Of one epoch: all numbers up to ``floor``, and those in ``above``."""

    floor: int = 0
    above: set[int] = field(default_factory=set)

    def __contains__(self, n: int) -> bool:
        """Whether frame ``n`` has been translated."""
        return n <= self.floor or n in self.above


def epoch_of(connection: str) -> int | None:
    """The epoch in a connection's name; None for a connection of another sort."""
    number = connection.removeprefix(TRANSLATED)
    return int(number) if number != connection and number.isdecimal() else None


class Translations:
    """What has been translated, by the epoch of the journal that has the raw frames."""

    def __init__(self) -> None:
        self._done: dict[int, Done] = {}

    @classmethod
    def together(cls, parts: Iterable[Translations]) -> Translations:
        """What any of them holds: a raw frame may be translated into either lane."""
        whole = cls()
        for part in parts:
            for epoch, (floor, above) in part.state().items():
                whole.raise_floor(epoch, floor)
                whole.add(epoch, np.array(above, np.uint64))
        return whole

    def add(self, epoch: int, numbers: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Note these numbers; mask of those that were not noted before."""
        done = self._done.setdefault(epoch, Done())
        is_new = np.fromiter((int(n) not in done for n in numbers), np.bool_, len(numbers))
        done.above.update(numbers[is_new].tolist())
        return is_new

    def holds(self, epoch: int, n: int) -> bool:
        """Whether frame ``n`` has been translated."""
        done = self._done.get(epoch)
        return done is not None and n in done

    def floor(self, epoch: int) -> int:
        """All up to here has been translated; 0 where nothing is known."""
        done = self._done.get(epoch)
        return done.floor if done is not None else 0

    def raise_floor(self, epoch: int, floor: int) -> None:
        """All up to ``floor`` is done and need not be named any more."""
        done = self._done.setdefault(epoch, Done())
        if floor > done.floor:
            done.floor = floor
            done.above = {n for n in done.above if n > floor}

    def keep(self, epochs: Collection[int]) -> None:
        """Forget all others: no journal has frames of them."""
        self._done = {epoch: done for epoch, done in self._done.items() if epoch in epochs}

    def state(self) -> dict[int, tuple[int, list[int]]]:
        """(floor, numbers above it) by epoch, for a snapshot."""
        return {epoch: (done.floor, sorted(done.above)) for epoch, done in self._done.items()}

    def restore(self, state: Mapping[int, tuple[int, Iterable[int]]]) -> None:
        """Take what a snapshot says."""
        self._done = {epoch: Done(floor, set(above)) for epoch, (floor, above) in state.items()}
