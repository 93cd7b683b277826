"""SenML of devices and gateways: who is meant, and whose clock it is."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from devices.payload import NO_TIME, QUANTITY_NAMES
from devices.readings import Quality
from devices.registry import Device, RegistrySnapshot
from devices.snapshot import EMPTY
from ingest.decode import Decoded, Decoder

T = 1_767_225_600_000
CLOCK = int(Quality.CLOCK)


def device(number: int, name: str, kind: str, gateway: str | None = None) -> Device:
    return Device(
        id=number, name=name, kind=kind, label=name, label_en="", site="", area="", latitude=None,
        longitude=None, interval_s=600, silence_after_s=1800.0, thresholds={}, tags=(),
        gateway=gateway, owner=None, registered_at=0, decommissioned_at=None,
    )  # fmt: skip


DEVICES = (
    device(0, "R-1", "river-gauge"), device(1, "W-1", "water-meter", "G-1"),
    device(2, "G-1", "gateway"), device(3, "W-2", "water-meter", "G-2"),
)  # fmt: skip
SNAPSHOT = RegistrySnapshot(
    1, {d.id: d for d in DEVICES}, {d.name: d for d in DEVICES}, EMPTY.series, EMPTY.definitions
)


def decoded(topic: str, pack: list[dict[str, Any]]) -> Decoded:
    return Decoder(SNAPSHOT).decode(
        [topic.encode()], [json.dumps(pack).encode()], np.array([T], np.int64)
    )


def owners(found: Decoded) -> list[tuple[int, str, float]]:
    names = [QUANTITY_NAMES[code] for code in found.quantity]
    return list(zip(found.owner.tolist(), names, found.value.tolist(), strict=True))


def test_a_gateways_pack_is_about_the_device_that_it_names() -> None:
    found = decoded(
        "field/v1/gateway/G-1/up/routine", [{"bn": "W-1/", "n": "water.total", "v": 12.5}]
    )
    assert owners(found) == [(1, "water.total", 12.5)]
    assert found.sender.tolist() == [2]


def test_a_gateways_pack_about_what_it_may_not_carry_is_refused() -> None:
    for name, reason in (("W-2", "not_carried"), ("nobody", "unknown_device")):
        found = decoded(
            "field/v1/gateway/G-1/up", [{"n": f"urn:dev:{name}:water.total", "v": 12.5}]
        )
        assert owners(found) == []
        assert [refused.reason for _, refused in found.rejected] == [reason]


def test_a_devices_pack_is_about_itself_whatever_it_calls_itself() -> None:
    found = decoded(
        "field/v1/river-gauge/R-1/up",
        [{"bn": "urn:dev:mac:0024befffe804ff1:", "n": "water.level", "v": 1.5}],
    )
    assert owners(found) == [(0, "water.level", 1.5)]
    assert found.rejected == []


def test_a_pack_of_a_device_about_several_is_none_of_its_own() -> None:
    """Two names in one pack are two places; which of them is the device is not known."""
    found = decoded(
        "field/v1/river-gauge/R-1/up",
        [{"n": "a/water.level", "v": 1.5}, {"n": "b/water.level", "v": 2.5}],
    )
    assert owners(found) == []
    assert [refused.reason for _, refused in found.rejected] == ["unknown_device"]


def test_a_time_counted_from_now_is_no_clock_of_the_device() -> None:
    found = decoded(
        "field/v1/river-gauge/R-1/up",
        [{"n": "water.level", "t": -600, "v": 1.5}, {"n": "water.level", "t": T // 1000, "v": 1.6}],
    )
    assert found.measured_at.tolist() == [T - 600_000, T]
    assert found.quality.tolist() == [CLOCK, 0]
    assert found.own_time.tolist() == [NO_TIME, T]
    assert found.received_at.tolist() == [T, T]
