"""How far each lane is behind the field, step by step: overload is a state that is said.

::

    field ─▶ broker ─▶ intake ─▶ journal ─┬▶ alerts
             └ wait here and there ┘       └▶ store    compared by the ticks each has passed

Refuses to know how status files are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from devices.frames import Lane

Step = Literal["intake", "alerts", "store"]

BEHIND_AFTER_S: Final[Mapping[Lane, Mapping[Step, float]]] = MappingProxyType(
    {
        Lane.URGENT: {"intake": 5.0, "alerts": 5.0, "store": 60.0},
        Lane.ROUTINE: {"intake": 60.0, "alerts": 60.0, "store": 60.0},
    }
)
"""A step that lags more than this is behind: an alarm within seconds, meters within a minute."""

_MS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class LaneReport:
    """One lane: ``steps`` gives the lag of each step in s, ``behind`` names those over their mark.

    ``lag_s`` is the worst of those behind, else intake's. ``unknown`` where intake does not say.
    """

    state: Literal["ok", "behind", "unknown"]
    lag_s: float
    steps: Mapping[Step, float]
    behind: tuple[Step, ...]


UNKNOWN: Final = LaneReport("unknown", 0.0, {}, ())


def lane_report(lane: Lane, intake: object, alerts: object, store: object) -> LaneReport:
    """The state of a lane from what each process says of it; what is not said is left out.

    ``intake`` and ``alerts`` are the lane's part of their status files, ``store`` is ms UTC: until
    when the lane is stored.
    """
    wait_ms, ticked_at = _number(intake, "wait_ms"), _number(intake, "last_tick_at")
    if wait_ms is None or not ticked_at:
        return UNKNOWN
    steps: dict[Step, float] = {"intake": wait_ms / _MS}
    if passed_at := _number(alerts, "last_tick_at"):
        steps["alerts"] = max(0.0, ticked_at - passed_at) / _MS
    if isinstance(store, int):
        steps["store"] = max(0.0, ticked_at - store) / _MS
    behind = tuple(step for step, lag_s in steps.items() if lag_s > BEHIND_AFTER_S[lane][step])
    lag_s = max((steps[step] for step in behind), default=steps["intake"])
    return LaneReport("behind" if behind else "ok", lag_s, steps, behind)


def _number(fields: object, key: str) -> float | None:
    value = fields.get(key) if isinstance(fields, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def lane_reports(
    intake: Mapping[str, Any], alerts: Mapping[str, Any], web: Mapping[str, Any]
) -> dict[str, LaneReport]:
    """Both lanes, from the fields of three status files."""
    return {
        lane.value: lane_report(
            lane,
            _at(intake, "lanes", lane),
            _at(alerts, "lanes", lane),
            _at(web, "store", "stored_until", lane),
        )
        for lane in Lane
    }


def _at(fields: object, *path: str) -> object:
    for key in path:
        fields = fields.get(key) if isinstance(fields, Mapping) else None
    return fields
