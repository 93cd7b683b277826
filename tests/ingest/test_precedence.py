"""Urgent first inside intake: routine is cut into slices, and gives way between them."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.messages import Arrival
from ingest.precedence import SLICE_BYTES, SLICE_MESSAGES, Precedence, slices


def _arrival(payloads: list[bytes], redelivered: list[int]) -> Arrival:
    count = len(payloads)
    return Arrival(
        "c",
        [b"t%d" % row for row in range(count)],
        payloads,
        np.arange(count, dtype=np.uint16),
        redelivered,
        np.arange(count, dtype=np.int64),
    )


_SIZES = st.sampled_from([0, 90, SLICE_BYTES // 2, SLICE_BYTES, 2 * SLICE_BYTES])


@given(st.lists(_SIZES, max_size=9), st.sets(st.integers(0, 8)))
def test_slices_are_the_messages_in_their_order(sizes: list[int], again: set[int]) -> None:
    """None is lost, none cut; a slice is within its bytes or is one message; DUP flags stay."""
    whole = _arrival([bytes(size) for size in sizes], sorted(r for r in again if r < len(sizes)))
    found = list(slices(whole))
    assert [t for piece in found for t in piece.topics] == list(whole.topics)
    assert [p for piece in found for p in piece.payloads] == list(whole.payloads)
    ids = [i for piece in found for i in piece.packet_id.tolist()]
    assert ids == whole.packet_id.tolist()
    flagged = [int(piece.packet_id[row]) for piece in found for row in piece.redelivered]
    assert flagged == list(whole.redelivered)
    for piece in found:
        assert len(piece.payloads) == 1 or sum(map(len, piece.payloads)) <= SLICE_BYTES


def test_a_slice_holds_a_bounded_number_of_messages() -> None:
    """However small they are."""
    lengths = [len(p.topics) for p in slices(_arrival([b""] * (2 * SLICE_MESSAGES + 1), []))]
    assert lengths == [SLICE_MESSAGES, SLICE_MESSAGES, 1]


def test_routine_waits_for_urgent_work_and_not_for_ever() -> None:
    """It goes on when the work ends, and after a while even if it does not."""
    precedence = Precedence()
    passed = threading.Event()

    def routine() -> None:
        precedence.give_way()
        passed.set()

    with precedence.working():
        precedence.give_way()  # returns although the work goes on
        waiting = threading.Thread(target=routine)
        waiting.start()
    assert passed.wait(10)
    waiting.join()
