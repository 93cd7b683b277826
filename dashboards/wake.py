"""A local datagram that says: look now. Losing one costs a poll's wait, nothing more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

log = structlog.get_logger()

_DATAGRAM_BYTES: Final = 64


class WakeSocket:
    """Listens at ``path`` (None: never woken); use as a context manager inside the event loop."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._woken = asyncio.Event()

    def __enter__(self) -> Self:
        if self._path is not None:
            self._bind(self._path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None and self._path is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._path.unlink(missing_ok=True)

    async def wait(self, timeout_s: float) -> None:
        """Return when woken, after ``timeout_s`` at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        self._woken.clear()

    def _bind(self, path: Path) -> None:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound.setblocking(False)
        try:
            path.unlink(missing_ok=True)
            bound.bind(str(path))
        except OSError as error:
            bound.close()
            log.warning("web.wake.refused", path=str(path), error=str(error))
            return
        self._socket = bound
        asyncio.get_running_loop().add_reader(bound, self._drain)

    def _drain(self) -> None:
        assert self._socket is not None  # noqa: S101 - registered with the socket
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(_DATAGRAM_BYTES)
        self._woken.set()
