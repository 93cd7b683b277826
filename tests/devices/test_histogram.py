"""Histograms: counts by bucket, as Prometheus counts them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devices.histogram import Histogram

BOUNDS = (0.1, 1.0, 10.0)


def counts(*seconds: float) -> list[int]:
    histogram = Histogram(BOUNDS)
    histogram.observe(seconds)
    found: list[int] = histogram.fields()["counts"]
    return found


def test_an_upper_bound_belongs_to_its_bucket() -> None:
    """``le`` is inclusive: exactly 1 s counts in the bucket up to 1 s."""
    assert counts(0.1, 1.0, 10.0) == [1, 1, 1, 0]
    assert counts(0.11, 1.01, 10.01) == [0, 1, 1, 1]


def test_a_clock_ahead_of_ours_counts_as_zero_and_what_is_no_number_not_at_all() -> None:
    """The sum of a histogram never falls."""
    histogram = Histogram(BOUNDS)
    histogram.observe([-5.0, np.nan, np.inf, 0.5], [2, 7, 7, 1])
    assert histogram.fields()["counts"] == [2, 1, 0, 0]
    assert histogram.fields()["sum_s"] == 0.5


def test_no_observation_changes_nothing() -> None:
    """An empty batch counts nowhere."""
    assert counts() == [0, 0, 0, 0]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=30))
def test_times_count_as_if_said_one_by_one(observed: list[tuple[float, int]]) -> None:
    """Observing a value n times equals observing it once n times over."""
    at_once, one_by_one = Histogram(BOUNDS), Histogram(BOUNDS)
    at_once.observe([s for s, _ in observed], [n for _, n in observed])
    for seconds, times in observed:
        for _ in range(times):
            one_by_one.observe(seconds)
    assert at_once.fields()["counts"] == one_by_one.fields()["counts"]
    assert abs(at_once.fields()["sum_s"] - one_by_one.fields()["sum_s"]) < 1e-3
