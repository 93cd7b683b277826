"""The engine's state on disk: one file, replaced whole, so that a start need not begin at zero.

Holds for each lane the state, the position it is of, and the version of its rules. Refuses to know
what the arrays mean.
"""

from __future__ import annotations

import json
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from devices.failpoints import failpoint
from devices.frames import Lane, Position

log = structlog.get_logger()

FORMAT: Final = 4
"""To be raised when the meaning of an array changes; other names and shapes are found out."""


@dataclass(frozen=True, slots=True)
class LaneSnapshot:
    """State of one lane's engine after ``position`` (None: before the first entry)."""

    position: Position | None
    rule_version: str
    arrays: Mapping[str, NDArray[Any]]


def save_snapshot(path: Path, lanes: Mapping[Lane, LaneSnapshot]) -> None:
    """Replace the file: it is the old one or the new one after a crash, never half of one."""
    about = {
        "format": FORMAT,
        "lanes": {
            lane: {"position": _as_list(s.position), "rule_version": s.rule_version}
            for lane, s in lanes.items()
        },
    }
    arrays = {f"{lane}/{name}": a for lane, s in lanes.items() for name, a in s.arrays.items()}
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # on a full disk half a draft would hold what alarms need
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    _sync_directory(path.parent)
    failpoint("engine.snapshot_written")


def load_snapshot(path: Path) -> dict[Lane, LaneSnapshot] | None:
    """What was saved last; None if there is no file or it cannot be read (which is logged)."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _lanes(arrays)
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        log.error("alerts.snapshot.unreadable", path=str(path), reason=repr(error))
        return None


_UNREADABLE: Final = (
    OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError,  # no such file of numpy
    ValueError, KeyError, TypeError, AttributeError,  # or its text says something else
    RuntimeError, MemoryError, OverflowError, struct.error, SyntaxError, tokenize.TokenError,
)  # fmt: skip


def _lanes(arrays: dict[str, NDArray[Any]]) -> dict[Lane, LaneSnapshot]:
    """Raises ValueError for another format, and whatever comes of a text that says nonsense."""
    about = json.loads(str(arrays.pop("about")))
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']!r} where {FORMAT} is read")
    return {
        Lane(lane): LaneSnapshot(
            _as_position(one["position"]),
            one["rule_version"],
            {n.partition("/")[2]: a for n, a in arrays.items() if n.startswith(f"{lane}/")},
        )
        for lane, one in about["lanes"].items()
    }


def _as_list(position: Position | None) -> list[int] | None:
    return None if position is None else [position.epoch, position.n]


def _as_position(pair: list[int] | None) -> Position | None:
    return None if pair is None else Position(*pair)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
