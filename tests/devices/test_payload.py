"""Our JSON payload: what is good comes through whole, what is bad is said, nothing raises."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.outcomes import SHOWN_CHARS, Rejected, Remark
from devices.payload import (
    MAX_PAYLOAD_BYTES,
    MAX_REMARKS,
    MAX_SAMPLES,
    NO_TIME,
    NOT_GIVEN,
    QUANTITY_NAMES,
    Batch,
    Decoded,
    Sample,
    decode,
    decode_batch,
    encode,
)

T = 1_767_225_600_000
REASONS = {"bad_json", "bad_cbor", "bad_senml", "bad_shape", "no_values", "too_large"}


def one(payload: bytes) -> tuple[Sample, tuple[Remark, ...]]:
    decoded = decode(payload)
    assert isinstance(decoded, Decoded), decoded
    (sample,) = decoded.samples
    return sample, decoded.remarks


def values(text: str) -> bytes:
    return b'{"v":{"water.level":1.5,%s}}' % text.encode()


def test_a_full_message_is_read() -> None:
    payload = b'{"t":1767225600000,"n":7,"boot":2,"v":{"water.level":1.23,"battery.voltage":3}}'
    sample, remarks = one(payload)
    assert sample == Sample({"water.level": 1.23, "battery.voltage": 3.0}, T, 7, None, 2)
    assert remarks == ()


def test_values_alone_are_a_message() -> None:
    assert one(b'{"v":{"water.level":0}}') == (Sample({"water.level": 0.0}), ())


def test_an_array_gives_its_samples_in_order() -> None:
    decoded = decode(b'[{"t":1,"v":{"water.level":1}},{"d":"R-2","v":{"water.level":2}}]')
    assert decoded == Decoded(
        (Sample({"water.level": 1.0}, 1), Sample({"water.level": 2.0}, device="R-2"))
    )


def test_true_and_false_are_one_and_zero() -> None:
    sample, _ = one(b'{"v":{"flood.detected":true,"tamper":false}}')
    assert sample.values == {"flood.detected": 1.0, "tamper": 0.0}
    assert all(type(value) is float for value in sample.values.values())


def test_of_a_key_that_stands_twice_the_last_holds() -> None:
    assert one(b'{"v":{"water.level":1,"water.level":2}}')[0].values == {"water.level": 2.0}
    assert one(b'{"v":{"tamper":1},"v":{"water.level":2}}')[0].values == {"water.level": 2.0}


def test_other_keys_and_a_byte_order_mark_are_passed_over() -> None:
    payload = b'\xef\xbb\xbf{"firmware":"1.2","x":[{}],"v":{"water.level":1}}'
    assert one(payload) == (Sample({"water.level": 1.0}), ())


@pytest.mark.parametrize(
    ("field", "remark"),
    [
        ('"tamper":NaN', Remark('v["tamper"]', "nan", "not_finite")),
        ('"tamper":-Infinity', Remark('v["tamper"]', "-inf", "not_finite")),
        ('"tamper":1e999', Remark('v["tamper"]', "inf", "not_finite")),
        (f'"tamper":{"9" * 5000}', Remark('v["tamper"]', "inf", "not_finite")),
        ('"tamper":null', Remark('v["tamper"]', "None", "bad_type")),
        ('"tamper":"1.0"', Remark('v["tamper"]', "1.0", "bad_type")),
        ('"tamper":[1]', Remark('v["tamper"]', "list of 1", "bad_type")),
        ('"tamper":{"a":1}', Remark('v["tamper"]', "dict of 1", "bad_type")),
        ('"water.colour":3', Remark('v["water.colour"]', "3", "unknown_quantity")),
        ('"\\ud800":3', Remark('v["\\ud800"]', "3", "unknown_quantity")),
        ('"":3', Remark('v[""]', "3", "unknown_quantity")),
    ],
)
def test_a_bad_value_is_remarked_and_the_others_stay(field: str, remark: Remark) -> None:
    sample, remarks = one(values(field))
    assert sample.values == {"water.level": 1.5}
    assert remarks == (remark,)


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("t", '"2026-01-01"', "bad_type"), ("t", "1.5", "bad_type"), ("t", "true", "bad_type"),
        ("t", "[]", "bad_type"), ("t", "NaN", "not_finite"), ("t", "1e999", "not_finite"),
        ("t", "9" * 30, "out_of_range"), ("t", "-" + "9" * 30, "out_of_range"),
        ("n", '"7"', "bad_type"), ("n", "-1", "out_of_range"), ("n", "7.5", "bad_type"),
        ("boot", "{}", "bad_type"), ("boot", "-5", "out_of_range"),
    ],
)  # fmt: skip
def test_a_bad_time_or_number_is_remarked_and_absent(key: str, text: str, reason: str) -> None:
    sample, (remark,) = one(b'{"%s":%s,"v":{"water.level":1}}' % (key.encode(), text.encode()))
    assert sample == Sample({"water.level": 1.0})
    assert (remark.path, remark.reason) == (key, reason)


def test_null_and_whole_floats_are_no_fault() -> None:
    payload = b'{"t":1767225600000.0,"n":null,"boot":2e0,"d":null,"v":{"water.level":1}}'
    assert one(payload) == (Sample({"water.level": 1.0}, T, boot=2), ())


def test_a_bad_element_leaves_the_others() -> None:
    decoded = decode(b'[3,{"v":{"water.level":1}},{"d":5,"v":{"tamper":1}},{"v":{}},{"t":9},[]]')
    assert decoded == Decoded(
        (Sample({"water.level": 1.0}),),
        (
            Remark("[0]", "3", "bad_type"),
            Remark("[2].d", "5", "bad_type"),
            Remark("[3].v", "dict of 0", "empty"),
            Remark("[4].v", "nothing", "bad_type"),
            Remark("[5]", "list of 0", "bad_type"),
        ),
    )


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (b"", "bad_json", "Expecting value at character 0: the end"),
        (b"hello", "bad_json", "Expecting value at character 0: hello"),
        (b'{"v":{"water.level":1}', "bad_json", "the end"),
        (b'{"v":{"water.level":1}}}', "bad_json", "Extra data at character 23: }"),
        (b'{"v":{"water.level":1}}\0', "bad_json", "\\x00"),
        (b"{'v':1}", "bad_json", "character 1"),
        (b'{"v":{"\xff\xfe":1}}', "bad_json", "not UTF-8 at byte 7"),
        (b"[" * 500_000, "bad_json", "nested too deeply"),
        (b'{"v":{"water.level":1},"x":' + b"[" * 500_000, "bad_json", "nested too deeply"),
        (b"3", "bad_shape", "object or array expected, found 3"),
        (b"null", "bad_shape", "None"),
        (b'"text"', "bad_shape", "text"),
        (b"[]", "no_values", "no element"),
        (b"{}", "no_values", "v: bad_type (nothing)"),
        (b'{"v":{}}', "no_values", "v: empty"),
        (b'{"v":[1]}', "no_values", "v: bad_type (list of 1)"),
        (b'{"v":{"water.level":NaN}}', "no_values", 'v["water.level"]: not_finite (nan)'),
        (b"[" + b"{}," * MAX_SAMPLES + b"{}]", "too_large", "10001 elements, at most 10000"),
        (b" " * (MAX_PAYLOAD_BYTES + 1), "too_large", "1048577 bytes, at most 1048576 bytes"),
    ],
    ids=lambda given: repr(given)[:30],
)
def test_a_message_that_gives_nothing_is_rejected_with_the_place(
    payload: bytes, reason: str, detail: str
) -> None:
    rejected = decode(payload)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert detail in rejected.detail


def test_the_largest_array_is_read() -> None:
    payload = b"[" + b",".join([b'{"v":{"tamper":1}}'] * MAX_SAMPLES) + b"]"
    decoded = decode(payload)
    assert isinstance(decoded, Decoded)
    assert len(decoded.samples) == MAX_SAMPLES


def test_remarks_are_bounded_in_number_and_length() -> None:
    fields = ",".join(f'"{"q" * 500}{i}":"{"x" * 5000}"' for i in range(100))
    _, remarks = one(values(fields))
    assert len(remarks) == MAX_REMARKS + 1
    assert remarks[-1].reason == "more_remarks"
    assert all(len(remark.value) <= SHOWN_CHARS for remark in remarks)
    assert all(len(remark.path) <= SHOWN_CHARS + 10 for remark in remarks)


def test_a_bad_message_never_touches_its_neighbours() -> None:
    good = encode([Sample({"water.level": 1.0, "tamper": 0.0}, T, 5)])
    several = encode([Sample({"water.level": 2.0}, device="R-2"), Sample({"tamper": 1.0}, T)])
    half = b'{"v":{"water.level":3,"water.colour":1}}'
    batch = decode_batch([good, b"{", several, half, b'{"v":{}}', good])
    assert batch.message.tolist() == [0, 2, 2, 3, 5]
    assert batch.measured_at.tolist() == [T, NO_TIME, T, NO_TIME, T]
    assert batch.sequence.tolist() == [5, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 5]
    assert batch.device == ["", "R-2", "", "", ""]
    assert batch.value.tolist() == [1.0, 0.0, 2.0, 1.0, 3.0, 1.0, 0.0]
    assert [(index, rejected.reason) for index, rejected in batch.rejected] == [
        (1, "bad_json"),
        (4, "no_values"),
    ]
    assert batch.remarks == [(3, Remark('v["water.colour"]', "1", "unknown_quantity"))]


def test_no_messages_are_an_empty_batch() -> None:
    batch = decode_batch([])
    assert len(batch.message) == len(batch.value) == len(batch.first) == 0
    assert batch.quantity.dtype == np.uint8


# --- properties --------------------------------------------------------------------------------

_numbers = st.none() | st.integers(0, 2**62)
_values = st.dictionaries(
    st.sampled_from(QUANTITY_NAMES), st.floats(allow_nan=False, allow_infinity=False), min_size=1
)
_samples = st.builds(
    Sample,
    values=_values,
    measured_at=st.none() | st.integers(-(2**62), 2**62),
    sequence=_numbers,
    device=st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    boot=_numbers,
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from("tnvd"), inner),
    max_leaves=20,
)
_nearly = st.fixed_dictionaries(
    {},
    optional={
        "t": _json,
        "n": _json,
        "d": _json,
        "v": st.dictionaries(st.sampled_from(QUANTITY_NAMES) | st.text(), _json) | _json,
    },
)
_documents = _json | _nearly | st.lists(_nearly | _json)
_payloads = st.binary() | _documents.map(lambda found: json.dumps(found).encode())


def unpack(batch: Batch, count: int) -> list[Decoded | Rejected]:
    """The batch as `decode` would have given it, message by message."""
    rejected = dict(batch.rejected)
    outcomes: list[Decoded | Rejected] = []
    for index in range(count):
        if index in rejected:
            outcomes.append(rejected[index])
            continue
        rows = np.flatnonzero(batch.message == index)
        remarks = tuple(remark for i, remark in batch.remarks if i == index)
        outcomes.append(Decoded(tuple(_row(batch, int(row)) for row in rows), remarks))
    return outcomes


def _row(batch: Batch, row: int) -> Sample:
    span = slice(batch.first[row], batch.first[row] + batch.count[row])
    assert set(batch.sample[span].tolist()) == {row}
    names = [QUANTITY_NAMES[code] for code in batch.quantity[span]]
    measured_at, sequence, boot = (
        int(column[row]) for column in (batch.measured_at, batch.sequence, batch.boot)
    )
    return Sample(
        dict(zip(names, batch.value[span].tolist(), strict=True)),
        None if measured_at == NO_TIME else measured_at,
        None if sequence == NOT_GIVEN else sequence,
        batch.device[row] or None,
        None if boot == NOT_GIVEN else boot,
    )


@given(st.lists(_samples, min_size=1, max_size=5))
def test_what_is_encoded_is_decoded(samples: list[Sample]) -> None:
    assert decode(encode(samples)) == Decoded(tuple(samples))


@given(st.lists(_samples, min_size=1, max_size=3), st.data())
def test_a_truncated_message_is_rejected(samples: list[Sample], data: st.DataObject) -> None:
    payload = encode(samples)
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]
    rejected = decode(cut)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "bad_json"


@settings(max_examples=400)
@given(_payloads)
def test_whatever_comes_is_decoded_or_rejected(payload: bytes) -> None:
    decoded = decode(payload)
    if isinstance(decoded, Rejected):
        assert decoded.reason in REASONS
        assert decoded.detail
        return
    assert decoded.samples
    for sample in decoded.samples:
        assert sample.values
        assert all(math.isfinite(value) for value in sample.values.values())


@settings(max_examples=200)
@given(st.lists(_payloads | _samples.map(lambda sample: encode([sample])), max_size=8))
def test_many_at_once_are_decoded_as_one_by_one(payloads: list[bytes]) -> None:
    batch = decode_batch(payloads)
    assert unpack(batch, len(payloads)) == [decode(payload) for payload in payloads]
    assert np.isfinite(batch.value).all()


@given(_samples)
def test_reading_field_by_field_gives_what_reading_at_once_gives(sample: Sample) -> None:
    """The slow path is entered by a stray null and agrees with the fast one."""
    document = json.loads(encode([sample])) | {"x": None}
    document.setdefault("n", None)
    document.setdefault("boot", None)
    assert decode(json.dumps([document, None]).encode()) == Decoded(
        (sample,), (Remark("[1]", "None", "bad_type"),)
    )
