"""What the devices of a city would measure: one vectorised function for all kinds.

Pure in (city, seed, pace, epoch): the same question gives the same answer, in any order. The truth
and the sensor's own error are here; radio, clocks and reporting are the firmware's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from devices.readings import Float64s, Indices, Int64s
from firmware_sim import animals, climate, noise
from firmware_sim.city import ZONES, CityDevice
from firmware_sim.household import Households, Zones
from firmware_sim.hydrology import Hydrology, Ponds, nodes
from firmware_sim.pace import Pace
from firmware_sim.storm import Weather

Values = dict[str, Float64s]
"""Quantity name -> one value a row; NaN where this device does not measure it."""

DROWNS_M = 0.45
"""Water above this covers the aerial of the contact sensors: they fall silent."""
_LEAKS_M3_D = {7: 0.5, 26: 1.1, 58: 0.25, 83: 2.4, 101: 0.7}
_NEW_LEAK, _NEW_LEAK_M3_D = 44, 3.6
_LEAKING_FOR_MS = 40 * climate.DAY_MS
_RADIO = {"river-gauge": -92.0, "flood-sensor": -98.0, "water-meter": -106.0, "trap": -108.0}


class Signals:
    """The physical world around a city's devices.

    ``epoch_at`` (ms UTC) is when its weather begins; ``calm = True``: no storm ever comes.
    """

    def __init__(
        self,
        city: Sequence[CityDevice],
        *,
        seed: int,
        pace: Pace,
        epoch_at: int,
        calm: bool = False,
    ) -> None:
        self._seed = seed
        self._pace = pace
        self._epoch_at = epoch_at
        self._longitude = np.array([d.longitude for d in city], np.float64)
        self._latitude = np.array([d.latitude for d in city], np.float64)
        self._weather = Weather(seed, None) if calm else Weather(seed)
        self._number = _numbers_within_kind(city)
        by_kind = {kind: np.flatnonzero([d.kind == kind for d in city]) for kind in _KINDS}
        self._hydrology = self._wet_places(by_kind)
        self._place_of_gauge = _match_gauges([city[int(i)] for i in by_kind["river-gauge"]])
        self._is_contact = np.array(["contact" in d.tags.split(";") for d in city], np.bool_)
        self._zone = _zone_numbers(city)
        self._zones = self._water_supply(by_kind["water-meter"])
        self._measure: Mapping[str, Callable[[Indices, Int64s, Float64s], Values]] = {
            "river-gauge": self._river,
            "flood-sensor": self._flood,
            "weather-station": self._weather_station,
            "water-meter": self._meter,
            "zone-meter": self._zone_meter,
            "pressure-logger": self._pressure,
            "paddy-node": self._paddy,
            "irrigation-gate": self._gate,
            "greenhouse-node": self._greenhouse,
            "barn-node": self._barn,
            "collar": self._collar,
            "calving-thermometer": self._calving,
            "trap": self._trap,
            "gateway": self._gateway,
        }

    def physical_s(self, at: Int64s) -> Float64s:
        """Physical seconds since the world began."""
        return np.asarray((at - self._epoch_at) * (self._pace.compression / 1000.0), np.float64)

    def measure(self, kind: str, device: Indices, at: Int64s) -> Values:
        """What devices (numbers in the city, of one kind) measure at ``at[i]``, rounded as sent."""
        rain = self.rain_mm_h(device, at)
        values = self._measure[kind](device, at, rain)
        values.update(self._health(kind, device, at, rain))
        return {name: np.round(column, _DECIMALS[name]) + 0.0 for name, column in values.items()}

    def rain_mm_h(self, device: Indices, at: Int64s) -> Float64s:
        """Rain at the devices' places."""
        s = self.physical_s(at)
        return self._weather.rain_mm_h(self._longitude[device], self._latitude[device], s)

    def depth_over_contact_m(self, device: Indices, at: Int64s) -> Float64s:
        """Water over flood sensors of the contact type; 0 over all others."""
        column = self._hydrology.ponds[self._number[device]]
        depth = self._hydrology.at(column, self.physical_s(at))
        return np.where(self._is_contact[device], depth, 0.0)

    # -- kinds -----------------------------------------------------------------------------------

    def _river(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        number = self._number[device]
        column = self._hydrology.rivers[self._place_of_gauge[number]]
        depth = self._hydrology.at(column, self.physical_s(at))
        base = noise.between(0.25, 0.55, self._seed, 701, number)
        ripple = 0.004 * noise.normal(self._seed, 702, number, at)
        return {"water.level": np.hypot(base, depth) + ripple}

    def _flood(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        column = self._hydrology.ponds[self._number[device]]
        depth = self._hydrology.at(column, self.physical_s(at))
        ripple = 0.002 * noise.normal(self._seed, 703, device, at) * (depth > 0.01)
        depth = np.maximum(depth + ripple, 0.0)
        is_contact = self._is_contact[device]
        return {
            "flood.depth": np.where(is_contact, np.nan, depth),
            "flood.detected": np.where(is_contact, depth >= 0.10, np.nan),
        }

    def _weather_station(self, device: Indices, at: Int64s, rain: Float64s) -> Values:
        number = self._number[device]
        fallen = self._hydrology.at(self._hydrology.rainfall[number], self.physical_s(at))
        speed, direction = climate.wind(self._seed, number, at, rain)
        return {
            "rain.intensity": rain,
            "rain.cumulative": np.floor(fallen / 0.5) * 0.5,  # a tipping bucket of 0.5 mm
            "air.temperature": climate.air_temperature(self._seed, number, at, rain),
            "air.relativeHumidity": climate.humidity(self._seed, number, at, rain),
            "air.pressure": climate.pressure_hpa(self._seed, at, rain),
            "wind.speed": speed,
            "wind.direction": direction,
        }

    def _meter(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        number = self._number[device]
        homes = self._zones.households
        return {
            "water.total": np.floor(homes.total_m3(number, at) * 1000.0) / 1000.0,
            "water.leak": homes.has_leak_flag(number, at),
        }

    def _zone_meter(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        number = self._number[device]
        return {
            "water.flow": self._zones.flow_m3_s(number, at),
            "water.total": np.floor(self._zones.total_m3(number, at) * 100.0) / 100.0,
        }

    def _pressure(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        return {"water.pressure": self._zones.pressure_pa(self._zone[device], device, at)}

    def _paddy(self, device: Indices, at: Int64s, rain: Float64s) -> Values:
        number = self._number[device]
        depth = self._hydrology.at(self._hydrology.ponds[self._floods + number],
                                   self.physical_s(at))  # fmt: skip
        return {
            "paddy.depth": depth + 0.001 * noise.normal(self._seed, 704, number, at),
            "water.temperature": climate.paddy_water_temperature(self._seed, number, at, rain),
        }

    def _gate(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        """Farmers open in the early morning and close in the forenoon, each in his own way."""
        number = self._number[device]
        hour = climate.hour_of_day(at)
        opens = noise.between(4.5, 7.0, self._seed, 705, number)
        stays = noise.between(2.0, 5.0, self._seed, 706, number)
        width = np.ceil(noise.uniform(self._seed, 707, number) * 4) * 25.0
        return {"gate.position": np.where((hour >= opens) & (hour < opens + stays), width, 0.0)}

    def _greenhouse(self, device: Indices, at: Int64s, rain: Float64s) -> Values:
        return climate.greenhouse(self._seed, self._number[device], at, rain)

    def _barn(self, device: Indices, at: Int64s, rain: Float64s) -> Values:
        return climate.barn(self._seed, self._number[device], at, rain)

    def _collar(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        latitude, longitude = animals.collar_position(
            self._seed,
            self._number[device],
            self.physical_s(at),
            at,
            middle=(self._latitude[device], self._longitude[device]),
        )
        return {"position.latitude": latitude, "position.longitude": longitude}

    def _calving(self, device: Indices, at: Int64s, rain: Float64s) -> Values:
        number = self._number[device]
        barn = climate.barn(self._seed, number, at, rain)["air.temperature"]
        body = animals.calving_temperature(self._seed, number, self.physical_s(at), at, barn)
        return {"animal.temperature": body}

    def _trap(self, device: Indices, at: Int64s, _rain: Float64s) -> Values:
        sprung = animals.is_sprung(self._seed, self._number[device], self.physical_s(at))
        return {"trap.triggered": sprung}

    def _gateway(self, _device: Indices, _at: Int64s, _rain: Float64s) -> Values:
        return {}

    def _health(self, kind: str, device: Indices, at: Int64s, rain: Float64s) -> Values:
        """Battery (a lithium cell that ages over some years) and radio (rain weakens it)."""
        age = noise.uniform(self._seed, 711, device) + (at - self._epoch_at) / (
            1500.0 * climate.DAY_MS
        )  # fmt: skip
        tired = 0.08 * age + 0.5 * np.maximum(0.0, age - 0.92) / 0.08
        hum = 0.004 * noise.normal(self._seed, 712, device, at)
        if kind == "gateway":
            return {"battery.voltage": 13.3 - 0.4 * tired + hum}
        usual = _RADIO.get(kind, -95.0) + 14.0 * (noise.uniform(self._seed, 713, device) - 0.5)
        fade = 3.0 * noise.normal(self._seed, 714, device, at) - 4.0 * np.tanh(rain / 30.0)
        return {"battery.voltage": np.maximum(3.64 - tired + hum, 2.4), "radio.rssi": usual + fade}

    # -- places ----------------------------------------------------------------------------------

    def _wet_places(self, by_kind: Mapping[str, Indices]) -> Hydrology:
        roads, fields = by_kind["flood-sensor"], by_kind["paddy-node"]
        self._floods = len(roads)
        road, field = np.arange(len(roads)), np.arange(len(fields))
        ponds = Ponds(
            longitude=self._longitude[np.r_[roads, fields]],
            latitude=self._latitude[np.r_[roads, fields]],
            gain=np.r_[noise.between(5.0, 22.0, self._seed, 721, road), np.ones(len(field))],
            drain_mm_h=np.r_[
                noise.between(34.0, 115.0, self._seed, 722, road), np.zeros(len(field))
            ],
            cap_m=np.r_[noise.between(0.5, 1.9, self._seed, 723, road), np.full(len(field), 0.3)],
            rest_m=np.r_[np.zeros(len(road)), noise.between(0.03, 0.06, self._seed, 724, field)],
            rest_s=np.r_[np.full(len(road), 1e9), np.full(len(field), 5 * 3600.0)],
        )
        stations = by_kind["weather-station"]
        rain_at = (self._longitude[stations], self._latitude[stations])
        return Hydrology(self._weather, ponds, rain_at)

    def _water_supply(self, meters: Indices) -> Zones:
        number = np.arange(len(meters))
        leak = np.zeros(len(meters))
        since = np.full(len(meters), self._epoch_at - _LEAKING_FOR_MS, np.int64)
        for meter, m3_d in _LEAKS_M3_D.items():
            leak[meter : meter + 1] = m3_d
        leak[_NEW_LEAK : _NEW_LEAK + 1] = _NEW_LEAK_M3_D
        since[_NEW_LEAK : _NEW_LEAK + 1] = self._epoch_at
        homes = Households(
            self._seed, noise.between(0.25, 0.95, self._seed, 731, number), leak, since
        )
        members = tuple(np.flatnonzero(self._zone[meters] == z) for z in range(ZONES))
        mains = noise.between(60.0, 190.0, self._seed, 732, np.arange(ZONES))
        return Zones(homes, members, 90.0, mains)


def _numbers_within_kind(city: Sequence[CityDevice]) -> Indices:
    counts: dict[str, int] = {}
    numbers = []
    for device in city:
        numbers.append(counts.get(device.kind, 0))
        counts[device.kind] = numbers[-1] + 1
    return np.array(numbers, np.intp)


def _match_gauges(gauges: Sequence[CityDevice]) -> Indices:
    """The river node nearest to each gauge."""
    places = np.array([n.at for n in nodes()])
    nearest = [
        int(np.argmin(((places - (g.longitude, g.latitude)) ** 2).sum(axis=1))) for g in gauges
    ]
    return np.array(nearest, np.intp)


def _zone_numbers(city: Sequence[CityDevice]) -> Indices:
    """The distribution zone of each device from its ``zone-…`` tag, 0 where it has none."""
    found = [
        next((int(t[5:]) - 1 for t in d.tags.split(";") if t.startswith("zone-")), 0) for d in city
    ]
    return np.array(found, np.intp)


_KINDS = ("river-gauge", "flood-sensor", "weather-station", "water-meter", "paddy-node")

_DECIMALS = {
    "water.level": 2, "flood.depth": 3, "flood.detected": 0, "paddy.depth": 3,
    "water.temperature": 2, "rain.intensity": 1, "rain.cumulative": 1, "air.temperature": 2,
    "air.relativeHumidity": 1, "air.pressure": 1, "wind.speed": 1, "wind.direction": 0,
    "water.total": 3, "water.leak": 0, "water.flow": 5, "water.pressure": 0, "gate.position": 0,
    "air.co2": 0, "light.intensity": 0, "soil.moisture": 1, "position.latitude": 6,
    "position.longitude": 6, "animal.temperature": 2, "trap.triggered": 0,
    "battery.voltage": 3, "radio.rssi": 0,
}  # fmt: skip
