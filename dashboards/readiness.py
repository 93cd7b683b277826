"""What keeps the system from being ready, and since when. Refuses to know who asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dashboards.processes import Clock
from devices.frames import Lane


def reasons_of(seen: Clock, troubles: Mapping[str, str]) -> list[str]:
    """Why it is not ready: no data comes in, no alarm is raised in time, or nothing is stored."""
    down = [
        f"{name} is {report.state}"
        for name, report in seen.processes.items()
        if report.state != "up"
    ]
    broker = [] if seen.broker == "up" else [f"broker is {seen.broker}"]
    urgent = seen.lanes[Lane.URGENT]
    late = [
        f"urgent lane is behind in {step}: {urgent.steps[step]:.0f} s"
        for step in urgent.behind
        if step != "store"
    ]
    return down + broker + late + [f"{name}: {reason}" for name, reason in troubles.items()]


def notes_of(seen: Clock) -> list[str]:
    """What is late without harm to anybody's safety."""
    return [
        f"{lane} lane is behind in {step}: {report.steps[step]:.0f} s"
        for lane, report in seen.lanes.items()
        for step in report.behind
        if step == "store" or lane != Lane.URGENT
    ]


class Since:
    """Remembers when each reason was first met, for as long as it is met again and again."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def look(self, reasons: Iterable[str], now: int) -> Mapping[str, int]:
        """Since when (ms UTC) each of these holds; what is behind a colon may change meanwhile."""
        held = {reason.partition(":")[0]: reason for reason in reasons}
        self._since = {what: self._since.get(what, now) for what in held}
        return {reason: self._since[what] for what, reason in held.items()}
