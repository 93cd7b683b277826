"""What intake has done and how it is, for people and for the file that others read each second.

Bounded: counts by reason for ever, the last examples for a limited number of devices. A new kind of
fault is logged once. Refuses to know how messages are taken in.
"""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import structlog

from devices.frames import Lane
from devices.histogram import LAGS_S, WAITS_S, Histogram
from devices.outcomes import Remark, shown
from devices.readings import Int64s
from ingest.journal import JournalWriter
from ingest.messages import Tally
from ingest.mqtt import Link

log = structlog.get_logger()

MAX_EXAMPLES: Final = 200
MAX_LOGGED: Final = 1_000
_RATE_OVER_S: Final = 10
_WAIT_OVER_S: Final = 5
_NOBODY_MS: Final = 2**62


@dataclass(slots=True)
class _Example:
    """The last fault of one sort at one place, and how often it came."""

    count: int = 0
    last_at: int = 0
    path: str = ""
    value: str = ""


@dataclass(slots=True)
class JournalSize:
    """What a lane's journal keeps; ``oldest_at`` is the last write of its oldest segment."""

    segments: int = 0
    bytes: int = 0
    oldest_at: int = 0

    def look(self, journal: JournalWriter) -> None:
        """Measure it again; raises OSError."""
        self.segments, self.bytes, self.oldest_at = journal.size()


@dataclass(slots=True)
class LaneCounts:
    """Totals of one lane since the start.

    ``lag_ms`` is the age of the oldest message pending here. ``wait_ms`` adds the wait in the
    broker while reading is held back: what even the fastest of the last seconds' messages took.
    """

    messages: int = 0
    repeated: int = 0
    readings: int = 0
    numbers_missing: int = 0
    numbers_filled: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    last_commit_ms: float = 0.0
    last_tick_at: int = 0
    pending: int = 0
    lag_ms: int = 0
    position: int = 0
    journal_error: str = ""
    over_budget: int = 0
    wait_ms: int = 0
    device_lag: Histogram = field(default_factory=lambda: Histogram(LAGS_S))
    commit_lag: Histogram = field(default_factory=lambda: Histogram(WAITS_S))
    journal_sync: Mapping[str, Any] = field(default_factory=dict)
    journal: JournalSize = field(default_factory=JournalSize)
    fastest_ms: deque[int] = field(default_factory=lambda: deque(maxlen=_WAIT_OVER_S))
    fastest_now_ms: int = _NOBODY_MS

    def note_lags(self, lags_ms: Int64s) -> None:
        """Count from the devices' clocks to ours."""
        if len(lags_ms):
            self.device_lag.observe(lags_ms / 1000)
            self.fastest_now_ms = min(self.fastest_now_ms, int(lags_ms.min()))

    def note_second(self, *, is_pressed: bool) -> None:
        """A second has passed; ``is_pressed``: more came than could be taken in at once."""
        self.fastest_ms.append(self.fastest_now_ms)
        self.fastest_now_ms = _NOBODY_MS
        fastest_ms = min(self.fastest_ms)
        in_broker_ms = fastest_ms if is_pressed and fastest_ms != _NOBODY_MS else 0
        self.wait_ms = max(self.lag_ms, in_broker_ms)


class IntakeStatus:
    """Counts, examples of faults, rates."""

    def __init__(self) -> None:
        self.lanes = {lane: LaneCounts() for lane in Lane}
        self.revision = 0
        self._remarks: OrderedDict[tuple[str, str], _Example] = OrderedDict()
        self._rejected: OrderedDict[tuple[str, str], _Example] = OrderedDict()
        self._logged: set[tuple[str, str]] = set()
        self._history: deque[tuple[int, dict[Lane, tuple[int, int]]]] = deque(
            maxlen=_RATE_OVER_S + 1
        )

    def note(self, lane: Lane, tally: Tally, names: Mapping[int, str], at: int) -> None:
        """Add what became of a batch; ``names`` are device names by id."""
        counts = self.lanes[lane]
        counts.messages += tally.messages
        counts.repeated += tally.repeated
        counts.readings += tally.readings
        counts.numbers_missing += tally.numbers_missing
        counts.numbers_filled += tally.numbers_filled
        counts.flags.update(tally.flags)
        for lags_ms in tally.lags_ms:
            counts.note_lags(lags_ms)
        for topic, found in tally.rejected:
            counts.rejected[found.reason] += 1
            self._exemplify(self._rejected, (shown(topic), found.reason), "", found.detail, at)
        for device, remark in tally.remarks:
            self._note_remark(counts, names.get(device, str(device)), remark, at)

    def fields(
        self,
        now: int,
        links: Iterable[Link],
        networks: Mapping[tuple[str, Lane], Link] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """The whole status as JSON values; call it once a second.

        ``links`` are those to our own broker, ``networks`` those to network servers.
        """
        totals = {lane: (c.messages, c.readings) for lane, c in self.lanes.items()}
        self._history.append((now, totals))
        links = list(links)
        return {
            "at": now,
            "pid": os.getpid(),
            "revision": self.revision,
            "broker": {link.name: "up" if link.is_up else "down" for link in links},
            "connections": [_link_fields(link) for link in (*links, *networks.values())],
            "networks": _networks_fields(networks),
            "lanes": {lane.value: self._lane_fields(lane) for lane in Lane},
            "remarks": _example_fields(self._remarks, "device"),
            "rejected": _example_fields(self._rejected, "topic"),
        }

    def _note_remark(self, counts: LaneCounts, device: str, remark: Remark, at: int) -> None:
        counts.remarks[remark.reason] += 1
        self._exemplify(self._remarks, (device, remark.reason), remark.path, remark.value, at)

    def _exemplify(
        self,
        examples: OrderedDict[tuple[str, str], _Example],
        key: tuple[str, str],
        path: str,
        value: str,
        at: int,
    ) -> None:
        example = examples.pop(key, None) or _Example()
        example.count += 1
        example.last_at, example.path, example.value = at, path, value
        examples[key] = example
        if len(examples) > MAX_EXAMPLES:
            examples.popitem(last=False)
        if example.count > 1 or key in self._logged or len(self._logged) >= MAX_LOGGED:
            return
        self._logged.add(key)
        if examples is self._rejected:
            log.warning("ingest.message.rejected", topic=key[0], reason=key[1], detail=value)
        else:
            log.warning(
                "ingest.field.left_out", device=key[0], reason=key[1], path=path, value=value
            )

    def _lane_fields(self, lane: Lane) -> dict[str, Any]:
        counts = self.lanes[lane]
        first_at, first = self._history[0]
        last_at, last = self._history[-1]
        seconds = max(1, last_at - first_at) / 1000
        messages, readings = (b - a for a, b in zip(first[lane], last[lane], strict=True))
        return {
            "messages": counts.messages,
            "readings": counts.readings,
            "repeated": counts.repeated,
            "messages_per_s": round(messages / seconds, 1),
            "readings_per_s": round(readings / seconds, 1),
            "numbers_missing": counts.numbers_missing,
            "numbers_filled": counts.numbers_filled,
            "flags": dict(counts.flags),
            "rejected": dict(counts.rejected),
            "remarks": dict(counts.remarks),
            "commits": counts.commits,
            "last_commit_ms": round(counts.last_commit_ms, 1),
            "last_tick_at": counts.last_tick_at,
            "pending": counts.pending,
            "lag_ms": counts.lag_ms,
            "position": counts.position,
            "wait_ms": counts.wait_ms,
            "over_budget": counts.over_budget,
            "journal_error": counts.journal_error,
            "device_lag": counts.device_lag.fields(),
            "commit_lag": counts.commit_lag.fields(),
            "journal_sync": counts.journal_sync,
            "journal": asdict(counts.journal),
        }


def write_status(path: Path, fields: Mapping[str, Any]) -> None:
    """Replace the status file as a whole; a reader sees the old one or the new one."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(fields), encoding="utf-8")
    draft.replace(path)


def _networks_fields(links: Mapping[tuple[str, Lane], Link]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for (network, lane), link in links.items():
        found.setdefault(network, {})[lane.value] = "up" if link.is_up else "down"
    return found


def _link_fields(link: Link) -> dict[str, Any]:
    return {
        "name": link.name,
        "state": "up" if link.is_up else "down",
        "since_at": link.since_at,
        "connects": link.connects,
        "sessions_lost": link.sessions_lost,
        "taken_over": link.taken_over,
        "error": link.error,
    }


def _example_fields(
    examples: OrderedDict[tuple[str, str], _Example], first: str
) -> list[dict[str, Any]]:
    """Newest first."""
    return [
        {
            first: key[0],
            "reason": key[1],
            "count": example.count,
            "last_at": example.last_at,
            "path": example.path,
            "value": example.value,
        }
        for key, example in reversed(examples.items())
    ]
