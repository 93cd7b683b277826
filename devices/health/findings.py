"""What of a device's health asks for a hand, and how soon: a table of limits over the figures.

A finding is no alarm: nobody is woken by it. Refuses to know words and people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

from devices.health.battery import Battery
from devices.health.clock import Clock
from devices.health.link import Link
from devices.health.reporting import Reporting
from devices.health.sensing import Sensing

Code = Literal[
    "silent", "never_heard", "battery_empty", "battery_soon", "stuck", "noisy", "implausible",
    "gaps", "lost", "link_weak", "single_gateway", "clock_missing", "clock_off", "clock_drift",
    "interval_differs", "firmware_old",
]  # fmt: skip
CODES: Final[tuple[Code, ...]] = Code.__args__  # type: ignore[attr-defined]  # of a Literal
Figures = Mapping[str, float | str | None]


class Severity(IntEnum):
    """How soon somebody should look."""

    NOTE = 1  # when somebody is there anyway
    PLAN = 2  # within weeks
    NOW = 3  # this week: the device is of no use, or soon


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to see to; ``figures`` are what the words need, ``due_days`` until when."""

    code: Code
    severity: int
    figures: Figures = field(default_factory=dict)
    due_days: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a figure is a finding."""

    battery_soon_days: int = 90
    battery_now_days: int = 14
    share_plan: float = 0.9
    share_now: float = 0.5
    lost_share: float = 0.1
    clock_off_s: float = 60.0
    clock_drift_s_per_day: float = 10.0
    without_clock: float = 0.2


@dataclass(frozen=True, slots=True)
class Firmware:
    """``version`` as the device says, ``newest`` that any unit of the same model has."""

    version: str | None = None
    said_at: int | None = None
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """All that is known of how a device is, as of ``at`` (ms UTC)."""

    at: int
    battery: Battery
    link: Link
    firmware: Firmware
    clock: Clock
    reporting: Reporting
    sensing: tuple[Sensing, ...]
    is_heard_ever: bool = True
    silence_after_s: float = 0.0
    interval_s: float = 0.0


def findings(health: Health, limits: Limits | None = None) -> tuple[Finding, ...]:
    """What asks for a hand, worst first."""
    limits = limits or Limits()
    if not health.is_heard_ever:
        return (Finding("never_heard", Severity.NOW),)
    found = [one for look in _LOOKS for one in look(health, limits)]
    return tuple(sorted(found, key=lambda f: (-f.severity, _due(f), CODES.index(f.code))))


def rank(found: Sequence[Finding]) -> tuple[int, int, int]:
    """Sorts devices worst first: highest severity, soonest due, most findings."""
    if not found:
        return (0, _NEVER, 0)
    return (-found[0].severity, min(_due(one) for one in found), -len(found))


_NEVER: Final = 1 << 30
_Found = Iterator[Finding]


def _due(finding: Finding) -> int:
    return _NEVER if finding.due_days is None else finding.due_days


def _silent(health: Health, _limits: Limits) -> _Found:
    silent_s = health.reporting.silent_s
    if silent_s is not None and silent_s > health.silence_after_s > 0:
        yield Finding("silent", Severity.NOW, {"silent_s": silent_s})


def _battery(health: Health, limits: Limits) -> _Found:
    battery = health.battery
    figures: Figures = {"level": battery.level, "unit": battery.unit, "end": battery.end}
    if battery.state == "empty":
        yield Finding("battery_empty", Severity.NOW, figures, 0)
    if battery.state != "forecast" or battery.days is None:
        return
    span: Figures = {
        **figures,
        "days": battery.days,
        "low": battery.days_low,
        "high": battery.days_high,
    }
    earliest = battery.days_low if battery.days_low is not None else battery.days
    if battery.days <= limits.battery_now_days:
        yield Finding("battery_soon", Severity.NOW, span, battery.days)
    elif min(battery.days, 2 * earliest) <= limits.battery_soon_days:
        yield Finding("battery_soon", Severity.PLAN, span, battery.days)


def _sensing(health: Health, _limits: Limits) -> _Found:
    for one in health.sensing:
        if one.is_stuck:
            yield Finding(
                "stuck",
                Severity.NOW,
                {"quantity": one.quantity, "value": one.value, "still_s": one.still_s},
            )
        if one.is_noisy and (one.implausible or 0.0) > 0.1:
            share = one.implausible
            yield Finding("implausible", Severity.PLAN, {"quantity": one.quantity, "share": share})
        elif one.is_noisy:
            yield Finding(
                "noisy",
                Severity.PLAN,
                {"quantity": one.quantity, "noise": one.noise, "usual": one.usual_noise},
            )


def _reporting(health: Health, limits: Limits) -> _Found:
    said = health.reporting
    if said.share is not None and said.share < limits.share_plan:
        severity = Severity.NOW if said.share < limits.share_now else Severity.PLAN
        if said.expected_s and said.usual_s and said.usual_s > 1.5 * said.expected_s:
            yield Finding(
                "interval_differs",
                Severity.NOTE,
                {"expected_s": said.expected_s, "usual_s": said.usual_s},
            )
        else:
            figures = {"share": said.share, "longest_gap_s": said.longest_gap_s}
            yield Finding("gaps", severity, figures)
    if said.lost and (said.lost_share or 0.0) > limits.lost_share:
        figures = {"lost": float(said.lost), "share": said.lost_share}
        yield Finding("lost", Severity.PLAN, figures)


def _link(health: Health, _limits: Limits) -> _Found:
    link = health.link
    if link.margin in ("weak", "edge"):
        figures = {"margin": link.margin, "rssi": link.rssi_weak, "snr": link.snr_weak}
        severity = Severity.PLAN if link.margin == "edge" else Severity.NOTE
        yield Finding("link_weak", severity, figures)
    if link.hangs_on is not None and link.margin in ("weak", "edge"):
        yield Finding("single_gateway", Severity.NOTE, {"gateway": link.hangs_on})


def _clock(health: Health, limits: Limits) -> _Found:
    clock = health.clock
    if clock.without_clock is not None and limits.without_clock < clock.without_clock < 1.0:
        yield Finding("clock_missing", Severity.NOTE, {"share": clock.without_clock})
    off = abs(clock.late_s or 0.0) > limits.clock_off_s
    drift = clock.drift_s_per_day or 0.0
    if off:
        figures: Figures = {"late_s": clock.late_s, "drift": clock.drift_s_per_day}
        yield Finding("clock_off", Severity.PLAN, figures)
    elif abs(drift) > limits.clock_drift_s_per_day:
        yield Finding("clock_drift", Severity.NOTE, {"late_s": clock.late_s, "drift": drift})


def _firmware(health: Health, _limits: Limits) -> _Found:
    said = health.firmware
    if said.version and said.newest and said.version != said.newest:
        yield Finding(
            "firmware_old", Severity.NOTE, {"version": said.version, "newest": said.newest}
        )


_LOOKS: Final[tuple[Callable[[Health, Limits], _Found], ...]] = (
    _silent, _battery, _sensing, _reporting, _link, _clock, _firmware,
)  # fmt: skip
