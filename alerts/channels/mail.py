"""Mail by SMTP. One message a delivery, UTF-8, with a Message-ID that stays the same.

Refuses to know who is told what. Mail has no idempotency key: a repetition after a crash arrives
twice, recognisable by its Message-ID.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final, Literal

import aiosmtplib

from alerts.delivery import Letter, NotSent, Outcome, Sent
from alerts.people import is_mail_address


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in: ``tls`` from the first byte, ``starttls`` (required), or neither."""

    host: str
    port: int = 25
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: str | None = None


class MailChannel:
    """Sends by one connection a message; ``timeout_s`` bounds each step of the conversation."""

    is_repeatable: Final = False

    def __init__(self, server: MailServer, *, sender: str, timeout_s: float = 15.0) -> None:
        self._server = server
        self._sender = sender
        self._domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
        self._timeout_s = timeout_s

    async def send(self, letter: Letter) -> Outcome:
        """Hand the letter in; 4xx and broken connections can be tried again, 5xx cannot."""
        server = self._server
        if not is_mail_address(letter.address):  # the email package raises anything at such
            return NotSent("this is no mail address", can_retry=False)
        try:
            await aiosmtplib.send(
                self._mail(letter),
                hostname=server.host,
                port=server.port,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                username=server.username,
                password=server.password,
                timeout=self._timeout_s,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            return NotSent(f"recipient refused: {codes}", all(code < 500 for code in codes))
        except aiosmtplib.SMTPResponseException as error:
            return NotSent(f"{error.code} {error.message}"[:200], error.code < 500)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return NotSent(f"{type(error).__name__}: {error}"[:200], can_retry=True)
        return Sent()

    def _mail(self, letter: Letter) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = letter.address
        mail["Subject"] = letter.message.subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{letter.key}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(letter.message.body, charset="utf-8", cte="base64")
        return mail
