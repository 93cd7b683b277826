"""How the voltage of a battery falls over its life, where the kind of cell is known.

Voltage says little by itself: lithium thionyl chloride stays at 3.6 V for nine tenths of its life
and then falls within weeks. With the curve, voltage becomes the share of the charge that is left,
which falls evenly. Drawn by hand after the shape of makers' published curves at 20 Cel and loads of
a sensor; rough, and better than a straight line. Refuses to know which cell a device has.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from devices.readings import Float64s

STRAIGHT: Final = "straight"
"""No curve: the level itself is taken to fall evenly."""

_LEFT: Final = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])
"""Share of the charge that is left."""

_VOLTS_A_CELL: Final[Mapping[str, Float64s]] = MappingProxyType(
    {
        "alkaline": np.array([0.85, 0.95, 1.02, 1.08, 1.15, 1.19, 1.26, 1.35, 1.48, 1.58]),
        "li-mno2": np.array([2.0, 2.25, 2.45, 2.6, 2.72, 2.79, 2.87, 2.93, 3.0, 3.1]),
        "li-socl2": np.array([2.0, 2.7, 3.1, 3.35, 3.48, 3.53, 3.57, 3.59, 3.61, 3.65]),
        "li-ion": np.array([3.0, 3.3, 3.45, 3.57, 3.66, 3.72, 3.82, 3.95, 4.1, 4.2]),
    }
)
_FRESH: Final = (("alkaline", 1.42, 1.66, 4), ("li-mno2", 2.88, 3.35, 2),
                 ("li-socl2", 3.48, 3.74, 2), ("li-ion", 3.92, 4.25, 3))  # fmt: skip
"""Fresh voltage of one cell from, to, and how many stand in series at most."""

_FLAT_ABOVE: Final = {"li-socl2": 3.42}
"""V of a cell above which its voltage says nothing of what is left."""

CELLS: Final = frozenset({STRAIGHT, *_VOLTS_A_CELL})
"""Names of the kinds of cell."""


def share_left(volts: Float64s, cell: str, cells_in_series: float = 1.0) -> Float64s:
    """Share of the charge left (0..1) by the voltage of the battery; NaN stays NaN."""
    left: Float64s = np.interp(volts / cells_in_series, _VOLTS_A_CELL[cell], _LEFT)
    return np.where(np.isfinite(volts), left, np.nan)


def plausible(fresh: float) -> tuple[tuple[str, float], ...]:
    """Kinds of cell, and how many in series, that have this voltage when fresh; none may."""
    return tuple(
        (cell, float(n))
        for cell, low, high, most in _FRESH
        for n in range(1, most + 1)
        if low <= fresh / n <= high
    )


def is_flat(volts: float, cell: str, cells_in_series: float = 1.0) -> bool:
    """Whether the battery is where its voltage says nothing of what is left."""
    return volts / cells_in_series > _FLAT_ABOVE.get(cell, np.inf)
