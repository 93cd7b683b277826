"""From a cause in the machine room to the alarm that somebody is told, on a whole system."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from alerts.ledger import Alarm, AlarmBook
from devices.kinds import INSTALLATION
from tests.servers.satomori_system import RunningSystem, wait_until


@pytest.fixture
def system(tmp_path: Path) -> Iterator[RunningSystem]:
    system = RunningSystem(tmp_path)
    try:
        system.start()
        yield system
    finally:
        system.stop()


def _open(system: RunningSystem) -> dict[str, Alarm]:
    """The installation's open alarms by rule."""
    database = system.database()
    found = AlarmBook(database).open_alarms()
    database.dispose()
    itself = system.registry().by_name[INSTALLATION.name].id
    return {alarm.rule: alarm for alarm in found if alarm.device == itself}


def _told(system: RunningSystem, alarm: str) -> set[str]:
    database = system.database()
    found = {delivery.channel for delivery in AlarmBook(database).deliveries_of(alarm)}
    database.dispose()
    return found


def test_an_intake_that_hangs_is_an_alarm_until_it_goes_on(system: RunningSystem) -> None:
    """It neither dies nor ticks, so nobody restarts it; the page blames no broker for it.

    The alarm survives the death of the process that raised it, and ends with the first tick.
    """
    system.add_person("it", role="admin", mail="it@city.example")
    pid = system.pid("intake")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "no-data" in _open(system), "the alarm", 60)
        raised = _open(system)["no-data"]
        assert (raised.stage, raised.level) == ("no-data", 4)
        assert "log" in _told(system, raised.id)
        with system.visit("it") as client:
            assert client.get("/api/clock").json()["broker"] == "unknown"
        system.kill("alerts")
        wait_until(lambda: system.is_at_work("alerts"), "alerts again")
        assert _open(system)["no-data"].id == raised.id
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: "no-data" not in _open(system), "its end")


def test_a_device_that_publishes_as_another_is_an_alarm_that_the_brokers_log_names(
    system: RunningSystem,
) -> None:
    """With our configuration the broker ends the connection of whoever publishes what is denied."""
    system.register("name,kind\ngauge-1,river-gauge\ngauge-2,river-gauge\n")
    password = system.credential("gauge-1")
    client = Client(CallbackAPIVersion.VERSION2, client_id="the-liar", protocol=MQTTv311)
    client.username_pw_set("gauge-1", password)

    def has_connected() -> bool:
        with contextlib.suppress(OSError):
            return client.connect("127.0.0.1", system.settings.broker.port) == 0
        return False

    wait_until(has_connected, "a broker that knows the password")
    client.loop_start()
    client.publish("field/v1/river-gauge/gauge-2/up", b'{"v":{"water.level":9}}', qos=1)
    wait_until(lambda: "satomori-denied" in _open(system), "the alarm")
    client.loop_stop()
    assert _open(system)["satomori-denied"].level == 2
    assert "the-liar" in str(system.broker_log()["last"]["publish_refused"])


def test_a_disk_near_its_low_water_mark_is_an_alarm(tmp_path: Path) -> None:
    """Warned of at twice the mark, while routine traffic still goes on; doctor says it, too."""
    free_mib = _free_mib(tmp_path)
    mark = {"low_water_mib": round(free_mib / 1.5), "reserve_mib": 1}
    system = RunningSystem(tmp_path, sections={"journal": mark})
    system.start()
    try:
        wait_until(lambda: "satomori-disk" in _open(system), "the warning")
        alarm = _open(system)["satomori-disk"]
        assert (alarm.stage, alarm.level) == ("disk-low", 2)
        assert "Disk space is getting low" in system.command("doctor").stdout
    finally:
        system.stop()


def test_a_calm_system_has_nothing_to_say_of_itself(system: RunningSystem) -> None:
    """Every rule has had its first readings, and a restart of everything raises nothing."""
    system.stop()
    system.start()
    system.wait_for_readers()
    assert _open(system) == {}
    assert "no alarm of its own is open" in system.command("doctor").stdout


def _free_mib(folder: Path) -> float:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize / (1 << 20)
