"""The treaty between the simulator's encoder and the decoder: examples that both must agree on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devices.payload import Decoded, decode
from devices.quantities import QUANTITIES
from firmware_sim import encode

EXAMPLES = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return read


def test_the_encoder_writes_the_golden_payload(example: dict[str, Any]) -> None:
    """Byte for byte."""
    elements = [
        encode.element(
            [(name, encode.number(value)) for name, value in reading["values"].items()],
            measured_at=reading["measured_at"],
            sequence=reading["sequence"],
            boot=reading["boot"],
            device=reading["device"],
        )
        for reading in example["readings"]
    ]
    assert encode.message(elements) == example["payload"].encode()


def test_the_decoder_reads_the_golden_payload(example: dict[str, Any]) -> None:
    """Every value, time, number and name, without a remark."""
    decoded = decode(example["payload"].encode())
    assert isinstance(decoded, Decoded)
    assert decoded.remarks == ()
    read = [
        {
            "device": s.device, "measured_at": s.measured_at, "sequence": s.sequence,
            "boot": s.boot, "values": dict(s.values),
        }
        for s in decoded.samples
    ]  # fmt: skip
    assert read == example["readings"]


def test_golden_payloads_name_known_quantities(example: dict[str, Any]) -> None:
    """An example with a misspelt quantity would prove nothing."""
    for reading in example["readings"]:
        assert reading["values"].keys() <= QUANTITIES.keys()
