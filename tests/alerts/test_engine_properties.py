"""Properties of the engine over arbitrary nights: how the journal is cut, repeated or restarted
must make no difference."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.engine import Engine
from alerts.ladder import LadderShape, Standing, settle, step_plausible
from alerts.rules import load_rules
from alerts.transitions import Change, transitions_of
from devices.frames import BrokerFrame, Frame, Lane, ReadingsFrame, TickFrame
from devices.readings import Quality
from tests.alerts.book import Book
from tests.alerts.world import device, frame, registry, series

RULES = load_rules("""
[[rules]]
name = "at-once"
kind = "stages"
quantity = "water.level"
hysteresis = 0.5
stages = [{ name = "caution", level = 2 }, { name = "danger", level = 4 }]
[[rules]]
name = "held"
kind = "stages"
quantity = "water.level"
hold_up_ms = 3000
hold_down_ms = 2000
stages = [{ name = "caution", level = 2 }, { name = "danger", level = 4 }]
[[rules]]
name = "trap"
kind = "event"
quantity = "trap.triggered"
[[rules]]
name = "silence"
kind = "silence"
""")

GAUGES = [
    device(n, thresholds={"caution": 3.0, "danger": 4.0}, silence_after_s=7.5) for n in (1, 2)
]
TRAP = device(3, "trap", silence_after_s=11.0)
REGISTRY = registry([*GAUGES, TRAP])
SERIES = [series(g, "water.level") for g in GAUGES] + [series(TRAP, "trap.triggered")]
VALUES = [0.0, 1.0, 2.5, 2.9, 3.0, 3.4, 3.6, 4.0, 4.5, 9.0]
QUALITIES = [Quality.GOOD] * 6 + [Quality.SPIKE, Quality.EXERCISE, Quality.EXERCISE | Quality.SPIKE]

_reading = st.tuples(
    st.sampled_from(SERIES),
    st.sampled_from([0, 0, 0, 400, 3_000, 5_000_000]),  # how late it was sent, ms
    st.sampled_from(VALUES),
    st.sampled_from(QUALITIES),
)
_happening = st.one_of(
    st.lists(_reading, min_size=1, max_size=8),
    st.sampled_from(["tick", "tick", "tick", "pause", "lost", "back"]),
)


@st.composite
def nights(draw: st.DrawFn) -> list[Frame]:
    """A journal: readings in any order, ticks with gaps, a broker that comes and goes."""
    now = 10_000_000
    frames: list[Frame] = [BrokerFrame(now, "a", is_up=True), TickFrame(now)]
    for happening in draw(st.lists(_happening, max_size=40)):
        now += draw(st.sampled_from([0, 250, 1000]))
        if isinstance(happening, list):
            rows = [(s, now - late, now, v, int(q)) for s, late, v, q in happening]
            frames.append(frame(rows))
        elif happening == "tick":
            frames.append(TickFrame(now))
        elif happening == "pause":
            now += 9_000
        else:
            frames.append(BrokerFrame(now, "a", is_up=happening == "back"))
    return frames


def _engine() -> Engine:
    return Engine(Lane.URGENT, RULES, REGISTRY)


def _told(frames: Sequence[Frame]) -> list[Change]:
    return _engine().run(frames)


def one_by_one(frames: Sequence[Frame]) -> list[Frame]:
    """Every reading in a frame of its own."""
    cut: list[Frame] = []
    for one in frames:
        if isinstance(one, ReadingsFrame):
            readings = one.readings
            cut += [
                ReadingsFrame(readings.take(slice(i, i + 1)), one.receipts)
                for i in range(len(readings))
            ]
        else:
            cut.append(one)
    return cut


def one_value_a_time(frames: Sequence[Frame]) -> list[Frame]:
    """The same without readings that give a series another value at a time it had before."""
    met: set[tuple[int, int]] = set()
    kept: list[Frame] = []
    for one in frames:
        if isinstance(one, ReadingsFrame):
            r = one.readings
            keys = list(zip(r.series.tolist(), r.measured_at.tolist(), strict=True))
            rows = [i for i, key in enumerate(keys) if key not in met and key not in keys[:i]]
            met.update(keys)
            kept.append(ReadingsFrame(r.take(np.array(rows, np.intp)), one.receipts))
        else:
            kept.append(one)
    return kept


@given(nights())
def test_how_the_journal_is_cut_into_frames_and_calls_makes_no_difference(
    frames: list[Frame],
) -> None:
    """One call for all, one for each frame, one for each reading: the same, in the same order."""
    whole = _told(frames)
    engine = _engine()
    assert [t for f in frames for t in engine.run([f])] == whole
    engine = _engine()
    assert [t for f in one_by_one(frames) for t in engine.run([f])] == whole


@given(nights(), st.randoms(use_true_random=False))
def test_a_repeated_reading_changes_nothing(frames: list[Frame], random: Any) -> None:
    """Any frame of readings that comes again at once, or after the next one, changes nothing."""
    frames = one_value_a_time(frames)
    repeated: list[Frame] = []
    for one in frames:
        repeated.append(one)
        seen = [f for f in repeated[-3:] if isinstance(f, ReadingsFrame)]
        if seen and isinstance(one, ReadingsFrame):
            repeated.append(random.choice(seen))
    assert _told(repeated) == _told(frames)


@given(nights(), st.integers(0, 60))
def test_a_restart_from_a_snapshot_makes_no_difference(frames: list[Frame], at: int) -> None:
    """Cut the night anywhere, save and restore the state: the same transitions follow."""
    first = _engine()
    before = first.run(frames[:at])
    second = _engine()
    second.restore(through_a_file(first.state()))
    assert before + second.run(frames[at:]) == _told(frames)


@given(nights())
def test_each_alarm_opens_once_rises_in_time_and_ends_once(frames: list[Frame]) -> None:
    """Whatever late readings change: chains join, and the engine knows what is open."""
    engine, book = _engine(), Book()
    for one in frames:
        book.note(engine.run([one]))
        book.agrees_with(engine)


@given(nights())
def test_suspect_readings_alone_never_give_a_verified_alarm(frames: list[Frame]) -> None:
    """With every reading suspect, whatever opens is unverified (silence has no reading)."""
    for one in frames:
        if isinstance(one, ReadingsFrame):
            one.readings.quality[:] |= np.uint8(Quality.SPIKE)
    told = transitions_of(_told(frames))
    assert not [t for t in told if t.is_verified and t.rule_kind != "silence"]


@given(nights())
def test_drill_readings_alone_never_give_a_real_alarm(frames: list[Frame]) -> None:
    """With every reading of a drill, whatever opens is a drill (silence has no reading)."""
    for one in frames:
        if isinstance(one, ReadingsFrame):
            one.readings.quality[:] |= np.uint8(Quality.EXERCISE)
    told = transitions_of(_told(frames))
    assert all(t.is_exercise for t in told if t.rule_kind != "silence")


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(VALUES)), max_size=30),
    st.lists(st.integers(0, 60_000), max_size=30),
)
def test_holds_fire_at_the_same_times_however_often_one_looks(
    steps: list[tuple[int, float]], looks: list[int]
) -> None:
    """Settling in between (a tick) changes neither what is confirmed nor when."""
    shape = LadderShape(hysteresis=0.5, hold_up_ms=3000, hold_down_ms=2000)

    def play(moments: list[int]) -> list[tuple[int, int]]:
        standing = Standing(0, 0, [0, 0], 0, 0, 0, 0.0)
        fired: list[tuple[int, int]] = []
        at = 0
        waiting = sorted(moments)
        for gap, value in steps:
            at += gap
            while waiting and waiting[0] <= at:
                look = waiting.pop(0)
                fired += [(due, standing.confirmed) for due in settle(standing, shape, look)]
            fired += [(due, standing.confirmed) for due in settle(standing, shape, at)]
            step_plausible(standing, [3.0, 4.0], shape, value, at)
        return fired

    assert play(looks) == play([])


def through_a_file(arrays: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return dict(loaded)
