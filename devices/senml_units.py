"""From a SenML unit to ours, for each unit that our quantities have.

Units are those of RFC 8428, RFC 8798 and the IANA registry that they opened; a unit that is not
listed for ours is refused, never guessed. Refuses to know packs and records.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import pi
from types import MappingProxyType
from typing import Final

from devices.quantities import QUANTITIES

_SCALES: Final[Mapping[str, Mapping[str, str | float]]] = {
    "m": {"m": "1", "mm": "1/1000", "cm": "1/100", "km": "1000"},
    "m3": {"m3": "1", "l": "1/1000", "L": "1/1000"},
    "m3/s": {"m3/s": "1", "l/s": "1/1000", "L/s": "1/1000"},
    "Pa": {"Pa": "1", "hPa": "100"},
    "hPa": {"hPa": "1", "Pa": "1/100"},
    "Cel": {"Cel": "1", "K": "1"},
    "%": {"%": "1", "/100": "1", "/": "100", "/1000": "1/10"},
    "%RH": {"%RH": "1", "%": "1", "/100": "1", "/": "100"},
    "ppm": {"ppm": "1", "/": "1000000", "/1000": "1000"},
    "1": {"1": "1", "/": "1"},
    "mm": {"mm": "1", "cm": "10", "m": "1000"},
    "mm/h": {"mm/h": "1", "m/h": "1000", "m/s": "3600000"},
    "m/s": {"m/s": "1", "km/h": "10/36"},
    "V": {"V": "1", "mV": "1/1000"},
    "dBm": {"dBm": "1", "dBW": "1"},
    "dB": {"dB": "1"},
    "deg": {"deg": "1", "rad": 180 / pi},
    "rad": {"rad": "1", "deg": pi / 180},
    "lat": {"lat": "1"},
    "lon": {"lon": "1"},
    "lx": {"lx": "1"},
    "S/m": {"S/m": "1"},
    "count": {"count": "1"},
}
_OFFSETS: Final[Mapping[tuple[str, str], float]] = {("Cel", "K"): -273.15, ("dBm", "dBW"): 30.0}

_TO_OURS: Final[Mapping[str, Mapping[str, tuple[Fraction | float, float]]]] = MappingProxyType(
    {
        ours: {
            unit: (Fraction(x) if isinstance(x, str) else x, _OFFSETS.get((ours, unit), 0.0))
            for unit, x in scales.items()
        }
        for ours, scales in _SCALES.items()
    }
)
"""Our unit → SenML unit → (scale, offset): ours = theirs × scale + offset."""

_ALSO: Final[Mapping[tuple[str, str], str]] = MappingProxyType({("battery.level", "%EL"): "%"})
"""A unit that is meant for one quantity alone, and the one it is read as."""

_KNOWN: Final = frozenset(unit for scales in _TO_OURS.values() for unit in scales)


def to_ours(quantity: str, unit: str, value: float) -> float | str:
    """The value in the quantity's unit, or why not: ``unknown_unit``, ``wrong_unit``.

    No unit ("") is ours. A value beyond all doubles comes out infinite.
    """
    if not unit:
        return value
    unit = _ALSO.get((quantity, unit), unit)
    found = _TO_OURS[QUANTITIES[quantity].unit].get(unit)
    if found is None:
        return "wrong_unit" if unit in _KNOWN else "unknown_unit"
    scale, offset = found
    if isinstance(scale, Fraction):  # exact where it can be: 1234 mm are 1.234 m
        scaled = value * scale.numerator / scale.denominator
    else:
        scaled = value * scale
    return round(scaled + offset, 9) if offset else scaled
