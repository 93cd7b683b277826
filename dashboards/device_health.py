"""Looks at every device about each quarter of an hour, some at a time, beside the pages.

The store is read once a day of readings; what is judged is the days (`devices.health`)::

    store ──▶ today, and days that closed ──▶ histories ──▶ assessments ──▶ table device_health
              200 devices at a time, in a thread; then a pause: at most a tenth of one core

Findings are no alarms and nothing waits for them: an outage of store or database is waited out.
Refuses to know how a figure is judged, and words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dashboards import health_rows
from dashboards.device_said import FrameInbox, SaidBook
from dashboards.health_context import Context, Neighbours, firmware_of, warmth
from dashboards.health_days import Closing, read_days
from dashboards.health_rows import Assessed, Body, InService
from dashboards.stored import StoredReadings
from devices.health.assessment import Subject, assess, battery_of, course_of
from devices.health.battery import Battery, Cell
from devices.health.days import DAY_MS, DEVICE, day_of
from devices.health.findings import Limits, findings
from devices.health.history import History
from devices.kinds import INSTALLATION, KINDS
from devices.networks import NetworkKind, read
from devices.networks.messages import Ignored
from devices.outage_note import OutageNote
from devices.registry import Device, Registry, RegistrySnapshot
from ingest.lanes_reader import finish
from ingest.stores.series_store import StoreOutage

log = structlog.get_logger()

_WEEK_MS: Final = 7 * DAY_MS
_FRAMES_A_STEP: Final = 2_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the work goes: a round of all devices each ``round_s``, ``slice_devices`` a step.

    ``busy_share`` of one core at most (0..1); with nothing due it waits ``idle_s``, after an outage
    ``retry_s``.
    """

    round_s: float = 900.0
    slice_devices: int = 200
    busy_share: float = 0.1
    shortest_pause_s: float = 0.2
    idle_s: float = 1.0
    retry_s: float = 30.0


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """How devices are looked at.

    ``networks``: which server stands behind each name in the settings; ``cells``: what is known of
    the batteries by a unit's model ("": of every other one).
    """

    networks: Mapping[str, NetworkKind] = field(default_factory=dict)
    cells: Mapping[str, Cell] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    pace: Pace = field(default_factory=Pace)


@dataclass(slots=True)
class _Round:
    """One pass over all devices in service, by kind and area."""

    begun_at: float
    registry: RegistrySnapshot
    slices: list[list[Device]]
    series: Mapping[int, Mapping[str, int]]
    is_hurried: bool
    """Whether closed days are still to be read: then it goes as fast as the share of CPU allows."""
    next: int = 0
    is_behind: bool = False
    neighbours: Neighbours = field(default_factory=Neighbours)


class DeviceHealth:
    """The work (``run``) and what the pages ask of it (any thread)."""

    def __init__(
        self,
        *,
        database: Engine,
        registry: Registry,
        stored: StoredReadings,
        inbox: FrameInbox,
        heard_at: Callable[[int], int | None],
        now: Callable[[], int],
        options: HealthOptions | None = None,
    ) -> None:
        """``heard_at`` gives when a device was heard last, by its id; from any thread."""
        options = options or HealthOptions()
        self._database, self._registry, self._stored = database, registry, stored
        self._inbox, self._heard_at, self._now = inbox, heard_at, now
        self._cells = {model.casefold(): cell for model, cell in options.cells.items()}
        self._limits, self.pace = options.limits, options.pace
        self._networks = options.networks
        self.book = SaidBook(self._read_network)
        self.assessed: dict[int, Assessed] = {}
        self.cpu_s = 0.0
        self.rounds = 0
        self._context = Context()
        self._batteries: dict[int, tuple[object, Battery]] = {}
        self._round: _Round | None = None
        self._counts: dict[str, object] = {}
        self._is_loaded = False
        self.is_behind = True
        self._outage = OutageNote(
            lambda reason: log.warning("web.device_health.outage", reason=reason),
            lambda: log.info("web.device_health.recovered"),
        )

    async def run(self) -> None:
        """Assess until cancelled; through outages of store and database."""
        with ThreadPoolExecutor(1, "device-health") as worker:
            while True:
                try:
                    pause_s = await finish(worker, self.step)
                except (StoreOutage, SQLAlchemyError, OSError) as outage:
                    self._outage.note(outage)
                    pause_s = self.pace.retry_s
                await asyncio.sleep(pause_s)

    def step(self) -> float:
        """Look at one slice of devices; how long to pause then (s). In the worker thread."""
        began = time.thread_time()
        if not self._is_loaded:
            self._load()
        self._read_frames()
        current = self._round or self._begin_round()
        is_due = current is not None and self._is_time(current)
        if current is not None and is_due:
            self._look_at(current, current.slices[current.next])
            self._counts = self._count()
            current.next += 1
            self._end_round(current)
        self._outage.over()
        used = time.thread_time() - began
        self.cpu_s += used
        if not is_due:
            return self.pace.idle_s
        resting_s = used * (1.0 / self.pace.busy_share - 1.0)
        return max(resting_s, self.pace.shortest_pause_s)

    def status(self) -> dict[str, object]:
        """The work's part of ``web.json``."""
        return {
            **self._counts,
            "cpu_s": round(self.cpu_s, 2),
            "rounds": self.rounds,
            "frames_dropped": self._inbox.dropped,
            "gateways": len(self.book.gateways),
        }

    def _count(self) -> dict[str, object]:
        """Devices by finding, after each slice; asked for each second."""
        counts: dict[str, int] = {}
        for one in self.assessed.values():
            for code in one.codes:
                counts[code] = counts.get(code, 0) + 1
        return {
            "assessed": len(self.assessed),
            "oldest_at": min((one.assessed_at for one in self.assessed.values()), default=None),
            "findings": counts,
        }

    # -- rounds

    def _load(self) -> None:
        self.assessed = health_rows.load_assessed(self._database)
        health_rows.load_book(self._database, self.book)
        self._counts = self._count()
        self._is_loaded = True

    def _begin_round(self) -> _Round | None:
        registry = self._registry.snapshot()
        devices = sorted(
            (d for d in registry.devices.values() if _is_in_field(d)),
            key=lambda d: (d.kind, d.area, d.id),
        )
        for gone in self.assessed.keys() - {device.id for device in devices}:
            self.assessed.pop(gone, None)
            self._batteries.pop(gone, None)
        if not devices:
            return None
        size = self.pace.slice_devices
        slices = [devices[at : at + size] for at in range(0, len(devices), size)]
        series = _series_by_device(registry)
        self._round = _Round(time.monotonic(), registry, slices, series, self.is_behind)
        return self._round

    def _is_time(self, current: _Round) -> bool:
        """Slices are spread evenly over the round, but for one that has days to catch up on."""
        if current.is_hurried:
            return True
        due = current.begun_at + current.next * self.pace.round_s / len(current.slices)
        return time.monotonic() >= due

    def _end_round(self, current: _Round) -> None:
        if current.next < len(current.slices):
            return
        self._context = current.neighbours.context(self.book)
        health_rows.forget_links(self._database, self._now())
        self.is_behind = current.is_behind or self.rounds == 0  # the second one knows neighbours
        self.rounds += 1
        self._round = None

    # -- one slice

    def _look_at(self, current: _Round, devices: Sequence[Device]) -> None:
        now = self._now()
        ids = [device.id for device in devices]
        histories = health_rows.load_histories(self._database, ids)
        units = health_rows.load_units(self._database, ids)
        closing = Closing.of(devices, histories, day_of(now))
        current.is_behind |= closing.is_behind
        histories = read_days(
            self._stored, current.series, devices, histories, closing, day_of(now)
        )
        if closing.days:
            health_rows.save_histories(self._database, histories)
        lost = health_rows.lost_numbers(self._database, ids, now - _WEEK_MS)
        bodies = {}
        for subject_of, device in self._subjects(current, devices, histories, units, lost, now):
            history = histories[device.id]
            battery = self._battery(device, subject_of, history)
            health = assess(subject_of, history, battery)
            course = course_of(subject_of, history, battery)
            bodies[device.id] = Body(health, findings(health, self._limits), course)
            current.neighbours.note(device, subject_of.series, history, now)
        health_rows.save_bodies(self._database, bodies)
        self.assessed.update({d: health_rows.assessed(d, body) for d, body in bodies.items()})

    def _subjects(
        self,
        current: _Round,
        devices: Sequence[Device],
        histories: Mapping[int, History],
        units: Mapping[int, Sequence[InService]],
        lost: Mapping[int, int],
        now: int,
    ) -> Iterator[tuple[Subject, Device]]:
        for device in devices:
            known = units[device.id]
            unit = known[-1] if known and known[-1].removed_at is None else None
            model = (unit.model or "") if unit else ""
            current.neighbours.note_model(device.id, model)
            came, missing = self.book.frames(device.id, now)
            said = self.book.said.get(device.id)
            yield (
                Subject(
                    now=now,
                    interval_s=float(device.interval_s),
                    silence_after_s=device.silence_after_s,
                    in_service_since=device.registered_at,
                    series=current.series.get(device.id, {}),
                    is_adaptive=KINDS[device.kind].interval_is_adaptive,
                    heard_at=self._heard_at(device.id),
                    replaced_on=tuple(day_of(u.installed_at) for u in known[1:]),
                    cell=self._cells.get(model.casefold(), self._cells.get("", Cell())),
                    has_external_power=bool(said and said.has_external_power),
                    gateways=self.book.links(device.id, now),
                    uplinks=self.book.uplinks(device.id, now),
                    gateways_there=len(self.book.gateways),
                    margin_db=said.margin_db if said else None,
                    lost=lost.get(device.id, 0) + missing,
                    frames=came or _samples_of_week(histories[device.id], now),
                    firmware=firmware_of(said, self._context.newest.get(model)),
                    around=self._context.around.get(device.kind, {}),
                ),
                device,
            )

    def _battery(self, device: Device, subject: Subject, history: History) -> Battery:
        """Judged anew each day, or when hardware came or more is known; else as it was."""
        key = (
            day_of(subject.now), history.closed_until, subject.replaced_on, subject.cell,
            subject.has_external_power, self._context.day,
        )  # fmt: skip
        known = self._batteries.get(device.id)
        if known is not None and known[0] == key:
            return known[1]
        battery = battery_of(subject, history, warmth(self._context))
        self._batteries[device.id] = (key, battery)
        return battery

    # -- frames and outages

    def _read_frames(self) -> None:
        frames = self._inbox.take(_FRAMES_A_STEP)
        if not frames:
            return
        by_eui = {eui: unit.device for eui, unit in self._registry.known.units.items()}
        for frame in frames:
            self.book.take(frame, by_eui)
        health_rows.save_book(self._database, self.book)

    def _read_network(self, network: str, topic: str, payload: bytes) -> object:
        kind = self._networks.get(network)
        return (
            Ignored("a network that the settings do not name")
            if kind is None
            else read(kind, topic, payload)
        )


def _is_in_field(device: Device) -> bool:
    in_service = device.decommissioned_at is None
    return in_service and device.kind in KINDS and device.kind != INSTALLATION.name


def _series_by_device(registry: RegistrySnapshot) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for (device, quantity), number in registry.series.items():
        found.setdefault(device, {})[quantity] = number
    return found


def _samples_of_week(history: History, now: int) -> int:
    rows = history.device.between(day_of(now) - 6, day_of(now) + 1).figures
    samples = rows[:, DEVICE["samples"]]
    return int(samples[samples > 0].sum())
