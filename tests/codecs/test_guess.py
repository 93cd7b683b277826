"""A proposal from names, units and examples: for a person to confirm, with its reasons."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.codec_guesses import _FAMILY_OF, LABELS
from devices.codecs.codec import Answer
from devices.codecs.guess import guess
from devices.codecs.mapping import checked


def proposed(data: Any, kind: str | None = None) -> dict[str, tuple[str, float]]:
    """Quantity → (path, scale) of what is proposed for one example."""
    found = guess([Answer(data=data)], kind)
    assert all(line.reason for line in found.lines)
    return {e.quantity: (e.path, round(e.scale, 6)) for e in checked(found.mapping).entries}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"TempC_SHT": 21.3, "TempC_DS": 20.0}, {"air.temperature": ("TempC_SHT", 1.0)}),
        ({"Bat_V": 3.6}, {"battery.voltage": ("Bat_V", 1.0)}),
        ({"battery_mv": 3600}, {"battery.voltage": ("battery_mv", 0.001)}),
        ({"vdd": 3600}, {"battery.voltage": ("vdd", 0.001)}),
        ({"battery": 93}, {"battery.level": ("battery", 1.0)}),
        ({"batteryLevel": 3.05}, {"battery.voltage": ("batteryLevel", 1.0)}),
        ({"distance": 1834}, {"water.distance": ("distance", 0.001)}),
        ({"Distance": "1834 mm"}, {"water.distance": ("Distance", 0.001)}),
        ({"water_level_cm": 120}, {"water.level": ("water_level_cm", 0.01)}),
        ({"Hum_SHT": "45.0"}, {"air.relativeHumidity": ("Hum_SHT", 1.0)}),
        ({"totalVolume_l": 12345}, {"water.total": ("totalVolume_l", 0.001)}),
        ({"volume": 502.25}, {"water.total": ("volume", 1.0)}),
        (
            {"soil": {"temp": {"value": 9.5, "unit": "°C"}}},
            {"soil.temperature": ("soil.temp.value", 1.0)},
        ),
        ({"vwc": {"value": 0.3, "unit": "m³/m³"}}, {"soil.moisture": ("vwc.value", 100.0)}),
        ({"list": [{"type": "CO2", "value": 600}]}, {"air.co2": ("list[type=CO2].value", 1.0)}),
        ({"電池電圧": 3.1}, {"battery.voltage": ("電池電圧", 1.0)}),
        ({"水位": 1.25}, {"water.level": ("水位", 1.0)}),
        ({"気温": "21.5℃"}, {"air.temperature": ("気温", 1.0)}),
        ({"leakage_status": "normal"}, {"water.leak": ("leakage_status", 1.0)}),
        ({"doorClosed": True}, {"contact.open": ("doorClosed", -1.0)}),
    ],
)  # fmt: skip
def test_names_and_units_decide(data: object, expected: object) -> None:
    """As vendors write them, in English and in Japanese."""
    assert proposed(data) == expected


@pytest.mark.parametrize(
    "key",
    ["tempAlarmLimitHigh", "targetTemperature", "mcu_temperature", "batteryThreshold", "PM2_5",
     "firmware_version", "frameCounter", "distance_max", "humidityAlertActive",
     "tooLongInactivity"],
)  # fmt: skip
def test_limits_settings_and_counters_of_other_things_are_not_readings(key: str) -> None:
    """Nothing is better than a wrong proposal."""
    assert proposed({key: 12.5}) == {}


def test_the_kind_of_device_decides_what_a_level_or_a_temperature_is() -> None:
    """The same word means another thing in a paddy, in a road and in a cow."""
    data = {"水位": 0.05, "temperature": 20.5}
    assert proposed(data, "flood-sensor")["flood.depth"] == ("水位", 1.0)
    assert proposed(data, "paddy-node").keys() == {"paddy.depth", "water.temperature"}
    assert proposed(data, "calving-thermometer")["animal.temperature"] == ("temperature", 1.0)


def test_a_percentage_in_place_of_volts_is_distrusted() -> None:
    """Some say so in ``normalizeUplink``; what else that says is taken."""
    said = Answer(data={"battery": 93}, normalized=({"battery": 93, "air": {"temperature": 4}},))
    mapping = guess([said]).mapping
    assert mapping.uses_normalized
    assert mapping.distrusts == ("battery.voltage",)
    assert [entry.quantity for entry in mapping.entries] == ["battery.level"]


def test_units_that_change_between_examples_are_not_guessed() -> None:
    """One of them would be a thousand times too much."""
    mixed = [Answer(data={"bat": "3.6 V"}), Answer(data={"bat": "3600 mV"})]
    assert guess(mixed).mapping.entries == ()


def test_labels_are_of_quantities_that_are_measured() -> None:
    """The labels of the bench name paths, scales and offsets of known quantities."""
    for sample in json.loads(LABELS.read_text(encoding="utf-8")).values():
        for labels in sample.values():
            assert labels.keys() <= _FAMILY_OF.keys()


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["temp", "battery", "unit", "name", "水位", "a.b", ""]), inner
        )
    ),
    max_leaves=15,
)


@given(JSONS)
def test_a_guess_of_anything_is_a_mapping_that_can_be(data: Any) -> None:
    """Whatever a stranger's program says."""
    found = guess([Answer(data=data)])
    checked(found.mapping)
