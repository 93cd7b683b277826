"""A small town whose devices are on LoRaWAN, for tests of what network servers say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from devices.codecs.codec import Codec
from devices.codecs.library import Enabled
from devices.codecs.mapping import Entry, QuantityMapping
from devices.codecs.pool import CodecPool
from devices.drafts import DeviceDraft
from devices.frames import Lane, RawFrame, ReadingsFrame, RejectedFrame
from devices.networks import NetworkKind, application_of, read, subscriptions
from devices.units import UnitDraft
from ingest.intake import Intake
from ingest.journal_follower import JournalFollower
from ingest.mqtt import BrokerAddress
from ingest.networks import Network
from ingest.translator import Translating
from tests.ingest.field import GAUGES, METERS, NOW, Town, now_ms, of

APPLICATION = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
FLOOD_APPLICATION = "9b2e1c44-0000-4562-b3fc-2c963f66afa6"

LEVEL = "function decodeUplink(i) { return {data: {mm: i.bytes[0] * 65536 + i.bytes[1] * 256 + i.bytes[2]}}; }"  # noqa: E501 - a script of one line
LEVEL_MAPPING = QuantityMapping((Entry("mm", "water.level", scale=0.001),))
TOTAL_MAPPING = QuantityMapping((Entry("mm", "water.total", scale=0.001),))


class Shelf:
    """Codecs by name; stands where the library of the database stands."""

    def __init__(self, codecs: Mapping[str, Enabled]) -> None:
        self.codecs = dict(codecs)

    def codec(self, name: str, revision: int | None = None) -> Enabled | None:
        return self.codecs.get(name)


def enabled(name: str, script: str = LEVEL, mapping: QuantityMapping = LEVEL_MAPPING) -> Enabled:
    return Enabled(Codec(name, script, may_reuse=True), mapping)


def dev_eui(number: int) -> str:
    """A DevEUI of the town, upper case."""
    return f"70B3D57ED0{number:06X}"


def bytes_of(value: float) -> bytes:
    """What the town's devices send for a level (m) or a volume (m3)."""
    return round(value * 1000).to_bytes(3, "big")


def uplink(
    number: int,
    value: float | bytes,
    counter: int = 1,
    *,
    at: int | None = NOW,
    application: str = APPLICATION,
    **more: Any,
) -> tuple[str, bytes]:
    """ChirpStack's topic and message of an uplink."""
    sent = value if isinstance(value, bytes) else bytes_of(value)
    body: dict[str, Any] = {
        "deduplicationId": f"{number}-{counter}",
        "deviceInfo": {"applicationId": application, "devEui": dev_eui(number).lower()},
        "devAddr": f"01{number:06x}",
        "fCnt": counter,
        "fPort": 2,
        "data": base64.b64encode(sent).decode(),
        "rxInfo": [{"gatewayId": "a840411f4d4b4150", "rssi": -97, "snr": 7.5}],
        **more,
    }
    if at is not None:
        seconds, ms = divmod(at, 1000)
        body["time"] = f"{_iso(seconds)}.{ms:03d}Z"
    return f"application/{application}/device/{dev_eui(number).lower()}/event/up", json.dumps(
        body
    ).encode()


def _iso(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def network(
    broker: BrokerAddress,
    *,
    urgent: tuple[str, ...] = (),
    routine: tuple[str, ...] = (),
    name: str = "lora",
) -> Network:
    """A ChirpStack; all applications are heard where no ``routine`` ones are named."""
    kind = NetworkKind.CHIRPSTACK
    return Network(
        name,
        broker,
        partial(read, kind),
        {
            Lane.URGENT: subscriptions(kind, urgent) if urgent else (),
            Lane.ROUTINE: subscriptions(kind, routine),
        },
        lambda topic: application_of(kind, topic) in urgent,
        keeps_session=True,
    )


class RadioTown(Town):
    """Gauge k has the unit with DevEUI k and codec ``town/level``; meters from 100 on."""

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        shelf: Shelf | None = None,
        urgent: tuple[str, ...] = (),
        routine: tuple[str, ...] = (),
        pool: Callable[[], CodecPool] = CodecPool,
        **options: Any,
    ) -> None:
        super().__init__(directory, port, **options)
        self.shelf = shelf or Shelf(
            {
                "town/level": enabled("town/level"),
                "town/total": enabled("town/total", mapping=TOTAL_MAPPING),
            }
        )
        self._pool = pool
        self._translated: dict[Lane, JournalFollower] = {}
        self.networks = [network(self.broker, urgent=urgent, routine=routine)]
        self._put_units_in()

    def _put_units_in(self) -> None:
        snapshot = self.registry.snapshot()
        if snapshot.units:
            return
        for base, names, codec in ((0, GAUGES, "town/level"), (100, METERS, "town/total")):
            for k, name in enumerate(names):
                draft = UnitDraft(dev_eui=dev_eui(base + k), codec=codec)
                self.registry.install_unit(snapshot.by_name[name].id, draft, NOW)

    def add(self, name: str, number: int, codec: str | None, kind: str = "river-gauge") -> None:
        """One more device with its unit."""
        self.registry.register([DeviceDraft(name, kind)], NOW)
        device = self.registry.snapshot().by_name[name].id
        self.registry.install_unit(device, UnitDraft(dev_eui=dev_eui(number), codec=codec), NOW)

    def intake(self, now: Callable[[], int] = now_ms) -> Intake:
        self._translated = {
            lane: JournalFollower(self.directory / lane, lane, "translator", is_woken=False)
            for lane in Lane
        }
        self.options |= {
            "networks": self.networks,
            "translating": Translating(self._translated, self.shelf, self._pool),
        }
        return super().intake(now)

    def close(self) -> None:
        super().close()
        for follower in self._translated.values():
            follower.close()

    def raws(self, lane: Lane) -> list[RawFrame]:
        return of(self.frames(lane), RawFrame)

    def readings(self, lane: Lane) -> list[tuple[str, str, int, float, int]]:
        """(device, quantity, measured_at, value, quality) of all that is journaled, in order."""
        definitions = self.registry.snapshot().definitions
        found = []
        for frame in of(self.frames(lane), ReadingsFrame):
            r = frame.readings
            rows = zip(r.series, r.measured_at, r.value, r.quality, strict=True)
            for series, at, value, quality in rows:
                one = definitions[int(series)]
                found.append((one.name, one.quantity, int(at), float(value), int(quality)))
        return found

    def values_of(self, lane: Lane, quantity: str) -> list[float]:
        return [round(value, 6) for _, q, _, value, _ in self.readings(lane) if q == quantity]

    def rejected(self, lane: Lane) -> list[RejectedFrame]:
        return of(self.frames(lane), RejectedFrame)
