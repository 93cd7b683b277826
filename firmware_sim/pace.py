"""How fast nature and firmware run: natural, or compressed so that a storm fits into minutes.

A compressed pace does not fake timestamps: ``measured_at`` is always the real time. Instead the
time constants of physics shrink by ``compression`` (a river that takes an hour to rise takes a
minute at 60), and devices report more often. Daily cycles (sun, households) stay on the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from devices.kinds import KINDS


@dataclass(frozen=True, slots=True)
class Timing:
    """When one kind of device measures and speaks, in seconds.

    It measures every ``sense_s``; it reports every ``calm_s``, or every ``active_s`` while the
    firmware is in its active state. ``is_batched``: every measurement is kept and sent with the
    next report; else only what is measured at a report is sent.
    """

    sense_s: float
    active_s: float
    calm_s: float
    is_batched: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """``compression`` of physics and the timing of each kind.

    ``first_report_s``: devices that are switched on together speak first within this time.
    """

    compression: float
    timings: Mapping[str, Timing]
    first_report_s: float

    def silence_after_s(self, kind: str) -> float:
        """Seconds without a word after which a device of this kind counts as silent."""
        return self.timings[kind].calm_s * KINDS[kind].silence_factor


def _plain(interval_s: float) -> Timing:
    return Timing(interval_s, interval_s, interval_s)


def _natural() -> dict[str, Timing]:
    timings = {name: _plain(kind.interval_s) for name, kind in KINDS.items()}
    timings["flood-sensor"] = Timing(60, 60, 600)
    timings["river-gauge"] = Timing(60, 120, 600)
    timings["weather-station"] = Timing(120, 120, 600)
    timings["water-meter"] = Timing(900, 3600, 3600, is_batched=True)
    timings["trap"] = Timing(30, 3600, 86_400)
    return timings


def _demo() -> dict[str, Timing]:
    timings = {name: _plain(60) for name in KINDS}
    timings["flood-sensor"] = Timing(5, 5, 30)
    timings["river-gauge"] = Timing(5, 5, 30)
    timings["weather-station"] = Timing(5, 10, 30)
    timings["water-meter"] = Timing(30, 120, 120, is_batched=True)
    timings["trap"] = Timing(2, 60, 300)
    timings["gateway"] = _plain(30)
    return timings


NATURAL = Pace(1.0, MappingProxyType(_natural()), 600.0)
DEMO = Pace(60.0, MappingProxyType(_demo()), 8.0)
