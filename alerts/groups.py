"""Groups of people: the hunters of a district, a cooperative, a water users' association.

A device's owner is the name of a person or of a group, so no group has a person's name. Refuses to
know what owners may see (``dashboards.permissions``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from alerts.tables import person, person_group, person_group_member
from devices.database import writing

_NAME: Final = re.compile(r"[^\s;,:]{1,64}")
_MAX_DISPLAY_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Group:
    """``members`` are names of people, sorted."""

    name: str
    display_name: str
    members: tuple[str, ...]


_BELONGING: Final = (
    select(person_group.c.name.label("group_name"), person.c.name.label("person_name"))
    .join_from(person_group_member, person, person_group_member.c.person == person.c.id)
    .join(person_group, person_group_member.c.person_group == person_group.c.id)
    .order_by(person_group.c.name, person.c.name)
)


class GroupError(ValueError):
    """A group that cannot be; the person is shown the message, nothing was written."""


def groups(database: Engine) -> list[Group]:
    """All groups, by name."""
    with database.connect() as connection:
        rows = connection.execute(select(person_group).order_by(person_group.c.name)).all()
        belonging = connection.execute(_BELONGING).all()
    members: dict[str, list[str]] = {row.name: [] for row in rows}
    for one in belonging:
        members[one.group_name].append(one.person_name)
    return [Group(row.name, row.display_name, tuple(members[row.name])) for row in rows]


def groups_by_person(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The names of the groups to which people belong, by the person's name."""
    found: dict[str, tuple[str, ...]] = {}
    for one in connection.execute(_BELONGING):
        found[one.person_name] = (*found.get(one.person_name, ()), one.group_name)
    return found


def group_names_of(connection: Connection, person_id: int) -> tuple[str, ...]:
    """The groups to which a person belongs, sorted."""
    rows = connection.execute(
        select(person_group.c.name)
        .join_from(
            person_group_member,
            person_group,
            person_group_member.c.person_group == person_group.c.id,
        )
        .where(person_group_member.c.person == person_id)
        .order_by(person_group.c.name)
    )
    return tuple(rows.scalars())


def owner_names(database: Engine) -> frozenset[str]:
    """Everybody who can own a device: all people and groups."""
    with database.connect() as connection:
        people = connection.execute(select(person.c.name)).scalars().all()
        return frozenset(people).union(connection.execute(select(person_group.c.name)).scalars())


def put_group(database: Engine, name: str, display_name: str, members: Sequence[str]) -> bool:
    """Add a group or give it this name for people and these members; False if it stands so.

    Raises GroupError for a name that cannot be or is a person's, and for a member who is nobody.
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise GroupError(f"group {name!r}: 1 to 64 characters without spaces and ; , : expected")
    if len(display_name) > _MAX_DISPLAY_NAME or not display_name.isprintable():
        raise GroupError(f"display_name: at most {_MAX_DISPLAY_NAME} printable characters expected")
    with writing(database) as connection:
        ids = _ids_of_people(connection)
        if name in ids:
            raise GroupError(f"group {name!r}: a person has this name")
        if strangers := [member for member in members if member not in ids]:
            raise GroupError(f"nobody is named {strangers[0]!r}")
        wanted = {ids[member] for member in members}
        return _store(connection, name, display_name or name, wanted)


def is_group(connection: Connection, name: str) -> bool:
    """Whether a group has this name."""
    found = connection.execute(select(person_group.c.id).where(person_group.c.name == name))
    return found.first() is not None


def _ids_of_people(connection: Connection) -> dict[str, int]:
    return {row.name: row.id for row in connection.execute(select(person.c.name, person.c.id))}


def _store(connection: Connection, name: str, display_name: str, wanted: set[int]) -> bool:
    known = connection.execute(
        select(person_group).where(person_group.c.name == name)
    ).one_or_none()
    if known is None:
        group = connection.execute(
            insert(person_group)
            .values(name=name, display_name=display_name)
            .returning(person_group.c.id)
        ).scalar_one()
        present: set[int] = set()
    else:
        group = known.id
        of_group = person_group_member.c.person_group == group
        present = set(
            connection.execute(select(person_group_member.c.person).where(of_group)).scalars()
        )
        if (known.display_name, present) == (display_name, wanted):
            return False
        connection.execute(
            update(person_group).where(person_group.c.id == group).values(display_name=display_name)
        )
        connection.execute(delete(person_group_member).where(of_group))
    if wanted:
        connection.execute(
            insert(person_group_member),
            [{"person_group": group, "person": member} for member in sorted(wanted)],
        )
    return True
