"""Hostile codecs beside good ones, through the whole of intake: each costs itself alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.hostile_codecs import HOSTILE
from devices.codecs.codec import Limits
from devices.codecs.pool import CodecPool
from devices.frames import Lane
from tests.ingest.field import NOW, until
from tests.ingest.mqtt_publisher import Publisher
from tests.ingest.radio import LEVEL_MAPPING, RadioTown, Shelf, enabled, uplink
from tests.servers.mosquitto import Mosquitto

GOOD = 5_000
HOSTILE_EACH = 3


async def test_every_good_message_arrives_while_hostile_codecs_rage(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """All good ones are readings before the hostile ones are through, which all end refused."""
    codecs = {f"hostile/{k}": enabled(f"hostile/{k}", s) for k, s in enumerate(HOSTILE.values())}
    assert len(codecs) >= 26
    shelf = Shelf({"town/level": enabled("town/level", mapping=LEVEL_MAPPING), **codecs})
    town = RadioTown(
        tmp_path,
        mosquitto.port,
        shelf=shelf,
        pool=lambda: CodecPool(limits=replace(Limits(), wall_s=0.5)),
    )
    for k, name in enumerate(codecs):
        town.add(f"bad-{k}", 1000 + k, name)
    await town.start()
    await until(lambda: "up" in str(town.status().get("networks")), "the network", 30)
    publisher = Publisher(mosquitto.port)
    bad = [uplink(1000 + k, 1.0, n) for n in range(HOSTILE_EACH) for k in range(len(codecs))]
    good = [uplink(k % 20, (k + 1) / 1000, k, at=NOW + k) for k in range(GOOD)]
    publisher.publish_many(bad[: len(bad) // 2])
    for start in range(0, GOOD, 500):
        publisher.publish_many(good[start : start + 500])
    publisher.publish_many(bad[len(bad) // 2 :])

    def translated() -> int:
        return int(town.status()["translator"]["routine"]["translated"])

    await until(lambda: translated() >= GOOD, "all good ones", 120)
    levels = Counter(round(v * 1000) for v in town.values_of(Lane.URGENT, "water.level"))
    assert levels == Counter(range(1, GOOD + 1))
    await until(lambda: len(town.rejected(Lane.ROUTINE)) >= len(bad), "the hostile ones", 300)
    refused = Counter(frame.reason for frame in town.rejected(Lane.ROUTINE))
    assert refused.total() == len(bad)
    assert refused.keys() <= {"codec_failed", "no_values"}  # (one answers, with nothing of ours)
    publisher.close()
    await town.stop()
    town.database.dispose()
