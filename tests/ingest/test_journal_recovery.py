"""After kill -9 at any byte, rot of any byte and restored backups: nothing acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from devices.frames import Position
from ingest.journal_follower import JournalFollower, PositionLost
from ingest.segments import ENVELOPE_BYTES, HEADER_BYTES, JournalDamaged
from tests.ingest.journal_frames import Place, read_all, ticks, write_ticks

CHILD = Path(__file__).with_name("journal_child.py")
ROOT = CHILD.parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    opened = Place(tmp_path / "urgent")
    yield opened
    opened.close()


def copy_of(place: Place, name: str) -> Place:
    shutil.rmtree(place.directory.with_name(name), ignore_errors=True)
    return Place(Path(shutil.copytree(place.directory, place.directory.with_name(name))))


def unpublished_group(place: Place) -> tuple[Path, int]:
    """Ticks 0..3 published; 4, 5, 6 durable and not. The segment, and where the three begin."""
    writer = place.writer()
    write_ticks(writer, range(4))
    tail = place.directory / "published"
    published = tail.read_bytes()
    segment = place.segments()[0]
    start = segment.stat().st_size
    write_ticks(writer, [4, 5, 6])
    writer.close()
    tail.write_bytes(published)
    return segment, start


def frame_offsets(segment: Path) -> list[int]:
    data = segment.read_bytes()
    offsets = [HEADER_BYTES]
    while offsets[-1] < len(data):
        length = int.from_bytes(data[offsets[-1] : offsets[-1] + 4], "little")
        offsets.append(offsets[-1] + 8 + length)
    return offsets[:-1]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x41]))


class TestTornTail:
    def test_cut_at_any_byte_whole_frames_stay_and_the_rest_goes(self, place: Place) -> None:
        segment, start = unpublished_group(place)
        size = segment.stat().st_size
        frame = (size - start) // 3
        for cut in range(start, size + 1):
            torn = copy_of(place, "torn")
            os.truncate(torn.segments()[0], cut)
            writer = torn.writer()
            kept = 4 + (cut - start) // frame
            assert torn.ticks() == list(range(kept)), cut
            assert write_ticks(writer, [99])[0].n == kept + 2
            assert torn.ticks() == [*range(kept), 99]
            assert len(torn.segments()) == 1
            torn.close()

    def test_any_byte_wrong_in_the_last_frame_takes_that_frame_alone(self, place: Place) -> None:
        segment, start = unpublished_group(place)
        size = segment.stat().st_size
        last = size - (size - start) // 3
        for offset in range(last, size):
            torn = copy_of(place, "torn")
            flip(torn.segments()[0], offset)
            writer = torn.writer()
            assert torn.ticks() == [0, 1, 2, 3, 4, 5], offset
            write_ticks(writer, [99])
            assert torn.ticks() == [0, 1, 2, 3, 4, 5, 99]
            torn.close()

    def test_zeros_after_a_power_cut_are_a_torn_tail(self, place: Place) -> None:
        segment, start = unpublished_group(place)
        with segment.open("r+b") as file:
            file.seek(start)
            file.write(bytes(5000))
        place.writer()
        assert place.ticks() == [0, 1, 2, 3]
        assert segment.stat().st_size == start

    def test_a_half_made_segment_is_removed(self, place: Place) -> None:
        write_ticks(place.writer(), range(3))
        place.close()
        draft = place.directory / f"{9:020d}.new"
        draft.write_bytes(b"SATO")
        place.writer()
        assert not draft.exists()
        assert place.ticks() == [0, 1, 2]


def rotten(place: Place, offset: int) -> JournalDamaged:
    with pytest.raises(JournalDamaged) as damaged:
        read_all(place.follower("reader"))
    assert damaged.value.path.parent == place.directory
    assert damaged.value.offset == offset
    assert str(damaged.value.path) in str(damaged.value)
    assert f"offset {offset}" in str(damaged.value)
    return damaged.value


class TestBitRot:
    def test_any_wrong_byte_is_named_and_reading_can_go_on_behind_it(self, place: Place) -> None:
        write_ticks(place.writer(), range(6))
        place.close()
        segment = place.segments()[0]
        third, fourth = frame_offsets(segment)[3:5]  # tick 2; the head is frame 0
        for offset in range(third, fourth):
            bad = copy_of(place, "bad")
            flip(bad.segments()[0], offset)
            damaged = rotten(bad, third)
            assert damaged.resume_after is not None
            fresh = bad.follower("fresh")
            assert ticks(read_all(fresh, damaged.resume_after)) == [3, 4, 5]
            bad.close()

    def test_what_is_sound_before_damage_is_read_first(self, place: Place) -> None:
        write_ticks(place.writer(), range(6))
        segment = place.segments()[0]
        flip(segment, frame_offsets(segment)[3] + ENVELOPE_BYTES)
        follower = place.follower()
        sound = follower.read(None)
        assert ticks(sound) == [0, 1]
        with pytest.raises(JournalDamaged):
            follower.read(sound[-1].position)

    def test_a_writer_never_cuts_what_was_published(self, place: Place) -> None:
        """It says so, leaves the file to its readers and goes on in a new segment."""
        write_ticks(place.writer(), range(6))
        place.close()
        segment = place.segments()[0]
        offset = frame_offsets(segment)[3]
        size = segment.stat().st_size
        flip(segment, offset + ENVELOPE_BYTES)
        write_ticks(place.writer(), [6, 7])
        assert segment.stat().st_size == size
        assert len(place.segments()) == 2
        damaged = rotten(place, offset)
        assert ticks(read_all(place.follower(), damaged.resume_after)) == [3, 4, 5, 6, 7]

    def test_reading_goes_on_in_the_next_segment_where_the_last_frame_is_rotten(
        self, place: Place
    ) -> None:
        writer = place.writer(segment_bytes=300)
        positions = write_ticks(writer, range(30))
        first, second = place.segments()[:2]
        offset = frame_offsets(first)[-1]
        flip(first, offset + ENVELOPE_BYTES)
        damaged = rotten(place, offset)
        assert damaged.resume_after == Position(positions[0].epoch, int(second.stem) - 1)

    def test_a_frame_that_stands_in_for_another_is_damage(self, place: Place) -> None:
        write_ticks(place.writer(), range(6))
        segment = place.segments()[0]
        second, third, fourth = frame_offsets(segment)[2:5]
        data = bytearray(segment.read_bytes())
        data[third:fourth] = data[second:third]
        segment.write_bytes(data)
        assert "frame 3 stands where frame 4 belongs" in rotten(place, third).reason

    def test_a_segment_of_another_journal_is_not_read_on_into(self, place: Place) -> None:
        other = Place(place.directory.with_name("other"))
        for journal in (place, other):
            write_ticks(journal.writer(segment_bytes=300), range(40))
            journal.close()
        shutil.copy(other.segments()[2], place.segments()[2])
        with pytest.raises(PositionLost) as lost:
            read_all(place.follower())
        assert lost.value.after.n == int(place.segments()[2].stem) - 1

    def test_nothing_to_go_on_with_is_said_as_none(self, place: Place) -> None:
        write_ticks(place.writer(), range(3))
        segment = place.segments()[0]
        offset = frame_offsets(segment)[-1]
        flip(segment, offset + ENVELOPE_BYTES)
        assert rotten(place, offset).resume_after is None

    def test_a_reader_that_has_passed_the_damage_does_not_meet_it(self, place: Place) -> None:
        positions = write_ticks(place.writer(), range(6))
        segment = place.segments()[0]
        flip(segment, frame_offsets(segment)[2])
        for at in (3, 4, 5):
            assert ticks(read_all(place.follower(f"at-{at}"), positions[at])) == list(
                range(at + 1, 6)
            )

    def test_a_rotten_header_costs_its_segment_alone(self, place: Place) -> None:
        write_ticks(place.writer(segment_bytes=300), range(30))
        second, third = place.segments()[1:3]
        flip(second, 12)
        damaged = rotten(place, 0)
        assert damaged.path == second
        after = damaged.resume_after
        assert after is not None
        assert after.n == int(third.stem) - 1
        assert ticks(read_all(place.follower(), after))[-1] == 29

    def test_a_writer_goes_on_behind_a_rotten_header(self, place: Place) -> None:
        last = write_ticks(place.writer(), range(3))[-1]
        place.close()
        flip(place.segments()[0], 12)
        assert write_ticks(place.writer(), [3])[0] == Position(last.epoch, last.n + 2)

    def test_a_missing_segment_is_damage(self, place: Place) -> None:
        write_ticks(place.writer(segment_bytes=300), range(40))
        removed = place.segments()[2]
        removed.unlink()
        with pytest.raises(JournalDamaged, match="missing") as damaged:
            read_all(place.follower())
        assert ticks(read_all(place.follower("next"), damaged.value.resume_after))[-1] == 39

    def test_newest_entries_are_had_in_spite_of_damage(self, place: Place) -> None:
        write_ticks(place.writer(), range(6))
        segment = place.segments()[0]
        third, fourth = frame_offsets(segment)[3:5]
        for offset in range(third, fourth):
            bad = copy_of(place, "bad")
            flip(bad.segments()[0], offset)
            assert ticks(bad.follower().tail_entries(1 << 20)) == [0, 1, 3, 4, 5]
            bad.close()


class TestTail:
    def test_a_half_written_tail_leaves_the_one_before(self, place: Place) -> None:
        writer, follower = place.writer(), place.follower()
        before, newest = write_ticks(writer, range(2))
        tail = place.directory / "published"
        data = tail.read_bytes()
        generations = [int.from_bytes(data[at : at + 8], "little") for at in (0, 64)]
        slot = 64 * generations.index(max(generations))
        for offset in range(slot, slot + 44):
            flip(tail, offset)
            assert follower.head() == before
            tail.write_bytes(data)
        assert follower.head() == newest


class TestRestoredBackup:
    def restored(self, place: Place) -> tuple[list[Position], Position]:
        """Ticks 0..4, backed up after 2 without ``published``, restored, then tick 90.

        The positions of the five and of 90.
        """
        writer = place.writer()
        positions = write_ticks(writer, range(3))
        backup = copy_of(place, "backup")
        (backup.directory / "published").unlink()
        positions += write_ticks(writer, [3, 4])
        writer.close()
        shutil.rmtree(place.directory)
        backup.directory.rename(place.directory)
        return positions, write_ticks(place.writer(), [90])[0]

    def test_a_new_epoch_begins(self, place: Place) -> None:
        positions, restored = self.restored(place)
        assert restored.epoch != positions[0].epoch
        assert place.ticks() == [0, 1, 2, 90]

    def test_a_reader_ahead_of_the_backup_is_told(self, place: Place) -> None:
        positions, _ = self.restored(place)
        for ahead in positions[3:]:
            with pytest.raises(PositionLost) as lost:
                place.follower(f"at-{ahead.n}").read(ahead)
            assert lost.value.oldest == Position(positions[0].epoch, 1)

    def test_a_reader_that_the_backup_holds_goes_on(self, place: Place) -> None:
        positions, _ = self.restored(place)
        for at in range(3):
            follower = place.follower(f"at-{at}")
            assert ticks(read_all(follower, positions[at])) == [*range(at + 1, 3), 90]

    def test_an_older_segment_under_the_same_tail_is_noticed(self, place: Place) -> None:
        writer = place.writer()
        write_ticks(writer, range(2))
        segment = place.segments()[0]
        older = segment.read_bytes()
        ahead = write_ticks(writer, [2, 3])[-1]
        writer.close()
        segment.write_bytes(older)
        assert write_ticks(place.writer(), [90])[0].epoch != ahead.epoch
        assert place.ticks() == [0, 1, 90]
        with pytest.raises(PositionLost):
            place.follower().read(ahead)

    def test_a_reader_at_work_is_told_too(self, place: Place) -> None:
        writer, follower = place.writer(), place.follower()
        write_ticks(writer, range(2))
        tail = place.directory / "published"
        older = tail.read_bytes()
        ahead = write_ticks(writer, [2, 3])[-1]
        assert read_all(follower)[-1].position == ahead
        tail.write_bytes(older)
        with pytest.raises(PositionLost):
            follower.read(ahead)

    def test_an_emptied_directory_is_a_new_journal(self, place: Place) -> None:
        old = write_ticks(place.writer(), range(3))[-1]
        place.close()
        for path in place.segments():
            path.unlink()
        write_ticks(place.writer(), range(9))
        with pytest.raises(PositionLost):
            place.follower().read(old)


def start_child(*arguments: object, failpoint: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SATOMORI_FAILPOINT": failpoint}
    command = [sys.executable, str(CHILD), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def acknowledged(output: str) -> int:
    """The last number that the writing child saw acknowledged; -1 for none."""
    numbers = [int(line) for line in output.split() if line != "open"]
    return numbers[-1] if numbers else -1


class TestKilledWriter:
    @pytest.mark.parametrize("passes", [1, 2, 40])
    @pytest.mark.parametrize("failpoint", ["journal.written", "journal.synced"])
    def test_killed_between_any_two_steps_all_that_was_acknowledged_is_there(
        self, place: Place, failpoint: str, passes: int
    ) -> None:
        child = start_child("write", place.directory, 0, 3000, failpoint=f"{failpoint}:{passes}")
        output, _ = child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL
        last = acknowledged(output)
        assert last == 3 * (passes - 1) - 1
        place.writer()
        # A process that dies takes nothing from the page cache: the group in flight is whole.
        assert place.ticks() == list(range(last + 4))

    def test_killed_anywhere_again_and_again_nothing_is_lost_or_repeated(
        self, place: Place
    ) -> None:
        """Another process reads all the while, across the restarts of the writer."""
        random = Random(4)
        reader = start_child("read", place.directory, 2000)
        first, kills = 0, 5
        for kill in range(kills + 1):
            child = start_child("write", place.directory, first, 10_000 if kill < kills else 2100)
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            if kill < kills:
                for _ in range(random.randrange(1, 60)):
                    child.stdout.readline()
                child.kill()
            output, _ = child.communicate(timeout=60)
            place.writer().close()
            found = place.ticks()
            assert found == list(range(len(found)))
            assert len(found) > acknowledged(output)
            first = len(found)
        output, _ = reader.communicate(timeout=60)
        seen = [int(line) for line in output.split()]
        assert seen == list(range(len(seen)))
        assert len(seen) > 2000

    def test_a_reader_of_a_dead_writer_sees_what_was_published(self, place: Place) -> None:
        child = start_child("write", place.directory, 0, 3000, failpoint="journal.synced:5")
        output, _ = child.communicate(timeout=60)
        follower: JournalFollower = place.follower()
        assert ticks(read_all(follower)) == list(range(acknowledged(output) + 1))
        place.writer()
        assert len(ticks(read_all(follower))) == acknowledged(output) + 4
