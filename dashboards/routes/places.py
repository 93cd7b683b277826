"""Sites, areas and groups: what devices name. All changes go to the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from alerts.groups import Group, GroupError, groups, put_group
from dashboards import auth
from dashboards.auth import Visitor
from dashboards.errors import Refusal
from dashboards.parts import Parts, WithAdmin, WithParts
from dashboards.registry_access import PlaceName, WithRegistryReader
from devices.database import writing
from devices.places import Area, PlaceError, Site

router = APIRouter(prefix="/api")

Text = Annotated[str, Field(max_length=200)]
Note = Annotated[str, Field(max_length=2000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AreaBody(_Body):
    """A part of the city; ``parent`` names the one that it lies in."""

    label: Text = ""
    label_en: Text = ""
    parent: Text | None = None


class SiteBody(_Body):
    """A place with devices, degrees WGS84; ``note`` is for those who go there."""

    label: Text = ""
    label_en: Text = ""
    area: Text = ""
    latitude: Finite | None = None
    longitude: Finite | None = None
    address: Text = ""
    note: Note = ""


class GroupBody(_Body):
    """A group that may own devices; ``members`` are names of people."""

    display_name: Text = ""
    members: Annotated[list[Text], Field(max_length=1000)] = Field(default_factory=list)


class Areas(BaseModel):
    """All areas, by name."""

    areas: list[Area]


class Sites(BaseModel):
    """All sites, by name."""

    sites: list[Site]


class Groups(BaseModel):
    """All groups, by name."""

    groups: list[Group]


@router.get("/areas")
def all_areas(_reader: WithRegistryReader, parts: WithParts) -> Areas:
    """The parts of the city."""
    known = parts.registry.snapshot().areas
    return Areas(areas=[known[name] for name in sorted(known)])


@router.put("/areas/{name:path}")
def put_area(name: PlaceName, body: AreaBody, admin: WithAdmin, parts: WithParts) -> Area:
    """Add an area or describe it; devices and routes go on naming it by its name."""
    try:
        is_changed = parts.registry.put_area(Area(name, body.label, body.label_en, body.parent))
    except PlaceError as error:
        raise _invalid(error) from None
    if is_changed:
        _note(parts, admin, "area.described", name)
    return parts.registry.snapshot().areas[name]


@router.get("/sites")
def all_sites(_reader: WithRegistryReader, parts: WithParts) -> Sites:
    """The places where devices stand."""
    known = parts.registry.snapshot().sites
    return Sites(sites=[known[name] for name in sorted(known)])


@router.put("/sites/{name:path}")
def put_site(name: PlaceName, body: SiteBody, admin: WithAdmin, parts: WithParts) -> Site:
    """Add a site or describe it; devices go on naming it by its name."""
    try:
        is_changed = parts.registry.put_site(Site(name, **body.model_dump()))
    except PlaceError as error:
        raise _invalid(error) from None
    if is_changed:
        _note(parts, admin, "site.described", name)
    return parts.registry.snapshot().sites[name]


@router.get("/groups")
def all_groups(_reader: WithRegistryReader, parts: WithParts) -> Groups:
    """Those who own devices together."""
    return Groups(groups=groups(parts.database))


@router.put("/groups/{name}")
def put_one_group(name: PlaceName, body: GroupBody, admin: WithAdmin, parts: WithParts) -> Group:
    """Add a group or say anew who belongs to it; they see its devices from now on."""
    try:
        is_changed = put_group(parts.database, name, body.display_name, body.members)
    except GroupError as error:
        raise _invalid(error) from None
    if is_changed:
        _note(parts, admin, "group.changed", name, ", ".join(body.members))
    return next(group for group in groups(parts.database) if group.name == name)


def _note(parts: Parts, admin: Visitor, action: str, subject: str, detail: str = "") -> None:
    with writing(parts.database) as connection:
        auth.note(connection, parts.now(), admin.id, action, subject, detail=detail)


def _invalid(error: ValueError) -> Refusal:
    return Refusal(422, "invalid", str(error), path="body")
