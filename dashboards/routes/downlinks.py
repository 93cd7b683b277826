"""Downlinks to LoRaWAN devices: sent by administrators, followed by their ids."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from dashboards.downlink_book import Downlink
from dashboards.downlink_desk import DownlinkDesk, DownlinkRefused, Wish
from dashboards.errors import Refusal
from dashboards.parts import WithAdmin, WithParts
from devices.networks import MAX_DOWNLINK_BYTES

router = APIRouter(prefix="/api/devices/{name}")

_STATUS: Final = {"not_found": 404, "too_many": 429, "busy": 503, "invalid": 422}
_Name = Annotated[str, PathParameter(max_length=100)]
_Hex = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2})+$", max_length=2 * MAX_DOWNLINK_BYTES)]


class DownlinkWish(BaseModel):
    """Either ``hex`` with a ``port``, or ``data`` for ``encodeDownlink`` of the unit's codec."""

    model_config = ConfigDict(extra="forbid")

    port: Annotated[int, Field(ge=1, le=223)] | None = None
    hex: _Hex | None = None
    data: dict[str, Any] | None = None
    is_confirmed: bool = False


class DownlinkState(BaseModel):
    """A downlink and how far it has come; times are ms UTC.

    ``step``: requested, handed_over (the server's broker has it), queued, sent, acknowledged,
    failed, or unknown: whether it left cannot be told. An unconfirmed one ends as sent.
    """

    id: str
    dev_eui: str
    network: str
    port: int
    hex: str
    is_confirmed: bool
    requested_by: int | None
    requested_at: int
    step: str
    at: dict[str, int]
    detail: str


class Downlinks(BaseModel):
    """Downlinks of a device, the newest first."""

    downlinks: list[DownlinkState]


@router.post("/downlink", status_code=202)
async def send_downlink(
    name: _Name, wish: DownlinkWish, admin: WithAdmin, parts: WithParts
) -> DownlinkState:
    """Hand a downlink to the network server; what becomes of it is read under its id."""
    if (wish.hex is None) == (wish.data is None):
        raise Refusal(422, "invalid", "either hex or data")
    payload = bytes.fromhex(wish.hex) if wish.hex is not None else None
    asked = Wish(wish.port, payload, wish.data, wish.is_confirmed)
    desk: DownlinkDesk = parts.downlinks
    try:
        port, encoded = await desk.encode(name, asked)
        sent = await run_in_threadpool(
            desk.send, name, port, encoded, is_confirmed=wish.is_confirmed, by=admin.id
        )
    except DownlinkRefused as refused:
        raise _refusal(refused) from None
    return state_of(sent)


@router.get("/downlinks")
def downlinks(
    name: _Name,
    _admin: WithAdmin,
    parts: WithParts,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Downlinks:
    """What was sent to a device, and how far each has come."""
    try:
        found = parts.downlinks.listed(name, limit)
    except DownlinkRefused as refused:
        raise _refusal(refused) from None
    return Downlinks(downlinks=[state_of(one) for one in found])


def state_of(one: Downlink) -> DownlinkState:
    """As the API and the command line show it."""
    return DownlinkState(
        id=one.id,
        dev_eui=one.dev_eui,
        network=one.network,
        port=one.port,
        hex=one.payload.hex(),
        is_confirmed=one.is_confirmed,
        requested_by=one.requested_by,
        requested_at=one.requested_at,
        step=one.step.value,
        at={step.value: at for step, at in one.at.items()},
        detail=one.detail,
    )


def _refusal(refused: DownlinkRefused) -> Refusal:
    return Refusal(_STATUS.get(refused.code, 409), refused.code, str(refused))
