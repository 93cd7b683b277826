"""Topics and payloads of many messages → columns of samples and values, and what was not readable.

Pure. Refuses to know brokers, the journal, limits and spikes. The registry's snapshot says who may
speak on which topic; a gateway names the device inside its message, and the registry says whether
it carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from devices import enrolment
from devices.frames import SeriesDefinition
from devices.kinds import FIELD_KINDS
from devices.outcomes import Rejected, Remark, shown
from devices.payload import NO_TIME, QUANTITY_CODES, QUANTITY_NAMES, Batch, decode_batch
from devices.readings import Float64s, Int32s, Int64s, Quality, Readings, UInt8s
from devices.registry import NO_SERIES, Device, RegistrySnapshot, series_by_code
from ingest.arrival_times import ArrivalTimes
from ingest.check import Placed, place_in_time

MAX_STATUS_BYTES: Final = 4096
"""A longer status message is refused as ``too_large``."""

AWAITS_SERIES: Final = "awaits_series"
"""Why a good message is refused: its series could not be made; it is resubmitted by itself."""

_CLOCK = np.uint8(Quality.CLOCK)
_GOOD = np.uint8(Quality.GOOD)
_CACHED_TOPICS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Status:
    """The topic is the status topic of this device."""

    device: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of messages gave, in order of arrival.

    One row a sample: ``message`` index of its message, ``publisher`` (device or gateway),
    ``device``, ``sequence`` and ``boot`` (or NOT_GIVEN), ``own_time`` the device's time (NO_TIME
    where absent or impossible).
    One row a value: ``owner`` its device, ``sender`` who published it, ``quantity`` code,
    ``measured_at``, ``received_at``, ``value``, ``quality`` (CLOCK or GOOD).
    A message has samples, a status, or a rejection; a gateway's may have samples and a rejection.
    """

    message: Int32s
    publisher: Int32s
    device: Int32s
    sequence: Int64s
    boot: Int64s
    own_time: Int64s
    owner: Int32s
    sender: Int32s
    quantity: UInt8s
    measured_at: Int64s
    received_at: Int64s
    value: Float64s
    quality: UInt8s
    statuses: list[tuple[int, int]]
    rejected: list[tuple[int, Rejected]]
    remarks: list[tuple[int, Remark]]


class Decoder:
    """Reads messages as the registry stands; remembers what each topic means."""

    def __init__(self, snapshot: RegistrySnapshot, arrivals: ArrivalTimes | None = None) -> None:
        """``arrivals`` gives moments to readings without a time; it outlives a registry."""
        self._snapshot = snapshot
        self._arrivals = arrivals or ArrivalTimes()
        self._series = series_by_code(snapshot)
        self._topics = _Topics(snapshot)

    @property
    def revision(self) -> int:
        """The revision of the registry that holds here."""
        return self._snapshot.revision

    def decode(
        self, topics: Sequence[bytes], payloads: Sequence[bytes], received_at: Int64s
    ) -> Decoded:
        """Read messages (three columns of one length). Nothing raises for what is in them."""
        if len(self._topics) > _CACHED_TOPICS:  # somebody invents topics
            self._topics = _Topics(self._snapshot)
        codes = np.fromiter(map(self._topics.__getitem__, topics), np.int64, len(topics))
        rows = np.arange(len(topics), dtype=np.int32)
        statuses: list[tuple[int, int]] = []
        rejected: list[tuple[int, Rejected]] = []
        if len(codes) and codes.min() < 0:
            self._set_apart(codes, payloads, statuses, rejected)
            rows = np.flatnonzero(codes >= 0).astype(np.int32)
            payloads = [payloads[row] for row in rows.tolist()]
        batch = decode_batch(payloads, received_at[rows])
        rejected += [(int(rows[index]), found) for index, found in batch.rejected]
        remarks = [(int(codes[rows[index]]), remark) for index, remark in batch.remarks]
        message = rows[batch.message]
        publisher = codes[message].astype(np.int32)
        device = publisher.copy()
        self._let_gateways_name(batch, publisher)
        self._find_carried(batch.device, message, device, rejected)
        came = received_at[message]
        placed = place_in_time(batch.measured_at, came)
        ours = np.flatnonzero(placed.is_ours)
        if len(ours):  # received then, too: nothing is measured after it was received
            came[ours] = placed.measured_at[ours] = self._arrivals.give(device, ours, came)
        remarks += _clock_remarks(batch, placed, device)
        has_no_clock = placed.is_ours
        has_no_clock[batch.relative] = True
        samples = np.flatnonzero(device >= 0)
        owner = device[batch.sample]
        values = np.flatnonzero(owner >= 0)
        of = batch.sample[values]
        return Decoded(
            message=message[samples],
            publisher=publisher[samples],
            device=device[samples],
            sequence=batch.sequence[samples],
            boot=batch.boot[samples],
            own_time=np.where(has_no_clock, NO_TIME, batch.measured_at)[samples],
            owner=owner[values],
            sender=publisher[of],
            quantity=batch.quantity[values],
            measured_at=placed.measured_at[of],
            received_at=came[of],
            value=batch.value[values],
            quality=np.where(has_no_clock, _CLOCK, _GOOD)[of],
            statuses=statuses,
            rejected=rejected,
            remarks=[(of_device, remark) for of_device, remark in remarks if of_device >= 0],
        )

    def without_series(self, decoded: Decoded) -> list[tuple[int, str]]:
        """(device id, quantity) pairs that the registry must give a series before `readings`."""
        missing = np.flatnonzero(self._series[decoded.owner, decoded.quantity] == NO_SERIES)
        pairs = {(int(decoded.owner[k]), int(decoded.quantity[k])) for k in missing}
        return [(device, QUANTITY_NAMES[code]) for device, code in sorted(pairs)]

    def without_unknown(self, decoded: Decoded, why: str) -> Decoded:
        """The values that have a series; the messages of devices that lack one are refused too.

        What such a message gives now it gives again when it is taken in later, which changes
        nothing: the same series, time and value.
        """
        is_known = self._series[decoded.owner, decoded.quantity] != NO_SERIES
        lacking = np.unique(decoded.owner[~is_known])
        messages = np.unique(decoded.message[np.isin(decoded.device, lacking)])
        refused = [(row, Rejected(AWAITS_SERIES, why)) for row in messages.tolist()]
        return replace(
            decoded,
            owner=decoded.owner[is_known],
            sender=decoded.sender[is_known],
            quantity=decoded.quantity[is_known],
            measured_at=decoded.measured_at[is_known],
            received_at=decoded.received_at[is_known],
            value=decoded.value[is_known],
            quality=decoded.quality[is_known],
            rejected=[*decoded.rejected, *refused],
        )

    def publishers(self, topics: Sequence[bytes]) -> Int32s:
        """Ids of those who publish on these topics, -1 where nobody may."""
        codes = np.fromiter(map(self._topics.__getitem__, topics), np.int64, len(topics))
        for row in np.flatnonzero(codes < 0).tolist():
            meaning = self._topics.others[-1 - int(codes[row])]
            codes[row] = meaning.device if isinstance(meaning, Status) else -1
        return codes.astype(np.int32)

    def speakers(self, topics: Sequence[bytes]) -> Int32s:
        """Ids of those whose readings come on these topics, -1 where none do."""
        codes = np.fromiter(map(self._topics.__getitem__, topics), np.int64, len(topics))
        return np.maximum(codes, -1).astype(np.int32)

    def learn(self, definitions: Iterable[SeriesDefinition]) -> None:
        """Take in new series of known devices."""
        for definition in definitions:
            code = QUANTITY_CODES[definition.quantity]
            self._series[definition.device, code] = definition.series

    def readings(self, decoded: Decoded) -> Readings:
        """The values as readings; every pair must have a series by now."""
        return Readings(
            self._series[decoded.owner, decoded.quantity],
            decoded.measured_at,
            decoded.received_at,
            decoded.value,
            decoded.quality,
        )

    def _set_apart(
        self,
        codes: Int64s,
        payloads: Sequence[bytes],
        statuses: list[tuple[int, int]],
        rejected: list[tuple[int, Rejected]],
    ) -> None:
        """Messages that carry no readings: status, and topics that cannot be."""
        for row in np.flatnonzero(codes < 0).tolist():
            meaning = self._topics.others[-1 - int(codes[row])]
            if isinstance(meaning, Rejected):
                rejected.append((row, meaning))
            elif len(payloads[row]) > MAX_STATUS_BYTES:
                size = f"{len(payloads[row])} bytes of status, at most {MAX_STATUS_BYTES}"
                rejected.append((row, Rejected("too_large", size)))
            else:
                statuses.append((row, meaning.device))

    def _let_gateways_name(self, batch: Batch, publisher: Int32s) -> None:
        """What a gateway's message calls whom it is about is a device; a device's is itself."""
        for row, name in batch.sender.items():
            if self._snapshot.devices[int(publisher[row])].kind == "gateway":
                batch.device[row] = name

    def _find_carried(
        self,
        names: Sequence[str],
        message: Int32s,
        device: Int32s,
        rejected: list[tuple[int, Rejected]],
    ) -> None:
        """Put the device named in a message in place of its publisher, or -1 and a rejection."""
        if not any(names):
            return
        refused: dict[int, Rejected] = {}
        for row, name in enumerate(names):
            if not name:
                continue
            found = self._carried(name, self._snapshot.devices[int(device[row])])
            if isinstance(found, Rejected):
                refused.setdefault(int(message[row]), found)
                device[row] = -1
            else:
                device[row] = found
        rejected += refused.items()

    def _carried(self, name: str, publisher: Device) -> int | Rejected:
        found = self._snapshot.by_name.get(name)
        if found is None or found.decommissioned_at is not None:
            return Rejected("unknown_device", f"d: {shown(name)} is not in service")
        if found.id != publisher.id and found.gateway != publisher.name:
            carried_by = found.gateway or "no gateway"
            return Rejected(
                "not_carried", f"d: {name} is carried by {carried_by}, not by {publisher.name}"
            )
        return found.id


class _Topics(dict[bytes, int]):
    """Topic → id of the device whose readings come there, or ``-1 - k`` for ``others[k]``."""

    def __init__(self, snapshot: RegistrySnapshot) -> None:
        super().__init__()
        self._snapshot = snapshot
        self.others: list[Status | Rejected] = []

    def __missing__(self, topic: bytes) -> int:
        meaning = meaning_of(topic, self._snapshot)
        if isinstance(meaning, int):
            code = meaning
        else:
            self.others.append(meaning)
            code = -len(self.others)
        self[topic] = code
        return code


def meaning_of(topic: bytes, snapshot: RegistrySnapshot) -> int | Status | Rejected:
    """The device whose (or whose gateway's) readings come on a topic, its status, or neither."""
    parts = topic.decode("utf-8", "backslashreplace").split("/")
    if enrolment.is_request_topic(parts):
        return Rejected(enrolment.REASON, f"{shown(parts[3])} asks to be admitted")
    if parts[:2] != ["field", "v1"] or len(parts) < 5:
        return Rejected("unknown_topic", f"{shown(topic)}: field/v1/KIND/DEVICE/up expected")
    kind, name, ending = parts[2], parts[3], parts[4:]
    is_by_lane = kind == "gateway" and ending in (["up", "urgent"], ["up", "routine"])
    if kind not in FIELD_KINDS:
        return Rejected("unknown_topic", f"{shown(topic)}: there is no kind {shown(kind)}")
    if not is_by_lane and ending not in (["up"], ["status"]):
        return Rejected("unknown_topic", f"{shown(topic)}: ends in neither up nor status")
    device = _in_service(kind, name, snapshot)
    if isinstance(device, Rejected):
        return device
    return Status(device.id) if ending == ["status"] else device.id


def _in_service(kind: str, name: str, snapshot: RegistrySnapshot) -> Device | Rejected:
    device = snapshot.by_name.get(name)
    if device is None:
        return Rejected("unknown_device", f"no device {shown(name)} is registered")
    if device.decommissioned_at is not None:
        return Rejected("unknown_device", f"{name} is decommissioned")
    if device.kind != kind:
        return Rejected("kind_mismatch", f"{name} is a {device.kind}, the topic says {kind}")
    return device


def _clock_remarks(batch: Batch, placed: Placed, device: Int32s) -> list[tuple[int, Remark]]:
    remarks: list[tuple[int, Remark]] = []
    for rows, reason in ((placed.too_late, "clock_future"), (placed.too_early, "clock_past")):
        for row in rows.tolist():
            index = row - int(np.searchsorted(batch.message, batch.message[row]))
            path = f"[{index}].t" if index else "t"
            value = str(int(batch.measured_at[row]))
            remarks.append((int(device[row]), Remark(path, value, reason)))
    return remarks
