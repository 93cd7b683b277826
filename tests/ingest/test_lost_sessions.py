"""What the broker repeats of a session that it then loses is still recognised as repeated."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from devices.registry import Registry
from ingest.lane import LaneState
from ingest.mqtt import Gathered
from ingest.mqtt_frames import Publishes
from ingest.mqtt_session import Session
from ingest.work import Work, frames_of
from tests.ingest.field import NOW, open_town

_TOPIC = b"field/v1/river-gauge/gauge-1/up"
_PAYLOAD = b'{"v":{"water.level":1.5}}'


def _gathered(*, is_repeated: bool) -> Gathered:
    publishes = Publishes([_TOPIC], [_PAYLOAD], [b"\0\7"], [0] if is_repeated else [])
    nobody = cast(Session, None)  # frames are made without it
    return Gathered("c", nobody, publishes, [(1, NOW)], len(_PAYLOAD))


def _repeated(state: LaneState, work: Work) -> int:
    return frames_of(state, work, NOW, lambda: None)[1].repeated


def test_a_session_is_forgotten_after_what_had_gathered_of_it(tmp_path: Path) -> None:
    """The same id, topic and content: of the old session a repetition, of the new one news."""
    database = open_town(tmp_path)
    registry = Registry(database)
    state = LaneState(registry.snapshot(), registry.add_series)
    assert _repeated(state, Work(gathered=[_gathered(is_repeated=False)])) == 0
    work = Work(gathered=[_gathered(is_repeated=True)])
    work.forget("c")
    work.gathered.append(_gathered(is_repeated=True))
    assert list(work.inputs())[1] == "c"
    assert _repeated(state, work) == 1
    work = Work()
    work.forget("c")
    assert _repeated(state, work) == 0
    assert state.receipts.is_fresh("c", np.array([7], np.uint16), np.zeros(1, np.uint64), [0]).all()
    database.dispose()
