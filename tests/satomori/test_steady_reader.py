"""What alerts reads of a damaged journal: all that is sound, the damage said once."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from devices.frames import Lane, Position
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.segments import ENVELOPE_BYTES
from satomori.steady_reader import SteadyReader
from tests.ingest.journal_frames import ticks, write_ticks
from tests.ingest.test_journal_recovery import flip, frame_offsets


def test_sound_frames_before_and_behind_rotten_ones_are_read(tmp_path: Path) -> None:
    """Ticks 2, 4 and 5 of eight are rotten: the other five come, in order."""
    with JournalWriter(tmp_path, Lane.URGENT, reserve_bytes=0) as writer:
        write_ticks(writer, range(8))
        [segment] = tmp_path.glob("*.seg")
        offsets = frame_offsets(segment)
        for tick in (2, 4, 5):
            flip(segment, offsets[tick + 1] + ENVELOPE_BYTES)
        follower = JournalFollower(tmp_path, Lane.URGENT, "alerts")
        reader = SteadyReader(follower)
        found: list[int] = []
        position: Position | None = None
        with capture_logs() as logs:
            while entries := reader.read(position, max_bytes=1):
                found += ticks(entries)
                position = entries[-1].position
        assert found == [0, 1, 3, 6, 7]
        assert {line["event"] for line in logs} == {"alerts.journal.frames_lost"}
        assert len(logs) == 2, "what lies side by side is one damage"
        follower.close()


def test_damage_at_the_end_is_waited_out_and_said_once(tmp_path: Path) -> None:
    """Nothing sound follows yet; what is journaled later is read."""
    with JournalWriter(tmp_path, Lane.URGENT, reserve_bytes=0) as writer:
        write_ticks(writer, range(2))
        [segment] = tmp_path.glob("*.seg")
        flip(segment, frame_offsets(segment)[2] + ENVELOPE_BYTES)
        follower = JournalFollower(tmp_path, Lane.URGENT, "alerts")
        reader = SteadyReader(follower)
        sound = reader.read(None)
        assert ticks(sound) == [0]
        with capture_logs() as logs:
            assert reader.read(sound[-1].position) == []
            assert reader.read(sound[-1].position) == []
            write_ticks(writer, [2])
            assert ticks(reader.read(sound[-1].position)) == [2]
        assert len(logs) == 1
        follower.close()
