"""Rows by id: what is sorted fast is what a stable sort would give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devices.readings import (
    distinct_ids,
    grouped_rows,
    readings_from_columns,
    rounds,
    rows_by_time,
)

_IDS = st.lists(st.integers(-1, 2**31 - 1) | st.integers(0, 3), max_size=40)


@given(_IDS)
def test_rows_of_an_id_keep_their_order(ids: list[int]) -> None:
    """Over all int32 ids from the -1 of unknown ones on."""
    column = np.array(ids, np.int32)
    assert grouped_rows(column).tolist() == np.argsort(column, kind="stable").tolist()


@given(_IDS)
def test_distinct_ids_are_those_that_occur(ids: list[int]) -> None:
    """Ascending, each once."""
    assert distinct_ids(np.array(ids, np.int32)).tolist() == sorted(set(ids))


@given(_IDS)
def test_a_round_holds_each_series_once_and_rounds_keep_their_order(ids: list[int]) -> None:
    """All rows come, the k-th row of a series in round k."""
    column = np.array(ids, np.int32)
    found = [chosen.tolist() for chosen in rounds(column)]
    assert sorted(row for chosen in found for row in chosen) == list(range(len(ids)))
    for k, chosen in enumerate(found):
        assert all(ids[:row].count(ids[row]) == k for row in chosen)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30))
def test_rows_by_series_and_time_keep_the_order_of_what_is_the_same(
    rows: list[tuple[int, int]],
) -> None:
    """In order of time already, or not."""
    series, at = [s for s, _ in rows], [t for _, t in rows]
    blank = [0] * len(rows)
    found = rows_by_time(readings_from_columns(series, at, blank, blank, blank))
    assert found.tolist() == sorted(range(len(rows)), key=rows.__getitem__)
