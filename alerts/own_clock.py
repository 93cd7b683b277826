"""Whether data comes in at all, by the alerts process's own clock.

Everything else here goes by the ticks in the journal; a clock that stands still raises no alarm.
So this one alarm has another clock: a lane whose journal has been found empty, with no tick, for
longer than AFTER_S of our own waking time is a lane that nobody feeds::

    ticks    | | | | |                              | | | |
    unfed    0 0 0 0 0  1 … 30 ▲ alarm              0 ▲ cleared

It is raised on the installation, by the rule `no-data` that no rule set can leave out, and survives
a restart with its row in the ledger. Catching up is not silence: only an empty journal counts. Time
in which we ourselves did not run (a suspended machine) is nobody's silence either.
Refuses to know SQL and who is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alerts.ledger import Alarm
from alerts.rules import NO_DATA, Route
from alerts.transitions import NORMAL, Transition, transition_id
from devices.frames import Lane
from devices.kinds import INSTALLATION
from devices.registry import RegistrySnapshot

AFTER_S: Final = 30.0
"""Longer than an orderly restart of everything takes."""

RULE_KIND: Final = "clock"

_LONGEST_LOOK_S: Final = 1.0
_STAGES: Final[Mapping[Lane, tuple[str, int]]] = {
    Lane.URGENT: ("no-data", 4),
    Lane.ROUTINE: ("no-routine-data", 2),
}
FALLBACK: Final = Route(
    name="no-data", rules=(NO_DATA,), roles=("admin",), channels=("mail", "webhook", "log")
)
"""Who is told where no route of the rule set says so."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """The stage that is shown, and the alarm that shows it."""

    stage: str = NORMAL
    level: int = 0
    alarm: str | None = None


class OwnClock:
    """Counts how long each lane has been unfed, and says when that begins and ends to matter."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self._unfed_s = dict.fromkeys(lanes, 0.0)
        self._looked_at: dict[Lane, float] = {}
        self._ticks: dict[Lane, int | None] = {}
        self._shown = _Standing()

    def stand(self, alarms: Iterable[Alarm]) -> None:
        """Stand as the ledger says, after a start: what is open stays so until a tick is run."""
        mine = next((alarm for alarm in alarms if is_own(alarm)), None)
        self._shown = _Standing(mine.stage, mine.level, mine.id) if mine else _Standing()
        self._looked_at.clear()
        for lane, (stage, _) in _STAGES.items():
            if lane in self._unfed_s:
                self._unfed_s[lane] = 2 * AFTER_S if stage == self._shown.stage else 0.0

    def look(
        self, lane: Lane, last_tick_at: int | None, *, is_empty: bool, monotonic_s: float
    ) -> None:
        """A lane's journal was read at ``monotonic_s``: there was something, or nothing new.

        ``last_tick_at`` is the newest tick that was run; another than before feeds, however old.
        """
        passed_s = monotonic_s - self._looked_at.get(lane, monotonic_s)
        self._looked_at[lane] = monotonic_s
        if last_tick_at != self._ticks.get(lane):
            self._ticks[lane] = last_tick_at
            self._unfed_s[lane] = 0.0
        elif is_empty:
            self._unfed_s[lane] += min(passed_s, _LONGEST_LOOK_S)

    def transitions(
        self, registry: RegistrySnapshot, rule_version: str, now: int
    ) -> list[Transition]:
        """What has changed, at ``now`` (ms UTC); nothing before the installation is registered."""
        device = registry.by_name.get(INSTALLATION.name)
        after = self._stage()
        if device is None or after == (self._shown.stage, self._shown.level):
            return []
        stage, level = after
        told = self._told(device.id, stage, level, rule_version, now)
        self._shown = _Standing(stage, level, told.alarm if level else None)
        return [told]

    def _stage(self) -> tuple[str, int]:
        """The gravest of what is unfed."""
        unfed = [_STAGES[lane] for lane, seconds in self._unfed_s.items() if seconds > AFTER_S]
        return max(unfed, key=lambda stage: stage[1], default=(NORMAL, 0))

    def _told(self, device: int, stage: str, level: int, version: str, now: int) -> Transition:
        before = self._shown
        identity = transition_id(NO_DATA, version, f"d{device}", now, f"{stage}/1/0")
        return Transition(
            id=identity,
            alarm=before.alarm or identity,
            rule=NO_DATA,
            rule_kind=RULE_KIND,
            rule_version=version,
            device=device,
            series=None,
            measured_at=now,
            received_at=now,
            from_level=before.level,
            to_level=level,
            from_stage=before.stage,
            to_stage=stage,
            value=None,
            is_verified=True,
            is_historic=False,
            is_exercise=False,
        )


def with_fallback(routes: Sequence[Route]) -> Sequence[Route]:
    """The routes, and one to the administrators where none of them names this clock's alarm."""
    is_named = any(NO_DATA in route.rules for route in routes)
    return routes if is_named else (*routes, FALLBACK)


def is_own(alarm: Alarm) -> bool:
    """Whether an alarm is of this clock, and no engine's."""
    return alarm.rule == NO_DATA
