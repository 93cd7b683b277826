"""What holds for every request: size, forgery, headers. Plain ASGI, so that streams pass through.

Refuses to know routes and people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.errors import Refusal, error_answer

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_BODY_BYTES: Final = 64 * 1024
MAX_IMPORT_BYTES: Final = 8 * 1024 * 1024
_LARGE_PATHS: Final[Mapping[str, int]] = {"/api/devices/import": MAX_IMPORT_BYTES}


def content_security_policy(tile_origin: str) -> str:
    """What the page may load: itself, MapLibre's workers, and tiles from one host if configured."""
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: blob: {tile_origin}".strip(),
            f"connect-src 'self' {tile_origin}".strip(),
            "worker-src 'self' blob:",
            "child-src 'self' blob:",
            "font-src 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """Adds the headers that every answer carries; API answers are never kept by a cache."""

    def __init__(self, app: ASGIApp, *, tile_origin: str, is_https: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_security_policy(tile_origin),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), payment=(), usb=()",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        if is_https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class RequestGuard:
    """Refuses what is too large, and changes that another site's page could have sent.

    A form or a script of another origin cannot set ``X-Satomori`` without our consent (CORS), and
    the session cookie is ``SameSite=Lax``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = _LARGE_PATHS.get(scope["path"], MAX_BODY_BYTES)
        if scope["method"] not in _SAFE_METHODS and headers.get("x-satomori") != "1":
            answer = error_answer(
                403, "forged", "the header X-Satomori: 1 is missing", scope["path"]
            )
            await answer(scope, receive, send)
        elif _announced(headers) > limit:
            answer = error_answer(413, "too_large", f"at most {limit} bytes", scope["path"])
            await answer(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, limit), send)


def _announced(headers: Headers) -> int:
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() else 0  # what is not announced is counted as it comes


def _counted(receive: Receive, limit: int) -> Receive:
    left = limit

    async def receive_counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise Refusal(413, "too_large", f"at most {limit} bytes")
        return message

    return receive_counted
