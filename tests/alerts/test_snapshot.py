"""Snapshots that this release cannot use: each is as good as none, and none stops the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from alerts.arrays import Arrays, OtherLayout
from alerts.engine import Engine
from alerts.follower import LaneFollower
from alerts.snapshot import FORMAT, LaneSnapshot, load_snapshot, save_snapshot
from devices.frames import Frame, Lane, Position
from ingest.journal_follower import JournalFollower
from tests.alerts.test_engine_properties import REGISTRY, RULES, nights
from tests.alerts.test_peaks import LEVEL
from tests.alerts.world import frame

HERE = Position(7, 3)


def _state() -> Arrays:
    """Of an engine with open alarms."""
    engine = Engine(Lane.URGENT, RULES, REGISTRY)
    engine.run([frame([(LEVEL, 1, 1, 4.5, 0)])])
    return engine.state()


def _saved(folder: Path, arrays: Arrays) -> Path:
    path = folder / "snapshot.npz"
    save_snapshot(path, {Lane.URGENT: LaneSnapshot(HERE, RULES.version, arrays)})
    return path


def _rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with another text about it."""
    with np.load(path) as file:
        arrays = dict(file)
    about = json.loads(str(arrays["about"]))
    change(about)
    arrays["about"] = np.array(json.dumps(about))
    with path.open("wb") as out:
        np.savez(out, allow_pickle=False, **arrays)
    return path


def test_on_a_full_disk_no_half_of_a_snapshot_is_left(tmp_path: Path) -> None:
    """What little room there is belongs to the alarms; the old snapshot stays."""
    path = _saved(tmp_path, {"a": np.arange(3)})
    before = path.read_bytes()
    draft = path.with_suffix(".new")
    draft.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        _saved(tmp_path, {"a": np.arange(100_000)})
    assert not draft.is_symlink()
    assert path.read_bytes() == before


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    found = load_snapshot(_saved(tmp_path, _state()))
    assert found is not None
    engine = Engine(Lane.URGENT, RULES, REGISTRY)
    engine.restore(found[Lane.URGENT].arrays)
    assert len(engine.open_alarms()) == 1
    assert found[Lane.URGENT].position == HERE


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.update(format=FORMAT + 1),
        lambda about: about.update(format="2027"),
        lambda about: about.pop("format"),
        lambda about: about.pop("lanes"),
        lambda about: about.update(lanes=[]),
        lambda about: about["lanes"].update(express={"position": None, "rule_version": "x"}),
        lambda about: about["lanes"]["urgent"].pop("position"),
        lambda about: about["lanes"]["urgent"].update(position=[1, 2, 3]),
        lambda about: about["lanes"].update(urgent=None),
    ],
)
def test_a_snapshot_of_another_format_is_none_and_said_once(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    path = _rewritten(_saved(tmp_path, _state()), change)
    with structlog.testing.capture_logs() as said:
        assert load_snapshot(path) is None
    assert [line["event"] for line in said] == ["alerts.snapshot.unreadable"]


@given(st.data())
def test_a_damaged_file_is_read_as_it_was_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere, or with a byte that is another: never anything but a snapshot or None."""
    path = _saved(tmp_path_factory.mktemp("snapshot"), _state())
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = load_snapshot(path)
    assert found is None or Lane.URGENT in found


def _renamed(arrays: Arrays, name: str) -> Arrays:
    return {k if k != name else f"{k}_of_then": v for k, v in arrays.items()}


CHANGES: list[Callable[[Arrays, str], Arrays]] = [
    lambda arrays, name: {k: v for k, v in arrays.items() if k != name},
    _renamed,
    lambda arrays, name: arrays | {f"{name}_too": arrays[name]},
    lambda arrays, name: arrays | {name: np.array(["x"] * 3)[:, None, None]},
    lambda arrays, name: arrays | {name: arrays[name][..., None]},
]


@pytest.mark.parametrize("name", sorted(_state()))
def test_an_array_that_is_missing_or_of_another_shape_is_no_state(name: str) -> None:
    """Every array of the state, each in every way."""
    for change in CHANGES:
        engine = Engine(Lane.URGENT, RULES, REGISTRY)
        with pytest.raises(OtherLayout):
            engine.restore(change(_state(), name))


@pytest.mark.parametrize("name", sorted(n for n, array in _state().items() if array.ndim))
@pytest.mark.parametrize("by", [-1, 1])
def test_a_longer_or_shorter_array_never_stops_a_night(name: str, by: int) -> None:
    """It is refused, or it is a state like another (one with fewer devices, say)."""
    state = _state()
    array = state[name]
    state[name] = array[:-1] if by < 0 else np.concatenate([array, array[-1:]])
    engine = Engine(Lane.URGENT, RULES, REGISTRY)
    try:
        engine.restore(state)
    except (OtherLayout, IndexError):
        return
    night = [frame([(series, 100 + at, 100 + at, 5.0 * (at % 2), 0)]) for at in range(4)
             for series in REGISTRY.definitions]  # fmt: skip
    engine.run(night)
    engine.switch(RULES, REGISTRY, 1000)
    engine.run(night)


@given(nights())
def test_the_layout_is_the_same_whatever_happened(frames: list[Frame]) -> None:
    """Or a snapshot of a busy night would be refused."""
    engine = Engine(Lane.URGENT, RULES, REGISTRY)
    engine.run(frames)
    Engine(Lane.URGENT, RULES, REGISTRY).restore(engine.state())


def test_a_lane_begins_without_a_snapshot_of_another_layout(tmp_path: Path) -> None:
    """As after its loss: at the ledger's position, to be reconciled with what is open there."""
    reader = JournalFollower(tmp_path, Lane.URGENT, "alerts")
    follower = LaneFollower(reader, RULES, REGISTRY, HERE)
    state = _renamed(_state(), "listening/down_since")
    with structlog.testing.capture_logs() as said:
        snapshot = LaneSnapshot(Position(7, 1), RULES.version, state)
        assert not follower.restore(snapshot, RULES, REGISTRY)
    assert [line["event"] for line in said] == ["alerts.snapshot.other_layout"]
    assert "listening/down_since" in said[0]["reason"]
    assert follower.position == HERE
    assert follower.is_to_be_reconciled
    reader.close()
