"""The way of a batch of messages through one lane, from bytes to journal frames.

    messages ─▶ leave out what is journaled already ─▶ decode ─▶ derive ─▶ check ─▶ number ─▶ frames

Deterministic and without input or output, except that a quantity that a device sends for the first
time is given a series (`AddSeries`). Refuses to know sockets, the journal's files and clocks.
Everything that this state knows can be had again from a snapshot and the frames after it
(`absorb`). Not for two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from devices.frames import (
    Frame,
    RawFrame,
    ReadingsFrame,
    RejectedFrame,
    RevisionFrame,
    SequenceGapFrame,
    SeriesDefinition,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from devices.outcomes import Rejected
from devices.payload import NO_TIME, NOT_GIVEN
from devices.readings import Quality, Readings, concatenate
from devices.registry import RegistrySnapshot
from ingest import message_frames
from ingest.arrival_times import ArrivalTimes
from ingest.budget import Budgets
from ingest.check import Checker
from ingest.decode import Decoded, Decoder
from ingest.derive import Derivation
from ingest.enrolment_desk import EnrolmentDesk
from ingest.lags import DeviceLags
from ingest.messages import (
    OVER_BUDGET,
    RESUBMISSION,
    Arrival,
    Tally,
    chosen_rows,
    with_topics,
)
from ingest.receipts import ReceiptBook, payload_hashes
from ingest.sequence import SequenceTracker
from ingest.translations import Translations, epoch_of

AddSeries = Callable[[Collection[tuple[int, str]]], tuple[SeriesDefinition, ...]]
"""Give (device id, quantity) pairs a series; returns the definitions of all of them.

May raise SeriesUnavailable."""


class SeriesUnavailable(Exception):
    """The registry gives no series now; keep what needs one raw, it is taken in again later."""


class LaneState:
    """All that one lane must know to turn messages into frames."""

    def __init__(
        self, snapshot: RegistrySnapshot, add_series: AddSeries, *, readings_per_minute: int = 0
    ) -> None:
        """``readings_per_minute`` of a device (`Budgets`); 0 sets no limit."""
        self.budgets = Budgets(readings_per_minute)
        self.budgets.know(snapshot)
        self.lags = DeviceLags()
        self.enrolments = EnrolmentDesk()
        self.ticked_at = 0
        self.checker = Checker()
        self.sequences = SequenceTracker()
        self.receipts = ReceiptBook()
        self.translations = Translations()
        self.journaled_revision = -1
        self.resubmitted: frozenset[int] = frozenset()
        self._add_series = add_series
        self._arrivals = ArrivalTimes()
        self._decoder = Decoder(snapshot, self._arrivals)
        self._derivation = Derivation(snapshot)
        self._translated_devices = _need_translation(snapshot)
        self._definitions = dict(snapshot.definitions)
        self.checker.define(snapshot.definitions.values())

    def switch(self, snapshot: RegistrySnapshot, at: int) -> list[Frame]:
        """Use this registry from now on; the frames that say so to the readers."""
        changed = [
            definition
            for series, definition in snapshot.definitions.items()
            if self._definitions.get(series) != definition
        ]
        self._decoder = Decoder(snapshot, self._arrivals)
        self._derivation = Derivation(snapshot)
        self._translated_devices = _need_translation(snapshot)
        self._definitions = dict(snapshot.definitions)
        self.budgets.know(snapshot)
        self.checker.define(changed)
        self.journaled_revision = snapshot.revision
        return [*message_frames.series_frames(changed), RevisionFrame(at, snapshot.revision)]

    def begin(self, snapshot: RegistrySnapshot, at: int) -> list[Frame]:
        """The frames of a start: the registry, where the journal does not know it as it is now."""
        if self.journaled_revision == snapshot.revision:
            return []
        self._definitions = {}
        return self.switch(snapshot, at)

    def take_in(self, arrival: Arrival, tally: Tally) -> list[Frame]:
        """Messages → frames, in order; what happened is added to ``tally``."""
        fresh, hashes = self._without_repetitions(arrival)
        _count_messages(arrival, len(fresh.topics), tally)
        frames: list[Frame] = []
        if self.budgets.over:
            fresh, hashes = self._hold_back(fresh, hashes, frames, tally)
        fresh, hashes = self._keep_raw(fresh, hashes, frames, tally)
        if not fresh.topics:
            return frames
        sent = self._decoder.decode(fresh.topics, fresh.payloads, fresh.received_at)
        if sent.rejected:
            sent = replace(sent, rejected=self._without_many_requests(fresh, sent))
        decoded = self._derivation.add(sent)
        frames += self._follow_numbers(fresh, decoded, tally)
        decoded = self._give_series(decoded, frames)
        readings = self.checker.check(self._decoder.readings(decoded))
        if len(decoded.message):
            frames.append(ReadingsFrame(readings, message_frames.receipts(fresh, hashes, decoded)))
        frames += message_frames.statuses(fresh, hashes, decoded)
        frames += message_frames.rejections(fresh, hashes, decoded.rejected)
        _count(readings, fresh, decoded, tally)
        self._spend(fresh, sent)
        tally.lags_ms.append(
            self.lags.of(decoded.message, decoded.device, decoded.own_time, fresh.received_at)
        )
        return frames

    def refuse(self, refused: Sequence[RejectedFrame], tally: Tally) -> list[Frame]:
        """The frames of raw messages that could not be translated, less what is journaled."""
        frames: list[Frame] = []
        for frame in refused:
            epoch = epoch_of(frame.connection)
            number = np.array([frame.payload_hash], np.uint64)
            if epoch is None or self.translations.add(epoch, number).all():
                frames.append(frame)
                tally.rejected.append((frame.topic, Rejected(frame.reason, frame.detail)))
        return frames

    def absorb(self, frame: Frame) -> None:
        """Learn from a frame that an earlier process journaled."""
        self.absorb_all([frame])

    def absorb_all(self, frames: Sequence[Frame]) -> None:
        """Learn from many frames in order; readings and receipts are taken together."""
        for frame in frames:
            match frame:
                case ReadingsFrame() | RejectedFrame() | StatusFrame() | RawFrame():
                    continue
                case SeriesFrame():
                    self.checker.define(frame.definitions)
                    self._definitions |= {d.series: d for d in frame.definitions}
                case RevisionFrame():
                    self.journaled_revision = frame.revision
                case TickFrame():
                    self.ticked_at = frame.at
        batches = [frame for frame in frames if isinstance(frame, ReadingsFrame)]
        if batches:
            self.checker.check(concatenate([frame.readings for frame in batches]))
        self._absorb_receipts(frames)
        for frame in batches:
            self._absorb_numbers(frame)

    # -- steps

    def _without_repetitions(self, arrival: Arrival) -> tuple[Arrival, NDArray[np.uint64]]:
        """What is not in the journal yet, and the hashes of its messages.

        Of translated ones the numbers of their raw frames.
        """
        epoch = epoch_of(arrival.connection)
        if epoch is not None:
            hashes = np.array([origin.n for origin in arrival.origins], np.uint64)
            is_fresh = self.translations.add(epoch, hashes)
        else:
            hashes = payload_hashes(arrival.topics, arrival.payloads)
            if arrival.is_resubmitted:
                self._absorb_resubmission(arrival.connection)
                return arrival, hashes
            is_fresh = self.receipts.is_fresh(
                arrival.connection, arrival.packet_id, hashes, arrival.redelivered
            )
        if is_fresh.all():
            return arrival, hashes
        rows = np.flatnonzero(is_fresh)
        return chosen_rows(arrival, rows), hashes[rows]

    def _hold_back(
        self, arrival: Arrival, hashes: NDArray[np.uint64], frames: list[Frame], tally: Tally
    ) -> tuple[Arrival, NDArray[np.uint64]]:
        """Refuse, unread, what publishers over their budget sent; what staff resubmit is read."""
        if arrival.is_resubmitted or arrival.network:
            return arrival, hashes
        over = np.fromiter(self.budgets.over, np.int32)
        is_over = np.isin(self._decoder.publishers(arrival.topics), over)
        if not is_over.any():
            return arrival, hashes
        why = Rejected(OVER_BUDGET, "its publisher has sent too many readings: kept unread")
        refused = [(row, why) for row in np.flatnonzero(is_over).tolist()]
        frames += message_frames.rejections(arrival, hashes, refused)
        tally.rejected += with_topics(arrival, refused)
        rows = np.flatnonzero(~is_over)
        return chosen_rows(arrival, rows), hashes[rows]

    def _keep_raw(
        self, arrival: Arrival, hashes: NDArray[np.uint64], frames: list[Frame], tally: Tally
    ) -> tuple[Arrival, NDArray[np.uint64]]:
        """Keep as it is what is to be translated behind the journal; what is left is read here.

        That is all of a network server, and what devices send whose unit has a codec.
        """
        if arrival.network:
            is_raw = np.ones(len(arrival.topics), np.bool_)
        elif len(self._translated_devices) and not arrival.origins:
            speakers = self._decoder.speakers(arrival.topics)
            is_raw = np.isin(speakers, self._translated_devices)
            if not arrival.is_resubmitted:
                self.budgets.spend(speakers[is_raw])
        else:
            return arrival, hashes
        rows = np.flatnonzero(is_raw)
        if not len(rows):
            return arrival, hashes
        frames += message_frames.raws(chosen_rows(arrival, rows), hashes[rows])
        tally.raw += len(rows)
        rest = np.flatnonzero(~is_raw)
        return chosen_rows(arrival, rest), hashes[rest]

    def _spend(self, arrival: Arrival, decoded: Decoded) -> None:
        """Charge each publisher its readings; a message without any counts as one."""
        if arrival.is_resubmitted:
            return
        self.budgets.spend(decoded.sender)
        without = [row for row, _ in decoded.statuses] + [row for row, _ in decoded.rejected]
        if without:
            senders = self._decoder.publishers([arrival.topics[row] for row in without])
            self.budgets.spend(senders[senders >= 0])

    def _without_many_requests(
        self, arrival: Arrival, decoded: Decoded
    ) -> list[tuple[int, Rejected]]:
        """What is refused, without requests for admission beyond what may be asked."""
        return self.enrolments.admit(
            decoded.rejected, arrival.topics, arrival.payloads, arrival.received_at
        )

    def _give_series(self, decoded: Decoded, frames: list[Frame]) -> Decoded:
        """Series for quantities that a device sends for the first time, before they are needed.

        Where none can be had now, what needs one is refused and the rest goes on.
        """
        wanted = self._decoder.without_series(decoded)
        if not wanted:
            return decoded
        try:
            definitions = self._add_series(wanted)
        except SeriesUnavailable as unavailable:
            return self._decoder.without_unknown(decoded, str(unavailable))
        self._decoder.learn(definitions)
        self.checker.define(definitions)
        self._definitions |= {d.series: d for d in definitions}
        frames += message_frames.series_frames(definitions)
        return decoded

    def _follow_numbers(
        self, arrival: Arrival, decoded: Decoded, tally: Tally
    ) -> list[SequenceGapFrame]:
        """Gaps that opened or closed; they are journaled before the readings that show them.

        A death in the middle of the write keeps the first frames of a batch. A gap said twice is
        one gap; one whose readings alone were kept would never be said.
        """
        rows = np.flatnonzero(decoded.sequence != NOT_GIVEN)
        if not len(rows):
            return []
        devices = decoded.device[rows]
        gaps = self.sequences.follow(
            devices,
            decoded.sequence[rows],
            decoded.boot[rows],
            decoded.own_time[rows],
            int(arrival.received_at[-1]),
        )
        tally.numbered.append(np.stack([decoded.publisher[rows], devices], axis=1))
        for gap in gaps:
            count = gap.last - gap.first + 1
            if gap.is_filled:
                tally.numbers_filled += count
            else:
                tally.numbers_missing += count
        return gaps

    # -- learning from the journal

    def _absorb_receipts(self, frames: Sequence[Frame]) -> None:
        for of in message_frames.acknowledged(frames):
            epoch = epoch_of(of.connection)
            if epoch is not None:
                self.translations.add(epoch, of.payload_hash)
            elif of.connection.startswith(RESUBMISSION):
                self._absorb_resubmission(of.connection)
            else:
                self.receipts.enter(of.connection, of.packet_id, of.payload_hash)

    def _absorb_numbers(self, frame: ReadingsFrame) -> None:
        receipts = frame.receipts
        rows = np.flatnonzero(receipts.sequence != NOT_GIVEN)
        if len(rows):
            devices = receipts.device[rows]
            times = self._own_times(frame.readings)
            self.sequences.follow(
                devices,
                receipts.sequence[rows],
                np.full(len(rows), NOT_GIVEN),
                [times.get(device, NO_TIME) for device in devices.tolist()],
                int(frame.readings.received_at.max(initial=0)),
            )

    def _own_times(self, readings: Readings) -> dict[int, int]:
        """The newest own time of each device in a frame.

        Receipts do not say which readings are whose. The newest makes a device that began to count
        anew look like a repetition, until its next message. An older one would make a message that
        is sent again after our death, because it was not answered, look like a new beginning.
        """
        times: dict[int, int] = {}
        own = (readings.quality & np.uint8(Quality.CLOCK)) == 0
        pairs = zip(readings.series[own].tolist(), readings.measured_at[own].tolist(), strict=True)
        for series, at in pairs:
            definition = self._definitions.get(series)
            if definition is not None:
                times[definition.device] = max(at, times.get(definition.device, at))
        return times

    def _absorb_resubmission(self, connection: str) -> None:
        if connection.startswith(RESUBMISSION):
            self.resubmitted |= {int(connection.removeprefix(RESUBMISSION))}


def _need_translation(snapshot: RegistrySnapshot) -> NDArray[np.int32]:
    """Devices that publish themselves in a language of their own: their unit has a codec.

    One with a DevEUI is heard through a network server.
    """
    units = snapshot.unit_in.values()
    return np.array([u.device for u in units if u.codec and u.dev_eui is None], np.int32)


def _count_messages(arrival: Arrival, fresh: int, tally: Tally) -> None:
    """Translated ones were counted when they came."""
    if arrival.origins:
        tally.translated += fresh
    else:
        tally.messages += len(arrival.topics)
        tally.repeated += len(arrival.topics) - fresh


def _count(readings: Readings, arrival: Arrival, decoded: Decoded, tally: Tally) -> None:
    tally.readings += len(readings)
    for flag in (Quality.CLOCK, Quality.RANGE, Quality.SPIKE, Quality.STUCK, Quality.DATUM):
        count = int(np.count_nonzero(readings.quality & np.uint8(flag)))
        if count:
            name = str(flag.name).lower()
            tally.flags[name] = tally.flags.get(name, 0) + count
    tally.rejected += with_topics(arrival, decoded.rejected)
    tally.remarks += decoded.remarks
