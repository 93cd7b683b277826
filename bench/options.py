"""What a benchmark is to run, and the servers it may start. Refuses to know how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

URGENT_EVERY = 20
"""Every so-many-th device is urgent: 5 %."""


@dataclass(frozen=True, slots=True)
class Options:
    """One run: ``rate`` 0 is as fast as the broker answers.

    ``warm_up_s`` comes first and is drained; it counts for what is lost, not for rates and CPU.
    ``backlog`` bounds how many messages the publisher may be ahead of the consumer, so that a rate
    is one that can be sustained; 0 lets it be ahead by what broker and memory hold: a flood.
    ``flush_s`` is [store] flush_s, as it is shipped, for the reference, too.
    ``reference_seconds`` 0 is as long as the run itself.
    """

    devices: int = 20_000
    connections: int = 50
    seconds: float = 60.0
    warm_up_s: float = 5.0
    rate: float = 0.0
    window: int = 400
    rules: int = 20
    readings_per_message: int = 1
    backlog: int = 100_000
    fire_every: int = 1000
    flush_s: float = 5.0
    store: Literal["duckdb", "influxdb"] = "duckdb"
    store_url: str = ""
    is_tls: bool = False
    has_references: bool = True
    reference_seconds: float = 0.0
    paho_seconds: float = 5.0

    @property
    def swing_ms(self) -> int:
        """How long a device that makes rules fire stays above or below their levels."""
        return round(1000 * min(10.0, max(self.seconds / 4, 0.5)))


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers of this machine: mosquitto with the configuration that is shipped, and what starts
    an InfluxDB in a folder, answering at a URL (None where there is none)."""

    mosquitto: Path
    mosquitto_config: str
    influxd: Callable[[Path, str], Sequence[str]] | None


class BenchError(Exception):
    """The benchmark could not be run or compared; the text says why. Its figures mean nothing."""
