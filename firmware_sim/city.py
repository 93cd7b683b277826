"""The simulated city: about 500 devices of all kinds with names, labels and places.

The list is the same for every run of one seed. Refuses to know what the devices will measure.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from math import cos, pi, sin, sqrt

from devices.kinds import FIELD_KINDS
from firmware_sim import noise
from firmware_sim.geography import DISTRICTS, District, basemap
from firmware_sim.hydrology import nodes
from firmware_sim.pace import DEMO, Pace
from firmware_sim.storm import KM_PER_DEG_LAT, KM_PER_DEG_LON

__all__ = ["ZONES", "CityDevice", "basemap", "devices", "to_csv"]

ZONES = 8
_MAINLAND = tuple(d for d in DISTRICTS if not d.is_island)
_ISLANDS = tuple(d for d in DISTRICTS if d.is_island)
_GATEWAY_SITES = (
    ("市役所屋上", "City Hall Roof", 0), ("隈之城支局", "Kumanojo Station", 1),
    ("平佐配水池", "Hirasa Reservoir", 2), ("東郷支所", "Togo Branch Office", 3),
    ("樋脇支所", "Hiwaki Branch Office", 4), ("入来支所", "Iriki Branch Office", 5),
    ("祁答院支所", "Kedoin Branch Office", 6), ("高城中継局", "Taki Relay", 7),
    ("水引中継局", "Mizuhiki Relay", 8), ("里支所", "Sato Branch Office", 9),
    ("下甑支所", "Shimo-Koshiki Branch Office", 12),
)  # fmt: skip
_CARRIED = {"paddy-node", "greenhouse-node", "barn-node", "collar", "calving-thermometer", "trap"}
_STAGES = {"standby": 0.45, "caution": 0.60, "evacuation": 0.72, "danger": 0.82, "flooding": 1.0}
_UNDERPASS = (
    ("線路下", "Railway Underpass"), ("国道下", "Highway Underpass"), ("アンダーパス", "Underpass"),
    ("排水機場", "Drainage Pump Station"), ("地下歩道", "Pedestrian Underpass"),
    ("樋門", "Sluice"), ("低地道路", "Low Road"),
)  # fmt: skip
_FAMILIES = (
    ("田中", "Tanaka"), ("福山", "Fukuyama"), ("今村", "Imamura"), ("橋口", "Hashiguchi"),
    ("上野", "Ueno"), ("中村", "Nakamura"), ("有馬", "Arima"), ("鶴田", "Tsuruda"),
)  # fmt: skip
_BLOCKS = (
    ("東", "East"), ("西", "West"), ("南", "South"), ("北", "North"), ("中", "Central"),
    ("上", "Upper"), ("下", "Lower"), ("本町", "Honmachi"), ("新町", "Shinmachi"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CityDevice:
    """One row of the device list; the fields are the columns of the CSV import, in order.

    ``thresholds`` as ``caution=3.0;danger=4.5``, ``tags`` as ``a;b``; empty where
    there is none.
    """

    name: str
    kind: str
    label: str
    label_en: str
    site: str
    area: str
    latitude: float
    longitude: float
    interval_s: int
    silence_after_s: float
    thresholds: str = ""
    tags: str = ""
    gateway: str = ""
    owner: str = ""


def devices(seed: int = 1, *, pace: Pace = DEMO) -> list[CityDevice]:
    """All devices of the city; intervals and silence follow the pace (seconds)."""
    makers: tuple[Callable[[_Drawing], Iterator[CityDevice]], ...] = (
        _gateways, _river_gauges, _flood_sensors, _weather_stations, _water_meters, _zone_meters,
        _pressure_loggers, _paddies, _gates, _greenhouses, _barns, _collars, _calving, _traps,
    )  # fmt: skip
    drawing = _Drawing(seed, pace)
    return [device for make in makers for device in make(drawing)]


def to_csv(city: Sequence[CityDevice]) -> str:
    """The device list as CSV text with a header row, as ``devices.csv_import`` reads it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(CityDevice)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(device) for device in city)
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class _Drawing:
    seed: int
    pace: Pace

    def device(
        self,
        kind: str,
        number: int,
        labels: tuple[str, str],
        district: District,
        at: tuple[float, float] | None = None,
        *,
        width: int = 2,
        thresholds: str = "",
        tags: str = "",
        owner: str = "",
    ) -> CityDevice:
        longitude, latitude = at or self.somewhere(kind, number, district)
        prefix = _PREFIX[kind]
        return CityDevice(
            name=f"{prefix}-{number:0{width}d}",
            kind=kind,
            label=labels[0],
            label_en=labels[1],
            site=labels[0].split(" ")[0],
            area=district.name,
            latitude=round(latitude, 5),
            longitude=round(longitude, 5),
            interval_s=round(self.pace.timings[kind].calm_s),
            silence_after_s=self.pace.silence_after_s(kind),
            thresholds=thresholds,
            tags=tags,
            gateway=_gateway_of(district) if kind in _CARRIED else "",
            owner=owner,
        )

    def somewhere(self, kind: str, number: int, district: District) -> tuple[float, float]:
        """A point in the district that belongs to this kind and number alone."""
        stream = 601 + sorted(FIELD_KINDS).index(kind)
        u, v = noise.uniform(self.seed, stream, [2 * number, 2 * number + 1])
        radius, angle = district.spread_km * sqrt(float(u)), 2 * pi * float(v)
        return (
            district.longitude + radius * cos(angle) / KM_PER_DEG_LON,
            district.latitude + radius * sin(angle) / KM_PER_DEG_LAT,
        )


_PREFIX = {
    "gateway": "gateway", "river-gauge": "river", "flood-sensor": "flood",
    "weather-station": "weather", "water-meter": "meter", "zone-meter": "zone",
    "pressure-logger": "pressure", "paddy-node": "paddy", "irrigation-gate": "gate",
    "greenhouse-node": "greenhouse", "barn-node": "barn", "collar": "collar",
    "calving-thermometer": "calving", "trap": "trap",
}  # fmt: skip


def _district(number: int, choice: Sequence[District] = _MAINLAND) -> District:
    return choice[number % len(choice)]


def _nearest(longitude: float, latitude: float) -> District:
    return min(
        _MAINLAND, key=lambda d: (d.longitude - longitude) ** 2 + (d.latitude - latitude) ** 2
    )


def _gateway_of(district: District) -> str:
    numbers = {DISTRICTS[index].name: k + 1 for k, (_, _, index) in enumerate(_GATEWAY_SITES)}
    return f"gateway-{numbers.get(district.name, numbers['里']):02d}"


def _block(number: int) -> tuple[str, str]:
    return _BLOCKS[number % len(_BLOCKS)]


def _gateways(drawing: _Drawing) -> Iterator[CityDevice]:
    for k, (ja, en, index) in enumerate(_GATEWAY_SITES):
        district = DISTRICTS[index]
        at = (district.longitude, district.latitude)
        yield drawing.device(
            "gateway", k + 1, (f"{ja} ゲートウェイ", f"{en} Gateway"), district, at
        )


def _river_gauges(drawing: _Drawing) -> Iterator[CityDevice]:
    for k, node in enumerate(nodes()):
        stages = ";".join(f"{n}={node.bankfull_m * share:.2f}" for n, share in _STAGES.items())
        labels = (f"{node.place} {node.river}水位計", f"{node.place_en}, {node.river_en}")
        yield drawing.device(
            "river-gauge", k + 1, labels, _nearest(*node.at), node.at, thresholds=stages,
            tags=f"river;{node.river}",
        )  # fmt: skip


def _flood_sensors(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(60):
        district = _district(k // 2 if k % 2 else k % 3)  # the centre has the most underpasses
        (ja, en), (side, side_en) = _UNDERPASS[k % len(_UNDERPASS)], _block(k // 7)
        labels = (f"{district.name}{side}{ja} 浸水センサー", f"{district.name_en} {side_en} {en}")
        is_contact = k % 6 == 5
        yield drawing.device(
            "flood-sensor", k + 1, labels, district,
            thresholds="" if is_contact else "caution=0.05;closed=0.15",
            tags="contact" if is_contact else "depth",
        )  # fmt: skip


def _weather_stations(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(15):
        district = _district(k, DISTRICTS)
        again = ("", "") if k < len(DISTRICTS) else ("山地", " Hills")
        labels = (
            f"{district.name}{again[0]} 気象計",
            f"{district.name_en}{again[1]} Weather Station",
        )
        yield drawing.device("weather-station", k + 1, labels, district)


def _water_meters(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(120):
        zone = k % ZONES
        district = _district(zone)
        labels = (f"{district.name}{1 + k // ZONES}号 水道メーター",
                  f"{district.name_en} Meter {1 + k // ZONES}")  # fmt: skip
        yield drawing.device(
            "water-meter", k + 1, labels, district, width=3, tags=f"zone-{zone + 1}"
        )


def _zone_meters(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(ZONES):
        district = _district(k)
        labels = (f"{district.name}配水区 流入計", f"{district.name_en} Zone Inflow")
        yield drawing.device("zone-meter", k + 1, labels, district, width=1, tags=f"zone-{k + 1}")


def _pressure_loggers(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(12):
        district = _district(k % ZONES)
        labels = (
            f"{district.name}{_block(k)[0]} 水圧計",
            f"{district.name_en} {_block(k)[1]} Pressure",
        )
        yield drawing.device(
            "pressure-logger", k + 1, labels, district, tags=f"zone-{k % ZONES + 1}"
        )


def _farm(
    drawing: _Drawing, kind: str, count: int, what: tuple[str, str], start: int
) -> Iterator[CityDevice]:
    for k in range(count):
        district = _district(start + k)
        (ja, en) = _FAMILIES[k % len(_FAMILIES)]
        labels = (f"{district.name} {ja}{what[0]}{1 + k // 8}号", f"{en} {what[1]} {1 + k // 8}, "
                  f"{district.name_en}")  # fmt: skip
        yield drawing.device(kind, k + 1, labels, district, owner=_login(en))


def _login(family: str) -> str:
    """The first family is the demo's ``owner``, the others are people of their own name."""
    return "owner" if family == _FAMILIES[0][1] else family.lower()


def _paddies(drawing: _Drawing) -> Iterator[CityDevice]:
    return _farm(drawing, "paddy-node", 60, ("水田", "Paddy"), 3)


def _gates(drawing: _Drawing) -> Iterator[CityDevice]:
    return _farm(drawing, "irrigation-gate", 25, ("給水栓", "Gate"), 3)


def _greenhouses(drawing: _Drawing) -> Iterator[CityDevice]:
    return _farm(drawing, "greenhouse-node", 30, ("ハウス", "Greenhouse"), 4)


def _barns(drawing: _Drawing) -> Iterator[CityDevice]:
    return _farm(drawing, "barn-node", 20, ("牛舎", "Barn"), 4)


def _collars(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(40):
        district = (_MAINLAND[5], _MAINLAND[6], _ISLANDS[3], _MAINLAND[7])[k % 4]
        labels = (f"{district.name} 放牧牛{k + 1:02d}", f"{district.name_en} Cow {k + 1:02d}")
        pasture = drawing.somewhere("collar", 1000 + k % 4, district)
        yield drawing.device("collar", k + 1, labels, district, pasture, owner="imamura")


def _calving(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(15):
        district = (_MAINLAND[5], _MAINLAND[6])[k % 2]
        labels = (
            f"{district.name} 母牛{k + 1:02d} 分娩体温計",
            f"{district.name_en} Mother {k + 1:02d}",
        )
        yield drawing.device("calving-thermometer", k + 1, labels, district, owner="imamura")


def _traps(drawing: _Drawing) -> Iterator[CityDevice]:
    for k in range(50):
        district = _district(k + 3, DISTRICTS)
        labels = (f"{district.name}{_block(k)[0]} 箱わな{k + 1:02d}",
                  f"{district.name_en} {_block(k)[1]} Trap {k + 1:02d}")  # fmt: skip
        yield drawing.device("trap", k + 1, labels, district, owner="hunters")
