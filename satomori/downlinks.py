"""What the command line does about downlinks: the same steps as the API's, by nobody logged in.

See docs/decisions/0004-commands-beside-a-running-system.md. Progress comes from the journal, which
a running web process reads.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from dashboards.downlink_book import Downlink, Step
from dashboards.downlink_desk import DownlinkDesk, DownlinkRefused, Wish
from dashboards.routes.downlinks import Downlinks, state_of
from devices.registry import Registry
from satomori.administration import opened_database
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.processes import network_links
from satomori.settings import Settings, SettingsError

_JAPAN = timezone(timedelta(hours=9))
_LOOK_EVERY_S: Final = 0.5
_ENDS: Final = {
    True: frozenset({Step.ACKNOWLEDGED, Step.FAILED}),
    False: frozenset({Step.SENT, Step.FAILED}),
}
"""What is waited for, by whether the device is to acknowledge."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What is to be sent: ``hex`` or ``data`` (JSON text), the other empty."""

    device: str
    port: int | None
    hex: str
    data: str
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """Downlinks of a device, the newest first."""

    downlinks: Sequence[Downlink]

    def as_json(self) -> str:
        """As the API lists them."""
        return Downlinks(downlinks=[state_of(one) for one in self.downlinks]).model_dump_json()

    def as_text(self) -> str:
        """For people: a line a downlink."""
        return "\n".join(map(as_text, self.downlinks)) or "none"


def as_text(one: Downlink) -> str:
    """For people: when, what, how far."""
    when = datetime.fromtimestamp(one.requested_at / 1000, _JAPAN)
    kind = "confirmed" if one.is_confirmed else "unconfirmed"
    said = f"{when:%Y-%m-%d %H:%M:%S}  port {one.port:<3}  {one.payload.hex()}  {kind}"
    step = one.step.replace("_", " ")
    return f"{said}  {step}{f': {one.detail}' if one.detail else ''}  {one.id}"


def send(settings: Settings, wanted: Sending, *, wait_s: float = 0.0) -> Downlink:
    """Hand a downlink over; with ``wait_s`` look that long whether it comes to its end."""
    wish = _wish(wanted)
    with _desk(settings) as desk:
        port, payload = asyncio.run(desk.encode(wanted.device, wish))
        sent = desk.send(wanted.device, port, payload, is_confirmed=wish.is_confirmed, by=None)
        until = time.monotonic() + wait_s
        while sent.step not in _ENDS[sent.is_confirmed] and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
            sent = desk.found(sent.id)
        return sent


def listed(settings: Settings, device: str) -> Listing:
    """The newest downlinks of a device."""
    with _desk(settings) as desk:
        return Listing(desk.listed(device))


def _wish(wanted: Sending) -> Wish:
    if bool(wanted.hex) == bool(wanted.data):
        raise SettingsError("either --hex or --json")
    if wanted.hex:
        try:
            payload = bytes.fromhex(wanted.hex)
        except ValueError:
            raise SettingsError(f"--hex {wanted.hex!r}: pairs of hexadecimal digits") from None
        return Wish(wanted.port, payload, None, wanted.is_confirmed)
    return Wish(wanted.port, None, _object(wanted.data), wanted.is_confirmed)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--json: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError("--json: an object is expected")
    return found


@contextmanager
def _desk(settings: Settings) -> Iterator[DownlinkDesk]:
    links = network_links(settings, Installation(settings))
    with opened_database(settings) as database:
        try:
            yield DownlinkDesk(database, Registry(database), links, now_ms)
        except DownlinkRefused as refused:
            raise SettingsError(str(refused)) from None
