"""What the alerts process says of itself, in one small JSON file, replaced each second.

Refuses to know who reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from alerts.follower import LaneFollower
from devices.frames import Lane

TICKS_LATE_MS: Final = 10_000
"""Intake ticks each second: after this long without one, silence itself is not watched."""


def write_status(
    path: Path, now: int, lanes: Mapping[Lane, LaneFollower], deliveries: Mapping[str, int]
) -> None:
    """Replace the file at ``path``; ``now`` is int ms UTC."""
    document = {
        "process": "alerts",
        "pid": os.getpid(),
        "at": now,
        "lanes": {str(lane): _lane(follower, now) for lane, follower in lanes.items()},
        "deliveries": dict(deliveries),
    }
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document), "utf-8")
    temporary.replace(path)


def _lane(follower: LaneFollower, now: int) -> dict[str, object]:
    tick_at = follower.last_tick_at
    return {
        "position": follower.position.n if follower.position else None,
        "revision": follower.engine.revision,
        "rule_version": follower.engine.rules.version,
        "open_alarms": len(follower.engine.open_alarms()),
        "late_readings": follower.engine.late,
        "is_catching_up": follower.is_catching_up,
        "last_tick_at": tick_at,
        "is_fed": tick_at is not None and now - tick_at <= TICKS_LATE_MS,
    }
