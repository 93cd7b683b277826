"""What the heights of a station are measured from, and since when: never one value for ever.

A staff is set anew after a flood, a bridge sinks, a sensor is mounted on another pole: a datum
holds from its moment on, and what was computed with the one before stays as it was stored.

    datum 1  |———————————)
    datum 2              |———————————…
             since       since

Refuses to know tables (`devices.datum_history`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_HIGHEST_M: Final = 4_000.0  # above Mount Fuji, and below the deepest quay
_LARGEST_MOUNTING_M: Final = 200.0


@dataclass(frozen=True, slots=True)
class Datum:
    """From ``since`` (ms UTC, inclusive) until the next one's.

    ``gauge_zero_m``: elevation of the staff's zero, T.P. (Tokyo Peil) m. ``mounting_height_m``: the
    sensor above that zero, or above the road or the field where there is no staff. None: unknown.
    """

    since: int
    gauge_zero_m: float | None
    mounting_height_m: float | None


class DatumError(ValueError):
    """A datum that cannot be; the person is shown the message, nothing was written."""


def at(datums: Iterable[Datum], moment: int) -> Datum | None:
    """The one that held at a moment, of datums oldest first; None before the first."""
    found = None
    for datum in datums:
        if datum.since > moment:
            break
        found = datum
    return found


def elevation_m(level_m: float, datum: Datum | None) -> float | None:
    """Elevation (T.P. m) of water that stands ``level_m`` above the zero of the staff.

    None where that zero's elevation is not known.
    """
    if datum is None or datum.gauge_zero_m is None:
        return None
    return datum.gauge_zero_m + level_m


def merged(datums: Iterable[Datum], new: Datum) -> tuple[Datum, ...]:
    """With one more, oldest first; one of the same moment gives way to it."""
    by_since = {datum.since: datum for datum in datums} | {new.since: new}
    return tuple(by_since[since] for since in sorted(by_since))


def faults(
    gauge_zero_m: float | None, mounting_height_m: float | None
) -> Iterator[tuple[str, float, str]]:
    """What is wrong with heights: the name, the value, the reason."""
    for name, value, limit in (
        ("gauge_zero_m", gauge_zero_m, _HIGHEST_M),
        ("mounting_height_m", mounting_height_m, _LARGEST_MOUNTING_M),
    ):
        if value is not None and not abs(value) <= limit:  # NaN, too
            yield name, value, f"metres from -{limit:g} to {limit:g} expected"
