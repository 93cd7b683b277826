"""Broker passwords of devices, and the enrolment key: each is shown once."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from dashboards import auth
from dashboards.credentials import NoSuchDevice, make_card
from dashboards.errors import not_found
from dashboards.parts import WithAdmin, WithParts
from dashboards.qr_code import as_svg
from devices import enrolment, enrolment_key
from devices.access_card import AccessCard
from devices.credentials import ENROLMENT_ACCOUNT
from devices.database import writing

router = APIRouter(prefix="/api")

DeviceName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
NEVER_KEPT: Final = {"Cache-Control": "no-store, max-age=0", "Pragma": "no-cache"}


class BrokerLogin(BaseModel):
    """Where the broker is, and with what somebody comes in; the password is shown this once."""

    host: str
    port: int
    is_tls: bool
    username: str
    password: str
    topics: dict[str, str]


class Credential(BrokerLogin):
    """What a device needs to come in; ``qr_svg`` holds all of it.

    ``address`` is what stands in the QR code: ``mqtts://USER:PASSWORD@HOST:PORT/TOPIC-BASE``.
    """

    device: str
    address: str
    qr_svg: str


class EnrolmentState(BaseModel):
    """Since when unknown devices may ask to be admitted; null: they may not."""

    made_at: int | None


class EnrolmentKey(BrokerLogin):
    """The key that goes into new devices."""


@router.post("/devices/{name}/credential")
def make_credential(
    name: DeviceName, admin: WithAdmin, parts: WithParts, response: Response
) -> Credential:
    """A new broker password for the unit in service; the one before is void within seconds."""
    response.headers.update(NEVER_KEPT)
    try:
        card = make_card(parts.registry, parts.access_point, name, now=parts.now(), by=admin.id)
    except NoSuchDevice:
        raise not_found("device in service") from None
    return shown(card)


@router.get("/enrolment")
def enrolment_state(_admin: WithAdmin, parts: WithParts) -> EnrolmentState:
    """Whether unknown devices may ask to be admitted."""
    return EnrolmentState(made_at=enrolment_key.made_at(parts.database))


@router.post("/enrolment/key")
def make_enrolment_key(admin: WithAdmin, parts: WithParts, response: Response) -> EnrolmentKey:
    """A new enrolment key; the one before is void within seconds."""
    response.headers.update(NEVER_KEPT)
    now, point = parts.now(), parts.access_point
    with writing(parts.database) as connection:
        key = enrolment_key.renew(connection, now)
        auth.note(connection, now, admin.id, "enrolment.key_made", ENROLMENT_ACCOUNT)
    parts.registry.bump_revision()
    return EnrolmentKey(
        host=point.host,
        port=point.port,
        is_tls=point.is_tls,
        username=ENROLMENT_ACCOUNT,
        password=key,
        topics={
            "up": enrolment.request_topic("SERIAL"),
            "answer": enrolment.answer_topic("SERIAL"),
        },
    )


@router.post("/enrolment/revoke", status_code=204)
def revoke_enrolment_key(admin: WithAdmin, parts: WithParts) -> None:
    """End enrolment; devices that were accepted stay."""
    now = parts.now()
    with writing(parts.database) as connection:
        enrolment_key.revoke(connection)
        auth.note(connection, now, admin.id, "enrolment.key_revoked", ENROLMENT_ACCOUNT)
    parts.registry.bump_revision()


def shown(card: AccessCard) -> Credential:
    """A card as the API says it."""
    return Credential(
        device=card.device,
        host=card.point.host,
        port=card.point.port,
        is_tls=card.point.is_tls,
        username=card.device,
        password=card.password,
        topics=dict(card.topics),
        address=card.address,
        qr_svg=as_svg(card.address),
    )
