"""Sites and areas: where devices stand, and which part of the city they warn.

A device names both; a name that is new becomes a place of that name, to be described afterwards.
Functions over an open connection; `devices.registry` brings the transaction and its revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Insert, Row, Table, insert, select, update

from devices import tables
from devices.outcomes import shown

MAX_TEXT: Final = 200
_MAX_NOTE: Final = 2000
_DEEPEST: Final = 8  # areas within areas


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the city that is told and searched; ``parent`` names the one that it lies in."""

    name: str
    label: str = ""
    label_en: str = ""
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A place with one or more devices: a bridge, a pump station, a barn. Degrees WGS84.

    ``note`` is for those who go there: the key, the way, where to park.
    """

    name: str
    label: str = ""
    label_en: str = ""
    area: str = ""
    latitude: float | None = None
    longitude: float | None = None
    address: str = ""
    note: str = ""


class PlaceError(ValueError):
    """A site or an area that cannot be; the person is shown the message, nothing was written."""


def ensure(connection: Connection, areas: Iterable[str], sites: Mapping[str, str]) -> bool:
    """Let there be areas and sites (name → its area) of these names; False: all were there."""
    new_areas = _missing(connection, tables.area, [*areas, *sites.values()])
    new_sites = _missing(connection, tables.site, sites)
    if new_areas:
        connection.execute(_insert(tables.area), [_row(Area(name)) for name in new_areas])
    if new_sites:
        new = [_row(Site(name, area=sites[name])) for name in new_sites]
        connection.execute(_insert(tables.site), new)
    return bool(new_areas or new_sites)


def put_area(connection: Connection, area: Area) -> bool:
    """Add or describe an area; False if it stands so. Raises PlaceError for one that cannot be."""
    _check_texts(name=area.name, label=area.label, label_en=area.label_en, parent=area.parent or "")
    if area.parent is not None:
        _check_parent(connection, area.name, area.parent)
    return _put(connection, tables.area, _row(area))


def put_site(connection: Connection, site: Site) -> bool:
    """Add or describe a site; False if it stands so. Raises PlaceError for one that cannot be."""
    _check_texts(
        name=site.name,
        label=site.label,
        label_en=site.label_en,
        area=site.area,
        address=site.address,
    )
    _check_note(site.note)
    _check_point(site)
    ensure(connection, [site.area] if site.area else [], {})
    return _put(connection, tables.site, _row(site))


def area_from_row(row: Row[Any]) -> Area:
    """The area of a row of its table."""
    return Area(row.name, row.label, row.label_en, row.parent)


def site_from_row(row: Row[Any]) -> Site:
    """The site of a row of its table."""
    return Site(
        row.name,
        row.label,
        row.label_en,
        row.area,
        row.latitude,
        row.longitude,
        row.address,
        row.note,
    )


def lineage(areas: Mapping[str, Area], name: str) -> tuple[str, ...]:
    """The area and all that it lies in, itself first."""
    return tuple(_upwards({area.name: area.parent for area in areas.values()}, name))


def _missing(connection: Connection, table: Table, names: Iterable[str]) -> list[str]:
    wanted = dict.fromkeys(name for name in names if name)
    if not wanted:
        return []
    known = set(connection.execute(select(table.c.name)).scalars())
    return [name for name in wanted if name not in known]


def _insert(table: Table) -> Insert:
    return insert(table).values(changed_in=tables.PRESENT_REVISION)


def _put(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    this = table.c.name == row["name"]
    found = connection.execute(select(table).where(this)).one_or_none()
    if found is None:
        connection.execute(_insert(table), row)
    elif any(getattr(found, column) != value for column, value in row.items()):
        connection.execute(
            update(table).where(this).values(**row | {"changed_in": tables.PRESENT_REVISION})
        )
    else:
        return False
    return True


def _row(place: Area | Site) -> dict[str, Any]:
    row = asdict(place)
    row["label"] = place.label or place.name
    row["label_en"] = place.label_en or place.label or place.name
    return row


def _check_texts(**texts: str) -> None:
    if not texts["name"]:
        raise PlaceError("name: must not be empty")
    for column, text in texts.items():
        if len(text) > MAX_TEXT or not text.isprintable() or text != text.strip():
            raise PlaceError(
                f"{column} {shown(text)}: at most {MAX_TEXT} printable characters expected, "
                "without spaces around them"
            )


def _check_note(note: str) -> None:
    if len(note) > _MAX_NOTE or not note.replace("\n", "").isprintable():
        raise PlaceError(f"note: at most {_MAX_NOTE} printable characters expected")


def _check_point(site: Site) -> None:
    for column, value, limit in (
        ("latitude", site.latitude, 90.0),
        ("longitude", site.longitude, 180.0),
    ):
        if value is not None and not -limit <= value <= limit:
            raise PlaceError(f"{column} {value}: degrees from -{limit:g} to {limit:g} expected")
    if (site.latitude is None) != (site.longitude is None):
        raise PlaceError("latitude and longitude go together")


def _check_parent(connection: Connection, name: str, parent: str) -> None:
    rows = connection.execute(select(tables.area.c.name, tables.area.c.parent))
    parents = {row.name: row.parent for row in rows} | {name: parent}
    if parent not in parents or parent == name:
        raise PlaceError(f"parent {shown(parent)}: no other area has this name")
    line = list(_upwards(parents, name))
    if name in line[1:]:
        circle = " < ".join(map(shown, line[: line.index(name, 1) + 1]))
        raise PlaceError(f"parent {shown(parent)}: {circle} goes in a circle")
    if len(line) > _DEEPEST:
        raise PlaceError(f"parent {shown(parent)}: at most {_DEEPEST} areas within each other")


def _upwards(parents: Mapping[str, str | None], name: str) -> Iterator[str]:
    """The name and what it lies in, at most one more than may be; a circle does not hold it up."""
    step: str | None = name
    for _ in range(_DEEPEST + 1):
        if step is None:
            return
        yield step
        step = parents.get(step)
