"""From messages to the frames that keep them, and from frames to what was acknowledged with them.

Pure; refuses to know what is in a message and what the lane remembers (``ingest.lane``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.frames import (
    Frame,
    RawFrame,
    ReadingsFrame,
    Receipts,
    RejectedFrame,
    SeriesDefinition,
    SeriesFrame,
    StatusFrame,
)
from devices.outcomes import Rejected
from ingest.decode import Decoded
from ingest.messages import Arrival, topic_text

_DEFINITIONS_A_FRAME: Final = 5_000
_RECEIPTS_AT_ONCE: Final = 1_000  # frames

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Messages of one connection that frames in a row have kept."""

    connection: str
    packet_id: NDArray[np.uint16]
    payload_hash: Hashes


def series_frames(definitions: Sequence[SeriesDefinition]) -> list[Frame]:
    """Definitions, in frames of bounded size."""
    return [
        SeriesFrame(tuple(definitions[start : start + _DEFINITIONS_A_FRAME]))
        for start in range(0, len(definitions), _DEFINITIONS_A_FRAME)
    ]


def receipts(arrival: Arrival, hashes: Hashes, decoded: Decoded) -> Receipts:
    """Of the messages that gave readings, one row a sample."""
    return Receipts(
        arrival.connection,
        arrival.packet_id[decoded.message],
        hashes[decoded.message],
        decoded.device,
        decoded.sequence,
    )


def statuses(arrival: Arrival, hashes: Hashes, decoded: Decoded) -> Iterable[StatusFrame]:
    """What devices said of themselves."""
    for row, device in decoded.statuses:
        yield StatusFrame(
            device,
            int(arrival.received_at[row]),
            arrival.payloads[row],
            arrival.connection,
            int(arrival.packet_id[row]),
            int(hashes[row]),
        )


def raws(arrival: Arrival, hashes: Hashes) -> Iterable[RawFrame]:
    """All messages, to be translated behind the journal."""
    for row, topic in enumerate(arrival.topics):
        yield RawFrame(
            arrival.network,
            topic_text(topic),
            arrival.payloads[row],
            int(arrival.received_at[row]),
            arrival.connection,
            int(arrival.packet_id[row]),
            int(hashes[row]),
        )


def rejections(
    arrival: Arrival, hashes: Hashes, rejected: Iterable[tuple[int, Rejected]]
) -> Iterable[RejectedFrame]:
    """Messages that could not be read; of a translated one what it was made of."""
    for row, found in rejected:
        if arrival.origins:
            came = arrival.origins[row].raw
            network, topic, payload = came.network, came.topic, came.payload
        else:
            network, payload = arrival.network, arrival.payloads[row]
            topic = topic_text(arrival.topics[row])
        yield RejectedFrame(
            topic,
            payload,
            int(arrival.received_at[row]),
            found.reason,
            found.detail,
            arrival.connection,
            int(arrival.packet_id[row]),
            int(hashes[row]),
            network,
        )


def acknowledged(frames: Iterable[Frame]) -> Iterator[Acknowledged]:
    """What frames say was acknowledged with them, in order, in steps of bounded size."""
    for connection, group in groupby(filter(None, map(_receipt, frames)), itemgetter(0)):
        _, packet_ids, hashes = zip(*group, strict=True)
        for start in range(0, len(packet_ids), _RECEIPTS_AT_ONCE):
            part = slice(start, start + _RECEIPTS_AT_ONCE)
            yield Acknowledged(
                connection, np.concatenate(packet_ids[part]), np.concatenate(hashes[part])
            )


def _receipt(frame: Frame) -> tuple[str, NDArray[np.uint16], Hashes] | None:
    if isinstance(frame, ReadingsFrame):
        of = frame.receipts
        return of.connection, of.packet_id, of.payload_hash
    if isinstance(frame, RejectedFrame | StatusFrame | RawFrame):
        ids, hashes = np.array([frame.packet_id]), np.array([frame.payload_hash], np.uint64)
        return frame.connection, ids.astype(np.uint16), hashes
    return None
