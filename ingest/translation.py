"""From a network server's message, or a device's own bytes, to a message in our own JSON.

    message ─▶ place (unit by DevEUI) ─▶ codec asked ─▶ mapping ─▶ field/v1/{kind}/{device}/up

Pure: what must be asked of a codec is a value (`Question`), its answer an argument. Refuses to know
the journal, how codecs are run, and what becomes of readings afterwards: limits, clocks and series
are the same as of every message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from devices import cayenne, payload
from devices.codecs.codec import Answer, Failure, Outcome
from devices.codecs.library import Enabled
from devices.codecs.mapping import NORMALIZED, to_samples
from devices.frames import RawFrame
from devices.networks.messages import Joined, LinkStatus, NetworkMessage, Sender, Uplink
from devices.outcomes import Rejected
from devices.payload import Sample
from devices.registry import Device, RegistrySnapshot
from ingest.decode import meaning_of

CAYENNE: Final = "cayenne-lpp"
"""Name of the codec that is built in."""

DIRECT_PORT: Final = 1
"""The port that a codec is told where there is none: the device is not on LoRaWAN."""

_DETAIL_CHARS: Final = 300
_KEYS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Place:
    """The device that a message is of, and the name of its unit's codec, if it has one."""

    device: Device
    codec: str | None


@dataclass(frozen=True, slots=True)
class Addressed:
    """Bytes of a device that we know."""

    place: Place
    uplink: Uplink


@dataclass(frozen=True, slots=True)
class Question:
    """``given`` is to be asked of the codec's ``decodeUplink``; `answered` reads what it says."""

    place: Place
    uplink: Uplink
    enabled: Enabled
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Translated:
    """A message in our own JSON, as if the device had published it."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Passed:
    """Nothing of it becomes a reading, and that is as it should be."""

    why: str


Translation = Translated | Passed | Rejected


def of_network(message: NetworkMessage, registry: RegistrySnapshot) -> Translation | Addressed:
    """What a network server's message becomes, or whose bytes it brings."""
    if not isinstance(message, Uplink | LinkStatus | Joined):
        return Passed(type(message).__name__)
    unit = registry.units.get(message.sender.dev_eui)
    if unit is None:
        return Rejected("unknown_device", _about(message.sender))
    place = Place(registry.devices[unit.device], unit.codec)
    match message:
        case Uplink():
            return Addressed(place, message)
        case LinkStatus(battery_percent=percent) if percent is not None:
            return _message(place, (Sample({"battery.level": percent}, message.at),))
        case _:
            return Passed(type(message).__name__)


def of_device(raw: RawFrame, registry: RegistrySnapshot) -> Translation | Addressed:
    """Whose bytes came on a topic of ours; plain JSON once its unit has no codec any more."""
    found = meaning_of(raw.topic.encode(), registry)
    if isinstance(found, Rejected):
        return found
    if not isinstance(found, int):
        return Passed("status")
    device = registry.devices[found]
    unit = registry.unit_in.get(device.id)
    if unit is None or unit.codec is None:
        return Translated(raw.topic, raw.payload)
    nobody = Sender("", name=device.name)
    uplink = Uplink(nobody, "", DIRECT_PORT, 0, raw.payload, measured_at=None)
    return Addressed(Place(device, unit.codec), uplink)


def read(of: Addressed, enabled: Enabled | None) -> Translation | Question:
    """What the bytes become, or what is to be asked of the codec.

    ``enabled`` is the codec that the unit names, None where it is not to be had.
    """
    place, uplink = of.place, of.uplink
    if not uplink.payload and uplink.decoded is None:
        heard = _with_link((), uplink)
        return _message(place, heard) if heard else Passed("heard, nothing said")
    if place.codec is None:
        return _by_server(uplink, place)
    if place.codec == CAYENNE:
        return _by_cayenne(uplink, place, enabled)
    if enabled is None:
        return Rejected("no_codec", f"codec {place.codec} of {place.device.name} is not enabled")
    if not enabled.is_mapped:
        return Rejected("no_mapping", f"the mapping of codec {place.codec} is not confirmed")
    return Question(place, uplink, enabled, _given(uplink))


def answered(question: Question, outcome: Outcome) -> Translation:
    """What the codec's answer becomes."""
    name = question.enabled.codec.name
    if isinstance(outcome, Failure):
        return _codec_failed(name, str(outcome.reason), outcome.detail)
    if outcome.errors:
        return _codec_failed(name, "errors", "; ".join(outcome.errors[:_KEYS_SHOWN]))
    uplink, place = question.uplink, question.place
    samples = to_samples(outcome, question.enabled.mapping, uplink.measured_at)
    if not samples:
        return Rejected("no_values", f"{name}: nothing of {_keys(outcome.data)} is mapped")
    return _message(place, _with_link(samples, uplink))


def _by_server(uplink: Uplink, place: Place) -> Translation:
    """A codec of the network server has decoded it: what has The Things Stack's names is clear."""
    if uplink.decoded is None:
        return Rejected("no_codec", f"the unit of {place.device.name} names no codec")
    said = Answer(data=uplink.decoded, normalized=(uplink.decoded,))
    samples = to_samples(said, NORMALIZED, uplink.measured_at)
    if not samples:
        what = f"{_keys(uplink.decoded)}, decoded by the network server"
        return Rejected("no_mapping", f"{what}: the unit of {place.device.name} names no codec")
    return _message(place, _with_link(samples, uplink))


def _by_cayenne(uplink: Uplink, place: Place, mapped: Enabled | None) -> Translation:
    """By a mapping that somebody confirmed for it; else what its types tell by themselves."""
    fields = cayenne.decode(uplink.payload)
    if isinstance(fields, Rejected):
        return _codec_failed(CAYENNE, fields.reason, fields.detail)
    if mapped is not None and mapped.is_mapped:
        said = Answer(data=cayenne.named(fields))
        return answered(Question(place, uplink, mapped, {}), said)
    found = cayenne.samples(fields, place.device.kind, uplink.measured_at)
    if isinstance(found, Rejected):
        return Rejected(found.reason, f"{CAYENNE}: {found.detail}"[:_DETAIL_CHARS])
    return _message(place, _with_link(found.samples, uplink))


def _given(uplink: Uplink) -> Mapping[str, Any]:
    """TS013's input of ``decodeUplink``."""
    given: dict[str, Any] = {"bytes": list(uplink.payload), "fPort": uplink.port, "variables": {}}
    if uplink.measured_at is not None:
        moment = datetime.fromtimestamp(uplink.measured_at / 1000, UTC)
        given["recvTime"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return given


def _with_link(samples: tuple[Sample, ...], uplink: Uplink) -> tuple[Sample, ...]:
    """The samples with how well the device was heard, at the time of the uplink.

    What its codec says of the battery goes before what the network server says.
    """
    link = _link(uplink)
    if not link:
        return samples
    for index, sample in enumerate(samples):
        if sample.measured_at == uplink.measured_at:
            whole = replace(sample, values={**link, **sample.values})
            return (*samples[:index], whole, *samples[index + 1 :])
    return (*samples, Sample(link, uplink.measured_at))


def _link(uplink: Uplink) -> dict[str, float]:
    """Of the gateway that heard it best."""
    best = uplink.receptions[0] if uplink.receptions else None
    found = {
        "radio.rssi": best.rssi if best else None,
        "radio.snr": best.snr if best else None,
        "battery.level": uplink.battery_percent,
    }
    return {quantity: value for quantity, value in found.items() if value is not None}


def _message(place: Place, samples: tuple[Sample, ...]) -> Translated:
    device = place.device
    return Translated(f"field/v1/{device.kind}/{device.name}/up", payload.encode(samples))


def _codec_failed(name: str, reason: str, detail: str) -> Rejected:
    return Rejected("codec_failed", f"{name}: {reason}: {detail}"[:_DETAIL_CHARS])


def _about(sender: Sender) -> str:
    """DevEUI first, then what helps people to find out whose it is."""
    hints = (sender.name, sender.application_name or sender.application, sender.brand, sender.model)
    known = ", ".join(hint for hint in hints if hint)
    return f"DevEUI {sender.dev_eui}{f' ({known})' if known else ''}"[:_DETAIL_CHARS]


def _keys(data: object) -> str:
    """The names in what a codec said, for whoever maps them."""
    if not isinstance(data, Mapping):
        return type(data).__name__
    names = [str(name) for name in list(data)[:_KEYS_SHOWN]]
    return ("{" + ", ".join(names) + "}")[: _DETAIL_CHARS // 2]
