"""Which redelivered messages are in the journal already: acknowledge them, write them no more.

A process that dies between journal and PUBACK gets the same messages again, flagged DUP, with the
packet ids they had. Refuses to know sockets and the journal; the book is filled by what is written
and rebuilt from it.

Only DUP-flagged QoS 1 messages are ever matched, on (connection, packet id, hash of topic and
payload). The broker reuses packet ids, so an entry ends when its id comes again without DUP, and in
any case ``WINDOW`` messages later: a device without clock and numbers may well send the very same
bytes under the same id one round of 65,535 later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

UInt16s = NDArray[np.uint16]
UInt64s = NDArray[np.uint64]

WINDOW: Final = 60_000
"""How many messages an entry outlives; below the 65,535 packet ids.

Far above the receive maximum: mosquitto 2.0.11 lets more be in flight than it was asked for, and
acknowledgements that it had not read yet are lost with a connection.
"""

_IDS: Final = 65_536


def payload_hash(topic: bytes, payload: bytes) -> int:
    """64 bits, the same in every process: CRC-32 of the topic, then CRC-32 of the payload.

    Not cryptographic: a forged collision needs the same topic, which the broker's ACL binds to the
    device, and could only hide the forger's own message.
    """
    return crc32(topic) << 32 | crc32(payload)


def payload_hashes(topics: Sequence[bytes], payloads: Sequence[bytes]) -> UInt64s:
    """`payload_hash` of many messages."""
    high = np.fromiter(map(crc32, topics), np.uint64, len(topics))
    low = np.fromiter(map(crc32, payloads), np.uint64, len(payloads))
    return (high << np.uint64(32)) | low


@dataclass(frozen=True, slots=True)
class BookState:
    """Live entries of one connection, oldest first, for a snapshot."""

    packet_id: UInt16s
    payload_hash: UInt64s


class ReceiptBook:
    """What has been journaled, by connection and packet id."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}

    def is_fresh(
        self,
        connection: str,
        packet_ids: UInt16s,
        hashes: UInt64s,
        redelivered: Sequence[int],
    ) -> NDArray[np.bool_]:
        """Mask of the messages that must be written; all of them are in the book afterwards.

        ``redelivered`` are the indices with the DUP flag. Call it once for each batch, in order.
        """
        page = self._page(connection)
        is_fresh = np.ones(len(packet_ids), np.bool_)
        if redelivered:
            page.match(packet_ids, hashes, redelivered, is_fresh)
        else:
            page.enter(packet_ids, hashes)
        return is_fresh

    def enter(self, connection: str, packet_ids: UInt16s, hashes: UInt64s) -> None:
        """Note what a journal frame says was written (on the way up after a start)."""
        if connection:
            self._page(connection).enter(packet_ids, hashes)

    def forget(self, connection: str) -> None:
        """The broker has lost the session: its packet ids mean nothing any more."""
        self._pages.pop(connection, None)

    def connections(self) -> tuple[str, ...]:
        """Connections that have entries: they had a session."""
        return tuple(self._pages)

    def state(self) -> dict[str, BookState]:
        """A copy of all live entries by connection."""
        return {name: page.state() for name, page in self._pages.items()}

    def restore(self, state: dict[str, BookState]) -> None:
        """Take the entries of a snapshot."""
        for name, entries in state.items():
            self._page(name).enter(entries.packet_id, entries.payload_hash)

    def _page(self, connection: str) -> _Page:
        page = self._pages.get(connection)
        if page is None:  # not setdefault: a page is a megabyte
            page = self._pages[connection] = _Page()
        return page


class _Page:
    """Entries of one connection: for each packet id the hash and the serial number of its entry."""

    __slots__ = ("_hashes", "_next", "_serials")

    def __init__(self) -> None:
        self._hashes = np.zeros(_IDS, np.uint64)
        self._serials = np.full(_IDS, -_IDS, np.int64)
        self._next = 0

    def enter(self, packet_ids: UInt16s, hashes: UInt64s) -> None:
        count = len(packet_ids)
        self._hashes[packet_ids] = hashes
        self._serials[packet_ids] = np.arange(self._next, self._next + count)
        self._next += count

    def match(
        self, ids: UInt16s, hashes: UInt64s, redelivered: Sequence[int], is_fresh: NDArray[np.bool_]
    ) -> None:
        """Clear ``is_fresh`` where a DUP repeats an entry; enter everything, in order."""
        start = 0
        for row in redelivered:
            self.enter(ids[start:row], hashes[start:row])
            start = row
            is_fresh[row] = not self._holds(int(ids[row]), hashes[row])
        self.enter(ids[start:], hashes[start:])

    def _holds(self, packet_id: int, hashed: np.uint64) -> bool:
        is_live = self._next - self._serials[packet_id] <= WINDOW
        return bool(packet_id and is_live and self._hashes[packet_id] == hashed)

    def state(self) -> BookState:
        live = np.flatnonzero(self._next - self._serials <= WINDOW)
        live = live[np.argsort(self._serials[live])]
        return BookState(live.astype(np.uint16), self._hashes[live])
