"""What a rule evaluator is, and the plain values it works on.

One evaluator is one rule over all its places in one lane. Kinds to come (rise, band, outside,
persistence, balance, index, neighbours, forecast) are further classes with this Protocol, beside
``alerts.stages`` and ``alerts.silence``; the engine knows none of them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays
from alerts.history import History
from alerts.listening import Listening
from alerts.place import Sample
from alerts.transitions import Change
from devices.frames import Lane
from devices.readings import Float64s, Indices, Int32s, Int64s, Readings
from devices.registry import Device, RegistrySnapshot

Bools = NDArray[np.bool_]
TICK_ROW = -1
"""Row of a transition that no reading brought."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A change and the row of the batch that brought it (for the order of telling)."""

    row: int
    change: Change


@dataclass(frozen=True, slots=True)
class Fresh:
    """Readings newer than all before of their series, and no series twice.

    Times are event times: ``measured_at``, but never after ``received_at``.

    ``rows`` are their places in the batch; the masks are of the same length.
    """

    rows: Indices
    readings: Readings
    is_suspect: Bools
    is_drill: Bools
    has_suspect: bool
    has_drill: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """Who was heard, by device id (UNKNOWN for strangers), and when (int64 ms UTC).

    Row i is row i of the batch of readings that said so.
    """

    devices: Int32s
    received_at: Int64s


@dataclass(slots=True)
class SeriesMemory:
    """The newest reading of every series, indexed by series id (``limit`` of them).

    ``measured_at`` (event time) and ``received_at`` int64 ms UTC, -1 before the first reading.
    ``value`` is the last plausible one: row 0 of real readings, row 1 of drills; NaN before the
    first.
    """

    measured_at: Int64s
    received_at: Int64s
    value: Float64s

    @classmethod
    def of(cls, limit: int) -> SeriesMemory:
        """Memory of ``limit`` series of which nothing was heard."""
        return cls(
            np.full(limit, -1, np.int64),
            np.full(limit, -1, np.int64),
            np.full((2, limit), np.nan),
        )

    def grow(self, limit: int) -> SeriesMemory:
        """The same memory with room for at least ``limit`` series."""
        more = SeriesMemory.of(max(0, limit - len(self.measured_at)))
        return SeriesMemory(
            np.concatenate([self.measured_at, more.measured_at]),
            np.concatenate([self.received_at, more.received_at]),
            np.concatenate([self.value, more.value], axis=1),
        )

    def take_in(self, fresh: Fresh) -> None:
        """Remember these readings; of a series that stands more than once the last one."""
        readings = fresh.readings
        self.measured_at[readings.series] = readings.measured_at
        self.received_at[readings.series] = readings.received_at
        if not (fresh.has_suspect or fresh.has_drill):
            self.value[0, readings.series] = readings.value
            return
        sound = ~fresh.is_suspect
        drill = fresh.is_drill[sound].astype(np.intp)
        self.value[drill, readings.series[sound]] = readings.value[sound]

    def lag_ms(self, series: Int32s) -> Int64s:
        """How far the event time of these series is behind our clock, ms, never negative."""
        lag: Int64s = np.maximum(0, self.received_at[series] - self.measured_at[series])
        return lag


@dataclass(frozen=True, slots=True)
class Past:
    """What came before: the newest readings, those that are kept, the last tick (-1: none)."""

    memory: SeriesMemory
    history: History
    tick_at: int

    def reached(self, series: int) -> int:
        """How far the event time of a series has come by our clock (int ms UTC)."""
        return self.tick_at - int(self.memory.lag_ms(np.array([series], np.int32))[0])


@dataclass(frozen=True, slots=True)
class Late:
    """A reading that is not newer than the newest of its series; the history has it already.

    ``has_changed``: there was one of its time, with another value.
    """

    row: int
    series: int
    sample: Sample
    received_at: int
    has_changed: bool


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is open, as the ledger has it."""

    id: str
    rule: str
    device: int
    series: int | None
    stage: str
    level: int
    changed_at: int
    is_verified: bool
    is_exercise: bool
    peak_value: float | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What a lane's rules are set up from: the registry, how many series ids there may be, and
    since when it is so (int ms UTC)."""

    lane: Lane
    registry: RegistrySnapshot
    limit: int
    devices: tuple[Device, ...]
    since: int


class Evaluator(Protocol):
    """One rule over all its places in one lane; pure but for its own arrays.

    Nothing here raises for field data. Transitions come back in any order: the engine sorts them.
    """

    name: str

    def would_change(self, fresh: Fresh, /) -> NDArray[np.bool_]:
        """Mask of the readings that would change something, were each the next of its series."""

    def pass_by(self, fresh: Fresh, /) -> None:
        """Take in readings none of which ``would_change`` anything; a series may stand often."""

    def on_readings(self, fresh: Fresh, past: Past, /) -> Sequence[Finding]:
        """Step with readings; the memory is as it was before them, the history has them."""

    def on_late(self, late: Late, past: Past, /) -> Sequence[Finding] | None:
        """Run again from a late reading on; None where this rule cannot go back that far."""

    def series(self) -> Int32s:
        """The series whose readings are to be kept so that they can be run again."""

    def on_heard(self, heard: Heard, listening: Listening, /) -> Sequence[Finding]:
        """Be told who was heard, by late and repeated readings too; ``listening`` knows it."""

    def on_tick(self, at: int, past: Past, listening: Listening, /) -> Sequence[Finding]:
        """Step with the clock: everything due at or before ``at`` (int ms UTC)."""

    def carry_over(self, previous: Self, at: int, /) -> Sequence[Finding]:
        """Take the state of the same rule before a revision; withdraws what has no place now."""

    def withdraw_all(self, at: int, /) -> Sequence[Finding]:
        """End all open alarms: the rule went."""

    def open_ids(self) -> Mapping[tuple[int, bool], str]:
        """(series or device, is it a drill) → id of the open alarm."""

    def take_peaks(self) -> Mapping[str, float]:
        """Alarm id → highest plausible value, of the alarms where it rose since the last call."""

    def adopt(self, alarm: OpenAlarm, /) -> bool:
        """Stand as the ledger says; False if there is no such place or stage any more."""

    def forget(self, key: tuple[int, bool], /) -> None:
        """Stand as if the alarm under this key of ``open_ids`` had never been."""

    def state(self) -> Arrays:
        """All state, for a snapshot."""

    def restore(self, arrays: Mapping[str, NDArray[Any]], /) -> None:
        """Stand as ``state`` said. Raises OtherLayout or IndexError where arrays do not fit."""
