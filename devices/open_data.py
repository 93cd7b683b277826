"""What of a device the public is given. Refuses to know who asks."""

from __future__ import annotations

from typing import Final, Literal

OpenData = Literal["none", "values"]

CHOICES: Final[tuple[OpenData, ...]] = ("none", "values")
"""``none``: the device does not exist for the public; ``values``: its place and readings."""

NEVER_OPEN: Final = frozenset({"water-meter", "zone-meter", "collar", "trap"})
"""Kinds that tell who is at home, where animals are, or where a trap stands."""

_OPEN: Final = frozenset({"flood-sensor", "river-gauge", "weather-station"})


def default_for(kind: str) -> OpenData:
    """What holds where nobody chose: what warns of water is for everybody, all else for nobody."""
    return "values" if kind in _OPEN else "none"
