"""Measures the installation itself and journals it as readings of a device of its own.

The shell around ``ingest.self_report``: a connection of its own reads `$SYS` (QoS 0, no session:
nothing of it is owed to anybody), status files and disks are looked at every 10 s, and at once when
a session was lost or taken over. Decides nothing. Refuses to know rules and pages.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from sqlalchemy.exc import SQLAlchemyError

from devices.frames import ReadingsFrame, Receipts
from devices.kinds import INSTALLATION
from devices.readings import readings_from_columns
from devices.registry import RegistrySnapshot
from ingest import self_report
from ingest.intake_status import IntakeStatus
from ingest.mqtt import BrokerAddress, Consumer, Link
from ingest.mqtt_session import Greeting
from ingest.self_report import SYS_TOPICS, Disk, PerMinute, Unaccounted

log = structlog.get_logger()

EVERY_S: Final = 10.0
LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class WatchPlaces:
    """Where to look: status files of the processes, folders that must not run full.

    ``may_account``: the broker's ACL is ours, so that what it receives must reach us; elsewhere
    denied publishes cannot be told from other people's topics. ``has_feed``: an outside feed is
    polled, and must stay fresh. ``every_s`` and ``minute_ms`` are shorter in tests.
    """

    status_dir: Path
    disks: Sequence[Path]
    low_water_bytes: int
    may_account: bool
    has_feed: bool = False
    every_s: float = EVERY_S
    minute_ms: int = self_report.MINUTE_MS


class SelfWatch:
    """The installation's own reporter; ``journal`` takes its frames (the urgent lane)."""

    def __init__(
        self,
        places: WatchPlaces,
        name: str,
        greeting: Greeting,
        broker: BrokerAddress,
        *,
        journal: Callable[[ReadingsFrame], None],
        registry: Callable[[], RegistrySnapshot],
        consumers: Sequence[Consumer],
        accounted: Sequence[Consumer],
        status: IntakeStatus,
        before: Mapping[str, float],
        now: Callable[[], int],
    ) -> None:
        """``name`` is what people call our connection, ``greeting`` what it says to the ``broker``.

        ``consumers`` are those of the lanes, ``accounted`` those of them that hear this broker;
        ``before`` the totals of an earlier process.
        """
        self._places, self._journal, self._registry = places, journal, registry
        self._consumers, self._status, self._now = consumers, status, now
        self._accounted = accounted
        self._per_minute = PerMinute(before, places.minute_ms)
        self._unaccounted = Unaccounted(places.minute_ms)
        self._connects: list[int] = []
        self._figures: dict[str, int] = {}
        self._broker_log: Mapping[str, Any] | None = None
        self._values: dict[str, float] = {}
        self._happened = 0
        self._counted = 0, (0, 0, 0)
        self._trouble = ""
        self._started_at = now()
        self._sys = Consumer(
            greeting,
            broker,
            now=now,
            on_messages=self._hear,
            on_link=self._note_link,
            on_session_lost=lambda _: None,
            name=name,  # the client id ends in a secret
        )

    async def run(self) -> None:
        """Listen to the broker and report; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sys.run(), name="intake-sys")
            tasks.create_task(self._report_again_and_again(), name="intake-self")

    def fields(self) -> dict[str, Any]:
        """For the status file: the values as they are, the totals for the next process."""
        return {"own": self._values, "own_totals": dict(self._per_minute.totals)}

    # -- inside

    def _account(self) -> None:
        """The broker begins to tell anew: what it told last goes with our counts of that moment."""
        at, (taken, published, pending) = self._counted
        traffic = self_report.traffic_of(
            self._figures, taken=taken, published=published, pending=pending
        )
        if traffic is not None and at:
            self._unaccounted.add(at, traffic)
        self._counted = self._now(), self._our_counts()
        connects = [consumer.link.connects for consumer in self._accounted]
        if connects != self._connects or not all(c.link.is_up for c in self._accounted):
            self._connects = connects
            self._unaccounted.forget()
            self._counted = 0, (0, 0, 0)

    def _our_counts(self) -> tuple[int, int, int]:
        """Messages that came in, that we published, and that are not acknowledged yet."""
        return (
            sum(consumer.received for consumer in self._accounted),
            sum(consumer.published for consumer in self._accounted),
            sum(consumer.pending for consumer in self._accounted),
        )

    async def _report_again_and_again(self) -> None:
        """Every 10 s, and at once when a session was lost or taken over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            happened = sum(c.link.sessions_lost + c.link.taken_over for c in self._consumers)
            if loop.time() >= due or happened != self._happened:
                self._happened, due = happened, loop.time() + self._places.every_s
                await self._try_to_report()
            await asyncio.sleep(LOOK_S)

    async def _try_to_report(self) -> None:
        """A disk or a database that is away is said once; the next report may know more."""
        try:
            await self._report()
        except (OSError, SQLAlchemyError) as error:
            text = str(error).partition("\n")[0]
            if text != self._trouble:
                log.warning("ingest.self.not_measured", error=text)
            self._trouble = text
        else:
            self._trouble = ""

    def _hear(self) -> None:
        """`$SYS` messages have gathered on our connection."""
        for gathered in self._sys.take():
            pairs = zip(gathered.publishes.topics, gathered.publishes.payloads, strict=True)
            found = [figure for t, p in pairs if (figure := self_report.sys_figure(t, p))]
            self._sys.acknowledge(gathered)
            for word, number in found:
                if word == "uptime":
                    self._account()
                self._figures[word] = number

    def _note_link(self, link: Link) -> None:
        """What a broker said is gone with it."""
        if not link.is_up:
            self._figures.clear()
            self._counted = 0, (0, 0, 0)
            self._unaccounted.forget()

    async def _report(self) -> None:
        registry = await asyncio.to_thread(self._registry)
        device = registry.by_name.get(INSTALLATION.name)
        if device is None:
            return
        at = self._now()
        values = await asyncio.to_thread(self._look, at)
        values |= self._count(at)
        self._values = values
        self._journal(_frame(values, device.id, registry, at))

    def _look(self, at: int) -> dict[str, float]:
        """What files and disks say."""
        places = self._places
        self._broker_log = _read(places.status_dir / "system.json")
        lanes = self._status.lanes.values()
        lag_ms = max(lane.wait_ms for lane in lanes)
        alerts, web = (_read(places.status_dir / f"{name}.json") for name in ("alerts", "web"))
        return {
            **self_report.of_disks(map(_disk, places.disks), places.low_water_bytes),
            "journal.size": sum(lane.journal.bytes for lane in lanes) / self_report.MIB,
            **self_report.of_lags(at, self._started_at, lag_ms, alerts, web),
            **self_report.of_broker(self._figures),
            **self._feed(at),
            "broker.away": self._away_s(at),
        }

    def _feed(self, at: int) -> dict[str, float]:
        if not self._places.has_feed:
            return {}
        feeds = _read(self._places.status_dir / "feeds.json")
        return self_report.of_feed(at, self._started_at, feeds)

    def _count(self, at: int) -> dict[str, float]:
        """What happened in the last minute."""
        links = [consumer.link for consumer in self._consumers]
        rejected = sum(sum(lane.rejected.values()) for lane in self._status.lanes.values())
        grown = self._per_minute.add(
            at,
            {
                "broker.sessionsLost": sum(link.sessions_lost for link in links),
                "broker.sessionsTakenOver": sum(link.taken_over for link in links),
                "intake.rejected": rejected,
                **self._dropped(),
                **self_report.denied_in_log(self._broker_log),
            },
        )
        estimate = self._unaccounted.per_minute(at) if self._places.may_account else None
        logged = grown.get("broker.publishesDenied")
        known = [count for count in (estimate, logged) if count is not None]
        return {**grown, "broker.publishesDenied": max(known)} if known else grown

    def _away_s(self, at: int) -> float:
        """For how long a lane has had no broker."""
        down = [c.link.since_at for c in self._accounted if not c.link.is_up]
        return max(0, at - min(down, default=at)) / 1000

    def _dropped(self) -> dict[str, float]:
        if "dropped" not in self._figures:
            return {}
        return {"broker.messagesDropped": self._figures["dropped"]}


def greeting_of(client_id: str) -> Greeting:
    """Who we are at the broker: no session, QoS 0, what is retained too."""
    filters = [(topic.decode(), 0) for topic in SYS_TOPICS]
    return Greeting(client_id, filters, session_expiry_s=0)


def totals_before(status_path: Path | None) -> Mapping[str, float]:
    """The broker's totals as the process before us saw them last; ours began anew with us."""
    of_broker = ("broker.messagesDropped", "broker.publishesDenied")
    said = (_read(status_path) or {}).get("own_totals") if status_path else None
    if not isinstance(said, Mapping):
        return {}
    return {name: said[name] for name in of_broker if isinstance(said.get(name), int | float)}


def _frame(
    values: Mapping[str, float], device: int, registry: RegistrySnapshot, at: int
) -> ReadingsFrame:
    known = [
        (s, v) for q, v in values.items() if (s := registry.series.get((device, q))) is not None
    ]
    series, value = zip(*known, strict=True) if known else ((), ())
    count = len(series)
    readings = readings_from_columns(series, [at] * count, [at] * count, value, [0] * count)
    nobody = Receipts(
        "",
        np.empty(0, np.uint16),
        np.empty(0, np.uint64),
        np.empty(0, np.int32),
        np.empty(0, np.int64),
    )
    return ReadingsFrame(readings, nobody)


def _disk(folder: Path) -> Disk:
    found = os.statvfs(folder)
    return Disk(found.f_bavail * found.f_frsize)


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        fields = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, Mapping) else None
