"""Late readings of a stages or event rule: its place is gone again from the state before them.

What comes out is compared with what was told (``alerts.rerun``), and the difference is a
``Correction``. Refuses to know the vectorised way of readings in order (``alerts.stages``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerts.evaluator import Finding, Late, Past
from alerts.peaks import NOTHING
from alerts.place import Sample, normal_place, take
from alerts.places import Places
from alerts.rerun import Retold, Teller, episodes, go_again, retell
from alerts.trail import NO_FLOOR, Trace, Way
from alerts.transitions import Correction


@dataclass(frozen=True, slots=True)
class _Peak:
    """The highest value of an alarm, and whether all readings of it are kept: it is exact then."""

    slot: int
    alarm: str
    value: float
    is_exact: bool


def take_late(places: Places, late: Late, past: Past) -> Sequence[Finding] | None:
    """Run again from a late reading on; None where this rule cannot go back that far.

    Most late readings change nothing: the state before them is the state after them.
    """
    place = int(places.of_series[late.series])
    if place < 0:
        return ()
    way = places.trail.way(place)
    if late.sample.at <= max(way.floor, places.since):
        return None
    trace = way.before(late.sample.at)
    if not late.has_changed and _is_indifferent(places, place, trace, late.sample):
        if trace is not None and not late.sample.is_suspect:
            _raise_peak_of_then(places, place, trace, late.sample)
        return ()
    return run_again(places, place, late, past, is_late=True)


def run_again(
    places: Places, place: int, late: Late, past: Past, *, is_late: bool
) -> list[Finding]:
    """Go again from before the reading, and say what is otherwise.

    ``is_late`` is False where the reading is in order and only our clock was ahead of it.
    """
    way, series = places.trail.way(place), late.series
    start = _start_of(places, way, late.sample.at)
    now = places.table.load_place(place)
    gone = go_again(
        start.state,
        past.history.since(series, start.at + 1),
        places.thresholds_of(place),
        places.shape,
        past.history.remembered(series, start.at + 1),
        max(*now.settled_at, past.reached(series)),
    )
    old = [one for one in way.told if one.nominal > start.at]
    taken = {one.transition.alarm for one in way.told}
    teller = Teller(
        places.scribe, places.place(place), late.received_at, places.age_limit_ms, is_late
    )
    retold = retell(gone, old, start.open, now.shown, taken, teller)
    places.trail.cut(place, start.at)
    places.stand(place, gone.state, retold)
    places.remember(place, retold.traces, retold.told, past)
    peaks = _peaks_since(places, place, start.at, past)
    if not retold.is_different and not late.has_changed:
        for peak in peaks:
            places.raise_peak(peak.slot, peak.alarm, peak.value)
        return []
    lost = {w.transition.alarm for w in retold.withdrawn} | {a for a, _ in retold.heirs}
    exact: dict[str, float | None] = dict.fromkeys(lost - {peak.alarm for peak in peaks})
    exact |= {p.alarm: None if p.value == NOTHING else p.value for p in peaks if p.is_exact}
    _set_peaks(places, peaks, lost)
    if not retold.is_different and not exact:
        return []
    return [Finding(late.row, _correction(late, retold, exact))]


def _is_indifferent(places: Places, place: int, trace: Trace | None, sample: Sample) -> bool:
    """True if nothing would be otherwise with the sample, and no hold is running there."""
    before = normal_place(places.table.rungs) if trace is None else trace.state
    if places.is_held(before):
        return False
    state = before.copy()
    steps = take(state, sample, places.thresholds_of(place), places.shape, (np.nan, np.nan))
    return not steps and state == before


def _raise_peak_of_then(places: Places, place: int, trace: Trace, sample: Sample) -> None:
    alarm = trace.open[sample.is_drill]
    if alarm is not None:
        places.raise_peak(place + places.table.count * sample.is_drill, alarm, sample.value)


def _start_of(places: Places, way: Way, at: int) -> Trace:
    """Where to go again from for a reading at ``at``: no alarm is open there if we can help it.

    What lies between the newest trace and the reading changed nothing, and is passed over.
    """
    start = way.calm_before(at)
    is_newest = start is way.before(at)
    if start is None:
        floor = max(way.floor, places.since)
        start = Trace(floor, normal_place(places.table.rungs), (None, None))
    if is_newest and not places.is_held(start.state):
        return replace(start, at=at - 1)
    return start


def _peaks_since(places: Places, place: int, at: int, past: Past) -> list[_Peak]:
    """The peaks of the alarms that did not end before ``at``.

    None is exact whose alarm opened before the oldest reading that is kept.
    """
    way, series = places.trail.way(place), int(places.series[place])
    begun = (None, None) if way.floor == NO_FLOOR else way.traces[0].open
    samples = past.history.since(series, 0)
    kept_from = past.history.kept_from(series)
    found = []
    for one in episodes(way.told, begun):
        if one.end < at:
            continue
        highest = max(
            (
                s.value
                for s in samples
                if one.begin <= s.at < one.end
                and s.is_drill == one.is_exercise
                and not s.is_suspect
            ),
            default=NOTHING,
        )
        value = highest if one.opening_value is None else max(highest, one.opening_value)
        slot = place + places.table.count * one.is_exercise
        is_exact = one.since > max(way.floor, kept_from - 1)
        found.append(_Peak(slot, one.alarm, value, is_exact))
    return found


def _set_peaks(places: Places, peaks: Iterable[_Peak], lost: Iterable[str]) -> None:
    for alarm in lost:
        places.peaks.forget_ended(alarm)
    for peak in peaks:
        if not peak.is_exact:
            places.raise_peak(peak.slot, peak.alarm, peak.value)
            continue
        places.peaks.forget_ended(peak.alarm)
        if places.scribe.open.get(places.key(peak.slot)) == peak.alarm:
            places.peaks.put(peak.slot, peak.value)


def _correction(late: Late, retold: Retold, peaks: Mapping[str, float | None]) -> Correction:
    return Correction(
        late.received_at,
        tuple(retold.news),
        retold.to_tell,
        tuple(retold.withdrawn),
        peaks,
        retold.heirs,
    )
