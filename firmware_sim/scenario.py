"""A scenario: a fleet with some devices made to measure what a text file says, and when.

calm = true                       # no storm (default false)
flawless = true                   # no loss, repetition, gaps, deaths (default false)
only = ["river-08"]               # switch on these devices alone (default: all)

[[step]]
at_s = 5                          # seconds after the start
device = "river-08"
quantity = "water.level"
value = 4.2                       # reached linearly in ramp_s seconds (default 0)
ramp_s = 10
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.quantities import QUANTITIES
from firmware_sim.city import CityDevice
from firmware_sim.encode import Publication
from firmware_sim.fleet import Fleet
from firmware_sim.pace import DEMO, Pace


@dataclass(frozen=True, slots=True)
class Step:
    """At ``at_s`` seconds the device begins to move to ``value``, there after ``ramp_s`` more."""

    at_s: float
    device: str
    quantity: str
    value: float
    ramp_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario file says; steps in the order of time."""

    steps: tuple[Step, ...] = ()
    calm: bool = False
    flawless: bool = False
    only: tuple[str, ...] | None = None


class ScenarioError(ValueError):
    """A scenario cannot be read; the text gives path and value."""


class ScenarioFleet:
    """A fleet that follows a scenario; ``start_at`` ms UTC. ScenarioError: a device is unknown."""

    def __init__(
        self,
        scenario: Scenario,
        city: Sequence[CityDevice],
        *,
        seed: int,
        start_at: int,
        pace: Pace = DEMO,
    ) -> None:
        known = {device.name for device in city}
        named = {*(step.device for step in scenario.steps), *(scenario.only or ())}
        if unknown := sorted(named - known):
            raise ScenarioError(f"unknown device {unknown[0]!r}")
        self.fleet = Fleet(
            city, seed=seed, start_at=start_at, pace=pace, calm=scenario.calm,
            flawless=scenario.flawless, only=scenario.only,
        )  # fmt: skip
        self._waiting = [(start_at + round(step.at_s * 1000), step) for step in scenario.steps]

    def step(self, until_at: int) -> list[Publication]:
        """What leaves up to ``until_at`` (inclusive), ordered by time."""
        out: list[Publication] = []
        while self._waiting and self._waiting[0][0] <= until_at:
            at, step = self._waiting.pop(0)
            out += self.fleet.step(at)
            self.fleet.force(step.device, step.quantity, step.value, step.ramp_s)
        return out + self.fleet.step(until_at)


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file (TOML, layout above); ScenarioError says where and what is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    try:
        return parse_scenario(document)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from error


def parse_scenario(document: Mapping[str, Any]) -> Scenario:
    """A scenario from a parsed document; unknown keys are errors."""
    _refuse_unknown(document, ("step", "calm", "flawless", "only"), "")
    steps = _typed(document, "step", list, [], "")
    only = _typed(document, "only", list, None, "")
    read = [_step(raw, f"step[{k}]") for k, raw in enumerate(steps)]
    return Scenario(
        tuple(sorted(read, key=lambda step: step.at_s)),
        _typed(document, "calm", bool, False, ""),
        _typed(document, "flawless", bool, False, ""),
        None if only is None else tuple(str(name) for name in only),
    )


def _step(raw: object, path: str) -> Step:
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: a table is expected, not {raw!r}")
    _refuse_unknown(raw, ("at_s", "device", "quantity", "value", "ramp_s"), f"{path}.")
    quantity = _typed(raw, "quantity", str, None, f"{path}.")
    if quantity not in QUANTITIES:
        raise ScenarioError(f"{path}.quantity: unknown quantity {quantity!r}")
    return Step(
        _number(raw, "at_s", None, path),
        str(_typed(raw, "device", str, "", f"{path}.")),
        quantity,
        _number(raw, "value", None, path),
        _number(raw, "ramp_s", 0.0, path),
    )


def _number(raw: Mapping[str, Any], key: str, default: float | None, path: str) -> float:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScenarioError(f"{path}.{key}: a number is expected, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ScenarioError(f"{path}.{key}: a number with hundreds of digits") from None


def _typed(raw: Mapping[str, Any], key: str, kind: type, default: Any, path: str) -> Any:
    value = raw.get(key, default)
    if value is not default and not isinstance(value, kind):
        raise ScenarioError(f"{path}{key}: a {kind.__name__} is expected, not {value!r}")
    return value


def _refuse_unknown(raw: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    if unknown := sorted(set(raw) - set(known)):
        raise ScenarioError(f"{path}{unknown[0]}: unknown key")
