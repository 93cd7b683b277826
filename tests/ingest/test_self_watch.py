"""From a cause at a real broker to what the installation says of itself in its journal."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from alerts.engine import Engine
from alerts.rules import default_rules_text, load_rules
from alerts.transitions import Transition
from devices.credentials import mosquitto_password_line
from devices.frames import Lane, ReadingsFrame, RejectedFrame
from devices.kinds import INSTALLATION
from ingest.mqtt import BrokerAddress
from ingest.self_watch import WatchPlaces
from satomori.broker import Account, intake_account, write_access_files
from tests.ingest.field import NOW, Town, of, payload, until, up
from tests.ingest.mqtt_publisher import Publisher
from tests.servers.mosquitto import Mosquitto

OFTEN = "sys_interval 1\n"


def _town(folder: Path, port: int, **options: Any) -> Town:
    """A town that reports of itself five times a second; its minutes are eight seconds long."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    places = WatchPlaces(
        run, (folder,), 1, may_account=True, has_feed=True, every_s=0.2, minute_ms=8_000
    )
    town = Town(folder, port, places=places, **options)
    town.registry.register_installation(NOW)
    return town


def _own(town: Town) -> dict[str, float]:
    found: dict[str, float] = town.status().get("own", {})
    return found


def _alarms(town: Town) -> list[Transition]:
    """What the default rules make of the urgent journal."""
    rules = load_rules(default_rules_text())
    engine = Engine(Lane.URGENT, rules, town.registry.snapshot())
    return [t for t in engine.run(town.frames(Lane.URGENT)) if isinstance(t, Transition)]


@pytest.fixture
def publisher_at() -> Iterator[Callable[[int], Publisher]]:
    made: list[Publisher] = []

    def make(port: int) -> Publisher:
        made.append(Publisher(port))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()


async def test_what_the_installation_says_of_itself_is_journaled(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """Every quantity of its kind, as ordinary readings of the urgent lane; no receipt, no loss."""
    town = _town(tmp_path, start_mosquitto(extra=OFTEN).port)
    await town.start()
    wanted = set(INSTALLATION.quantities)
    await until(lambda: _own(town).keys() == wanted, f"{wanted} in {_own(town)}", 30)
    await town.stop()
    snapshot = town.registry.snapshot()
    device = snapshot.by_name[INSTALLATION.name]
    said = {
        snapshot.definitions[number].quantity: value
        for frame in of(town.frames(Lane.URGENT), ReadingsFrame)
        for number, value in zip(frame.readings.series, frame.readings.value, strict=True)
        if snapshot.definitions[number].device == device.id
    }
    assert said.keys() == wanted
    assert all(math.isfinite(value) and value >= 0 for value in said.values())
    assert said["broker.connections"] == 3
    assert {link["sessions_lost"] for link in town.status()["connections"]} == {0}
    town.database.dispose()


async def test_messages_that_the_broker_dropped_while_we_were_away_are_an_alarm(
    tmp_path: Path,
    start_mosquitto: Callable[..., Mosquitto],
    publisher_at: Callable[[int], Publisher],
) -> None:
    """Ten fit into its queue, publishers see success fifty times."""
    broker = start_mosquitto(extra=OFTEN + "max_queued_messages 10\nmax_inflight_messages 5\n")
    town = _town(tmp_path, broker.port)
    await town.start()
    await until(lambda: _own(town).get("broker.messagesDropped") == 0.0, "the broker's figures")
    await town.stop()
    publisher_at(broker.port).publish_many([(up("gauge-1"), payload(n)) for n in range(50)])
    await town.start()
    await until(lambda: _own(town).get("broker.messagesDropped", 0) > 0, "the drops")
    kept = len(town.values(Lane.URGENT))
    await town.stop()
    assert _own(town)["broker.messagesDropped"] == 40
    assert [(t.rule, t.to_stage, t.to_level) for t in _alarms(town) if t.is_opening] == [
        ("satomori-drops", "dropping", 4)
    ]
    assert kept >= 10
    town.database.dispose()


async def test_a_session_that_the_broker_lost_is_an_alarm_at_once(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """A broker without persistence comes back and knows nobody; one alarm, both lanes in it."""
    broker = start_mosquitto(extra=OFTEN)
    town = _town(tmp_path, broker.port)
    await town.start()
    await until(town.is_connected, "both lanes connected")
    broker.kill()
    await until(lambda: _own(town).get("broker.away", 0) > 0, "a broker that is away")
    broker.start()
    await until(lambda: _own(town).get("broker.sessionsLost") == 2.0, "both sessions lost")
    await town.stop()
    opened = [(t.rule, t.to_level) for t in _alarms(town) if t.is_opening]
    assert opened == [("satomori-session-lost", 4)]
    town.database.dispose()


async def test_a_second_processor_on_our_session_is_an_alarm(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """Both give way to each other for half a minute instead of fighting each second."""
    broker = start_mosquitto(extra=OFTEN)
    towns = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        towns.append(_town(tmp_path / name, broker.port, client_secret="same"))
        await towns[-1].start()

    def is_said() -> bool:
        return any(_own(town).get("broker.sessionsTakenOver", 0) > 0 for town in towns)

    await until(is_said, "the other one is noticed", 30)
    opened = [t.rule for town in towns for t in _alarms(town) if t.is_opening]
    connects = [link["connects"] for town in towns for link in town.status()["connections"]]
    for town in towns:
        await town.stop()
        town.database.dispose()
    assert "satomori-taken-over" in opened
    assert max(connects) < 20


def _publish_3_1_1(port: int, messages: list[tuple[str, bytes]]) -> set[int]:
    """Publish as an old device does; the result codes that it was told."""
    codes: set[int] = set()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
    client.on_publish = lambda _c, _d, _m, code, _p: codes.add(code.value)
    client.username_pw_set("gauge-1", "g")
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(topic, body, qos=1) for topic, body in messages]
    for one in sent:
        one.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
    return codes


async def test_publishes_that_the_broker_denies_are_noticed(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """An estimate: received by the broker, given to nobody; the device believes in success."""
    account = Account("gauge-1", mosquitto_password_line("gauge-1", "g"))
    write_access_files(tmp_path, [intake_account("intake", "i"), account])
    keep = "max_queued_messages 100000\n"  # with 0 a refused PUBLISH ends the connection, see below
    files = f"password_file {tmp_path / 'passwords'}\nacl_file {tmp_path / 'acl'}\n"
    broker = start_mosquitto(extra=OFTEN + keep + files, allow_anonymous=False)
    login = BrokerAddress("127.0.0.1", broker.port, "intake", "i")
    town = _town(tmp_path, broker.port, broker=login)
    await town.start()
    await until(lambda: _own(town).get("broker.publishesDenied") == 0.0, "an account", 40)
    good = [(up("gauge-1"), payload(n)) for n in range(30)]
    bad = [(up("gauge-2"), payload(n)) for n in range(50)]
    assert await asyncio.to_thread(_publish_3_1_1, broker.port, good + bad) == {0}
    await until(lambda: _own(town)["broker.publishesDenied"] == len(bad), "the estimate", 40)
    await town.stop()
    assert "satomori-denied" in {t.rule for t in _alarms(town) if t.is_opening}
    town.database.dispose()


async def test_what_the_brokers_log_says_of_refused_publishes_is_told_as_it_is(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """Exact, where the supervisor reads the log; a count of before our start is told once."""
    broker = start_mosquitto(extra=OFTEN)
    town = _town(tmp_path, broker.port)
    system = tmp_path / "run" / "system.json"
    system.write_text('{"broker_log": {"counts": {"publish_refused": 3}}}')
    await town.start()
    await until(lambda: _own(town).get("broker.publishesDenied") == 3.0, "what the log says")
    await town.stop()
    await town.start()
    await until(lambda: _own(town).get("broker.publishesDenied") == 0.0, "nothing new")
    await town.stop()
    assert "satomori-denied" in {t.rule for t in _alarms(town) if t.is_opening}
    town.database.dispose()


async def test_nobody_in_the_field_speaks_for_the_installation(
    tmp_path: Path,
    start_mosquitto: Callable[..., Mosquitto],
    publisher_at: Callable[[int], Publisher],
) -> None:
    """Its topics are no topics, its quantities no quantities, and no gateway carries it."""
    broker = start_mosquitto(extra=OFTEN)
    town = _town(tmp_path, broker.port, strays=BrokerAddress("127.0.0.1", broker.port))
    await town.start()
    await until(town.is_connected, "both lanes connected")
    publisher = publisher_at(broker.port)
    lie = b'{"v":{"broker.messagesDropped":0,"disk.free":1e9}}'
    carried = b'{"d":"satomori","v":{"battery.voltage":3.6}}'
    publisher.publish("field/v1/satomori/satomori/up", lie)
    publisher.publish("field/v1/gateway/gate-way/up/urgent", carried)
    publisher.publish(up("gauge-1"), lie)

    def reasons() -> set[str]:
        frames = [f for lane in Lane for f in of(town.frames(lane), RejectedFrame)]
        return {frame.reason for frame in frames if frame.topic.startswith("field/v1/")}

    wanted = {"unknown_topic", "not_carried", "no_values"}
    await until(lambda: wanted <= reasons(), f"all three are refused: {reasons()}")
    assert all(value != 1e9 for value in town.values(Lane.URGENT))
    await town.stop()
    town.database.dispose()


async def test_a_broker_that_keeps_its_figures_to_itself_disturbs_nothing(
    tmp_path: Path,
    start_mosquitto: Callable[..., Mosquitto],
    publisher_at: Callable[[int], Publisher],
) -> None:
    """`$SYS` refused (a broker that somebody else runs): the rest is said, readings come in."""
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite field/v1/#\n")
    acl.chmod(0o600)
    broker = start_mosquitto(extra=f"{OFTEN}acl_file {acl}\n")
    town = _town(tmp_path, broker.port)
    await town.start()
    await until(town.is_connected, "both lanes connected")
    publisher_at(broker.port).publish(up("gauge-1"), payload(1.5))
    await until(lambda: 1.5 in town.values(Lane.URGENT), "the reading")
    await until(lambda: "disk.free" in _own(town), "what can be known")
    assert "broker.connections" not in _own(town)
    await town.stop()
    town.database.dispose()
