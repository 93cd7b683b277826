"""Rule sets: what is to be watched, at which levels, and who is to know. Data, never code.

A rule set is a TOML (or JSON) text that strangers write; it is accepted whole or refused whole,
with path, value and reason of everything that is wrong. Refuses to know state and readings.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from devices.kinds import KINDS
from devices.quantities import QUANTITIES
from devices.registry import Device

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Channel = Literal["mail", "webhook", "log"]

NO_DATA = "no-data"
"""A rule that is always there (``alerts.own_clock``): routes may name it, rule sets may not."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Where(_Strict):
    """Which devices a rule looks at; an empty list means all."""

    device_kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @field_validator("device_kinds")
    @classmethod
    def _kinds_exist(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"unknown kind of device {kind!r}")
        return kinds

    def covers(self, device: Device) -> bool:
        """True when the device is meant: every list that is not empty must name it."""
        return (
            (not self.device_kinds or device.kind in self.device_kinds)
            and (not self.tags or not set(self.tags).isdisjoint(device.tags))
            and (not self.areas or device.area in self.areas)
            and (not self.devices or device.name in self.devices)
        )


class Stage(_Strict):
    """One rung: a name, its level 1..5, and the value from which it holds if the place has none."""

    name: Name
    level: int = Field(ge=1, le=5)
    value: float | None = None


class _Rule(_Strict):
    name: Name
    where: Where = Where()
    age_limit_s: float = Field(3600.0, gt=0)

    @property
    def age_limit_ms(self) -> int:
        """A transition known later than this after its time is historic and wakes nobody."""
        return round(self.age_limit_s * 1000)


class _SeriesRule(_Rule):
    quantity: str

    @field_validator("quantity")
    @classmethod
    def _quantity_exists(cls, quantity: str) -> str:
        if quantity not in QUANTITIES:
            raise ValueError(f"unknown quantity {quantity!r}")
        return quantity


class StagesRule(_SeriesRule):
    """Rungs by value, with hysteresis in the quantity's unit; thresholds of a place come first."""

    kind: Literal["stages"]
    stages: tuple[Stage, ...] = Field(min_length=1)
    hysteresis: float = Field(0.0, ge=0)
    hold_up_ms: int = Field(0, ge=0)
    hold_down_ms: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _rungs_ascend(self) -> StagesRule:
        levels = [s.level for s in self.stages]
        if levels != sorted(set(levels)):
            raise ValueError("levels of the stages must rise from one to the next")
        values = [s.value for s in self.stages if s.value is not None]
        if values != sorted(set(values)):
            raise ValueError("values of the stages must rise from one to the next")
        if len({s.name for s in self.stages}) != len(self.stages):
            raise ValueError("a stage is named twice")
        return self


class EventRule(_SeriesRule):
    """A flag that is set. ``latched``: once a springing, so it takes no hold at all."""

    kind: Literal["event"]
    stage: Name = "triggered"
    level: int = Field(3, ge=1, le=5)
    latched: bool = False
    hold_up_ms: int = Field(0, ge=0)
    hold_down_ms: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _latched_takes_no_hold(self) -> EventRule:
        if self.latched and (self.hold_up_ms or self.hold_down_ms):
            raise ValueError("a latched event opens and clears at once: it takes no hold")
        return self


class SilenceRule(_Rule):
    """A device not heard for its own ``silence_after_s``."""

    kind: Literal["silence"]
    stage: Name = "silent"
    level: int = Field(1, ge=1, le=5)


Rule = StagesRule | EventRule | SilenceRule


class Route(_Strict):
    """Who is told of what; an empty list of ``rules``, ``rule_kinds`` or ``areas`` means all.

    Told are openings, rises and verifications at ``min_level`` or above; falls and clears only
    with ``send_clears``.
    """

    name: Name
    rules: tuple[str, ...] = ()
    rule_kinds: tuple[Literal["stages", "event", "silence", "clock"], ...] = ()
    areas: tuple[str, ...] = ()
    min_level: int = Field(default=1, ge=1, le=5)
    roles: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = Field(min_length=1)
    send_clears: bool = False


class _RuleFile(_Strict):
    rules: tuple[Annotated[Rule, Field(discriminator="kind")], ...]
    routes: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> _RuleFile:
        names = [NO_DATA, *(r.name for r in self.rules)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"rule {name!r} is there twice")
        for route in self.routes:
            for name in route.rules:
                if name not in names:
                    raise ValueError(f"route {route.name!r} names an unknown rule {name!r}")
        return self


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules and routes that hold together.

    ``version`` is the sha256 of the canonical JSON: the same rules have the same version however
    they are written. ``text`` is what a person wrote.
    """

    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]
    version: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a rule set: where, what stood there, why it cannot be."""

    path: str
    value: str
    reason: str


class RuleError(Exception):
    """The text is no rule set. Show ``problems`` to whoever wrote it; the old rules still hold."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(f"{p.path} = {p.value}: {p.reason}" for p in problems))
        self.problems = problems


def load_rules(text: str) -> RuleSet:
    """A rule set from TOML, or from JSON where the text begins with a brace.

    Raises RuleError, naming everything that is wrong.
    """
    try:
        tree = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # no TOML, an endless number, nested too deeply
        raise RuleError((Problem("(text)", "", str(error)),)) from error
    try:
        file = _RuleFile.model_validate(tree)
    except ValidationError as error:
        raise RuleError(tuple(_problem(e) for e in error.errors())) from error
    return RuleSet(file.rules, file.routes, _version(file), text)


def default_rules_text() -> str:
    """The rule set that holds until the city writes its own, as TOML."""
    return resources.files("alerts").joinpath("default_rules.toml").read_text("utf-8")


def _version(file: _RuleFile) -> str:
    tree = file.model_dump(mode="json")
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _problem(error: Any) -> Problem:
    path = ".".join(str(part) for part in error["loc"]) or "(whole set)"
    value = error["input"]
    shown = "…" if isinstance(value, dict | list) else repr(value)[:80]
    return Problem(path, shown, error["msg"].removeprefix("Value error, "))
