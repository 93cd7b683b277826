"""Who may see and do what: pure facts about roles, devices, quantities.

Refuses to know sessions, requests and tables. Every listing, event stream and single object goes
through here; what a view does not hold does not exist for it (404, never 403).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from devices.quantities import QUANTITIES


class Role(StrEnum):
    """What a person is to the city."""

    ADMIN = "admin"
    DISASTER = "disaster"
    WATERWORKS = "waterworks"
    AGRICULTURE = "agriculture"
    OWNER = "owner"
    PUBLIC = "public"


class Placed(Protocol):
    """The facts of a device that decide who may see it."""

    @property
    def kind(self) -> str: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def open_data(self) -> str: ...


@dataclass(frozen=True, slots=True)
class View:
    """What somebody may see; all people with equal views see the same bytes.

    ``owner`` is the name whose devices an owner sees, None for every other role; ``groups``
    (sorted) are those to which an owner belongs, and whose devices are seen, too.
    """

    role: Role
    owner: str | None = None
    groups: tuple[str, ...] = ()


_FLOOD: Final = frozenset({"flood-sensor", "river-gauge", "weather-station"})
_WATER: Final = frozenset({"water-meter", "zone-meter", "pressure-logger"})
_FARM: Final = frozenset(
    {
        "paddy-node",
        "irrigation-gate",
        "greenhouse-node",
        "barn-node",
        "collar",
        "calving-thermometer",
        "trap",
        "weather-station",
    }
)
PERSONAL_KINDS: Final = frozenset({"water-meter"})
"""Kinds of which even a battery voltage tells where a household is metered."""

_KINDS: Final[Mapping[Role, frozenset[str]]] = MappingProxyType(
    {
        Role.WATERWORKS: _WATER | _FLOOD,
        Role.AGRICULTURE: _FARM,
    }
)
_ROLES: Final = MappingProxyType({role.value: role for role in Role})
_SEES_PERSONAL: Final = frozenset({Role.ADMIN, Role.WATERWORKS, Role.OWNER})
_STAFF: Final = frozenset({Role.ADMIN, Role.DISASTER, Role.WATERWORKS, Role.AGRICULTURE})
"""Work for the city and may see who was told what."""


def view_of(role: str, name: str, groups: Iterable[str] = ()) -> View:
    """The view of the person ``name``; a role that is not known sees what the public sees."""
    known = _ROLES.get(role, Role.PUBLIC)
    if known is not Role.OWNER:
        return View(known)
    return View(known, name, tuple(sorted(groups)))


def may_see_device(view: View, device: Placed) -> bool:
    """Whether the device exists for this view."""
    match view.role:
        case Role.ADMIN:
            return True
        case Role.DISASTER:
            return device.kind not in PERSONAL_KINDS
        case Role.OWNER:
            return device.owner is not None and device.owner in (view.owner, *view.groups)
        case Role.PUBLIC:
            return device.open_data == "values" and device.kind not in PERSONAL_KINDS
        case _:
            return device.kind in _KINDS[view.role]


def may_see_personal(view: View) -> bool:
    """Whether quantities that can tell about a household are shown at all."""
    return view.role in _SEES_PERSONAL


def may_see_quantity(view: View, device: Placed, quantity: str) -> bool:
    """Whether this quantity of this device is shown; an unknown quantity counts as personal."""
    if not may_see_device(view, device):
        return False
    known = QUANTITIES.get(quantity)
    return may_see_personal(view) or (known is not None and not known.is_personal)


def may_see_people(view: View) -> bool:
    """Whether it is shown who acknowledged, and with which words: to everybody but the public."""
    return view.role is not Role.PUBLIC


def may_see_deliveries(view: View) -> bool:
    """Whether it is shown who was told (staff); everybody may see what was sent to themselves."""
    return view.role in _STAFF


def may_see_health(view: View) -> bool:
    """Whether it is shown which device needs a battery or a hand: to everybody but the public."""
    return view.role is not Role.PUBLIC


def may_acknowledge(view: View) -> bool:
    """Whether a seen alarm may be acknowledged: everybody but the public."""
    return view.role is not Role.PUBLIC


def may_see_registry(view: View) -> bool:
    """Whether it is shown which hardware is where, whose it is and who works at it: to staff."""
    return view.role in _STAFF


def may_administer(view: View) -> bool:
    """Whether quarantine, devices and operations are open."""
    return view.role is Role.ADMIN
