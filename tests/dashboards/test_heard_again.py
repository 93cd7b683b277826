"""A station that was overdue and speaks again: known with a fresh reading, and only by one."""

from __future__ import annotations

from dashboards.board import Board
from dashboards.permissions import Role, View
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
