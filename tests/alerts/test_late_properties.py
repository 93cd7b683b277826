"""Properties of late readings: the order of arrival within the horizon makes no difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.engine import Engine
from devices.frames import BrokerFrame, Frame, Lane, ReadingsFrame, TickFrame
from devices.readings import Quality
from tests.alerts.book import Book
from tests.alerts.test_engine_properties import (
    QUALITIES,
    REGISTRY,
    RULES,
    SERIES,
    VALUES,
    through_a_file,
)
from tests.alerts.world import Row, frame

START = 10_000_000
TAIL_MS = 60_000
Measured = tuple[int, int, float, int]
"""(series, measured_at, value, quality)."""


@st.composite
def measurements(draw: st.DrawFn) -> list[Measured]:
    """Readings of some series, in event-time order, no two of a series at one time."""
    at = START
    found = []
    for _ in range(draw(st.integers(1, 14))):
        at += draw(st.sampled_from([1, 400, 1000, 2000, 2500, 3000, 7000]))
        for own in draw(st.lists(st.sampled_from(SERIES), min_size=1, max_size=2, unique=True)):
            value, quality = draw(st.sampled_from(VALUES)), draw(st.sampled_from(QUALITIES))
            found.append((own, at, value, int(quality)))
    return found


@st.composite
def arrivals(draw: st.DrawFn, measured: list[Measured]) -> list[Frame]:
    """The same readings in any order, some twice, in frames cut anywhere, with ticks between."""
    order = draw(st.permutations(measured))
    order += draw(st.lists(st.sampled_from(order), max_size=3))
    now = max(at for _, at, _, _ in measured)
    frames: list[Frame] = [BrokerFrame(START, "a", is_up=True), TickFrame(START)]
    while order:
        size = draw(st.integers(1, 4))
        part, order = order[:size], order[size:]
        frames.append(frame((s, at, now, value, quality) for s, at, value, quality in part))
        now += draw(st.sampled_from([0, 500, 1000, 4000]))
        if draw(st.booleans()):
            frames.append(TickFrame(now))
    return [*frames, *closing(measured, now)]


def in_order(measured: Sequence[Measured]) -> list[Frame]:
    """Each reading as it is measured."""
    frames: list[Frame] = [BrokerFrame(START, "a", is_up=True), TickFrame(START)]
    frames += [frame([(s, at, at, value, quality)]) for s, at, value, quality in measured]
    return [*frames, *closing(measured, max(at for _, at, _, _ in measured))]


def closing(measured: Sequence[Measured], now: int) -> list[Frame]:
    """Long after: all series are at normal, and everything that was held is settled."""
    last = START + 200_000
    rows: list[Row] = [(s, last, max(last, now), 0.0, 0) for s in SERIES]
    later: list[Row] = [(s, last + TAIL_MS, max(last, now) + TAIL_MS, 0.0, 0) for s in SERIES]
    return [TickFrame(last - 1), frame(rows), frame(later), TickFrame(max(last, now) + TAIL_MS)]


def played(frames: Sequence[Frame], restart_at: int = -1) -> Book:
    """What stands after a night, silence apart; the engine may be restarted in between."""
    engine, book = Engine(Lane.URGENT, RULES, REGISTRY), Book()
    for number, one in enumerate(frames):
        if number == restart_at:
            state = through_a_file(engine.state())
            engine = Engine(Lane.URGENT, RULES, REGISTRY)
            engine.restore(state)
        book.note(engine.run([one]), engine.take_peaks())
        book.agrees_with(engine)
    return book


def without_silence(book: Book) -> Book:
    book.standing = {i: t for i, t in book.standing.items() if t.rule_kind != "silence"}
    return book


@settings(max_examples=300)
@given(st.data())
def test_the_order_of_arrival_makes_no_difference(data: st.DataObject) -> None:
    """Any order, repetitions, cuts and ticks: the same transitions stand, the same alarms were."""
    measured = data.draw(measurements())
    expected = without_silence(played(in_order(measured)))
    frames = data.draw(arrivals(measured))
    found = without_silence(played(frames, data.draw(st.integers(-1, len(frames)))))
    assert found.said() == expected.said()
    assert found.matters() == expected.matters()


@settings(max_examples=100)
@given(st.data())
def test_of_two_values_of_one_time_the_last_stands(data: st.DataObject) -> None:
    """As if the others had never come."""
    measured = data.draw(measurements())
    changed = [
        (s, at, data.draw(st.sampled_from(VALUES)), q)
        if data.draw(st.booleans())
        else (s, at, v, q)
        for s, at, v, q in measured
    ]
    expected = without_silence(played(in_order(changed)))
    first = data.draw(arrivals(measured))[:-4]
    now = max(f.at for f in first if isinstance(f, TickFrame)) + 100_000
    again = [frame([(s, at, now, v, q)]) for s, at, v, q in data.draw(st.permutations(changed))]
    found = without_silence(played([*first, *again, *closing(changed, now)]))
    assert found.said() == expected.said()
    assert found.matters() == expected.matters()


@given(st.data())
def test_all_at_once_is_the_same_as_one_by_one(data: st.DataObject) -> None:
    """One call for the whole journal says what one call a frame says, in the same order."""
    frames = data.draw(arrivals(data.draw(measurements())))
    whole = Engine(Lane.URGENT, RULES, REGISTRY).run(frames)
    engine = Engine(Lane.URGENT, RULES, REGISTRY)
    assert [c for one in frames for c in engine.run([one])] == whole


@given(st.data())
def test_suspect_readings_alone_give_no_verified_alarm_in_whatever_order(
    data: st.DataObject,
) -> None:
    """With every reading suspect, nothing that stands is verified."""
    measured = [(s, at, v, q | int(Quality.SPIKE)) for s, at, v, q in data.draw(measurements())]
    frames = data.draw(arrivals(measured))
    for one in frames[:-4]:
        if isinstance(one, ReadingsFrame):
            assert (one.readings.quality & np.uint8(Quality.SPIKE)).all()
    book = without_silence(played(frames[:-4]))
    assert not [t for t in book.standing.values() if t.is_verified]
