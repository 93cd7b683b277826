"""What a writer appends, readers find: in order, across segments, once it is published."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.frames import Frame, Lane, Position, SeriesFrame, TickFrame
from ingest.journal import MIB, JournalFull, JournalInUse
from ingest.journal_follower import PositionLost
from ingest.journal_retention import load_readers, retire_reader
from tests.ingest.journal_frames import (
    FLOOD,
    RIVER,
    Place,
    read_all,
    readings_frame,
    same_frames,
    ticks,
    write_ticks,
)

SOON = 2**62  # an age limit that everything is older than, ms


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    opened = Place(tmp_path / "journal" / "urgent")
    yield opened
    opened.close()


class TestReading:
    def test_frames_come_back_as_they_were_appended(self, place: Place) -> None:
        writer, follower = place.writer(), place.follower()
        frames: list[Frame] = [TickFrame(1), readings_frame(2000), SeriesFrame((RIVER,))]
        last = writer.append(frames)
        entries = follower.read(None)
        assert same_frames([e.frame for e in entries[1:]], frames)
        assert [e.position for e in entries] == [Position(last.epoch, n) for n in (1, 2, 3, 4)]
        assert last == writer.position == follower.head()

    def test_an_append_of_nothing_changes_nothing(self, place: Place) -> None:
        writer = place.writer()
        before = writer.position
        assert writer.append([]) == before
        assert len(read_all(place.follower())) == 1

    def test_reading_goes_on_after_a_position(self, place: Place) -> None:
        positions = write_ticks(place.writer(), range(5))
        follower = place.follower()
        assert ticks(follower.read(positions[2])) == [3, 4]
        assert follower.read(positions[4]) == []

    def test_the_same_position_may_be_read_again(self, place: Place) -> None:
        positions = write_ticks(place.writer(), range(5))
        follower = place.follower()
        for _ in range(2):
            assert ticks(follower.read(positions[0], max_bytes=50)) == [1, 2]
        assert ticks(follower.read(positions[2])) == [3, 4]

    def test_a_read_gives_what_fits_and_at_least_one_frame(self, place: Place) -> None:
        writer, follower = place.writer(), place.follower()
        after = writer.position
        writer.append([readings_frame(rows) for rows in (10, 10, 4000, 10)])
        sizes = []
        while entries := follower.read(after, max_bytes=2000):
            sizes.append([len(e.frame.readings) for e in entries])  # type: ignore[union-attr]  # all are readings
            after = entries[-1].position
        assert sizes == [[10, 10], [4000], [10]]

    def test_nothing_is_read_before_a_writer_was_there(self, place: Place) -> None:
        follower = place.follower()
        assert follower.head() is None
        assert follower.read(None) == []
        assert follower.read(Position(5, 5)) == []
        assert follower.tail_entries(1000) == []

    def test_what_is_written_and_not_published_is_not_read(self, place: Place) -> None:
        writer, follower = place.writer(), place.follower()
        write_ticks(writer, range(3))
        tail = place.directory / "published"
        published = tail.read_bytes()
        write_ticks(writer, [3])
        tail.write_bytes(published)
        assert ticks(read_all(follower)) == [0, 1, 2]
        assert ticks(follower.tail_entries(MIB)) == [0, 1, 2]

    def test_a_position_that_was_never_published_is_lost(self, place: Place) -> None:
        last = write_ticks(place.writer(), range(3))[-1]
        for never in (Position(last.epoch, last.n + 1), Position(last.epoch + 1, 2)):
            with pytest.raises(PositionLost) as lost:
                place.follower().read(never)
            assert (lost.value.after, lost.value.oldest) == (never, Position(last.epoch, 1))

    def test_a_reader_that_knows_no_journal_learns_of_a_lost_position(self, place: Place) -> None:
        """alerts may not import ingest: its JournalReader promises a LookupError."""
        last = write_ticks(place.writer(), range(3))[-1]
        with pytest.raises(LookupError):
            place.follower().read(Position(last.epoch + 1, last.n))


class TestWriting:
    def test_nothing_is_published_before_the_disk_has_it(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer = place.writer()
        follower = place.follower()
        before = writer.position
        sync, synced = os.fdatasync, []

        def watched_sync(fd: int) -> None:
            sync(fd)
            synced.append((os.fstat(fd).st_size, follower.head()))

        monkeypatch.setattr(os, "fdatasync", watched_sync)
        after = writer.append([TickFrame(1), TickFrame(2)])
        monkeypatch.undo()
        assert synced == [(place.segments()[0].stat().st_size, before)]
        assert follower.head() == after

    def test_a_lane_has_one_writer(self, place: Place) -> None:
        writer = place.writer()
        with pytest.raises(JournalInUse):
            place.writer()
        writer.close()
        place.writer()

    def test_a_directory_keeps_its_lane(self, place: Place) -> None:
        place.writer(Lane.ROUTINE).close()
        with pytest.raises(ValueError, match="lane routine, not of urgent"):
            place.writer(Lane.URGENT)

    def test_a_refused_writer_leaves_the_journal_free(self, place: Place) -> None:
        place.writer(Lane.ROUTINE).close()
        with pytest.raises(ValueError, match="lane"):
            place.writer(Lane.URGENT)
        place.writer(Lane.ROUTINE)

    def test_a_reopened_journal_goes_on(self, place: Place) -> None:
        for at in range(5):
            writer = place.writer()
            write_ticks(writer, [at])
            writer.close()
        assert place.ticks() == [0, 1, 2, 3, 4]
        assert len(place.segments()) == 1

    def test_closing_twice_is_closing(self, place: Place) -> None:
        with place.writer() as writer:
            writer.close()

    def test_a_write_that_fails_leaves_nothing_and_can_be_tried_again(self, place: Place) -> None:
        """A limit on file size stands in for a failing disk: half of the frames get written."""
        writer = place.writer()
        first = write_ticks(writer, [0])[0]
        size = place.segments()[0].stat().st_size
        with file_size_limit(size + 1000), pytest.raises(OSError, match="File too large"):
            writer.append([readings_frame(2000)])
        assert writer.position == first
        assert place.segments()[0].stat().st_size == size
        assert write_ticks(writer, [1])[0].n == first.n + 1
        writer.close()
        place.writer()
        assert place.ticks() == [0, 1]


class TestSegments:
    def test_readers_cross_segments(self, place: Place) -> None:
        follower = place.follower()
        write_ticks(place.writer(segment_bytes=300), range(50))
        assert len(place.segments()) >= 5
        entries = read_all(follower)
        assert ticks(entries) == list(range(50))
        assert [e.position.n for e in entries] == list(range(1, len(entries) + 1))

    def test_a_segment_can_be_read_alone(self, place: Place) -> None:
        """Each begins with the definitions that were known then."""
        known = [RIVER]
        writer = place.writer(segment_bytes=400, definitions=lambda: known)
        write_ticks(writer, range(10))
        known.append(FLOOD)
        write_ticks(writer, range(10, 20))
        for path in place.segments()[:-1]:
            path.unlink()
        assert place.follower().read(None)[0].frame == SeriesFrame((RIVER, FLOOD))

    def test_a_frame_larger_than_a_segment_gets_one_of_its_own(self, place: Place) -> None:
        writer = place.writer(segment_bytes=1000)
        writer.append([readings_frame(2000)])
        writer.append([TickFrame(1)])
        assert len(read_all(place.follower())) == 4

    def test_any_position_can_be_sought(self, place: Place) -> None:
        positions = write_ticks(place.writer(segment_bytes=300), range(40))
        for at, position in enumerate(positions):
            follower = place.follower(f"seeker-{at}")
            assert ticks(read_all(follower, position)) == list(range(at + 1, 40))


class TestRetention:
    def test_segments_go_when_all_readers_have_passed(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        positions = write_ticks(writer, range(50))
        place.follower("store").retain(positions[30])
        place.follower("alerts").retain(positions[20])
        assert writer.expire(SOON) > 0
        slow = place.follower("alerts")
        assert ticks(read_all(slow, positions[20])) == list(range(21, 50))
        with pytest.raises(PositionLost) as lost:
            slow.read(positions[0])
        oldest = slow.read(None)[0]
        assert lost.value.oldest == oldest.position
        assert oldest.position.n <= positions[20].n + 1

    def test_a_reader_that_has_passed_nothing_keeps_everything(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        place.follower("store").retain(None)
        place.follower("alerts").retain(write_ticks(writer, range(50))[-1])
        assert writer.expire(SOON) == 0

    def test_a_note_that_cannot_be_read_keeps_everything(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        place.follower("store").retain(write_ticks(writer, range(50))[-1])
        (place.directory / "readers" / "store.json").write_text('{"epoch": 5')
        assert writer.expire(SOON) == 0

    def test_a_reader_of_another_epoch_keeps_everything(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        last = write_ticks(writer, range(50))[-1]
        place.follower("store").retain(Position(last.epoch + 1, last.n))
        assert writer.expire(SOON) == 0

    def test_a_retired_reader_keeps_nothing(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        write_ticks(writer, range(50))
        place.follower("store").retain(None)
        assert retire_reader(place.directory, "store")
        assert not retire_reader(place.directory, "store")
        assert load_readers(place.directory) == {}
        assert writer.expire(SOON) > 0
        assert len(place.segments()) == 1

    def test_young_segments_stay(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        write_ticks(writer, range(50))
        written_at = place.segments()[0].stat().st_mtime_ns // 1_000_000
        assert writer.expire(written_at) == 0

    def test_a_position_at_the_end_of_an_expired_segment_holds(self, place: Place) -> None:
        writer = place.writer(segment_bytes=300)
        positions = write_ticks(writer, range(50))
        writer.expire(SOON)
        first_kept = int(place.segments()[0].stem)
        after = Position(positions[0].epoch, first_kept - 1)
        assert place.follower().read(after)[0].position.n == first_kept

    def test_a_reader_name_is_a_file_name(self, place: Place) -> None:
        for name in ("", "../x", ".hidden", "a/b", "x" * 65):
            with pytest.raises(ValueError, match="reader name"):
                place.follower(name)


class TestFullDisk:
    def test_the_routine_lane_stops_first(self, place: Place) -> None:
        free = [100 * MIB]
        writer = place.writer(
            Lane.ROUTINE, low_water_bytes=50 * MIB, free_bytes=lambda _path: free[0]
        )
        first = write_ticks(writer, [0])[0]
        free[0] = 50 * MIB
        with pytest.raises(JournalFull) as full:
            writer.append([TickFrame(1)])
        assert full.value.free_bytes == free[0]
        assert writer.position == first
        free[0] = 51 * MIB
        assert write_ticks(writer, [1])[0].n == first.n + 1

    def test_the_urgent_lane_goes_on_from_its_reserve(self, place: Place) -> None:
        free = [100 * MIB]
        writer = place.writer(
            low_water_bytes=50 * MIB, reserve_bytes=2 * MIB, free_bytes=lambda _path: free[0]
        )
        reserve = place.directory / "reserve"
        assert reserve.stat().st_blocks * 512 >= 2 * MIB
        free[0] = 10 * MIB
        write_ticks(writer, [0])
        assert reserve.exists()
        free[0] = MIB
        write_ticks(writer, [1])
        assert not reserve.exists()
        write_ticks(writer, [2])
        assert place.ticks() == [0, 1, 2]

    def test_no_reserve_is_put_by_where_there_is_too_little(self, place: Place) -> None:
        place.writer(
            low_water_bytes=50 * MIB, reserve_bytes=2 * MIB, free_bytes=lambda _path: 51 * MIB
        )
        assert not (place.directory / "reserve").exists()


class TestTailEntries:
    def test_the_newest_entries_come_oldest_first(self, place: Place) -> None:
        write_ticks(place.writer(segment_bytes=300), range(50))
        follower = place.follower()
        newest = follower.tail_entries(500)
        assert ticks(newest) == list(range(50))[-len(ticks(newest)) :]
        assert 15 < len(newest) < 25

    def test_all_are_given_where_they_are_few(self, place: Place) -> None:
        write_ticks(place.writer(segment_bytes=300), range(50))
        follower = place.follower()
        assert same_frames(
            [e.frame for e in follower.tail_entries(MIB)], [e.frame for e in read_all(follower)]
        )


class file_size_limit:  # noqa: N801 - used as a statement
    """Files of this process cannot grow past so many bytes."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
