"""How long web waits for a caller, and for how many: uvicorn's HTTP with deadlines.

uvicorn (0.54) bounds the size of a request's head and the idle time between requests, but waits
forever for one that comes byte by byte; callers that do so hold connections until none are left.
Refuses to know what is asked.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 15.0
"""For a whole request head, from the connection or its first byte on."""
BODY_S: Final = 60.0
"""For a whole body (64 KiB, an import 8 MiB)."""
MAX_CONNECTIONS: Final = 4000
"""Twice the streams that there may be; more are closed at once."""
_OTHER_FILES: Final = 256


class PatientProtocol(H11Protocol):
    """One connection of a caller who owes us bytes for a limited time only."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._owed: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > connections_at_once():
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Set a deadline when the caller begins to owe a head or a body; end it when it is here."""
        state = self.conn.their_state
        owed = state if state in (h11.IDLE, h11.SEND_BODY) else None
        if owed is self._owed:
            return
        self._forget()
        self._owed = owed
        if owed is not None:
            seconds = HEAD_S if owed is h11.IDLE else BODY_S
            self._deadline = self.loop.call_later(seconds, self._give_up)

    def _forget(self) -> None:
        self._owed = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def connections_at_once() -> int:
    """As many as the process may have files open, but for those that it needs itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(MAX_CONNECTIONS, files - _OTHER_FILES))


def allow_many_connections() -> None:
    """Raise the soft limit of open files as far as it goes (most systems begin with 1,024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
