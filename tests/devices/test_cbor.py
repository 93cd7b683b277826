"""CBOR of strangers: what JSON could say is read, all else is refused at its byte."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.cbor import MAX_DEPTH, MAX_ITEMS, SELF_DESCRIBED, decode, is_cbor
from devices.outcomes import Rejected


def head(major: int, number: int) -> bytes:
    """The head of an item in its shortest form (RFC 8949, 3)."""
    if number < 24:
        return bytes([major << 5 | number])
    size = next(s for s in (1, 2, 4, 8) if number < 1 << 8 * s)
    return bytes([major << 5 | (24 + size.bit_length() - 1)]) + number.to_bytes(size, "big")


def encoded(value: Any) -> bytes:
    """An encoder that knows nothing of the reader."""
    match value:
        case None | bool():
            return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            return head(3, len(value.encode())) + value.encode()
        case bytes():
            return head(2, len(value)) + value
        case list():
            return head(4, len(value)) + b"".join(map(encoded, value))
        case dict():
            pairs = (encoded(key) + encoded(inner) for key, inner in value.items())
            return head(5, len(value)) + b"".join(pairs)
    raise AssertionError(value)


scalars = (
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary()
    | st.floats(allow_nan=False)
)  # fmt: skip
keys = st.text() | st.integers(-(2**16), 2**16)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=30
).filter(lambda value: depth(value) <= MAX_DEPTH)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    is_container = isinstance(value, (dict, list))
    return is_container + max(map(depth, inner), default=0)


@given(documents)
def test_what_is_encoded_is_decoded(document: Any) -> None:
    assert decode(encoded(document)) == document
    assert decode(SELF_DESCRIBED + encoded(document)) == document


@given(documents, st.data())
def test_every_truncation_is_refused(document: Any, data: st.DataObject) -> None:
    payload = encoded(document)
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]
    refused = decode(cut)
    assert isinstance(refused, Rejected)
    assert refused.reason == "bad_cbor"


@given(documents, st.binary(min_size=1, max_size=5))
def test_nothing_may_follow_the_document(document: Any, more: bytes) -> None:
    assert isinstance(decode(encoded(document) + more), Rejected)


@given(st.binary(max_size=60))
def test_no_bytes_raise(payload: bytes) -> None:
    decode(payload)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 8949, appendix A: those that JSON could say
        ("00", 0), ("17", 23), ("1818", 24), ("1903e8", 1000), ("1a000f4240", 1_000_000),
        ("1bffffffffffffffff", 2**64 - 1), ("3bffffffffffffffff", -(2**64)), ("3863", -100),
        ("f90000", 0.0), ("f93c00", 1.0), ("f97bff", 65504.0), ("f90001", 5.960464477539063e-8),
        ("f9c400", -4.0), ("fa47c35000", 100000.0), ("fb3ff199999999999a", 1.1),
        ("f97c00", math.inf), ("faff800000", -math.inf), ("f4", False), ("f5", True), ("f6", None),
        ("f7", None), ("4401020304", b"\x01\x02\x03\x04"), ("62c3bc", "ü"), ("63e6b0b4", "水"),
        ("8301820203820405", [1, [2, 3], [4, 5]]), ("a201020304", {1: 2, 3: 4}),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}), ("c48221196ab3", 273.15),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"), ("9fff", []),
        ("7f657374726561646d696e67ff", "streaming"), ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
    ],
)  # fmt: skip
def test_examples_of_the_standard_are_read(text: str, expected: object) -> None:
    assert decode(bytes.fromhex(text)) == expected


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "byte 0: ends where an item should begin"),
        ("8201", "byte 0: 2 entries in fewer bytes"),
        ("9bffffffffffffffff", "byte 0: 18446744073709551615 entries in fewer bytes"),
        ("5bffffffffffffffff00", "byte 10: ends inside the item that begins at byte 0"),
        ("1c", "byte 0: an item of reserved size 28"),
        ("ff", "byte 0: a break outside of anything"),
        ("f8ff", "byte 0: simple value 24"),
        ("a0a0", "byte 1: more follows after the end of the document"),
        ("8162c328", "byte 1: text that is not UTF-8: \\xc3("),
        ("a2616101616102", "byte 4: the key a stands twice"),
        ("a201020103", "byte 3: the key 1 stands twice"),
        ("a1f9000000", "byte 1: a key that is neither text nor a small integer: 0.0"),
        ("a1820102" "00", "byte 1: a key that is neither text nor a small integer: list of 2"),
        ("a11a0001000100", "byte 1: a key that is neither text nor a small integer: 65537"),
        ("c11a514b67b0", "byte 0: tag 1 is not read"),
        ("c249010000000000000000", "byte 0: tag 2 is not read"),
        ("d81c81d81d00", "byte 0: tag 28 is not read"),
        ("c400", "byte 0: a decimal fraction that is no pair"),
        ("c482f93c0001", "byte 0: no decimal fraction: 1 e 1.0"),
        ("c4821b7fffffffffffffff01", "byte 0: no decimal fraction: 1 e 9223372036854775807"),
        ("7f01ff", "byte 1: no part of the string that begins at byte 0"),
        ("7f7f6161ffff", "byte 1: a string in parts inside another one"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_at_its_byte(text: str, detail: str) -> None:
    assert decode(bytes.fromhex(text)) == Rejected("bad_cbor", detail)


@pytest.mark.parametrize(
    "bomb",
    [b"\x81", b"\xa1", b"\x9f", b"\xbf", b"\xc4", b"\xc4\x82", b"\x7f", b"\x5f", b"\xd9\xd9\xf7"],
)  # fmt: skip
def test_nesting_is_bounded(bomb: bytes) -> None:
    assert isinstance(decode(bomb * 50_000), Rejected)


def test_items_are_bounded() -> None:
    assert len(decode(b"\x9f" + b"\x00" * (MAX_ITEMS - 1) + b"\xff")) == MAX_ITEMS - 1
    refused = decode(b"\x9f" + b"\x00" * MAX_ITEMS + b"\xff")
    assert isinstance(refused, Rejected)
    assert refused.reason == "too_large"


def test_json_is_never_taken_for_cbor() -> None:
    for text in ('{"v":{}}', "[]", ' {"v":1}', "\ufeff{}", "1", '"ü"', "null", ""):
        assert not is_cbor(text.encode())
    assert all(is_cbor(encoded(document)) for document in ({}, [], {"v": {"tamper": 1}}))
    assert is_cbor(SELF_DESCRIBED + b"\xa0")
