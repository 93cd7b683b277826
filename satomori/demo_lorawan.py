"""The LoRaWAN stations of a demo: a network server's settings, their units, their vendor's codecs.

What two IT people would do by `satomori devices` and `satomori codecs`, done for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import structlog

import firmware_sim
from dashboards import codecs_admin
from devices.codecs import codec_store
from devices.codecs.mapping import Entry, QuantityMapping
from devices.registry import Registry
from devices.units import UnitDraft
from firmware_sim import city, lorawan_city
from satomori.clock import now_ms
from satomori.codecs_import import import_codecs
from satomori.installation import Installation
from satomori.simulate import CHIRPSTACK_APPLICATION

log = structlog.get_logger()

LORA_NETWORK: Final[dict[str, Any]] = {
    "name": "demo-lora",
    "kind": "chirpstack",
    "urgent_applications": (CHIRPSTACK_APPLICATION,),
}
_VENDORS: Final = Path(firmware_sim.__file__).parent / "vendors" / "lorawan-devices"
_BATTERY: Final = Entry("battery_v", "battery.voltage")
_MAPPINGS: Final = {
    "kawa/kawa-10-codec": QuantityMapping((Entry("water_level_m", "water.level"), _BATTERY)),
    "kawa/kawa-11-codec": QuantityMapping(
        (
            Entry("flood_depth_m", "flood.depth"),
            Entry("flood_detected", "flood.detected"),
            _BATTERY,
        )
    ),
}


async def register_lorawan(place: Installation, seed: int) -> None:
    """Give the simulated LoRaWAN stations their units and codecs; what is there already stays."""
    database = place.open_database()
    try:
        known = {record.name for record in codec_store.records(database)}
        if not set(_MAPPINGS) <= known:
            await import_codecs(database, _VENDORS, "", now_ms(), lambda _count, _name: None)
            for name, mapping in _MAPPINGS.items():
                codecs_admin.set_mapping(
                    database, name, mapping, person=None, by=codecs_admin.COMMAND_LINE, now=now_ms()
                )
        _install_units(Registry(database), seed)
    finally:
        database.dispose()


def _install_units(registry: Registry, seed: int) -> None:
    snapshot, now = registry.snapshot(), now_ms()
    installed = 0
    for station in lorawan_city.stations(city.devices(seed=seed)):
        node = station.node
        device = snapshot.by_name.get(node.name)
        if device is None or device.id in snapshot.unit_in:
            continue
        draft = UnitDraft(
            dev_eui=node.dev_eui, model=node.model, codec=f"{node.brand}/{node.model}-codec"
        )
        registry.install_unit(device.id, draft, now)
        installed += 1
    if installed:
        log.info("demo.lorawan.registered", devices=installed)
