"""SenML in JSON and CBOR: what a pack says of our quantities is taken, all else is said."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.outcomes import Rejected, Remark
from devices.payload import Decoded, Sample, decode, decode_batch
from devices.quantities import QUANTITIES
from devices.senml import MAX_NAME_CHARS, RELATIVE_BELOW_S, is_pack
from devices.senml_units import to_ours
from tests.devices.test_cbor import encoded

T = 1_767_225_600_000
S = T // 1000
LABELS = {
    "bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6,
    "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8,
}  # fmt: skip


def as_json(pack: list[dict[str, Any]]) -> bytes:
    return json.dumps(pack).encode()


def as_cbor(pack: list[dict[str, Any]]) -> bytes:
    return encoded([{LABELS.get(key, key): value for key, value in r.items()} for r in pack])


def read(pack: list[Any], received_at: int | None = T) -> Decoded:
    found = decode(as_json(pack), received_at)
    assert isinstance(found, Decoded), found
    assert decode(as_cbor(pack), received_at) == found
    return found


def values(pack: list[Any]) -> list[dict[str, float]]:
    return [dict(sample.values) for sample in read(pack).samples]


def test_base_fields_hold_from_their_record_on() -> None:
    pack = [
        {"bn": "urn:dev:mac:0024befffe804ff1:", "bt": S, "bu": "mm", "n": "water.level", "v": 1234},
        {"n": "battery.voltage", "u": "V", "v": 3.6},
        {"n": "water.level", "t": 600, "v": 1240},
        {"bt": S + 3600, "n": "water.level", "v": 1250},
    ]
    assert read(pack) == Decoded(
        (
            Sample({"water.level": 1.234, "battery.voltage": 3.6}, T),
            Sample({"water.level": 1.24}, T + 600_000),
            Sample({"water.level": 1.25}, T + 3_600_000),
        )
    )


def test_a_base_value_is_added_and_base_fields_may_stand_alone() -> None:
    pack = [{"bn": "d/", "bv": 20.0, "bt": S}, {"n": "air.temperature", "v": 1.5}]
    assert read(pack) == Decoded((Sample({"air.temperature": 21.5}, T),))


@pytest.mark.parametrize(
    ("bn", "n", "quantity"),
    [
        ("", "water.level", "water.level"), ("water.", "level", "water.level"),
        ("urn:dev:ow:10e2073a01080063:", "water.level", "water.level"),
        ("urn:dev:ow:10e2073a01080063_", "water.level", "water.level"),
        ("urn:dev:ow:10e2073a01080063:water.level", "", "water.level"),
        ("https://city.example/r-1/", "battery.voltage", "battery.voltage"),
    ],
)  # fmt: skip
def test_a_name_ends_in_one_of_our_quantities(bn: str, n: str, quantity: str) -> None:
    assert values([{"bn": bn, "n": n, "v": 1}]) == [{quantity: 1.0}]


def test_times_below_two_to_the_28_count_from_now() -> None:
    """RFC 8428, 4.5.3; 0 is now itself, which is no time that the device knows."""
    pack = [
        {"n": "water.level", "t": -60.5, "v": 1}, {"n": "water.level", "v": 2},
        {"n": "water.level", "t": RELATIVE_BELOW_S - 1, "v": 3},
        {"n": "water.level", "t": RELATIVE_BELOW_S, "v": 4},
    ]  # fmt: skip
    times = [sample.measured_at for sample in read(pack).samples]
    assert times == [T - 60_500, None, T + (RELATIVE_BELOW_S - 1) * 1000, RELATIVE_BELOW_S * 1000]


def test_relative_times_need_the_time_of_reception() -> None:
    found = decode(as_json([{"n": "water.level", "t": -60, "v": 1}, {"n": "tamper", "v": 0}]))
    assert isinstance(found, Decoded)
    assert found.samples == (Sample({"tamper": 0.0}),)
    assert found.remarks == (Remark("[0].t", "-60", "relative_time"),)


def test_a_batch_knows_whose_times_are_relative_and_who_is_meant() -> None:
    packs = [
        b'{"v":{"water.level":1.0}}',
        as_json([{"bn": "R-7/", "n": "water.level", "t": -60, "v": 1},
                 {"n": "water.level", "t": -30, "v": 2}, {"n": "tamper", "v": 0}]),
        as_json([{"n": "R-1:water.level", "v": 1}, {"n": "R-2:water.level", "v": 2}]),
    ]  # fmt: skip
    batch = decode_batch(packs, np.array([T, T + 1000, T], np.int64))
    assert batch.relative == [1, 2]
    assert batch.measured_at.tolist()[1:3] == [T - 59_000, T - 29_000]
    assert batch.sender == {1: "R-7", 2: "R-7", 3: "R-7"}
    assert batch.device == ["", "", "", "", "R-1", "R-2"]


@pytest.mark.parametrize(
    ("record", "remark"),
    [
        ({"n": "water.colour", "v": 1}, Remark("[1].n", "water.colour", "unknown_quantity")),
        ({"n": "", "v": 1}, Remark("[1].n", "", "unknown_quantity")),
        ({"n": 5, "v": 1}, Remark("[1].n", "5", "bad_type")),
        ({"n": "tamper", "v": "1"}, Remark("[1].v", "1", "bad_type")),
        ({"n": "tamper", "v": None}, Remark("[1].v", "None", "bad_type")),
        ({"n": "tamper", "v": True}, Remark("[1].v", "True", "bad_type")),
        ({"n": "tamper", "vb": 1}, Remark("[1].vb", "1", "bad_type")),
        ({"n": "battery.voltage", "vb": True}, Remark("[1].vb", "True", "bad_type")),
        ({"n": "tamper", "vs": "open"}, Remark("[1].vs", "open", "not_used")),
        ({"n": "tamper", "vd": "AA"}, Remark("[1].vd", "AA", "not_used")),
        ({"n": "water.total", "s": 12.5}, Remark("[1].s", "12.5", "not_used")),
        ({"n": "tamper", "v": 1, "vs": "x"}, Remark("[1].v", "1", "not_used")),
        ({"n": "tamper"}, Remark("[1].s", "nothing", "not_used")),
        ({"n": "battery.voltage", "u": "m", "v": 1}, Remark("[1].u", "m", "wrong_unit")),
        ({"n": "battery.voltage", "u": "furlong", "v": 1},
         Remark("[1].u", "furlong", "unknown_unit")),
        ({"n": "battery.voltage", "u": 3, "v": 1}, Remark("[1].u", "3", "bad_type")),
        ({"n": "tamper", "t": "x", "v": 1}, Remark("[1].t", "x", "bad_type")),
        ({"n": "tamper", "t": 1e300, "v": 1}, Remark("[1].t", "1e+300", "out_of_range")),
        ({"n": "air.co2", "u": "/", "v": 1e308}, Remark("[1].v", "1e+308", "not_finite")),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_said_and_the_rest_stays(
    record: dict[str, Any], remark: Remark
) -> None:
    found = read([{"n": "water.level", "v": 1}, record])
    assert [dict(s.values) for s in found.samples] == [{"water.level": 1.0}]
    assert found.remarks == (remark,)


def test_what_is_no_record_and_no_number_is_said() -> None:
    found = decode(
        b'[{"n":"water.level","v":1},5,{"n":"tamper","v":NaN},{"n":"tamper","t":1e999,"v":1}]', T
    )
    assert isinstance(found, Decoded)
    assert [(r.path, r.reason) for r in found.remarks] == [
        ("[1]", "bad_type"), ("[2].v", "not_finite"), ("[3].t", "not_finite"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "where"),
    [
        ({"bver": 11}, "[1].bver: version 11 is not known"),
        ({"bver": "10"}, "[1].bver: version 10 is not known"),
        ({"bver": 0}, "[1].bver: version 0 is not known"), ({"bn": 7}, "[1].bn: text of at most"),
        ({"bn": "x" * (MAX_NAME_CHARS + 1)}, "[1].bn: text"),
        ({"bt": "x"}, "[1].bt: number expected: x"), ({"bt": True}, "[1].bt: number expected"),
        ({"bu": None}, "[1].bu: text of at most"), ({"bv": []}, "[1].bv: number expected"),
        ({"lock_": 1}, "[1]: lock_ must be understood and is not"),
    ],
)  # fmt: skip
def test_what_changes_the_meaning_of_all_that_follows_spoils_the_pack(
    record: dict[str, Any], where: str
) -> None:
    """Nothing of it is taken: a wrong base time or unit would make wrong readings."""
    refused = decode(as_json([{"n": "water.level", "v": 1}, record]), T)
    assert isinstance(refused, Rejected)
    assert refused.reason == "bad_senml"
    assert refused.detail.startswith(where)


def test_versions_with_and_without_secondary_units_are_known() -> None:
    for version in (10, 26):
        assert values([{"bver": version, "n": "water.level", "u": "cm", "v": 5}]) == [
            {"water.level": 0.05}
        ]


@pytest.mark.parametrize(
    ("quantity", "unit", "value", "ours"),
    [
        ("water.level", "mm", 1235, 1.235), ("water.level", "cm", 12, 0.12),
        ("rain.cumulative", "m", 0.012, 12.0), ("water.total", "l", 1500, 1.5),
        ("water.flow", "L/s", 5, 0.005), ("water.flow", "l/s", 5, 0.005),
        ("air.temperature", "K", 300.4, 27.25), ("air.temperature", "Cel", 20.5, 20.5),
        ("air.pressure", "Pa", 101325, 1013.25), ("water.pressure", "hPa", 3000, 300_000.0),
        ("air.relativeHumidity", "%RH", 61.5, 61.5), ("air.relativeHumidity", "/", 0.615, 61.5),
        ("soil.moisture", "/", 0.31, 31.0), ("soil.moisture", "/1000", 310, 31.0),
        ("battery.level", "%EL", 85, 85.0), ("battery.level", "/", 0.85, 85.0),
        ("battery.voltage", "mV", 3600, 3.6), ("radio.rssi", "dBW", -120, -90.0),
        ("rain.intensity", "m/s", 1e-5, 36.0), ("wind.speed", "km/h", 36, 10.0),
        ("air.co2", "/", 0.0004, 400.0), ("tamper", "/", 1, 1.0), ("water.level", "", 2, 2),
    ],
)  # fmt: skip
def test_units_are_converted_to_ours(quantity: str, unit: str, value: float, ours: float) -> None:
    found = to_ours(quantity, unit, value)
    assert found == pytest.approx(ours, rel=1e-12)


@pytest.mark.parametrize("quantity", [q.name for q in QUANTITIES.values() if not q.is_own])
def test_every_quantity_is_understood_in_its_own_unit(quantity: str) -> None:
    assert to_ours(quantity, QUANTITIES[quantity].unit, 0.5) == 0.5


def test_our_own_form_is_never_taken_for_a_pack() -> None:
    ours = [{"n": 5, "v": {"tamper": 1}}, {"d": "R-1", "v": {"tamper": 0}}]
    assert not is_pack(ours)
    assert not is_pack([{"n": "5", "v": {"tamper": 1}}])
    assert not is_pack([{"n": "5", "v": 1}, {"v": {"tamper": 1}}])
    assert not is_pack([])
    assert not is_pack([5])
    assert not is_pack({"n": "tamper", "v": 1})
    assert is_pack([{"n": "tamper", "v": 1}])
    assert is_pack([{-2: "x"}])


def test_packs_are_bounded() -> None:
    refused = decode(as_json([{"n": "tamper", "v": 1}] * 10_001))
    assert isinstance(refused, Rejected)
    assert refused.reason == "too_large"


# The examples of RFC 8428, 5.1 and 6: facts, with names that are not ours, so that nothing but the
# reason is left; and the CBOR one is the same pack as the JSON one.
RFC_MULTIPLE = [
    {"bn": "urn:dev:ow:10e2073a01080063:", "n": "voltage", "u": "V", "v": 120.1},
    {"n": "current", "u": "A", "v": 1.2},
]


def test_a_pack_without_any_of_our_quantities_is_refused_with_their_names() -> None:
    refused = decode(as_json(RFC_MULTIPLE), T)
    assert refused == Rejected(
        "no_values",
        "[0].n: unknown_quantity (urn:dev:ow:10e2073a01080063:voltage); "
        "[1].n: unknown_quantity (urn:dev:ow:10e2073a01080063:current)",
    )


def test_the_cbor_example_of_the_standard_is_the_json_one() -> None:
    """RFC 8428, 6: a voltage and six readings of a current, the last ones a second apart."""
    cbor = bytes.fromhex(
        "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120"
        "050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3"
        "006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a30067"
        "63757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e7406"
        "0002fb3ffb333333333333"
    )
    refused = decode(cbor, T)
    assert isinstance(refused, Rejected)
    assert refused.reason == "no_values"
    assert refused.detail.startswith(
        "[0].n: unknown_quantity (urn:dev:ow:10e2073a0108006:voltage); [1].n: unknown_quantity "
        "(urn:dev:ow:10e2073a0108006:current)"
    )
    ours = cbor.replace(b"\x67voltage", b"\x6fbattery.voltage")
    found = decode(ours, T)
    assert isinstance(found, Decoded)
    assert found.samples == (Sample({"battery.voltage": 120.1}, 1_276_020_076_001),)


names = st.sampled_from(["water.level", "battery.voltage", "air.temperature"])
samples = st.lists(
    st.tuples(st.integers(S - 10**6, S), st.dictionaries(names, st.floats(-1e6, 1e6), min_size=1)),
    min_size=1, max_size=10, unique_by=lambda pair: pair[0],
)  # fmt: skip


@given(samples, st.booleans())
def test_what_is_packed_is_read(
    given: list[tuple[int, dict[str, float]]], is_relative: bool
) -> None:
    """An encoder with base fields and one without; absolute and relative times."""
    pack: list[dict[str, Any]] = [{"bn": "urn:dev:x:", **({} if is_relative else {"bt": S})}]
    pack += [
        {"n": name, "t": at - S, "v": value, "u": QUANTITIES[name].unit}
        for at, measured in given
        for name, value in measured.items()
    ]
    plain = [
        {"n": name, "t": at, "v": value}
        for at, measured in given
        for name, value in measured.items()
    ]
    expected = [(at, measured) for at, measured in given]
    for payload in (as_json(pack), as_cbor(pack), as_json(plain), as_cbor(plain)):
        found = decode(payload, T)
        assert isinstance(found, Decoded)
        got = [((s.measured_at or T) // 1000, dict(s.values)) for s in found.samples]
        assert got == expected


@given(st.lists(st.dictionaries(
    st.sampled_from([*LABELS, "x", "y_"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(["tamper", "mm", "R-1/"]) | st.lists(st.integers(), max_size=2),
    max_size=6,
), max_size=6))  # fmt: skip
def test_no_pack_raises(pack: list[dict[str, Any]]) -> None:
    found = decode(json.dumps(pack).encode(), T)
    if isinstance(found, Decoded):
        assert found.samples
