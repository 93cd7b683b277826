"""Satsumasendai drawn by hand: outline, rivers, roads, districts. No surveyed data is copied.

Coordinates are (longitude, latitude) in degrees, good to about a kilometre: enough for a map that
a demo can show without tiles, never for anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import Any

from firmware_sim.storm import KM_PER_DEG_LAT, KM_PER_DEG_LON

Point = tuple[float, float]
Line = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class River:
    """A river from its upper end to its mouth, and the gauges along it, upper first.

    ``joins`` names the river it flows into (None: the sea). ``bankfull_m``: depth at which the
    levee crest is reached; ``hill_km2``: the area that drains to each gauge from its own slopes.
    """

    name: str
    name_en: str
    line: Line
    joins: str | None
    bankfull_m: float
    hill_km2: float
    gauges: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class District:
    """A part of the city; ``spread_km`` is how far from its middle its devices stand."""

    name: str
    name_en: str
    longitude: float
    latitude: float
    spread_km: float
    is_island: bool = False


RIVERS: tuple[River, ...] = (
    River(
        "樋脇川", "Hiwaki River",
        ((130.455, 31.795), (130.432, 31.803), (130.412, 31.812), (130.397, 31.822),
         (130.384, 31.833), (130.377, 31.845), (130.372, 31.857)),
        "川内川", 3.6, 11.0,
        (("浦之名", "Uranomyo"), ("副田", "Soeda"), ("市比野", "Ichihino"),
         ("樋脇", "Hiwaki"), ("倉野橋", "Kurano Bridge")),
    ),
    River(
        "久富木川", "Kubuki River",
        ((130.560, 31.866), (130.542, 31.872), (130.522, 31.874), (130.503, 31.872),
         (130.487, 31.876)),
        "川内川", 3.0, 9.0,
        (("藺牟田", "Imuta"), ("黒木", "Kuroki"), ("下手", "Shimode")),
    ),
    River(
        "田海川", "Toumi River",
        ((130.352, 31.915), (130.349, 31.900), (130.344, 31.884), (130.339, 31.866),
         (130.334, 31.841)),
        "川内川", 2.8, 7.0,
        (("城上", "Jokami"), ("田海上", "Upper Toumi"), ("田海", "Toumi")),
    ),
    River(
        "平佐川", "Hirasa River",
        ((130.362, 31.801), (130.347, 31.806), (130.332, 31.811), (130.319, 31.818),
         (130.312, 31.824)),
        "川内川", 2.4, 5.0,
        (("天辰", "Amatatsu"), ("平佐", "Hirasa"), ("平佐西", "Hirasa-nishi")),
    ),
    River(
        "百次川", "Momotsugi River",
        ((130.343, 31.766), (130.331, 31.774), (130.320, 31.784), (130.312, 31.792)),
        "隈之城川", 2.4, 6.0,
        (("百次", "Momotsugi"), ("永利", "Nagatoshi")),
    ),
    River(
        "隈之城川", "Kumanojo River",
        ((130.297, 31.763), (130.303, 31.774), (130.309, 31.785), (130.305, 31.798),
         (130.298, 31.809), (130.290, 31.820)),
        "川内川", 3.0, 8.0,
        (("木場茶屋", "Kobanchaya"), ("勝目", "Katsume"), ("隈之城", "Kumanojo"),
         ("向田", "Mukoda")),
    ),
    River(
        "麦之浦川", "Muginoura River",
        ((130.305, 31.886), (130.292, 31.876), (130.280, 31.866)),
        "高城川", 2.4, 6.0,
        (("陽成", "Yosei"), ("麦之浦", "Muginoura")),
    ),
    River(
        "高城川", "Taki River",
        ((130.312, 31.925), (130.299, 31.908), (130.285, 31.893), (130.274, 31.876),
         (130.264, 31.860), (130.254, 31.846)),
        "川内川", 2.8, 8.0,
        (("湯田", "Yuda"), ("高城", "Taki"), ("妹背橋", "Imose Bridge"), ("水引", "Mizuhiki")),
    ),
    River(
        "川内川", "Sendai River",
        ((130.487, 31.876), (130.455, 31.884), (130.425, 31.880), (130.404, 31.874),
         (130.392, 31.862), (130.372, 31.857), (130.356, 31.853), (130.345, 31.843),
         (130.330, 31.838), (130.318, 31.829), (130.306, 31.822), (130.294, 31.820),
         (130.282, 31.826), (130.270, 31.838), (130.254, 31.843), (130.240, 31.840),
         (130.224, 31.846), (130.206, 31.852)),
        None, 6.5, 26.0,
        (("山田", "Yamada"), ("南瀬", "Noze"), ("斧渕", "Onobuchi"), ("東郷", "Togo"),
         ("倉野", "Kurano"), ("白浜", "Shirahama"), ("中郷", "Chugo"), ("銀杏木", "Ichonoki"),
         ("太平橋", "Taihei Bridge"), ("大小路", "Oshoji"), ("宮内", "Miyauchi"),
         ("小倉", "Ogura"), ("高江", "Takae"), ("久見崎", "Gumisaki")),
    ),
)  # fmt: skip
"""Tributaries before what they flow into; 40 gauges in all."""

ENTRY_KM2 = 320.0
"""Area above the city's edge that drains into the first gauge of the main river."""
ENTRY_AT: Point = (130.56, 31.90)

DISTRICTS: tuple[District, ...] = (
    District("川内", "Sendai", 130.303, 31.815, 1.6),
    District("隈之城", "Kumanojo", 130.308, 31.790, 1.8),
    District("平佐", "Hirasa", 130.326, 31.812, 1.6),
    District("東郷", "Togo", 130.352, 31.864, 2.2),
    District("樋脇", "Hiwaki", 130.392, 31.820, 2.4),
    District("入来", "Iriki", 130.432, 31.797, 2.4),
    District("祁答院", "Kedoin", 130.515, 31.868, 2.0),
    District("高城", "Taki", 130.285, 31.888, 2.4),
    District("水引", "Mizuhiki", 130.250, 31.858, 2.0),
    District("里", "Sato", 129.912, 31.858, 0.25, is_island=True),
    District("上甑", "Kami-Koshiki", 129.880, 31.842, 0.5, is_island=True),
    District("鹿島", "Kashima", 129.790, 31.774, 0.3, is_island=True),
    District("下甑", "Shimo-Koshiki", 129.706, 31.690, 1.2, is_island=True),
)

_ROADS: tuple[tuple[str, str, Line], ...] = (
    ("国道3号", "Route 3",
     ((130.312, 31.952), (130.292, 31.925), (130.284, 31.895), (130.288, 31.860),
      (130.297, 31.832), (130.302, 31.815), (130.306, 31.795), (130.298, 31.770),
      (130.292, 31.757))),
    ("国道267号", "Route 267",
     ((130.303, 31.817), (130.322, 31.832), (130.345, 31.850), (130.375, 31.864),
      (130.403, 31.876))),
    ("国道328号", "Route 328",
     ((130.440, 31.765), (130.430, 31.790), (130.420, 31.815), (130.424, 31.838))),
    ("県道42号", "Prefectural 42",
     ((130.306, 31.812), (130.335, 31.808), (130.365, 31.812), (130.395, 31.818),
      (130.430, 31.801), (130.470, 31.800))),
    ("県道43号", "Prefectural 43",
     ((130.297, 31.822), (130.270, 31.832), (130.240, 31.833), (130.210, 31.844))),
    ("南九州西回り自動車道", "Minami-Kyushu Expressway",
     ((130.268, 31.842), (130.290, 31.812), (130.300, 31.785), (130.312, 31.760))),
)  # fmt: skip

_OUTLINE: tuple[Line, ...] = (
    ((130.272, 31.966), (130.292, 31.953), (130.322, 31.976), (130.342, 31.955),
     (130.352, 31.938), (130.376, 31.927), (130.388, 31.912), (130.408, 31.900),
     (130.402, 31.860), (130.438, 31.846), (130.462, 31.826), (130.478, 31.868),
     (130.490, 31.892), (130.512, 31.904), (130.560, 31.892), (130.588, 31.874),
     (130.574, 31.858), (130.540, 31.852), (130.530, 31.826), (130.508, 31.790),
     (130.505, 31.764), (130.480, 31.736), (130.445, 31.738), (130.420, 31.718),
     (130.380, 31.734), (130.330, 31.752), (130.290, 31.757), (130.258, 31.770),
     (130.236, 31.786), (130.198, 31.792), (130.172, 31.782), (130.178, 31.812),
     (130.196, 31.840), (130.212, 31.868), (130.224, 31.896), (130.236, 31.928),
     (130.266, 31.934), (130.272, 31.966)),
    ((129.832, 31.868), (129.852, 31.874), (129.876, 31.848), (129.908, 31.866),
     (129.930, 31.850), (129.926, 31.828), (129.900, 31.812), (129.866, 31.826),
     (129.836, 31.846), (129.832, 31.868)),
    ((129.820, 31.796), (129.836, 31.817), (129.843, 31.798), (129.824, 31.778),
     (129.820, 31.796)),
    ((129.796, 31.790), (129.800, 31.764), (129.772, 31.728), (129.748, 31.706),
     (129.736, 31.672), (129.720, 31.642), (129.692, 31.626), (129.662, 31.648),
     (129.688, 31.680), (129.700, 31.712), (129.740, 31.732), (129.776, 31.754),
     (129.796, 31.790)),
)  # fmt: skip


def kilometres(a: Point, b: Point) -> float:
    """Distance of two near points in km, on a plane at 31.8 degrees north."""
    return hypot((a[0] - b[0]) * KM_PER_DEG_LON, (a[1] - b[1]) * KM_PER_DEG_LAT)


def length_km(line: Sequence[Point]) -> float:
    """Length of a line in km."""
    return sum(kilometres(a, b) for a, b in pairwise(line))


def along(line: Sequence[Point], share: float) -> Point:
    """The point at ``share`` (0 upper end .. 1 mouth) of the way along a line."""
    left = share * length_km(line)
    for a, b in pairwise(line):
        step = kilometres(a, b)
        if left <= step and step > 0:
            part = left / step
            return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)
        left -= step
    return line[-1]


def basemap() -> dict[str, Any]:
    """A GeoJSON FeatureCollection: properties ``kind`` (outline, river, road, place), ``name``,
    ``name_en``."""
    outline = [
        _feature("Polygon", [[list(p) for p in ring]], "outline", "薩摩川内市", "Satsumasendai")
        for ring in _OUTLINE
    ]
    rivers = [_feature("LineString", _points(r.line), "river", r.name, r.name_en) for r in RIVERS]
    roads = [_feature("LineString", _points(line), "road", ja, en) for ja, en, line in _ROADS]
    places = [
        _feature("Point", [d.longitude, d.latitude], "place", d.name, d.name_en) for d in DISTRICTS
    ]
    return {"type": "FeatureCollection", "features": [*outline, *rivers, *roads, *places]}


def _points(line: Line) -> list[list[float]]:
    return [list(point) for point in line]


def _feature(
    shape: str, coordinates: list[Any], kind: str, name: str, name_en: str
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": shape, "coordinates": coordinates},
        "properties": {"kind": kind, "name": name, "name_en": name_en},
    }
