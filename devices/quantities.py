"""What can be measured: each quantity with its unit, physical limits and plausible change.

Refuses to know devices, thresholds and rules: a limit here is what nature or the sensor allows,
never what a city wants to be warned about. Names and units follow The Things Stack's normalised
payload and SenML (RFC 8428, RFC 8798).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measured thing.

    ``low`` and ``high`` are inclusive physical limits in ``unit``; a finite value outside is kept
    and flagged RANGE. A value is a SPIKE when it differs from the last plausible one by more than
    ``min(step_cap, step + rate_per_s * elapsed_s)``; ``step = inf`` means that any change is
    plausible. Unchanged for ``still_s`` it is STUCK (`ingest.stillness`); inf where nature may
    stand still for good: a dry road, a field, a river in a dry month. ``is_personal`` marks what
    can tell about a household; ``is_flag`` a 0/1 state; ``is_counter`` a total that only rises
    until it is reset; ``is_own`` what the installation says of itself and no device may send.
    """

    name: str
    unit: str
    low: float
    high: float
    step: float = inf
    rate_per_s: float = 0.0
    step_cap: float = inf
    is_flag: bool = False
    is_counter: bool = False
    is_personal: bool = False
    is_own: bool = False
    still_s: float = inf


def _own(name: str, unit: str) -> Quantity:
    return Quantity(name, unit, 0.0, inf, is_own=True)


def _flag(name: str) -> Quantity:
    return Quantity(name, "1", 0.0, 1.0, is_flag=True)


_DAY_S = 86_400.0

# Steps: a flash flood rises 0.5 m in 5 minutes (USGS 01581752, 2018: 1.66 ft); 2 m at once and
# 0.5 m a minute, at most 8 m, lets every real flood through and stops a sensor that jumps 15 m.
_ALL = (
    Quantity("water.distance", "m", 0.0, 100.0, 2.0, 0.5 / 60, 8.0),
    Quantity("water.level", "m", -50.0, 5000.0, 2.0, 0.5 / 60, 8.0),
    Quantity("flood.depth", "m", -0.05, 10.0, 2.0, 0.5 / 60, 8.0),
    Quantity("paddy.depth", "m", -0.5, 2.0, 0.5, 0.1 / 60, 1.0),
    Quantity("water.flow", "m3/s", -1000.0, 50_000.0),
    Quantity("water.total", "m3", 0.0, 1e10, is_counter=True, is_personal=True),
    Quantity("water.reverseTotal", "m3", 0.0, 1e10, is_counter=True, is_personal=True),
    Quantity("water.pressure", "Pa", -100_000.0, 5_000_000.0, still_s=_DAY_S),
    _flag("flood.detected"),
    _flag("water.leak"),
    _flag("contact.open"),
    _flag("trap.triggered"),
    _flag("valve.open"),
    _flag("tamper"),
    Quantity("rain.intensity", "mm/h", 0.0, 500.0, still_s=_DAY_S),
    Quantity("rain.cumulative", "mm", 0.0, 100_000.0, is_counter=True),
    Quantity("position.latitude", "lat", -90.0, 90.0),
    Quantity("position.longitude", "lon", -180.0, 180.0),
    Quantity("battery.voltage", "V", 0.0, 60.0),
    Quantity("battery.level", "%", 0.0, 100.0),
    Quantity("radio.rssi", "dBm", -200.0, 20.0),
    Quantity("radio.snr", "dB", -50.0, 50.0),
    Quantity("gate.position", "%", 0.0, 100.0),
    Quantity("air.temperature", "Cel", -60.0, 60.0, 10.0, 1.0 / 60, 40.0, still_s=_DAY_S),
    Quantity("soil.temperature", "Cel", -40.0, 70.0, 10.0, 1.0 / 60, 40.0, still_s=3 * _DAY_S),
    Quantity("water.temperature", "Cel", -5.0, 60.0, 10.0, 1.0 / 60, 40.0, still_s=3 * _DAY_S),
    Quantity("animal.temperature", "Cel", 0.0, 50.0, still_s=_DAY_S),
    Quantity("air.relativeHumidity", "%RH", 0.0, 100.0, still_s=_DAY_S),
    Quantity("soil.moisture", "%", 0.0, 100.0),
    Quantity("soil.ec", "S/m", 0.0, 10.0),
    Quantity("water.ec", "S/m", 0.0, 10.0),
    Quantity("air.pressure", "hPa", 800.0, 1100.0, still_s=_DAY_S),
    Quantity("air.co2", "ppm", 0.0, 50_000.0, still_s=_DAY_S),
    Quantity("light.intensity", "lx", 0.0, 200_000.0, still_s=_DAY_S),
    Quantity("tilt.angle", "rad", -6.2832, 6.2832),
    Quantity("pulse.total", "count", 0.0, 1e12, is_counter=True, is_personal=True),
    Quantity("wind.speed", "m/s", 0.0, 100.0, still_s=_DAY_S),
    Quantity("wind.direction", "deg", 0.0, 360.0, still_s=2 * _DAY_S),
    _own("disk.free", "MiB"),
    _own("disk.lowWater", "/"),  # low-water mark over free space: at 1 routine traffic stops
    _own("journal.size", "MiB"),
    _own("broker.away", "s"),
    _own("broker.connections", "count"),
    _own("broker.messagesQueued", "count"),
    _own("broker.bytesQueued", "MiB"),
    _own("broker.messagesDropped", "1/min"),
    _own("broker.publishesDenied", "1/min"),
    _own("broker.sessionsLost", "1/min"),
    _own("broker.sessionsTakenOver", "1/min"),
    _own("intake.lag", "s"),
    _own("intake.rejected", "1/min"),
    _own("alerts.lag", "s"),
    _own("store.lag", "s"),
    _own("feed.age", "s"),  # since the last good answer of an outside feed, where there is one
)

QUANTITIES: Mapping[str, Quantity] = MappingProxyType({q.name: q for q in _ALL})
"""Every quantity that Satomori stores, by name."""
