"""Which words speak for which quantity: the table that `devices.codecs.guess` reads.

A rule holds for a field whose name has all words that it needs, and beside them only words that it
allows (or that say nothing). Refuses to know values and paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """``needs`` and ``allows`` are words of `devices.codecs.guess_words`.

    ``of_kind`` says which quantity it is for devices of a kind, ``quantity`` for all others.
    ``units`` are what a number without a unit may be in, with the values (inclusive) that speak
    for each; the first that fits all of them is taken. "" is our own unit.
    """

    quantity: str
    needs: frozenset[str]
    allows: frozenset[str] = frozenset()
    units: tuple[tuple[str, float, float], ...] = (("", float("-inf"), float("inf")),)
    of_kind: tuple[tuple[str, str], ...] = ()
    penalty: int = 0


def _rule(
    quantity: str,
    needs: str,
    allows: str = "",
    units: tuple[tuple[str, float, float], ...] = (("", float("-inf"), float("inf")),),
    of_kind: tuple[tuple[str, str], ...] = (),
    penalty: int = 0,
) -> Rule:
    return Rule(
        quantity, frozenset(needs.split()), frozenset(allows.split()), units, of_kind, penalty
    )


_CELSIUS: Final = (("c", -60.0, 90.0),)
_BATTERY_V: Final = (("v", 0.9, 36.0), ("mv", 900.0, 36_000.0))
_LENGTH_MM: Final = (("mm", 20.0, 100_000.0), ("m", 0.0, 20.0))
_LEVEL: Final = (("m", -10.0, 20.0), ("mm", 20.0, 100_000.0))
_OF_LEVEL: Final = (("flood-sensor", "flood.depth"), ("paddy-node", "paddy.depth"))
_OF_LEAK: Final = (("flood-sensor", "flood.detected"),)
_PRESSURE: Final = (("hpa", 800.0, 1100.0), ("pa", 80_000.0, 110_000.0), ("kpa", 80.0, 110.0))
_COUNTED: Final = (("m3", 0.0, 1e7), ("l", 0.0, 1e12))

RULES: Final = (
    _rule("soil.temperature", "temperature soil", "depth level", _CELSIUS),
    _rule("water.temperature", "temperature water", "", _CELSIUS),
    _rule("animal.temperature", "temperature animal", "", _CELSIUS),
    _rule("air.temperature", "temperature", "air", _CELSIUS,
          (("calving-thermometer", "animal.temperature"), ("paddy-node", "water.temperature"))),
    _rule("air.relativeHumidity", "humidity", "air", (("%", 0.0, 100.0),)),
    _rule("soil.moisture", "humidity soil", "", (("%", 0.0, 100.0),)),
    _rule("soil.moisture", "moisture", "soil water level depth", (("%", 0.0, 100.0),)),
    _rule("soil.moisture", "water soil", "level moisture", (("%", 0.0, 100.0),)),
    _rule("battery.voltage", "battery voltage", "", _BATTERY_V),
    _rule("battery.level", "battery level", "", (("percent", 0.0, 100.0),)),
    _rule("battery.voltage", "battery level", "", _BATTERY_V, penalty=2),
    _rule("battery.voltage", "battery", "", _BATTERY_V),
    _rule("battery.level", "battery", "", (("percent", 0.0, 100.0),)),
    _rule("battery.voltage", "voltage", "", _BATTERY_V, penalty=5),
    _rule("water.distance", "distance", "water level", _LENGTH_MM),
    _rule("water.level", "water level", "height depth", _LEVEL, _OF_LEVEL),
    _rule("water.level", "water depth", "", _LEVEL, _OF_LEVEL),
    _rule("water.level", "water height", "", _LEVEL, _OF_LEVEL),
    _rule("flood.depth", "flood depth", "water level", _LEVEL),
    _rule("water.level", "level", "", (("m", -10.0, 20.0),), _OF_LEVEL, penalty=4),
    _rule("water.level", "depth", "", _LEVEL, _OF_LEVEL, penalty=3),
    _rule("water.reverseTotal", "volume reverse", "water meter total flow", _COUNTED),
    _rule("water.reverseTotal", "flow reverse total", "water meter volume", _COUNTED),
    _rule("water.total", "volume", "water meter total flow", _COUNTED),
    _rule("water.total", "total water", "meter flow", _COUNTED),
    _rule("water.total", "total flow", "meter water", _COUNTED),
    _rule("water.total", "water meter", "", _COUNTED, penalty=1),
    _rule("pulse.total", "pulse total", "meter"),
    _rule("pulse.total", "pulse", "meter", penalty=1),
    _rule("water.flow", "flow", "water rate", (("m3/h", -1e5, 1e5),)),
    _rule("water.flow", "volume rate", "water flow", (("m3/h", -1e5, 1e5),)),
    _rule("water.pressure", "pressure water", "", (("bar", 0.0, 40.0), ("kpa", 40.0, 5000.0))),
    _rule("air.pressure", "pressure", "air", _PRESSURE, (("pressure-logger", "water.pressure"),)),
    _rule("air.co2", "co2", "air level rate", (("ppm", 0.0, 50_000.0),)),
    _rule("light.intensity", "light", "air level rate", (("lx", 0.0, 200_000.0),)),
    _rule("rain.intensity", "rain rate", "", (("mm/h", 0.0, 500.0),)),
    _rule("rain.cumulative", "rain total", "", (("mm", 0.0, 100_000.0),)),
    _rule("wind.speed", "wind rate", "", (("m/s", 0.0, 100.0),)),
    _rule("wind.direction", "wind direction", "", (("deg", 0.0, 360.0),)),
    _rule("position.latitude", "latitude"),
    _rule("position.longitude", "longitude"),
    _rule("water.ec", "conductivity water", "", (("us/cm", 0.0, 100_000.0),)),
    _rule("soil.ec", "conductivity", "soil", (("us/cm", 0.0, 100_000.0),)),
    _rule("water.leak", "leak", "water", of_kind=_OF_LEAK),
    _rule("flood.detected", "flood", "water"),
    _rule("contact.open", "door", "open closed", of_kind=(("trap", "trap.triggered"),)),
    _rule("tamper", "tamper", ""),
    _rule("valve.open", "valve", "open closed"),
    _rule("gate.position", "gate open", "level", (("%", 0.0, 100.0),)),
    _rule("tilt.angle", "angle", "", (("deg", -180.0, 180.0),)),
)  # fmt: skip
"""Those that need more words stand before those that need fewer of them."""
