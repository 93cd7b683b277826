"""Downlinks: what a person wants a device to hear, encoded, noted, handed over.

    data ─▶ the unit's codec (encodeDownlink) ─▶ bytes ─▶ row ─▶ network server's broker ─▶ row

The row stands before anything leaves. Refuses to know HTTP and the command line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog
from sqlalchemy import Engine

from dashboards import auth, downlink_book
from dashboards.downlink_book import Downlink, Step, Whereabouts
from dashboards.hand_over import HandOverError, hand_over
from devices import networks
from devices.codecs.codec import Answer, Call
from devices.codecs.library import Library
from devices.codecs.pool import CodecPool
from devices.database import writing
from devices.networks import NetworkKind
from devices.registry import Device, Registry
from devices.units import Unit
from ingest.mqtt import BrokerAddress

log = structlog.get_logger()

_MOST_AT_ONCE: Final = 4
_DETAIL_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class NetworkLink:
    """A network server as a downlink reaches it."""

    kind: NetworkKind
    broker: BrokerAddress

    @property
    def qos(self) -> int:
        """The Things Stack knows QoS 0 alone."""
        return 0 if self.kind is NetworkKind.THE_THINGS_STACK else 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be sent: ``payload``, or ``data`` for the codec (then ``port`` may be its)."""

    port: int | None
    payload: bytes | None = None
    data: Mapping[str, Any] | None = None
    is_confirmed: bool = False


class DownlinkRefused(Exception):
    """It cannot be sent, nothing was written; ``code`` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Target:
    device: Device
    unit: Unit
    dev_eui: str
    where: Whereabouts
    link: NetworkLink


class DownlinkDesk:
    """Sends downlinks by way of the network servers in the settings; for any thread."""

    def __init__(
        self,
        database: Engine,
        registry: Registry,
        links: Mapping[str, NetworkLink],
        now: Callable[[], int],
    ) -> None:
        """``links`` by the network's name in the settings."""
        self._database, self._registry, self._now = database, registry, now
        self._links = dict(links)
        self._library = Library(database)
        self._free = threading.Semaphore(_MOST_AT_ONCE)

    async def encode(self, name: str, wish: Wish) -> tuple[int, bytes]:
        """Port and bytes, by the codec of the unit where they are not given.

        Raises DownlinkRefused.
        """
        if wish.payload is not None:
            if wish.port is None:
                raise DownlinkRefused("invalid", "bytes need a port")
            return wish.port, wish.payload
        unit = self._target(name).unit
        enabled = self._library.codec(unit.codec) if unit.codec else None
        if enabled is None:
            named = f"its codec {unit.codec} is not enabled" if unit.codec else "it names no codec"
            raise DownlinkRefused("no_codec", f"the unit of {name}: {named}; send bytes")
        given: dict[str, Any] = {"data": wish.data, "variables": {}}
        if wish.port is not None:
            given["fPort"] = wish.port
        async with CodecPool(workers=0) as pool:
            outcome = await pool.run(enabled.codec, Call.ENCODE_DOWNLINK, given)
        if not isinstance(outcome, Answer):
            raise _codec_refused(unit, f"{outcome.reason}: {outcome.detail}")
        if outcome.errors or outcome.frame is None:
            raise _codec_refused(unit, "; ".join(outcome.errors) or "it gave no bytes")
        port, payload = outcome.frame
        chosen = port if port is not None else wish.port
        if chosen is None or (wish.port is not None and chosen != wish.port):
            raise _codec_refused(unit, f"port {port}, where {wish.port} was asked for")
        return chosen, payload

    def send(
        self, name: str, port: int, payload: bytes, *, is_confirmed: bool, by: int | None
    ) -> Downlink:
        """Note the downlink, hand it over, note what came of it; as it stands then.

        ``by`` is a person, None the command line. Raises DownlinkRefused. May take half a minute.
        """
        target = self._target(name)
        item = str(uuid4())
        try:
            topic, message = networks.downlink(
                target.link.kind, target.where.sender, port=port, payload=payload, item=item,
                is_confirmed=is_confirmed,
            )  # fmt: skip
        except ValueError as error:
            raise DownlinkRefused("invalid", str(error)) from None
        if not self._free.acquire(blocking=False):
            raise DownlinkRefused("busy", f"{_MOST_AT_ONCE} downlinks are being handed over: wait")
        try:
            self._request(target, item, port, payload, is_confirmed=is_confirmed, by=by)
            self._hand_over(target, item, topic, message)
        finally:
            self._free.release()
        return self.found(item)

    def found(self, id_: str) -> Downlink:
        """A downlink as it stands; KeyError where there is none."""
        with self._database.connect() as connection:
            found = downlink_book.one(connection, id_, self._now())
        if found is None:
            raise KeyError(id_)
        return found

    def listed(self, name: str, limit: int = 50) -> tuple[Downlink, ...]:
        """The newest downlinks of a device; raises DownlinkRefused where there is no such one."""
        device = self._device(name)
        with self._database.connect() as connection:
            return downlink_book.of_device(connection, device.id, self._now(), limit)

    def _request(
        self,
        target: _Target,
        item: str,
        port: int,
        payload: bytes,
        *,
        is_confirmed: bool,
        by: int | None,
    ) -> None:
        now, device = self._now(), target.device
        wanted = Downlink(
            item, device.id, target.dev_eui, target.where.network, port, payload, is_confirmed,
            by, now, Step.REQUESTED, {}, "",
        )  # fmt: skip
        with writing(self._database) as connection:
            if downlink_book.count_open(connection, device.id, now) >= downlink_book.MOST_OPEN:
                raise DownlinkRefused(
                    "too_many",
                    f"{downlink_book.MOST_OPEN} downlinks for {device.name} are on their way",
                )
            downlink_book.request(connection, wanted)
            detail = f"port {port}, {payload.hex()}{', confirmed' if is_confirmed else ''}"
            auth.note(connection, now, by, "downlink.requested", device.name, detail=detail)

    def _hand_over(self, target: _Target, item: str, topic: str, message: bytes) -> None:
        step, detail = Step.HANDED_OVER, ""
        try:
            hand_over(target.link.broker, topic, message, qos=target.link.qos)
        except HandOverError as error:
            step = Step.UNKNOWN if error.may_have_left else Step.FAILED
            detail = f"network {target.where.network}: {error}"[:_DETAIL_CHARS]
            log.warning("downlink.not_handed_over", device=target.device.name, reason=detail)
        with writing(self._database) as connection:
            downlink_book.advance(connection, item, step, self._now(), detail)

    def _device(self, name: str) -> Device:
        device = self._registry.snapshot().by_name.get(name)
        if device is None:
            raise DownlinkRefused("not_found", f"no device in service is called {name}")
        return device

    def _target(self, name: str) -> _Target:
        device = self._device(name)
        unit = self._registry.snapshot().unit_in.get(device.id)
        if unit is None or unit.dev_eui is None:
            raise DownlinkRefused("no_dev_eui", f"the unit of {name} has no DevEUI")
        with self._database.connect() as connection:
            where = downlink_book.whereabouts(connection, unit.dev_eui)
        if where is None:
            raise DownlinkRefused(
                "never_heard", f"no network server has spoken of {unit.dev_eui} yet: where it hangs"
                " is known with its first uplink",
            )  # fmt: skip
        link = self._links.get(where.network)
        if link is None:
            raise DownlinkRefused(
                "no_network", f"{name} hangs on {where.network}, which the settings do not name"
            )
        return _Target(device, unit, unit.dev_eui, where, link)


def _codec_refused(unit: Unit, detail: str) -> DownlinkRefused:
    return DownlinkRefused("codec_failed", f"{unit.codec}: {detail}"[:_DETAIL_CHARS])
