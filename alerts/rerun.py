"""A place gone again from the state before a late reading, and what that changes.

Pure. The readings from there on are stepped anew by the code of ``alerts.place``; what comes out is
compared with what was told, and the difference is a ``Correction``. Refuses to know arrays, the
journal and SQL.

An alarm keeps its identity where its episode overlaps one of before::

    told         ────┌──A──┐───┌──B──────
    gone again   ──┌───A───┐───┌──B──────      the crossing was earlier
    gone again   ────┌───────B───────────      no clear in between: A was a part of B
    gone again   ────┌A┐─┌C┐───┌──B──────      and one more
    gone again   ──────────────┌──B──────      A is withdrawn

What is open keeps its name. Where an alarm becomes two, or two one, the other inherits its
acknowledgement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from alerts.ladder import LadderShape
from alerts.place import DRILL, REAL, PlaceState, Sample, Step, settle_until, take
from alerts.scribe import Place, Scribe, Shown, When, own_name
from alerts.trail import Told, Trace
from alerts.transitions import Transition, Withdrawal

_OPEN_END: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Gone:
    """What came of going again: the steps, the states on the way, and where it stands now.

    ``marks`` are (event time, state after, number of steps so far) of each reading that changed
    something.
    """

    steps: list[Step]
    marks: list[tuple[int, PlaceState, int]]
    state: PlaceState


def go_again(
    start: PlaceState,
    samples: Iterable[Sample],
    thresholds: Sequence[float],
    shape: LadderShape,
    remembered: Sequence[float],
    until: int,
) -> Gone:
    """Step with ``samples`` in order, then fulfil holds up to ``until``; ``start`` is kept.

    ``remembered`` are the last plausible values (real, drill) before the first sample.
    """
    state = start.copy()
    last = list(remembered)
    steps: list[Step] = []
    marks = []
    for sample in samples:
        before = state.copy()
        steps += take(state, sample, thresholds, shape, last)
        if state != before:
            marks.append((sample.at, state.copy(), len(steps)))
        if not sample.is_suspect:
            last[DRILL if sample.is_drill else REAL] = sample.value
    for which in (REAL, DRILL):
        steps += settle_until(state, which, until, last[which], shape)
    return Gone(steps, marks, state)


@dataclass(frozen=True, slots=True)
class Episode:
    """An alarm's time from its opening until its clear (exclusive).

    ``since`` and ``until`` are the event times of its transitions; readings from ``begin`` until
    before ``end`` were measured while it was open (the nominal times of both).
    """

    alarm: str
    is_exercise: bool
    since: int = -1
    until: int = _OPEN_END
    begin: int = -1
    end: int = _OPEN_END
    opening_value: float | None = None  # of a verified opening


@dataclass(frozen=True, slots=True)
class Retold:
    """What stands of a place from a moment on, and how it differs from what stood.

    ``news`` are the transitions of ``told`` that are new or stand otherwise than before,
    ``to_tell`` the ids of those that say what is newly so at present. ``heirs`` as in
    ``alerts.transitions.Correction``.
    """

    told: list[Told]
    traces: list[Trace]
    open: tuple[str | None, str | None]
    news: list[Transition]
    to_tell: frozenset[str]
    withdrawn: list[Withdrawal]
    heirs: tuple[tuple[str, str], ...]

    @property
    def is_different(self) -> bool:
        """True if anything that was told has changed."""
        return bool(self.news or self.withdrawn)


@dataclass(frozen=True, slots=True)
class Teller:
    """Who tells: the rule's scribe, the place, when we knew, and from which age nobody is told.

    ``is_late`` where a late reading is the reason, and not one that only the clock was ahead of.
    """

    scribe: Scribe
    place: Place
    received_at: int
    age_limit_ms: int
    is_late: bool


def retell(
    gone: Gone,
    old: Sequence[Told],
    open_before: tuple[str | None, str | None],
    shown_before: tuple[tuple[int, bool], tuple[int, bool]],
    taken: Iterable[str],
    teller: Teller,
) -> Retold:
    """Tell the steps of ``gone`` where ``old`` was told.

    ``open_before`` are the alarms open where it began (real, drill), ``shown_before`` what was
    shown at the end until now, ``taken`` all ids of alarms that another alarm must not get.
    """
    alarms = _alarms(gone.steps, old, open_before, set(taken), teller)
    is_news = [now != was for now, was in zip(gone.state.shown, shown_before, strict=True)]
    known = {_key(one.transition): one.transition for one in old}
    last_row = {step.is_drill: i for i, step in enumerate(gone.steps)}
    last_told = {one.transition.is_exercise: one.transition for one in old}
    told = []
    for i, step in enumerate(gone.steps):
        is_historic = True
        if i == last_row[step.is_drill] and is_news[step.is_drill]:
            is_historic = teller.received_at - step.at > teller.age_limit_ms
        elif i == last_row[step.is_drill] and step.is_drill in last_told:
            is_historic = last_told[step.is_drill].is_historic  # what is so was told before
        when = _when(step, teller, is_historic=is_historic)
        one = _write(step, when, alarms.by_step[i], teller)
        told.append(Told(step.nominal, _as_before(one, known.pop(_key(one), None))))
    before = {one.transition.id: one.transition for one in old}
    news = [one.transition for one in told if before.get(one.transition.id) != one.transition]
    return Retold(
        told,
        _traces(gone, alarms.by_step, open_before),
        alarms.open,
        news,
        frozenset(
            one.id
            for one in news
            if one.id not in before and is_news[one.is_exercise] and not one.is_historic
        ),
        _withdrawals(known.values(), old, is_news, gone.state, teller.scribe),
        alarms.heirs,
    )


def episodes(told: Iterable[Told], open_before: tuple[str | None, str | None]) -> list[Episode]:
    """The episodes of what was told, in order; one that was open before begins at -1."""
    found: list[Episode] = []
    running: dict[bool, Episode] = {
        bool(which): Episode(alarm, bool(which))
        for which, alarm in enumerate(open_before)
        if alarm is not None
    }
    for at, one in ((t.nominal, t.transition) for t in told):
        if one.is_opening:
            value = one.value if one.is_verified else None
            running[one.is_exercise] = Episode(
                one.alarm, one.is_exercise, one.measured_at, begin=at, opening_value=value
            )
        elif one.is_clearing and one.is_exercise in running:
            ended = replace(running.pop(one.is_exercise), until=one.measured_at, end=at)
            found.append(ended)
    return sorted([*found, *running.values()], key=lambda episode: episode.since)


@dataclass(frozen=True, slots=True)
class _Alarms:
    by_step: list[str]
    open: tuple[str | None, str | None]
    heirs: tuple[tuple[str, str], ...]


def _alarms(
    steps: Sequence[Step],
    old: Sequence[Told],
    open_before: tuple[str | None, str | None],
    taken: set[str],
    teller: Teller,
) -> _Alarms:
    by_step = [""] * len(steps)
    open_now: list[str | None] = [None, None]
    heirs: list[tuple[str, str]] = []
    stood = episodes(old, open_before)
    stood_names = {episode.alarm for episode in stood}
    taken |= stood_names
    for which in (REAL, DRILL):
        before = [e for e in stood if e.is_exercise == bool(which)]
        runs = _runs(steps, which, has_begun=open_before[which] is not None)
        names = _names(runs, steps, before, open_before[which], taken, teller)
        for (since, until, rows), name in zip(runs, names, strict=True):
            for i in rows:
                by_step[i] = name
            if until == _OPEN_END:
                open_now[which] = name
            heirs += [
                (e.alarm, name)
                for e in before
                if (e.alarm not in names or name not in stood_names)
                and e.since < until
                and since < e.until
            ]
    return _Alarms(by_step, (open_now[REAL], open_now[DRILL]), tuple(heirs))


_Run = tuple[int, int, list[int]]  # since, until (exclusive), rows of its steps


def _runs(steps: Sequence[Step], which: int, *, has_begun: bool) -> list[_Run]:
    runs: list[_Run] = [(-1, _OPEN_END, [])] if has_begun else []
    for i, step in enumerate(steps):
        if step.is_drill != bool(which):
            continue
        if step.before[0] == 0:
            runs.append((step.at, _OPEN_END, []))
        since, _, rows = runs[-1]
        runs[-1] = (since, step.at if step.after[0] == 0 else _OPEN_END, [*rows, i])
    return runs


def _names(
    runs: Sequence[_Run],
    steps: Sequence[Step],
    before: Sequence[Episode],
    first: str | None,
    taken: set[str],
    teller: Teller,
) -> list[str]:
    """The alarm of each run: what was open where it began; else, the newest first, the newest of
    before that it overlaps and that has no other run; else one of its own."""
    names: dict[int, str] = {} if first is None else {0: first}
    free = [e for e in before if e.alarm != first]
    for k in reversed(range(len(names), len(runs))):
        since, until, rows = runs[k]
        same = [e for e in free if e.since < until and since < e.until]
        if same:
            names[k] = same[-1].alarm
            free.remove(same[-1])
        else:
            opening = steps[rows[0]]
            wanted = _write(opening, _when(opening, teller), "", teller).id
            names[k] = own_name(wanted, taken)
            taken.add(names[k])
    return [names[k] for k in range(len(runs))]


def _write(step: Step, when: When, alarm: str, teller: Teller) -> Transition:
    value = None if np.isnan(step.value) else step.value
    before, after = Shown(*step.before), Shown(*step.after)
    return teller.scribe.write(teller.place, before, after, value, when, alarm)


def _when(step: Step, teller: Teller, *, is_historic: bool = True) -> When:
    return When(
        step.at,
        teller.received_at,
        is_historic=is_historic,
        is_exercise=step.is_drill,
        is_correction=teller.is_late,
    )


def _key(one: Transition) -> tuple[int, str, bool, bool]:
    """What makes two transitions of a place the same, whatever the version of the rules."""
    return one.measured_at, one.to_stage, one.is_verified, one.is_exercise


def _as_before(one: Transition, known: Transition | None) -> Transition:
    """The one that is known, as it is to stand now."""
    if known is None:
        return one
    return replace(
        known,
        alarm=one.alarm,
        from_level=one.from_level,
        from_stage=one.from_stage,
        value=one.value,
    )


def _withdrawals(
    gone: Iterable[Transition],
    old: Sequence[Told],
    is_news: Sequence[bool],
    state: PlaceState,
    scribe: Scribe,
) -> list[Withdrawal]:
    found = []
    last = {one.transition.is_exercise: one.transition for one in old}
    for one in gone:
        stage, level = scribe.named(state.shown[one.is_exercise][0])
        is_told = is_news[one.is_exercise] and one is last[one.is_exercise]
        found.append(Withdrawal(one, is_told, stage, level))
    return found


def _traces(
    gone: Gone, by_step: Sequence[str], open_before: tuple[str | None, str | None]
) -> list[Trace]:
    traces = []
    open_now = list(open_before)
    done = 0
    for at, state, count in gone.marks:
        for step, alarm in zip(gone.steps[done:count], by_step[done:count], strict=True):
            open_now[step.is_drill] = alarm if step.after[0] else None
        done = count
        traces.append(Trace(at, state, (open_now[REAL], open_now[DRILL])))
    return traces
