"""One message in each format is one and the same; the formats are told apart by what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.cbor import SELF_DESCRIBED
from devices.outcomes import Rejected, Remark
from devices.payload import QUANTITY_NAMES, Decoded, Sample, decode, decode_batch
from tests.devices.test_cbor import encoded

T = 1_767_225_600_000

elements = st.fixed_dictionaries(
    {"v": st.dictionaries(st.sampled_from(QUANTITY_NAMES), st.floats(-1e9, 1e9), min_size=1)},
    optional={
        "t": st.integers(0, 2**50), "n": st.integers(0, 2**40), "boot": st.integers(0, 1000),
        "d": st.sampled_from(["R-1", "水門"]),
    },
)  # fmt: skip


@given(elements | st.lists(elements, min_size=1, max_size=5))
def test_our_form_is_the_same_in_cbor_as_in_json(document: Any) -> None:
    in_json = decode(json.dumps(document).encode())
    assert isinstance(in_json, Decoded)
    assert decode(encoded(document)) == in_json
    assert decode(SELF_DESCRIBED + encoded(document)) == in_json


def test_what_is_bad_in_cbor_is_left_out_field_by_field() -> None:
    payload = encoded({"t": T, "v": {"water.level": 1.5, "tamper": b"\x01", "x": 1}, "boot": -1})
    found = decode(payload)
    assert found == Decoded(
        (Sample({"water.level": 1.5}, T),),
        (Remark('v["tamper"]', "\x01".encode("unicode_escape").decode(), "bad_type"),
         Remark('v["x"]', "1", "unknown_quantity"), Remark("boot", "-1", "out_of_range")),
    )  # fmt: skip


def test_numbers_of_cbor_that_are_none_are_said() -> None:
    payload = encoded(
        {"v": {"water.level": float("nan"), "tamper": float("inf"), "rain.intensity": 1}}
    )
    found = decode(payload)
    assert isinstance(found, Decoded)
    assert found.samples == (Sample({"rain.intensity": 1.0}),)
    assert [r.reason for r in found.remarks] == ["not_finite", "not_finite"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "bad_json"), (b"\x00", "bad_json"), (b"\xff", "bad_json"), (b"hello", "bad_json"),
        (b"\x80", "no_values"), (b"\xa0", "no_values"), (b"\xbf", "bad_cbor"),
        (b"\xc1\x00", "bad_cbor"), (b"\x81\x05", "no_values"), (b"[]", "no_values"),
        (b"5", "bad_shape"), (b'[{"n":"x","v":1}]', "no_values"), (b'[{"bn":5}]', "bad_senml"),
    ],
)  # fmt: skip
def test_each_format_refuses_in_its_own_words(payload: bytes, reason: str) -> None:
    refused = decode(payload)
    assert isinstance(refused, Rejected)
    assert refused.reason == reason


def test_a_batch_takes_all_formats_together() -> None:
    """Good JSON before and behind is not touched by what is read slowly."""
    ours = {"t": T, "v": {"water.level": 1.0}}
    pack = [{"n": "water.level", "bt": T // 1000, "v": 1.0}]
    payloads = [
        json.dumps(ours).encode(), encoded(ours), json.dumps(pack).encode(),
        encoded([{0: "water.level", -3: T // 1000, 2: 1.0}]), b"\x81", json.dumps(ours).encode(),
    ]  # fmt: skip
    batch = decode_batch(payloads)
    assert batch.message.tolist() == [0, 1, 2, 3, 5]
    assert batch.measured_at.tolist() == [T] * 5
    assert batch.value.tolist() == [1.0] * 5
    assert [index for index, _ in batch.rejected] == [4]
