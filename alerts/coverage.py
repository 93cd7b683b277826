"""Which places a stages or event rule covers, and with which thresholds.

Refuses to know state and readings.
"""

from __future__ import annotations

from typing import Final

from alerts.evaluator import World
from alerts.ladder import LadderShape
from alerts.rules import EventRule, StagesRule
from devices.registry import Device

FLAG_THRESHOLD: Final = 0.5
"""A flag is set at 0.5 and above."""


def shape_of(rule: StagesRule | EventRule) -> LadderShape:
    """Hysteresis and holds of a rule."""
    hysteresis = rule.hysteresis if isinstance(rule, StagesRule) else 0.0
    return LadderShape(hysteresis, rule.hold_up_ms, rule.hold_down_ms)


def rungs_of(rule: StagesRule | EventRule) -> tuple[tuple[str, int], ...]:
    """(name, level) of each stage, the lowest first."""
    if isinstance(rule, EventRule):
        return ((rule.stage, rule.level),)
    return tuple((s.name, s.level) for s in rule.stages)


def covered(
    rule: StagesRule | EventRule, world: World
) -> list[tuple[int, int, list[float | None]]]:
    """(device id, series id, thresholds) of each place where at least one stage exists."""
    found = []
    for device in world.devices:
        series = world.registry.series.get((device.id, rule.quantity))
        if series is None or not rule.where.covers(device):
            continue
        thresholds = _thresholds(rule, device)
        if any(value is not None for value in thresholds):
            found.append((device.id, series, thresholds))
    return found


def _thresholds(rule: StagesRule | EventRule, device: Device) -> list[float | None]:
    """The value of each stage at a device: the registry's, else the rule's, else None (absent)."""
    if isinstance(rule, EventRule):
        return [FLAG_THRESHOLD]
    return [device.thresholds.get(stage.name, stage.value) for stage in rule.stages]
