"""How the processes of Satomori are, from the status files that each rewrites every second.

Silence of a process is told, never taken for calm. Refuses to know what the processes do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dashboards.lanes import LaneReport, lane_reports

ProcessState = Literal["up", "stale", "down"]
BrokerState = Literal["up", "down", "unknown"]
"""``unknown``: intake, which alone talks to the broker, says nothing of it."""
PROCESSES: Final = ("intake", "alerts", "web")
OPTIONAL: Final = ("feeds",)
"""Processes that only some installations have; what they say is told where they say it."""
SUPERVISOR: Final = "system"
"""Its status file is written when something changes; what it says never grows stale."""

STALE_AFTER_MS: Final = 5_000
DOWN_AFTER_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """One process: ``seen_at`` is when it last wrote its status, None if it never did.

    ::

        status written |-- 5 s: up --|-- 25 s: stale --| down →

    A process that lives but cannot do its work (the journal is full, no ticks arrive) is stale.
    """

    state: ProcessState
    seen_at: int | None


@dataclass(frozen=True, slots=True)
class StoreReport:
    """Whether readings are stored; ``reason`` why not, ``since`` when (ms UTC).

    While it is down alarms and live values go on, charts lack what the journal keeps for it.
    """

    state: Literal["up", "down"]
    reason: str | None
    since: int | None


@dataclass(frozen=True, slots=True)
class Clock:
    """The data of the ``clock`` event: whether data comes in and alarms are raised, how late."""

    at: int
    processes: Mapping[str, ProcessReport]
    broker: BrokerState
    lanes: Mapping[str, LaneReport]
    store: StoreReport


@dataclass(frozen=True, slots=True)
class Status:
    """One status file as it was read: when it was written, and what it says."""

    written_at: int
    fields: Mapping[str, Any]


def read_statuses(directory: Path) -> dict[str, Status]:
    """The status files that are there and can be read, by process."""
    found = {}
    for name in (*PROCESSES, *OPTIONAL, SUPERVISOR):
        status = _read(directory / f"{name}.json")
        if status is not None:
            found[name] = status
    return found


def process_report(status: Status | None, now: int) -> ProcessReport:
    """Whether a process lives, by the age of its status and whether its pid is there."""
    if status is None:
        return ProcessReport("down", None)
    age_ms = now - status.written_at
    pid = status.fields.get("pid")
    if age_ms > DOWN_AFTER_MS or (isinstance(pid, int) and not _is_alive(pid)):
        return ProcessReport("down", status.written_at)
    is_well = age_ms <= STALE_AFTER_MS and not _is_hindered(status.fields)
    return ProcessReport("up" if is_well else "stale", status.written_at)


def broker_state(intake: Status | None, report: ProcessReport, now: int) -> BrokerState:
    """What intake says of the broker; a dead or silent intake says nothing, and it is not blamed.

    An intake that reports but cannot do its work (a full disk) is still believed.
    """
    is_said = intake is not None and now - intake.written_at <= STALE_AFTER_MS
    if intake is None or report.state == "down" or not is_said:
        return "unknown"
    return "up" if _says_up(intake.fields.get("broker")) else "down"


def clock(statuses: Mapping[str, Status], now: int) -> Clock:
    """The state of everything that stands between the field and the page."""
    reports = {name: process_report(statuses.get(name), now) for name in PROCESSES}
    said = {name: status.fields for name, status in statuses.items()}
    lives = reports["intake"].state != "down"
    lanes = lane_reports(
        said.get("intake", {}) if lives else {}, said.get("alerts", {}), said.get("web", {})
    )
    broker = broker_state(statuses.get("intake"), reports["intake"], now)
    return Clock(now, reports, broker, lanes, _store_report(said.get("web", {})))


def _store_report(web: Mapping[str, Any]) -> StoreReport:
    store = web.get("store")
    outage = store.get("outage") if isinstance(store, Mapping) else None
    if not outage or not isinstance(store, Mapping):
        return StoreReport("up", None, None)
    at, outage_s = web.get("at"), store.get("outage_s")
    if not isinstance(at, int) or not isinstance(outage_s, int | float):
        return StoreReport("down", str(outage), None)
    return StoreReport("down", str(outage), int(at - outage_s * 1000))


def write_status(path: Path, fields: Mapping[str, Any]) -> None:
    """Replace a status file as a whole; a reader sees the old one or the new one."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(fields))
    draft.replace(path)


def _read(path: Path) -> Status | None:
    try:
        text = path.read_text(encoding="utf-8")
        written_at = int(path.stat().st_mtime * 1000)
        fields = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    at = fields.get("at")
    return Status(at if isinstance(at, int) else written_at, fields)


def _is_hindered(fields: Mapping[str, Any]) -> bool:
    """Whether a lane says that it cannot write its journal, or is not fed any more."""
    lanes = fields.get("lanes")
    if not isinstance(lanes, Mapping):
        return False
    said = [lane for lane in lanes.values() if isinstance(lane, Mapping)]
    return any(lane.get("journal_error") or lane.get("is_fed") is False for lane in said)


def _says_up(said: object) -> bool:
    if isinstance(said, Mapping):
        return bool(said) and all(_says_up(part) for part in said.values())
    return said in (True, "up")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # or no pid at all
        return False
    except PermissionError:
        return True
    return True
