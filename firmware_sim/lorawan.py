"""LoRaWAN firmware of a vendor that does not exist: its frames, byte by byte.

    port 10  river gauge    i16 level mm · u8 battery                                  big endian
    port 11  flood sensor   u16 depth mm (FFFF: contact only) · u8 flags · u8 battery  big endian
    port 20  water meter    u32 total · u32 reverse (0.1 L) · u8 flags · u8 battery    little endian

Battery in 10 mV above 2 V. Flags: 1 water (leak for a meter), 2 tamper. A downlink ``01 mm mm`` on
the same port sets the interval in minutes. Its codecs, as such a vendor would publish them, are in
``vendors/``. Refuses to know network servers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a device hands to its radio."""

    port: int
    payload: bytes


def river_gauge(values: Values) -> Frame:
    """``water.level`` m, ``battery.voltage`` V."""
    level_mm = max(-32_768, min(round(values["water.level"] * 1000), 32_767))
    return Frame(10, struct.pack(">hB", level_mm, _battery(values)))


def flood_sensor(values: Values) -> Frame:
    """``flood.depth`` m where it is measured, ``flood.detected`` 0/1, ``battery.voltage`` V."""
    depth = values.get("flood.depth")
    depth_mm = 0xFFFF if depth is None else max(0, min(round(depth * 1000), 0xFFFE))
    return Frame(
        11, struct.pack(">HBB", depth_mm, bool(values.get("flood.detected")), _battery(values))
    )


def water_meter(values: Values) -> Frame:
    """``water.total`` and ``water.reverseTotal`` m3, ``water.leak``, ``tamper`` 0/1."""
    total, reverse = (
        round(values.get(name, 0.0) * 10_000) & 0xFFFF_FFFF
        for name in ("water.total", "water.reverseTotal")
    )
    flags = bool(values.get("water.leak")) | bool(values.get("tamper")) << 1
    return Frame(20, struct.pack("<IIBB", total, reverse, flags, _battery(values)))


FRAMES: Final[Mapping[str, Callable[[Values], Frame]]] = MappingProxyType(
    {"river-gauge": river_gauge, "flood-sensor": flood_sensor, "water-meter": water_meter}
)
"""How a device of a kind makes a frame of what it measured."""


def interval_s(frame: Frame) -> int | None:
    """The reporting interval that a downlink sets; None where it is nothing that we understand."""
    if len(frame.payload) != 3 or frame.payload[0] != 1:
        return None
    return int.from_bytes(frame.payload[1:], "big") * 60


def _battery(values: Values) -> int:
    return max(0, min(round((values.get("battery.voltage", 3.6) - 2.0) * 100), 255))
