"""Broker and network: cuts, half-open, restarts, credentials, certificates, a second processor.

Intake over real journals and a real mosquitto; between them, where a test says so, a network that
fails. What the publisher saw acknowledged is in the journals, each message once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devices.credentials import mosquitto_password_line
from devices.frames import BrokerFrame, Lane
from firmware_sim.publisher import Broker, BrokerUnavailableError, Publisher, Receipt
from ingest import mqtt
from ingest.intake import BrokerAddress
from tests.ingest.field import GAUGES, METERS, Town, now_ms, of, until, up
from tests.ingest.test_mqtt import Reader, running
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.satomori_system import RunningSystem, wait_until
from tests.system.test_tls import make_authority, make_server

StartMosquitto = Callable[..., Mosquitto]


class Field:
    """Devices that publish at the broker's own door: every value once, and the acknowledged."""

    def __init__(self, port: int, *, username: str | None = None) -> None:
        self._publisher = Publisher(
            Broker("127.0.0.1", port, username, "field" if username else None),
            client_id="the-field",
            on_receipt=self._note,
        )
        self._values: list[float] = []
        self.acknowledged: list[float] = []
        self._publisher.connect()

    async def publish(self, count: int) -> None:
        """So many messages, in both lanes, and the broker's word for each."""
        await asyncio.to_thread(self._publish, count)

    async def drain(self) -> None:
        """Until the broker has answered everything."""
        await asyncio.to_thread(self._publisher.drain, 30)

    def close(self) -> None:
        self._publisher.close()

    def _publish(self, count: int) -> None:
        for _ in range(count):
            number = len(self._values)
            self._values.append(float(number))
            is_urgent = number % 2 == 0
            names = GAUGES if is_urgent else METERS
            kind, quantity = (
                ("river-gauge", "water.level") if is_urgent else ("water-meter", "water.total")
            )
            body = {"t": now_ms(), "v": {quantity: float(number)}}
            topic = up(names[number // 2 % len(names)], kind)
            self._publisher.publish(topic, json.dumps(body).encode())

    def _note(self, receipt: Receipt) -> None:
        if receipt.is_acknowledged:
            self.acknowledged.append(self._values[receipt.number])


def journaled(*towns: Town) -> Counter[float]:
    return Counter(v for town in towns for lane in Lane for v in town.values(lane))


async def until_journaled(field: Field, *towns: Town, may_repeat: bool = False) -> None:
    """Everything that was acknowledged is in the journals, each value once.

    ``may_repeat``: a broker that ended took messages whose PUBACK did not go out any more; devices
    send them again, with the same time, and the store keeps one of them.
    """
    await field.drain()
    await until(lambda: journaled(*towns).keys() >= set(field.acknowledged), "all journaled", 30)
    repeated = {value: n for value, n in journaled(*towns).items() if n > 1}
    assert may_repeat or not repeated, f"more than once: {dict(list(repeated.items())[:5])}"
    assert journaled(*towns).keys() == set(field.acknowledged)


@asynccontextmanager
async def taking_in(town: Town) -> AsyncIterator[Town]:
    town.status_path.unlink(missing_ok=True)  # of an earlier run
    await town.start()
    try:
        await until(town.is_connected, f"connected: {town.status()}", 30)
        yield town
    finally:
        await town.stop()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intake tries again sooner than it does in a city."""
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE_S", 0.4)
    monkeypatch.setattr(mqtt, "REFUSED_PAUSE_S", 0.4)
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 2.0)


@pytest.fixture
def proxy(mosquitto: Mosquitto) -> Iterator[FaultProxy]:
    with fault_proxy(mosquitto.port) as made:
        yield made


@pytest.fixture
def field(mosquitto: Mosquitto) -> Iterator[Field]:
    made = Field(mosquitto.port)
    yield made
    made.close()


async def until_more(count: Callable[[], int], what: str, deadline_s: float = 15.0) -> None:
    """Until there are more than there were when this was called."""
    before = count()
    await until(lambda: count() > before, what, deadline_s)


def taken_over(town: Town) -> int:
    """How often intake found that somebody else came in under its name."""
    return sum(link["taken_over"] for link in town.status().get("connections", []))


def errors(town: Town) -> list[str]:
    return [link["error"] for link in town.status().get("connections", []) if link["error"]]


# -- the network


@pytest.mark.parametrize("kind", ["vanish_up", "vanish_down", "vanish"])
async def test_a_half_open_connection_is_found_by_keep_alive_and_nothing_is_lost_or_repeated(
    kind: Any, proxy: FaultProxy, field: Field, tmp_path: Path
) -> None:
    """Nobody closes anything: bytes vanish in one direction or both, in the midst of messages."""
    town = Town(tmp_path, proxy.port, keep_alive_s=1)
    async with taking_in(town):
        await field.publish(200)
        proxy.fault = Fault(kind)
        await field.publish(400)
        await until(lambda: any("no sign of life" in e for e in errors(town)), "it is found", 30)
        assert town.status()["broker"] != {}
        await field.publish(200)
        proxy.fault = None
        await until(town.is_connected, "connected again", 30)
        await field.publish(200)
        await until_journaled(field, town)
        gaps = [f.is_up for f in of(town.frames(Lane.URGENT), BrokerFrame)]
        assert gaps[-3:] == [True, False, True]


async def test_cuts_in_the_middle_of_packets_lose_and_repeat_nothing(
    proxy: FaultProxy, field: Field, tmp_path: Path
) -> None:
    """After any number of bytes, in both directions, again and again under load."""
    chance = random.Random(20261122)
    town = Town(tmp_path, proxy.port)
    async with taking_in(town):
        for _ in range(12):
            kind: Any = chance.choice(["cut_packet", "cut_request"])
            proxy.fault = Fault(kind, size=chance.randint(0, 3000))
            publishing = asyncio.create_task(field.publish(300))
            await until_more(lambda: proxy.struck, "a cut")
            proxy.fault = None
            proxy.cut()
            await publishing
        await until_journaled(field, town)


async def test_a_slow_network_is_lag_and_no_loss(
    proxy: FaultProxy, field: Field, tmp_path: Path
) -> None:
    town = Town(tmp_path, proxy.port)
    async with taking_in(town):
        proxy.fault = Fault("slow", size=1500, seconds=0.01)
        await field.publish(2000)
        await until_journaled(field, town)
        assert town.is_connected()


# -- the broker


async def test_a_broker_that_comes_later_than_intake_is_found(
    start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    port = free_port()
    town = Town(tmp_path, port)
    await town.start()
    try:
        await until(lambda: len(errors(town)) == 2, "it is said that nobody is there")
        start_mosquitto(port=port)
        await until(town.is_connected, "connected")
        field = Field(port)
        await field.publish(50)
        await until_journaled(field, town)
        field.close()
    finally:
        await town.stop()


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than ours."""
    place = Path("/dev/shm") / f"satomori-{os.getpid()}-{tmp_path.name}"
    if not place.parent.is_dir() or place.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system on this machine")
    place.mkdir()
    yield place
    subprocess.run(["rm", "-rf", place], check=True)


async def test_an_orderly_restart_of_the_broker_loses_and_repeats_nothing(
    other_disk: Path, tmp_path: Path
) -> None:
    """Its persistence is on another file system; SIGTERM comes in the midst of messages."""
    broker = Mosquitto(other_disk / "m", persistence=True, extra="autosave_interval 3600\n")
    broker.start()
    town, field = Town(tmp_path, broker.port), Field(broker.port)
    try:
        async with taking_in(town):
            for _ in range(4):
                publishing = asyncio.create_task(field.publish(600))
                await until_more(lambda: len(field.acknowledged), "load")
                await asyncio.to_thread(broker.stop)
                broker.start()
                await publishing
            await until_journaled(field, town, may_repeat=True)
            assert all(link["sessions_lost"] == 0 for link in town.status()["connections"])
    finally:
        field.close()
        broker.stop()


async def test_a_session_that_the_broker_lost_is_said_and_the_gap_is_journaled(
    tmp_path: Path,
) -> None:
    """Its persistence file is gone: what it held for us is lost, and nobody may think otherwise."""
    broker = Mosquitto(tmp_path / "m", persistence=True)
    broker.start()
    town, field = Town(tmp_path, broker.port), Field(broker.port)
    try:
        async with taking_in(town):
            await field.publish(100)
            await until_journaled(field, town)
            await asyncio.to_thread(broker.stop)
            await until(lambda: len(errors(town)) == 2, "the loss is seen")
            (tmp_path / "m" / "mosquitto.db").unlink()
            broker.start()
            await until(town.is_connected, "connected again")
            await until(
                lambda: [c["sessions_lost"] for c in town.status()["connections"]] == [1, 1],
                "both connections say it",
            )
            for lane in Lane:
                gaps = [f.is_up for f in of(town.frames(lane), BrokerFrame)]
                assert gaps[-3:] == [True, False, True]
            await field.publish(100)
            await until_journaled(field, town)
    finally:
        field.close()
        broker.stop()


async def test_two_processors_by_mistake_lose_and_repeat_nothing_between_them(
    mosquitto: Mosquitto, field: Field, tmp_path: Path
) -> None:
    """A copy of our files runs elsewhere: each takes the other's sessions, again and again.

    What one has journaled and not yet acknowledged comes to the other as well: in the one or in
    the other nothing is missing, and in neither is anything twice.
    """
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = Town(tmp_path / "one", mosquitto.port), Town(tmp_path / "two", mosquitto.port)
    async with taking_in(one):
        await field.publish(200)
        await two.start()
        try:
            for _ in range(3):
                await until_more(lambda: taken_over(one), "it is said", 30)
                await field.publish(300)
            await field.drain()
            acknowledged = set(field.acknowledged)
            await until(lambda: journaled(one, two).keys() >= acknowledged, "all journaled", 30)
        finally:
            await two.stop()
        for town in (one, two):
            assert max(journaled(town).values(), default=0) <= 1
        assert journaled(one, two).keys() == acknowledged


# -- accounts


class Accounts:
    """A broker's password file, and intake's own."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "passwords"
        self.ours = "first"
        self.write("first")

    def write(self, intake: str) -> None:
        names = {"satomori-intake": intake, "field": "field"}
        lines = [mosquitto_password_line(name, word) for name, word in names.items()]
        self.file.write_text("\n".join(lines) + "\n")
        self.file.chmod(0o600)

    def options(self) -> dict[str, Any]:
        return {"allow_anonymous": False, "extra": f"password_file {self.file}\n"}


async def test_a_password_that_is_changed_at_the_broker_alone_is_said_until_it_is_ours_too(
    start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """mosquitto ends the connection at SIGHUP; messages wait; nobody restarts anything."""
    accounts = Accounts(tmp_path)
    broker = start_mosquitto(**accounts.options())
    address = BrokerAddress("127.0.0.1", broker.port, "satomori-intake", lambda: accounts.ours)
    town, field = Town(tmp_path, broker.port, broker=address), Field(broker.port, username="field")
    async with taking_in(town):
        await field.publish(100)
        await until_journaled(field, town)
        accounts.write(intake="second")
        os.kill(broker.pid, signal.SIGHUP)
        refused = ["the broker refuses us: not authorized (0x87)"] * 2
        await until(lambda: errors(town) == refused, "it is said")
        assert set(town.status()["broker"].values()) == {"down"}
        await field.publish(100)
        accounts.ours = "second"
        await until(town.is_connected, "connected again", 30)
        await until_journaled(field, town)
        assert not errors(town)
    field.close()


async def test_a_wrong_password_at_the_start_is_said_and_recovers_when_the_broker_learns_it(
    start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    accounts = Accounts(tmp_path)
    broker = start_mosquitto(**accounts.options())
    address = BrokerAddress("127.0.0.1", broker.port, "satomori-intake", "second")
    town, field = Town(tmp_path, broker.port, broker=address), Field(broker.port, username="field")
    await town.start()
    try:
        await until(lambda: len(errors(town)) == 2, "it is said")
        accounts.write(intake="second")
        os.kill(broker.pid, signal.SIGHUP)
        await until(town.is_connected, "connected", 30)
        await field.publish(50)
        await until_journaled(field, town)
    finally:
        await town.stop()
        field.close()


def test_a_devices_new_credential_ends_the_connection_that_uses_the_old_one(
    tmp_path: Path,
) -> None:
    """Whoever has a stolen password is out as soon as staff make another; the device comes in."""
    system = RunningSystem(tmp_path)
    system.register("name,kind,label,area\ngauge-1,river-gauge,水位計,川内\n")
    try:
        system.start(is_ready=False)
        system.wait_ready(120)
        old = system.credential("gauge-1")
        port = system.settings.broker.port
        with Publisher(Broker("127.0.0.1", port, "gauge-1", old), client_id="thief") as thief:
            thief.publish("field/v1/river-gauge/gauge-1/up", b'{"v":{"water.level":1}}')
            thief.drain(10)
            new = system.credential("gauge-1")
            wait_until(lambda: not thief._is_connected, "the connection is ended")
        again = Publisher(Broker("127.0.0.1", port, "gauge-1", old), client_id="thief")
        with pytest.raises(BrokerUnavailableError, match="Not authorized"):
            again.connect()
        with Publisher(Broker("127.0.0.1", port, "gauge-1", new), client_id="gauge-1") as device:
            device.publish("field/v1/river-gauge/gauge-1/up", b'{"v":{"water.level":2}}')
            device.drain(10)
            assert device.acknowledged == 1
    finally:
        system.stop()


# -- certificates


def _expire(folder: Path) -> None:
    """The server's certificate ended yesterday."""
    subprocess.run(
        ["openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
         "-CAcreateserial", "-days", "-1", "-extfile", "names", "-out", "server.crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def _expire_authority(folder: Path) -> None:
    """The authority's certificate ended yesterday; its key is the same."""
    for words in (
        ["x509", "-x509toreq", "-in", "ca.crt", "-signkey", "ca.key", "-out", "ca.csr"],
        ["x509", "-req", "-in", "ca.csr", "-signkey", "ca.key", "-days", "-1", "-out", "ca.crt"],
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def _another_name(folder: Path) -> None:
    make_server(folder, "DNS:elsewhere")


def _another_authority(folder: Path) -> None:
    for file in ("ca.crt", "ca.key"):
        (folder / file).write_bytes((folder / "other" / file).read_bytes())
    make_server(folder, "DNS:localhost")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_expire, "has expired (renew the broker's certfile, then kill -HUP of mosquitto)"),
        (_expire_authority, "(the authority in broker.tls_ca = "),
        (_another_name, "(broker.host = 'localhost' does not stand in the broker's certfile)"),
        (_another_authority, "(it is not signed by the authority in broker.tls_ca = "),
    ],
    ids=["expired", "authority-expired", "other-name", "other-authority"],
)
async def test_a_certificate_that_does_not_hold_is_said_with_its_file_and_recovers_when_renewed(
    spoil: Callable[[Path], None], said: str, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """Neither intake nor the broker is restarted: mosquitto reads certificates anew at SIGHUP."""
    folder, ours = tmp_path / "files", tmp_path / "ours.crt"
    make_authority(folder, "City CA")
    make_authority(folder / "other", "Another CA")
    make_server(folder, "DNS:localhost")
    good = {file: file.read_bytes() for file in folder.glob("*.*")}
    ours.write_bytes((folder / "ca.crt").read_bytes())
    port = free_port()
    tls = f"listener {port} 127.0.0.1\ncertfile {folder}/server.crt\nkeyfile {folder}/server.key\n"
    broker = start_mosquitto(extra=tls)
    async with running(Reader(port, host="localhost", tls_ca=ours)) as reader:
        await until(lambda: reader.consumer.link.is_up, "connected")
        spoil(folder)
        if spoil is _expire_authority:
            ours.write_bytes((folder / "ca.crt").read_bytes())
        os.kill(broker.pid, signal.SIGHUP)
        await asyncio.to_thread(_end_connections, broker)
        await until(lambda: said in reader.consumer.link.error, reader.consumer.link.error, 20)
        assert f"TLS to localhost:{port}: certificate verify failed: " in reader.consumer.link.error
        for file, content in good.items():
            file.write_bytes(content)
        ours.write_bytes((folder / "ca.crt").read_bytes())
        os.kill(broker.pid, signal.SIGHUP)
        await until(lambda: reader.consumer.link.is_up, "connected again", 20)


def _end_connections(broker: Mosquitto) -> None:
    """A second client of the same name ends the first one's connection; then it leaves."""
    with Publisher(Broker("127.0.0.1", broker.port), client_id="reader"):
        pass


async def test_an_authoritys_file_that_is_gone_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.crt"
    async with running(Reader(free_port(), host="localhost", tls_ca=absent)) as reader:
        await until(lambda: reader.consumer.link.error != "", "it is said")
        assert (
            reader.consumer.link.error == f"broker.tls_ca = '{absent}': No such file or directory"
        )
