"""Webhooks: one JSON document POSTed a delivery, signed, with an idempotency key.

The receiver checks ``Satomori-Signature: sha256=<hex>``, the HMAC-SHA256 of the body under the
shared secret, and drops a repetition by ``Idempotency-Key``. Refuses to know who is told what.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
from dataclasses import asdict
from typing import Final

import httpx

from alerts.delivery import Letter, NotSent, Outcome, Sent

_WORTH_RETRYING: Final = frozenset({408, 425, 429})
_LONGEST_RETRY_AFTER_S: Final = 3600.0


class WebhookChannel:
    """POSTs, all within ``timeout_s``; follows no redirects (they would leave the address)."""

    is_repeatable: Final = True

    def __init__(self, *, secret: str, timeout_s: float = 10.0) -> None:
        self._secret = secret.encode()
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()  # costs tens of ms: once, not once a delivery

    async def send(self, letter: Letter) -> Outcome:
        """2xx is taken; 408, 425, 429, 5xx and broken connections can be tried again."""
        body = json.dumps(_document(letter), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": letter.key,
            "Satomori-Signature": f"sha256={signature(self._secret, body)}",
        }
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(
                    timeout=self._timeout_s, trust_env=False, verify=self._tls
                ) as client,
            ):
                response = await client.post(letter.address, content=body, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            return NotSent(f"{type(error).__name__}: {error}"[:200], can_retry=False)
        except (httpx.HTTPError, TimeoutError) as error:
            return NotSent(f"{type(error).__name__}: {error}"[:200], can_retry=True)
        return _outcome(response)


def signature(secret: bytes, body: bytes) -> str:
    """HMAC-SHA256 in hex."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def _outcome(response: httpx.Response) -> Outcome:
    code = response.status_code
    if 200 <= code < 300:
        return Sent()
    can_retry = code >= 500 or code in _WORTH_RETRYING
    return NotSent(f"HTTP {code}", can_retry, _retry_after_s(response))


def _retry_after_s(response: httpx.Response) -> float:
    """Seconds of a Retry-After header; a date or nonsense counts as none."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_RETRY_AFTER_S) if text.isdecimal() else 0.0


def _document(letter: Letter) -> dict[str, object]:
    about = letter.about
    device = about.device
    return {
        "key": letter.key,
        "transition": asdict(about.transition),
        "device": None
        if device is None
        else {
            "name": device.name,
            "label": device.label,
            "label_en": device.label_en,
            "site": device.site,
            "area": device.area,
            "latitude": device.latitude,
            "longitude": device.longitude,
        },
        "withdrawn": None if about.now_stage is None else {"now_stage": about.now_stage},
        "quantity": about.quantity,
        "subject": letter.message.subject,
        "text": letter.message.body,
        "link": about.link,
    }
