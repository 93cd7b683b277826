"""What a device is for: its lane, the quantities it is expected to send, how often.

Refuses to know models and payloads of vendors (profiles) and thresholds of a place (registry).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from devices.frames import Lane

_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device, named as in its topics ``field/v1/{kind}/{device}/up``.

    ``interval_s`` is the usual reporting interval, ``silence_factor`` how many of them may pass
    before the device counts as silent; ``interval_is_adaptive`` says that the interval changes
    with the device's state. ``rollover_at`` is the register of a usual meter of this kind (m3 at
    which it begins anew) and tells how much can flow through it; None: it has no register.
    ``horizon_s`` is the allowed lateness: a reading that is older than its series' newest by no
    more than this still changes the alarms (docs/late-readings.md).
    """

    name: str
    label_ja: str
    label_en: str
    lane: Lane
    quantities: tuple[str, ...]
    interval_s: int
    silence_factor: float = 3.0
    interval_is_adaptive: bool = False
    rollover_at: float | None = None
    horizon_s: int = 6 * _HOUR_S

    @property
    def kept_readings(self) -> int:
        """How many readings of a series the alert engine keeps to be able to run them again."""
        in_horizon = self.horizon_s // self.interval_s
        return 16 + in_horizon * (4 if self.interval_is_adaptive else 1)


_HEALTH = ("battery.voltage", "radio.rssi")

_ALL = (
    Kind("flood-sensor", "浸水センサー", "Flood sensor", Lane.URGENT,
         ("flood.depth", "flood.detected", *_HEALTH), 600, interval_is_adaptive=True),
    Kind("river-gauge", "河川水位計", "River gauge", Lane.URGENT,
         ("water.level", *_HEALTH), 600, interval_is_adaptive=True),
    Kind("water-meter", "水道メーター", "Water meter", Lane.ROUTINE,
         ("water.total", "water.reverseTotal", "water.leak", "tamper", *_HEALTH), 3600,
         rollover_at=1e5, horizon_s=72 * _HOUR_S),
    Kind("zone-meter", "配水区流量計", "Zone inflow meter", Lane.ROUTINE,
         ("water.flow", "water.total", *_HEALTH), 900, rollover_at=1e7, horizon_s=72 * _HOUR_S),
    Kind("pressure-logger", "水圧計", "Pressure logger", Lane.ROUTINE,
         ("water.pressure", *_HEALTH), 900, horizon_s=72 * _HOUR_S),
    Kind("paddy-node", "水田センサー", "Paddy node", Lane.ROUTINE,
         ("paddy.depth", "water.temperature", *_HEALTH), 1800, horizon_s=24 * _HOUR_S),
    Kind("irrigation-gate", "水門・給水栓", "Irrigation gate", Lane.URGENT,
         ("gate.position", *_HEALTH), 900),
    Kind("greenhouse-node", "ハウス環境センサー", "Greenhouse node", Lane.ROUTINE,
         ("air.temperature", "air.relativeHumidity", "air.co2", "light.intensity",
          "soil.moisture", *_HEALTH), 300, horizon_s=24 * _HOUR_S),
    Kind("barn-node", "畜舎環境センサー", "Barn node", Lane.ROUTINE,
         ("air.temperature", "air.relativeHumidity", *_HEALTH), 600, horizon_s=24 * _HOUR_S),
    Kind("collar", "首輪型端末", "Collar", Lane.ROUTINE,
         ("position.latitude", "position.longitude", *_HEALTH), 1200, horizon_s=72 * _HOUR_S),
    Kind("calving-thermometer", "分娩監視温度計", "Calving thermometer", Lane.URGENT,
         ("animal.temperature", *_HEALTH), 300),
    Kind("trap", "わなセンサー", "Trap", Lane.URGENT,
         ("trap.triggered", *_HEALTH), 86_400, 1.25, horizon_s=72 * _HOUR_S),
    Kind("weather-station", "気象計", "Weather station", Lane.URGENT,
         ("rain.intensity", "rain.cumulative", "air.temperature", "air.relativeHumidity",
          "air.pressure", "wind.speed", "wind.direction", *_HEALTH), 600),
    Kind("gateway", "ゲートウェイ", "Gateway", Lane.URGENT,
         ("battery.voltage",), 300),
)  # fmt: skip

INSTALLATION: Final = Kind(
    "satomori", "Satomori 本体", "Satomori itself", Lane.URGENT,
    ("disk.free", "disk.lowWater", "journal.size",
     "broker.away", "broker.connections", "broker.messagesQueued", "broker.bytesQueued",
     "broker.messagesDropped", "broker.publishesDenied",
     "broker.sessionsLost", "broker.sessionsTakenOver",
     "intake.lag", "intake.rejected", "alerts.lag", "store.lag", "feed.age"), 10, 6.0,
    horizon_s=600,
)  # fmt: skip
"""The system that does the watching: it reports of itself, and nothing in the field may."""

FIELD_KINDS: Mapping[str, Kind] = MappingProxyType({k.name: k for k in _ALL})
"""Every kind that stands in the field and publishes, by its name."""

KINDS: Mapping[str, Kind] = MappingProxyType({**FIELD_KINDS, INSTALLATION.name: INSTALLATION})
"""Every kind by its name."""
