"""Readings over TLS: the right authority, a wrong one, and none; what is wrong is said once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from firmware_sim.publisher import Broker, Publisher
from satomori.broker import write_access_files
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.satomori_system import RunningSystem, wait_until

TLS = """
allow_zero_length_clientid false
listener {port} 127.0.0.1
certfile {files}/server.crt
keyfile {files}/server.key
cafile {files}/ca.crt
tls_version tlsv1.2
password_file {access}/passwords
acl_file {access}/acl
"""
DEVICE = "name,kind,label,area,interval_s\ntls-01,river-gauge,暗号化,川内,86400\n"


def _openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=30)


def make_authority(folder: Path, name: str) -> None:
    """A certificate authority of our own: ``ca.crt``, ``ca.key``."""
    folder.mkdir()
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", "ca.key", "-out", "ca.crt", cwd=folder)  # fmt: skip


def make_server(folder: Path, names: str) -> None:
    """A server's certificate for ``names`` (openssl's words), signed by the authority there."""
    (folder / "names").write_text(f"subjectAltName={names}")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=broker", "-keyout",
             "server.key", "-out", "server.csr", cwd=folder)  # fmt: skip
    _openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
             "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt",
             cwd=folder)  # fmt: skip


class City:
    """A system whose broker is somebody else's, reached by TLS."""

    def __init__(self, folder: Path, start_mosquitto: Callable[..., Mosquitto]) -> None:
        self.right, self.wrong = folder / "right", folder / "wrong"
        make_authority(self.right, "City CA")
        make_authority(self.wrong, "Another CA")
        make_server(self.right, "DNS:localhost")
        self.port, self._folder = free_port(), folder
        self.system = self._system(self.right / "ca.crt")
        self.system.register(DEVICE)
        self.system.add_person("joho", role="admin")
        place, database = self.system.place, self.system.database()
        write_access_files(place.broker, place.broker_accounts(database))
        database.dispose()
        self.broker = start_mosquitto(
            allow_anonymous=False,
            persistence=True,
            extra=TLS.format(port=self.port, files=self.right, access=place.broker),
        )

    def _system(self, authority: Path, host: str = "localhost") -> RunningSystem:
        broker = {"mode": "external", "host": host, "port": self.port, "tls_ca": str(authority)}
        return RunningSystem(self._folder / "system", sections={"broker": broker})

    def trust(self, authority: Path, host: str = "localhost") -> None:
        """Another authority in the settings, or another name for the broker; not started yet."""
        self.system = self._system(authority, host)

    def publish(self, at: int, value: float) -> None:
        """One reading, over TLS too."""
        _, _, user, password = self.system.broker_login()
        broker = Broker("localhost", self.port, user, password, self.right / "ca.crt")
        with Publisher(broker, client_id="field") as publisher:
            payload = json.dumps({"t": at, "v": {"water.level": value}})
            publisher.publish("field/v1/river-gauge/tls-01/up", payload.encode())
            publisher.drain(10)
            assert publisher.acknowledged == 1

    def links(self) -> list[dict[str, Any]]:
        """What intake says of its connections."""
        try:
            found: list[dict[str, Any]] = json.loads(
                (self.system.place.run / "intake.json").read_text()
            )["connections"]
        except FileNotFoundError:
            return []
        return found

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        lines = self.system.log.read_text(encoding="utf-8").splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in said if line["event"] == event]


@pytest.fixture
def city(tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]) -> Iterator[City]:
    made = City(tmp_path, start_mosquitto)
    yield made
    made.system.stop()


def _stored(api: httpx.Client, city: City) -> list[tuple[int, float]]:
    registry = city.system.registry()
    series = registry.series[registry.by_name["tls-01"].id, "water.level"]
    asked = {"start_at": 0, "end_at": 1 << 52}
    found = api.get(f"/api/series/{series}", params=asked).raise_for_status().json()
    return list(zip(found["measured_at"], found["value"], strict=True))


def test_readings_come_in_over_tls_from_a_broker_whose_authority_is_trusted(city: City) -> None:
    city.system.start()
    assert all(link["state"] == "up" for link in city.links())
    at = time.time_ns() // 1_000_000
    city.publish(at, 1.25)
    with city.system.visit("joho") as api:
        wait_until(lambda: _stored(api, city) == [(at, 1.25)], "the reading", 20)


@pytest.mark.parametrize(
    ("authority", "host", "said"),
    [
        ("wrong", "localhost", "certificate verify failed"),
        ("right", "127.0.0.1", "IP address mismatch"),
    ],
)
def test_a_broker_that_cannot_be_trusted_is_said_once_and_page_and_readiness_know(
    city: City, authority: str, host: str, said: str
) -> None:
    """Not a line each second: again only when the error is another one, or all is well."""
    city.trust(getattr(city, authority) / "ca.crt", host)
    city.system.start(is_ready=False)

    def have_tried() -> bool:
        return len(city.log_lines("ingest.broker.away")) >= 3 and _tries(city) >= 6

    wait_until(have_tried, f"several tries, in {city.system.log}", 30)
    lines = city.log_lines("ingest.broker.away")
    assert sorted(line["connection"] for line in lines) == [
        "satomori-intake-routine-0",
        "satomori-intake-sys",
        "satomori-intake-urgent-0",
    ]
    assert all(said in line["error"] for line in lines), lines
    wait_until(lambda: bool(city.links()) and all(said in link["error"] for link in city.links()),
               f"{said} in intake's status", 10)  # fmt: skip
    assert all(link["state"] == "down" for link in city.links())
    ready = httpx.get(f"{city.system.url}/api/ready")
    assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "broker is down" in ready.json()["reasons"]
    assert "Traceback" not in city.system.log_tail(1 << 20)

    # The settings are mended, and what came in meanwhile is not lost on anybody.
    assert city.system.stop() == 0
    city.trust(city.right / "ca.crt")
    city.system.start()
    at = time.time_ns() // 1_000_000
    city.publish(at, 1.5)
    with city.system.visit("joho") as api:
        wait_until(lambda: _stored(api, city) == [(at, 1.5)], "the reading", 20)


def _tries(city: City) -> int:
    return city.broker.log().count(f"on port {city.port}")


@pytest.mark.parametrize("name", ["absent.crt", "names"])
def test_an_authority_that_cannot_be_read_ends_the_command_with_its_path(
    city: City, name: str
) -> None:
    """Not there, or no certificate: trying again would not help. Exit code 2 and a sentence."""
    file = city.right / name
    city.trust(file)
    done = city.system.command("run")
    assert done.returncode == 2, done.stderr
    assert f"broker.tls_ca = {str(file)!r}: " in done.stderr
    assert "Traceback" not in done.stderr
