"""Frames survive their way through bytes; bytes that are no frame are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from devices.frames import (
    BrokerFrame,
    Frame,
    RawFrame,
    ReadingsFrame,
    Receipts,
    RejectedFrame,
    RevisionFrame,
    SequenceGapFrame,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from devices.readings import readings_from_columns
from ingest.frame_codec import FrameUnreadable, decode_frame, encode_frame
from tests.ingest.journal_frames import FLOOD, FRAMES, readings_frame, same

GOLDEN: tuple[tuple[Frame, int, str], ...] = (
    (
        ReadingsFrame(
            readings_from_columns([7], [1000], [1040], [1.5], [4]),
            Receipts(
                "c1",
                np.array([9], np.uint16),
                np.array([2**63], np.uint64),
                np.array([3], np.int32),
                np.array([-1], np.int64),
            ),
        ),
        1,
        "01000000 01000000 0200 000000000000 e803000000000000 1004000000000000 000000000000f83f"
        "0000000000000080 ffffffffffffffff 07000000 03000000 0900 04 6331",
    ),
    (
        RejectedFrame("t", b"\xff", 5, "bad_json", "d", "c1", 9, 2**63),
        2,
        "89 a5746f706963 a174 a77061796c6f6164 c401ff ab72656365697665645f6174 05"
        "a6726561736f6e a86261645f6a736f6e a664657461696c a164 aa636f6e6e656374696f6e a26331"
        "a97061636b65745f6964 09 ac7061796c6f61645f68617368 cf8000000000000000"
        "a76e6574776f726b a0",
    ),
    (
        RawFrame("lora", "t", b"\xff", 5, "c1", 9, 2**63),
        9,
        "87 a76e6574776f726b a46c6f7261 a5746f706963 a174 a77061796c6f6164 c401ff"
        "ab72656365697665645f6174 05 aa636f6e6e656374696f6e a26331"
        "a97061636b65745f6964 09 ac7061796c6f61645f68617368 cf8000000000000000",
    ),
    (
        StatusFrame(3, 5, b"up"),
        3,
        "86 a6646576696365 03 ab72656365697665645f6174 05 a77061796c6f6164 c4027570"
        "aa636f6e6e656374696f6e a0 a97061636b65745f6964 00 ac7061796c6f61645f68617368 00",
    ),
    (
        SequenceGapFrame(3, 5, 1, 2, is_filled=True),
        4,
        "85 a6646576696365 03 a26174 05 a56669727374 01 a46c617374 02 a969735f66696c6c6564 c3",
    ),
    (TickFrame(5), 5, "81 a26174 05"),
    (
        BrokerFrame(5, "c1", is_up=False),
        6,
        "83 a26174 05 aa636f6e6e656374696f6e a26331 a569735f7570 c2",
    ),
    (RevisionFrame(5, 8), 7, "82 a26174 05 a87265766973696f6e 08"),
    (
        SeriesFrame((FLOOD,)),
        8,
        "91 95 08 04 ac756e646572706173732d3032 ac666c6f6f642d73656e736f72ab666c6f6f642e6465707468",
    ),
)


@given(FRAMES)
def test_a_decoded_frame_equals_the_encoded_one(frame: Frame) -> None:
    assert same(decode_frame(*encode_frame(frame)), frame)


@given(FRAMES)
def test_every_truncation_is_refused(frame: Frame) -> None:
    code, payload = encode_frame(frame)
    for length in range(len(payload)):
        with pytest.raises(FrameUnreadable):
            decode_frame(code, payload[:length])


@pytest.mark.parametrize(("frame", "code", "payload"), GOLDEN, ids=lambda v: type(v).__name__)
def test_the_bytes_of_each_frame_type_stay_what_they_were(
    frame: Frame, code: int, payload: str
) -> None:
    """A journal written by an older version must stay readable: a new layout takes a new code."""
    assert encode_frame(frame) == (code, bytes.fromhex(payload))


def test_a_field_that_was_added_later_has_its_default_in_old_frames() -> None:
    old = bytes.fromhex(
        "83 a6646576696365 03 ab72656365697665645f6174 05 a77061796c6f6164 c4027570"
    )
    assert decode_frame(3, old) == StatusFrame(3, 5, b"up")


def test_an_unknown_type_is_refused_by_its_number() -> None:
    with pytest.raises(FrameUnreadable, match="type 99 is unknown"):
        decode_frame(99, b"")


def test_columns_are_aligned_and_cannot_be_written_to() -> None:
    frame = decode_frame(*encode_frame(readings_frame(5)))
    assert isinstance(frame, ReadingsFrame)
    for column in (frame.readings.value, frame.readings.series, frame.receipts.payload_hash):
        assert column.flags.aligned
        assert not column.flags.writeable


def test_half_a_surrogate_in_a_topic_or_detail_is_kept_readable() -> None:
    code, payload = encode_frame(RejectedFrame("a\ud800", b"", 1, "bad_json", "\udfff"))
    frame = decode_frame(code, payload)
    assert isinstance(frame, RejectedFrame)
    assert (frame.topic, frame.detail) == ("a\\ud800", "\\udfff")
