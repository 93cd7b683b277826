"""A device that keeps what it sent until it is told: what it forgets, what it sends again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.keeper import PATIENCE_MS, TRIES, Keeper


def _keeper(*numbers: int, **options: int) -> Keeper:
    keeper = Keeper(boot=3, **options)
    for number in numbers:
        keeper.keep(number, f"e{number}")
    return keeper


def test_what_is_covered_is_forgotten_and_what_is_missing_leaves_again_at_once() -> None:
    keeper = _keeper(1, 2, 3, 4, 5, 6)
    assert keeper.due(0) == ["e1", "e2", "e3", "e4", "e5", "e6"]
    keeper.hear(b'{"n":5,"missing":[[2,3]],"boot":3}')
    assert len(keeper) == 3
    assert keeper.due(1) == ["e2", "e3"]
    assert keeper.due(2) == []


def test_what_nobody_answered_leaves_again_after_a_while() -> None:
    keeper = _keeper(1)
    assert keeper.due(0) == ["e1"]
    assert keeper.due(PATIENCE_MS - 1) == []
    assert keeper.due(PATIENCE_MS) == ["e1"]
    assert keeper.repeated == 1


@pytest.mark.parametrize(
    "ack",
    [
        b'{"n":9,"missing":[],"boot":2}',
        b'{"n":9,"missing":[]}',
        b'{"n":9,"missing":[],"boot":3,"d":"another"}',
        b'{"n":9,"boot":3}',
        b'{"n":9,"missing":[[1]],"boot":3}',
        b"[7]",
        b"null",
        b"\xff",
        b"",
    ],
)
def test_an_answer_that_is_not_for_us_or_no_answer_makes_us_forget_nothing(ack: bytes) -> None:
    keeper = _keeper(1, 2)
    keeper.due(0)
    keeper.hear(ack)
    assert len(keeper) == 2


def test_a_gateway_keeps_for_each_device_apart() -> None:
    keeper = Keeper(boot=None)
    for device in ("a", "b"):
        keeper.keep(1, f"{device}1", device)
    keeper.due(0)
    keeper.hear(b'[{"n":1,"missing":[],"d":"a"}]')
    assert keeper.due(PATIENCE_MS) == ["b1"]


def test_a_message_that_is_refused_again_and_again_is_given_up() -> None:
    keeper = _keeper(1)
    for at in range(TRIES + 2):
        keeper.due(at)
        keeper.hear(b'{"n":1,"missing":[[1,1]],"boot":3}')
    assert (len(keeper), keeper.given_up) == (0, 1)


def test_without_room_the_oldest_is_forgotten_and_counted() -> None:
    keeper = _keeper(1, 2, 3, capacity=2)
    assert keeper.forgotten == 1
    assert keeper.due(0) == ["e2", "e3"]


@given(st.binary(max_size=60))
def test_no_answer_whatever_raises(ack: bytes) -> None:
    keeper = _keeper(1)
    keeper.hear(ack)
    assert len(keeper) == 1
