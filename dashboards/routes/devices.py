"""Devices: the list, import from a spreadsheet and export to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from alerts.groups import owner_names
from dashboards import auth
from dashboards.auth import Visitor
from dashboards.parts import Parts, WithAdmin, WithParts
from dashboards.permissions import may_see_device
from dashboards.registered import RegisteredDevice, Wanted, registered, selected
from dashboards.registry_access import WithRegistryReader
from devices.csv_import import RowError, decoded, to_csv
from devices.database import writing
from devices.drafts import DraftError
from devices.import_plan import Change, Plan, exported, plan

router = APIRouter(prefix="/api/devices")

_CSV_BODY: Final = {
    "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
}
_CSV_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}
MAX_SHOWN: Final = 1000
"""Errors and changes that an answer names; the counts are of all."""


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Devices ``offset`` and following of ``total``, by name."""

    devices: list[RegisteredDevice]
    total: int
    offset: int


class BadCell(BaseModel):
    """One cell that cannot be: the line of the file (the header is 1), column, value, reason."""

    line: int
    column: str
    value: str
    reason: str


class ChangedDevice(BaseModel):
    """A device that is there already, and the columns in which the file says something else."""

    line: int
    name: str
    columns: list[str]


class Imported(BaseModel):
    """What an import does, or would do; with any error nothing was registered.

    ``devices`` = new + changed + unchanged. Of ``errors`` and ``changes`` the first 1000 are named.
    ``notices`` are allowed and may still be mistakes: areas, sites and owners not heard of before.
    """

    devices: int
    new: int
    changed: int
    unchanged: int
    changes: list[ChangedDevice]
    notices: list[str]
    errors: list[BadCell]
    errors_total: int


@router.get("")
def listed(
    visitor: WithRegistryReader,
    parts: WithParts,
    wanted: Annotated[Wanted, Query()],
) -> DevicePage:
    """The devices that this person may see, by name, page by page."""
    registry = parts.registry.snapshot()
    found = selected(registry, wanted, lambda device: may_see_device(visitor.view, device))
    now = parts.now()
    page = [registered(device, registry, now) for device in found[wanted.offset :][: wanted.limit]]
    return DevicePage(page, len(found), wanted.offset)


@router.get("/export.csv", response_class=Response, responses=_CSV_ANSWER)
def export(_admin: WithAdmin, parts: WithParts) -> Response:
    """All devices in service as the import reads them; with a mark, for spreadsheets."""
    return Response(
        "\ufeff" + to_csv(exported(parts.registry.snapshot())),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="devices.csv"'},
    )


@router.post("/import", openapi_extra=_CSV_BODY)
async def import_devices(
    request: Request, admin: WithAdmin, parts: WithParts, *, dry_run: bool = False
) -> Imported:
    """Register the devices of a CSV (UTF-8 or CP932), all or none; ``dry_run`` only says.

    Columns that the file does not have leave known devices as they are.
    """
    body = await request.body()
    return await run_in_threadpool(_import, parts, body, admin, is_dry_run=dry_run)


def _import(parts: Parts, body: bytes, admin: Visitor, *, is_dry_run: bool) -> Imported:
    planned = plan(decoded(body), parts.registry.snapshot(), owner_names(parts.database))
    errors = list(planned.errors)
    if not errors and not is_dry_run and planned.drafts:
        errors = _register(parts, planned, admin)
    return Imported(
        devices=0 if errors and not is_dry_run else _count(planned),
        new=len(planned.new),
        changed=len(planned.changed),
        unchanged=planned.unchanged,
        changes=[_change(change) for change in planned.changed[:MAX_SHOWN]],
        notices=list(planned.notices),
        errors=[_row_error(error) for error in errors[:MAX_SHOWN]],
        errors_total=len(errors),
    )


def _register(parts: Parts, planned: Plan, admin: Visitor) -> list[RowError]:
    now = parts.now()
    try:
        parts.registry.register(planned.drafts, now)
    except DraftError as error:  # somebody else changed the registry in between
        return [RowError(0, fault.column, fault.value, fault.reason) for fault in error.faults]
    said = f"{len(planned.new)} new, {len(planned.changed)} changed"
    with writing(parts.database) as connection:
        auth.note(
            connection, now, admin.id, "devices.imported", f"{_count(planned)} devices", detail=said
        )
    return []


def _count(planned: Plan) -> int:
    return len(planned.new) + len(planned.changed) + planned.unchanged


def _row_error(error: RowError) -> BadCell:
    return BadCell(line=error.line, column=error.column, value=error.value, reason=error.reason)


def _change(change: Change) -> ChangedDevice:
    return ChangedDevice(line=change.line, name=change.name, columns=list(change.columns))
