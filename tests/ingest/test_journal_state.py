"""Any order of appending, reading, killing, reopening, retaining and expiring keeps the promise."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devices.frames import Entry, Frame, Lane, Position, SeriesFrame
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from tests.ingest.journal_frames import FRAMES, RIVER, read_all, same

HEAD = SeriesFrame((RIVER,))


class Journal(RuleBasedStateMachine):
    """The model is a list: what was acknowledged, by number."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.directory = self.root / "urgent"
        self.frames: dict[int, Frame] = {}
        self.writer = self.opened()
        self.epoch = self.writer.position.epoch
        self.follower = JournalFollower(self.directory, Lane.URGENT, "reader", None)
        self.after: Position | None = None
        self.retained_n = 0
        self.follower.retain(None)

    def opened(self) -> JournalWriter:
        return JournalWriter(
            self.directory, Lane.URGENT, segment_bytes=1500, definitions=lambda: [RIVER]
        )

    @rule(frames=st.lists(FRAMES, min_size=1, max_size=4))
    def append(self, frames: list[Frame]) -> None:
        last = self.writer.append(frames)
        assert last.epoch == self.epoch
        for n, frame in zip(range(last.n - len(frames) + 1, last.n + 1), frames, strict=True):
            self.frames[n] = frame

    @rule(max_bytes=st.sampled_from([1, 200, 1 << 20]))
    def read(self, max_bytes: int) -> None:
        entries = self.follower.read(self.after, max_bytes=max_bytes)
        self.check(entries, self.after.n + 1 if self.after else self.oldest_n())
        if entries:
            self.after = entries[-1].position
        else:
            assert self.after == self.writer.position

    @rule()
    def read_again(self) -> None:
        """A reader that failed to use what it got asks for the same once more."""
        first = self.follower.read(self.after)
        again = self.follower.read(self.after)
        assert [e.position for e in first] == [e.position for e in again]

    @rule()
    def restart_reader(self) -> None:
        self.follower.close()
        self.follower = JournalFollower(self.directory, Lane.URGENT, "reader", None)

    @rule(torn=st.binary(max_size=60))
    def kill_writer_in_the_middle_of_a_write(self, torn: bytes) -> None:
        position = self.writer.position
        self.writer.close()
        last = max(self.directory.glob("*.seg"))
        with last.open("ab") as file:
            file.write(torn)
        self.writer = self.opened()
        assert self.writer.position == position

    @rule()
    def lose_the_last_word_of_the_tail(self) -> None:
        """As after a power cut: the file ``published`` is older than what was synced."""
        tail = (self.directory / "published").read_bytes()
        before = len(list(self.directory.glob("*.seg")))
        self.append([HEAD])
        position = self.writer.position
        self.writer.close()
        if len(list(self.directory.glob("*.seg"))) == before:
            (self.directory / "published").write_bytes(tail)
        self.writer = self.opened()
        assert self.writer.position == position

    @precondition(lambda self: self.after is not None)
    @rule()
    def retain_and_expire(self) -> None:
        assert self.after is not None
        self.follower.retain(self.after)
        self.retained_n = self.after.n
        self.writer.expire(2**62)

    @invariant()
    def everything_not_passed_is_there(self) -> None:
        fresh = JournalFollower(self.directory, Lane.URGENT, "fresh", None)
        entries = read_all(fresh)
        fresh.close()
        assert entries[0].position.n <= self.retained_n + 1
        assert entries[-1].position == self.writer.position
        self.check(entries, entries[0].position.n)

    def check(self, entries: list[Entry], first_n: int) -> None:
        for n, entry in enumerate(entries, first_n):
            assert entry.position == Position(self.epoch, n)
            assert same(entry.frame, self.frames.get(n, HEAD))

    def oldest_n(self) -> int:
        return int(min(self.directory.glob("*.seg")).stem)

    def teardown(self) -> None:
        self.follower.close()
        self.writer.close()
        shutil.rmtree(self.root)


TestJournalState = Journal.TestCase
TestJournalState.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
