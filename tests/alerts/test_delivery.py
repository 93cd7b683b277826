"""Delivery against real servers that fail on purpose: what is tried again, and what is not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from sqlalchemy import Engine

from alerts.channels.log import LogChannel
from alerts.channels.mail import MailChannel, MailServer
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Channel, Courier, NotSent, RetryPolicy
from alerts.ledger import AlarmBook, Delivery, DeliveryDraft, Ledger
from alerts.outbox import Outbox
from alerts.people import add_person
from tests.alerts.receivers import mail_server, until, web_server
from tests.alerts.test_ledger import step
from tests.alerts.world import device, registry

SECRET = "a shared secret"
WORLD = registry([device(3, name="taiheibashi", area="川内")])
QUICK = RetryPolicy(first_s=0.01, longest_s=0.05)


@asynccontextmanager
async def courier(
    database: Engine,
    channels: Mapping[str, Channel],
    *,
    policy: RetryPolicy = QUICK,
) -> AsyncIterator[Courier]:
    """A courier at work; its clock begins at the time at which ``queue`` queues."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    one = Courier(
        Outbox(database),
        channels,
        now=lambda: 1_000_000 + round((loop.time() - begun) * 1000),
        registry=lambda: WORLD,
        public_url="https://satomori.example.jp",
        policy=policy,
        spread=lambda: 0.5,
    )
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def queue(database: Engine, channel: str, address: str, person: int | None = None) -> None:
    """One alarm with one delivery, queued long ago enough to be due."""
    draft = DeliveryDraft("t1", "t1", person, channel, address)
    Ledger(database).commit([step(1, 4, series=60)], [draft], {}, now=1_000_000)


def row(database: Engine) -> Delivery:
    """The one delivery."""
    (found,) = AlarmBook(database).deliveries_of("t1")
    return found


def is_over(database: Engine) -> bool:
    return row(database).state in ("sent", "failed")


# ── mail ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_japanese_mail_arrives_as_it_was_written(database: Engine) -> None:
    """Subject and body in UTF-8, one message, a Message-ID of the delivery."""
    aki = add_person(database, "aki", role="disaster", display_name="秋山")
    async with mail_server() as box:
        queue(database, "mail", "aki@example.jp", aki.id)
        channel = MailChannel(
            MailServer("127.0.0.1", box.port), sender="里守り <s@city.example.jp>"
        )
        async with courier(database, {"mail": channel}):
            await until(lambda: is_over(database))
    (mail,) = box.mails
    assert mail["Subject"] == "taiheibashi地点（川内）: 氾濫危険水位に達しました"
    assert mail["To"] == "aki@example.jp"
    assert mail["From"].startswith("里守り")
    assert mail["Message-ID"] == f"<delivery-{row(database).id}-t1@city.example.jp>"
    body = mail.get_content()
    assert "測定値: 水位 4.00 m" in body
    assert "https://satomori.example.jp/#station=taiheibashi" in body
    assert (row(database).state, row(database).attempts) == ("sent", 1)
    assert row(database).maybe_repeated is False


async def test_a_busy_mail_server_is_tried_again_with_the_same_message_id(sqlite: Engine) -> None:
    """451 twice, then taken: three attempts, one mail."""
    async with mail_server() as box:
        box.answers = ["451 busy", "451 busy"]
        queue(sqlite, "mail", "aki@example.jp")
        channel = MailChannel(MailServer("127.0.0.1", box.port), sender="s@city.example.jp")
        async with courier(sqlite, {"mail": channel}):
            await until(lambda: is_over(sqlite))
    assert (row(sqlite).state, row(sqlite).attempts, len(box.mails)) == ("sent", 3, 1)


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        *(("mail", address) for address in ("", "<", "aki <", '"', "a@[1", "a@b\nBcc: c@d")),
        *(("webhook", url) for url in ("", "no-url", "ftp://x", "http://[::1", "http://xn--a/")),
    ],
)
async def test_an_address_that_is_none_fails_alone(
    sqlite: Engine, channel: str, address: str
) -> None:
    """It is on record at once as failed; the courier, and with it all alarms, goes on."""
    channels: dict[str, Channel] = {
        "mail": MailChannel(MailServer("127.0.0.1", 1), sender="s@city.example.jp"),
        "webhook": WebhookChannel(secret=SECRET),
    }
    queue(sqlite, channel, address)
    async with courier(sqlite, channels):
        await until(lambda: is_over(sqlite))
    assert (row(sqlite).state, row(sqlite).attempts) == ("failed", 1)


@pytest.mark.parametrize("mail", ["aki", "aki <aki@example.jp>", "aki@", "a@b, c@d"])
def test_a_person_without_a_real_mail_address_is_refused(sqlite: Engine, mail: str) -> None:
    with pytest.raises(ValueError, match="must be like"):
        add_person(sqlite, "aki", role="disaster", mail_address=mail)


@pytest.mark.parametrize("how", ["recipient", "data"])
async def test_what_the_mail_server_refuses_for_good_is_not_tried_again(
    sqlite: Engine, how: str
) -> None:
    """550 for the recipient, 554 for the message: failed at once, with the server's words."""
    async with mail_server() as box:
        if how == "recipient":
            box.refused = {"aki@example.jp"}
        else:
            box.answers = ["554 spam"]
        queue(sqlite, "mail", "aki@example.jp")
        channel = MailChannel(MailServer("127.0.0.1", box.port), sender="s@city.example.jp")
        async with courier(sqlite, {"mail": channel}):
            await until(lambda: is_over(sqlite))
    found = row(sqlite)
    assert (found.state, found.attempts) == ("failed", 1)
    assert found.last_error
    assert "55" in found.last_error


async def test_mail_is_encrypted_and_authenticated_where_it_is_asked_for(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STARTTLS is required, never merely tried; the certificate must be known."""
    certificate, key = _certificate(tmp_path)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(certificate, key)
    said: list[LoginPassword] = []

    def authenticate(_server: object, _session: object, _envelope: object, _how: str, data: Any):  # type: ignore[no-untyped-def]  # aiosmtpd's hook
        said.append(data)
        return AuthResult(success=data.password == b"geheim")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    options = {"tls_context": server_tls, "authenticator": authenticate, "auth_required": True}
    async with mail_server(**options) as box:
        queue(sqlite, "mail", "aki@example.jp")
        server = MailServer("localhost", box.port, "starttls", "satomori", "geheim")
        channel = MailChannel(server, sender="s@city.example.jp")
        async with courier(sqlite, {"mail": channel}):
            await until(lambda: is_over(sqlite))
    assert row(sqlite).state == "sent", row(sqlite).last_error
    assert [(s.login, s.password) for s in said] == [(b"satomori", b"geheim")]


async def test_a_mail_server_without_tls_gets_no_mail_where_tls_is_asked_for(
    sqlite: Engine,
) -> None:
    """The letter waits and says why; it does not go in the clear."""
    async with mail_server() as box:
        queue(sqlite, "mail", "aki@example.jp")
        channel = MailChannel(
            MailServer("127.0.0.1", box.port, "starttls"), sender="s@city.example.jp"
        )
        async with courier(sqlite, {"mail": channel}):
            await until(lambda: row(sqlite).last_error is not None)
    assert box.mails == []


# ── webhooks ────────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_is_signed_and_carries_the_transition(database: Engine) -> None:
    """HMAC-SHA256 of the very bytes, an idempotency key, the facts as JSON."""
    async with web_server() as hook:
        queue(database, "webhook", hook.url)
        async with courier(database, {"webhook": WebhookChannel(secret=SECRET)}):
            await until(lambda: is_over(database))
    ((headers, body),) = hook.requests
    signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["satomori-signature"] == f"sha256={signed}"
    assert headers["idempotency-key"] == f"delivery-{row(database).id}-t1"
    (document,) = hook.documents
    assert document["transition"]["to_stage"] == "danger"
    assert document["device"]["name"] == "taiheibashi"
    assert document["quantity"] == "water.level"
    assert document["subject"].endswith("氾濫危険水位に達しました")


@pytest.mark.parametrize("answer", ["500 Oops", "503 Later", "cut", "slow"])
async def test_a_failing_webhook_is_tried_again_with_the_same_key(
    sqlite: Engine, answer: str
) -> None:
    """Errors of the server, a cut connection, no answer in time: all may pass."""
    async with web_server() as hook:
        hook.answers = [answer, answer]
        queue(sqlite, "webhook", hook.url)
        channel = WebhookChannel(secret=SECRET, timeout_s=0.2)
        async with courier(sqlite, {"webhook": channel}):
            await until(lambda: is_over(sqlite))
    assert (row(sqlite).state, row(sqlite).attempts) == ("sent", 3)
    assert len({headers["idempotency-key"] for headers, _ in hook.requests}) == 1


async def test_a_webhook_that_asks_to_wait_is_waited_for(sqlite: Engine) -> None:
    """429 with Retry-After: not before."""
    async with web_server() as hook:
        hook.answers = ["429 Slow down\r\nRetry-After: 1"]
        queue(sqlite, "webhook", hook.url)
        async with courier(sqlite, {"webhook": WebhookChannel(secret=SECRET)}):
            loop = asyncio.get_running_loop()
            await until(lambda: len(hook.requests) == 1)
            begun = loop.time()
            await until(lambda: is_over(sqlite))
            assert loop.time() - begun >= 0.9
    assert (row(sqlite).state, row(sqlite).attempts) == ("sent", 2)


@pytest.mark.parametrize("answer", ["400 Bad", "404 Not here", "410 Gone", "302 Elsewhere"])
async def test_a_webhook_that_refuses_is_not_tried_again(sqlite: Engine, answer: str) -> None:
    """The same request would be refused again; a redirect would leave the address."""
    async with web_server() as hook:
        hook.answers = [answer]
        queue(sqlite, "webhook", hook.url)
        async with courier(sqlite, {"webhook": WebhookChannel(secret=SECRET)}):
            await until(lambda: is_over(sqlite))
    assert (row(sqlite).state, row(sqlite).attempts) == ("failed", 1)
    assert row(sqlite).last_error == f"HTTP {answer.split(maxsplit=1)[0]}"


async def test_a_delivery_that_is_too_old_has_failed_and_says_so(sqlite: Engine) -> None:
    """Nobody is helped by yesterday's warning: after max_age_s it is given up."""
    async with web_server() as hook:
        hook.answers = ["500 Oops"] * 1000
        queue(sqlite, "webhook", hook.url)
        policy = RetryPolicy(first_s=0.01, longest_s=0.02, max_age_s=0.2)
        channel = WebhookChannel(secret=SECRET)
        async with courier(sqlite, {"webhook": channel}, policy=policy):
            await until(lambda: is_over(sqlite))
    found = row(sqlite)
    assert found.state == "failed"
    assert found.last_error is not None
    assert found.last_error.startswith(f"given up after {found.attempts} attempts: HTTP 500")


async def test_a_slow_channel_holds_up_no_other(sqlite: Engine) -> None:
    """The webhook hangs; the log is told at once."""
    async with web_server() as hook:
        hook.answers = ["slow"]
        drafts = [
            DeliveryDraft("t1", "t1", None, "webhook", hook.url),
            DeliveryDraft("t1", "t1", None, "log", "staff"),
        ]
        Ledger(sqlite).commit([step(1, 4)], drafts, {}, now=1_000_000)
        hanging = WebhookChannel(secret=SECRET, timeout_s=30)
        channels: dict[str, Channel] = {"webhook": hanging, "log": LogChannel()}
        async with courier(sqlite, channels):
            await until(lambda: len(hook.requests) == 1)
            book = AlarmBook(sqlite)
            await until(lambda: [d.state for d in book.deliveries_of("t1")] == ["sending", "sent"])


# ── the policy ──────────────────────────────────────────────────────────────────────────────────


def test_delays_double_up_to_the_longest_and_are_spread() -> None:
    """1, 2, 4 … 300 s, each between a half and one and a half; the receiver's wish is a minimum."""
    policy = RetryPolicy()
    again = NotSent("", can_retry=True)
    delays = [policy.delay_s(n, again, 0.5) for n in (1, 2, 3, 9, 10, 10_000)]
    assert delays == [1.0, 2.0, 4.0, 256.0, 300.0, 300.0]
    assert policy.delay_s(3, again, 0.0) == 2.0
    assert policy.delay_s(3, again, 1.0) == 6.0
    assert policy.delay_s(1, NotSent("", can_retry=True, retry_after_s=60.0), 0.5) == 60.0


def test_after_a_crash_mail_that_was_being_sent_is_marked_as_maybe_repeated(
    database: Engine,
) -> None:
    """Mail has no idempotency key; a webhook has, and is not marked."""
    drafts = [
        DeliveryDraft("t1", "t1", None, channel, "x") for channel in ("mail", "webhook", "pigeon")
    ]
    Ledger(database).commit([step(1, 4)], drafts, {}, now=1)
    outbox = Outbox(database)
    assert [len(outbox.claim(c, 1, 9)) for c in ("mail", "webhook")] == [1, 1]
    assert outbox.recover(["mail", "webhook"], ["webhook"], now=2) == 2
    rows = {d.channel: d for d in AlarmBook(database).deliveries_of("t1")}
    assert (rows["mail"].state, rows["mail"].maybe_repeated) == ("queued", True)
    assert (rows["webhook"].state, rows["webhook"].maybe_repeated) == ("queued", False)
    assert rows["pigeon"].state == "failed"


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
