"""What the reopened store holds against what the broker acknowledged to the publishers.

Refuses to know how fast it was. Each message carries a time that its device never uses again, so a
reading is lost when its time is missing and repeated when its time stands there twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.options import URGENT_EVERY, Options
from bench.subject import QUANTITIES, device_name
from devices.frames import Lane
from devices.readings import Int64s
from devices.registry import RegistrySnapshot
from ingest.stores.series_store import SeriesStore

_TIME_BITS = 36
"""Of a key of series and time: ms of two years, and 2**27 series."""


@dataclass(frozen=True, slots=True)
class Count:
    """Readings of one quantity: acknowledged, missing, there twice, there without being wanted."""

    expected: int
    lost: int
    repeated: int
    unexpected: int


def expected_per_device(devices: int, acknowledged: Sequence[int]) -> Int64s:
    """Messages that each device must have in the store, int64 (devices,).

    ``acknowledged[i]`` counts connection i's PUBACKs; it serves devices i, i + c, i + 2c, …
    """
    expected = np.zeros(devices, np.int64)
    connections = len(acknowledged)
    for first, count in enumerate(acknowledged):
        own = np.arange(first, devices, connections)
        if len(own):
            expected[own] = count // len(own)
            expected[own[: count % len(own)]] += 1
    return expected


def compare(
    store: SeriesStore,
    registry: RegistrySnapshot,
    options: Options,
    acknowledged: Sequence[int],
) -> Mapping[str, Count]:
    """A count for each quantity that was published."""
    wanted = expected_per_device(options.devices, acknowledged) * options.readings_per_message
    is_urgent = np.arange(options.devices) % URGENT_EVERY == 0
    everybody = np.ones(options.devices, np.bool_)
    publishers = {
        QUANTITIES[Lane.URGENT]: is_urgent,
        QUANTITIES[Lane.ROUTINE]: ~is_urgent,
        "battery.voltage": everybody,
        "radio.rssi": everybody,
    }
    return {
        quantity: _count(store, registry, quantity, np.flatnonzero(who), wanted)
        for quantity, who in publishers.items()
    }


def _count(
    store: SeriesStore,
    registry: RegistrySnapshot,
    quantity: str,
    publishers: Int64s,
    wanted: Int64s,
) -> Count:
    numbers = publishers.tolist()
    devices = [registry.by_name[device_name(number)].id for number in numbers]
    series = np.array([registry.series.get((device, quantity), -1) for device in devices])
    width = int(max(series.max(initial=0), 0)) + 1
    found, distinct = np.zeros(width, np.int64), np.zeros(width, np.int64)
    for batch in store.scan(series[series >= 0].tolist(), 0, 1 << 52):
        ids = batch.series.astype(np.int64)
        found += np.bincount(ids, minlength=width)
        keys = np.unique(ids << _TIME_BITS | batch.measured_at - int(batch.measured_at.min()))
        distinct += np.bincount(keys >> _TIME_BITS, minlength=width)
    has = np.where(series >= 0, distinct[series], 0)  # -1 takes the last one, and is not taken
    due = wanted[publishers]
    return Count(
        expected=int(due.sum()),
        lost=int(np.maximum(due - has, 0).sum()),
        repeated=int((found - distinct).sum()),
        unexpected=int(np.maximum(has - due, 0).sum()),
    )
