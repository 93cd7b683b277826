"""A real SMTP server for tests that keeps what it is given, with the time at which it came."""

from __future__ import annotations

import email
import email.policy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers.mosquitto import free_port


@dataclass(frozen=True)
class Mail:
    """One mail: when it was taken (ms UTC), to whom, and what it says."""

    arrived_at: int
    recipients: list[str]
    message: EmailMessage

    @property
    def subject(self) -> str:
        """The subject as a person reads it."""
        return str(self.message["Subject"])

    @property
    def body(self) -> str:
        """The text as a person reads it."""
        return str(self.message.get_content())


class Mailbox:
    """Everything that was handed in, in order of arrival."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, EmailMessage, policy=email.policy.default)
        self.mails.append(Mail(time.time_ns() // 1_000_000, list(envelope.rcpt_tos), message))
        return "250 kept"


@contextmanager
def smtp_server() -> Iterator[tuple[Mailbox, int]]:
    """A server on loopback while the block runs: its mailbox and port."""
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()
