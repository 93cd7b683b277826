"""Messages on their way in, and what became of them. Plain values.

Refuses to know what is in a message (``ingest.decode``) and what becomes a frame
(``ingest.message_frames``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.frames import RawFrame
from devices.outcomes import Rejected, Remark
from devices.readings import Indices, Int32s, Int64s

OVER_BUDGET: Final = "over_budget"
"""Why a message is refused unread: its publisher has sent too much (``ingest.budget``)."""

RESUBMISSION: Final = "resubmission/"
"""Connection name of a message taken out of quarantine, before the number of its row."""

TRANSLATED: Final = "translated/"
"""Connection name of messages made of raw frames, before the epoch of the journal of these.

The frame's number there stands in the place of the payload's hash."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The raw frame that a translated message was made of; frame ``n`` of its journal."""

    n: int
    raw: RawFrame


@dataclass(frozen=True, slots=True)
class Arrival:
    """Messages of one connection in the order in which they came, as columns.

    ``packet_id`` uint16 (0 for QoS 0), ``redelivered`` the indices of those flagged DUP,
    ``received_at`` int64 ms UTC. ``network`` is the network server that they came from, if any:
    they are kept raw. ``origins`` has one entry a message where they were translated, else none.
    """

    connection: str
    topics: Sequence[bytes]
    payloads: Sequence[bytes]
    packet_id: NDArray[np.uint16]
    redelivered: Sequence[int]
    received_at: Int64s
    network: str = ""
    origins: Sequence[Origin] = ()

    @property
    def is_resubmitted(self) -> bool:
        """Whether staff took it out of quarantine."""
        return self.connection.startswith(RESUBMISSION)


@dataclass(slots=True)
class Tally:
    """What became of a batch, to be counted and shown.

    ``raw`` messages were kept to be translated, ``translated`` ones have been.
    ``numbered`` int32 rows of (publisher, device); ``lags_ms`` from a device's clock to ours
    (`ingest.lags`).
    """

    messages: int = 0
    repeated: int = 0
    raw: int = 0
    translated: int = 0
    readings: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    rejected: list[tuple[str, Rejected]] = field(default_factory=list)
    remarks: list[tuple[int, Remark]] = field(default_factory=list)
    numbers_missing: int = 0
    numbers_filled: int = 0
    numbered: list[Int32s] = field(default_factory=list)
    lags_ms: list[Int64s] = field(default_factory=list)


def chosen_rows(arrival: Arrival, rows: Indices) -> Arrival:
    """Only these messages."""
    chosen = rows.tolist()
    again = set(arrival.redelivered)
    return Arrival(
        arrival.connection,
        [arrival.topics[row] for row in chosen],
        [arrival.payloads[row] for row in chosen],
        arrival.packet_id[rows],
        [place for place, row in enumerate(chosen) if row in again] if again else (),
        arrival.received_at[rows],
        arrival.network,
        [arrival.origins[row] for row in chosen] if arrival.origins else (),
    )


def piece(arrival: Arrival, start: int, stop: int) -> Arrival:
    """Messages ``start`` to before ``stop``."""
    return Arrival(
        arrival.connection,
        arrival.topics[start:stop],
        arrival.payloads[start:stop],
        arrival.packet_id[start:stop],
        [row - start for row in arrival.redelivered if start <= row < stop],
        arrival.received_at[start:stop],
        arrival.network,
        arrival.origins[start:stop],
    )


def topic_text(topic: bytes) -> str:
    """A topic as text, whatever bytes it has."""
    return topic.decode("utf-8", "backslashreplace")


def with_topics(
    arrival: Arrival, rejected: Iterable[tuple[int, Rejected]]
) -> list[tuple[str, Rejected]]:
    """What was refused by topic in place of index; of a translated one the topic it came on."""
    return [(_came_on(arrival, row), found) for row, found in rejected]


def _came_on(arrival: Arrival, row: int) -> str:
    return arrival.origins[row].raw.topic if arrival.origins else topic_text(arrival.topics[row])
