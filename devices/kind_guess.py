"""What an unknown device is probably for, from what it sends and what its maker calls it.

A proposal for a person to confirm, never a decision. Refuses to know messages and codecs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from devices.kinds import FIELD_KINDS

_SAYS_LITTLE: Final = frozenset(
    {"battery.voltage", "battery.level", "radio.rssi", "radio.snr", "tamper", "water.total"}
)
"""Quantities that devices of many kinds send."""

_WORDS: Final = (
    ("flood", "flood-sensor"), ("inundation", "flood-sensor"), ("浸水", "flood-sensor"),
    ("paddy", "paddy-node"), ("水田", "paddy-node"),
    ("trap", "trap"), ("わな", "trap"), ("罠", "trap"),
    ("collar", "collar"), ("tracker", "collar"), ("首輪", "collar"),
    ("calving", "calving-thermometer"), ("分娩", "calving-thermometer"),
    ("weather", "weather-station"), ("rain", "weather-station"), ("wind", "weather-station"),
    ("気象", "weather-station"), ("雨量", "weather-station"),
    ("gate", "irrigation-gate"), ("水門", "irrigation-gate"),
    ("pressure", "pressure-logger"), ("水圧", "pressure-logger"),
    ("meter", "water-meter"), ("pulse", "water-meter"), ("メーター", "water-meter"),
    ("co2", "greenhouse-node"), ("soil", "greenhouse-node"), ("温室", "greenhouse-node"),
    ("barn", "barn-node"), ("畜舎", "barn-node"),
    ("level", "river-gauge"), ("distance", "river-gauge"), ("ldds", "river-gauge"),
    ("水位", "river-gauge"),
)  # fmt: skip
"""Words in a name, brand, model or field name, the telling ones first."""

_BY_QUANTITY: Final = {"water.distance": "river-gauge", "water.total": "water-meter"}
"""Where no kind lists the quantity as its own, or several do."""


def guess_kind(quantities: Collection[str], words: str) -> str | None:
    """The kind whose quantities fit best; else by ``words`` in any language; None: no idea."""
    telling = frozenset(quantities) - _SAYS_LITTLE
    scores = {
        kind.name: len(telling & own) / len(telling | own)
        for kind in FIELD_KINDS.values()
        if telling & (own := frozenset(kind.quantities) - _SAYS_LITTLE)
    }
    if scores:
        return max(scores, key=lambda name: scores[name])
    lower = words.lower()
    by_word = next((kind for word, kind in _WORDS if word in lower), None)
    by_quantity = next((k for q, k in _BY_QUANTITY.items() if q in quantities), None)
    return by_word or by_quantity
