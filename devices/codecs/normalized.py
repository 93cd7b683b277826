"""The measurement that ``normalizeUplink`` gives, as The Things Stack defines it → our quantities.

Its schema is ``lib/payload.json`` of TheThingsNetwork/lorawan-devices: battery in V, soil.ec in
dS/m, metering.water.total in litres; the rest has our units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from devices.codecs.values import number, state
from devices.quantities import QUANTITIES

_FIELDS: Final = (
    # path in a measurement, our quantity, factor to our unit
    ("battery", "battery.voltage", 1.0),
    ("air.temperature", "air.temperature", 1.0),
    ("air.relativeHumidity", "air.relativeHumidity", 1.0),
    ("air.pressure", "air.pressure", 1.0),
    ("air.co2", "air.co2", 1.0),
    ("air.lightIntensity", "light.intensity", 1.0),
    ("wind.speed", "wind.speed", 1.0),
    ("wind.direction", "wind.direction", 1.0),
    ("rain.intensity", "rain.intensity", 1.0),
    ("rain.cumulative", "rain.cumulative", 1.0),
    ("soil.temperature", "soil.temperature", 1.0),
    ("soil.moisture", "soil.moisture", 1.0),
    ("soil.ec", "soil.ec", 0.1),
    ("water.leak", "water.leak", 1.0),
    ("water.temperature.current", "water.temperature", 1.0),
    ("water.temperature.avg", "water.temperature", 1.0),
    ("metering.water.total", "water.total", 0.001),
    ("action.contactState", "contact.open", 1.0),
    ("position.latitude", "position.latitude", 1.0),
    ("position.longitude", "position.longitude", 1.0),
)
_STEPS: Final = tuple((path.split("."), quantity, factor) for path, quantity, factor in _FIELDS)


def values_of(measurement: Mapping[str, Any]) -> dict[str, float]:
    """What a measurement says, in our units; of two fields for one quantity the first holds."""
    values: dict[str, float] = {}
    for steps, quantity, factor in _STEPS:
        found: Any = measurement
        for step in steps:
            found = found.get(step) if isinstance(found, dict) else None
        read = state(found) if QUANTITIES[quantity].is_flag else number(found)
        if read is not None:
            values.setdefault(quantity, read * factor)
    return values
