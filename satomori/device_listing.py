"""What the device commands print, for people and for programs. Refuses to know how it came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from dashboards.japan_time import JAPAN
from dashboards.registered import DeviceRecord
from devices.csv_import import RowError
from devices.import_plan import Plan
from devices.registry import Device, RegistrySnapshot

_MANY: Final = 50  # changes that are shown one by one


@dataclass(frozen=True, slots=True)
class Import:
    """What an import did, or would do. With ``errors`` nothing was done."""

    plan: Plan
    errors: tuple[RowError, ...]
    is_dry_run: bool

    def as_json(self) -> str:
        """``{"devices", "new", "changed", "unchanged", "changes", "notices", "errors", …}``.

        ``changes`` are {line, name, columns}, ``errors`` {line, column, value, reason}.
        """
        return json.dumps(
            {
                "devices": self._devices,
                "new": len(self.plan.new),
                "changed": len(self.plan.changed),
                "unchanged": self.plan.unchanged,
                "changes": [asdict(change) for change in self.plan.changed],
                "notices": self.plan.notices,
                "errors": [asdict(error) for error in self.errors],
                "is_dry_run": self.is_dry_run,
            },
            ensure_ascii=False,
        )

    def as_text(self) -> str:
        """For people: every bad row by name, what would change, then what was done."""
        lines = [f"line {e.line}, {e.column} = {e.value!r}: {e.reason}" for e in self.errors]
        if self.is_dry_run and not self.errors:
            lines += [
                f"line {c.line}, {c.name}: {', '.join(c.columns)}"
                for c in self.plan.changed[:_MANY]
            ]
            if len(self.plan.changed) > _MANY:
                lines.append(f"and {len(self.plan.changed) - _MANY} more that would be changed")
        lines += [f"note: {notice}" for notice in self.plan.notices]
        if self.errors:
            lines.append(f"{len(self.errors)} errors: nothing was changed")
        else:
            done = "would be registered" if self.is_dry_run else "registered"
            lines.append(
                f"{self._devices} devices {done}: {len(self.plan.new)} new, "
                f"{len(self.plan.changed)} changed, {self.plan.unchanged} unchanged"
            )
        return "\n".join(lines)

    @property
    def _devices(self) -> int:
        return len(self.plan.new) + len(self.plan.changed) + self.plan.unchanged


@dataclass(frozen=True, slots=True)
class Listing:
    """Devices, and the registry that they are of."""

    devices: tuple[Device, ...]
    registry: RegistrySnapshot

    def as_json(self) -> str:
        """``{"devices": [{name, kind, label, area, …}]}``."""
        rows = []
        for d in self.devices:
            unit = self.registry.unit_in.get(d.id)
            rows.append(
                {
                    "id": d.id, "name": d.name, "kind": d.kind, "label": d.label, "site": d.site,
                    "area": d.area, "interval_s": d.interval_s, "thresholds": dict(d.thresholds),
                    "tags": d.tags, "gateway": d.gateway, "owner": d.owner,
                    "open_data": d.open_data, "decommissioned_at": d.decommissioned_at,
                    "dev_eui": unit.dev_eui if unit else None,
                    "codec": unit.codec if unit else None,
                }
            )  # fmt: skip
        return json.dumps({"devices": rows}, ensure_ascii=False)

    def as_text(self) -> str:
        """For people: a line a device."""
        return "\n".join(map(_line, self.devices))


@dataclass(frozen=True, slots=True)
class Record:
    """One device with its history."""

    device: DeviceRecord

    def as_json(self) -> str:
        """As the API's ``/api/devices/{name}``; times are ms UTC."""
        return json.dumps(asdict(self.device), ensure_ascii=False)

    def as_text(self) -> str:
        """For people: what it is, then its units, heights and maintenance, Japan's time."""
        d = self.device
        rows: list[tuple[str, Any]] = [
            ("name", d.name),
            ("kind", d.kind),
            ("label", f"{d.label} / {d.label_en}"),
            ("site", d.site),
            ("area", d.area),
            ("position", _position(d)),
            ("interval", _intervals(d)),
            ("silent after", f"{d.silence_after_s:g} s"),
            (
                "thresholds",
                "; ".join(f"{stage} {value:g}" for stage, value in d.thresholds.items()),
            ),
            ("tags", ", ".join(d.tags)),
            ("gateway", d.gateway),
            ("carries", ", ".join(d.carries)),
            ("owner", d.owner),
            ("open data", d.open_data),
            ("registered", _clock(d.registered_at)),
            ("out of service", d.decommissioned_at and _clock(d.decommissioned_at)),
        ]
        lines = [f"{name:<15}{value}" for name, value in rows if value]
        return "\n".join([*lines, *_units(d), *_datums(d), *_windows(d)])


def _line(device: Device) -> str:
    gone = "  (out of service)" if device.decommissioned_at is not None else ""
    return f"{device.name:<24} {device.kind:<20} {device.area:<10} {device.label}{gone}"


def _position(device: DeviceRecord) -> str:
    if device.latitude is None or device.longitude is None:
        return ""
    return f"{device.latitude:.6f}, {device.longitude:.6f}"


def _intervals(device: DeviceRecord) -> str:
    active = device.intervals.get("active")
    if active is None:
        return f"{device.interval_s} s"
    start = "its lowest threshold" if device.active_from is None else f"{device.active_from:g}"
    return f"{device.interval_s} s, {active} s from {start} on"


def _units(device: DeviceRecord) -> Iterator[str]:
    for unit in device.units:
        until = "" if unit.removed_at is None else _clock(unit.removed_at)
        known = (
            ("serial", unit.serial_number),
            ("DevEUI", unit.dev_eui),
            ("model", unit.model),
            ("codec", unit.codec),
            ("rollover at", unit.rollover_at),
            ("first reading", unit.initial_reading),
            ("last reading", unit.final_reading),
        )
        said = ", ".join(f"{name} {value}" for name, value in known if value is not None)
        yield f"{'unit':<15}{_clock(unit.installed_at)} – {until}  {said}".rstrip()


def _datums(device: DeviceRecord) -> Iterator[str]:
    for datum in device.datums:
        zero = "?" if datum.gauge_zero_m is None else f"{datum.gauge_zero_m:g}"
        height = "?" if datum.mounting_height_m is None else f"{datum.mounting_height_m:g}"
        since = _clock(datum.since) if datum.since else "the beginning"
        yield f"{'heights':<15}since {since}: zero T.P. {zero} m, sensor {height} m above"


def _windows(device: DeviceRecord) -> Iterator[str]:
    for window in device.maintenance:
        ended = "" if window.cancelled_at is None else f", ended {_clock(window.cancelled_at)}"
        by = f" ({window.noted_by})" if window.noted_by else ""
        span = f"{_clock(window.starts_at)} – {_clock(window.ends_at)}{ended}"
        yield f"{'maintenance':<15}{window.id}: {span}: {window.reason}{by}"


def _clock(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, JAPAN):%Y-%m-%d %H:%M}"
