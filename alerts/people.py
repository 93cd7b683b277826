"""The people who are told and who acknowledge. Refuses to know passwords and sessions (web's)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, Select, insert, select

from alerts.groups import is_group
from alerts.tables import person
from devices.database import writing

ROLES: Final = ("admin", "disaster", "waterworks", "agriculture", "owner", "public")

_NO_PART: Final = r"\s@<>()\[\]\\,;:\""
_MAIL_ADDRESS: Final = re.compile(f"[^{_NO_PART}]+@[^{_NO_PART}]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Fields as in ``alerts.tables.person``; ``language`` is ``ja`` or ``en``."""

    id: int
    name: str
    display_name: str
    role: str
    language: str
    mail_address: str | None
    webhook_url: str | None
    is_active: bool


def is_mail_address(text: str) -> bool:
    """Whether mail can be sent there: ``local@domain``, without quotes, comments and names."""
    return _MAIL_ADDRESS.fullmatch(text) is not None


def people(database: Engine) -> list[Person]:
    """Everybody, by name."""
    return _select(database, select(person).order_by(person.c.name))


def person_named(database: Engine, name: str) -> Person | None:
    """The person of this name, or None."""
    found = _select(database, select(person).where(person.c.name == name))
    return found[0] if found else None


def add_person(
    database: Engine,
    name: str,
    *,
    role: str,
    display_name: str = "",
    mail_address: str | None = None,
    webhook_url: str | None = None,
    language: str = "ja",
) -> Person:
    """Add somebody.

    Raises ValueError for an unknown role or language, a name already taken (a group's too), no
    mail address.
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r}: must be one of {', '.join(ROLES)}")
    if language not in ("ja", "en"):
        raise ValueError(f"language {language!r}: must be ja or en")
    if mail_address and not is_mail_address(mail_address):
        raise ValueError(f"mail {mail_address!r}: must be like hanako@city.example")
    if person_named(database, name):
        raise ValueError(f"person {name!r} is already there")
    with writing(database) as connection:
        if is_group(connection, name):
            raise ValueError(f"person {name!r}: a group has this name")
        connection.execute(
            insert(person).values(
                name=name,
                display_name=display_name or name,
                role=role,
                language=language,
                mail_address=mail_address,
                webhook_url=webhook_url,
            )
        )
    added = person_named(database, name)
    if added is None:
        raise LookupError(f"person {name!r} went while being added")
    return added


def _select(database: Engine, query: Select[tuple[object, ...]]) -> list[Person]:
    with database.connect() as connection:
        return [Person(**row._mapping) for row in connection.execute(query)]
