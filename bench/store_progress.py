"""How many messages are in the store, from what intake and the store note of themselves.

Refuses to know readings. Intake notes each second how many messages stand behind which journal
position; the store's reader notes its position; between two notes messages are evenly spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from devices.frames import Lane
from ingest.journal_retention import load_readers


@dataclass(slots=True)
class StoreProgress:
    """Learns what stands where in each lane's journal; ``journal`` is the folder of the lanes."""

    journal: Path
    _notes: dict[Lane, list[tuple[int, int]]] = field(default_factory=dict)

    def learn(self, intake: Mapping[str, Any]) -> None:
        """Take in one status of intake; the same one again changes nothing."""
        for name, lane in intake["lanes"].items():
            notes = self._notes.setdefault(Lane(name), [(0, 0)])
            note = (int(lane["position"]), int(lane["messages"]))
            if note != notes[-1]:
                notes.append(note)

    def stored(self) -> int:
        """How many messages the store has, to about a second of messages."""
        return sum(self._stored(lane, notes) for lane, notes in self._notes.items())

    def _stored(self, lane: Lane, notes: list[tuple[int, int]]) -> int:
        position = load_readers(self.journal / lane).get("store")
        positions, messages = zip(*notes, strict=True)
        return round(float(np.interp(position.n if position else 0, positions, messages)))
