"""What the registry says of a device, as the API shows it to staff.

Plain values in, plain values out. The dataclasses here are the API's types as they stand; those of
`devices` that they hold are, too. Refuses to know where they come from and who looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from devices.datum import Datum
from devices.maintenance import Maintenance, at
from devices.open_data import OpenData
from devices.places import lineage
from devices.registry import Device, RegistrySnapshot
from devices.units import Unit


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """A place in service or out of it, with the unit that is in it. Times are ms UTC.

    ``is_in_maintenance``: staff work at it now.
    """

    id: int
    name: str
    kind: str
    label: str
    label_en: str
    site: str
    area: str
    latitude: float | None
    longitude: float | None
    interval_s: int
    intervals: Mapping[str, int]
    active_from: float | None
    silence_after_s: float
    thresholds: Mapping[str, float]
    tags: tuple[str, ...]
    gateway: str | None
    owner: str | None
    open_data: OpenData
    registered_at: int
    decommissioned_at: int | None
    unit: Unit | None
    datum: Datum | None
    is_in_maintenance: bool


@dataclass(frozen=True, slots=True)
class DeviceRecord(RegisteredDevice):
    """A device with its history: all units, datums and windows of maintenance, oldest first.

    ``carries`` names the devices that this one speaks for.
    """

    units: tuple[Unit, ...]
    datums: tuple[Datum, ...]
    maintenance: tuple[Maintenance, ...]
    carries: tuple[str, ...]


_Word = Annotated[str, Field(max_length=200)]


class Wanted(BaseModel):
    """Which devices a list is about; what is empty or None does not restrict it.

    ``q`` is looked for in name, labels, site, serial number and DevEUI, whatever the case. An area
    stands for all that lie in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: _Word = ""
    kind: _Word = ""
    area: _Word = ""
    site: _Word = ""
    owner: _Word = ""
    tag: _Word = ""
    gateway: _Word = ""
    service: Literal["in", "out", "all"] = "in"
    has_unit: bool | None = None
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


_OF_DEVICE = tuple(
    field.name
    for field in fields(RegisteredDevice)
    if field.name not in ("unit", "datum", "is_in_maintenance")
)


def registered(device: Device, registry: RegistrySnapshot, now: int) -> RegisteredDevice:
    """The device as a list shows it."""
    return RegisteredDevice(**_values(device, registry, now))


def record(
    device: Device, registry: RegistrySnapshot, units: tuple[Unit, ...], now: int
) -> DeviceRecord:
    """The device with its history."""
    return DeviceRecord(
        **_values(device, registry, now),
        units=units,
        datums=registry.datums.get(device.id, ()),
        maintenance=registry.maintenance.get(device.id, ()),
        carries=tuple(
            sorted(
                other.name
                for other in registry.devices.values()
                if other.gateway == device.name and other.decommissioned_at is None
            )
        ),
    )


def _values(device: Device, registry: RegistrySnapshot, now: int) -> dict[str, Any]:
    values = {name: getattr(device, name) for name in _OF_DEVICE}
    datums = registry.datums.get(device.id, ())
    windows = registry.maintenance.get(device.id, ())
    return values | {
        "unit": registry.unit_in.get(device.id),
        "datum": datums[-1] if datums else None,
        "is_in_maintenance": at(windows, now) is not None,
    }


def selected(
    registry: RegistrySnapshot, wanted: Wanted, may_see: Callable[[Device], bool]
) -> list[Device]:
    """The devices that are wanted and may be seen, by name."""
    tests = tuple(_tests(registry, wanted))
    found = (d for d in registry.devices.values() if may_see(d) and all(is_(d) for is_ in tests))
    return sorted(found, key=lambda device: device.name)


def _tests(registry: RegistrySnapshot, wanted: Wanted) -> Iterator[Callable[[Device], bool]]:
    exact = {n: v for n in ("kind", "site", "owner", "gateway") if (v := getattr(wanted, n))}
    if exact:
        yield lambda d: all(getattr(d, name) == value for name, value in exact.items())
    if wanted.area:
        yield lambda d: wanted.area == d.area or wanted.area in lineage(registry.areas, d.area)
    if wanted.tag:
        yield lambda d: wanted.tag in d.tags
    if wanted.service != "all":
        yield lambda d: (d.decommissioned_at is None) is (wanted.service == "in")
    if wanted.has_unit is not None:
        yield lambda d: (d.id in registry.unit_in) is wanted.has_unit
    if wanted.q:
        part = wanted.q.casefold()
        yield lambda d: any(part in text.casefold() for text in _texts(d, registry))


def _texts(device: Device, registry: RegistrySnapshot) -> Iterator[str]:
    yield from (device.name, device.label, device.label_en, device.site)
    unit = registry.unit_in.get(device.id)
    if unit is not None:
        yield from (text for text in (unit.serial_number, unit.dev_eui) if text)
