"""Cayenne LPP: every type is read in its unit; what is malformed is refused at its byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.cayenne import DATA_TYPES, MAX_BYTES, DataType, Field, decode, named, samples
from devices.outcomes import Rejected, Remark
from devices.payload import MAX_REMARKS, Decoded
from devices.quantities import QUANTITIES

T = 1_767_225_600_000


def read(text: str) -> tuple[Field, ...]:
    fields = decode(bytes.fromhex(text))
    assert not isinstance(fields, Rejected), fields
    return fields


def values(text: str, kind: str = "") -> dict[str, float]:
    found = samples(read(text), kind)
    assert isinstance(found, Decoded), found
    return dict(found.samples[0].values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the examples of the format's own documentation (myDevices, "Cayenne LPP")
        ("03 67 01 10 05 67 00 FF", {"temperature_3": 27.2, "temperature_5": 25.5}),
        ("01 67 FF D7", {"temperature_1": -4.1}),
        (
            "06 71 04 D2 FB 2E 00 00",
            {"accelerometer_6": {"x": 1.234, "y": -1.234, "z": 0.0}},
        ),
        (
            "01 88 06 76 5F F2 96 0A 00 03 E8",
            {"gps_1": {"latitude": 42.3519, "longitude": -87.9094, "altitude": 10.0}},
        ),
        # one of each other type, by its resolution
        ("01 00 01 02 01 00", {"digital_in_1": 1.0, "digital_out_2": 0.0}),
        ("01 02 FF 9C 02 03 00 64", {"analog_in_1": -1.0, "analog_out_2": 1.0}),
        ("01 64 FF FF FF FF", {"generic_1": 4294967295.0}),
        ("01 65 FF FF 02 66 01", {"luminosity_1": 65535.0, "presence_2": 1.0}),
        ("01 68 7B", {"relative_humidity_1": 61.5}),
        ("01 73 27 8D", {"barometric_pressure_1": 1012.5}),
        ("01 74 01 68 02 75 00 7B", {"voltage_1": 3.6, "current_2": 0.123}),
        ("01 76 00 00 00 32 02 78 64", {"frequency_1": 50.0, "percentage_2": 100.0}),
        ("01 79 FF FF 02 7D 01 A4", {"altitude_1": -1.0, "concentration_2": 420.0}),
        ("01 80 03 E8 02 82 00 00 04 D2", {"power_1": 1000.0, "distance_2": 1.234}),
        ("01 83 00 00 00 01 02 84 01 67", {"energy_1": 0.001, "direction_2": 359.0}),
        ("01 85 69 55 B9 00", {"unix_time_1": 1767225600.0}),
        ("01 86 00 64 FF 9C 00 00", {"gyrometer_1": {"x": 1.0, "y": -1.0, "z": 0.0}}),
        ("01 87 FF 80 00", {"colour_1": {"r": 255.0, "g": 128.0, "b": 0.0}}),
        ("01 8E 01", {"switch_1": 1.0}),
        (
            "01 89 01 E5 65 70 07 C4 4C A0 00 00 64",
            {"gps_1": {"latitude": 31.810928, "longitude": 130.305184, "altitude": 1.0}},
        ),
        ("01 8A 00 05 02 BC 01 2C", {"voc_1": 5.0, "soil_moisture_2": 30.0}),
        ("01 BE 01 F4 02 BF 01 0E", {"wind_speed_1": 5.0, "wind_direction_2": 270.0}),
        ("01 C0 04 D2", {"soil_ec_1": 1.234}),
    ],
)
def test_a_field_is_read_in_its_unit(text: str, expected: dict[str, object]) -> None:
    assert named(read(text)) == expected


def test_every_type_stands_among_the_examples() -> None:
    """A type that nobody tries is a type that nobody knows to be right."""
    tried = next(
        mark.args[1]
        for mark in test_a_field_is_read_in_its_unit.pytestmark  # type: ignore[attr-defined] # pytest puts it there
    )
    codes = {field.type.code for text, _ in tried for field in read(text)}
    assert codes == set(DATA_TYPES)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "an empty message"),
        ("01", "byte 0: a channel without a type"),
        ("01 67 00 FF 02", "byte 4: a channel without a type"),
        ("01 FE 00", "byte 1: no type 254 (channel 1)"),
        ("01 67 00 FF 02 69 00", "byte 5: no type 105 (channel 2)"),
        ("01 67 00", "byte 3: temperature of channel 1 lacks 1 bytes at the end"),
        ("01 88", "byte 2: gps of channel 1 lacks 9 bytes at the end"),
    ],
)
def test_what_is_malformed_is_refused_at_its_byte(text: str, detail: str) -> None:
    assert decode(bytes.fromhex(text)) == Rejected("bad_lpp", detail)


def test_a_message_longer_than_any_radio_frame_is_refused() -> None:
    assert isinstance(decode(b"\x01\x00\x01" * (MAX_BYTES // 3)), tuple)
    refused = decode(bytes(MAX_BYTES + 1))
    assert isinstance(refused, Rejected)
    assert refused.reason == "too_large"


def test_what_a_type_tells_by_itself_becomes_our_quantity_in_our_unit() -> None:
    text = ("01 67 00 FF 02 68 7B 03 73 27 8D 04 65 00 64 05 7D 01 A4 06 74 01 68 07 78 55"
            "08 82 00 00 04 D2 09 BC 01 2C 0A C0 04 D2 0B BE 01 F4 0C BF 01 0E")  # fmt: skip
    assert values(text) == {
        "air.temperature": 25.5, "air.relativeHumidity": 61.5, "air.pressure": 1012.5,
        "light.intensity": 100.0, "air.co2": 420.0, "battery.voltage": 3.6, "battery.level": 85.0,
        "water.distance": 1.234, "soil.moisture": 30.0, "soil.ec": 0.1234, "wind.speed": 5.0,
        "wind.direction": 270.0,
    }  # fmt: skip
    assert values(text).keys() <= QUANTITIES.keys()


@pytest.mark.parametrize(
    ("kind", "text", "quantity"),
    [
        ("paddy-node", "01 67 00 FF", "water.temperature"),
        ("calving-thermometer", "01 67 01 80", "animal.temperature"),
        ("weather-station", "01 67 00 FF", "air.temperature"),
        ("irrigation-gate", "01 78 32", "gate.position"),
        ("flood-sensor", "01 00 01", "flood.detected"),
        ("trap", "01 00 01", "trap.triggered"),
        ("weather-station", "01 84 00 10", "wind.direction"),
    ],
)
def test_the_kind_of_a_device_decides_what_a_type_is(kind: str, text: str, quantity: str) -> None:
    assert list(values(text, kind)) == [quantity]


def test_the_time_in_a_message_is_the_time_of_its_values() -> None:
    found = samples(read("01 85 69 55 B9 00 02 67 00 FF"), measured_at=5)
    assert isinstance(found, Decoded)
    assert found.samples[0].measured_at == T
    without = samples(read("02 67 00 FF"), measured_at=5)
    assert isinstance(without, Decoded)
    assert without.samples[0].measured_at == 5


def test_what_is_left_out_is_said() -> None:
    """A second thermometer is nobody's by default, as is what we have no quantity for."""
    found = samples(read("01 67 00 FF 02 67 01 10 03 02 00 64 04 88" + "00" * 9))
    assert isinstance(found, Decoded)
    assert found.samples[0].values == {"air.temperature": 25.5}
    assert found.remarks == (
        Remark("temperature_2", "27.2", "ambiguous"),
        Remark("analog_in_3", "1", "unknown_quantity"),
        Remark("gps_4", "0 0 0", "no_fix"),
    )
    nothing = samples(read("01 02 00 64"))
    assert nothing == Rejected("no_values", "analog_in_1: unknown_quantity")


def test_remarks_are_bounded() -> None:
    found = samples(read("01 67 00 FF" + "01 00 01" * 300))
    assert isinstance(found, Decoded)
    assert len(found.remarks) == MAX_REMARKS


def encoded(channel: int, of: DataType, raws: list[int]) -> bytes:
    parts = zip(of.parts, raws, strict=True)
    return bytes([channel, of.code]) + b"".join(
        raw.to_bytes(part.size, "big", signed=part.is_signed) for part, raw in parts
    )


@st.composite
def field_lists(draw: st.DrawFn) -> list[tuple[int, DataType, list[int]]]:
    found = []
    for _ in range(draw(st.integers(1, 20))):
        of = draw(st.sampled_from(sorted(DATA_TYPES.values(), key=lambda t: t.code)))
        raws = [
            draw(st.integers(*_limits(part.size, is_signed=part.is_signed))) for part in of.parts
        ]
        found.append((draw(st.integers(0, 255)), of, raws))
    return found


def _limits(size: int, *, is_signed: bool) -> tuple[int, int]:
    bits = 8 * size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)


@given(field_lists())
def test_what_is_encoded_is_decoded(fields: list[tuple[int, DataType, list[int]]]) -> None:
    payload = b"".join(encoded(*field) for field in fields)
    found = decode(payload)
    assert not isinstance(found, Rejected)
    assert [(f.channel, f.type.code) for f in found] == [(c, t.code) for c, t, _ in fields]
    for field, (_, of, raws) in zip(found, fields, strict=True):
        expected = tuple(raw / p.divisor for raw, p in zip(raws, of.parts, strict=True))
        assert field.values == expected


@given(field_lists(), st.data())
def test_every_truncation_is_refused_or_ends_between_fields(
    fields: list[tuple[int, DataType, list[int]]], data: st.DataObject
) -> None:
    pieces = [encoded(*field) for field in fields]
    payload = b"".join(pieces)
    end = data.draw(st.integers(0, len(payload) - 1))
    ends = {sum(map(len, pieces[:k])) for k in range(1, len(pieces))}
    found = decode(payload[:end])
    assert isinstance(found, tuple) == (end in ends)
