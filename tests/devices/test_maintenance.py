"""Windows of maintenance: noted beforehand, ended early, never changed afterwards."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from devices.drafts import DeviceDraft
from devices.maintenance import Maintenance, MaintenanceError, at
from devices.registry import Registry

NOW = 1_767_225_600_000
HOUR = 3_600_000


@pytest.fixture
def device(registry: Registry) -> int:
    return registry.register([DeviceDraft("R-001", "river-gauge")], NOW).by_name["R-001"].id


def plan(
    registry: Registry, device: int, start: int, end: int, reason: str = "点検"
) -> Maintenance:
    return registry.plan_maintenance(
        device, starts_at=start, ends_at=end, reason=reason, noted_by="鈴木", now=NOW
    )


def test_a_window_holds_from_its_start_and_not_at_its_end(registry: Registry, device: int) -> None:
    window = plan(registry, device, NOW + HOUR, NOW + 2 * HOUR)
    known = registry.snapshot().maintenance[device]
    assert known == (window,)
    assert at(known, NOW + HOUR - 1) is None
    assert at(known, NOW + HOUR) == window
    assert at(known, NOW + 2 * HOUR) is None


def test_a_cancelled_window_ends_there_and_stays_on_record(registry: Registry, device: int) -> None:
    window = plan(registry, device, NOW, NOW + 2 * HOUR)
    ended = registry.cancel_maintenance(device, window.id, NOW + HOUR)
    assert ended is not None
    assert (ended.holds_at(NOW + HOUR - 1), ended.holds_at(NOW + HOUR)) == (True, False)
    assert registry.cancel_maintenance(device, window.id, NOW + HOUR) is None
    assert registry.snapshot().maintenance[device] == (ended,)


def test_a_window_of_another_device_is_not_ended(registry: Registry, device: int) -> None:
    other = registry.register([DeviceDraft("R-002", "river-gauge")], NOW).by_name["R-002"].id
    window = plan(registry, device, NOW, NOW + HOUR)
    assert registry.cancel_maintenance(other, window.id, NOW) is None


def test_every_process_sees_every_window(registry: Registry, device: int, database: Engine) -> None:
    other = Registry(database)
    later = plan(registry, device, NOW + 5 * HOUR, NOW + 6 * HOUR)
    assert other.snapshot() == registry.snapshot()
    sooner = plan(registry, device, NOW, NOW + HOUR)
    assert other.snapshot().maintenance[device] == (sooner, later)
    registry.cancel_maintenance(device, later.id, NOW)
    assert other.snapshot() == registry.snapshot() == Registry(database).snapshot()


@pytest.mark.parametrize(
    ("start", "end", "reason", "words"),
    [
        (NOW, NOW, "点検", "must be after"),
        (NOW + 2, NOW + 1, "点検", "must be after"),
        (NOW - 2, NOW, "点検", "is over"),
        (NOW, NOW + 367 * 24 * HOUR, "点検", "at most 366 days"),
        (NOW, NOW + HOUR, "", "printable"),
        (NOW, NOW + HOUR, "x" * 201, "printable"),
        (NOW, NOW + HOUR, "a\nb", "printable"),
    ],
)
def test_a_window_that_cannot_be_is_refused(
    registry: Registry, device: int, start: int, end: int, reason: str, words: str
) -> None:
    with pytest.raises(MaintenanceError, match=words):
        plan(registry, device, start, end, reason)
    assert registry.snapshot().maintenance == {}
