"""A clock that is ahead of ours: shown, and no obstacle to what comes after it."""

from __future__ import annotations

import numpy as np
import pytest

from dashboards.latest import LatestValues
from devices.readings import readings_from_columns

NOW = 1_790_000_000_000
MINUTE = 60_000


def take(latest: LatestValues, *rows: tuple[int, int, float]) -> None:
    """Rows of (measured_at, received_at, value) in minutes from now, of series 7."""
    measured, received, value = zip(*rows, strict=True)
    latest.take(
        readings_from_columns(
            [7] * len(rows),
            [NOW + m * MINUTE for m in measured],
            [NOW + r * MINUTE for r in received],
            list(value),
            [0] * len(rows),
        )
    )


def shown(latest: LatestValues) -> float:
    return float(latest.value[7])


@pytest.mark.parametrize("at_once", [False, True])
def test_a_reading_from_the_future_does_not_hide_those_that_come_after_it(at_once: bool) -> None:
    """Four minutes ahead, then set right: the water may rise meanwhile, and is shown."""
    latest = LatestValues()
    rows = [(4, 0, 1.0), (1, 1, 2.0), (2, 2, 3.0)]
    for part in [rows] if at_once else [[row] for row in rows]:
        take(latest, *part)
    assert shown(latest) == 3.0


def test_a_clock_that_is_always_ahead_shows_its_newest() -> None:
    """The order of a message's own samples holds, however they stand in it."""
    latest = LatestValues()
    take(latest, (2, 0, 2.0), (3, 0, 3.0), (1, 0, 1.0))
    assert shown(latest) == 3.0
    take(latest, (4, 1, 4.0))
    take(latest, (2, 0, 2.0))  # repeated
    assert shown(latest) == 4.0


def test_a_late_reading_is_not_the_latest() -> None:
    """As ever: what was measured before does not replace what was measured after."""
    latest = LatestValues()
    take(latest, (0, 0, 2.0))
    take(latest, (-5, 1, 1.0))
    assert shown(latest) == 2.0


def test_without_a_reading_there_is_none() -> None:
    """The arrays grow; nothing is known of the series between."""
    latest = LatestValues()
    take(latest, (0, 0, 2.0))
    assert [latest.has(k) for k in (6, 7, 8, 5000)] == [False, True, False, False]
    assert len(latest.take(readings_from_columns([], [], [], [], []))) == 0
    assert np.isfinite(latest.value).all()
