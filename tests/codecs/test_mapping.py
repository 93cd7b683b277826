"""What a codec says becomes our quantities by a table, and by nothing that is not clear."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.codec import Answer
from devices.codecs.mapping import (
    MAX_SAMPLES,
    NORMALIZED,
    Entry,
    MappingError,
    Past,
    QuantityMapping,
    from_json,
    to_json,
    to_samples,
)
from devices.codecs.mapping_text import from_text, to_text
from devices.codecs.paths import PathError, look_up, parse, text_of
from devices.codecs.values import moment, number, state
from devices.payload import Sample

NOW = 1_767_225_600_000  # 2026-01-01T00:00Z


def values(data: Any, *texts: str) -> dict[str, float]:
    """What one answer gives by these entries, at the time of the message."""
    samples = to_samples(Answer(data=data), from_text(texts), NOW)
    assert all(sample.measured_at == NOW for sample in samples)
    return dict(samples[0].values) if samples else {}


def about(value: float) -> Any:
    """A number that equals this one but for rounding."""
    return pytest.approx(value)


def test_scale_and_offset_turn_their_unit_into_ours() -> None:
    """Millimetres into metres, Fahrenheit into Celsius."""
    found = values(
        {"distance": 1834, "t": 212.0},
        "distance=water.distance*0.001",
        "t=air.temperature*0.5555555555555556-17.77777777777778",
    )
    assert found == pytest.approx({"water.distance": 1.834, "air.temperature": 100.0})


def test_numbers_may_be_texts_but_only_with_the_unit_that_was_confirmed() -> None:
    """A codec that changes from V to mV must not make 3,600 V."""
    assert values({"a": " 3.6 "}, "a=battery.voltage") == {"battery.voltage": 3.6}
    assert values({"a": "3.6 V"}, "a=battery.voltage unit:V") == {"battery.voltage": 3.6}
    assert values({"a": "3600 mV"}, "a=battery.voltage unit:V") == {}
    assert values({"a": "3.6 V"}, "a=battery.voltage") == {}


@pytest.mark.parametrize(
    "bad",
    [None, "", "NaN", "abc", True, [], {}, float("nan"), float("inf"), 10**400, "1e999", "3,6"],
)
def test_what_is_no_finite_number_is_left_out(bad: object) -> None:
    """And the rest of the answer stays."""
    found = values({"a": bad, "b": 1}, "a=battery.voltage", "b=water.level")
    assert found == {"water.level": 1.0}


def test_flags_are_read_from_booleans_numbers_and_words() -> None:
    """Whatever is no clear yes or no is left out; a closed door is an open one, inverted."""
    assert values({"a": True}, "a=water.leak") == {"water.leak": 1.0}
    assert values({"a": "No Leak"}, "a=water.leak") == {"water.leak": 0.0}
    assert values({"a": "漏水"}, "a=water.leak") == {"water.leak": 1.0}
    assert values({"a": 2}, "a=water.leak") == {}
    assert values({"a": "perhaps"}, "a=water.leak") == {}
    assert values({"shut": True}, "shut=contact.open*-1+1") == {"contact.open": 0.0}


def test_paths_reach_into_objects_and_lists() -> None:
    """By key, by number from either end, by what an element is called, by odd keys."""
    data = {
        "a": {"b": [{"c": 1}, {"c": 2}]},
        "list": [{"type": "temp", "value": 7}, {"type": "hum", "value": 50}],
        "odd.key": {"水位": 3},
    }
    assert values(data, "a.b[0].c=water.level") == {"water.level": 1.0}
    assert values(data, "a.b[-1].c=water.level") == {"water.level": 2.0}
    assert values(data, "a.b[9].c=water.level") == {}
    assert values(data, "list[type=hum].value=air.relativeHumidity") == {
        "air.relativeHumidity": 50.0
    }
    assert values(data, '["odd.key"].水位=water.level') == {"water.level": 3.0}


def test_a_condition_decides_which_entry_holds() -> None:
    """One field, two meanings: the mode says which."""
    texts = ("v=water.level if:mode=1", "v=water.distance if:mode!=1")
    assert values({"v": 2, "mode": 1}, *texts) == {"water.level": 2.0}
    assert values({"v": 2, "mode": 2}, *texts) == {"water.distance": 2.0}
    assert values({"v": 2, "mode": True}, *texts) == {"water.distance": 2.0}


def test_of_two_entries_for_a_quantity_the_first_that_is_there_holds() -> None:
    """Firmware versions name things differently."""
    texts = ("new=water.level", "old=water.level")
    assert values({"old": 1}, *texts) == {"water.level": 1.0}
    assert values({"old": 1, "new": 2}, *texts) == {"water.level": 2.0}


def test_past_values_get_their_times_by_interval() -> None:
    """A meter tells the last hours; the newest stands first, unless it is said otherwise."""
    data = {"log": [{"v": 1003}, {"v": 1002}, {"v": "bad"}, {"v": 1000}]}
    mapping = from_text(["log[].v=water.total*0.001 every:3600"])
    assert to_samples(Answer(data=data), mapping, NOW) == (
        Sample({"water.total": 1.0}, NOW - 3 * 3_600_000),
        Sample({"water.total": 1.002}, NOW - 3_600_000),
        Sample({"water.total": about(1.003)}, NOW),
    )
    oldest_first = from_text(["log[].v=water.total*0.001 every:-3600"])
    assert to_samples(Answer(data=data), oldest_first, NOW)[-1].values == {"water.total": 1.0}


def test_past_values_get_their_own_times() -> None:
    """An element without a time that can be is left out: nobody knows when it was."""
    data = [
        {"at": "2025-12-31T23:00:00Z", "v": 1},
        {"at": 0, "v": 2},
        {"v": 3},
        {"at": NOW // 1000, "v": 4},
    ]
    mapping = from_json(
        {
            "entries": [{"path": "log[].v", "quantity": "water.level"}],
            "past": [{"path": "log", "time": "at"}],
        }
    )
    assert to_samples(Answer(data={"log": data}), mapping, NOW) == (
        Sample({"water.level": 1.0}, NOW - 3_600_000),
        Sample({"water.level": 4.0}, NOW),
    )


def test_the_codecs_own_time_holds_where_it_is_mapped() -> None:
    """And the message's where that cannot be a time."""
    mapping = from_text(["v=water.level", "time:at"])
    for at, expected in (("2025-12-31T23:00:00Z", NOW - 3_600_000), (0, NOW), (None, NOW)):
        [sample] = to_samples(Answer(data={"v": 1, "at": at}), mapping, NOW)
        assert sample.measured_at == expected


def test_normalized_measurements_become_samples_in_our_units() -> None:
    """Litres, dS/m, words and times of The Things Stack's schema."""
    said = (
        {
            "time": "2025-12-31T23:00:00Z",
            "air": {"temperature": 21.5, "relativeHumidity": 60, "lightIntensity": 12},
            "soil": {"moisture": 30, "ec": 1.5},
        },
        {
            "battery": 3.6,
            "metering": {"water": {"total": 12345}},
            "water": {"leak": "no leak", "temperature": {"min": 4, "avg": 5}},
            "action": {"contactState": "open"},
        },
    )
    assert to_samples(Answer(normalized=said), NORMALIZED, NOW) == (
        Sample(
            {
                "air.temperature": 21.5,
                "air.relativeHumidity": 60.0,
                "light.intensity": 12.0,
                "soil.moisture": 30.0,
                "soil.ec": about(0.15),
            },
            NOW - 3_600_000,
        ),
        Sample(
            {
                "battery.voltage": 3.6,
                "water.leak": 0.0,
                "water.temperature": 5.0,
                "water.total": about(12.345),
                "contact.open": 1.0,
            },
            NOW,
        ),
    )


def test_a_persons_entry_goes_before_what_normalize_uplink_says() -> None:
    """And what is distrusted of it is not taken at all: some put percent where volts belong."""
    said = Answer(data={"battery": 93}, normalized=({"battery": 93, "air": {"temperature": 4}},))
    mapping = from_text(["battery=battery.level", "normalizeUplink-battery.voltage"])
    [sample] = to_samples(said, mapping, NOW)
    assert sample.values == {"battery.level": 93.0, "air.temperature": 4.0}


def test_a_receiver_without_a_fix_is_nowhere() -> None:
    """0° N, 0° E is the sea off Africa; either one alone is a place."""
    texts = ("lat=position.latitude", "lon=position.longitude", "b=battery.voltage")
    assert values({"lat": 0, "lon": 0, "b": 3}, *texts) == {"battery.voltage": 3.0}
    assert values({"lat": 31.8, "lon": 0, "b": 3}, *texts)["position.latitude"] == 31.8


def test_a_message_without_a_time_gives_samples_without_one() -> None:
    """Intake then takes the time of its coming; past values by interval cannot be placed."""
    mapping = from_text(["v=water.level", "log[]=water.total every:60"])
    [sample] = to_samples(Answer(data={"v": 1, "log": [1, 2]}), mapping, None)
    assert sample == Sample({"water.level": 1.0}, None)


def test_samples_are_bounded() -> None:
    """However long a list a codec makes."""
    data = {"log": [{"v": n, "at": NOW // 1000 - n} for n in range(10_000)]}
    mapping = from_text(["log[].v=water.level at:at"])
    assert len(to_samples(Answer(data=data), mapping, NOW)) == MAX_SAMPLES
    many = tuple({"time": NOW + n, "battery": 3.0} for n in range(10_000))
    assert len(to_samples(Answer(normalized=many), NORMALIZED, NOW)) == MAX_SAMPLES


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"entries": [{"path": "a", "quantity": "water.depht"}]}, "entry 1 (a): no quantity"),
        ({"entries": [{"path": "a", "quantity": "disk.free"}]}, "no quantity"),
        ({"entries": [{"path": "a[", "quantity": "water.level"}]}, "character 2"),
        ({"entries": [{"path": "a", "quantity": "water.level", "scale": 0}]}, "other than 0"),
        ({"entries": [{"path": "a[]", "quantity": "water.level"}]}, "when its elements"),
        ({"entries": [{"path": "a", "quantity": "water.level"}] * 65}, "at most 64"),
        ({"past": [{"path": "a", "time": "t", "interval_s": 5}]}, "either a time or an interval"),
        ({"past": [{"path": "a", "interval_s": -5}]}, "more than 0 s"),
        ({"time": "a[]"}, "no []"),
        ({"entries": 7}, "Expected"),
        ([], "Expected"),
    ],
)
def test_a_mapping_that_cannot_be_says_why(mapping: object, says: str) -> None:
    """With the entry that it is about."""
    with pytest.raises(MappingError) as caught:
        from_json(mapping)
    assert says in str(caught.value)


def test_a_mapping_comes_back_from_json_and_from_text() -> None:
    """As it is kept, and as people type it."""
    mapping = QuantityMapping(
        (
            Entry("log[].v", "water.total", 0.001),
            Entry('["a.b"].c[0]', "air.temperature", 5 / 9, -160 / 9),
            Entry("list[type=x y].v", "battery.voltage", unit="V"),
        ),
        uses_normalized=True,
        time="at",
        past=(Past("log", interval_s=900.0, is_newest_first=False),),
        distrusts=("air.pressure",),
    )
    assert from_json(json.loads(json.dumps(to_json(mapping)))) == mapping
    assert from_text(to_text(mapping)) == mapping


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(JSONS)
def test_whatever_a_codec_says_every_value_is_finite_and_nothing_raises(data: Any) -> None:
    """The codec is somebody else's program."""
    mapping = from_text(
        ["a=water.level", "a.b[0]=water.leak", "a[]=water.total at:b", "normalizeUplink"]
    )
    for wrapped in (data, {"a": data}, {"a": [{"b": data}]}):
        said = Answer(data=wrapped, normalized=({"battery": data, "air": data, "time": data},))
        for sample in to_samples(said, mapping, NOW):
            assert all(math.isfinite(value) for value in sample.values.values())


@given(st.text(max_size=40))
def test_a_path_is_read_or_refused(text: str) -> None:
    """And one that is read comes back from its text."""
    try:
        path = parse(text)
    except PathError:
        return
    assert parse(text_of(path)) == path
    look_up({text: [text]}, path)


@given(st.text(max_size=60))
def test_any_text_is_a_number_a_state_a_time_or_nothing(text: str) -> None:
    """Never an exception."""
    assert number(text) is None or math.isfinite(number(text) or 0.0)
    assert state(text) in (None, 0.0, 1.0)
    assert moment(text) is None or isinstance(moment(text), int)
