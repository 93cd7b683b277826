"""What follows from a distance to the water and the height of the sensor: level and depth.

    sensor ─┬─          mounting height above the gauge's zero, the road or the field
            │ distance
    water  ─┴─ ┬─       water.level (river-gauge), flood.depth (flood-sensor),
               │        paddy.depth (paddy-node) = mounting height − distance
    zero   ────┴─

The height is that of the datum which held when it was measured. A message that brings the derived
quantity itself is believed. Where the height is in doubt (before the first datum, or after one that
does not say it) the nearest one that is known is taken and the reading flagged DATUM; where none is
known nothing is derived and the device's remarks say ``no_datum``. The distance stays as it came.

A depth just below zero is a dry road: up to the tolerance of `flood.depth` it is 0, further below
it stays and is out of range. A sensor that has no echo says 0, or more than there can be: what is
derived from that is flagged RANGE, as it would look like water up to the sensor.

Pure and vectorised; costs one comparison where no distance came. Refuses to know series, the
journal and rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.datum import Datum
from devices.outcomes import Remark
from devices.payload import QUANTITY_CODES
from devices.quantities import QUANTITIES
from devices.readings import Float64s, Indices, Int32s, Int64s, Quality
from devices.registry import RegistrySnapshot
from ingest.decode import Decoded

DERIVED: Final[Mapping[str, str]] = MappingProxyType(
    {"river-gauge": "water.level", "flood-sensor": "flood.depth", "paddy-node": "paddy.depth"}
)
"""Kind of device → what its distance to the water tells."""

_DISTANCE: Final = np.uint8(QUANTITY_CODES["water.distance"])
_DEPTH: Final = np.uint8(QUANTITY_CODES["flood.depth"])
_FARTHEST_M: Final = QUANTITIES["water.distance"].high
_DRY_M: Final = QUANTITIES["flood.depth"].low
_RANGE: Final = np.uint8(Quality.RANGE)
_DATUM: Final = np.uint8(Quality.DATUM)
_NOTHING: Final = -1
_ALWAYS: Final = -(2**62)
_DECIMALS: Final = 6  # of metres; what lies behind is the noise of doubles


class Derivation:
    """Adds derived values to decoded ones, as the registry's datums stand."""

    def __init__(self, snapshot: RegistrySnapshot) -> None:
        size = max(snapshot.devices, default=-1) + 1
        self._target = np.full(size, _NOTHING, np.int16)
        heights: dict[int, list[tuple[int, float, bool]]] = {}
        for device in snapshot.devices.values():
            if device.kind in DERIVED:
                self._target[device.id] = QUANTITY_CODES[DERIVED[device.kind]]
                heights[device.id] = list(_heights(snapshot.datums.get(device.id, ())))
        lengths = [len(heights.get(device, ())) for device in range(size)]
        self._count = np.array(lengths, np.intp)
        self._first = np.array([0, *accumulate(lengths)][:size], np.intp)
        rows = list(chain.from_iterable(heights[device] for device in sorted(heights)))
        self._since = np.array([since for since, _, _ in rows], np.int64)
        self._height_m = np.array([height for _, height, _ in rows], np.float64)
        self._is_doubtful = np.array([doubt for _, _, doubt in rows], np.bool_)

    def add(self, decoded: Decoded) -> Decoded:
        """The same with what follows from distances, in rows behind the others."""
        is_distance = decoded.quantity == _DISTANCE
        if not is_distance.any():
            return decoded
        rows = np.flatnonzero(is_distance)
        rows = rows[self._target[decoded.owner[rows]] != _NOTHING]
        rows = self._not_brought(decoded, rows)
        if not len(rows):
            return decoded
        is_placed = self._count[decoded.owner[rows]] > 0
        unplaced, rows = rows[~is_placed], rows[is_placed]
        remarks = [*decoded.remarks, *_without_datum(decoded, unplaced)]
        at = self._heights_at(decoded.owner[rows], decoded.measured_at[rows])
        return _extended(decoded, rows, self._target, self._height_m[at], self._is_doubtful[at],
                         remarks)  # fmt: skip

    def _not_brought(self, decoded: Decoded, rows: Indices) -> Indices:
        """Of distances those that came without the quantity which would follow from them."""
        is_target = decoded.quantity == self._target[decoded.owner]
        if not is_target.any():
            return rows
        brought = set(zip(decoded.owner[is_target].tolist(),
                          decoded.measured_at[is_target].tolist(), strict=True))  # fmt: skip
        pairs = zip(decoded.owner[rows].tolist(), decoded.measured_at[rows].tolist(), strict=True)
        return rows[np.fromiter((pair not in brought for pair in pairs), np.bool_, len(rows))]

    def _heights_at(self, device: Int32s, at: Int64s) -> Indices:
        """Rows of the datums that held; each device has some, the first from always on."""
        first, count = self._first[device], self._count[device]
        found = first.copy()
        for k in range(1, int(count.max(initial=0))):  # few: a station is seldom levelled anew
            row = np.minimum(first + k, first + count - 1)
            found = np.where(self._since[row] <= at, row, found)
        return found


def _heights(datums: Sequence[Datum]) -> Iterator[tuple[int, float, bool]]:
    """(since, mounting height, whether it is in doubt), for all time; nothing if none is known."""
    known = next((d.mounting_height_m for d in datums if d.mounting_height_m is not None), None)
    if known is None:
        return
    yield _ALWAYS, known, True
    for datum in datums:
        is_known = datum.mounting_height_m is not None
        known = datum.mounting_height_m if datum.mounting_height_m is not None else known
        yield datum.since, known, not is_known


def _without_datum(decoded: Decoded, rows: Indices) -> Iterator[tuple[int, Remark]]:
    """One remark a device, with its last distance."""
    last = dict(zip(decoded.owner[rows].tolist(), decoded.value[rows].tolist(), strict=True))
    for device, distance in last.items():
        yield device, Remark('v["water.distance"]', f"{distance:g}", "no_datum")


def _extended(
    decoded: Decoded,
    rows: Indices,
    target: NDArray[np.int16],
    height_m: Float64s,
    is_doubtful: NDArray[np.bool_],
    remarks: list[tuple[int, Remark]],
) -> Decoded:
    owner, distance = decoded.owner[rows], decoded.value[rows]
    quantity = target[owner].astype(np.uint8)
    is_no_echo = (distance <= 0) | (distance > _FARTHEST_M)
    doubts = np.where(is_doubtful, _DATUM, 0) | np.where(is_no_echo, _RANGE, 0)
    value = np.round(height_m - distance, _DECIMALS)
    is_dry = (quantity == _DEPTH) & (value < 0) & (value >= _DRY_M)
    return replace(
        decoded,
        owner=np.r_[decoded.owner, owner],
        sender=np.r_[decoded.sender, decoded.sender[rows]],
        quantity=np.r_[decoded.quantity, quantity],
        measured_at=np.r_[decoded.measured_at, decoded.measured_at[rows]],
        received_at=np.r_[decoded.received_at, decoded.received_at[rows]],
        value=np.r_[decoded.value, np.where(is_dry, 0.0, value)],
        quality=np.r_[decoded.quality, decoded.quality[rows] | doubts.astype(np.uint8)],
        remarks=remarks,
    )
