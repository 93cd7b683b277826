"""Units as vendors write them, and what turns them into ours. Refuses to know names of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from devices.quantities import QUANTITIES


@dataclass(frozen=True, slots=True)
class Conversion:
    """ours = theirs * ``scale`` + ``offset``; ``unit`` is how theirs is written."""

    unit: str
    scale: float
    offset: float = 0.0


_LENGTH: Final = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}
_VOLUME: Final = {
    "m3": 1.0, "m³": 1.0, "㎥": 1.0, "l": 0.001, "liter": 0.001, "litre": 0.001, "liters": 0.001,
    "litres": 0.001, "dm3": 0.001, "ml": 1e-6, "kl": 1.0, "gal": 0.003785411784,
    "gallons": 0.003785411784, "ft3": 0.028316846592,
}  # fmt: skip
_FLOW: Final = {
    "m3/s": 1.0, "m³/s": 1.0, "m3/h": 1 / 3600, "m³/h": 1 / 3600, "m3h": 1 / 3600,
    "l/s": 1e-3, "lps": 1e-3, "l/min": 1e-3 / 60, "lpm": 1e-3 / 60, "l/h": 1e-3 / 3600,
    "lph": 1e-3 / 3600,
}  # fmt: skip
_PRESSURE_PA: Final = {
    "pa": 1.0, "hpa": 100.0, "mbar": 100.0, "kpa": 1e3, "mpa": 1e6, "bar": 1e5, "psi": 6894.757,
}  # fmt: skip
_SPEED: Final = {"m/s": 1.0, "ms": 1.0, "mps": 1.0, "km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6,
                 "mph": 0.44704, "kn": 0.514444, "knots": 0.514444}  # fmt: skip
_CONDUCTIVITY: Final = {"s/m": 1.0, "ds/m": 0.1, "ms/cm": 0.1, "us/cm": 1e-4, "µs/cm": 1e-4,
                        "μs/cm": 1e-4}  # fmt: skip
_PERCENT: Final = {"%": 1.0, "percent": 1.0, "pct": 1.0, "%rh": 1.0, "rh": 1.0, "perc": 1.0,
                   "percentage": 1.0}  # fmt: skip
_SHARE: Final = {"m3/m3": 100.0, "m³/m³": 100.0, "m³⋅m⁻³": 100.0, "m³·m⁻³": 100.0}
_VOLTAGE: Final = {"v": 1.0, "volt": 1.0, "volts": 1.0, "mv": 1e-3}
_DEGREES: Final = {"deg": 1.0, "°": 1.0, "degrees": 1.0, "degree": 1.0}
_RADIAN_PER_DEGREE: Final = 0.017453292519943295
_CELSIUS: Final = ("c", "°c", "℃", "degc", "celsius", "deg", "º c", "ºc", "° c", "degreec")
_FAHRENHEIT: Final = ("f", "°f", "℉", "degf", "fahrenheit")


def _table(factors: Mapping[str, float], factor: float = 1.0) -> dict[str, Conversion]:
    return {unit: Conversion(unit, scale * factor) for unit, scale in factors.items()}


_TEMPERATURE: Final = (
    {unit: Conversion(unit, 1.0) for unit in _CELSIUS}
    | {unit: Conversion(unit, 5 / 9, -160 / 9) for unit in _FAHRENHEIT}
    | {unit: Conversion(unit, 1.0, -273.15) for unit in ("k", "kelvin")}
)
_BY_OUR_UNIT: Final[Mapping[str, Mapping[str, Conversion]]] = MappingProxyType({
    "m": _table(_LENGTH),
    "m3": _table(_VOLUME),
    "m3/s": _table(_FLOW),
    "Pa": _table(_PRESSURE_PA),
    "hPa": _table(_PRESSURE_PA, 0.01),
    "Cel": _TEMPERATURE,
    "%": _table(_PERCENT | _SHARE),
    "%RH": _table(_PERCENT),
    "V": _table(_VOLTAGE),
    "m/s": _table(_SPEED),
    "S/m": _table(_CONDUCTIVITY),
    "mm": _table(_LENGTH, 1000.0),
    "mm/h": {"mm/h": Conversion("mm/h", 1.0), "mm": Conversion("mm", 1.0)},
    "ppm": {"ppm": Conversion("ppm", 1.0)},
    "lx": {"lx": Conversion("lx", 1.0), "lux": Conversion("lux", 1.0)},
    "deg": _table(_DEGREES),
    "rad": {"rad": Conversion("rad", 1.0), **_table(_DEGREES, _RADIAN_PER_DEGREE)},
    "lat": _table(_DEGREES),
    "lon": _table(_DEGREES),
})  # fmt: skip


def conversion(unit: str, quantity: str) -> Conversion | None:
    """How a value in ``unit`` becomes one of ``quantity``; None where it cannot."""
    return _BY_OUR_UNIT.get(QUANTITIES[quantity].unit, {}).get(_plain(unit))


def _plain(unit: str) -> str:
    return " ".join(unit.replace("\u00b2", "2").lower().split())
