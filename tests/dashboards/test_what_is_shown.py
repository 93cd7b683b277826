"""Pure rules: states of stations, latest values, permissions, processes, metrics, pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.ledger import Alarm
from dashboards.board import Board
from dashboards.guards import content_security_policy
from dashboards.latest import NEVER, LatestValues
from dashboards.permissions import Role, View, may_see_quantity, view_of
from dashboards.processes import Status, clock, process_report
from dashboards.routes.alarms import masked
from dashboards.stations import Condition, Latest, condition
from devices.kinds import KINDS
from devices.quantities import QUANTITIES
from devices.readings import Quality, Readings, readings_from_columns
from tests.dashboards.conftest import START, House

GOOD = Latest(1, 2.0, START, 0)
SPIKE = Latest(1, 20.0, START, int(Quality.SPIKE))


def alarm(stage: str, level: int, **more: Any) -> Alarm:
    values: dict[str, Any] = {
        "id": f"{stage}-{level}", "revision": 1, "rule": "r", "rule_kind": "stages", "device": 1,
        "series": 1, "state": "active", "level": level, "stage": stage, "value": None,
        "peak_level": level, "peak_value": None, "opened_at": START, "changed_at": START + level,
        "cleared_at": None, "acknowledged_at": None, "acknowledged_by": None,
        "acknowledge_comment": None, "is_verified": True, "is_historic": False,
        "is_exercise": False, "acknowledged_by_name": None,
    }  # fmt: skip
    return Alarm(**values | more)


SILENCE = alarm("silent", 1, rule_kind="silence", series=None, opened_at=START + 99)


@pytest.mark.parametrize(
    ("alarms", "main", "is_silent", "expected"),
    [
        ([], GOOD, False, Condition("normal", 0, None)),
        ([], SPIKE, False, Condition("suspect", 0, START)),
        ([], GOOD, True, Condition("unknown", 0, None)),
        ([], None, True, Condition("unknown", 0, None)),
        ([SILENCE], GOOD, False, Condition("unknown", 0, START + 99)),
        ([alarm("caution", 2)], GOOD, False, Condition("caution", 2, START + 2)),
        ([alarm("caution", 2)], SPIKE, False, Condition("caution", 2, START + 2)),
        ([alarm("caution", 2), alarm("danger", 4)], GOOD, False, Condition("danger", 4, START + 4)),
        ([alarm("danger", 4), SILENCE], GOOD, False, Condition("unknown", 4, START + 99)),
        ([alarm("danger", 4)], GOOD, True, Condition("unknown", 4, None)),
        ([alarm("closed", 4)], GOOD, False, Condition("closed", 4, START + 4)),
        ([alarm("wet", 2, rule_kind="event")], GOOD, False, Condition("caution", 2, START + 2)),
        (
            [alarm("triggered", 3, rule_kind="event")],
            GOOD,
            False,
            Condition("triggered", 3, START + 3),
        ),
        ([alarm("danger", 4, is_exercise=True)], GOOD, False, Condition("normal", 0, None)),
        ([alarm("danger", 4, is_exercise=True)], SPIKE, False, Condition("suspect", 0, START)),
    ],
)
def test_state_of_a_station(
    alarms: list[Alarm], main: Latest | None, is_silent: bool, expected: Condition
) -> None:
    """Silence before alarm, alarm before suspicion; a drill never colours the map."""
    assert condition(alarms, main, is_silent=is_silent, cleared_at=None) == expected


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.floats(-1e6, 1e6)), max_size=40)


def batch_of(of: list[tuple[int, int, float]]) -> Readings:
    series, at, value = zip(*of, strict=True) if of else ((), (), ())
    return readings_from_columns(list(series), list(at), list(at), list(value), [0] * len(of))


@given(rows, st.integers(0, 40))
def test_latest_is_the_newest_and_of_equals_the_last(
    of: list[tuple[int, int, float]], cut: int
) -> None:
    """However the rows are cut into batches."""
    expected: dict[int, tuple[int, float]] = {}
    for series, at, value in of:
        if series not in expected or at >= expected[series][0]:
            expected[series] = (at, value)
    latest = LatestValues()
    for part in (of[:cut], of[cut:]):
        latest.take(batch_of(part))
    known = {
        s: (int(latest.measured_at[s]), float(latest.value[s]))
        for s in range(len(latest.measured_at))
        if latest.measured_at[s] != NEVER
    }
    assert known == expected


@pytest.mark.parametrize("role", [Role.DISASTER, Role.PUBLIC, Role.AGRICULTURE])
def test_personal_quantities_are_nowhere_shown_to_those_roles(role: Role) -> None:
    class Device:
        def __init__(self, kind: str) -> None:
            self.kind, self.owner, self.open_data = kind, "somebody", "values"

    view = View(role)
    for kind in KINDS:
        for quantity in QUANTITIES.values():
            if quantity.is_personal or kind == "water-meter":
                assert not may_see_quantity(view, Device(kind), quantity.name)


def test_owner_without_a_name_owns_nothing_ownerless() -> None:
    class Ownerless:
        kind, owner, open_data = "trap", None, "none"

    assert not may_see_quantity(view_of("owner", ""), Ownerless(), "trap.triggered")


@pytest.mark.parametrize(
    ("age_ms", "pid", "lanes", "expected"),
    [
        (0, os.getpid(), {}, "up"),
        (5_000, os.getpid(), {}, "up"),
        (5_001, os.getpid(), {}, "stale"),
        (30_001, os.getpid(), {}, "down"),
        (0, 2**22 + 1, {}, "down"),
        (0, os.getpid(), {"urgent": {"journal_error": "disk full"}}, "stale"),
        (0, os.getpid(), {"urgent": {"is_fed": False}}, "stale"),
        (0, os.getpid(), {"urgent": {"journal_error": None, "is_fed": True}}, "up"),
    ],
)
def test_process_is_up_only_while_it_says_so_and_can_work(
    age_ms: int, pid: int, lanes: dict[str, Any], expected: str
) -> None:
    status = Status(START - age_ms, {"pid": pid, "lanes": lanes})
    assert process_report(status, START).state == expected


def test_broker_is_up_only_if_every_connection_is() -> None:
    def broker(**said: object) -> str:
        return clock({"intake": Status(START, said)}, START).broker

    assert broker(broker={"urgent": "up", "routine": "up"}) == "up"
    assert broker(broker={"urgent": "up", "routine": "down"}) == "down"
    assert broker(broker={}) == "down"
    assert broker() == "down"
    assert clock({}, START).broker == "unknown"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("hanako@city.jp", "h…@city.jp"),
        ("https://hooks.example.jp/services/SECRET?key=1", "https://hooks.example.jp/…"),
        ("https://user:secret@example.jp/x", "https://example.jp/…"),
        ("log", "log"),
    ],
)
def test_addresses_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_tiles_host_is_allowed_only_if_configured() -> None:
    without = content_security_policy("")
    assert "https:" not in without
    assert "worker-src 'self' blob:" in without
    assert "frame-ancestors 'none'" in without
    assert "img-src 'self' data: blob: https://t.jp" in content_security_policy("https://t.jp")


def test_board_is_encoded_once_a_version(house: House) -> None:
    """Equal bytes but for the time, until something changes."""
    board = Board()
    board.take_registry(house.registry.snapshot())
    view = View(Role.ADMIN)
    first = board.snapshot(view, START)
    assert board.snapshot(view, START) == first
    assert board.snapshot(view, START + 1) == first.replace(
        b'"at":%d' % START, b'"at":%d' % (START + 1)
    )
    board.take_readings(house.readings("gauge", "water.level", (START, 1.0)).readings)
    assert board.snapshot(view, START) != first


def test_reading_of_a_series_that_is_not_yet_known_appears_with_it(house: House) -> None:
    """Live may read a frame before it has read the registry's new revision."""
    board = Board()
    board.take_readings(house.readings("gauge", "water.level", (START, 1.5)).readings)
    board.take_registry(house.registry.snapshot())
    station = board.station(View(Role.ADMIN), house.device("gauge"))
    assert station is not None
    assert station.latest["water.level"].value == 1.5
    assert station.last_received_at == START
    assert station.state == "normal"


@pytest.fixture
def built_house(house: House, tmp_path: Path) -> House:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>page</title>")
    (static / "icon.svg").write_text("<svg/>")
    (static / "assets" / "main-abc123.js").write_text("1")
    (tmp_path / "secret.txt").write_text("not for you")
    house.static_dir = static
    return house


async def test_pages_are_served_with_the_right_caches(built_house: House) -> None:
    async with built_house.client() as client:
        page = await client.get("/")
        assert "<title>page" in page.text
        assert page.headers["cache-control"] == "no-cache"
        assert (await client.get("/stations/5?lang=en")).text == page.text
        asset = await client.get("/assets/main-abc123.js")
        assert "immutable" in asset.headers["cache-control"]
        assert "javascript" in asset.headers["content-type"]
        assert (await client.get("/assets/main-yesterday.js")).status_code == 404
        assert (await client.get("/icon.svg")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/%00"]
)
async def test_nothing_outside_the_built_app_is_served(built_house: House, path: str) -> None:
    async with built_house.client() as client:
        assert "not for you" not in (await client.get(path)).text


async def test_every_answer_carries_the_security_headers(built_house: House) -> None:
    async with built_house.client() as client:
        for path in ("/", "/api/health", "/api/me", "/nothing.js"):
            headers = (await client.get(path)).headers
            assert "https://tiles.example.jp" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
        assert (await client.get("/api/health")).headers["cache-control"] == "no-store"


async def test_ready_says_what_is_missing(house: House) -> None:
    async with house.client() as client:
        answer = await client.get("/api/ready")
        assert answer.status_code == 503
        reasons = answer.json()["reasons"]
        assert {"intake is down", "alerts is down", "broker is unknown"} <= set(reasons)
