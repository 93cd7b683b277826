"""Which devices of the simulated city speak LoRaWAN, by which gateways, and as which models.

Every fifth river gauge and every sixth flood sensor from the second on, all of the vendor *kawa*
(``vendors/``). Refuses to know network servers and the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final

from firmware_sim.city import CityDevice
from firmware_sim.network_dialects import Node
from firmware_sim.network_servers import Gateway, Station

MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {"river-gauge": "kawa-10", "flood-sensor": "kawa-11"}
)
"""The model of each kind that speaks LoRaWAN."""
_EVERY: Final = {"river-gauge": 5, "flood-sensor": 6}


def stations(city: Sequence[CityDevice]) -> list[Station]:
    """The devices that hang on a network server; their DevEUIs follow from their order."""
    chosen = [
        device
        for kind, step in _EVERY.items()
        for device in islice((d for d in city if d.kind == kind), 1, None, step)
    ]
    return [
        Station(
            Node(device.name, f"025A70FFFE{n:06X}", model=MODELS[device.kind]),
            device.kind,
            device.latitude,
            device.longitude,
        )
        for n, device in enumerate(chosen, 1)
    ]


def gateways(city: Iterable[CityDevice]) -> list[Gateway]:
    """LoRaWAN gateways stand where the city's other gateways stand."""
    places = [(d.latitude, d.longitude) for d in city if d.kind == "gateway"]
    return [Gateway(f"025a70fffd{n:06x}", *place) for n, place in enumerate(places, 1)]
