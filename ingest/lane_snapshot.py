"""A lane's state on disk, so that a start reads only the last seconds of the journal again.

One file, replaced as a whole (temporary, fsync, rename), with a checksum. It may be lost: without
it the state is rebuilt from all that the journal keeps. Refuses to know what the state means.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from devices.frames import Entry, Position
from ingest.check import CheckState
from ingest.journal_follower import JournalFollower, PositionLost
from ingest.lane import LaneState
from ingest.receipts import BookState
from ingest.segments import JournalDamaged, sync_directory
from ingest.sequence import NumberingState
from ingest.stillness import StillState

log = structlog.get_logger()

FORMAT: Final = 4
FILE_NAME: Final = "intake.state"


class _Snapshot(msgspec.Struct):
    format: int
    epoch: int
    n: int
    revision: int
    resubmitted: list[int]
    ticked_at: int
    check: list[bytes]
    still: list[bytes]
    numberings: list[bytes]
    missing: dict[int, list[tuple[int, int]]]
    receipts: dict[str, tuple[bytes, bytes]]
    translations: dict[int, tuple[int, list[int]]]


_CHECK_TYPES: Final = ("i4", "i8", "f8", "i8", "f8", "u1")
_STILL_TYPES: Final = ("i4", "f8", "i8", "i8", "i4")
_NUMBERING_TYPES: Final = ("i4", "i8", "i8", "i8")


def encode_snapshot(state: LaneState, position: Position) -> bytes:
    """The state as of ``position`` (the newest frame it has seen) as bytes."""
    check = state.checker.state()
    columns = (check.series, check.reference_at, check.reference, check.suspect_at, check.suspect,
               check.suspects)  # fmt: skip
    still = state.checker.stillness.state()
    stands = (still.series, still.value, still.since, still.newest_at, still.count)
    numbered = state.sequences.state()
    counted = (numbered.device, numbered.highest, numbered.boot, numbered.newest_at)
    body = msgspec.msgpack.encode(
        _Snapshot(
            format=FORMAT,
            epoch=position.epoch,
            n=position.n,
            revision=state.journaled_revision,
            resubmitted=sorted(state.resubmitted),
            ticked_at=state.ticked_at,
            check=[column.tobytes() for column in columns],
            still=[column.tobytes() for column in stands],
            numberings=[column.tobytes() for column in counted],
            missing={device: list(ranges) for device, ranges in numbered.missing.items()},
            receipts={
                name: (book.packet_id.tobytes(), book.payload_hash.tobytes())
                for name, book in state.receipts.state().items()
            },
            translations=state.translations.state(),
        )
    )
    return crc32(body).to_bytes(4, "big") + body


def save(directory: Path, encoded: bytes) -> None:
    """Replace the snapshot; durable when this returns."""
    draft = directory / f"{FILE_NAME}.tmp"
    try:
        with draft.open("wb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # on a full disk half a draft would hold what urgent readings need
        draft.unlink(missing_ok=True)
        raise
    draft.replace(directory / FILE_NAME)
    sync_directory(directory)


def restore(state: LaneState, directory: Path, follower: JournalFollower) -> Position | None:
    """Bring a new state up to the end of the journal: snapshot, then the frames after it.

    Returns the newest position. Without a usable snapshot all that the journal keeps is read.
    What is damaged is said and left out: no reading waits for a frame that cannot be had again.
    """
    position = _load(state, directory)
    try:
        follower.retain(position)
    except OSError as error:  # a full disk: an older note keeps more, and urgent must go on
        log.warning("ingest.state.position_not_noted", error=str(error))
    while True:
        try:
            entries = _read(follower, position)
        except JournalDamaged as damaged:
            log.error("ingest.state.frames_left_out", reason=str(damaged))
            if damaged.resume_after is None:
                return position
            position = damaged.resume_after
            continue
        if not entries:
            return position
        state.absorb_all([entry.frame for entry in entries])
        position = entries[-1].position


def _read(follower: JournalFollower, after: Position | None) -> list[Entry]:
    try:
        return follower.read(after)
    except PositionLost as lost:
        log.warning("ingest.state.rebuilt", reason=str(lost))
        return follower.read(None)


def _load(state: LaneState, directory: Path) -> Position | None:
    try:
        encoded = (directory / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    body = encoded[4:]
    try:
        if crc32(body).to_bytes(4, "big") != encoded[:4]:
            raise msgspec.DecodeError("checksum")  # noqa: TRY301 - told below like any other damage
        snapshot = msgspec.msgpack.decode(body, type=_Snapshot)
        if snapshot.format != FORMAT:
            raise msgspec.DecodeError(f"format {snapshot.format}")  # noqa: TRY301 - as above
    except msgspec.DecodeError as error:
        log.warning("ingest.state.unreadable", path=str(directory / FILE_NAME), error=str(error))
        return None
    _fill(state, snapshot)
    return Position(snapshot.epoch, snapshot.n)


def _fill(state: LaneState, snapshot: _Snapshot) -> None:
    state.checker.restore(CheckState(*_columns(snapshot.check, _CHECK_TYPES)))
    state.checker.stillness.restore(StillState(*_columns(snapshot.still, _STILL_TYPES)))
    device, highest, boot, newest_at = _columns(snapshot.numberings, _NUMBERING_TYPES)
    state.sequences.restore(NumberingState(device, highest, boot, newest_at, snapshot.missing))
    state.receipts.restore(
        {
            name: BookState(_column(ids, "u2"), _column(hashes, "u8"))
            for name, (ids, hashes) in snapshot.receipts.items()
        }
    )
    state.translations.restore(snapshot.translations)
    state.journaled_revision = snapshot.revision
    state.resubmitted = frozenset(snapshot.resubmitted)
    state.ticked_at = snapshot.ticked_at


def _columns(raw: list[bytes], dtypes: tuple[str, ...]) -> list[NDArray[Any]]:
    return [_column(one, dtype) for one, dtype in zip(raw, dtypes, strict=True)]


def _column(raw: bytes, dtype: str) -> NDArray[Any]:
    return np.frombuffer(raw, dtype)
