"""Who is there: sessions, one-time links, passwords.

Every function is one short transaction. Refuses to know HTTP (``routes.login``) and what a person
may see (``permissions``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from alerts.groups import group_names_of, groups_by_person
from alerts.tables import person
from dashboards.permissions import Role, View, view_of
from dashboards.tables import audit, login_token, password, session
from dashboards.tokens import MAX_PASSWORD_CHARS, is_password, new_token, token_hash
from devices.database import writing

SESSION_TTL_MS: Final = 14 * 24 * 3_600_000
LINK_TTL_S: Final = 3600
_DETAIL_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with a living session."""

    id: int
    name: str
    display_name: str
    role: str
    language: str
    session: str  # the token's hash
    groups: tuple[str, ...] = ()

    @property
    def view(self) -> View:
        """What this person may see."""
        return view_of(self.role, self.name, self.groups)


_VISITOR_COLUMNS: Final = (
    person.c.id,
    person.c.name,
    person.c.display_name,
    person.c.role,
    person.c.language,
)


def visitor_of(database: Engine, token: str, now: int) -> Visitor | None:
    """The person whose session the token opens; None if it is unknown, expired or revoked."""
    wanted = token_hash(token)
    with database.connect() as connection:
        row = connection.execute(
            select(*_VISITOR_COLUMNS)
            .join(session, session.c.person == person.c.id)
            .where(session.c.token_hash == wanted, session.c.expires_at > now, person.c.is_active)
        ).first()
        return _visitor(connection, row, wanted) if row else None


def living_sessions(database: Engine, hashes: Collection[str], now: int) -> dict[str, View]:
    """Those of the sessions that still live, each with its person's present view."""
    with database.connect() as connection:
        rows = connection.execute(
            select(session.c.token_hash, person.c.role, person.c.name)
            .join(person, session.c.person == person.c.id)
            .where(session.c.expires_at > now, person.c.is_active)
        ).all()
        groups = groups_by_person(connection)
    wanted = set(hashes)
    return {
        row.token_hash: view_of(row.role, row.name, groups.get(row.name, ()))
        for row in rows
        if row.token_hash in wanted
    }


def log_in(database: Engine, name: str, given: str, now: int) -> tuple[str, Visitor] | None:
    """A new session's token for the right name and password, else None; both take as long.

    Takes about 50 ms of CPU and 64 MiB: call it in a thread, few at a time.
    """
    with database.connect() as connection:
        row = connection.execute(
            select(*_VISITOR_COLUMNS, password.c.hash)
            .join(password, password.c.person == person.c.id)
            .where(person.c.name == name, person.c.is_active)
        ).first()
    is_right = is_password(given[:MAX_PASSWORD_CHARS], row.hash if row else None)
    is_right = is_right and len(given) <= MAX_PASSWORD_CHARS
    with writing(database) as connection:
        if row is None or not is_right:
            note(connection, now, row.id if row else None, "login.refused", "password")
            return None
        return _open_session(connection, row, now, "password")


def create_login_link(database: Engine, person_id: int, now: int, ttl_s: float = LINK_TTL_S) -> str:
    """A token for ``/login/{token}`` that opens one session, once, within ``ttl_s``."""
    token = new_token()
    with writing(database) as connection:
        connection.execute(
            insert(login_token).values(
                token_hash=token_hash(token),
                person=person_id,
                created_at=now,
                expires_at=now + int(ttl_s * 1000),
            )
        )
        note(connection, now, None, "login.link_created", f"person {person_id}")
    return token


def use_login_link(database: Engine, token: str, now: int) -> tuple[str, Visitor] | None:
    """Spend a one-time token for a session; None if it is unknown, spent or expired."""
    wanted = token_hash(token)
    is_usable = (
        (login_token.c.token_hash == wanted)
        & login_token.c.used_at.is_(None)
        & (login_token.c.expires_at > now)
    )
    with writing(database) as connection:
        spent = connection.execute(update(login_token).where(is_usable).values(used_at=now))
        if spent.rowcount != 1:
            return None
        row = connection.execute(
            select(*_VISITOR_COLUMNS)
            .join(login_token, login_token.c.person == person.c.id)
            .where(login_token.c.token_hash == wanted, person.c.is_active)
        ).first()
        return _open_session(connection, row, now, "link") if row else None


def create_access_token(database: Engine, person_id: int, now: int, ttl_s: int) -> str:
    """A session token for a program, sent as ``Authorization: Bearer``; it acts as the person."""
    token = new_token()
    with writing(database) as connection:
        _insert_session(connection, token, person_id, now, now + ttl_s * 1000)
        note(connection, now, None, "access_token.created", f"person {person_id}")
    return token


def log_out(database: Engine, visitor: Visitor, now: int) -> None:
    """End the visitor's session for good."""
    with writing(database) as connection:
        connection.execute(delete(session).where(session.c.token_hash == visitor.session))
        note(connection, now, visitor.id, "logout", "session")


def end_sessions_of(connection: Connection, person_id: int) -> None:
    """Revoke all sessions and unspent links of a person (new password, role or departure)."""
    connection.execute(delete(session).where(session.c.person == person_id))
    connection.execute(delete(login_token).where(login_token.c.person == person_id))


def forget_expired(database: Engine, now: int) -> int:
    """Remove expired sessions and links; how many."""
    with writing(database) as connection:
        gone = connection.execute(delete(session).where(session.c.expires_at <= now)).rowcount
        return gone + (
            connection.execute(delete(login_token).where(login_token.c.expires_at <= now)).rowcount
        )


def note(
    connection: Connection, at: int, by: int | None, action: str, subject: str, *, detail: str = ""
) -> None:
    """Write down who did what to what, in the transaction that does it."""
    connection.execute(
        insert(audit).values(
            at=at, person=by, action=action, subject=subject, detail=detail[:_DETAIL_CHARS]
        )
    )


def _open_session(connection: Connection, row: Any, now: int, how: str) -> tuple[str, Visitor]:
    token = new_token()
    _insert_session(connection, token, row.id, now, now + SESSION_TTL_MS)
    note(connection, now, row.id, "login.accepted", how)
    return token, _visitor(connection, row, token_hash(token))


def _insert_session(
    connection: Connection, token: str, person_id: int, now: int, expires_at: int
) -> None:
    connection.execute(
        insert(session).values(
            token_hash=token_hash(token), person=person_id, created_at=now, expires_at=expires_at
        )
    )


def _visitor(connection: Connection, row: Any, hashed: str) -> Visitor:
    groups = group_names_of(connection, row.id) if row.role == Role.OWNER else ()
    return Visitor(row.id, row.name, row.display_name, row.role, row.language, hashed, groups)
