"""What is looked at while a load runs: CPU, memory, and how far the store is.

Refuses to know what is published, and decides nothing.
"""

from __future__ import annotations

from pathlib import Path

from bench.load import Published
from bench.meter import Meter
from bench.store_progress import StoreProgress
from bench.subject import RunningSystem


class Watch:
    """Looks at a running system and its broker from its making until ``stop``."""

    def __init__(self, system: RunningSystem, journal: Path) -> None:
        self._system = system
        self.ours = Meter(system.pids)
        self.broker = Meter({"broker": system.broker_pid}) if system.broker_pid else None
        self._store = StoreProgress(journal)

    def look(self, _: Published | None = None) -> None:
        """Called ten times a second; what costs something is done once a second."""
        self._store.learn(self._system.intake())
        for meter in self._meters():
            meter.sample()

    def stored(self) -> int:
        """How many messages are in the store by now."""
        return self._store.stored()

    def stop(self) -> None:
        """Look for the last time."""
        for meter in self._meters():
            meter.stop()

    def _meters(self) -> list[Meter]:
        return [self.ours, self.broker] if self.broker else [self.ours]
