"""What devices and their network servers said of them: firmware, link margin, frames, gateways.

Frames come from live (`FrameInbox`, bounded), are read later by the health work (`SaidBook`), and
are saved by `dashboards.health_rows`. Figures for people, not promises: what comes while web is
down is not counted. Refuses to know tables and topics.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

import msgspec

from devices.frames import Frame, RawFrame, StatusFrame
from devices.health.days import DAY_MS, day_of
from devices.health.firmware import version_in, version_of
from devices.health.link import GatewayLink
from devices.networks.messages import Joined, LinkStatus, Reception, Uplink
from devices.outcomes import Rejected

MOST_WAITING: Final = 20_000
"""Frames that wait to be looked at; of more the oldest are dropped and counted."""
MOST_BYTES: Final = 16 << 10
"""A longer frame is not looked at: no network server's message needs as much."""
MOST_GATEWAYS: Final = 5_000
MOST_GATEWAYS_A_DEVICE: Final = 32

_WEEK_DAYS: Final = 7
_HALVED_MS: Final = 3 * DAY_MS
_SMOOTHING: Final = 0.1
_LARGEST_JUMP: Final = 1_000

ReadNetwork = Callable[[str, str, bytes], object]
"""Name of the network, topic, payload → a `devices.networks.messages` value, Ignored, Rejected."""


class FrameInbox:
    """StatusFrames and RawFrames on their way from the event loop to the health work."""

    def __init__(self) -> None:
        self._frames: deque[StatusFrame | RawFrame] = deque(maxlen=MOST_WAITING)
        self._lock = Lock()
        self.dropped = 0

    def offer(self, frames: Iterable[Frame]) -> None:
        """Keep the frames that say something of a device; never blocks for long."""
        for frame in frames:
            if isinstance(frame, StatusFrame | RawFrame) and len(frame.payload) <= MOST_BYTES:
                with self._lock:
                    self.dropped += len(self._frames) == MOST_WAITING
                    self._frames.append(frame)

    def take(self, most: int) -> list[StatusFrame | RawFrame]:
        """The oldest frames, at most so many, for one caller."""
        with self._lock:
            return [self._frames.popleft() for _ in range(min(most, len(self._frames)))]


class Said(msgspec.Struct):
    """The newest that is known of one device. ``frames``: (day, came, lost) of the last week."""

    firmware: str | None = None
    firmware_at: int | None = None
    margin_db: float | None = None
    has_external_power: bool = False
    battery_percent: float | None = None
    counter: int | None = None
    frames: list[tuple[int, int, int]] = []


@dataclass(slots=True)
class Heard:
    """One device through one gateway; ``uplinks`` counts, halved each three days."""

    last_heard_at: int
    uplinks: float = 0.0
    rssi: float | None = None
    snr: float | None = None


@dataclass(slots=True)
class Gateway:
    """A gateway of a network server, as it was heard of last (WGS84, degrees)."""

    network: str
    last_heard_at: int
    latitude: float | None = None
    longitude: float | None = None


class SaidBook:
    """All of it, in memory; what was touched since it was last saved."""

    def __init__(self, read_network: ReadNetwork) -> None:
        self._read = read_network
        self.said: dict[int, Said] = {}
        self.heard: dict[int, dict[str, Heard]] = {}
        self.gateways: dict[str, Gateway] = {}
        self.touched_devices: set[int] = set()
        self.touched_links: set[tuple[int, str]] = set()
        self.touched_gateways: set[str] = set()

    def take(self, frame: StatusFrame | RawFrame, by_eui: Mapping[str, int]) -> None:
        """Note what the frame says; ``by_eui`` gives the device id by DevEUI."""
        if isinstance(frame, StatusFrame):
            self._take_version(frame.device, version_in(frame.payload), frame.received_at)
            return
        if not frame.network:
            return
        message = self._read(frame.network, frame.topic, frame.payload)
        if isinstance(message, Rejected) or not isinstance(message, Uplink | LinkStatus | Joined):
            return
        device = by_eui.get(message.sender.dev_eui)
        if isinstance(message, Uplink):
            self._take_gateways(frame, message)
        if device is None:
            return
        match message:
            case Uplink():
                self._take_uplink(device, message, frame.received_at)
            case LinkStatus():
                self._take_status(device, message)
            case Joined():
                self._of(device).counter = None

    def uplinks(self, device: int, now: int) -> float:
        """How many uplinks the gateways of the device stand for now."""
        return sum(_faded(one, now) for one in self.heard.get(device, {}).values())

    def links(self, device: int, now: int) -> list[GatewayLink]:
        """The gateways that heard the device within a week, with their shares."""
        recent = {
            name: one
            for name, one in self.heard.get(device, {}).items()
            if now - one.last_heard_at <= _WEEK_DAYS * DAY_MS
        }
        total = max((_faded(one, now) for one in recent.values()), default=0.0)
        return [
            GatewayLink(
                name,
                round(_faded(one, now) / total, 3) if total else 0.0,
                None if one.rssi is None else round(one.rssi, 1),
                None if one.snr is None else round(one.snr, 1),
                one.last_heard_at,
            )
            for name, one in recent.items()
        ]

    def frames(self, device: int, now: int) -> tuple[int, int]:
        """Radio frames of the last week: how many came, how many were lost."""
        said = self.said.get(device)
        rows = [row for row in said.frames if row[0] > day_of(now) - 7] if said else []
        return sum(came for _, came, _ in rows), sum(lost for _, _, lost in rows)

    def _of(self, device: int) -> Said:
        self.touched_devices.add(device)
        return self.said.setdefault(device, Said())

    def _take_version(self, device: int, version: str | None, at: int) -> None:
        if version is not None:
            said = self._of(device)
            said.firmware, said.firmware_at = version, at

    def _take_uplink(self, device: int, uplink: Uplink, at: int) -> None:
        said = self._of(device)
        self._take_version(device, version_of(uplink.decoded or {}), at)
        lost = 0
        if said.counter is not None:
            if uplink.counter == said.counter:
                return  # the same frame again
            lost = uplink.counter - said.counter - 1
        said.counter = uplink.counter
        if not 0 <= lost < _LARGEST_JUMP:
            lost = 0  # it began anew
        _count(said.frames, day_of(at), lost)
        self._take_links(device, uplink.receptions[:MOST_GATEWAYS_A_DEVICE], at)

    def _take_status(self, device: int, status: LinkStatus) -> None:
        said = self._of(device)
        said.margin_db = status.margin_db if status.margin_db is not None else said.margin_db
        said.battery_percent = status.battery_percent
        said.has_external_power = status.has_external_power

    def _take_gateways(self, frame: RawFrame, uplink: Uplink) -> None:
        for reception in uplink.receptions[:MOST_GATEWAYS_A_DEVICE]:
            name = reception.gateway
            if name not in self.gateways and len(self.gateways) >= MOST_GATEWAYS:
                continue
            known = self.gateways.setdefault(name, Gateway(frame.network, frame.received_at))
            known.last_heard_at = max(known.last_heard_at, frame.received_at)
            if reception.latitude is not None and reception.longitude is not None:
                known.latitude, known.longitude = reception.latitude, reception.longitude
            self.touched_gateways.add(name)

    def _take_links(self, device: int, receptions: Iterable[Reception], at: int) -> None:
        """The device was heard through these gateways."""
        of_device = self.heard.setdefault(device, {})
        for reception in receptions:
            name = reception.gateway
            if name not in of_device and len(of_device) >= MOST_GATEWAYS_A_DEVICE:
                del of_device[min(of_device, key=lambda one: of_device[one].last_heard_at)]
            heard = of_device.setdefault(name, Heard(at))
            heard.uplinks = _faded(heard, at) + 1.0
            heard.last_heard_at = max(heard.last_heard_at, at)
            heard.rssi = _smoothed(heard.rssi, reception.rssi)
            heard.snr = _smoothed(heard.snr, reception.snr)
            self.touched_links.add((device, name))


def _faded(heard: Heard, now: int) -> float:
    return heard.uplinks * float(0.5 ** (max(now - heard.last_heard_at, 0) / _HALVED_MS))


def _smoothed(before: float | None, value: float | None) -> float | None:
    if before is None or value is None:
        return before if value is None else value
    return before + _SMOOTHING * (value - before)


def _count(frames: list[tuple[int, int, int]], day: int, lost: int) -> None:
    if frames and frames[-1][0] == day:
        _, came, missing = frames[-1]
        frames[-1] = (day, came + 1, missing + lost)
    else:
        frames.append((day, 1, lost))
        del frames[:-_WEEK_DAYS]
