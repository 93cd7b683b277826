"""mosquitto as we set it up: its files, who may speak where, and what its log tells us."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from devices.credentials import mosquitto_password_line
from satomori.broker import (
    Account,
    BrokerLog,
    child_config,
    find_mosquitto,
    intake_account,
    shipped_config,
    simulator_account,
    write_access_files,
    write_child_files,
)
from tests.servers.mosquitto import free_port
from tests.servers.satomori_system import wait_until

OPTIONS_OF_A_CHILD = {"listener", "password_file", "acl_file", "persistence_location", "user"}


def _options(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


# -- which binary ------------------------------------------------------------------------------


def test_the_environment_names_the_broker_or_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SATOMORI_MOSQUITTO", "/opt/mosquitto/sbin/mosquitto")
    assert find_mosquitto() == Path("/opt/mosquitto/sbin/mosquitto")
    monkeypatch.setenv("SATOMORI_MOSQUITTO", "none")
    assert find_mosquitto() is None


def test_the_broker_is_found_where_the_path_lacks_sbin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's PATH seldom has /usr/sbin, where Debian puts mosquitto."""
    monkeypatch.delenv("SATOMORI_MOSQUITTO", raising=False)
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    monkeypatch.setenv("PATH", "/nonexistent")
    found = find_mosquitto()
    assert found is not None
    assert found.is_file()


# -- configuration -----------------------------------------------------------------------------


def test_a_child_differs_from_the_shipped_configuration_in_port_and_paths_only(
    tmp_path: Path,
) -> None:
    shipped = _options(shipped_config())
    made = _options(child_config(shipped_config(), port=12345, directory=tmp_path))
    changed = {line.split(" ", 1)[0] for line in set(shipped) ^ set(made)}
    assert changed <= OPTIONS_OF_A_CHILD
    assert "listener 12345 127.0.0.1" in made
    assert f"persistence_location {tmp_path}/" in made


def test_a_tls_listener_that_was_switched_on_stays_in_a_child(tmp_path: Path) -> None:
    switched_on = re.sub(
        r"^#(?=listener|certfile|keyfile|cafile|tls_version)",
        "",
        shipped_config(),
        flags=re.MULTILINE,
    )
    made = _options(child_config(switched_on, port=12345, directory=tmp_path))
    assert [line for line in made if line.startswith("listener")] == [
        "listener 12345 127.0.0.1",
        "listener 8883",
    ]
    assert {"certfile", "keyfile", "cafile"} <= {line.split(" ", 1)[0] for line in made}


def test_the_shipped_limits_fit_late_acknowledgement() -> None:
    """Nothing is dropped by count, the window holds a commit, a large packet is refused."""
    options = dict(line.split(" ", 1) for line in _options(shipped_config()))
    assert options["max_queued_messages"] == "0"
    assert int(options["max_queued_bytes"]) >= 1 << 30
    assert 1_000 <= int(options["max_inflight_messages"]) < 65_535
    assert int(options["max_packet_size"]) <= 1 << 20
    assert options["allow_anonymous"] == "false"
    assert options["persistence"] == "true"


def test_files_with_secrets_are_private_and_replaced_as_a_whole(tmp_path: Path) -> None:
    config = write_child_files(
        tmp_path / "broker", port=1883, accounts=[intake_account("intake", "secret")]
    )
    files = sorted(path.name for path in config.parent.iterdir())
    assert files == ["acl", "mosquitto.conf", "passwords"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in config.parent.iterdir())
    assert "secret" not in (config.parent / "passwords").read_text()
    write_access_files(config.parent, [])
    assert (config.parent / "passwords").read_text() == ""


# -- who may speak where, at a real broker -----------------------------------------------------


class Field:
    """A broker with our files: intake, a simulated fleet, two devices, a gateway."""

    def __init__(self, directory: Path, binary: Path) -> None:
        self.port, self.heard = free_port(), list[str]()
        accounts = [
            intake_account("intake", "i"),
            simulator_account("fleet", "f"),
            *(
                Account(name, mosquitto_password_line(name, name[-1]))
                for name in ("gauge-1", "gauge-2", "gateway-3")
            ),
        ]
        config = write_child_files(directory, port=self.port, accounts=accounts)
        self._broker = subprocess.Popen(
            [str(binary), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._clients: list[mqtt.Client] = []
        wait_until(lambda: self.client("intake", "i") is not None, "the broker lets intake in", 10)
        self.listen(self._clients[0], "field/v1/#", self.heard)

    def client(self, name: str, password: str | None) -> mqtt.Client | None:
        """Somebody connected, or None where the broker refuses."""
        told: list[ReasonCode] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2, f"{name}-{len(self._clients)}",
                             protocol=mqtt.MQTTv5)  # fmt: skip
        if password is not None:
            client.username_pw_set(name, password)
        client.on_connect = lambda *given: told.append(given[3])
        try:
            client.connect("127.0.0.1", self.port)
        except OSError:
            return None
        client.loop_start()
        wait_until(lambda: bool(told), "an answer to CONNECT", 10)
        if told[0].is_failure:
            client.loop_stop()
            return None
        self._clients.append(client)
        return client

    def listen(self, client: mqtt.Client, topic: str, heard: list[str]) -> None:
        granted: list[object] = []
        client.on_message = lambda _c, _d, message: heard.append(message.topic)
        client.on_subscribe = lambda *_: granted.append(True)
        client.subscribe(topic, 1)
        wait_until(lambda: bool(granted), "an answer to SUBSCRIBE", 10)

    def publish(self, client: mqtt.Client, topic: str) -> bool:
        """Whether the broker takes a message on ``topic``; returns after its answer."""
        answers: list[ReasonCode] = []
        client.on_publish = lambda _c, _d, _mid, reason, _p: answers.append(reason)
        client.publish(topic, b"{}", qos=1)
        wait_until(lambda: bool(answers), f"an answer to PUBLISH on {topic}", 10)
        return not answers[0].is_failure

    def close(self) -> None:
        for client in self._clients:
            client.disconnect()
            client.loop_stop()
        self._broker.terminate()
        self._broker.wait(10)


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    binary = find_mosquitto()
    if binary is None:
        pytest.skip("mosquitto is not installed")
    started = Field(tmp_path / "broker", binary)
    yield started
    started.close()


def _in(field: Field, name: str, password: str) -> mqtt.Client:
    client = field.client(name, password)
    assert client is not None
    return client


def test_nobody_comes_in_without_name_and_password(field: Field) -> None:
    assert field.client("gauge-1", "wrong") is None
    assert field.client("nobody", "1") is None
    assert field.client("", None) is None
    assert field.client("gauge-1", "1") is not None


@pytest.mark.parametrize(
    ("topic", "is_own"),
    [
        ("field/v1/river-gauge/gauge-1/up", True),
        ("field/v1/river-gauge/gauge-1/status", True),
        ("field/v1/river-gauge/gauge-2/up", False),
        ("field/v1/river-gauge/gauge-2/status", False),
        ("field/v1/river-gauge/gauge-1/ack", False),
        ("field/v1/river-gauge/gauge-1/down", False),
        ("field/v1/river-gauge/gauge-1/up/urgent", False),
        ("field/v1/gateway/gateway-3/up/urgent", False),
        ("elsewhere", False),
        ("$SYS/broker/version", False),
    ],
)
def test_a_device_is_heard_on_its_own_topics_and_nowhere_else(
    field: Field, topic: str, is_own: bool
) -> None:
    """What is refused never reaches intake, whatever the device was told."""
    assert field.publish(_in(field, "gauge-1", "1"), topic) is is_own
    own = "field/v1/river-gauge/gauge-2/up"  # a message behind it: what came before has arrived
    assert field.publish(_in(field, "gauge-2", "2"), own)
    wait_until(lambda: own in field.heard, "the message behind", 10)
    assert field.heard == ([topic, own] if is_own else [own])


def test_a_gateway_speaks_by_lane_on_its_own_topics(field: Field) -> None:
    gateway = _in(field, "gateway-3", "3")
    for lane in ("urgent", "routine"):
        assert field.publish(gateway, f"field/v1/gateway/gateway-3/up/{lane}")
    assert not field.publish(gateway, "field/v1/gateway/gateway-4/up/urgent")
    assert not field.publish(gateway, "field/v1/river-gauge/gauge-1/up")


def test_a_device_hears_what_is_meant_for_it_and_nothing_of_others(field: Field) -> None:
    heard: list[str] = []
    device = _in(field, "gauge-1", "1")
    field.listen(device, "field/v1/#", heard)
    intake = _in(field, "intake", "i")
    for name in ("gauge-2", "gauge-1"):
        for ending in ("ack", "down"):
            assert field.publish(intake, f"field/v1/river-gauge/{name}/{ending}")
    assert field.publish(_in(field, "fleet", "f"), "field/v1/river-gauge/gauge-2/up")
    assert field.publish(intake, "field/v1/trap/gauge-1/ack")
    wait_until(lambda: "field/v1/trap/gauge-1/ack" in heard, "the last message", 10)
    assert heard == [
        "field/v1/river-gauge/gauge-1/ack",
        "field/v1/river-gauge/gauge-1/down",
        "field/v1/trap/gauge-1/ack",
    ]


# -- its log -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2026-01-01T00:00:00: Client gauge-1 disconnected due to oversize packet.", "too_large"),
        ("Client gauge-1 disconnected due to protocol error.", "protocol_error"),
        ("Client gauge-1 disconnected due to malformed packet.", "malformed"),
        ("Client gauge-1 disconnected, not authorised.", "not_authorised"),
        ("Outgoing messages are being dropped for client satomori-intake-urgent-0.", "dropped"),
        ("Client gauge-1 already connected, closing old connection.", "taken_over"),
        ("Error: Out of memory.", "out_of_memory"),
        ("Error: No space left on device.", "disk_full"),
        (
            "2026-11-22T09:00:00: Bad socket read/write on client gauge-1: Unknown error.",
            "publish_refused",
        ),
    ],
)
def test_trouble_in_the_log_is_counted_with_its_last_line(line: str, kind: str) -> None:
    log = BrokerLog()
    assert log.read(line) == kind
    assert log.read(line + "!") == kind
    assert (log.counts[kind], log.last[kind]) == (2, line + "!")


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-01T00:00:00: mosquitto version 2.0.11 starting",
        "New client connected from 127.0.0.1:40000 as gauge-1 (p2, c1, k60, u'gauge-1').",
        "Client gauge-1 disconnected.",
        "Client gauge-1 closed its connection.",
        "",
    ],
)
def test_an_ordinary_line_is_no_trouble(line: str) -> None:
    log = BrokerLog()
    assert log.read(line) is None
    assert not log.counts
