"""Keeps what the journal says was refused or is missing: quarantine and sequence gaps.

Refuses to know why a message was refused (``ingest.decode``) and who looks at it (dashboards).
Rows and the journal positions are one SQL transaction, so a crash repeats nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from devices import enrolment
from devices.database import writing
from devices.frames import Entry, Lane, Position, RawFrame, RejectedFrame, SequenceGapFrame
from devices.outage_note import OutageNote
from ingest import waiting
from ingest.decode import AWAITS_SERIES
from ingest.gap_rows import drop_oldest, note_gap
from ingest.lanes_reader import Follower, LanesReader, finish
from ingest.messages import OVER_BUDGET
from ingest.tables import quarantine, resubmission, web_position
from ingest.topics import lane_of

log = structlog.get_logger()

_READER: Final = "quarantine"
_FRAMES_A_TRANSACTION: Final = 1000  # keeps it under 50 ms
_IDLE_SAVE_S: Final = 10.0  # how often a position without rows is saved
_RETRY_S: Final = 1.0
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    rows: int = 0
    bytes: int = 0


class RawKeeper(Protocol):
    """Keeps something of raw frames, in the transaction that keeps the journal's position."""

    def start(self) -> None:
        """Begin; what was noted last may not have been kept, and comes again."""

    def wants(self, frame: RawFrame) -> bool:
        """Whether there is anything in it to be kept; asked of every raw frame."""

    def note(self, connection: Connection, frames: Sequence[RawFrame]) -> None:
        """Keep it; must not raise but for the database's sake."""


class QuarantineWriter:
    """One reader ("quarantine") of both lanes; ``run`` is its task."""

    def __init__(
        self,
        database: Engine,
        followers: Mapping[Lane, Follower],
        *,
        keep_rows: int = 100_000,
        keep_bytes: int = 512 * _MIB,
        keep_gaps: int = 1000,
        raw_keeper: RawKeeper | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Keep the newest messages, up to ``keep_rows`` and ``keep_bytes`` of payload.

        Of those over their publisher's budget a quarter of either: a flood drives nothing else out.
        Of each device the newest ``keep_gaps`` gaps: one that numbers at random ends nobody else's.
        """
        self._database, self._reader = database, LanesReader(_READER, followers)
        self._keep_rows, self._keep_bytes, self._keep_gaps = keep_rows, keep_bytes, keep_gaps
        self._devices_over: set[int] = set()
        self._raw_keeper = raw_keeper
        self._monotonic, self._now = monotonic, now
        self._kept_rows = self._kept_bytes = 0
        self._kept_unread = _Kept()
        self._save_at = 0.0
        self._unsaved: dict[Lane, Position] = {}
        self._outage = OutageNote(
            lambda reason: log.error("quarantine.outage.begun", reason=reason),
            lambda: log.warning("quarantine.outage.ended"),
        )
        self.dropped = 0
        """Messages dropped over the bound, ever."""

    @property
    def rows(self) -> int:
        """How many messages are kept now."""
        return self._kept_rows

    async def run(self) -> None:
        """Follow the journal until cancelled; through outages of the database and the disk."""
        with ThreadPoolExecutor(1, "quarantine") as worker:
            while True:
                try:
                    await self._follow(worker)
                except (SQLAlchemyError, OSError) as error:
                    self._outage.note(error)
                    await asyncio.sleep(_RETRY_S)

    async def _follow(self, worker: ThreadPoolExecutor) -> None:
        """Begin where the database is and keep what comes; a failed turn is done again from there.

        Positions without rows are saved at the end of an orderly stop alone.
        """
        await finish(worker, self._start)
        try:
            while True:
                if not await finish(worker, self._turn):
                    await self._reader.wait(0.2)
        except asyncio.CancelledError:
            await finish(worker, self._save_idle)
            raise

    def _start(self) -> None:
        self._unsaved = {}
        if self._raw_keeper:
            self._raw_keeper.start()
        with self._database.connect() as connection:
            rows = connection.execute(
                select(web_position).where(web_position.c.reader == _READER)
            ).all()
            kept = connection.execute(
                select(func.count(), func.coalesce(func.sum(func.length(quarantine.c.payload)), 0))
            ).one()
            unread = connection.execute(
                select(
                    func.count(), func.coalesce(func.sum(func.length(quarantine.c.payload)), 0)
                ).where(quarantine.c.reason == OVER_BUDGET)
            ).one()
        self.dropped = sum(row.dropped for row in rows)
        self._kept_rows, self._kept_bytes = int(kept[0]), int(kept[1])
        self._kept_unread = _Kept(int(unread[0]), int(unread[1]))
        self._reader.start({Lane(row.lane): Position(row.epoch, row.n) for row in rows})
        self._save_at = self._monotonic() + _IDLE_SAVE_S

    def _turn(self) -> bool:
        """Keep what is new in one lane; False where nothing is."""
        if (found := self._reader.read()) is None:
            return False
        lane, entries = found
        wanted = [entry for entry in entries if self._wants(entry)]
        for at in range(0, len(wanted), _FRAMES_A_TRANSACTION):
            self._keep(lane, wanted[at : at + _FRAMES_A_TRANSACTION])
        self._unsaved[lane] = entries[-1].position
        if self._monotonic() >= self._save_at:
            self._save_idle()
        return True

    def _wants(self, entry: Entry) -> bool:
        frame = entry.frame
        if isinstance(frame, RawFrame):
            return self._raw_keeper is not None and self._raw_keeper.wants(frame)
        return isinstance(frame, RejectedFrame | SequenceGapFrame)

    def _keep(self, lane: Lane, entries: Sequence[Entry]) -> None:
        came = [e.frame for e in entries if isinstance(e.frame, RejectedFrame)]
        rejected = [frame for frame in came if frame.reason != enrolment.REASON]
        gaps = [e.frame for e in entries if isinstance(e.frame, SequenceGapFrame)]
        rows, size = len(rejected), sum(len(frame.payload) for frame in rejected)
        with writing(self._database) as connection:
            waiting.note(connection, [f for f in came if f.reason == enrolment.REASON])
            noted = waiting.note(connection, rejected)
            self._insert(connection, lane, rejected, noted)
            for gap in gaps:
                note_gap(connection, gap)
            if self._raw_keeper:
                raw = [e.frame for e in entries if isinstance(e.frame, RawFrame)]
                self._raw_keeper.note(connection, raw)
            over = drop_oldest(connection, {gap.device for gap in gaps}, self._keep_gaps)
            unread, gone_unread = self._drop_unread(connection, rejected)
            gone_rows, gone_bytes = self._drop_oldest(
                connection, rows - gone_unread.rows, size - gone_unread.bytes
            )
            gone_rows, gone_bytes = gone_rows + gone_unread.rows, gone_bytes + gone_unread.bytes
            _save_position(connection, lane, entries[-1].position, gone_rows)
        self._kept_rows += rows - gone_rows
        self._kept_bytes += size - gone_bytes
        self._kept_unread = unread
        self._say_dropped(gone_rows)
        self._say_gaps_dropped(over)
        self._reader.retain({lane: entries[-1].position})
        self._outage.over()

    def _insert(
        self,
        connection: Connection,
        lane: Lane,
        rejected: Sequence[RejectedFrame],
        noted: waiting.Noted,
    ) -> None:
        """Keep them; what only waits for the database is resubmitted at once, for it is here.

        So is what was refused because intake did not know yet that its device is registered.
        """
        rows = [
            _row(lane, frame) | {"candidate": noted.candidates.get(index)}
            for index, frame in enumerate(rejected)
        ]
        at_once = {i for i, frame in enumerate(rejected) if frame.reason == AWAITS_SERIES}
        at_once |= {i for i in noted.registered if not was_sent_again(connection, rejected[i])}
        if later := [row for index, row in enumerate(rows) if index not in at_once]:
            connection.execute(insert(quarantine), later)
        for index in sorted(at_once):
            key = connection.execute(insert(quarantine).values(rows[index])).inserted_primary_key
            if key:
                resubmit(connection, int(key[0]), self._now())

    def _drop_unread(
        self, connection: Connection, came: Sequence[RejectedFrame]
    ) -> tuple[_Kept, _Kept]:
        """Remove the oldest over the bound of what is over budget; (what is kept, what went)."""
        sizes = [len(frame.payload) for frame in came if frame.reason == OVER_BUDGET]
        kept = _Kept(self._kept_unread.rows + len(sizes), self._kept_unread.bytes + sum(sizes))
        gone = _Kept()
        over_rows, over_bytes = kept.rows - self._keep_rows // 4, kept.bytes - self._keep_bytes // 4
        if not sizes or (over_rows <= 0 and over_bytes <= 0):
            return kept, gone
        last = 0
        for id_, length in connection.execute(
            select(quarantine.c.id, func.length(quarantine.c.payload))
            .where(quarantine.c.reason == OVER_BUDGET)
            .order_by(quarantine.c.id)
            .limit(max(over_rows, 0) + _FRAMES_A_TRANSACTION)
        ):
            if gone.rows >= over_rows and gone.bytes >= over_bytes:
                break
            gone, last = _Kept(gone.rows + 1, gone.bytes + length), id_
        connection.execute(
            delete(quarantine).where(quarantine.c.reason == OVER_BUDGET, quarantine.c.id <= last)
        )
        return _Kept(kept.rows - gone.rows, kept.bytes - gone.bytes), gone

    def _drop_oldest(self, connection: Connection, rows: int, size: int) -> tuple[int, int]:
        """Remove the oldest messages over the bound; how many and their bytes."""
        excess_rows = self._kept_rows + rows - self._keep_rows
        excess_bytes = self._kept_bytes + size - self._keep_bytes
        if excess_rows <= 0 and excess_bytes <= 0:
            return 0, 0
        oldest = connection.execute(
            select(quarantine.c.id, func.length(quarantine.c.payload))
            .order_by(quarantine.c.id)
            .limit(max(excess_rows, 0) + _FRAMES_A_TRANSACTION)
        )
        gone_rows = gone_bytes = last = 0
        for id_, length in oldest:
            if gone_rows >= excess_rows and gone_bytes >= excess_bytes:
                break
            gone_rows, gone_bytes, last = gone_rows + 1, gone_bytes + length, id_
        connection.execute(delete(quarantine).where(quarantine.c.id <= last))
        return gone_rows, gone_bytes

    def _say_dropped(self, rows: int) -> None:
        if rows and not self.dropped:
            log.warning("quarantine.messages.dropped", keep_rows=self._keep_rows)
        self.dropped += rows

    def _say_gaps_dropped(self, devices: Collection[int]) -> None:
        for device in sorted(set(devices) - self._devices_over):
            log.warning("quarantine.gaps.dropped", device=device, keep_gaps=self._keep_gaps)
        self._devices_over.update(devices)

    def _save_idle(self) -> None:
        """Save positions that moved past frames which are nothing to us."""
        if self._unsaved:
            with writing(self._database) as connection:
                for lane, position in self._unsaved.items():
                    _save_position(connection, lane, position, 0)
            self._reader.retain(self._unsaved)
            self._unsaved = {}
            self._outage.over()
        self._save_at = self._monotonic() + _IDLE_SAVE_S


def was_sent_again(connection: Connection, frame: RejectedFrame) -> bool:
    """Whether this very message was resubmitted before: by itself it is so once, or for ever."""
    found = connection.execute(
        select(resubmission.c.id)
        .where(
            resubmission.c.received_at == frame.received_at,
            resubmission.c.topic == frame.topic,
            resubmission.c.payload == frame.payload,
        )
        .limit(1)
    )
    return found.first() is not None


def resubmit(connection: Connection, quarantined: int, now: int) -> int | None:
    """Ask intake to take a quarantined message again; the request's id, None if it is gone."""
    row = connection.execute(select(quarantine).where(quarantine.c.id == quarantined)).first()
    if row is None:
        return None
    request = connection.execute(
        insert(resubmission).values(
            quarantine=row.id,
            created_at=now,
            topic=row.topic,
            payload=row.payload,
            received_at=row.received_at,
            lane=row.lane if row.network else lane_of(row.topic).value,
            network=row.network,
        )
    )
    key = request.inserted_primary_key
    return int(key[0]) if key else None


def _row(lane: Lane, frame: RejectedFrame) -> dict[str, object]:
    return {
        "received_at": frame.received_at,
        "lane": lane.value,
        "topic": frame.topic,
        "payload": frame.payload,
        "reason": frame.reason,
        "detail": frame.detail,
        "network": frame.network,
    }


def _save_position(connection: Connection, lane: Lane, position: Position, dropped: int) -> None:
    place = {"epoch": position.epoch, "n": position.n}
    mine = (web_position.c.reader == _READER) & (web_position.c.lane == lane.value)
    changed = connection.execute(
        update(web_position).where(mine).values(**place, dropped=web_position.c.dropped + dropped)
    )
    if changed.rowcount == 0:
        connection.execute(
            insert(web_position).values(reader=_READER, lane=lane.value, **place, dropped=dropped)
        )
