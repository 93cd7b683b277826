"""What the feeds process writes and web reads: feeds, documents, warnings, rain.

A document and all that it says are one transaction, its file name is its identity: one that comes
again changes nothing, and a process killed in the middle leaves the tables as they were. Refuses to
know the network and what holds now (``standing``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, and_, delete, func, insert, select, update

from devices.database import writing
from devices.outcomes import Rejected
from ingest.feeds.atom import Entry
from ingest.feeds.fetch import NO_VALIDATORS, Validators
from ingest.feeds.jma_xml import Change, Document
from ingest.feeds.names import DocumentType
from ingest.feeds.tables import (
    feed_document,
    feed_state,
    weather_rain,
    weather_tag,
    weather_warning,
)

KEEP_DAYS: Final = 40
KEEP_DOCUMENTS: Final = 20_000
MAX_TRIES: Final = 10
_DAY_MS: Final = 86_400_000
_DONE: Final = ("read", "rejected", "skipped")
_IDS_AT_ONCE: Final = 500
_DETAIL_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class FeedState:
    """How one feed is; times are ms UTC, None: never.

    ``good_at``: when all that it lists for us had been read, last. ``error`` since ``error_since``
    is why it is not good since then.
    """

    feed: str
    url: str
    tried_at: int | None = None
    good_at: int | None = None
    error: str | None = None
    error_since: int | None = None
    newest_entry_at: int | None = None
    validators: Validators = NO_VALIDATORS


class FeedBook:
    """The tables of outside feeds; only the feeds process calls what writes."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    # -- feeds

    def states(self) -> dict[str, FeedState]:
        """All feeds that were ever tried, by name."""
        with self._database.connect() as connection:
            rows = connection.execute(select(feed_state)).all()
        return {
            row.feed: FeedState(
                row.feed,
                row.url,
                row.tried_at,
                row.good_at,
                row.error,
                row.error_since,
                row.newest_entry_at,
                Validators(row.etag or "", row.last_modified or ""),
            )
            for row in rows
        }

    def note(self, state: FeedState) -> None:
        """Keep how a feed is."""
        values = {
            "url": state.url,
            "tried_at": state.tried_at,
            "good_at": state.good_at,
            "error": state.error,
            "error_since": state.error_since,
            "newest_entry_at": state.newest_entry_at,
            "etag": state.validators.etag,
            "last_modified": state.validators.last_modified,
        }
        with writing(self._database) as connection:
            of_feed = feed_state.c.feed == state.feed
            if connection.execute(update(feed_state).where(of_feed).values(values)).rowcount == 0:
                connection.execute(insert(feed_state).values(feed=state.feed, **values))

    # -- documents

    def known(self, ids: Iterable[str]) -> frozenset[str]:
        """Which of these documents are done with: read, refused, passed over."""
        asked = list(ids)
        found: set[str] = set()
        with self._database.connect() as connection:
            for first in range(0, len(asked), _IDS_AT_ONCE):
                some = asked[first : first + _IDS_AT_ONCE]
                rows = connection.execute(
                    select(feed_document.c.id).where(
                        feed_document.c.id.in_(some), feed_document.c.outcome.in_(_DONE)
                    )
                )
                found.update(rows.scalars())
        return frozenset(found)

    def last_read(self, kinds: Iterable[DocumentType]) -> dict[str, int]:
        """When (listed, ms UTC) the newest document of each type was read."""
        found = {}
        with self._database.connect() as connection:
            for kind in kinds:
                newest = connection.execute(
                    select(func.max(feed_document.c.listed_at)).where(
                        feed_document.c.type.startswith(kind.type),
                        feed_document.c.outcome == "read",
                    )
                ).scalar()
                if newest is not None:
                    found[kind.type] = newest
        return found

    def keep(self, entry: Entry, kind: DocumentType, document: Document, now: int) -> None:
        """A document was read: keep all that it says, and what it takes back or corrects."""
        with writing(self._database) as connection:
            if _is_done(connection, entry.id):
                return
            _forget(connection, entry.id)
            connection.execute(insert(feed_document).values(**_row(entry, kind, document, now)))
            _keep_warnings(connection, entry.id, document)
            _keep_rain(connection, entry.id, document)
            _settle_cancellations(connection, entry, kind, now)

    def reject(self, entry: Entry, refused: Rejected, now: int) -> None:
        """A document cannot be understood; it is not asked for again."""
        detail = f"{refused.reason}: {refused.detail}"
        with writing(self._database) as connection:
            _note_outcome(connection, entry, "rejected", detail, now)

    def fail(self, entry: Entry, why: str, now: int) -> None:
        """A document could not be had; after ``MAX_TRIES`` it is not asked for again."""
        with writing(self._database) as connection:
            tries = _note_outcome(connection, entry, "failed", why, now)
            if tries >= MAX_TRIES:
                _note_outcome(connection, entry, "rejected", f"not had: {why}", now)

    def skip(self, entries: Iterable[Entry], now: int) -> None:
        """Older ones that newer ones of the same list make needless."""
        with writing(self._database) as connection:
            for entry in entries:
                _note_outcome(connection, entry, "skipped", "", now)

    def unread(self, since: int) -> list[Unread]:
        """Documents listed after ``since`` that could not be had or understood, newest first."""
        columns = feed_document.c
        with self._database.connect() as connection:
            rows = connection.execute(
                select(columns.id, columns.url, columns.type, columns.office, columns.listed_at,
                       columns.outcome, columns.detail)
                .where(columns.outcome.in_(("rejected", "failed")), columns.listed_at > since)
                .order_by(columns.listed_at.desc())
                .limit(100)
            ).all()  # fmt: skip
        return [Unread(*row) for row in rows]

    def newest_read(self, type_: str, office: str) -> int:
        """When the newest document of this type and office that was read was listed; 0: none."""
        columns = feed_document.c
        with self._database.connect() as connection:
            found = connection.execute(
                select(func.max(columns.listed_at)).where(
                    columns.type == type_,
                    columns.office == office,
                    columns.outcome == "read",
                    columns.is_exercise.is_(False),
                )
            ).scalar()
        return found or 0

    def counts(self) -> dict[str, int]:
        """Documents kept, by outcome."""
        with self._database.connect() as connection:
            rows = connection.execute(
                select(feed_document.c.outcome, func.count()).group_by(feed_document.c.outcome)
            ).all()
        return {str(row[0]): int(row[1]) for row in rows}

    def prune(self, now: int) -> None:
        """Drop what is old; the newest read document of each type, office and event stays."""
        columns = feed_document.c
        newest = (
            select(func.max(columns.id))
            .where(columns.outcome == "read", columns.cancelled_at.is_(None))
            .group_by(columns.type, columns.office, columns.event_id, columns.is_exercise)
        )
        with writing(self._database) as connection:
            count = connection.execute(select(func.count()).select_from(feed_document)).scalar_one()
            horizon = now - KEEP_DAYS * _DAY_MS
            if count > KEEP_DOCUMENTS:
                horizon = connection.execute(
                    select(columns.listed_at).order_by(columns.listed_at.desc())
                    .offset(KEEP_DOCUMENTS // 2).limit(1)
                ).scalar_one()  # fmt: skip
            old = and_(columns.listed_at < horizon, columns.id.not_in(newest))
            connection.execute(delete(feed_document).where(old))


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that could not be had (``failed``) or understood (``rejected``)."""

    id: str
    url: str
    type: str
    office: str
    listed_at: int
    outcome: str
    detail: str


def _is_done(connection: Connection, id_: str) -> bool:
    outcome = connection.execute(
        select(feed_document.c.outcome).where(feed_document.c.id == id_)
    ).scalar()
    return outcome == "read"


def _forget(connection: Connection, id_: str) -> None:
    connection.execute(delete(feed_document).where(feed_document.c.id == id_))


def _note_outcome(connection: Connection, entry: Entry, outcome: str, detail: str, now: int) -> int:
    """Keep what became of a document that was not read; returns how often it was tried."""
    of_entry = feed_document.c.id == entry.id
    before = connection.execute(
        select(feed_document.c.outcome, feed_document.c.tries).where(of_entry)
    ).first()
    if before is not None and before.outcome == "read":
        return int(before.tries)
    tries = (before.tries if before else 0) + (outcome == "failed")
    values = {
        "outcome": outcome,
        "detail": detail[:_DETAIL_CHARS],
        "tries": tries,
        "taken_at": now,
    }
    if before is None:
        connection.execute(insert(feed_document).values(**_listed(entry), **values))
    else:
        connection.execute(update(feed_document).where(of_entry).values(values))
    return int(tries)


def _listed(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "url": entry.url,
        "type": entry.type,
        "office": entry.office,
        "listed_at": entry.listed_at,
    }


def _row(entry: Entry, kind: DocumentType, document: Document, now: int) -> Mapping[str, object]:
    return {
        **_listed(entry),
        "taken_at": now,
        "outcome": "read",
        "detail": "; ".join(document.remarks)[:_DETAIL_CHARS],
        "title": document.title,
        "publisher": document.publisher,
        "change": document.change.value,
        "status": document.status,
        "is_exercise": document.is_exercise,
        "is_summary": kind.is_summary,
        "groups": ",".join(kind.groups),
        "reported_at": document.reported_at,
        "made_at": document.made_at,
        "valid_until": document.valid_until,
        "event_id": document.event_id,
        "headline": document.headline,
    }


def _keep_warnings(connection: Connection, id_: str, document: Document) -> None:
    """A row for each kind, and one without kind for each area: the document speaks of it."""
    common = {
        "document": id_,
        "reported_at": document.reported_at,
        "valid_until": document.valid_until,
        "is_exercise": document.is_exercise,
    }
    rows: list[dict[str, object]] = []
    for area in document.areas:
        where = {**common, "area_code": area.code, "area_name": area.name}
        rows.append(
            {**where, "kind_code": "", "group_name": "", "name": "", "name_en": "", "level": None,
             "status": "", "is_in_force": False, "stated_at": None}
        )  # fmt: skip
        rows += [
            {**where, "kind_code": kind.code, "group_name": kind.group, "name": kind.name,
             "name_en": kind.name_en, "level": kind.level, "status": kind.status,
             "is_in_force": kind.is_in_force, "stated_at": kind.stated_at}
            for kind in area.kinds
        ]  # fmt: skip
    if rows:
        connection.execute(insert(weather_warning), rows)


def _keep_rain(connection: Connection, id_: str, document: Document) -> None:
    amounts = [
        {"document": id_, "area_code": one.area_code, "area_name": one.area_name,
         "place": one.place, "quantity": one.quantity, "from_at": one.from_at,
         "to_at": one.to_at, "value_mm": one.value_mm, "words": one.words,
         "is_forecast": one.is_forecast}
        for one in document.rain
    ]  # fmt: skip
    tags = [
        {"document": id_, "condition": tag.condition, "area_code": tag.area_code,
         "area_name": tag.area_name}
        for tag in document.tags
    ]  # fmt: skip
    if amounts:
        connection.execute(insert(weather_rain), amounts)
    if tags:
        connection.execute(insert(weather_tag), tags)


def _settle_cancellations(
    connection: Connection, entry: Entry, kind: DocumentType, now: int
) -> None:
    """Mark what a cancellation takes back, whichever of the two came first.

    It names no document: it has the type, office, event and report time of the one that it takes
    back, and was made after it. A bulletin's event is enough. When nothing fits, nothing is
    touched: better a warning too many.
    """
    columns = feed_document.c
    alike = and_(
        columns.outcome == "read", columns.type == entry.type, columns.office == entry.office
    )
    rows = connection.execute(
        select(columns.id, columns.change, columns.is_exercise, columns.reported_at,
               columns.made_at, columns.event_id, columns.cancelled_at).where(alike)
    ).all()  # fmt: skip
    for taking in (row for row in rows if row.change == Change.CANCELLED.value):
        for row in rows:
            if row.change == Change.CANCELLED.value or row.cancelled_at is not None:
                continue
            is_same = row.reported_at == taking.reported_at and row.event_id == taking.event_id
            is_event = kind.role == "bulletin" and row.event_id and row.event_id == taking.event_id
            if (
                row.is_exercise == taking.is_exercise
                and row.made_at <= taking.made_at
                and (is_same or is_event)
            ):
                _cancel(connection, row.id, taking.id, now)


def _cancel(connection: Connection, id_: str, by: str, now: int) -> None:
    connection.execute(
        update(feed_document)
        .where(feed_document.c.id == id_)
        .values(cancelled_at=now, cancelled_by=by)
    )
    connection.execute(
        update(weather_warning).where(weather_warning.c.document == id_).values(cancelled_at=now)
    )
