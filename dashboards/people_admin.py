"""People as the command line makes them: add, password, link, role, leave. All go to the audit log.

There is no default person and no default password: the first link is made on the machine itself.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, delete, insert, update

from alerts.people import ROLES, Person, add_person, person_named
from alerts.tables import person
from dashboards.auth import create_access_token, create_login_link, end_sessions_of, note
from dashboards.tables import password as password_table
from dashboards.tokens import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, password_hash
from devices.database import writing

__all__ = [
    "create_access_token",
    "create_login_link",
    "create_person",
    "deactivate",
    "set_password",
    "set_role",
]

_EASY: Final = frozenset({"password12", "satomori12", "1234567890", "0123456789", "qwertyuiop"})


def create_person(
    database: Engine,
    name: str,
    *,
    role: str,
    now: int,
    display_name: str = "",
    mail_address: str | None = None,
    language: str = "ja",
    password: str | None = None,
) -> Person:
    """Add somebody, with a password if one is given; without, they come in by links.

    Raises ValueError for an unknown role, a name already taken, or a password that is too weak.
    """
    if password is not None:
        _check_password(password, name)
    added = add_person(
        database,
        name,
        role=role,
        display_name=display_name,
        mail_address=mail_address,
        language=language,
    )
    with writing(database) as connection:
        note(connection, now, None, "person.added", name, detail=role)
    if password is not None:
        set_password(database, added.id, password, now=now)
    return added


def set_password(database: Engine, person_id: int, password: str, *, now: int) -> None:
    """Give a person a new password and end their sessions; ValueError if it is too weak."""
    _check_password(password)
    hashed = password_hash(password)
    with writing(database) as connection:
        connection.execute(delete(password_table).where(password_table.c.person == person_id))
        connection.execute(
            insert(password_table).values(person=person_id, hash=hashed, changed_at=now)
        )
        end_sessions_of(connection, person_id)
        note(connection, now, None, "person.password_set", f"person {person_id}")


def set_role(database: Engine, name: str, role: str, *, now: int) -> None:
    """Give a person another role and end their sessions; ValueError if either is unknown."""
    if role not in ROLES:
        raise ValueError(f"role {role!r}: must be one of {', '.join(ROLES)}")
    _change(database, name, {"role": role}, "person.role_set", now)


def deactivate(database: Engine, name: str, *, now: int) -> None:
    """Let a person in no more; what they did stays on record. ValueError if unknown."""
    _change(database, name, {"is_active": False}, "person.deactivated", now)


def _change(database: Engine, name: str, values: dict[str, object], action: str, now: int) -> None:
    known = person_named(database, name)
    if known is None:
        raise ValueError(f"nobody is named {name!r}")
    with writing(database) as connection:
        connection.execute(update(person).where(person.c.id == known.id).values(values))
        end_sessions_of(connection, known.id)
        said = " ".join(str(value) for value in values.values())
        note(connection, now, None, action, name, detail=said)


def _check_password(password: str, name: str = "") -> None:
    """NIST SP 800-63B: length counts, composition rules do not; the easiest ones are refused."""
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise ValueError(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    is_one_character = len(set(password)) < 3
    if is_one_character or password.lower() in _EASY or (name and password.lower() == name.lower()):
        raise ValueError("this password is among the first that are guessed")
