"""What the command line does about credentials, the enrolment key and the waiting list.

The same steps as the API's (`dashboards.credentials`, `dashboards.admission`), by nobody who is
logged in; see docs/decisions/0004-commands-beside-a-running-system.md. A running system's broker
follows by itself; the files are written here, too, for when none runs.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, or_, select

from dashboards import admission, auth
from dashboards.admission import AdmissionError, Admitted, Wish
from dashboards.credentials import NoSuchDevice, make_card, make_missing
from devices import enrolment, enrolment_key
from devices.access_card import AccessCard
from devices.credentials import ENROLMENT_ACCOUNT
from devices.database import writing
from devices.registry import Registry
from ingest.waiting_tables import candidate
from satomori.administration import opened_database, write_broker_files
from satomori.clock import now_ms
from satomori.settings import Settings, SettingsError

_COLUMNS = ("name", "username", "password", "host", "port", "tls", "up", "status", "ack", "down",
            "address")  # fmt: skip


def make_credential(settings: Settings, name: str) -> AccessCard:
    """A new password for the unit in device ``name``; the broker knows it at once."""
    with opened_database(settings) as database:
        try:
            card = make_card(Registry(database), settings.access_point, name, now=now_ms(), by=None)
        except NoSuchDevice as error:
            raise SettingsError(str(error)) from None
    write_broker_files(settings)
    return card


def make_missing_credentials(settings: Settings, file: Path) -> int:
    """Passwords for all devices that log in themselves and have none, into a new CSV (0600)."""
    with opened_database(settings) as database:
        made = make_missing(Registry(database), settings.access_point, _into(file), now=now_ms())
    write_broker_files(settings)
    return made


def make_enrolment_key(settings: Settings) -> str:
    """A new enrolment key with how to use it, for people; the one before is void."""
    with opened_database(settings) as database:
        with writing(database) as connection:
            key = enrolment_key.renew(connection, now_ms())
            auth.note(connection, now_ms(), None, "enrolment.key_made", ENROLMENT_ACCOUNT)
        Registry(database).bump_revision()
    write_broker_files(settings)
    point = settings.access_point
    return "\n".join(
        (
            f"broker    {point.host}:{point.port} ({'TLS' if point.is_tls else 'no TLS'})",
            f"username  {ENROLMENT_ACCOUNT}",
            f"password  {key}",
            f"ask on    {enrolment.request_topic('SERIAL')}",
            f"answer    {enrolment.answer_topic('SERIAL')}",
        )
    )


def revoke_enrolment_key(settings: Settings) -> str:
    """End enrolment; devices that were accepted stay."""
    with opened_database(settings) as database:
        with writing(database) as connection:
            was_on = enrolment_key.revoke(connection)
            if was_on:
                auth.note(connection, now_ms(), None, "enrolment.key_revoked", ENROLMENT_ACCOUNT)
        Registry(database).bump_revision()
    write_broker_files(settings)
    return "the enrolment key is void" if was_on else "there was no enrolment key"


def list_waiting(settings: Settings, state: str) -> list[dict[str, Any]]:
    """Candidates as plain values, expected ones first, then the last heard."""
    with opened_database(settings) as database, database.connect() as connection:
        rows = connection.execute(
            select(candidate)
            .where(candidate.c.state == state)
            .order_by(candidate.c.is_expected.desc(), candidate.c.last_heard_at.desc())
        ).all()
        return [_said_of(row) for row in rows]


def accept_waiting(settings: Settings, given: str, wish: Wish) -> Admitted:
    """Admit the candidate with this number, DevEUI, name or serial number."""
    with opened_database(settings) as database, _refusals():
        done = admission.admit(
            Registry(database),
            _found(settings, given, "waiting"),
            wish,
            settings.access_point,
            now=now_ms(),
            by=None,
        )
    write_broker_files(settings)
    return done


def refuse_waiting(settings: Settings, given: str) -> None:
    """Strike a candidate off the list for good."""
    _decide(settings, given, "waiting", admission.refuse)


def take_back_refused(settings: Settings, given: str) -> None:
    """Let a refused candidate wait again."""
    _decide(settings, given, "refused", admission.take_back)


def _decide(settings: Settings, given: str, state: str, decide: Callable[..., None]) -> None:
    with opened_database(settings) as database, _refusals():
        decide(database, _found(settings, given, state), now=now_ms(), by=None)


def _found(settings: Settings, given: str, state: str) -> int:
    """The number of the one candidate that is meant; raises SettingsError for none and several."""
    which = func.lower(candidate.c.identity) == given.lower()
    if given.isdecimal() and len(given) < 10:
        which = or_(which, candidate.c.id == int(given))
    with opened_database(settings) as database, database.connect() as connection:
        rows = connection.execute(
            select(candidate.c.id, candidate.c.claim).where(which, candidate.c.state == state)
        ).all()
    if not rows:
        raise SettingsError(f"{given!r}: nobody of that number or identity is {state}")
    if len(rows) > 1:
        several = ", ".join(f"{row.id} (fingerprint {row.claim})" for row in rows)
        raise SettingsError(f"{given!r} is claimed by several; name one by its number: {several}")
    return int(rows[0].id)


def _said_of(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id, "identity_kind": row.identity_kind, "identity": row.identity,
        "fingerprint": row.claim, "source": row.source, "is_expected": row.is_expected,
        "messages": row.messages, "first_heard_at": row.first_heard_at,
        "last_heard_at": row.last_heard_at, "hints": row.hints, "state": row.state,
        "device": row.device,
    }  # fmt: skip


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except AdmissionError as error:
        raise SettingsError(f"{error.path}: {error}") from None


def _into(file: Path) -> Callable[[Sequence[AccessCard]], None]:
    """Writes cards to a file that is not there yet and that only we may read."""

    def keep(cards: Sequence[AccessCard]) -> None:
        if not cards:
            return
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}") from None
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(_COLUMNS)
            rows.writerows(map(_row, cards))
            out.flush()
            os.fsync(out.fileno())

    return keep


def _row(card: AccessCard) -> tuple[str, ...]:
    tls = "yes" if card.point.is_tls else "no"
    where = (card.point.host, str(card.point.port), tls)
    return (card.device, card.device, card.password, *where, *card.topics.values(), card.address)
