"""A station that was overdue and speaks again: known with a fresh reading, and only by one."""

from __future__ import annotations

from dashboards.board import Board
from dashboards.permissions import Role, View
from devices.drafts import DeviceDraft
from tests.dashboards.conftest import START, House

DAY_MS = 86_400_000


def _state(board: Board, house: House) -> str:
    station = board.station(View(Role.ADMIN), house.device("gauge"))
    assert station is not None
    return station.state


def _overdue_board(house: House) -> Board:
    """The gauge spoke a day ago and has been overdue since."""
    board = Board()
    board.take_registry(house.registry.snapshot())
    board.take_readings(house.readings("gauge", "water.level", (START, 1.0)).readings)
    board.pass_time(START + DAY_MS)
    assert _state(board, house) == "unknown"
    return board


def test_a_station_that_is_heard_again_is_known_with_that_reading(house: House) -> None:
    """A danger that comes with the first reading must not read as unknown for a second."""
    board = _overdue_board(house)
    board.take_readings(house.readings("gauge", "water.level", (START + DAY_MS, 1.1)).readings)
    assert _state(board, house) == "normal"


def test_an_old_reading_that_is_caught_up_on_makes_no_silent_station_known(house: House) -> None:
    """What matters is when it was heard, not that something was read."""
    board = _overdue_board(house)
    board.take_readings(house.readings("gauge", "water.level", (START + 1000, 1.1)).readings)
    assert _state(board, house) == "unknown"


def test_a_gauge_that_reports_more_often_in_a_flood_is_overdue_sooner(house: House) -> None:
    """Once a day while the river is low; a day without a word in a flood is no calm."""
    draft = DeviceDraft(
        "gauge", "river-gauge", intervals={"normal": 86_400, "active": 600}, active_from=1.5
    )
    board = Board()
    board.take_registry(house.registry.register([draft], START))
    minute = 60_000
    for heard_at, level, state in (
        (START, 1.49, "normal"),
        (START + 60 * minute, 1.5, "unknown"),
        (START + 120 * minute, 1.49, "normal"),
    ):
        reading = house.readings("gauge", "water.level", (heard_at, level))
        board.take_readings(reading.readings)
        board.pass_time(heard_at + 29 * minute)
        assert _state(board, house) == "normal"
        board.pass_time(heard_at + 31 * minute)
        assert _state(board, house) == state, level
