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

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from devices.frames import SequenceGapFrame
from devices.payload import NO_TIME, NOT_GIVEN

MAX_RANGES: Final = 64
"""Open ranges remembered for a device; of more the oldest are given up (and stay shown as lost)."""
MAX_TOLD: Final = 16
"""Ranges named in one acknowledgement."""

FAR: Final = 64
"""More numbers than a device has unacknowledged: no repetition reaches so far back."""


class Sighting(NamedTuple):
    """A number as it came; ``measured_at`` may be NO_TIME, ``boot`` NOT_GIVEN."""

    device: int
    number: int
    boot: int
    measured_at: int


class Numbering(msgspec.Struct):
    """How far one device has counted; ``missing`` are inclusive ranges, ascending."""

    highest: int
    boot: int = NOT_GIVEN
    newest_at: int = NO_TIME
    missing: list[tuple[int, int]] = msgspec.field(default_factory=list)


class Acknowledgement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device is told: all up to ``n`` is kept, except ``missing`` (at most MAX_TOLD).

    ``boot`` is there if the device sent one, ``d`` names the device when a gateway is told.
    """

    n: int
    missing: tuple[tuple[int, int], ...]
    boot: int | None = None
    d: str | None = None


class SequenceTracker:
    """Numbers of all devices that send any."""

    def __init__(self) -> None:
        self._numberings: dict[int, Numbering] = {}

    def follow(
        self,
        devices: Sequence[int],
        numbers: Sequence[int],
        boots: Sequence[int],
        measured_at: Sequence[int],
        at: int,
    ) -> list[SequenceGapFrame]:
        """Take numbers in the order in which they came; return gaps that opened or closed.

        One entry a numbered sample; ``boots`` may be NOT_GIVEN; ``measured_at`` is the device's own
        time of what is numbered, or NO_TIME; ``at`` is now. Adjacent numbers that fill a gap make
        one frame.
        """
        frames: list[SequenceGapFrame] = []
        numberings = self._numberings
        rows = zip(devices, numbers, boots, measured_at, strict=True)
        for device, number, boot, measured in rows:
            known = numberings.get(device)
            if known is None:
                numberings[device] = Numbering(number, boot, measured)
            elif number == known.highest + 1 and boot == known.boot:
                known.highest = number
                if measured > known.newest_at:
                    known.newest_at = measured
            else:
                frames += _follow_disorder(known, Sighting(device, number, boot, measured), at)
        return _joined(frames)

    def acknowledgement(self, device: int, name: str | None = None) -> Acknowledgement | None:
        """What the device is to be told; None if it never sent a number."""
        known = self._numberings.get(device)
        if known is None:
            return None
        boot = None if known.boot == NOT_GIVEN else known.boot
        return Acknowledgement(known.highest, tuple(known.missing[:MAX_TOLD]), boot, name)

    def restore(self, numberings: Iterable[tuple[int, Numbering]]) -> None:
        """Remember what a snapshot says."""
        self._numberings = dict(numberings)

    def state(self) -> list[tuple[int, Numbering]]:
        """All that is remembered; a copy."""
        return [
            (device, Numbering(k.highest, k.boot, k.newest_at, list(k.missing)))
            for device, k in self._numberings.items()
        ]


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
    if _fill(known, seen.number):
        return [SequenceGapFrame(seen.device, at, seen.number, seen.number, is_filled=True)]
    return []


def _advance(known: Numbering, seen: Sighting, at: int) -> list[SequenceGapFrame]:
    first, last = known.highest + 1, seen.number - 1
    known.highest = seen.number
    if first > last:
        return []
    known.missing = [*known.missing, (first, last)][-MAX_RANGES:]
    return [SequenceGapFrame(seen.device, at, first, last, is_filled=False)]


def _fill(known: Numbering, number: int) -> bool:
    """Take a number out of the missing ranges; False if it was in none."""
    for index, (first, last) in enumerate(known.missing):
        if first <= number <= last:
            rest = [(first, number - 1), (number + 1, last)]
            known.missing[index : index + 1] = [(a, b) for a, b in rest if a <= b]
            known.missing = known.missing[-MAX_RANGES:]
            return True
    return False


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
