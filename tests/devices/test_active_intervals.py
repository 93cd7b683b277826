"""Limits of silence by state: shorter while a device is active, never longer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devices.active_intervals import active_limits
from devices.drafts import DeviceDraft
from devices.registry import Device, Registry

NOW = 1_767_225_600_000


def test_a_level_that_nobody_gave_is_the_lowest_threshold(registry: Registry) -> None:
    drafts = [
        DeviceDraft("A", "river-gauge", intervals={"active": 60}, thresholds={"caution": 3.0}),
        DeviceDraft("B", "river-gauge", intervals={"active": 60}, active_from=1.5),
        DeviceDraft("C", "river-gauge", intervals={"active": 60}),
        DeviceDraft("D", "river-gauge", thresholds={"caution": 3.0}),
    ]
    snapshot = registry.register(drafts, NOW)
    limits = active_limits(enumerate(snapshot.devices.values()), snapshot.series)
    assert limits.active_from.tolist() == [3.0, 1.5], "without a level there is none to be over"
    assert limits.after_ms.tolist() == [180_000, 180_000]
    assert limits.place.tolist() == [0, 1]


@given(
    st.lists(st.floats(-5, 5) | st.just(float("nan")), max_size=60),
    st.lists(st.integers(1, 10**9), min_size=3, max_size=3),
)
def test_a_limit_is_shortened_where_a_device_is_active_and_nowhere_else(
    values: list[float], normal: list[int]
) -> None:
    series = {(k, "water.level"): 7 * k for k in range(3)}
    devices = [(k, _gauge(k)) for k in range(3)]
    limits = active_limits(devices, series)
    found = limits.applied(np.array(normal, np.int64), np.array(values, np.float64))
    for k in range(3):
        is_active = 7 * k < len(values) and values[7 * k] >= 1.5
        assert found[k] == (min(normal[k], 1_800_000) if is_active else normal[k])


def _gauge(number: int) -> Device:
    return Device(
        number, f"g{number}", "river-gauge", "", "", "", "", None, None, 86_400, 259_200.0,
        {}, (), None, None, 0, None, {"normal": 86_400, "active": 600}, 1.5,
    )  # fmt: skip
