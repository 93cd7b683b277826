"""Scenario files: text that a duty officer could review, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firmware_sim import city
from firmware_sim.scenario import (
    Scenario,
    ScenarioError,
    ScenarioFleet,
    Step,
    parse_scenario,
    read_scenario,
)

START_AT = 1_792_540_800_000

RISING_RIVER = """
calm = true
flawless = true
only = ["river-08"]

[[step]]
at_s = 30
device = "river-08"
quantity = "water.level"
value = 2.4
ramp_s = 10

[[step]]
at_s = 5
device = "river-08"
quantity = "water.level"
value = 1.8
"""


def test_a_scenario_raises_one_river_step_by_step(tmp_path: Path) -> None:
    """Normal, then 1.8 m at once at 5 s, then up to 2.4 m from 30 s to 40 s."""
    path = tmp_path / "river.toml"
    path.write_text(RISING_RIVER, encoding="utf-8")
    fleet = ScenarioFleet(read_scenario(path), city.devices(), seed=1, start_at=START_AT)
    sent = [p for k in range(1, 61) for p in fleet.step(START_AT + 1000 * k)]
    assert [p.at for p in sent] == sorted(p.at for p in sent)
    levels = [
        ((p.at - START_AT) / 1000, json.loads(p.payload)["v"]["water.level"])
        for p in sent
        if p.topic == "field/v1/river-gauge/river-08/up"
    ]
    assert all(level < 0.7 for at, level in levels if at <= 5)
    assert {level for at, level in levels if 5 < at <= 30} == {1.8}
    assert next(at for at, level in levels if level == 1.8) == 5.001
    assert all(1.8 < level < 2.4 for at, level in levels if 30.1 < at < 40)
    assert {level for at, level in levels if at > 40.1} == {2.4}
    assert {p.topic.split("/")[3] for p in sent} == {"river-08"}


def test_an_empty_scenario_is_the_plain_city() -> None:
    """Nothing forced, the storm comes."""
    assert parse_scenario({}) == Scenario()


def test_steps_may_stand_in_any_order() -> None:
    """They happen by time."""
    raw = {"device": "river-01", "quantity": "water.level", "value": 1}
    scenario = parse_scenario({"step": [{"at_s": 9, **raw}, {"at_s": 2, **raw}]})
    assert scenario.steps[0] == Step(2.0, "river-01", "water.level", 1.0)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"storm": True}, "storm: unknown key"),
        ({"calm": "yes"}, "calm: a bool is expected, not 'yes'"),
        ({"step": [3]}, r"step\[0\]: a table is expected"),
        ({"step": [{"at": 3}]}, r"step\[0\]\.at: unknown key"),
        ({"step": [{"quantity": "mud"}]}, r"step\[0\]\.quantity: unknown quantity 'mud'"),
        (
            {"step": [{"quantity": "water.level", "at_s": "soon"}]},
            r"step\[0\]\.at_s: a number is expected, not 'soon'",
        ),
    ],
)
def test_a_bad_scenario_is_refused_with_path_and_value(
    document: dict[str, Any], message: str
) -> None:
    """An unknown key is an error, not a wish that is not heard."""
    with pytest.raises(ScenarioError, match=message):
        parse_scenario(document)


def test_a_scenario_for_unknown_devices_is_refused() -> None:
    """Before anything is published."""
    step = Step(0.0, "river-99", "water.level", 1.0)
    with pytest.raises(ScenarioError, match="river-99"):
        ScenarioFleet(Scenario((step,)), city.devices(), seed=1, start_at=START_AT)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or not TOML."""
    with pytest.raises(ScenarioError, match=r"none\.toml"):
        read_scenario(tmp_path / "none.toml")
    path = tmp_path / "bad.toml"
    path.write_text("calm = ", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"bad\.toml: Invalid value"):
        read_scenario(path)
