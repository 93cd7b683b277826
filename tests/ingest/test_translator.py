"""The way of a network server's message through intake: raw, translated, into its device's lane."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from devices.codecs.mapping import QuantityMapping
from devices.database import writing
from devices.frames import Lane
from devices.units import UnitDraft
from ingest.tables import resubmission, resubmission_done
from tests.ingest.field import NOW, until, up
from tests.ingest.mqtt_publisher import Publisher
from tests.ingest.radio import (
    APPLICATION,
    FLOOD_APPLICATION,
    RadioTown,
    Shelf,
    bytes_of,
    dev_eui,
    enabled,
    uplink,
)
from tests.servers.mosquitto import Mosquitto


@pytest.fixture
async def town(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[RadioTown]:
    town = RadioTown(tmp_path, mosquitto.port, urgent=(FLOOD_APPLICATION,))
    await town.start()
    await until(lambda: _is_heard(town), "all connections")
    yield town
    await town.stop()
    town.database.dispose()


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.close()


def _is_heard(town: RadioTown) -> bool:
    networks = town.status().get("networks", {})
    return town.is_connected() and networks == {"lora": {"urgent": "up", "routine": "up"}}


async def test_an_uplink_becomes_readings_in_the_lane_of_its_devices_kind(
    town: RadioTown, publisher: Publisher
) -> None:
    """A mixed application's messages wait in the routine lane; a gauge's readings do not."""
    publisher.publish(*uplink(3, 1.25))
    publisher.publish(*uplink(104, 17.5))
    await until(lambda: len(town.readings(Lane.URGENT)) == 3, "the level and its link")
    await until(lambda: len(town.readings(Lane.ROUTINE)) == 3, "the volume and its link")
    assert set(town.readings(Lane.URGENT)) == {
        ("gauge-3", "water.level", NOW, 1.25, 0),
        ("gauge-3", "radio.rssi", NOW, -97.0, 0),
        ("gauge-3", "radio.snr", NOW, 7.5, 0),
    }
    assert ("meter-4", "water.total", NOW, 17.5, 0) in town.readings(Lane.ROUTINE)
    assert [frame.network for frame in town.raws(Lane.ROUTINE)] == ["lora", "lora"]


async def test_a_message_of_an_urgent_application_is_journaled_once_and_in_its_lane(
    town: RadioTown, publisher: Publisher
) -> None:
    """The routine connection hears all applications, and passes over what the urgent one has.

    The first two messages let both find out that they hear the same.
    """
    messages = [uplink(k % 20, k / 100, k, application=FLOOD_APPLICATION) for k in range(200)]
    publisher.publish(*messages[0])
    publisher.publish(*uplink(100, 1.0))
    await until(
        lambda: any(APPLICATION in frame.topic for frame in town.raws(Lane.ROUTINE)),
        "both of them by routine",
    )
    await until(lambda: len(town.raws(Lane.URGENT)) == 1, "the first by urgent")
    publisher.publish(*messages[1])
    await until(lambda: len(town.raws(Lane.URGENT)) == 2, "the second by urgent")
    publisher.publish_many(messages[2:])
    publisher.publish(*uplink(100, 2.0, 2))
    await until(lambda: len(town.raws(Lane.URGENT)) == 200, "all of it, raw")
    await until(lambda: 2.0 in town.values_of(Lane.ROUTINE, "water.total"), "what came last")
    levels = [k / 100 for k in range(200)]
    await until(
        lambda: sorted(town.values_of(Lane.URGENT, "water.level")) == levels, "each level once"
    )
    twice = [frame for frame in town.raws(Lane.ROUTINE) if FLOOD_APPLICATION in frame.topic]
    assert len(twice) <= 2


@pytest.mark.parametrize(
    ("message", "reason", "detail"),
    [
        (uplink(0x99, 1.0), "unknown_device", f"DevEUI {dev_eui(0x99)}"),
        (uplink(50, 1.0), "no_codec", "the unit of uncoded names no codec"),
        (uplink(51, 1.0), "no_codec", "codec town/other of disabled is not enabled"),
        (uplink(52, 1.0), "no_mapping", "the mapping of codec town/unmapped is not confirmed"),
        (uplink(53, 1.0), "codec_failed", "town/throws: threw"),
        (uplink(54, 1.0), "codec_failed", "town/errors: errors: too cold"),
        (uplink(55, 1.0), "no_values", "town/strange: nothing of {odd, data} is mapped"),
        ((uplink(1, 1.0)[0], b"{oops"), "bad_json", ""),
        ((uplink(1, 1.0)[0], b"[]"), "bad_shape", ""),
    ],
)
async def test_what_cannot_be_translated_is_kept_as_it_came_with_its_reason(
    tmp_path: Path,
    mosquitto: Mosquitto,
    publisher: Publisher,
    message: tuple[str, bytes],
    reason: str,
    detail: str,
) -> None:
    shelf = Shelf(
        {
            "town/level": enabled("town/level"),
            "town/unmapped": enabled("town/unmapped", mapping=QuantityMapping()),
            "town/throws": enabled("town/throws", "function decodeUplink() { throw 'no'; }"),
            "town/errors": enabled(
                "town/errors", "function decodeUplink() { return {errors: ['too cold']}; }"
            ),
            "town/strange": enabled(
                "town/strange", "function decodeUplink() { return {data: {odd: 1, data: 2}}; }"
            ),
        }
    )
    town = RadioTown(tmp_path, mosquitto.port, shelf=shelf)
    for number, (name, codec) in enumerate(
        [("uncoded", None), ("disabled", "town/other"), ("unmapped", "town/unmapped"),
         ("throwing", "town/throws"), ("cold", "town/errors"), ("strange", "town/strange")], 50
    ):  # fmt: skip
        town.add(name, number, codec)
    await town.start()
    await until(lambda: "up" in str(town.status().get("networks")), "the network")
    publisher.publish(*message)
    await until(lambda: bool(town.rejected(Lane.ROUTINE)), "the refusal")
    [kept] = town.rejected(Lane.ROUTINE)
    assert (kept.topic, kept.payload, kept.network) == (*message, "lora")
    assert kept.reason == reason
    assert detail in kept.detail
    publisher.publish(*uplink(1, 2.5, 9))
    await until(lambda: town.values_of(Lane.URGENT, "water.level") == [2.5], "the good one")
    await until(
        lambda: town.status()["translator"]["routine"]["failed"] == {reason: 1}, "the count"
    )
    await town.stop()
    town.database.dispose()


async def test_what_staff_resubmit_goes_the_raw_way_again(
    town: RadioTown, publisher: Publisher
) -> None:
    """A device that was unknown is registered; its message keeps its time and is not *repeated*."""
    message = uplink(0x777, 0.75)
    publisher.publish(*message)
    await until(lambda: bool(town.rejected(Lane.ROUTINE)), "the refusal")
    town.add("new-gauge", 0x777, "town/level")
    revision = town.registry.revision()
    await until(lambda: town.status()["revision"] >= revision, "the registry")
    [kept] = town.rejected(Lane.ROUTINE)
    row = {
        "quarantine": 1, "created_at": NOW, "topic": kept.topic, "payload": kept.payload,
        "received_at": kept.received_at, "lane": "routine", "network": kept.network,
    }  # fmt: skip
    with writing(town.database) as connection:
        connection.execute(insert(resubmission), [row, row])
    await until(lambda: len(town.raws(Lane.ROUTINE)) == 3, "raw again, for each row")
    await until(
        lambda: ("new-gauge", "water.level", NOW, 0.75, 0) in town.readings(Lane.URGENT),
        "its level",
    )
    with town.database.connect() as connection:
        done = connection.execute(select(resubmission_done.c.id)).scalars().all()
    assert done == [1, 2]


async def test_a_transmission_that_is_delivered_twice_is_translated_once(
    town: RadioTown, publisher: Publisher
) -> None:
    publisher.publish_many([uplink(1, 1.0, 7), uplink(1, 1.0, 7), uplink(1, 2.0, 8)])
    await until(lambda: 2.0 in town.values_of(Lane.URGENT, "water.level"), "the last one")
    assert town.values_of(Lane.URGENT, "water.level") == [1.0, 2.0]
    await until(
        lambda: town.status()["translator"]["routine"]["passed"] == {"repeated": 1}, "the count"
    )


async def test_a_device_of_our_own_topics_may_speak_its_codecs_language(
    town: RadioTown, publisher: Publisher
) -> None:
    """It is kept raw, read by its codec, and read as JSON again once its unit has none."""
    device = town.registry.snapshot().by_name["trap-1"].id
    town.registry.install_unit(device, UnitDraft(codec="town/level"), NOW)
    revision = town.registry.revision()
    await until(lambda: town.status()["revision"] >= revision, "the registry")
    publisher.publish(up("trap-1", "trap"), bytes_of(0.5))
    await until(lambda: town.values_of(Lane.URGENT, "water.level") == [0.5], "by its codec")
    [raw] = town.raws(Lane.URGENT)
    assert (raw.network, raw.topic) == ("", up("trap-1", "trap"))
    town.registry.install_unit(device, UnitDraft(), NOW + 1)
    revision = town.registry.revision()
    await until(lambda: town.status()["revision"] >= revision, "the registry")
    publisher.publish(up("trap-1", "trap"), b'{"v":{"water.level":0.75}}')
    await until(lambda: town.values_of(Lane.URGENT, "water.level") == [0.5, 0.75], "as JSON")


async def test_batteries_and_joins_pass_by_their_own_ways(
    town: RadioTown, publisher: Publisher
) -> None:
    """A status answer is a reading; a join is kept raw for others and is no failure."""
    topic = uplink(2, 1.0)[0].removesuffix("up")
    info = {"deviceInfo": {"applicationId": APPLICATION, "devEui": dev_eui(2).lower()},
            "time": "2026-01-01T00:00:00Z"}  # fmt: skip
    publisher.publish(f"{topic}join", json.dumps(info).encode())
    publisher.publish(f"{topic}status", json.dumps({**info, "batteryLevel": 87.5}).encode())
    await until(
        lambda: ("gauge-2", "battery.level", NOW, 87.5, 0) in town.readings(Lane.URGENT), "battery"
    )
    await until(
        lambda: town.status()["translator"]["routine"]["passed"] == {"Joined": 1}, "the join"
    )
    assert town.rejected(Lane.ROUTINE) == []


async def test_an_uplink_without_a_time_has_that_of_its_arrival(
    town: RadioTown, publisher: Publisher
) -> None:
    publisher.publish(*uplink(5, 1.5, at=None))
    await until(lambda: len(town.readings(Lane.URGENT)) == 3, "its readings")
    raw = town.raws(Lane.ROUTINE)[0]
    assert {(at, quality) for _, _, at, _, quality in town.readings(Lane.URGENT)} == {
        (raw.received_at, 1)
    }


async def test_no_worker_runs_before_a_codec_is_asked(
    tmp_path: Path, mosquitto: Mosquitto, publisher: Publisher
) -> None:
    """A town without codecs pays nothing for those that others have."""
    made: list[int] = []

    def pool() -> object:
        made.append(1)
        raise AssertionError("nobody asked")

    town = RadioTown(tmp_path, mosquitto.port, pool=pool)  # type: ignore[arg-type]  # never used
    await town.start()
    await until(lambda: "up" in str(town.status().get("networks")), "the network")
    publisher.publish(*uplink(0x99, 1.0))
    await until(lambda: bool(town.rejected(Lane.ROUTINE)), "an unknown device")
    assert made == []
    await town.stop()
    town.database.dispose()
