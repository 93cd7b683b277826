"""How a lane gets what was made of raw frames: messages of a connection, and refusals.

Their connection is named by the epoch of the raw frames' journal, their hash is the frame's number:
by these they are known again after a death (``ingest.translations``).
"""

from __future__ import annotations

from itertools import groupby

import numpy as np

from devices.frames import RejectedFrame
from devices.outcomes import Rejected
from ingest.messages import TRANSLATED, Arrival, Origin
from ingest.raw_progress import Item
from ingest.translation import Translated

Ready = tuple[Item, Translated | Rejected]
"""A raw frame and what became of it."""


def _connection(item: Item) -> str:
    return f"{TRANSLATED}{item.position.epoch}"


def arrivals(ready: list[Ready]) -> list[Arrival]:
    """Translated messages as messages of a connection, one for each epoch, in their order."""
    translated = [(item, found) for item, found in ready if isinstance(found, Translated)]
    translated.sort(key=lambda pair: pair[0].position.epoch)  # stable: a device's stay in order
    found_arrivals = []
    for connection, group in groupby(translated, key=lambda pair: _connection(pair[0])):
        of = list(group)
        found_arrivals.append(
            Arrival(
                connection,
                [found.topic.encode() for _, found in of],
                [found.payload for _, found in of],
                np.zeros(len(of), np.uint16),
                (),
                np.array([item.raw.received_at for item, _ in of], np.int64),
                origins=[Origin(item.position.n, item.raw) for item, _ in of],
            )
        )
    return found_arrivals


def refusals(ready: list[Ready]) -> list[RejectedFrame]:
    """What could not be translated, as it came."""
    return [
        RejectedFrame(
            item.raw.topic,
            item.raw.payload,
            item.raw.received_at,
            found.reason,
            found.detail,
            _connection(item),
            0,
            item.position.n,
            item.raw.network,
        )
        for item, found in ready
        if isinstance(found, Rejected)
    ]
