"""A small world for the engine's tests: devices, a registry without a database, frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from devices.frames import ReadingsFrame, Receipts, SeriesDefinition
from devices.kinds import KINDS
from devices.readings import Readings, readings_from_columns
from devices.registry import Device, RegistrySnapshot

Row = tuple[int, int, int, float, int]
"""(series, measured_at, received_at, value, quality)."""


def device(
    number: int,
    kind: str = "river-gauge",
    *,
    name: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    silence_after_s: float = 1800.0,
    area: str = "川内",
    tags: tuple[str, ...] = (),
    decommissioned_at: int | None = None,
    intervals: Mapping[str, int] | None = None,
    active_from: float | None = None,
) -> Device:
    """A device in service with registry id ``number``."""
    own = name or f"{kind}-{number}"
    return Device(
        number, own, kind, f"{own}地点", f"Station {own}", "", area, 31.8, 130.3, 600,
        silence_after_s, dict(thresholds or {}), tags, None, None, 0, decommissioned_at,
        dict(intervals or {}), active_from,
    )  # fmt: skip


def registry(devices: Iterable[Device], revision: int = 1) -> RegistrySnapshot:
    """The devices with all series of their kinds; series ids are 20 a device, see ``series``."""
    by_id = {d.id: d for d in devices}
    definitions = [
        SeriesDefinition(series(d, quantity), d.id, d.name, d.kind, quantity)
        for d in by_id.values()
        for quantity in KINDS[d.kind].quantities
    ]
    return RegistrySnapshot(
        revision,
        by_id,
        {d.name: d for d in by_id.values()},
        {(d.device, d.quantity): d.series for d in definitions},
        {d.series: d for d in definitions},
    )


def series(of: Device, quantity: str) -> int:
    """The series id of a quantity of a device in ``registry``."""
    return of.id * 20 + KINDS[of.kind].quantities.index(quantity)


def frame(rows: Iterable[Row]) -> ReadingsFrame:
    """A readings frame; the receipts say nothing."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    return frame_of(readings_from_columns(*columns))


def frame_of(readings: Readings) -> ReadingsFrame:
    """A readings frame around a batch; the receipts say nothing."""
    nothing = Receipts(
        "", np.zeros(0, np.uint16), np.zeros(0, np.uint64), np.zeros(0, np.int32),
        np.zeros(0, np.int64),
    )  # fmt: skip
    return ReadingsFrame(readings, nothing)
