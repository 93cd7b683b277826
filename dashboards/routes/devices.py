"""Devices: import from a spreadsheet."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from dashboards import auth
from dashboards.parts import Parts, WithAdmin, WithParts
from devices.csv_import import RowError, parse_devices
from devices.database import writing
from devices.drafts import DeviceDraft, DraftError

router = APIRouter(prefix="/api/devices")

_CSV_BODY: Final = {
    "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
}


class BadCell(BaseModel):
    """One cell that cannot be: the line of the file (the header is 1), column, value, reason."""

    line: int
    column: str
    value: str
    reason: str


class Imported(BaseModel):
    """How many devices are good, and what is wrong; with any error nothing was registered."""

    devices: int
    errors: list[BadCell]


@router.post("/import", openapi_extra=_CSV_BODY)
async def import_devices(
    request: Request, admin: WithAdmin, parts: WithParts, *, dry_run: bool = False
) -> Imported:
    """Register the devices of a CSV (UTF-8 or CP932), all or none; ``dry_run`` only says."""
    text = decoded(await request.body())
    drafts, errors = await run_in_threadpool(parse_devices, text)
    if not dry_run and not errors:
        errors = await run_in_threadpool(_register, parts, drafts, admin.id)
    return Imported(
        devices=len(drafts) if dry_run or not errors else 0,
        errors=[_row_error(error) for error in errors],
    )


def decoded(body: bytes) -> str:
    """Text as spreadsheets in Japan write it: UTF-8, else CP932; what is neither is escaped."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp932", "backslashreplace")


def _register(parts: Parts, drafts: list[DeviceDraft], admin: int) -> list[RowError]:
    now = parts.now()
    try:
        parts.registry.register(drafts, now)
    except DraftError as error:
        return [RowError(0, fault.column, fault.value, fault.reason) for fault in error.faults]
    with writing(parts.database) as connection:
        auth.note(connection, now, admin, "devices.imported", f"{len(drafts)} devices")
    return []


def _row_error(error: RowError) -> BadCell:
    return BadCell(line=error.line, column=error.column, value=error.value, reason=error.reason)
