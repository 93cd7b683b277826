"""How long it took from a publish to the committed alarm, and whether any is missing.

Refuses to know rates and stores. A crossing is due once for each rule of its lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine, select

from alerts.tables import transition
from bench.subject import RULE_PREFIX, rule_lane, rules_in
from devices.frames import Lane
from devices.readings import Int64s


@dataclass(frozen=True, slots=True)
class Delays:
    """Transitions of a lane (or both): how many there are and must be, and their delays in ms.

    The delay is committed_at − measured_at, the publisher's and Satomori's clock being one; only
    those measured from ``since_at`` on count for it. None where there is no transition.
    """

    count: int
    expected: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    @property
    def missing(self) -> int:
        """How many are missing; below zero: too many."""
        return self.expected - self.count


def delays_by_lane(
    database: Engine, crossings: Mapping[str, int], rules: int, since_at: int, until_at: int
) -> Mapping[str, Delays]:
    """Delays of "urgent", "routine" and "all", of what was measured in ``[since_at, until_at)``.

    What the installation says of itself, when it has too much to do, is no part of the load.
    """
    columns = transition.c.rule, transition.c.measured_at, transition.c.committed_at
    of_load = transition.c.rule.startswith(RULE_PREFIX)
    with database.connect() as connection:
        rows = connection.execute(select(*columns).where(of_load)).all()
    is_urgent = np.array([rule_lane(rule) is Lane.URGENT for rule, _, _ in rows], np.bool_)
    measured_at = np.array([at for _, at, _ in rows], np.int64)
    delay = np.array([committed_at for _, _, committed_at in rows], np.int64) - measured_at
    is_timed = (measured_at >= since_at) & (measured_at < until_at)
    due = {lane: crossings[lane] * rules_in(lane, rules) for lane in Lane}
    return {
        "urgent": _delays(is_urgent, delay[is_urgent & is_timed], due[Lane.URGENT]),
        "routine": _delays(~is_urgent, delay[~is_urgent & is_timed], due[Lane.ROUTINE]),
        "all": _delays(np.ones(len(rows), np.bool_), delay[is_timed], sum(due.values())),
    }


def _delays(is_counted: np.typing.NDArray[np.bool_], delay_ms: Int64s, expected: int) -> Delays:
    count = int(is_counted.sum())
    if not len(delay_ms):
        return Delays(count, expected, None, None, None)
    p50, p99, longest = (round(float(np.percentile(delay_ms, p)), 1) for p in (50, 99, 100))
    return Delays(count, expected, p50, p99, longest)
