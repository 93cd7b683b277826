"""Silence over all devices of a rule: not heard for longer than the device itself is expected.

A device is silent when the listening clock (``alerts.listening``) has advanced by its
``silence_after_s`` since it was last heard, or first known; the transition's event time is that
moment. It clears when the device is heard again. A device that reports more often from some value
on is silent sooner while its newest value is there (`devices.active_intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, OtherLayout, expect_shapes
from alerts.evaluator import TICK_ROW, Finding, Fresh, Heard, Late, OpenAlarm, Past, World
from alerts.listening import Listening
from alerts.rules import SilenceRule
from alerts.scribe import Place, Scribe, Shown, When
from devices.active_intervals import ActiveLimits, active_limits
from devices.readings import Float64s, Int32s, Int64s

_HEARD, _SILENT = Shown(0), Shown(1)


class Silence:
    """One silence rule over all its devices in a lane (an ``Evaluator``)."""

    def __init__(self, rule: SilenceRule, version: str, world: World) -> None:
        self.name = rule.name
        self._scribe = Scribe(rule.name, rule.kind, version, ((rule.stage, rule.level),))
        covered = [d for d in world.devices if rule.where.covers(d)]
        self._device: Int32s = np.array([d.id for d in covered], np.int32)
        self._after_ms: Int64s = np.array([d.silence_after_s * 1000 for d in covered], np.int64)
        self._active = active_limits(enumerate(covered), world.registry.series)
        self._start()

    def would_change(self, fresh: Fresh, /) -> NDArray[np.bool_]:
        """None of them; see ``on_heard``."""
        return np.zeros(len(fresh.rows), np.bool_)

    def pass_by(self, _fresh: Fresh, /) -> None:
        """Nothing is kept of them here."""

    def on_readings(self, _fresh: Fresh, _past: Past, /) -> Sequence[Finding]:
        """What was measured means nothing to silence; see ``on_heard``."""
        return ()

    def on_late(self, _late: Late, _past: Past, /) -> Sequence[Finding]:
        """Nor does when: being heard goes by when it was received."""
        return ()

    def series(self) -> Int32s:
        """None: there is nothing to run again."""
        return np.zeros(0, np.int32)

    def on_heard(self, heard: Heard, listening: Listening, /) -> Sequence[Finding]:
        """Clear the devices that were heard again, each by the first row that says so."""
        if not self._scribe.open:
            return ()
        devices = heard.devices
        silent = self._device[self._is_silent]
        rows = np.flatnonzero(np.isin(devices, silent))
        moments = listening.moments(heard.received_at)
        found = []
        for row in rows.tolist():
            slot = self._slot_of[int(devices[row])]
            is_recent = moments[row] + self._limit_ms[slot] > listening.clock_ms
            if self._is_silent[slot] and is_recent:
                found.append(self._tell(slot, _HEARD, int(heard.received_at[row]), row))
        return found

    def on_tick(self, at: int, past: Past, listening: Listening, /) -> Sequence[Finding]:
        """Open for the devices that have been silent for too long."""
        real: Float64s = past.memory.value[0]
        self._limit_ms = self._active.applied(self._after_ms, real)
        due = listening.heard[self._device] + self._limit_ms
        newly = np.flatnonzero((due <= listening.clock_ms) & ~self._is_silent)
        return [
            self._tell(slot, _SILENT, listening.moment_of(int(due[slot])), TICK_ROW, at)
            for slot in newly.tolist()
        ]

    def carry_over(self, previous: Self, at: int, /) -> Sequence[Finding]:
        """Take the state of the same rule before a revision; withdraws devices that went."""
        found = []
        for old_slot in np.flatnonzero(previous._changed_at >= 0).tolist():
            slot = self._slot_of.get(int(previous._device[old_slot]))
            if slot is None or previous._scribe.stages != self._scribe.stages:
                found += previous._withdraw(old_slot, at)
                continue
            self._is_silent[slot] = previous._is_silent[old_slot]
            self._changed_at[slot] = previous._changed_at[old_slot]
            key = (int(self._device[slot]), False)
            if key in previous._scribe.open:
                self._scribe.open[key] = previous._scribe.open[key]
        return found

    def withdraw_all(self, at: int, /) -> Sequence[Finding]:
        """End all open alarms: the rule went."""
        slots = np.flatnonzero(self._is_silent).tolist()
        return [f for slot in slots for f in self._withdraw(slot, at)]

    def open_ids(self) -> Mapping[tuple[int, bool], str]:
        """(device, False) → id of the open alarm: there are no drills of silence."""
        return self._scribe.open

    def take_peaks(self) -> dict[str, float]:
        """Silence has no values."""
        return {}

    def adopt(self, alarm: OpenAlarm, /) -> bool:
        """Stand as the ledger says; False if there is no such device or stage any more."""
        slot = self._slot_of.get(alarm.device)
        if slot is None or self._scribe.stage_named(alarm.stage) is None:
            return False
        self._is_silent[slot] = True
        self._changed_at[slot] = alarm.changed_at
        self._scribe.open[alarm.device, False] = alarm.id
        return True

    def forget(self, key: tuple[int, bool], /) -> None:
        """Stand as if the alarm under this key of ``open_ids`` had never been."""
        del self._scribe.open[key]
        slot = self._slot_of.get(key[0])
        if slot is not None:
            self._is_silent[slot] = False

    def state(self) -> Arrays:
        """All state, for a snapshot."""
        return self._scribe.state() | {
            "device": self._device,
            "after_ms": self._after_ms,
            "active_place": self._active.place,
            "active_series": self._active.series,
            "active_from": self._active.active_from,
            "active_after_ms": self._active.after_ms,
            "is_silent": self._is_silent,
            "changed_at": self._changed_at,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], /) -> None:
        """Stand as ``state`` said; the devices and their limits are those of then, too."""
        places = arrays["device"].shape
        expect_shapes(arrays, after_ms=places, is_silent=places, changed_at=places)
        self._device = arrays["device"]
        self._after_ms = arrays["after_ms"]
        active = {name: arrays[f"active_{name}"] for name in ("place", "series", "after_ms")}
        active["active_from"] = arrays["active_from"]
        expect_shapes(active, **dict.fromkeys(active, active["place"].shape))
        if len(active["place"]) and not 0 <= active["place"].min() <= active["place"].max() < len(
            self._device
        ):
            raise OtherLayout("active_place is none of the devices")
        self._active = ActiveLimits(**active)
        self._start()
        self._is_silent[:] = arrays["is_silent"]
        self._changed_at[:] = arrays["changed_at"]
        self._scribe.restore(arrays)

    def _start(self) -> None:
        self._slot_of = {device: slot for slot, device in enumerate(self._device.tolist())}
        self._limit_ms = self._after_ms  # as of the last tick
        self._is_silent = np.zeros(len(self._device), np.bool_)
        self._changed_at: Int64s = np.full(len(self._device), -1, np.int64)

    def _tell(
        self, slot: int, after: Shown, at: int, row: int, received_at: int | None = None
    ) -> Finding:
        before = _HEARD if after is _SILENT else _SILENT
        when = self._when(slot, at, at if received_at is None else received_at)
        self._is_silent[slot] = after is _SILENT
        place = Place(int(self._device[slot]), None)
        return Finding(row, self._scribe.write(place, before, after, None, when))

    def _withdraw(self, slot: int, at: int) -> list[Finding]:
        if not self._is_silent[slot]:
            return []
        place = Place(int(self._device[slot]), None)
        when = self._when(slot, at, at)
        return [Finding(TICK_ROW, self._scribe.withdraw(place, _SILENT, when))]

    def _when(self, slot: int, at: int, received_at: int) -> When:
        """Never historic: silence is known by our own clock. Event times of a device only rise."""
        at = max(at, int(self._changed_at[slot]) + 1)
        self._changed_at[slot] = at
        return When(at, received_at, is_historic=False, is_exercise=False)
