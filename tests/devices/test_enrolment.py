"""Requests for admission come from strangers: what they may say, and what they may not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import enrolment
from devices.credentials import (
    MOST_ITERATIONS,
    is_password,
    is_password_hash,
    mosquitto_password_line,
    password_line_of_hash,
)
from devices.enrolment import Enrolment
from devices.outcomes import Rejected
from firmware_sim.enrolling import EnrollingUnit, mosquitto_hash

HASH = mosquitto_hash("open sesame", b"twelve bytes")
TOPIC = "field/v1/enrol/SN-1/up"


def asked(**said: object) -> bytes:
    document = {"kind": "flood-sensor", "serial": "SN-1", "password_hash": HASH, **said}
    return json.dumps(document).encode()


def test_a_unit_of_the_simulator_is_understood() -> None:
    """Two writings of the format, ours and the firmware's, agree."""
    unit = EnrollingUnit("SN-1", "flood-sensor", 3, {"model": "UF-2", "label": "駅前"})
    found = enrolment.read(unit.request_topic, unit.request())
    assert isinstance(found, Enrolment)
    assert (found.serial, found.model, found.label) == ("SN-1", "UF-2", "駅前")
    assert found.fingerprint == unit.fingerprint
    line = password_line_of_hash("uf-1", found.password_hash)
    assert is_password(line, unit.password)


def test_everything_optional_is_read() -> None:
    found = enrolment.read(
        TOPIC, asked(dev_eui="a84041ffff1234ab", position={"latitude": 31.8, "longitude": 130.3})
    )
    assert isinstance(found, Enrolment)
    assert found.dev_eui == "A84041FFFF1234AB"
    assert (found.latitude, found.longitude) == (31.8, 130.3)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"kind": "flood-sensor"}',
        asked(serial="SN-2"),
        asked(kind="satomori"),
        asked(kind="toaster"),
        asked(model="x" * 101),
        asked(label="two\nlines"),
        asked(label="\u202e"),  # turns the writing of a page round
        asked(dev_eui="12"),
        asked(position={"latitude": 91, "longitude": 0}),
        asked(position={"latitude": 31.8}),
        asked(position=[31.8, 130.3]),
        asked(label="x" * 3000),
        asked(password_hash=7),
        b'{"kind":"\xff"}',
        b'{"kind":"\\ud800"}',
        b'{"position":{"latitude":1e999,"longitude":1}}',
    ],
)
def test_a_request_that_says_it_wrong_is_refused_with_a_reason(payload: bytes) -> None:
    found = enrolment.read(TOPIC, payload)
    assert isinstance(found, Rejected)
    assert found.reason == "bad_enrolment"
    assert len(found.detail) < 400


@pytest.mark.parametrize(
    "topic",
    [
        "field/v1/enrol/SN-1/answer",
        "field/v1/enrol//up",
        "field/v1/enrol/" + "x" * 65 + "/up",
        "field/v1/enrol/SN 1/up",
        "field/v1/enrol/#/up",
        "field/v1/flood-sensor/SN-1/up",
    ],
)
def test_a_serial_number_that_fits_no_topic_is_refused(topic: str) -> None:
    assert isinstance(enrolment.read(topic, asked()), Rejected)


@pytest.mark.parametrize(
    "text",
    [
        HASH + "\nsatomori-intake:" + HASH,
        HASH + "\n",
        "\n" + HASH,
        HASH + ":x",
        "x:" + HASH,
        HASH.replace("$7$", "$6$"),
        HASH.replace("$101$", "$100$"),
        HASH.replace("$101$", f"${MOST_ITERATIONS + 1}$"),
        HASH.replace("$101$", "$999999999$"),
        HASH.replace("$101$", "$-101$"),
        HASH.replace("$101$", "$१०१$"),  # digits, but not ours
        HASH.replace("$101$", "$ 101$"),
        HASH[:-2],
        HASH[:-3] + "B==",  # bits beyond the end: another text for the same bytes
        HASH + "=",
        HASH.replace("==", "--"),
        "$7$101$$",
        "",
        "password",
    ],
)
def test_nothing_but_mosquittos_own_form_gets_into_its_password_file(text: str) -> None:
    """A newline would be another account, a colon another field, 10^9 rounds a dead broker."""
    assert not is_password_hash(text)
    assert isinstance(enrolment.read(TOPIC, asked(password_hash=text)), Rejected)
    with pytest.raises(ValueError, match="no hash"):
        password_line_of_hash("uf-1", text)


@given(st.text(max_size=200))
def test_a_text_that_passes_for_a_hash_is_one_line_without_a_colon(text: str) -> None:
    assert not is_password_hash(text) or (text.isascii() and ":" not in text)


@given(st.integers(0, len(HASH) - 1), st.characters())
def test_a_hash_with_one_character_changed_is_one_line_or_none(at: int, changed: str) -> None:
    text = HASH[:at] + changed + HASH[at + 1 :]
    if is_password_hash(text):
        line = password_line_of_hash("uf-1", text)
        assert line.count(":") == 1
        assert line.splitlines() == [line]


@given(st.binary(max_size=600))
def test_no_bytes_make_the_reader_fail(payload: bytes) -> None:
    assert isinstance(enrolment.read(TOPIC, payload), Rejected | Enrolment)


def test_our_own_passwords_have_the_form_that_is_asked_of_others() -> None:
    assert is_password_hash(mosquitto_password_line("x", "y").partition(":")[2])
