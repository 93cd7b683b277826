"""Redelivered messages: what is in the journal is not written again, everything else is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.receipts import WINDOW, ReceiptBook, payload_hash, payload_hashes


def _ids(*ids: int) -> np.ndarray:
    return np.array(ids, np.uint16)


def _hashes(*hashes: int) -> np.ndarray:
    return np.array(hashes, np.uint64)


def _is_fresh(book: ReceiptBook, ids: list[int], hashes: list[int], dups: list[int]) -> list[bool]:
    found: list[bool] = book.is_fresh("c", _ids(*ids), _hashes(*hashes), dups).tolist()
    return found


def test_a_redelivered_message_that_is_journaled_is_left_out() -> None:
    book = ReceiptBook()
    assert _is_fresh(book, [1, 2, 3], [10, 20, 30], []) == [True] * 3
    assert _is_fresh(book, [2, 3, 4], [20, 30, 40], [0, 1, 2]) == [False, False, True]


def test_the_same_id_with_other_bytes_is_another_message() -> None:
    book = ReceiptBook()
    _is_fresh(book, [1], [10], [])
    assert _is_fresh(book, [1], [11], [0]) == [True]


def test_without_the_dup_flag_nothing_is_matched() -> None:
    """The broker reuses ids, and a device may say the very same twice."""
    book = ReceiptBook()
    _is_fresh(book, [1], [10], [])
    assert _is_fresh(book, [1], [10], []) == [True]


def test_an_id_that_came_again_without_dup_means_the_new_message() -> None:
    book = ReceiptBook()
    _is_fresh(book, [1], [10], [])
    _is_fresh(book, [1], [11], [])
    assert _is_fresh(book, [1], [10], [0]) == [True]
    assert _is_fresh(book, [1], [10], [0]) == [False]


def test_qos_0_is_never_matched() -> None:
    book = ReceiptBook()
    _is_fresh(book, [0], [10], [])
    assert _is_fresh(book, [0], [10], [0]) == [True]


def test_connections_are_apart_and_a_lost_session_is_forgotten() -> None:
    book = ReceiptBook()
    book.enter("a", _ids(1), _hashes(10))
    assert book.is_fresh("b", _ids(1), _hashes(10), [0]).tolist() == [True]
    book.forget("a")
    assert book.is_fresh("a", _ids(1), _hashes(10), [0]).tolist() == [True]


def test_an_entry_ends_a_window_later() -> None:
    """The same bytes under the same id one round of packet ids later are a new message."""
    for after, is_fresh in ((WINDOW - 1, False), (WINDOW, True)):
        book = ReceiptBook()
        _is_fresh(book, [1], [10], [])
        others = np.arange(2, 2 + after, dtype=np.uint16)
        book.enter("c", others, np.zeros(after, np.uint64))
        assert _is_fresh(book, [1], [10], [0]) == [is_fresh]


batches = st.lists(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 2), st.booleans()), min_size=1, max_size=12
    ),
    max_size=6,
)


@given(batches, st.integers(0, 6))
def test_the_book_agrees_with_a_plain_dictionary_and_survives_a_snapshot(
    history: list[list[tuple[int, int, bool]]], restart_at: int
) -> None:
    book, plain = ReceiptBook(), dict[int, int]()
    for number, batch in enumerate(history):
        if number == restart_at:
            again = ReceiptBook()
            again.restore(book.state())
            book = again
        expected = []
        for packet_id, hashed, is_dup in batch:
            is_known = is_dup and packet_id != 0 and plain.get(packet_id) == hashed
            plain[packet_id] = hashed
            expected.append(not is_known)
        ids, hashes, dups = zip(*batch, strict=True)
        redelivered = [k for k, is_dup in enumerate(dups) if is_dup]
        assert _is_fresh(book, list(ids), list(hashes), redelivered) == expected


def test_hashes_are_of_topic_and_payload() -> None:
    assert payload_hashes([b"t", b"t"], [b"a", b"b"]).tolist() == [
        payload_hash(b"t", b"a"),
        payload_hash(b"t", b"b"),
    ]
    assert payload_hash(b"t", b"a") != payload_hash(b"a", b"t")
