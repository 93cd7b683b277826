"""The simulator's vendors: their codecs hold, and say what the simulator's firmware put in."""

from __future__ import annotations

from pathlib import Path

import pytest

import firmware_sim
from devices.codecs.codec import Answer, Call
from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, find
from devices.codecs.vectors import try_one
from firmware_sim.lorawan import FRAMES, Frame, Values, interval_s

VENDORS = Path(firmware_sim.__file__).parent / "vendors"
CODECS = {
    one.codec.name: one
    for layout in ("lorawan-devices", "chirpstack-device-profiles")
    for one in find(VENDORS / layout)
    if isinstance(one, Published)
}


async def test_each_example_holds() -> None:
    """In both layouts."""
    assert set(CODECS) == {"kawa/kawa-10-codec", "kawa/kawa-11-codec", "suido/suido-20"}
    async with CodecPool(workers=1) as pool:
        for published in CODECS.values():
            trial = await try_one(published, pool)
            assert trial.misses == ()
            assert trial.count(is_uplink=True)[0]


@pytest.mark.parametrize(
    ("kind", "codec", "values", "said"),
    [
        ("river-gauge", "kawa/kawa-10-codec", {"water.level": -0.412, "battery.voltage": 3.61},
         {"water_level_m": -0.412, "battery_v": 3.61}),
        ("flood-sensor", "kawa/kawa-11-codec", {"flood.depth": 0.45, "flood.detected": 1.0},
         {"flood_depth_m": 0.45, "flood_detected": True, "battery_v": 3.6}),
        ("flood-sensor", "kawa/kawa-11-codec", {"flood.detected": 0.0, "battery.voltage": 3.1},
         {"flood_detected": False, "battery_v": 3.1}),
        ("water-meter", "suido/suido-20", {"water.total": 812.3456, "tamper": 1.0},
         {"total_l": 812345.6, "reverse_total_l": 0, "leak": False, "tamper": True,
          "battery_v": 3.6}),
    ],
)  # fmt: skip
async def test_what_the_firmware_sends_is_what_its_codec_says(
    kind: str, codec: str, values: Values, said: dict[str, object]
) -> None:
    """Bytes are the only thing that they share."""
    frame = FRAMES[kind](values)
    given = {"bytes": list(frame.payload), "fPort": frame.port, "variables": {}}
    async with CodecPool(workers=1) as pool:
        outcome = await pool.run(CODECS[codec].codec, Call.DECODE_UPLINK, given)
    assert isinstance(outcome, Answer)
    assert outcome.data == said


async def test_what_the_codec_orders_the_firmware_does() -> None:
    """Its reporting interval."""
    given = {"data": {"interval_min": 90}, "variables": {}}
    async with CodecPool(workers=1) as pool:
        outcome = await pool.run(CODECS["kawa/kawa-10-codec"].codec, Call.ENCODE_DOWNLINK, given)
    assert isinstance(outcome, Answer)
    assert outcome.frame is not None
    port, payload = outcome.frame
    assert port == 10
    assert interval_s(Frame(10, payload)) == 5400
