"""What the alerts process says of itself, in one small JSON file, replaced each second.

Refuses to know who reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from alerts.follower import LaneFollower
from alerts.history import Insertion
from alerts.transitions import Change, Transition
from devices.frames import Lane
from devices.histogram import LAGS_S, WAITS_S, Histogram

TICKS_LATE_MS: Final = 10_000
"""Intake ticks each second: after this long without one, silence itself is not watched."""


class AlarmLags:
    """How long after a reading its transition was committed; historic ones say nothing of us."""

    def __init__(self) -> None:
        self.event = Histogram(LAGS_S)
        self.received = Histogram(WAITS_S)

    def note(self, changes: Iterable[Change], now: int) -> None:
        """These have been committed at ``now`` (int ms UTC)."""
        for one in changes:
            if isinstance(one, Transition) and one.value is not None and not one.is_historic:
                self.event.observe((now - one.measured_at) / 1000)
                self.received.observe((now - one.received_at) / 1000)


def write_status(
    path: Path,
    now: int,
    lanes: Mapping[Lane, LaneFollower],
    deliveries: Mapping[str, int],
    lags: AlarmLags,
) -> None:
    """Replace the file at ``path``; ``now`` is int ms UTC."""
    document = {
        "process": "alerts",
        "pid": os.getpid(),
        "at": now,
        "lanes": {str(lane): _lane(follower, now) for lane, follower in lanes.items()},
        "deliveries": dict(deliveries),
        "lags": {"event": lags.event.fields(), "received": lags.received.fields()},
    }
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document), "utf-8")
    temporary.replace(path)


def _lane(follower: LaneFollower, now: int) -> dict[str, object]:
    tick_at, late = follower.last_tick_at, follower.engine.late
    return {
        "position": follower.position.n if follower.position else None,
        "revision": follower.engine.revision,
        "rule_version": follower.engine.rules.version,
        "open_alarms": len(follower.engine.open_alarms()),
        "late_readings": late.total() - late[Insertion.REPEATED],
        "changed_readings": late[Insertion.CHANGED],
        "repeated_readings": late[Insertion.REPEATED],
        "beyond_horizon": late[Insertion.BEYOND],
        "is_catching_up": follower.is_catching_up,
        "last_tick_at": tick_at,
        "is_fed": tick_at is not None and now - tick_at <= TICKS_LATE_MS,
    }
