"""What a rule remembers of the way to where its places stand, so that it can be gone again.

For each place that ever left normal: its states, one after each reading that changed something,
and the transitions that were told of it. Readings that changed nothing leave no trace, so the
state before any moment is the newest one before it. Refuses to know ladders and readings.

::

    readings   ·  ·  x  ·  ·  x  ·  ·  x       x: changed something
    states           1        2        3
    before here                  ^ holds 2

What is older than the readings that are kept is forgotten, but for the newest such state, from
which the way begins then; so is what a fluttering place has too much. ``floor`` is the time of that
state: nothing at or before it can be run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays, OtherLayout
from alerts.ladder import Standing
from alerts.place import PlaceState
from alerts.scribe import Scribe
from alerts.transitions import NORMAL, Transition

MAX_STATES: Final = 50_000
"""States of all places of a rule, about 20 MB; at more, each place forgets the older half."""

MAX_STATES_A_PLACE: Final = 32
"""A place that changes more often than this within its horizon flutters: it keeps the newest."""

NO_FLOOR: Final = -1


@dataclass(frozen=True, slots=True)
class Told:
    """A transition that stands, and when what it tells of happened (int ms UTC)."""

    nominal: int
    transition: Transition


@dataclass(frozen=True, slots=True)
class Trace:
    """The state after the reading at ``at``, never changed; which alarms (real, drill) are open."""

    at: int
    state: PlaceState
    open: tuple[str | None, str | None]


@dataclass(slots=True)
class Way:
    """The way of one place, in event-time order."""

    floor: int = NO_FLOOR
    traces: list[Trace] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    packed: tuple[NDArray[Any], NDArray[Any]] | None = None  # as last saved, while it is so

    def before(self, at: int) -> Trace | None:
        """The newest trace before ``at``; None if all was normal."""
        for trace in reversed(self.traces):
            if trace.at < at:
                return trace
        return None

    def calm_before(self, at: int) -> Trace | None:
        """The newest trace before ``at`` with no alarm open, or else the oldest that is kept."""
        for trace in reversed(self.traces):
            if trace.at < at and trace.open == (None, None):
                return trace
        return None if self.floor == NO_FLOOR else self.traces[0]

    def cut(self, after: int) -> None:
        """Forget what came after ``after`` (exclusive): it is gone again."""
        self.packed = None
        while self.traces and self.traces[-1].at > after:
            self.traces.pop()
        self.told = [one for one in self.told if one.nominal <= after]

    def forget(self, first: int) -> None:
        """Begin with the trace of this number."""
        if first > 0:
            self.packed = None
            self.traces = self.traces[first:]
            self.floor = self.traces[0].at
            self.told = [one for one in self.told if one.nominal > self.floor]


class Trail:
    """The ways of all places of a rule, by place."""

    def __init__(self) -> None:
        self.ways: dict[int, Way] = {}
        self._states = 0
        self._limit = MAX_STATES

    def way(self, place: int) -> Way:
        """The way of a place, to be read."""
        return self.ways.get(place) or Way()

    def add(
        self, place: int, traces: Iterable[Trace], told: Iterable[Told], kept_from: int
    ) -> None:
        """Go on from where the place is; readings before ``kept_from`` are not kept any more."""
        way = self.ways.setdefault(place, Way())
        way.packed = None
        for trace in traces:
            if trace.at <= way.floor:  # behind a line that was drawn: it is the line that moves on
                way.traces[:1] = [Trace(way.floor, trace.state, trace.open)]
                continue
            way.traces.append(trace)
            self._states += 1
        way.told += [one for one in told if one.nominal > way.floor]
        old = sum(trace.at < kept_from for trace in way.traces) - 1  # the newest of them is kept
        gone = max(0, old, len(way.traces) - MAX_STATES_A_PLACE)
        way.forget(gone)
        self._states -= gone
        if self._states > self._limit:
            self._forget_half()

    def cut(self, place: int, after: int) -> None:
        """Forget what came after ``after`` (exclusive) at a place: it is gone again."""
        if place in self.ways:
            way = self.ways[place]
            self._states -= len(way.traces)
            way.cut(after)
            self._states += len(way.traces)

    def draw_line(self, place: int, trace: Trace) -> None:
        """What came until the trace is not run again: we do not know it, or not by which rule."""
        self.take_over(place, Way(trace.at, [trace], []))

    def take_over(self, place: int, way: Way) -> None:
        """Let this be the way of a place."""
        way.packed = None  # the place has another number
        self._states += len(way.traces) - len(self.way(place).traces)
        self.ways[place] = way

    def states(self) -> int:
        """How many states are kept."""
        return sum(len(way.traces) for way in self.ways.values())

    def _forget_half(self) -> None:
        for way in self.ways.values():
            way.forget(len(way.traces) // 2)
        self._states = self.states()
        self._limit = max(MAX_STATES, 2 * self._states)  # a place keeps one at least

    # ── snapshot ────────────────────────────────────────────────────────────────────────────

    def state(self, rungs: int, scribe: Scribe) -> Arrays:
        """All state as named arrays."""
        floors = np.array([(p, w.floor) for p, w in self.ways.items()], np.int64)
        none = np.zeros(0, _trace_type(rungs)), np.zeros(0, _TOLD)
        packed = [none, *(_packed(p, w, rungs, scribe) for p, w in self.ways.items())]
        return {
            "floors": floors.reshape(len(self.ways), 2),
            "traces": np.concatenate([traces for traces, _ in packed]),
            "told": np.concatenate([told for _, told in packed]),
        }

    @classmethod
    def restored(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        rungs: int,
        places: Sequence[tuple[int, int]],
        scribe: Scribe,
    ) -> Trail:
        """A trail as ``state`` said; ``places`` are the (device, series) of the rule's places.

        Raises OtherLayout where the arrays do not fit.
        """
        if arrays["traces"].dtype != _trace_type(rungs) or arrays["told"].dtype != _TOLD:
            raise OtherLayout("trail/traces or told has other fields")
        if arrays["floors"].shape[1:] != (2,):
            raise OtherLayout(f"trail/floors is {arrays['floors'].shape}")
        trail = cls()
        for place, floor in arrays["floors"].tolist():
            if not 0 <= place < len(places):
                raise OtherLayout(f"trail/floors names a place {place} that is not there")
            trail.ways[place] = Way(floor)
        for row in arrays["traces"].tolist():
            trail._way(row[0]).traces.append(_trace(row))
        for row in arrays["told"].tolist():
            trail._way(row[0]).told.append(_told(row, places[row[0]], scribe))
        trail._states = trail.states()
        return trail

    def _way(self, place: int) -> Way:
        if place not in self.ways:
            raise OtherLayout(f"trail: no floor of place {place}")
        return self.ways[place]


def _packed(place: int, way: Way, rungs: int, scribe: Scribe) -> tuple[NDArray[Any], NDArray[Any]]:
    """The traces and the told of a way as arrays: of most places they are as they were last."""
    if way.packed is None:
        way.packed = (
            np.array([_trace_row(place, one) for one in way.traces], _trace_type(rungs)),
            np.array([_told_row(place, one, scribe) for one in way.told], _TOLD),
        )
    return way.packed


def _trace_type(rungs: int) -> np.dtype[Any]:
    pair = [("changed_at", "i8"), ("settled_at", "i8"), ("raw", "i1"), ("confirmed", "i1"),
            ("since", "i8", (rungs,)), ("doubt_raw", "i1"), ("doubt", "i1"), ("doubt_since", "i8"),
            ("doubt_value", "f8"), ("open", "S32")]  # fmt: skip
    return np.dtype([("place", "i4"), ("at", "i8"), ("real", pair), ("drill", pair)])


def _trace_row(place: int, trace: Trace) -> tuple[Any, ...]:
    s = trace.state
    sides = [
        (s.changed_at[i], s.settled_at[i], one.raw, one.confirmed, tuple(one.since),
         one.doubt_raw, one.doubt, one.doubt_since, one.doubt_value,
         (trace.open[i] or "").encode())
        for i, one in enumerate(s.standings)
    ]  # fmt: skip
    return (place, trace.at, *sides)


def _trace(row: tuple[Any, ...]) -> Trace:
    sides = row[2:]
    standings = [
        Standing(side[2], side[3], [int(x) for x in side[4]], *side[5:9]) for side in sides
    ]
    state = PlaceState(standings, [side[0] for side in sides], [side[1] for side in sides])
    real, drill = (side[9].decode() or None for side in sides)
    return Trace(row[1], state, (real, drill))


_TOLD: Final = np.dtype(
    [("place", "i4"), ("nominal", "i8"), ("id", "S32"), ("alarm", "S32"), ("version", "S64"),
     ("measured_at", "i8"), ("received_at", "i8"), ("from", "i1"), ("to", "i1"), ("value", "f8"),
     ("flags", "u1")]
)  # fmt: skip
_FLAGS: Final = ("is_verified", "is_historic", "is_exercise", "is_correction")


def _told_row(place: int, told: Told, scribe: Scribe) -> tuple[Any, ...]:
    one = told.transition
    return (
        place, told.nominal, one.id.encode(), one.alarm.encode(), one.rule_version.encode(),
        one.measured_at, one.received_at, _number(one.from_stage, scribe),
        _number(one.to_stage, scribe), np.nan if one.value is None else one.value,
        sum(getattr(one, name) << bit for bit, name in enumerate(_FLAGS)),
    )  # fmt: skip


def _told(row: tuple[Any, ...], place: tuple[int, int], scribe: Scribe) -> Told:
    _, nominal, this, alarm, version, measured_at, received_at, before, after, value, flags = row
    (from_stage, from_level), (to_stage, to_level) = (_named(n, scribe) for n in (before, after))
    return Told(
        nominal,
        Transition(
            id=this.decode(),
            alarm=alarm.decode(),
            rule=scribe.rule,
            rule_kind=scribe.rule_kind,
            rule_version=version.decode(),
            device=place[0],
            series=place[1],
            measured_at=measured_at,
            received_at=received_at,
            from_level=from_level,
            to_level=to_level,
            from_stage=from_stage,
            to_stage=to_stage,
            value=None if np.isnan(value) else value,
            **{name: bool(flags >> bit & 1) for bit, name in enumerate(_FLAGS)},
        ),
    )


def _number(stage: str, scribe: Scribe) -> int:
    return 0 if stage == NORMAL else scribe.stage_named(stage) or 0


def _named(number: int, scribe: Scribe) -> tuple[str, int]:
    if not 0 <= number <= len(scribe.stages):
        raise OtherLayout(f"trail/told names stage {number}")
    return scribe.named(number)
