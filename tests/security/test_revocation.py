"""At a real broker with our files: what a lost credential and a lost enrolment key are worth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from devices.credentials import mosquitto_password_line, password_line_of_hash
from firmware_sim.enrolling import EnrollingUnit
from satomori.broker import (
    Account,
    enrolment_account,
    find_mosquitto,
    intake_account,
    write_access_files,
    write_child_files,
)
from tests.servers.mosquitto import free_port
from tests.servers.satomori_system import wait_until


class Visitor:
    """A client at the broker: whether it is in, what it hears, whether a publish was taken."""

    def __init__(self, port: int, username: str, password: str) -> None:
        self.is_in: bool | None = None
        self.heard: list[tuple[str, bytes]] = []
        self._answers: list[bool] = []
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.username_pw_set(username, password)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._gone
        self._client.on_publish = self._published
        self._client.on_message = lambda _c, _d, m: self.heard.append((m.topic, bytes(m.payload)))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: self.is_in is not None, "an answer to CONNECT", 20)

    def _connected(self, *given: Any) -> None:
        self.is_in = not given[3].is_failure

    def _gone(self, *_: Any) -> None:
        self.is_in = False

    def _published(self, *given: Any) -> None:
        self._answers.append(not given[3].is_failure)

    def is_taken(self, topic: str, payload: bytes = b"{}", *, retain: bool = False) -> bool:
        before = len(self._answers)
        self._client.publish(topic, payload, qos=1, retain=retain)
        wait_until(lambda: len(self._answers) > before, f"an answer to PUBLISH on {topic}", 20)
        return self._answers[-1]

    def listen(self, topic: str) -> None:
        done: list[object] = []
        self._client.on_subscribe = lambda *_: done.append(True)
        self._client.subscribe(topic, 1)
        wait_until(lambda: bool(done), "an answer to SUBSCRIBE", 20)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Field:
    """A broker with our files, whose accounts can be changed while it runs."""

    def __init__(self, directory: Path, binary: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.visitors: list[Visitor] = []
        self.accounts = {
            "intake": intake_account("intake", "i"),
            "enrolment": enrolment_account(mosquitto_password_line("enrolment", "key")),
            **{n: Account(n, mosquitto_password_line(n, n)) for n in ("uf-1", "uf-2")},
        }
        config = write_child_files(directory, port=self.port, accounts=self.accounts.values())
        self.broker = subprocess.Popen(
            [str(binary), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._is_listening, "the broker listens", 20)

    def _is_listening(self) -> bool:
        try:
            self.visit("intake", "i").leave()
        except OSError:
            return False
        return True

    def visit(self, name: str, password: str) -> Visitor:
        visitor = Visitor(self.port, name, password)
        self.visitors.append(visitor)
        return visitor

    def change(self, **accounts: Account | None) -> None:
        """Other accounts from now on; None takes one away."""
        for name, account in accounts.items():
            key = name.replace("_", "-")
            self.accounts.pop(key, None)
            if account is not None:
                self.accounts[key] = account
        assert write_access_files(self.directory, self.accounts.values())
        os.kill(self.broker.pid, signal.SIGHUP)

    def close(self) -> None:
        for visitor in self.visitors:
            visitor.leave()
        self.broker.terminate()
        self.broker.wait(20)


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    binary = find_mosquitto()
    if binary is None:
        pytest.skip("mosquitto is not installed")
    started = Field(tmp_path / "broker", binary)
    yield started
    started.close()


@pytest.mark.parametrize(
    "becomes", [None, lambda: Account("uf-1", mosquitto_password_line("uf-1", "another"))]
)
def test_a_revoked_password_ends_the_connection_that_lives_by_it_and_no_other(
    field: Field, becomes: Callable[[], Account] | None
) -> None:
    """A unit that was replaced, decommissioned or stolen does not stay in for as long as it likes.

    Whoever has another account, enrolling devices too, is not disturbed.
    """
    lost, other, intake = (
        field.visit("uf-1", "uf-1"),
        field.visit("uf-2", "uf-2"),
        field.visit("intake", "i"),
    )
    asking = field.visit("enrolment", "key")
    field.change(uf_1=becomes() if becomes else None)
    wait_until(lambda: lost.is_in is False, "its connection ends", 20)
    assert not field.visit("uf-1", "uf-1").is_in
    assert other.is_taken("field/v1/flood-sensor/uf-2/up")
    assert intake.is_in
    assert asking.is_in


def test_whoever_has_the_enrolment_key_can_ask_and_hear_answers_and_nothing_else(
    field: Field,
) -> None:
    """No readings, no answers in our name, no commands, nothing of what others ask."""
    intake, thief = field.visit("intake", "i"), field.visit("enrolment", "key")
    victim = EnrollingUnit("SN-1", "flood-sensor", 1)
    for topic in (
        "field/v1/flood-sensor/uf-1/up",
        "field/v1/flood-sensor/uf-1/status",
        "field/v1/flood-sensor/enrolment/down",
        "field/v1/gateway/gw-1/up/urgent",
        "field/v1/enrol/SN-1/answer",
        "field/v1/enrol/SN-1/up/more",
        "field/v1/enrol",
        "$SYS/broker/version",
    ):
        assert not thief.is_taken(topic), topic
    ear, honest = field.visit("enrolment", "key"), field.visit("enrolment", "key")
    for wanted in ("#", "field/v1/enrol/+/up", "field/v1/enrol/+/answer"):
        ear.listen(wanted)
    assert honest.is_taken(victim.request_topic, victim.request())
    assert intake.is_taken(victim.answer_topic, b'{"device": "uf-9"}', retain=True)
    wait_until(lambda: bool(ear.heard), "the answer", 20)
    assert {topic for topic, _ in ear.heard} == {victim.answer_topic}
    assert victim.password_hash not in repr(ear.heard)


def test_a_device_can_neither_ask_nor_answer_for_another(field: Field) -> None:
    """Having a password of its own gives no say in who else gets one."""
    ear, device = field.visit("uf-1", "uf-1"), field.visit("uf-1", "uf-1")
    ear.listen("field/v1/enrol/#")
    assert not device.is_taken("field/v1/enrol/SN-1/up")
    assert not device.is_taken("field/v1/enrol/SN-1/answer", retain=True)
    assert field.visit("intake", "i").is_taken("field/v1/enrol/SN-1/answer", b"{}")
    assert field.visit("uf-1", "uf-1").is_taken("field/v1/flood-sensor/uf-1/up")
    assert ear.heard == []


def test_the_hash_that_a_unit_sends_opens_the_broker_for_its_password_alone(field: Field) -> None:
    """mosquitto itself reads what the firmware wrote; the hash is no password."""
    unit = EnrollingUnit("SN-1", "flood-sensor", 1)
    line = password_line_of_hash("uf-9", unit.password_hash)
    field.change(uf_9=Account("uf-9", line))

    def is_let_in() -> bool:
        return bool(field.visit("uf-9", unit.password).is_in)

    wait_until(is_let_in, "it is let in", 20)
    assert not field.visit("uf-9", unit.password_hash).is_in
    assert not field.visit("uf-9", "").is_in


def test_files_that_say_the_same_are_not_written_again(field: Field) -> None:
    """Else the broker would check every connection anew at each change of the registry."""
    before = {p.name: p.stat().st_mtime_ns for p in field.directory.iterdir()}
    assert not write_access_files(field.directory, field.accounts.values())
    after = {p.name: p.stat().st_mtime_ns for p in field.directory.iterdir()}
    assert {k: after[k] for k in ("acl", "passwords")} == {
        k: before[k] for k in ("acl", "passwords")
    }
    assert json.dumps(sorted(after)) == json.dumps(sorted(before))
