"""What the reopened store holds against what the broker acknowledged to the publishers.

Refuses to know how fast it was. Each message carries a time that its device never uses again, so a
reading is lost when its time is missing and repeated when its time stands there twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.counting import Counter
from bench.options import URGENT_EVERY, Options
from bench.subject import QUANTITIES, device_name
from devices.frames import Lane
from devices.readings import Int64s


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


def compare(counter: Counter, options: Options, acknowledged: Sequence[int]) -> Mapping[str, Count]:
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
        quantity: _count(counter, quantity, np.flatnonzero(who), wanted)
        for quantity, who in publishers.items()
    }


def _count(counter: Counter, quantity: str, publishers: Int64s, wanted: Int64s) -> Count:
    names = [device_name(number) for number in publishers.tolist()]
    found, distinct = counter.count(quantity, names)
    due = wanted[publishers]
    return Count(
        expected=int(due.sum()),
        lost=int(np.maximum(due - distinct, 0).sum()),
        repeated=int((found - distinct).sum()),
        unexpected=int(np.maximum(distinct - due, 0).sum()),
    )
