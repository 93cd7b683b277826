"""A lane's state: any bytes become frames, and the journal alone brings the state back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.frames import (
    Entry,
    Frame,
    Lane,
    Position,
    ReadingsFrame,
    RejectedFrame,
    SequenceGapFrame,
    SeriesFrame,
    StatusFrame,
)
from devices.quantities import QUANTITIES
from devices.registry import Registry, RegistrySnapshot
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.lane import LaneState
from ingest.lane_snapshot import FILE_NAME, encode_snapshot, restore, save
from ingest.messages import Arrival, Tally
from tests.ingest.field import NOW, of, open_town, payload, up


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    database = open_town(tmp_path_factory.mktemp("town"))
    yield Registry(database)
    database.dispose()


@pytest.fixture(scope="module")
def snapshot(registry: Registry) -> RegistrySnapshot:
    return registry.snapshot()


def arrival(
    messages: Sequence[tuple[str, bytes]], *, first_id: int = 1, redelivered: Sequence[int] = ()
) -> Arrival:
    return Arrival(
        "c",
        [topic.encode() for topic, _ in messages],
        [body for _, body in messages],
        np.arange(first_id, first_id + len(messages), dtype=np.uint16),
        redelivered,
        np.full(len(messages), NOW, np.int64),
    )


def take_in(state: LaneState, messages: Sequence[tuple[str, bytes]], **more: Any) -> list[Frame]:
    return state.take_in(arrival(messages, **more), Tally())


names = st.sampled_from(["gauge-1", "gauge-2", "meter-1", "trap-1", "gate-way", "nobody", "ü", ""])
topics = st.one_of(
    st.builds(
        "field/v1/{}/{}/{}".format,
        st.sampled_from(["river-gauge", "water-meter", "gateway", "trap", "no-kind", ""]),
        names,
        st.sampled_from(["up", "status", "up/urgent", "up/later", "down", ""]),
    ),
    st.text(max_size=20),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(NOW)
)
elements = st.dictionaries(
    st.sampled_from(["t", "n", "v", "d", "boot", "x"]),
    st.one_of(
        scalars,
        names,
        st.dictionaries(st.sampled_from([*list(QUANTITIES)[:4], "no.such"]), scalars, max_size=3),
    ),
)
bodies = st.one_of(
    st.binary(max_size=60),
    st.one_of(elements, st.lists(elements, max_size=3), scalars).map(json.dumps).map(str.encode),
)  # fmt: skip


@pytest.mark.parametrize("kept", range(4))
def test_a_gap_is_shown_even_if_the_death_tore_its_batch(
    registry: Registry, snapshot: RegistrySnapshot, kept: int
) -> None:
    """Killed in the middle of the write, the first ``kept`` frames stand; the rest comes again."""
    messages = [(up("gauge-1"), payload(1.0, NOW + n, n)) for n in (1, 5)]
    state = LaneState(snapshot, registry.add_series)
    journaled = take_in(state, messages)[:kept]
    after = LaneState(snapshot, registry.add_series)
    for frame in journaled:
        after.absorb(frame)
    journaled += take_in(after, messages, redelivered=(0, 1))
    gaps = of(journaled, SequenceGapFrame)
    assert {(gap.first, gap.last) for gap in gaps} == {(2, 4)}
    values = [v for frame in of(journaled, ReadingsFrame) for v in frame.readings.value.tolist()]
    assert values == [1.0, 1.0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(topics, bodies), max_size=8))
def test_every_message_becomes_a_frame_whatever_is_in_it(
    registry: Registry, snapshot: RegistrySnapshot, messages: list[tuple[str, bytes]]
) -> None:
    """No bytes raise; each message leaves readings, a status or a rejection with its packet id."""
    frames = take_in(LaneState(snapshot, registry.add_series), messages)
    seen: set[int] = set()
    for frame in frames:
        match frame:
            case ReadingsFrame():
                seen |= set(frame.receipts.packet_id.tolist())
                assert np.isfinite(frame.readings.value).all()
                assert (frame.readings.series >= 0).all()
            case RejectedFrame():
                topic, body = messages[frame.packet_id - 1]
                assert (frame.topic, frame.payload) == (topic, body)
                seen.add(frame.packet_id)
            case StatusFrame():
                seen.add(frame.packet_id)
    assert seen == set(range(1, len(messages) + 1))


history = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["gauge-1", "gauge-2", "gauge-3", "nobody"]),
            st.sampled_from([1.0, 1.5, 14.0, 14.5, 9999.0]),
            st.one_of(st.none(), st.integers(0, 300).map(lambda m: NOW - m * 60_000)),
            st.one_of(st.none(), st.integers(0, 9)),
        ),
        min_size=1,
        max_size=5,
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history)
def test_the_journal_brings_back_checks_and_receipts(
    registry: Registry,
    snapshot: RegistrySnapshot,
    history: list[list[tuple[str, float, int | None, int | None]]],
) -> None:
    """What one process journaled, another absorbs: from there on both flag and match the same."""
    first = LaneState(snapshot, registry.add_series)
    second = LaneState(snapshot, registry.add_series)
    next_id = 1
    for batch in history:
        messages = [(up(name), payload(value, at, n)) for name, value, at, n in batch]
        for frame in take_in(first, messages, first_id=next_id):
            second.absorb(frame)
        again = range(len(messages))
        assert take_in(second, messages, first_id=next_id, redelivered=again) == []
        next_id += len(messages)
    for ours, theirs in (
        (first.checker.state(), second.checker.state()),
        (first.checker.stillness.state(), second.checker.stillness.state()),
    ):
        for column in type(ours).__slots__:
            assert getattr(ours, column).tolist() == getattr(theirs, column).tolist()


def test_numbers_are_followed_from_the_journal_as_well(
    registry: Registry, snapshot: RegistrySnapshot
) -> None:
    first = LaneState(snapshot, registry.add_series)
    second = LaneState(snapshot, registry.add_series)
    batches = [[5, 6], [9], [7], [20], [2]]
    for k, numbers in enumerate(batches):
        at = [NOW - 1000 + n if n < 20 else NOW + k for n in numbers]
        at = [NOW + 100 if n == 2 else t for n, t in zip(numbers, at, strict=True)]
        messages = [(up("gauge-1"), payload(1.0, t, n)) for n, t in zip(numbers, at, strict=True)]
        for frame in take_in(first, messages, first_id=10 * k + 1):
            second.absorb(frame)
    device = snapshot.by_name["gauge-1"].id
    assert second.sequences.acknowledgement(device) == first.sequences.acknowledgement(device)
    told = first.sequences.acknowledgement(device)
    assert told is not None
    assert (told.n, told.missing) == (2, ((1, 1),))


def test_a_new_revision_tells_changed_series_first(registry: Registry) -> None:
    state = LaneState(RegistrySnapshot(0, {}, {}, {}, {}), registry.add_series)
    snapshot = registry.snapshot()
    *series, last = state.switch(snapshot, NOW)
    defined = [d for frame in of(series, SeriesFrame) for d in frame.definitions]
    assert {d.series for d in defined} == set(snapshot.definitions)
    assert last.revision == snapshot.revision  # type: ignore[union-attr]  # it is a RevisionFrame
    assert len(state.switch(snapshot, NOW)) == 1


class TestSnapshot:
    """The file that makes a start short."""

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[JournalWriter]:
        with JournalWriter(tmp_path, Lane.URGENT, low_water_bytes=0, reserve_bytes=0) as journal:
            yield journal

    @pytest.fixture
    def follower(self, tmp_path: Path, journal: JournalWriter) -> Iterator[JournalFollower]:
        follower = JournalFollower(tmp_path, Lane.URGENT, "intake")
        yield follower
        follower.close()

    @pytest.fixture
    def lived(
        self, registry: Registry, snapshot: RegistrySnapshot, journal: JournalWriter
    ) -> LaneState:
        """A state with a past: a snapshot in the middle of it, frames after it."""
        state = LaneState(snapshot, registry.add_series)
        for n in range(6):
            messages = [(up("gauge-1"), payload(1.0 + n, NOW + n, n)), (up("nobody"), b"?")]
            journal.append(take_in(state, messages, first_id=1 + 2 * n))
            if n == 3:
                save(journal.directory, encode_snapshot(state, journal.position))
        return state

    def _restored(
        self, registry: Registry, journal: JournalWriter, follower: JournalFollower
    ) -> bytes:
        state = LaneState(registry.snapshot(), registry.add_series)
        assert restore(state, journal.directory, follower) == journal.position
        return encode_snapshot(state, journal.position)

    @pytest.mark.parametrize("damage", ["none", "absent", "cut", "flipped", "empty"])
    def test_a_start_knows_all_with_a_snapshot_and_without(
        self,
        registry: Registry,
        journal: JournalWriter,
        follower: JournalFollower,
        lived: LaneState,
        damage: str,
    ) -> None:
        path = journal.directory / FILE_NAME
        whole = path.read_bytes()
        match damage:
            case "absent":
                path.unlink()
            case "cut":
                path.write_bytes(whole[:-3])
            case "flipped":
                path.write_bytes(whole[:40] + bytes((whole[40] ^ 1,)) + whole[41:])
            case "empty":
                path.write_bytes(b"")
        restored = self._restored(registry, journal, follower)
        assert restored == encode_snapshot(lived, journal.position)

    def test_a_rotten_frame_is_left_out_and_the_start_goes_on(
        self,
        registry: Registry,
        journal: JournalWriter,
        follower: JournalFollower,
        lived: LaneState,
    ) -> None:
        """Without a snapshot every frame is read; one rotten byte must not keep intake down."""
        (journal.directory / FILE_NAME).unlink()
        [segment] = journal.directory.glob("*.seg")
        content = segment.read_bytes()
        at = len(content) // 2
        segment.write_bytes(content[:at] + bytes((content[at] ^ 0x41,)) + content[at + 1 :])
        self._restored(registry, journal, follower)

    def test_a_snapshot_of_another_journal_is_no_obstacle(
        self,
        registry: Registry,
        journal: JournalWriter,
        follower: JournalFollower,
        lived: LaneState,
    ) -> None:
        save(journal.directory, encode_snapshot(lived, Position(journal.position.epoch + 1, 7)))
        self._restored(registry, journal, follower)

    def test_the_journal_waits_for_the_snapshot(
        self,
        registry: Registry,
        journal: JournalWriter,
        follower: JournalFollower,
        lived: LaneState,
    ) -> None:
        self._restored(registry, journal, follower)
        entries: list[Entry] = follower.read(None)
        assert entries[0].position.n <= 4
        assert journal.expire(NOW * 2) == 0


def test_on_a_full_disk_no_half_of_a_snapshot_is_left(tmp_path: Path) -> None:
    """What little room there is belongs to urgent readings; the old snapshot stays."""
    save(tmp_path, b"before")
    draft = tmp_path / f"{FILE_NAME}.tmp"
    draft.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, b"after")
    assert not draft.is_symlink()
    assert (tmp_path / FILE_NAME).read_bytes() == b"before"


def test_frames_taken_together_teach_the_same_as_one_by_one(
    registry: Registry, snapshot: RegistrySnapshot
) -> None:
    """Readings, numbers, spikes, repetitions and packet ids used again, in one read or in many."""
    state = LaneState(snapshot, registry.add_series)
    frames = state.begin(snapshot, NOW)
    for k in range(60):
        body = payload(1.0 + (k == 30) * 50, NOW + k * 1000, k)
        messages = [(up(f"gauge-{k % 3}"), body), (up("nobody"), b"{}")]
        frames += take_in(state, messages, first_id=1 + k % 7)
    together, apart = (LaneState(snapshot, registry.add_series) for _ in range(2))
    together.absorb_all(frames)
    for frame in frames:
        apart.absorb(frame)
    at = Position(1, len(frames))
    assert encode_snapshot(together, at) == encode_snapshot(apart, at)
