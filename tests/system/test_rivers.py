"""Real rivers, played through MQTT, stored and alarmed: against plain readings of the files."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from alerts.ledger import AlarmBook
from alerts.transitions import Transition
from devices.readings import Quality
from tests.servers.satomori_system import RunningSystem

FEET = 0.3048
STAGES_FT = (3, 4, 5)
HYSTERESIS_FT = Decimal("0.2")

RULES = f"""
[[rules]]
name = "river-stage"
kind = "stages"
quantity = "water.level"
hysteresis = {float(HYSTERESIS_FT) * FEET!r}
where = {{ device_kinds = ["river-gauge"] }}
stages = [
    {{ name = "caution", level = 2 }},
    {{ name = "evacuation", level = 3 }},
    {{ name = "danger", level = 4 }},
]
"""

HEADER = "name,kind,label,site,area,latitude,longitude,interval_s,thresholds\n"


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def crossings(levels_ft: list[tuple[int, Decimal]]) -> list[tuple[int, int, int]]:
    """(time, from, to) of each change of stage: the oracle, a plain reading of the file."""
    steps = []
    stage = 0
    for at, level in levels_ft:
        before = stage
        while stage < len(STAGES_FT) and level >= STAGES_FT[stage]:
            stage += 1
        while stage > 0 and level < STAGES_FT[stage - 1] - HYSTERESIS_FT:
            stage -= 1
        if stage != before:
            steps.append((at, before, stage))
    return steps


def _simulate(system: RunningSystem, file: Path) -> dict[str, object]:
    host, port, user, _ = system.broker_login()
    done = subprocess.run(
        [
            sys.executable, "-m", "satomori", "simulate", "--from-file", str(file),
            "--host", host, "--port", str(port), "--username", user,
            "--password-file", str(system.place.simulator_password_file), "--json",
        ],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    played: dict[str, object] = json.loads(done.stdout)
    return played


def _transitions(system: RunningSystem, device: int) -> list[Transition]:
    database = system.database()
    book = AlarmBook(database)
    alarms = [a for a in book.recent_alarms(100_000) if a.device == device]
    steps = [t.transition for a in alarms for t in book.transitions(a.id)]
    database.dispose()
    return sorted(steps, key=lambda t: t.measured_at)


@pytest.fixture
def river_system(tmp_path: Path) -> Iterator[RunningSystem]:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES, encoding="utf-8")
    sections = {
        "alerts": {"rules_file": str(rules)},
        "intake": {"readings_per_minute_per_device": 0},  # a season in a minute is no real device
    }
    system = RunningSystem(tmp_path, sections=sections)
    yield system
    system.stop()


def test_a_flash_flood_season_is_stored_as_measured_and_alarmed_at_each_crossing(
    river_system: RunningSystem, shared_data: Path
) -> None:
    """USGS 01581752, May–October 2018: every value within 1e-9 m, one step a crossing."""
    file = shared_data / "river_usgs" / "01581752_5min_2018-05_2018-10.csv.gz"
    thresholds = ";".join(
        f"{name}={feet * FEET!r}"
        for name, feet in zip(("caution", "evacuation", "danger"), STAGES_FT, strict=True)
    )
    snapshot = river_system.register(
        f"{HEADER}usgs-01581752,river-gauge,Run,01581752,Maryland,39.5,-76.3,300,{thresholds}\n"
    )
    device = snapshot.by_name["usgs-01581752"].id
    river_system.start()
    played = _simulate(river_system, file)
    river_system.wait_for_readers()
    assert river_system.stop() == 0

    rows = list(_rows(file))
    assert played["acknowledged"] == len(rows) == 52_992
    series = river_system.registry().series[device, "water.level"]
    with river_system.store() as store:
        stored = store.range(series, 0, 1 << 62)
    assert stored.measured_at.tolist() == [_milliseconds(r["datetime_utc"]) for r in rows]
    expected = np.array([float(r["gage_height_ft"]) for r in rows]) * FEET
    assert np.abs(stored.value - expected).max() <= 1e-9
    assert not stored.quality.any(), "no flash flood may be taken for a spike"

    oracle = crossings(
        [(_milliseconds(r["datetime_utc"]), Decimal(r["gage_height_ft"])) for r in rows]
    )
    assert len(oracle) > 20
    level_of = {0: 0, 1: 2, 2: 3, 3: 4}
    steps = [(t.measured_at, t.from_level, t.to_level) for t in _transitions(river_system, device)]
    assert steps == [(at, level_of[a], level_of[b]) for at, a, b in oracle]


def test_polled_readings_are_stored_once_and_single_spikes_give_no_verified_alarm(
    river_system: RunningSystem, shared_data: Path
) -> None:
    """UK EA polls: 58,417 rows, 8,624 repeats, three single-sample spikes at L1705A.

    L1705A stands at caution from its first reading on: each spike that was believed would end
    that alarm, and the reading after it would raise another.
    """
    file = shared_data / "river_uk_ea" / "polled_levels.csv.gz"
    stations = {"L1602": 1.4, "L1705A": 15.0, "L1707A": 23.4}
    snapshot = river_system.register(
        HEADER
        + "".join(
            f"ea-{name},river-gauge,{name},{name},Leeds,53.8,-1.5,900,caution={level}\n"
            for name, level in stations.items()
        )
    )
    river_system.start()
    _simulate(river_system, file)
    river_system.wait_for_readers()
    assert river_system.stop() == 0

    distinct: dict[str, dict[int, float]] = {name: {} for name in stations}
    total = 0
    for row in _rows(file):
        total += 1
        distinct[row["station_id"]][_milliseconds(row["timestamp"])] = float(row["value"])
    assert total - sum(map(len, distinct.values())) == 8_624
    registry = river_system.registry()
    spikes = []
    with river_system.store() as store:
        for name, readings in distinct.items():
            device = snapshot.by_name[f"ea-{name}"].id
            stored = store.range(registry.series[device, "water.level"], 0, 1 << 62)
            assert (
                dict(zip(stored.measured_at.tolist(), stored.value.tolist(), strict=True))
                == readings
            )
            assert len(stored) == len(readings)
            suspect = (stored.quality & Quality.SPIKE) != 0
            spikes += [(name, value) for value in stored.value[suspect].tolist()]
    assert sorted(spikes) == [("L1705A", -13.498), ("L1705A", -13.498), ("L1705A", 4.183)]

    for name, threshold in stations.items():
        device = snapshot.by_name[f"ea-{name}"].id
        for step in _transitions(river_system, device):
            assert step.value is not None
            assert step.value not in (-13.498, 4.183), "a spike gave a transition"
            if step.to_level:
                assert step.value >= threshold
    spiked = _transitions(river_system, snapshot.by_name["ea-L1705A"].id)
    assert [(step.from_level, step.to_level) for step in spiked] == [(0, 2)]
