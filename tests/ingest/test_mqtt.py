"""The consumer against real and wicked brokers: refusal, silence, rubbish, floods, old ones."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ingest import mqtt
from ingest.mqtt import BrokerAddress, Consumer, Gathered, Link
from ingest.mqtt_frames import Version
from ingest.mqtt_session import Greeting
from tests.ingest.field import now_ms, until
from tests.ingest.mqtt_publisher import Publisher
from tests.servers.mosquitto import Mosquitto, free_port

CONNACK_5 = b"\x20\x03\x00\x00\x00"
SUBACK_5 = b"\x90\x04\x00\x01\x00\x01"


class Reader:
    """A consumer whose messages are kept; ``links`` is the history of its connection."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", **options: object) -> None:
        login = {key: options.pop(key) for key in ("username", "password", "tls_ca")
                 if key in options}  # fmt: skip
        had_session = bool(options.pop("had_session", False))
        self.links: list[Link] = []
        self.lost: list[str] = []
        self.unacknowledged: list[Gathered] = []
        self.payloads: list[bytes] = []
        self.is_late = bool(options.pop("is_late", False))
        self.consumer = Consumer(
            Greeting("reader", [("field/#", 0x01)], **options),  # type: ignore[arg-type]  # as given
            BrokerAddress(host, port, **login),  # type: ignore[arg-type]  # as given
            now=now_ms,
            on_messages=self._take,
            on_link=self.links.append,
            on_session_lost=self.lost.append,
            had_session=had_session,
            jitter=lambda: 0.0,
        )

    def acknowledge(self) -> None:
        for gathered in self.unacknowledged:
            self.consumer.acknowledge(gathered)
        self.unacknowledged.clear()

    def _take(self) -> None:
        if self.is_late:
            return
        asyncio.get_running_loop().call_soon(self.take_all)

    def take_all(self) -> None:
        for gathered in self.consumer.take():
            self.payloads += gathered.publishes.payloads
            assert len(gathered.received_at()) == len(gathered.publishes)
            self.unacknowledged.append(gathered)
        self.acknowledge()


@asynccontextmanager
async def running(reader: Reader) -> AsyncIterator[Reader]:
    task = asyncio.create_task(reader.consumer.run())
    try:
        yield reader
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def wicked_broker(behaviour: Behaviour) -> AsyncIterator[int]:
    """A server that treats each connection as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await behaviour(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_wrong_credentials_are_told_and_tried_rarely(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    passwords.chmod(0o600)
    broker = start_mosquitto(allow_anonymous=False, extra=f"password_file {passwords}\n")
    async with running(Reader(broker.port, username="somebody", password="secret")) as reader:
        await until(lambda: reader.consumer.link.error != "", "the refusal")
        assert reader.consumer.link.error.endswith("not authorized (0x87)")
        assert "secret" not in repr(reader.consumer.link)
    assert broker.log().count("not authorised") == 1


async def test_a_filter_that_may_not_be_read_is_told(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    """mosquitto 2.0 grants every SUBSCRIBE and filters later; another broker refuses."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(CONNACK_5)
        await reader.read(1000)
        writer.write(b"\x90\x04\x00\x01\x00\x87")
        await reader.read()

    async with wicked_broker(refuse) as port, running(Reader(port)) as reader:
        await until(lambda: "field/#" in reader.consumer.link.error, "the refusal")
        assert not any(link.is_up for link in reader.links)


async def test_rubbish_ends_the_connection_and_a_new_one_is_made() -> None:
    tries = 0

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.read(1000)
        writer.write(CONNACK_5)
        await reader.read(1000)
        writer.write(SUBACK_5 + b"\x32\x07\x00\x01a\x00\x07\x00b")
        await reader.readexactly(4)
        writer.write(b"\x34\x06\x00\x01a\x00\x01\x00" if tries == 1 else b"")
        await reader.read()

    async with wicked_broker(babble) as port, running(Reader(port)) as reader:
        await until(lambda: [link.is_up for link in reader.links] == [True, False, True], "again")
        assert "not for a consumer" in reader.links[1].error
        await until(lambda: reader.payloads == [b"b", b"b"], "what came before the rubbish")


async def test_a_broker_that_says_nothing_any_more_is_given_up() -> None:
    """Half-open: the connection stands, nobody answers our pings."""

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(CONNACK_5)
        await reader.read(1000)
        writer.write(SUBACK_5)
        while await reader.read(1000):
            pass

    async with wicked_broker(fall_silent) as port, running(Reader(port, keep_alive_s=1)) as reader:
        await until(lambda: len(reader.links) >= 2, "the loss")
        assert "no sign of life" in reader.links[1].error


async def test_a_broker_that_answers_pings_is_kept(mosquitto: Mosquitto) -> None:
    async with running(Reader(mosquitto.port, keep_alive_s=1)) as reader:
        await until(lambda: len(reader.links) == 1, "the connection")
        await asyncio.sleep(2.5)  # longer than two keep-alives
        assert [link.is_up for link in reader.links] == [True]


async def test_what_is_not_acknowledged_comes_again_in_order(mosquitto: Mosquitto) -> None:
    publisher = Publisher(mosquitto.port)
    reader = Reader(mosquitto.port, is_late=True)
    sent = [b"%d" % n for n in range(300)]
    async with running(reader):
        await until(lambda: len(reader.links) == 1, "the connection")
        publisher.publish_many([("field/x", body) for body in sent])
        await until(lambda: reader.consumer.pending == 300, "all of them")
        first = reader.consumer.take()
        assert [p for g in first for p in g.publishes.payloads] == sent
    again = Reader(mosquitto.port, had_session=True)
    async with running(again):
        await until(lambda: len(again.payloads) == 300, "all of them again")
        assert again.payloads == sent
        assert again.lost == []
    publisher.close()


async def test_too_much_pending_stops_reading_until_it_is_acknowledged(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QoS 0 has no window at the broker: our own bound holds it back."""
    monkeypatch.setattr(mqtt, "MAX_PENDING", 100)
    reader = Reader(mosquitto.port, is_late=True)
    publisher = Publisher(mosquitto.port)
    async with running(reader):
        await until(lambda: len(reader.links) == 1, "the connection")
        body = bytes(5_000)
        for _ in range(10):
            publisher.publish_many([("field/x", body) for _ in range(200)])
        await until(lambda: reader.consumer.pending > 100, "the bound")
        held = reader.consumer.pending
        assert held < 1000
        reader.is_late = False
        reader.take_all()
        await until(lambda: len(reader.payloads) == 2000, "the rest")
    publisher.close()


async def test_a_lost_session_is_noticed_after_a_restart_of_ours(mosquitto: Mosquitto) -> None:
    async with running(Reader(mosquitto.port, had_session=True)) as reader:
        await until(lambda: reader.lost == ["reader"], "the loss")
        assert reader.consumer.link.sessions_lost == 1


async def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1() -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(1000)
        if hello[8] == Version.V5:
            writer.write(b"\x20\x02\x00\x01")
            return
        writer.write(b"\x20\x02\x00\x00")
        await reader.read(1000)
        writer.write(b"\x90\x03\x00\x01\x01" + b"\x32\x06\x00\x01a\x00\x07b")
        acknowledged = await reader.readexactly(4)
        assert acknowledged == b"\x40\x02\x00\x07"
        await reader.read()

    async with wicked_broker(old) as port, running(Reader(port)) as reader:
        await until(lambda: reader.payloads == [b"b"], "a message")


async def test_a_broker_that_is_away_is_tried_with_growing_pauses() -> None:
    async with running(Reader(free_port())) as reader:
        await until(lambda: reader.consumer.link.error != "", "the refusal")
        assert reader.links == []


async def test_tls_is_used_and_the_certificate_checked(
    tmp_path: Path, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    _make_certificate(tmp_path)
    port = free_port()
    tls = f"listener {port} 127.0.0.1\ncertfile {tmp_path}/c.pem\nkeyfile {tmp_path}/k.pem\n"
    start_mosquitto(extra=tls)
    async with running(Reader(port, host="localhost", tls_ca=tmp_path / "c.pem")) as reader:
        await until(lambda: [link.is_up for link in reader.links] == [True], "the connection")
    other = Path(
        ssl.get_default_verify_paths().openssl_cafile or "/etc/ssl/certs/ca-certificates.crt"
    )
    if other.exists():
        async with running(Reader(port, host="localhost", tls_ca=other)) as reader:
            await until(lambda: "certificate" in reader.consumer.link.error.lower(), "the refusal")


def _make_certificate(directory: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", directory / "k.pem", "-out", directory / "c.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


async def test_a_broker_that_first_sends_what_waits_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its SUBACK stands behind the backlog: that may take longer than the answer to CONNECT."""
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.2)
    greeted: list[bytes] = []

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.append(await reader.read(4096))
        writer.write(b"\x20\x03\x01\x00\x00")  # CONNACK, session present
        for _ in range(5):
            writer.write(b"\x30\x0b\x00\x07field/x\x00p")
            await asyncio.sleep(0.1)
        writer.write(SUBACK_5)
        await reader.read(-1)

    async with wicked_broker(behaviour) as port, running(Reader(port)) as reader:
        await until(lambda: reader.consumer.link.is_up, "the link")
        await until(lambda: reader.payloads == [b"p"] * 5, "the backlog")
    assert len(greeted) == 1
