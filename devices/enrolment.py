"""How a device asks to be admitted, and how it is told that it was.

::

    field/v1/enrol/{serial}/up        {"kind", "model", "serial", "password_hash", …}   (device)
    field/v1/enrol/{serial}/answer    {"device", "kind"}                                 (retained)

The device chose its password itself and sends mosquitto's salted hash of it: whoever reads along
gains nothing. Whoever has the enrolment key may say all of this, so everything here is bounded and
checked, and nothing of it is believed before somebody of the staff has accepted it. Refuses to know
brokers, tables and people.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from math import isfinite
from typing import Final

import msgspec

from devices.credentials import is_password_hash
from devices.kinds import FIELD_KINDS
from devices.outcomes import Rejected, shown

MAX_BYTES: Final = 2048
"""A longer request is refused."""

REASON: Final = "enrolment"
"""Why such a message is no reading: the `Rejected` that carries it to the waiting list."""

LEVEL: Final = "enrol"
"""What stands in the topic in place of a kind."""

SERIAL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEV_EUI: Final = re.compile(r"[0-9A-Fa-f]{16}")
_MAX_TEXT: Final = 100


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device's request; texts are printable and bounded, the hash is mosquitto's."""

    serial: str
    kind: str
    password_hash: str
    model: str = ""
    label: str = ""
    dev_eui: str = ""
    latitude: float | None = None
    longitude: float | None = None

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that a device can show, too: whether it is this very device."""
        return fingerprint(self.password_hash)


class _Position(msgspec.Struct, forbid_unknown_fields=True):
    latitude: float
    longitude: float


class _Request(msgspec.Struct):
    kind: str
    serial: str
    password_hash: str
    model: str = ""
    label: str = ""
    dev_eui: str = ""
    position: _Position | None = None


def fingerprint(password_hash: str) -> str:
    """The first eight hex digits of the SHA-256 of the hash's text."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:8]


def is_request_topic(parts: list[str]) -> bool:
    """Whether these levels are ``field/v1/enrol/{serial}/up``; any serial."""
    return len(parts) == 5 and parts[:3] == ["field", "v1", LEVEL] and parts[4] == "up"


def request_topic(serial: str) -> str:
    """Where a device asks."""
    return f"field/v1/{LEVEL}/{serial}/up"


def answer_topic(serial: str) -> str:
    """Where it is answered."""
    return f"field/v1/{LEVEL}/{serial}/answer"


def answer(device: str, kind: str) -> bytes:
    """What an admitted device is told: the name that it logs in with, and its kind."""
    return json.dumps({"device": device, "kind": kind}).encode()


def read(topic: str, payload: bytes) -> Enrolment | Rejected:
    """The request in a message, or why it is none. Nothing raises for what is in it."""
    parts = topic.split("/")
    if not is_request_topic(parts) or not SERIAL.fullmatch(parts[3]):
        return Rejected("bad_enrolment", f"{shown(topic)}: field/v1/enrol/SERIAL/up expected")
    if len(payload) > MAX_BYTES:
        return Rejected("bad_enrolment", f"{len(payload)} bytes, at most {MAX_BYTES}")
    try:
        said = msgspec.json.decode(payload, type=_Request)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, not this shape
        return Rejected("bad_enrolment", shown(str(error)))
    return _checked(parts[3], said)


def _checked(serial: str, said: _Request) -> Enrolment | Rejected:
    if (fault := _fault(serial, said)) is not None:
        return fault
    place = said.position
    return Enrolment(
        serial,
        said.kind,
        said.password_hash,
        said.model,
        said.label,
        said.dev_eui.upper(),
        place.latitude if place else None,
        place.longitude if place else None,
    )


def _fault(serial: str, said: _Request) -> Rejected | None:
    texts = (("model", said.model), ("label", said.label))
    if said.serial != serial:
        fault = ("serial", said.serial, f"the topic says {serial}")
    elif said.kind not in FIELD_KINDS:
        fault = ("kind", said.kind, "unknown kind")
    elif not is_password_hash(said.password_hash):
        fault = ("password_hash", "", "mosquitto's $7$… expected")
    elif said.dev_eui and not _DEV_EUI.fullmatch(said.dev_eui):
        fault = ("dev_eui", said.dev_eui, "16 hexadecimal digits expected")
    elif bad := next((t for t in texts if len(t[1]) > _MAX_TEXT or not t[1].isprintable()), None):
        fault = (*bad, f"at most {_MAX_TEXT} printable characters expected")
    elif said.position is not None and not _is_on_earth(said.position):
        fault = ("position", "", "degrees expected")
    else:
        return None
    name, value, reason = fault
    return Rejected("bad_enrolment", f"{name} {shown(value)}: {reason}")


def _is_on_earth(place: _Position) -> bool:
    pairs = ((place.latitude, 90.0), (place.longitude, 180.0))
    return all(isfinite(value) and abs(value) <= limit for value, limit in pairs)
