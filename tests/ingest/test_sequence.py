"""Sequence numbers: gaps are shown, fillings noticed, repetitions ignored, restarts understood."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from devices.payload import NO_TIME, NOT_GIVEN
from ingest.sequence import MAX_RANGES, MAX_TOLD, Acknowledgement, SequenceTracker

Told = list[tuple[int, int, bool]]


def _follow(
    tracker: SequenceTracker,
    *numbers: int,
    boot: int = NOT_GIVEN,
    at: int | None = None,
    device: int = 1,
) -> Told:
    """Numbers in order; measured at 1000 × number unless ``at`` says otherwise."""
    times = [1000 * n if at is None else at for n in numbers]
    count = len(numbers)
    found = tracker.follow([device] * count, list(numbers), [boot] * count, times, 99)
    assert all(frame.device == device and frame.at == 99 for frame in found)
    return [(frame.first, frame.last, frame.is_filled) for frame in found]


def test_numbers_in_order_say_nothing() -> None:
    assert _follow(SequenceTracker(), 7, 8, 9) == []


def test_a_jump_is_a_gap_and_a_late_number_fills_it() -> None:
    tracker = SequenceTracker()
    assert _follow(tracker, 5, 10) == [(6, 9, False)]
    assert _follow(tracker, 7) == [(7, 7, True)]
    assert tracker.acknowledgement(1) == Acknowledgement(10, ((0, 4), (6, 6), (8, 9)))
    assert _follow(tracker, 6, 8, 9) == [(6, 6, True), (8, 9, True)]
    assert tracker.acknowledgement(1) == Acknowledgement(10, ((0, 4),))


def test_what_lies_before_the_first_number_is_told_and_shown_only_when_some_of_it_comes() -> None:
    """The broker may have lost what a device began with; or it began there."""
    tracker = SequenceTracker()
    assert _follow(tracker, 7, 8) == []
    assert tracker.acknowledgement(1) == Acknowledgement(8, ((0, 6),))
    assert _follow(tracker, 3) == [(4, 6, False)]
    assert tracker.acknowledgement(1) == Acknowledgement(8, ((0, 2), (4, 6)))
    assert _follow(tracker, 1, 5) == [(2, 2, False), (5, 5, True)]
    assert tracker.acknowledgement(1) == Acknowledgement(8, ((2, 2), (4, 4), (6, 6)))


def test_repetitions_say_nothing() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 5, 6, 7)
    assert _follow(tracker, 5, 7, 6) == []


def test_a_lower_number_measured_later_means_that_counting_began_anew() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 100, 101, 105)
    assert _follow(tracker, 3, at=200_000) == [(1, 2, False)]
    assert tracker.acknowledgement(1) == Acknowledgement(3, ((1, 2),))


def test_another_boot_begins_anew_unless_it_is_an_earlier_one_coming_late() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 50, boot=1)
    assert _follow(tracker, 0, boot=2, at=60_000) == []
    assert _follow(tracker, 49, boot=1) == []
    assert tracker.acknowledgement(1) == Acknowledgement(0, (), 2)
    assert _follow(tracker, 1, boot=2, at=61_000) == []


def test_a_device_that_counts_on_over_a_boot_has_no_gap() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 50, boot=1)
    assert _follow(tracker, 51, boot=2) == []


def test_without_clock_the_fall_to_zero_from_far_is_a_new_beginning() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 500, at=NO_TIME)
    assert _follow(tracker, 499, at=NO_TIME) == []
    assert _follow(tracker, 0, 2, at=NO_TIME) == [(1, 1, False)]


def test_without_clock_a_near_number_is_a_repetition() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 0, 1, 2, 3, at=NO_TIME)
    assert _follow(tracker, 0, at=NO_TIME) == []
    assert tracker.acknowledgement(1) == Acknowledgement(3, ())


def test_devices_count_apart() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 1, device=1)
    _follow(tracker, 9, device=2)
    assert _follow(tracker, 2, device=1) == []
    assert tracker.acknowledgement(3) is None


def test_what_is_told_and_remembered_is_bounded() -> None:
    tracker = SequenceTracker()
    _follow(tracker, *range(0, 2 * (MAX_RANGES + 9), 2))
    answer = tracker.acknowledgement(1)
    assert answer is not None
    assert len(answer.missing) == MAX_TOLD
    highest = 2 * (MAX_RANGES + 8)
    assert answer.missing[1:] == tuple((n, n) for n in range(highest - 29, highest, 2))
    assert answer.missing[0] == (1, highest - 31), "none that is missing is left out"


def test_an_answer_is_what_the_documentation_says() -> None:
    tracker = SequenceTracker()
    _follow(tracker, 1, 2, 3, 6, boot=8)
    assert msgspec.json.encode(tracker.acknowledgement(1)) == b'{"n":6,"missing":[[4,5]],"boot":8}'


@given(st.permutations(range(12)), st.sets(st.integers(1, 11)), st.integers(0, 12))
def test_gaps_less_fillings_are_what_never_came(
    order: list[int], lost: set[int], restart_at: int
) -> None:
    """Over any order and over a restart from the state."""
    tracker = SequenceTracker()
    _follow(tracker, 0)
    missing: set[int] = set()
    came = {0}
    for step, number in enumerate(n for n in order if n not in lost):
        if step == restart_at:
            again = SequenceTracker()
            again.restore(tracker.state())
            tracker = again
        came.add(number)
        for first, last, is_filled in _follow(tracker, number):
            span = set(range(first, last + 1))
            missing = missing - span if is_filled else missing | span
    assert missing == set(range(max(came) + 1)) - came
