"""How devices are: battery, link, clock, gaps, stuck and noisy sensors, worst first.

Everybody but the public sees it of the devices that they may see; a finding is no alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, get_args

import msgspec
from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from dashboards import health_rows
from dashboards.device_health import DeviceHealth
from dashboards.errors import Refusal, not_found
from dashboards.health_rows import Assessed, Body
from dashboards.health_words import SaidFinding, Words, battery_words, said
from dashboards.parts import Parts, WithParts, WithVisitor
from dashboards.permissions import View, may_see_deliveries, may_see_health
from dashboards.tables import network_gateway
from devices.health.battery import Battery
from devices.health.clock import Clock
from devices.health.days import DAY_MS
from devices.health.findings import Code, Firmware
from devices.health.link import Link
from devices.health.reporting import Reporting
from devices.health.sensing import Sensing
from devices.registry import Device

router = APIRouter(prefix="/api")

_MOST: Final = 500
_MAX_TEXT: Final = 200
_CODES: Final = frozenset(get_args(Code))


@dataclass(frozen=True, slots=True)
class BatteryDay:
    """A level of the battery, the median of one or more days (``at``: the last one, ms UTC)."""

    at: int
    level: float


@dataclass(frozen=True, slots=True)
class HealthRow:
    """One device in the list. ``severity`` 0: nothing to do, 1 note, 2 plan, 3 now."""

    device: int
    name: str
    kind: str
    label: str
    label_en: str
    site: str
    area: str
    assessed_at: int
    severity: int
    findings: tuple[SaidFinding, ...]
    battery: Battery
    battery_words: Words
    battery_course: tuple[BatteryDay, ...]
    link: Link
    firmware: Firmware
    clock: Clock
    reporting: Reporting


@dataclass(frozen=True, slots=True)
class HealthList:
    """The devices that pass the filters, worst first, from ``offset`` on.

    ``total`` pass the filters; ``assessed`` were looked at and ``waiting`` not yet, of those that
    this person may see. ``counts``: devices by finding, ``severities``: devices by severity (0..3),
    both without the filters. ``oldest_at``: the oldest assessment among them (ms UTC).
    """

    at: int
    oldest_at: int | None
    assessed: int
    waiting: int
    total: int
    counts: dict[str, int]
    severities: dict[str, int]
    areas: tuple[str, ...]
    kinds: tuple[str, ...]
    devices: tuple[HealthRow, ...]


@dataclass(frozen=True, slots=True)
class HealthDetail(HealthRow):
    """All figures of one device; ``interval_s`` is what the registry says."""

    sensing: tuple[Sensing, ...]
    interval_s: float


@dataclass(frozen=True, slots=True)
class NetworkGateway:
    """A gateway of a network server; ``devices``: how many it heard within a week."""

    gateway: str
    network: str
    last_heard_at: int
    latitude: float | None
    longitude: float | None
    devices: int
    alone: int


@dataclass(frozen=True, slots=True)
class NetworkGateways:
    """Gateways that network servers name, by name. ``alone``: devices that hang on it alone."""

    gateways: tuple[NetworkGateway, ...]


@router.get("/device-health", response_model=HealthList)
def device_health(
    *,
    visitor: WithVisitor,
    parts: WithParts,
    severity: Annotated[int, Query(ge=0, le=3)] = 1,
    only: bool = False,
    finding: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
    area: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
    kind: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Devices of at least this ``severity`` (``only``: exactly), worst first; 0 is all well."""
    if finding is not None and finding not in _CODES:
        raise Refusal(422, "invalid", f"one of {', '.join(sorted(_CODES))}", path="query.finding")
    seen = _seen(parts, visitor.view)
    known = [one for one in _work(parts).assessed.copy().values() if one.device in seen]
    chosen = sorted(
        (
            one
            for one in known
            if (one.severity == severity if only else one.severity >= severity)
            and (finding is None or finding in one.codes)
            and (area is None or seen[one.device].area == area)
            and (kind is None or seen[one.device].kind == kind)
        ),
        key=lambda one: (one.order, seen[one.device].name),
    )
    page = chosen[offset : offset + limit]
    bodies = health_rows.load_bodies(parts.database, [one.device for one in page])
    rows = tuple(_row(seen[one.device], bodies[one.device]) for one in page if one.device in bodies)
    return _json(
        HealthList(
            at=parts.now(),
            oldest_at=min((one.assessed_at for one in known), default=None),
            assessed=len(known),
            waiting=len(seen) - len(known),
            total=len(chosen),
            counts=_counts(known),
            severities={str(n): sum(one.severity == n for one in known) for n in range(4)},
            areas=tuple(sorted({device.area for device in seen.values() if device.area})),
            kinds=tuple(sorted({device.kind for device in seen.values()})),
            devices=rows,
        )
    )


@router.get("/device-health/{name}", response_model=HealthDetail)
def one_device_health(name: str, visitor: WithVisitor, parts: WithParts) -> Response:
    """One device by name, with all figures and the course of its battery."""
    seen = _seen(parts, visitor.view)
    device = next((one for one in seen.values() if one.name == name), None)
    if device is None:
        raise not_found("device")
    body = health_rows.load_bodies(parts.database, [device.id]).get(device.id)
    if body is None:
        raise not_found("assessment of this device yet")
    row = _row(device, body)
    values = {name: getattr(row, name) for name in HealthRow.__dataclass_fields__}
    return _json(
        HealthDetail(
            **values,
            sensing=body.health.sensing,
            interval_s=body.health.interval_s,
        )
    )


@router.get("/network-gateways", response_model=NetworkGateways)
def network_gateways(visitor: WithVisitor, parts: WithParts) -> Response:
    """The gateways of the network servers, and how many devices are heard through each."""
    if not may_see_deliveries(visitor.view):  # staff
        raise Refusal(403, "not_allowed", "this is for staff")
    devices, alone = _devices_by_gateway(_work(parts), parts.now())
    with parts.database.connect() as connection:
        rows = connection.execute(select(network_gateway).order_by(network_gateway.c.gateway)).all()
    return _json(
        NetworkGateways(
            tuple(
                NetworkGateway(
                    row.gateway,
                    row.network,
                    row.last_heard_at,
                    row.latitude,
                    row.longitude,
                    devices.get(row.gateway, 0),
                    alone.get(row.gateway, 0),
                )
                for row in rows
            )
        )
    )


def _work(parts: Parts) -> DeviceHealth:
    return parts.device_health


def _seen(parts: Parts, view: View) -> dict[int, Device]:
    """The devices of the field whose health exists for this view."""
    registry = parts.live.board.registry
    if registry is None or not may_see_health(view):
        return {}
    devices = (registry.devices[number] for number in parts.live.board.seen(view))
    return {device.id: device for device in devices if device.kind != "satomori"}


def _counts(known: list[Assessed]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in known:
        for code in one.codes:
            counts[code] = counts.get(code, 0) + 1
    return counts


def _row(device: Device, body: Body) -> HealthRow:
    health = body.health
    return HealthRow(
        device=device.id,
        name=device.name,
        kind=device.kind,
        label=device.label,
        label_en=device.label_en,
        site=device.site,
        area=device.area,
        assessed_at=health.at,
        severity=body.findings[0].severity if body.findings else 0,
        findings=tuple(said(one) for one in body.findings),
        battery=health.battery,
        battery_words=battery_words(health.battery),
        battery_course=tuple(BatteryDay(day * DAY_MS, level) for day, level in body.course),
        link=health.link,
        firmware=health.firmware,
        clock=health.clock,
        reporting=health.reporting,
    )


def _devices_by_gateway(
    work: DeviceHealth, now: int
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Devices that each gateway heard within a week, and those that no other one heard."""
    devices: dict[str, int] = {}
    alone: dict[str, int] = {}
    for of_device in list(work.book.heard.values()):
        recent = [n for n, one in list(of_device.items()) if now - one.last_heard_at <= 7 * DAY_MS]
        for name in recent:
            devices[name] = devices.get(name, 0) + 1
        if len(recent) == 1:
            alone[recent[0]] = alone.get(recent[0], 0) + 1
    return devices, alone


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
