"""Which numbered readings of a device are missing: lost data is shown, never hidden.

Devices may number their messages (``n``) and name the ``boot`` since which they count. Refuses to
know MQTT and the journal; what it finds leaves as frames, what a device is told as a value.

    n:  5  6  7     10        8           0  1  2
                     └ gap 8..9  └ filled  └ counting began anew

A number at or below the highest that is not missing is a repetition, unless what it numbers was
measured after everything before it: then the device has begun to count anew. A device without a
clock shows that by another ``boot``, or by falling from FAR to 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from devices.frames import SequenceGapFrame
from devices.payload import NO_TIME, NOT_GIVEN
from devices.readings import (
    Indices,
    Int32s,
    Int64s,
    grouped_rows,
    is_first_of_group,
    preceding,
)

MAX_RANGES: Final = 64
"""Open ranges remembered for a device; of more the oldest become one, with what lies between."""
MAX_TOLD: Final = 16
"""Ranges named in one acknowledgement; of more the oldest are told as one."""

FAR: Final = 64
"""More numbers than a device has unacknowledged: no repetition reaches so far back."""


class Sighting(NamedTuple):
    """A number as it came; ``measured_at`` may be NO_TIME, ``boot`` NOT_GIVEN."""

    device: int
    number: int
    boot: int
    measured_at: int


@dataclass(slots=True)
class Numbering:
    """How far one device has counted; ``missing`` are inclusive ranges, ascending."""

    highest: int
    boot: int
    newest_at: int
    missing: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class NumberingState:
    """What is remembered, one row a device that has sent a number, for a snapshot."""

    device: Int32s
    highest: Int64s
    boot: Int64s
    newest_at: Int64s
    missing: Mapping[int, Sequence[tuple[int, int]]]


class Acknowledgement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device is told: all up to ``n`` is kept, except ``missing`` (at most MAX_TOLD).

    Never less stands in ``missing`` than is missing: what a device is not told of it forgets.
    ``boot`` is there if the device sent one, ``d`` names the device when a gateway is told.
    """

    n: int
    missing: tuple[tuple[int, int], ...]
    boot: int | None = None
    d: str | None = None


_BEFORE: Final = 0
"""Where the range begins that lies before the first number that came; no gap begins there."""
_NO_NUMBER: Final = -1
"""Stands in ``_highest`` for a device that never sent a number."""


class SequenceTracker:
    """Numbers of all devices that send any: arrays indexed by device id.

    Devices that count on as they should are followed together; the others one by one.
    """

    def __init__(self) -> None:
        self._highest: Int64s = np.empty(0, np.int64)
        self._boot: Int64s = np.empty(0, np.int64)
        self._newest_at: Int64s = np.empty(0, np.int64)
        self._missing: dict[int, list[tuple[int, int]]] = {}

    def follow(
        self,
        devices: Sequence[int] | Int32s,
        numbers: Sequence[int] | Int64s,
        boots: Sequence[int] | Int64s,
        measured_at: Sequence[int] | Int64s,
        at: int,
    ) -> list[SequenceGapFrame]:
        """Take numbers in the order in which they came; return gaps that opened or closed.

        One entry a numbered sample; ``boots`` may be NOT_GIVEN; ``measured_at`` is the device's own
        time of what is numbered, or NO_TIME; ``at`` is now. Adjacent numbers that fill a gap make
        one frame.
        """
        rows = _Rows(
            np.asarray(devices, np.int32),
            np.asarray(numbers, np.int64),
            np.asarray(boots, np.int64),
            np.asarray(measured_at, np.int64),
        )
        if len(rows.device) == 0:
            return []
        self._grow(int(rows.device.max()) + 1)
        frames: list[SequenceGapFrame] = []
        for row in self._follow_order(rows).tolist():
            frames += self._follow_one(rows.sighting(row), at)
        return _joined(frames)

    def acknowledgement(self, device: int, name: str | None = None) -> Acknowledgement | None:
        """What the device is to be told; None if it never sent a number."""
        known = self._load(device)
        if known is None:
            return None
        boot = None if known.boot == NOT_GIVEN else known.boot
        missing = tuple(_at_most(MAX_TOLD, known.missing))
        return Acknowledgement(known.highest, missing, boot, name)

    def restore(self, state: NumberingState) -> None:
        """Remember what a snapshot says."""
        self._grow(int(state.device.max(initial=-1)) + 1)
        self._highest[state.device] = state.highest
        self._boot[state.device] = state.boot
        self._newest_at[state.device] = state.newest_at
        self._missing = {device: list(ranges) for device, ranges in state.missing.items()}

    def state(self) -> NumberingState:
        """All that is remembered; a copy."""
        known = np.flatnonzero(self._highest != _NO_NUMBER).astype(np.int32)
        return NumberingState(
            known,
            self._highest[known],
            self._boot[known],
            self._newest_at[known],
            {device: list(ranges) for device, ranges in self._missing.items()},
        )

    def _follow_order(self, rows: _Rows) -> Indices:
        """Take in all rows of the devices whose rows here just count on; the other rows.

        ::

            device 7   known 4, boot 1 ─▶ 5, 6, 7     counts on: taken in together
            device 8   known 4, boot 1 ─▶ 5, 7        does not: both rows are left
        """
        order = grouped_rows(rows.device)
        device, number, boot = rows.device[order], rows.number[order], rows.boot[order]
        is_first = is_first_of_group(device)
        starts = np.flatnonzero(is_first)
        before = np.where(is_first, self._highest[device], preceding(number))
        before_boot = np.where(is_first, self._boot[device], preceding(boot))
        is_next = (number == before + 1) & (boot == before_boot)
        is_next |= is_first & (before == _NO_NUMBER)  # whatever it begins with
        is_calm = np.logical_and.reduceat(is_next, starts)
        ends = np.append(starts[1:], len(device))
        calm, last = device[starts[is_calm]], ends[is_calm] - 1
        newest_at = np.maximum.reduceat(rows.measured_at[order], starts)[is_calm]
        for row in starts[is_calm & (before[starts] == _NO_NUMBER)].tolist():
            if missing := _before_the_first(int(number[row])):
                self._missing[int(device[row])] = missing
        self._highest[calm], self._boot[calm] = number[last], boot[last]
        self._newest_at[calm] = np.maximum(self._newest_at[calm], newest_at)
        return np.sort(order[~np.repeat(is_calm, ends - starts)])

    def _follow_one(self, seen: Sighting, at: int) -> list[SequenceGapFrame]:
        known = self._load(seen.device)
        frames: list[SequenceGapFrame] = []
        if known is None:
            missing = _before_the_first(seen.number)
            known = Numbering(seen.number, seen.boot, seen.measured_at, missing)
        elif seen.number == known.highest + 1 and seen.boot == known.boot:
            known.highest = seen.number
            known.newest_at = max(known.newest_at, seen.measured_at)
        else:
            frames = _follow_disorder(known, seen, at)
        self._keep(seen.device, known)
        return frames

    def _load(self, device: int) -> Numbering | None:
        if device >= len(self._highest) or self._highest[device] == _NO_NUMBER:
            return None
        return Numbering(
            int(self._highest[device]),
            int(self._boot[device]),
            int(self._newest_at[device]),
            self._missing.get(device, []),
        )

    def _keep(self, device: int, known: Numbering) -> None:
        self._highest[device], self._boot[device] = known.highest, known.boot
        self._newest_at[device] = known.newest_at
        if known.missing:
            self._missing[device] = known.missing
        else:
            self._missing.pop(device, None)

    def _grow(self, size: int) -> None:
        more = size - len(self._highest)
        if more <= 0:
            return
        more = max(more, len(self._highest) // 2)
        self._highest = np.r_[self._highest, np.full(more, _NO_NUMBER)]
        self._boot = np.r_[self._boot, np.full(more, NOT_GIVEN)]
        self._newest_at = np.r_[self._newest_at, np.full(more, NO_TIME)]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Numbers as they came, as columns."""

    device: Int32s
    number: Int64s
    boot: Int64s
    measured_at: Int64s

    def sighting(self, row: int) -> Sighting:
        return Sighting(
            int(self.device[row]),
            int(self.number[row]),
            int(self.boot[row]),
            int(self.measured_at[row]),
        )


def _follow_disorder(known: Numbering, seen: Sighting, at: int) -> list[SequenceGapFrame]:
    has_time = seen.measured_at != NO_TIME
    is_newer = seen.measured_at > known.newest_at
    is_other_boot = NOT_GIVEN not in (seen.boot, known.boot) and seen.boot != known.boot
    if is_other_boot and has_time and not is_newer:
        return []  # a late message of an earlier boot: its numbers are not comparable
    begins_anew = is_newer or is_other_boot
    begins_anew |= not has_time and seen.number <= 1 and known.highest >= FAR
    if seen.boot != NOT_GIVEN:
        known.boot = seen.boot
    known.newest_at = max(known.newest_at, seen.measured_at)
    if seen.number > known.highest:
        return _advance(known, seen, at)
    if begins_anew and seen.number < known.highest:
        known.highest, known.missing = 0, []
        return _advance(known, seen, at)
    return _fill(known, seen, at)


def _advance(known: Numbering, seen: Sighting, at: int) -> list[SequenceGapFrame]:
    first, last = known.highest + 1, seen.number - 1
    known.highest = seen.number
    if first > last:
        return []
    known.missing = _remembered([*known.missing, (first, last)])
    return [SequenceGapFrame(seen.device, at, first, last, is_filled=False)]


def _fill(known: Numbering, seen: Sighting, at: int) -> list[SequenceGapFrame]:
    """Take a number out of the missing ranges; nothing if it was in none: a repetition.

    One from before the first makes a new first: what lies between the two is missing from now on.
    """
    number = seen.number
    for index, (first, last) in enumerate(known.missing):
        if first <= number <= last:
            is_before = first == _BEFORE
            rest = _before_the_first(number) if is_before else [(first, number - 1)]
            rest = [(a, b) for a, b in (*rest, (number + 1, last)) if a <= b]
            known.missing = _remembered(
                [*known.missing[:index], *rest, *known.missing[index + 1 :]]
            )
            if not is_before:
                return [SequenceGapFrame(seen.device, at, number, number, is_filled=True)]
            if number < last:
                return [SequenceGapFrame(seen.device, at, number + 1, last, is_filled=False)]
            return []
    return []


def _before_the_first(number: int) -> list[tuple[int, int]]:
    """What may have been lost before the first number that ever came: told, but not shown.

    A device may begin anywhere, and the broker may have lost what it began with.
    """
    return [(_BEFORE, number - 1)] if number > 1 else []


def _remembered(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    before = ranges[:1] if ranges and ranges[0][0] == _BEFORE else []
    return before + _at_most(MAX_RANGES, ranges[len(before) :])


def _at_most(count: int, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges, or so many that cover them: the newest as they are, the oldest in one."""
    over = len(ranges) - count
    if over <= 0:
        return ranges
    return [(ranges[0][0], ranges[over][1]), *ranges[over + 1 :]]


def _joined(frames: list[SequenceGapFrame]) -> list[SequenceGapFrame]:
    """One frame for adjacent fills of one device."""
    joined: list[SequenceGapFrame] = []
    for frame in frames:
        before = joined[-1] if joined else None
        if (
            before is not None
            and before.is_filled
            and frame.is_filled
            and before.device == frame.device
            and before.last + 1 == frame.first
        ):
            joined[-1] = SequenceGapFrame(
                frame.device, frame.at, before.first, frame.last, is_filled=True
            )
        else:
            joined.append(frame)
    return joined
