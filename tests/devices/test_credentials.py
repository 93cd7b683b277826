"""Hashes of device passwords: as mosquitto's own tool makes them, and accepted by a real broker."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.credentials import is_password, mosquitto_password_line, new_password
from tests.servers.mosquitto import Mosquitto


def test_a_line_is_for_its_password_alone() -> None:
    password = new_password()
    line = mosquitto_password_line("R-001", password)
    assert line.startswith("R-001:$7$101$")
    assert is_password(line, password)
    assert not is_password(line, password + "x")
    assert not is_password(line, "")


def test_no_two_passwords_and_no_two_salts_are_the_same() -> None:
    assert len({new_password() for _ in range(100)}) == 100
    assert len({mosquitto_password_line("R-001", "secret") for _ in range(100)}) == 100


@pytest.mark.parametrize("user", ["", "a:b", "a\nb", " a"])
def test_a_user_that_breaks_the_file_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="printable characters without colon"):
        mosquitto_password_line(user, "secret")


def test_lines_of_mosquitto_passwd_are_understood(tmp_path: Path) -> None:
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto is not installed")
    file = tmp_path / "passwords"
    subprocess.run([tool, "-c", "-b", file, "R-001", "secret"], check=True, capture_output=True)
    line = file.read_text().strip()
    assert is_password(line, "secret")
    assert not is_password(line, "Secret")


def test_the_broker_lets_in_who_knows_the_password(
    start_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    passwords = {"R-001": new_password(), "R-002": "水位 pass:word"}
    file = tmp_path / "passwords"
    lines = [mosquitto_password_line(user, password) for user, password in passwords.items()]
    file.write_text("".join(f"{line}\n" for line in lines))
    file.chmod(0o600)
    broker = start_mosquitto(allow_anonymous=False, extra=f"password_file {file}\n")
    for user, password in passwords.items():
        assert _answer(broker, user, password) == "Success"
    assert _answer(broker, "R-001", passwords["R-002"]) == "Not authorized"
    assert _answer(broker, "R-003", passwords["R-002"]) == "Not authorized"


def _answer(broker: Mosquitto, user: str, password: str) -> str:
    """What the broker answers to this login."""
    answers: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda *given: answers.append(str(given[3]))
    client.username_pw_set(user, password)
    client.connect(broker.host, broker.port)
    deadline = time.monotonic() + 10
    while not answers and time.monotonic() < deadline:
        client.loop(1.0)
    client.disconnect()
    return answers[0]
