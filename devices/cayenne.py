"""Cayenne Low Power Payload: bytes of a small radio message → fields → our quantities.

    03 67 01 10   channel 3, type 0x67 (temperature, 0.1 Cel, signed): 27.2

A message is a row of fields: channel (1 byte), type (1 byte), big-endian value. The types are those
of LPP 2.0 (a type is its IPSO object id less 3200) and those that RAKwireless added. A type that
is not known ends the reading: its length is not known either.

Refuses to know devices and networks. Which field is which quantity is a matter of the device: a
mapping reads `named`, as it reads a codec's answer; `samples` holds only what goes without saying.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from devices.kinds import KINDS
from devices.outcomes import Rejected, Remark
from devices.payload import MAX_REMARKS, Decoded, Sample

MAX_BYTES: Final = 1024
"""A longer message is refused as ``too_large``; a LoRaWAN frame carries at most 242."""


@dataclass(frozen=True, slots=True)
class Part:
    """One number of a field: ``size`` bytes, big-endian, divided by ``divisor``."""

    name: str
    size: int
    is_signed: bool
    divisor: int


@dataclass(frozen=True, slots=True)
class DataType:
    """A type of field; ``unit`` is that of all its parts but the altitude of a position (m)."""

    code: int
    name: str
    unit: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A value as it stood at byte ``offset``; ``values`` one number a part, in the type's unit."""

    offset: int
    channel: int
    type: DataType
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        """``temperature_3``, as network servers name the fields that they decode themselves."""
        return f"{self.type.name}_{self.channel}"


def _one(
    code: int, name: str, unit: str, size: int, divisor: int = 1, *, is_signed: bool = False
) -> DataType:
    return DataType(code, name, unit, (Part("", size, is_signed, divisor),))


def _axes(code: int, name: str, unit: str, divisor: int) -> DataType:
    return DataType(code, name, unit, tuple(Part(axis, 2, True, divisor) for axis in "xyz"))


def _position(code: int, name: str, size: int, divisor: int) -> DataType:
    degrees = (Part("latitude", size, True, divisor), Part("longitude", size, True, divisor))
    return DataType(code, name, "deg", (*degrees, Part("altitude", 3, True, 100)))


_ALL = (
    _one(0, "digital_in", "1", 1),
    _one(1, "digital_out", "1", 1),
    _one(2, "analog_in", "", 2, 100, is_signed=True),
    _one(3, "analog_out", "", 2, 100, is_signed=True),
    _one(100, "generic", "", 4),
    _one(101, "luminosity", "lx", 2),
    _one(102, "presence", "1", 1),
    _one(103, "temperature", "Cel", 2, 10, is_signed=True),
    _one(104, "relative_humidity", "%RH", 1, 2),
    _axes(113, "accelerometer", "g", 1000),
    _one(115, "barometric_pressure", "hPa", 2, 10),
    _one(116, "voltage", "V", 2, 100),
    _one(117, "current", "A", 2, 1000),
    _one(118, "frequency", "Hz", 4),
    _one(120, "percentage", "%", 1),
    _one(121, "altitude", "m", 2, is_signed=True),
    _one(125, "concentration", "ppm", 2),
    _one(128, "power", "W", 2),
    _one(130, "distance", "m", 4, 1000),
    _one(131, "energy", "kWh", 4, 1000),
    _one(132, "direction", "deg", 2),
    _one(133, "unix_time", "s", 4),
    _axes(134, "gyrometer", "deg/s", 100),
    DataType(135, "colour", "", tuple(Part(name, 1, False, 1) for name in ("r", "g", "b"))),
    _position(136, "gps", 3, 10_000),
    _one(142, "switch", "1", 1),
    # of RAKwireless
    _position(137, "gps", 4, 1_000_000),
    _one(138, "voc", "", 2),
    _one(188, "soil_moisture", "%", 2, 10),
    _one(190, "wind_speed", "m/s", 2, 100),
    _one(191, "wind_direction", "deg", 2),
    _one(192, "soil_ec", "mS/cm", 2, 1000),
)

DATA_TYPES: Final[Mapping[int, DataType]] = MappingProxyType({t.code: t for t in _ALL})
"""Every type that is read, by its code."""


def decode(payload: bytes) -> tuple[Field, ...] | Rejected:
    """The fields of a message in their order, at least one. Nothing raises."""
    if len(payload) > MAX_BYTES:
        return Rejected("too_large", f"{len(payload)} bytes of Cayenne LPP, at most {MAX_BYTES}")
    if not payload:
        return Rejected("bad_lpp", "an empty message")
    fields: list[Field] = []
    offset = 0
    while offset < len(payload):
        field = _field(payload, offset)
        if isinstance(field, Rejected):
            return field
        fields.append(field)
        offset += 2 + _size(field.type)
    return tuple(fields)


def named(fields: Iterable[Field]) -> dict[str, float | dict[str, float]]:
    """``{"temperature_3": 27.2, "gps_1": {"latitude": …, "longitude": …, "altitude": …}}``.

    Of fields with the same channel and type the last holds, as in a codec's answer.
    """
    return {field.name: _plain(field) for field in fields}


def _plain(field: Field) -> float | dict[str, float]:
    if len(field.values) == 1:
        return field.values[0]
    names = (part.name for part in field.type.parts)
    return dict(zip(names, field.values, strict=True))


def _size(of: DataType) -> int:
    return sum(part.size for part in of.parts)


def _field(payload: bytes, offset: int) -> Field | Rejected:
    """The field that begins at ``offset``, which is inside the message."""
    if offset + 1 == len(payload):
        return Rejected("bad_lpp", f"byte {offset}: a channel without a type")
    channel, code = payload[offset], payload[offset + 1]
    data_type = DATA_TYPES.get(code)
    if data_type is None:
        return Rejected("bad_lpp", f"byte {offset + 1}: no type {code} (channel {channel})")
    at = offset + 2
    missing = at + _size(data_type) - len(payload)
    if missing > 0:
        what = f"{data_type.name} of channel {channel}"
        return Rejected("bad_lpp", f"byte {len(payload)}: {what} lacks {missing} bytes at the end")
    values = []
    for part in data_type.parts:
        raw = int.from_bytes(payload[at : at + part.size], "big", signed=part.is_signed)
        values.append(raw / part.divisor)
        at += part.size
    return Field(offset, channel, data_type, tuple(values))


# --- what goes without saying --------------------------------------------------------------------

_Default = tuple[tuple[str, ...], float]

_DEFAULTS: Final[Mapping[str, _Default]] = MappingProxyType(
    {
        "temperature": (("air.temperature", "water.temperature", "animal.temperature"), 1),
        "relative_humidity": (("air.relativeHumidity",), 1),
        "barometric_pressure": (("air.pressure",), 1),
        "luminosity": (("light.intensity",), 1),
        "concentration": (("air.co2",), 1),
        "voltage": (("battery.voltage",), 1),
        "percentage": (("battery.level", "gate.position"), 1),
        "distance": (("water.distance",), 1),
        "soil_moisture": (("soil.moisture",), 1),
        "soil_ec": (("soil.ec",), 10),  # mS/cm are tenths of S/m
        "wind_speed": (("wind.speed",), 1),
        "wind_direction": (("wind.direction",), 1),
    }
)
"""Type → quantities that it may be, and how many units of the type make one of ours.

The first one holds, unless the device's kind sends another one and not the first."""

_OF_KIND: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("digital_in", "flood-sensor"): "flood.detected",
        ("digital_in", "trap"): "trap.triggered",
        ("direction", "weather-station"): "wind.direction",
    }
)
"""What a field is on devices of one kind only."""


def samples(
    fields: Iterable[Field], kind: str = "", measured_at: int | None = None
) -> Decoded | Rejected:
    """One sample of the quantities that the types of the fields tell by themselves.

    ``kind`` of the device decides where a type may be several things (the temperature of a
    paddy-node is the water's). A ``unix_time`` among the fields is the time of all of them, else
    ``measured_at`` (ms UTC) is. What is no quantity of ours, a second field for the same quantity
    and the position 0, 0 of a receiver that sees no satellites are left out with a remark;
    Rejected (``no_values``) if nothing is left.
    """
    values: dict[str, float] = {}
    remarks: list[Remark] = []
    at = measured_at
    for field in fields:
        if field.type.name == "unix_time":
            at = int(field.values[0]) * 1000
            continue
        found = _quantities(field, kind)
        if not found:
            remarks.append(_remark(field, "unknown_quantity"))
        elif "position.latitude" in found and not any(found.values()):
            remarks.append(_remark(field, "no_fix"))
        elif values.keys() & found:
            remarks.append(_remark(field, "ambiguous"))
        else:
            values |= found
    if not values:
        return Rejected(
            "no_values", "; ".join(f"{r.path}: {r.reason}" for r in remarks[:MAX_REMARKS])
        )
    return Decoded((Sample(values, at),), tuple(remarks[:MAX_REMARKS]))


def _quantities(field: Field, kind: str) -> dict[str, float]:
    name = field.type.name
    if name == "gps":
        return dict(zip(("position.latitude", "position.longitude"), field.values[:2], strict=True))
    if of_kind := _OF_KIND.get((name, kind)):
        return {of_kind: field.values[0]}
    if name not in _DEFAULTS:
        return {}
    candidates, divisor = _DEFAULTS[name]
    sent = KINDS[kind].quantities if kind in KINDS else ()
    chosen = next((quantity for quantity in candidates if quantity in sent), candidates[0])
    return {chosen: field.values[0] / divisor}


def _remark(field: Field, reason: str) -> Remark:
    return Remark(field.name, " ".join(f"{value:g}" for value in field.values), reason)
