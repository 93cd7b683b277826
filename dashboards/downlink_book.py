"""What became of each downlink, and where each LoRaWAN device was heard last.

    requested ─▶ handed over ─▶ queued ─▶ sent ─▶ acknowledged
        │             └──────────┴────────┴──▶ failed ─▶ sent …      (the server tried again)
        └─▶ unknown: whether it left cannot be told; what comes later settles it

The row stands before anything leaves, under an id that the network server gives back. Nothing is
ever sent again by itself. An unconfirmed downlink ends as *sent*: nobody knows more. Functions over
open connections; refuses to know MQTT and how a server writes what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, func, insert, select, update

from dashboards.downlink_tables import downlink, network_sender
from devices.networks.messages import DownlinkProgress, Sender

PATIENCE_MS: Final = 60_000
"""Who has not said within this time what became of handing it over has died over it."""
KEPT_PER_DEVICE: Final = 200
MOST_OPEN: Final = 8
"""Of one device, within `OPEN_FOR_MS`: a class A device takes one after each of its uplinks."""
OPEN_FOR_MS: Final = 3_600_000
MAX_SENDERS: Final = 100_000


class Step(StrEnum):
    """How far a downlink has come."""

    REQUESTED = "requested"
    UNKNOWN = "unknown"
    HANDED_OVER = "handed_over"
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    ACKNOWLEDGED = "acknowledged"


_BEFORE: Final[Mapping[Step, frozenset[Step]]] = {
    Step.HANDED_OVER: frozenset({Step.REQUESTED}),
    Step.UNKNOWN: frozenset({Step.REQUESTED}),
    Step.QUEUED: frozenset({Step.REQUESTED, Step.UNKNOWN, Step.HANDED_OVER}),
    Step.SENT: frozenset(Step) - {Step.ACKNOWLEDGED},
    Step.FAILED: frozenset(Step) - {Step.ACKNOWLEDGED},
    Step.ACKNOWLEDGED: frozenset(Step),
}
"""From which steps a step is reached; what is acknowledged stays so."""
_TIMED: Final = frozenset(
    {Step.HANDED_OVER, Step.QUEUED, Step.SENT, Step.ACKNOWLEDGED, Step.FAILED}
)


@dataclass(frozen=True, slots=True)
class Downlink:
    """One downlink; ``at`` has the time (ms UTC) of each step that was reached."""

    id: str
    device: int
    dev_eui: str
    network: str
    port: int
    payload: bytes
    is_confirmed: bool
    requested_by: int | None
    requested_at: int
    step: Step
    at: Mapping[Step, int]
    detail: str


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The network server, by its name in the settings, on which a device was heard last."""

    network: str
    sender: Sender


def request(connection: Connection, wanted: Downlink) -> None:
    """Note a downlink before it leaves; the oldest of the device over the bound are forgotten."""
    row = {
        "id": wanted.id, "device": wanted.device, "dev_eui": wanted.dev_eui,
        "network": wanted.network, "port": wanted.port, "payload": wanted.payload,
        "is_confirmed": wanted.is_confirmed, "requested_by": wanted.requested_by,
        "requested_at": wanted.requested_at, "step": Step.REQUESTED.value,
    }  # fmt: skip
    connection.execute(insert(downlink).values(row))
    of_device = downlink.c.device == wanted.device
    newest = (
        select(downlink.c.id)
        .where(of_device)
        .order_by(downlink.c.requested_at.desc(), downlink.c.id)
        .limit(KEPT_PER_DEVICE)
    )
    kept = [one for (one,) in connection.execute(newest)]
    if len(kept) == KEPT_PER_DEVICE:
        connection.execute(delete(downlink).where(of_device, downlink.c.id.not_in(kept)))


def count_open(connection: Connection, device: int, now: int) -> int:
    """How many of the last hour are still on their way."""
    way = [Step.REQUESTED, Step.UNKNOWN, Step.HANDED_OVER, Step.QUEUED]
    query = select(func.count()).where(
        downlink.c.device == device,
        downlink.c.requested_at > now - OPEN_FOR_MS,
        downlink.c.step.in_([step.value for step in way]),
    )
    return int(connection.scalar(query) or 0)


def advance(connection: Connection, id_: str, step: Step, at: int, detail: str = "") -> bool:
    """Note that a step was reached; False where there is no such downlink.

    What came after it already stays as it is, but its time is noted; the first time holds.
    """
    reached = downlink.c.step.in_([before.value for before in _BEFORE[step]])
    values: dict[str, Any] = {
        "step": case((reached, step.value), else_=downlink.c.step),
        "detail": case((reached, detail), else_=downlink.c.detail),
    }
    if step in _TIMED:
        column = downlink.c[f"{step}_at"]
        values[column.name] = func.coalesce(column, at)
    done = connection.execute(update(downlink).where(downlink.c.id == id_).values(values))
    return bool(done.rowcount)


def note_progress(connection: Connection, said: DownlinkProgress, received_at: int) -> bool:
    """What a network server says of a downlink; False where it is none of ours."""
    at = said.at if said.at is not None else received_at
    return advance(connection, said.id, Step(said.step), at, said.detail)


def of_device(connection: Connection, device: int, now: int, limit: int) -> tuple[Downlink, ...]:
    """The newest downlinks of a device, the newest first."""
    query = (
        select(downlink)
        .where(downlink.c.device == device)
        .order_by(downlink.c.requested_at.desc(), downlink.c.id)
        .limit(limit)
    )
    return tuple(_downlink(row, now) for row in connection.execute(query))


def one(connection: Connection, id_: str, now: int) -> Downlink | None:
    """A downlink by its id."""
    row = connection.execute(select(downlink).where(downlink.c.id == id_)).first()
    return _downlink(row, now) if row else None


def _downlink(row: Row[Any], now: int) -> Downlink:
    """As it stands; one whose sender died over it is *unknown* from then on, by the clock alone."""
    step = Step(row.step)
    detail = row.detail
    if step is Step.REQUESTED and row.requested_at < now - PATIENCE_MS:
        step, detail = Step.UNKNOWN, "whoever handed it over ended before it was answered"
    times = {one: getattr(row, f"{one}_at") for one in _TIMED}
    return Downlink(
        row.id, row.device, row.dev_eui, row.network, row.port, row.payload, row.is_confirmed,
        row.requested_by, row.requested_at, step,
        {one: at for one, at in times.items() if at is not None}, detail,
    )  # fmt: skip


# -- where devices hang


def note_sender(connection: Connection, network: str, sender: Sender, at: int) -> None:
    """A device was heard there; nothing is written where that is known."""
    found = whereabouts(connection, sender.dev_eui)
    if found == Whereabouts(network, Sender(sender.dev_eui, sender.application, sender.name)):
        return
    row = {"network": network, "application": sender.application, "name": sender.name, "since": at}
    if found is not None:
        of_unit = network_sender.c.dev_eui == sender.dev_eui
        connection.execute(update(network_sender).where(of_unit).values(row))
    elif int(connection.scalar(select(func.count(network_sender.c.dev_eui))) or 0) < MAX_SENDERS:
        connection.execute(insert(network_sender).values(dev_eui=sender.dev_eui, **row))


def whereabouts(connection: Connection, dev_eui: str) -> Whereabouts | None:
    """Where a unit was heard last; None where no network server has spoken of it."""
    of_unit = network_sender.c.dev_eui == dev_eui
    row = connection.execute(select(network_sender).where(of_unit)).first()
    if row is None:
        return None
    return Whereabouts(row.network, Sender(row.dev_eui, row.application, row.name))
