"""Writes snapshots beside the work, one at a time: a large one must not hold up an alarm.

What is to be written is copied first, so the engine goes on meanwhile. Refuses to know when a
snapshot is due and what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.arrays import Arrays
from alerts.snapshot import LaneSnapshot, save_snapshot
from devices.frames import Lane, Position

Positions = Mapping[Lane, Position | None]


class SnapshotSaver:
    """Saves to one file; whoever begins a snapshot asks later whether it is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts.snapshot")
        self._writing: Future[Positions] | None = None
        self._copies: Arrays = {}

    @property
    def is_busy(self) -> bool:
        """True from ``begin`` until ``finish`` has said what became of it."""
        return self._writing is not None

    @property
    def is_done(self) -> bool:
        """True when ``finish`` would not have to wait."""
        return self._writing is None or self._writing.done()

    def begin(self, lanes: Mapping[Lane, LaneSnapshot]) -> None:
        """Copy these and write them; call it only while not busy."""
        copies = {
            lane: replace(
                one, arrays={n: self._copy(f"{lane}/{n}", a) for n, a in one.arrays.items()}
            )
            for lane, one in lanes.items()
        }
        self._writing = self._thread.submit(self._save, copies)

    def finish(self) -> Positions:
        """Wait for what was begun; returns its positions, which are on disk now.

        Raises OSError where it could not be written: the old file is still there.
        """
        writing, self._writing = self._writing, None
        return {} if writing is None else writing.result()

    def _copy(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """A copy where the last one stood, if it fits: fresh memory costs more than the copy."""
        before = self._copies.get(name)
        if before is None or before.shape != array.shape or before.dtype != array.dtype:
            before = self._copies[name] = array.copy()
        else:
            np.copyto(before, array)
        return before

    def _save(self, lanes: Mapping[Lane, LaneSnapshot]) -> Positions:
        save_snapshot(self._path, lanes)
        return {lane: one.position for lane, one in lanes.items()}
