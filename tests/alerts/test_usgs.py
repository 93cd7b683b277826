"""The engine on a real season: a flashy urban stream, flash floods of summer 2018."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from alerts.engine import Engine
from alerts.rules import load_rules
from devices.frames import Frame, Lane
from devices.readings import readings_from_columns
from tests.alerts.world import device, frame_of, registry, series

FOOT_M = 0.3048
STAGES_FT = {"caution": 3, "evacuation": 4, "danger": 5}

RULES = load_rules(f"""
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
hysteresis = {0.2 * FOOT_M!r}
stages = [
    {{ name = "caution", level = 2 }},
    {{ name = "evacuation", level = 3 }},
    {{ name = "danger", level = 4 }},
]
""")


@pytest.fixture(scope="module")
def season() -> list[tuple[int, str]]:
    """(time in ms UTC, gauge height in feet as written) of every row that has a height."""
    from tests.conftest import SHARED_DATA

    if not SHARED_DATA.is_dir():
        pytest.skip("real inputs are not on this machine (SATOMORI_TEST_DATA)")
    found = sorted(Path(SHARED_DATA, "river_usgs").glob("*.csv.gz"))
    with gzip.open(found[0], "rt", encoding="utf-8") as text:
        return [
            (_ms(row["datetime_utc"]), row["gage_height_ft"])
            for row in csv.DictReader(text)
            if row["gage_height_ft"]
        ]


@pytest.mark.parametrize("rows_a_frame", [1, 97, 100_000])
def test_one_step_for_each_crossing_that_a_plain_reading_of_the_file_gives(
    season: list[tuple[int, str]], rows_a_frame: int
) -> None:
    """Stages at 3, 4 and 5 ft, 0.2 ft hysteresis, no hold; the oracle reckons in feet."""
    gauge = device(1, thresholds={s: ft * FOOT_M for s, ft in STAGES_FT.items()})
    engine = Engine(Lane.URGENT, RULES, registry([gauge]))
    told = engine.run(_frames(season, series(gauge, "water.level"), rows_a_frame))
    steps = [(t.measured_at, t.from_stage, t.to_stage) for t in told]
    expected = _crossings(season)
    assert steps == expected
    assert len(expected) == 38
    assert all(t.is_verified and not t.is_historic for t in told)


def _crossings(season: list[tuple[int, str]]) -> list[tuple[int, str, str]]:
    """Up when at a stage or above; down from a stage only when below it by more than 0.2 ft."""
    names = ["normal", *STAGES_FT]
    steps = []
    stage = 0
    for at, text in season:
        height, before = Decimal(text), stage
        while stage < 3 and height >= stage + 3:
            stage += 1
        while stage > 0 and height < stage + 2 - Decimal("0.2"):
            stage -= 1
        if stage != before:
            steps.append((at, names[before], names[stage]))
    return steps


def _frames(season: list[tuple[int, str]], own: int, rows_a_frame: int) -> list[Frame]:
    frames: list[Frame] = []
    for start in range(0, len(season), rows_a_frame):
        rows = season[start : start + rows_a_frame]
        at = np.array([at for at, _ in rows], np.int64)
        metres = np.array([float(text) * FOOT_M for _, text in rows])
        n = len(rows)
        frames.append(frame_of(readings_from_columns([own] * n, at, at, metres, [0] * n)))
    return frames


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
