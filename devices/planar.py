"""Japan's plane rectangular coordinates (JGD2011, EPSG:6669 to 6687) as degrees.

Surveys give X, metres to the **north**, and Y, metres to the **east** of a zone's origin. The
series are those of Kawase (2011), "A general formula for calculating meridian arc length and its
application to coordinate conversion in the Gauss-Krüger projection", as the Geospatial Information
Authority of Japan publishes them; they hold to a hundredth of a millimetre within a zone.

JGD2011 is taken for WGS84: both rest on GRS80 but for 0.1 mm of the axis, and no sensor's place is
known to the decimetres by which the plates have moved since. Refuses to know files and devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import asin, atan2, cos, cosh, degrees, radians, sin, sinh
from types import MappingProxyType
from typing import Final

FIRST_EPSG: Final = 6669
_ORIGINS: Final = (  # (latitude, longitude), zone I first: Ministry of Land, notice 9 of 2002
    (33, 129 + 30 / 60), (33, 131), (36, 132 + 10 / 60), (33, 133 + 30 / 60), (36, 134 + 20 / 60),
    (36, 136), (36, 137 + 10 / 60), (36, 138 + 30 / 60), (36, 139 + 50 / 60), (40, 140 + 50 / 60),
    (44, 140 + 15 / 60), (44, 142 + 15 / 60), (44, 144 + 15 / 60), (26, 142), (26, 127 + 30 / 60),
    (26, 124), (26, 131), (20, 136), (26, 154),
)  # fmt: skip

FARTHEST_NORTH_M: Final = 700_000.0
FARTHEST_EAST_M: Final = 400_000.0
"""Beyond these no zone has land, and the coordinates are another system's."""

_DECIMALS: Final = 8  # of a degree: a millimetre


@dataclass(frozen=True, slots=True)
class Degrees:
    """A point in WGS84, degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class _Zone:
    """Where a zone's axes meet: metres along the meridian from the equator, radians east."""

    arc_m: float
    meridian: float


def to_degrees(epsg: int, north_m: float, east_m: float) -> Degrees:
    """The point X = ``north_m``, Y = ``east_m`` of zone ``epsg``, to a millimetre.

    Raises ValueError for an unknown zone and for a point that no zone reaches (NaN too).
    """
    zone = _ZONES.get(epsg)
    if zone is None:
        raise ValueError(f"{FIRST_EPSG} (zone I) to {max(_ZONES)} (zone XIX) expected")
    if not (abs(north_m) <= FARTHEST_NORTH_M and abs(east_m) <= FARTHEST_EAST_M):
        raise ValueError(
            f"no zone reaches X {north_m:g}, Y {east_m:g}: metres north and east of its origin"
        )
    northing, easting = (zone.arc_m + north_m) / _RADIUS_M, east_m / _RADIUS_M
    chi_north, chi_east = northing, easting
    for order, beta in enumerate(_BETA, 1):
        chi_north -= beta * sin(2 * order * northing) * cosh(2 * order * easting)
        chi_east -= beta * cos(2 * order * northing) * sinh(2 * order * easting)
    conformal = asin(sin(chi_north) / cosh(chi_east))
    latitude = conformal + _sum_of_sines(_DELTA, conformal)
    longitude = zone.meridian + atan2(sinh(chi_east), cos(chi_north))
    return Degrees(round(degrees(latitude), _DECIMALS), round(degrees(longitude), _DECIMALS))


def _sum_of_sines(factors: Sequence[float], angle: float) -> float:
    return sum(factor * sin(2 * order * angle) for order, factor in enumerate(factors, 1))


_SCALE: Final = 0.9999  # on a zone's meridian
_N: Final = 1 / (2 * 298.257222101 - 1)  # third flattening of GRS80
_N2, _N3, _N4, _N5, _N6 = _N**2, _N**3, _N**4, _N**5, _N**6
_ALPHA: Final = (  # A1 … A5 of the meridian arc
    -3 / 2 * (_N - _N3 / 8 - _N5 / 64),
    15 / 16 * (_N2 - _N4 / 4),
    -35 / 48 * (_N3 - 5 / 16 * _N5),
    315 / 512 * _N4,
    -693 / 1280 * _N5,
)
_BETA: Final = (
    _N / 2 - 2 / 3 * _N2 + 37 / 96 * _N3 - _N4 / 360 - 81 / 512 * _N5,
    _N2 / 48 + _N3 / 15 - 437 / 1440 * _N4 + 46 / 105 * _N5,
    17 / 480 * _N3 - 37 / 840 * _N4 - 209 / 4480 * _N5,
    4397 / 161280 * _N4 - 11 / 504 * _N5,
    4583 / 161280 * _N5,
)
_DELTA: Final = (
    2 * _N - 2 / 3 * _N2 - 2 * _N3 + 116 / 45 * _N4 + 26 / 45 * _N5 - 2854 / 675 * _N6,
    7 / 3 * _N2 - 8 / 5 * _N3 - 227 / 45 * _N4 + 2704 / 315 * _N5 + 2323 / 945 * _N6,
    56 / 15 * _N3 - 136 / 35 * _N4 - 1262 / 105 * _N5 + 73814 / 2835 * _N6,
    4279 / 630 * _N4 - 332 / 35 * _N5 - 399572 / 14175 * _N6,
    4174 / 315 * _N5 - 144838 / 6237 * _N6,
    601676 / 22275 * _N6,
)
_A0: Final = 1 + _N2 / 4 + _N4 / 64
_RADIUS_M: Final = _SCALE * 6_378_137.0 / (1 + _N) * _A0


def _zone(latitude: float, longitude: float) -> _Zone:
    phi = radians(latitude)
    arc_m = _RADIUS_M * (phi + _sum_of_sines(_ALPHA, phi) / _A0)
    return _Zone(arc_m, radians(longitude))


_ZONES: Final[Mapping[int, _Zone]] = MappingProxyType(
    {epsg: _zone(*origin) for epsg, origin in enumerate(_ORIGINS, FIRST_EPSG)}
)
