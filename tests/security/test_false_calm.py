"""A device whose clock runs ahead must not make its own flood invisible."""

from __future__ import annotations

from alerts.engine import Engine
from alerts.rules import load_rules
from alerts.transitions import Transition
from devices.frames import Lane
from tests.alerts.world import device, frame, registry, series

RULES = load_rules("""
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
stages = [{ name = "caution", level = 2 }, { name = "danger", level = 4 }]
""")
GAUGE = device(1, thresholds={"caution": 3.0, "danger": 4.0})
LEVEL = series(GAUGE, "water.level")
T0 = 1_790_000_000_000
AHEAD_MS = 290_000  # intake takes up to 5 min ahead of our clock as it is


def stages(*readings: tuple[int, int, float]) -> list[str]:
    """The stages told for (measured_at, received_at, value), each in a frame of its own."""
    engine = Engine(Lane.URGENT, RULES, registry([GAUGE]))
    frames = [frame([(LEVEL, T0 + m, T0 + r, v, 0)]) for m, r, v in readings]
    told = engine.run(frames)
    assert all(isinstance(one, Transition) for one in told)  # nothing had to be corrected
    return [one.to_stage for one in told if isinstance(one, Transition)]


def test_after_one_reading_from_the_future_the_river_is_still_watched() -> None:
    """A clock that was set right again, or a forged time: what follows is not late."""
    assert stages(
        (0, 0, 2.8), (1000 + AHEAD_MS, 1000, 2.8), (2000, 2000, 3.5), (3000, 3000, 4.5)
    ) == ["caution", "danger"]


def test_a_clock_that_always_runs_ahead_loses_nothing() -> None:
    """Several readings that come together, all ahead of us, are evaluated one after the other."""
    assert stages(
        (AHEAD_MS, 0, 2.8), (AHEAD_MS + 1, 0, 3.5), (AHEAD_MS + 2, 0, 4.5), (AHEAD_MS + 3, 0, 2.0)
    ) == ["caution", "danger", "normal"]
