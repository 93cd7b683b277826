"""A lane that cannot be read on is said and left alone for a while; the other one goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

from structlog.testing import capture_logs

from devices.frames import Lane, TickFrame
from ingest.journal_follower import JournalFollower
from ingest.lanes_reader import LanesReader
from tests.ingest.journal_frames import Place, write_ticks


def test_a_foreign_segment_stops_its_lane_alone_and_costs_no_time(tmp_path: Path) -> None:
    """Somebody copied another journal's segment in: read once more at most, then ever rarer."""
    places = {lane: Place(tmp_path / lane) for lane in Lane}
    other = Place(tmp_path / "other")
    for place in (places[Lane.URGENT], other):
        write_ticks(place.writer(segment_bytes=300), range(40))
        place.close()
    foreign = places[Lane.URGENT].segments()[2]
    shutil.copy(other.segments()[2], foreign)
    write_ticks(places[Lane.ROUTINE].writer(), range(3))
    time = [0.0]
    followers = {lane: JournalFollower(tmp_path / lane, lane, "test") for lane in Lane}
    reader = LanesReader("test", followers, monotonic=lambda: time[0])
    reader.start({})
    read: dict[Lane, list[int]] = {lane: [] for lane in Lane}
    with capture_logs() as logs:
        for _ in range(200):
            if found := reader.read():
                ticks = [e.frame.at for e in found[1] if isinstance(e.frame, TickFrame)]
                read[found[0]] += ticks
            time[0] += 0.1
    assert read[Lane.ROUTINE] == [0, 1, 2]
    before = int(foreign.stem)
    assert len(read[Lane.URGENT]) <= 2 * before, "what stands before it is not read for ever"
    assert len([line for line in logs if line["event"] == "journal.frames.lost"]) == 1
    for lane in Lane:
        followers[lane].close()
        places[lane].close()
