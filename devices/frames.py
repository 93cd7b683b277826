"""What the journal carries, as plain values: one frame a position.

Refuses to know bytes, files and checksums (``ingest.journal``) and what anybody does with a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.readings import Int32s, Int64s, Readings


class Lane(StrEnum):
    """Two journals that never wait for each other; readers take urgent first."""

    URGENT = "urgent"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a reader has come: frame ``n`` of the journal ``epoch`` (random at creation)."""

    epoch: int
    n: int


@dataclass(frozen=True, slots=True)
class Receipts:
    """One row a message of a readings frame: what acknowledges it and what it was numbered.

    ``connection`` names the consumer connection; ``packet_id`` uint16 (0 for QoS 0);
    ``payload_hash`` uint64; ``device`` int32 registry id; ``sequence`` int64, -1 where none was
    sent.
    """

    connection: str
    packet_id: NDArray[np.uint16]
    payload_hash: NDArray[np.uint64]
    device: Int32s
    sequence: Int64s


@dataclass(frozen=True, slots=True)
class ReadingsFrame:
    """Checked readings of one batch of messages, in the order of arrival."""

    readings: Readings
    receipts: Receipts


@dataclass(frozen=True, slots=True)
class RejectedFrame:
    """A message that could not be read, kept whole; ``detail`` says where and what.

    ``network`` names the network server that it came from, "" where there was none.
    """

    topic: str
    payload: bytes
    received_at: int
    reason: str
    detail: str
    connection: str = ""
    packet_id: int = 0
    payload_hash: int = 0
    network: str = ""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A message to be decoded behind the journal (a codec's work), kept whole.

    ``network`` names the network server in the settings; "" is a device of our own topics whose
    unit has a codec.
    """

    network: str
    topic: str
    payload: bytes
    received_at: int
    connection: str = ""
    packet_id: int = 0
    payload_hash: int = 0


@dataclass(frozen=True, slots=True)
class StatusFrame:
    """A device said something of itself on its status topic (``online``, ``offline``, JSON)."""

    device: int
    received_at: int
    payload: bytes
    connection: str = ""
    packet_id: int = 0
    payload_hash: int = 0

    @property
    def is_heard(self) -> bool:
        """Whether the device itself was heard: ``offline`` is its will, said by the broker."""
        return self.payload != b"offline"


@dataclass(frozen=True, slots=True)
class SequenceGapFrame:
    """Numbers ``first``..``last`` (inclusive) of a device are missing, or (``is_filled``) came."""

    device: int
    at: int
    first: int
    last: int
    is_filled: bool


@dataclass(frozen=True, slots=True)
class TickFrame:
    """Intake's clock, once a second: the clock of the engine."""

    at: int


@dataclass(frozen=True, slots=True)
class BrokerFrame:
    """Intake gained or lost the broker; time without it is not silence."""

    at: int
    connection: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class RevisionFrame:
    """From here on the registry (and the rules) of this revision hold."""

    at: int
    revision: int


class SeriesDefinition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Series ``series`` is ``quantity`` of the device ``name`` with registry id ``device``.

    A Struct that is an array on the wire: all of them stand at the head of each segment, for each
    reader to decode.
    """

    series: int
    device: int
    name: str
    kind: str
    quantity: str


@dataclass(frozen=True, slots=True)
class SeriesFrame:
    """Definitions that later readings frames need; repeated at the head of each segment."""

    definitions: tuple[SeriesDefinition, ...]


Frame = (
    ReadingsFrame
    | RejectedFrame
    | RawFrame
    | StatusFrame
    | SequenceGapFrame
    | TickFrame
    | BrokerFrame
    | RevisionFrame
    | SeriesFrame
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame where it stands in the journal."""

    position: Position
    frame: Frame
