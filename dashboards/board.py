"""Everything that is shown, as it stands now: one board, many views of it.

Takes readings, alarms and the registry as they come, marks what they touch, and gives each view
its bytes; every station is built and encoded once, not once a viewer. Lives in one thread.
Refuses to know journals, tables, sockets and the clock (``now`` is an argument).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from dashboards.latest import LatestValues, LevelHistory
from dashboards.permissions import (
    View,
    may_see_device,
    may_see_people,
    may_see_personal,
    may_see_quantity,
)
from dashboards.stations import (
    OVERDUE_GRACE_MS,
    Latest,
    Station,
    alarm_shown,
    condition,
    is_level,
    main_quantity,
    station,
)
from devices.active_intervals import active_limits
from devices.quantities import QUANTITIES
from devices.readings import SUSPECT, Int32s, Int64s, Quality, Readings, distinct_ids

if TYPE_CHECKING:
    from alerts.ledger import Alarm
    from devices.registry import Device, RegistrySnapshot

_encode: Final = msgspec.json.Encoder().encode
_MAX_VIEWS: Final = 256
_NEVER_HEARD: Final = 0
_NEVER_OVERDUE_MS: Final = 2**62  # of what is not in service
_DOUBTED: Final = SUSPECT | Quality.EXERCISE


@dataclass(slots=True)
class Changes:
    """What was touched since it was last asked for: stations by device id, alarms by id."""

    stations: set[int] = field(default_factory=set)
    alarms: dict[str, Alarm] = field(default_factory=dict)


class Board:
    """The state of all stations and open alarms."""

    def __init__(self) -> None:
        self.version = 0  # rises with every change
        self._registry: RegistrySnapshot | None = None
        self._latest = LatestValues()
        self._levels = LevelHistory()
        self._device_of: Int32s = np.full(0, -1, np.int32)  # by series id
        self._series_of: dict[int, dict[str, int]] = {}
        self._heard_at: Int64s = np.full(0, _NEVER_HEARD, np.int64)  # by device id
        self._normal_ms: Int64s = np.zeros(0, np.int64)  # by device id: silence limits
        self._active = active_limits((), {})  # … of those that report more often at times
        self._limit_ms: Int64s = self._normal_ms  # with grace, as of the last ``pass_time``
        self._overdue: set[int] = set()
        self._now = 0  # as of the last ``pass_time``
        self._stale_at: dict[int, int] = {}  # by device id: when its rise is of the past
        self._alarms: dict[int, dict[str, Alarm]] = {}  # active ones, by device id
        self._cleared_at: dict[int, int] = {}
        self._touched = Changes()
        self._encoded: dict[tuple[int, bool], bytes] = {}
        self._seen: dict[View, frozenset[int]] = {}
        self._snapshots: dict[View, tuple[int, bytes]] = {}

    # -- what comes in

    def take_registry(self, registry: RegistrySnapshot) -> bool:
        """Show the devices in service of this revision; readings and alarms are kept.

        True if a device went or may be seen by others now: viewers need a fresh snapshot.
        """
        before = {d.id: (d.kind, d.owner, d.open_data) for d in self._in_service()}
        self._registry = registry
        after = {d.id: (d.kind, d.owner, d.open_data) for d in self._in_service()}
        self._index_series(registry)
        self._index_devices(registry)
        self._levels.follow(np.fromiter(self._level_series(), np.int32))
        self._seen.clear()
        for new in after.keys() - before.keys():
            self._touched.alarms.update(self._alarms.get(new, {}))  # came before its device
        self._touch(before.keys() | after.keys())
        return any(after.get(device) != seen_by for device, seen_by in before.items())

    def take_readings(self, readings: Readings) -> None:
        """Keep what is newest; a series that the registry lacks waits for the next revision."""
        self._latest.take(readings)
        self._levels.take(readings)
        is_known = readings.series < len(self._device_of)
        devices = self._device_of[readings.series[is_known]]
        self._hear(devices, readings.received_at[is_known])
        self._touch(distinct_ids(devices).tolist())

    def take_level_history(self, readings: Readings) -> None:
        """Fill the last hour after a start, before newer readings are taken."""
        self._levels.take(readings)

    def take_heard(self, device: int, received_at: int) -> None:
        """A device said something that is no reading."""
        self._hear(np.asarray([device], np.int32), np.asarray([received_at], np.int64))
        self._touch((device,))

    def take_alarms(self, alarms: Sequence[Alarm]) -> None:
        """Changed alarms, in the order of change."""
        for alarm in alarms:
            active = self._alarms.setdefault(alarm.device, {})
            if alarm.state == "active":
                active[alarm.id] = alarm
            else:
                active.pop(alarm.id, None)
                if alarm.cleared_at and not alarm.is_exercise:
                    self._cleared_at[alarm.device] = alarm.cleared_at
            self._touched.alarms[alarm.id] = alarm
        self._touch({alarm.device for alarm in alarms})

    def pass_time(self, now: int) -> None:
        """Mark the stations that have become overdue, or are no longer, or whose rise is old."""
        self._now = now
        self._limit_ms = OVERDUE_GRACE_MS + self._active.applied(
            self._normal_ms, self._latest.sound()
        )
        if stale := [device for device, at in self._stale_at.items() if at <= now]:
            for device in stale:
                del self._stale_at[device]
            self._touch(stale)
        overdue = set(np.flatnonzero(now - self._heard_at > self._limit_ms).tolist())
        if changed := overdue ^ self._overdue:
            self._overdue = overdue
            self._touch(changed)

    # -- what is asked

    @property
    def registry(self) -> RegistrySnapshot | None:
        """The registry that is shown; None before the first one came."""
        return self._registry

    def touched(self) -> Changes:
        """What changed since the last call."""
        touched, self._touched = self._touched, Changes()
        return touched

    def heard_at(self, device: int) -> int | None:
        """When the device was heard last (ms UTC, received), None: never; from any thread."""
        heard_at = self._heard_at
        at = int(heard_at[device]) if device < len(heard_at) else _NEVER_HEARD
        return None if at == _NEVER_HEARD else at

    def level_series(self) -> list[int]:
        """Series of which the last hour is kept."""
        return list(self._level_series())

    def seen(self, view: View) -> frozenset[int]:
        """Ids of the devices in service that exist for this view."""
        found = self._seen.get(view)
        if found is None:
            found = frozenset(d.id for d in self._in_service() if may_see_device(view, d))
            _bound(self._seen)
            self._seen[view] = found
        return found

    def shows_alarm(self, view: View, alarm: Alarm) -> bool:
        """Whether the alarm exists for this view: its device does, and its quantity."""
        if self._registry is None or alarm.device not in self.seen(view):
            return False
        if alarm.series is None:
            return True
        of = self._registry.definitions.get(alarm.series)
        device = self._registry.devices[alarm.device]
        return of is not None and may_see_quantity(view, device, of.quantity)

    def station(self, view: View, device: int) -> Station | None:
        """One station as a value, if it exists for this view."""
        if self._registry is None or device not in self.seen(view):
            return None
        return self._station(self._registry.devices[device], may_see_personal(view))

    def snapshot(self, view: View, now: int) -> bytes:
        """All that the view sees, as JSON (``stations.Snapshot``); encoded once a version."""
        kept = self._snapshots.get(view)
        if kept is None or kept[0] != self.version:
            body = self._body(view, sorted(self.seen(view)), self._open_alarms(view))
            kept = (self.version, b'"revision":%d,%b' % (self.version, body))
            _bound(self._snapshots)
            self._snapshots[view] = kept
        return b'{"at":%d,%b}' % (now, kept[1])

    def changes(self, view: View, changes: Changes, now: int) -> bytes | None:
        """Those of the changes that concern the view, as JSON; None if there are none."""
        stations = changes.stations & self.seen(view)
        alarms = [a for a in changes.alarms.values() if self.shows_alarm(view, a)]
        if not stations and not alarms:
            return None
        return b'{"at":%d,%b}' % (now, self._body(view, sorted(stations), alarms))

    # -- inside

    def _index_series(self, registry: RegistrySnapshot) -> None:
        self._series_of = {}
        self._device_of = np.full(max(registry.definitions, default=-1) + 1, -1, np.int32)
        for number, of in registry.definitions.items():
            self._device_of[number] = of.device
            self._series_of.setdefault(of.device, {})[of.quantity] = number

    def _index_devices(self, registry: RegistrySnapshot) -> None:
        size = max(registry.devices, default=-1) + 1
        self._heard_at = np.append(
            self._heard_at, np.full(max(size - len(self._heard_at), 0), _NEVER_HEARD, np.int64)
        )
        limits = np.full(len(self._heard_at), _NEVER_OVERDUE_MS, np.int64)
        for device in self._in_service():
            limits[device.id] = round(device.silence_after_s * 1000)
        self._normal_ms, self._limit_ms = limits, limits + OVERDUE_GRACE_MS
        in_service = ((device.id, device) for device in self._in_service())
        self._active = active_limits(in_service, registry.series)
        known = min(len(self._device_of), len(self._latest.received_at))
        self._hear(self._device_of[:known], self._latest.received_at[:known])

    def _hear(self, devices: Int32s, received_at: Int64s) -> None:
        is_ours = (devices >= 0) & (devices < len(self._heard_at))
        np.maximum.at(self._heard_at, devices[is_ours], received_at[is_ours])
        if self._overdue:  # who is heard again is known at once, not at the next ``pass_time``
            heard = devices[is_ours]
            in_time = self._now - self._heard_at[heard] <= self._limit_ms[heard]
            self._overdue.difference_update(heard[in_time].tolist())

    def _in_service(self) -> Iterator[Device]:
        if self._registry is not None:
            for device in self._registry.devices.values():
                if device.decommissioned_at is None:
                    yield device

    def _level_series(self) -> Iterator[int]:
        for device in self._in_service():
            quantity = main_quantity(device.kind)
            if quantity and is_level(quantity):
                number = self._series_of.get(device.id, {}).get(quantity)
                if number is not None:
                    yield number

    def _touch(self, devices: Iterable[int]) -> None:
        self.version += 1
        for device in devices:
            self._touched.stations.add(device)
            self._encoded.pop((device, True), None)
            self._encoded.pop((device, False), None)

    def _open_alarms(self, view: View) -> list[Alarm]:
        found = [
            alarm
            for device in self.seen(view)
            for alarm in self._alarms.get(device, {}).values()
            if self.shows_alarm(view, alarm)
        ]
        return sorted(found, key=lambda alarm: (-alarm.level, -alarm.opened_at, alarm.id))

    def _body(self, view: View, stations: Collection[int], alarms: Sequence[Alarm]) -> bytes:
        shows_personal, shows_people = may_see_personal(view), may_see_people(view)
        devices = self._registry.devices if self._registry else {}
        return b'"stations":[%b],"alarms":[%b]' % (
            b",".join(self._station_json(device, shows_personal) for device in stations),
            b",".join(
                _encode(alarm_shown(a, devices.get(a.device), shows_people=shows_people))
                for a in alarms
            ),
        )

    def _station_json(self, device: int, shows_personal: bool) -> bytes:
        key = (device, shows_personal)
        encoded = self._encoded.get(key)
        if encoded is None:
            assert self._registry is not None  # noqa: S101 - a device id came from it
            encoded = _encode(self._station(self._registry.devices[device], shows_personal))
            self._encoded[key] = encoded
        return encoded

    def _station(self, device: Device, shows_personal: bool) -> Station:
        latest = {
            quantity: self._reading(number)
            for quantity, number in self._series_of.get(device.id, {}).items()
            if self._latest.has(number) and (shows_personal or _is_impersonal(quantity))
        }
        alarms = self._alarms_of(device, shows_personal)
        main = latest.get(main_quantity(device.kind) or "")
        heard_at = int(self._heard_at[device.id])
        return station(
            device,
            latest,
            tuple(alarm.id for alarm in alarms),
            condition(
                alarms,
                main,
                is_silent=heard_at == _NEVER_HEARD or device.id in self._overdue,
                cleared_at=self._cleared_at.get(device.id),
            ),
            last_received_at=heard_at if heard_at != _NEVER_HEARD else None,
            rise_per_h=self._rise(device, main),
        )

    def _alarms_of(self, device: Device, shows_personal: bool) -> list[Alarm]:
        active = self._alarms.get(device.id, {}).values()
        definitions = self._registry.definitions if self._registry else {}
        return [
            alarm
            for alarm in sorted(active, key=lambda a: (-a.level, a.opened_at))
            if shows_personal
            or alarm.series is None
            or (alarm.series in definitions and _is_impersonal(definitions[alarm.series].quantity))
        ]

    def _reading(self, number: int) -> Latest:
        return Latest(
            number,
            float(self._latest.value[number]),
            int(self._latest.measured_at[number]),
            int(self._latest.quality[number]),
        )

    def _rise(self, device: Device, main: Latest | None) -> float | None:
        if main is None or not is_level(main_quantity(device.kind)) or main.quality & _DOUBTED:
            return None
        found = self._levels.rise(main.series, main.measured_at, main.value)
        if found is None or found.stale_at <= self._now:
            return None
        self._stale_at[device.id] = found.stale_at
        return round(found.per_h, 3)


def _is_impersonal(quantity: str) -> bool:
    known = QUANTITIES.get(quantity)
    return known is not None and not known.is_personal


def _bound(
    views: dict[View, object] | dict[View, frozenset[int]] | dict[View, tuple[int, bytes]],
) -> None:
    if len(views) >= _MAX_VIEWS:
        views.clear()
