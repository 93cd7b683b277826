"""Every scenario in ``scenarios/`` holds. See ``tests/alerts/scenario.py`` for how to write one."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.transitions import Transition
from tests.alerts.scenario import play

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_is_open_when_is_as_the_scenario_says(path: Path) -> None:
    """A rule, values over time, and what is open at each moment."""
    scenario = play(path)
    ids = [one.id for one in scenario.changes if isinstance(one, Transition)]
    assert len(ids) == len(set(ids)), "no two transitions have the same id"


def test_a_line_that_does_not_hold_is_named(tmp_path: Path) -> None:
    """The runner itself: a wrong expectation fails with file and line."""
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(
        SCENARIOS[0].read_text("utf-8") + "9:00:00  open: river G1 flooding\n", "utf-8"
    )
    with pytest.raises(AssertionError, match=r"wrong\.txt:\d+: open: river G1 flooding"):
        play(wrong)
