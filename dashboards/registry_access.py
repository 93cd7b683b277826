"""Who may read the registry, and which device a path names: dependencies of its routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi import Path as PathParameter

from dashboards.auth import Visitor
from dashboards.errors import Refusal, not_found
from dashboards.parts import Parts, WithVisitor
from dashboards.permissions import may_see_device, may_see_registry
from devices.drafts import NAME
from devices.kinds import INSTALLATION
from devices.snapshot import Device, RegistrySnapshot


def registry_reader_of(visitor: WithVisitor) -> Visitor:
    """Who asks, if the registry is open to them; refuses with 403."""
    if not may_see_registry(visitor.view):
        raise Refusal(403, "not_allowed", "this is for staff")
    return visitor


WithRegistryReader = Annotated[Visitor, Depends(registry_reader_of)]
DeviceName = Annotated[str, PathParameter(pattern=NAME.pattern, max_length=64)]
PlaceName = Annotated[str, PathParameter(min_length=1, max_length=200)]


def seen_device(parts: Parts, visitor: Visitor, name: str) -> tuple[Device, RegistrySnapshot]:
    """The device of this name as the registry has it now; 404 if it does not exist for them."""
    registry = parts.registry.snapshot()
    device = registry.by_name.get(name)
    if device is None or not may_see_device(visitor.view, device):
        raise not_found("device")
    return device, registry


def field_device(parts: Parts, name: str) -> Device:
    """A device that can be changed: one of the field; 404 where there is none."""
    device = parts.registry.snapshot().by_name.get(name)
    if device is None or device.kind == INSTALLATION.name:
        raise not_found("device")
    return device
