"""One byte from the journal's writer to each of its readers: look again.

A reader binds a unix datagram socket in ``<journal>/wake/``; the writer sends to every name there
and never waits. Nothing depends on it: a reader that is not woken polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

WAKE_NAME: Final = "wake"
_ADDRESS_BYTES: Final = 107  # sun_path of unix(7), without its closing zero
_PROC: Final = Path("/proc/self/fd")


class _Folder:
    """A directory of sockets, reachable by an address that is short enough however deep it lies."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def address(self, name: str) -> str:
        direct = str(self.directory / name)
        if len(os.fsencode(direct)) <= _ADDRESS_BYTES or not _PROC.is_dir():
            return direct  # where it is too long and there is no /proc, binding fails: polling
        return f"{_PROC}/{self._fd}/{name}"

    def names(self) -> list[str]:
        return os.listdir(self._fd)  # noqa: PTH208 - pathlib lists no descriptor

    def close(self) -> None:
        os.close(self._fd)


def _datagram_socket() -> socket.socket:
    created = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    created.setblocking(False)
    return created


class Waker:
    """The writer's side."""

    def __init__(self, journal: Path) -> None:
        self._folder = _Folder(journal / WAKE_NAME)
        self._socket = _datagram_socket()

    def wake_all(self) -> None:
        """Wake every reader; one that is awake or gone costs nothing, a stale name is removed."""
        for name in self._folder.names():
            try:
                self._socket.sendto(b"\0", self._folder.address(name))
            except (BlockingIOError, FileNotFoundError):
                continue  # it has wakes waiting already, or has just left
            except ConnectionRefusedError:
                (self._folder.directory / name).unlink(missing_ok=True)
            except OSError:
                continue  # not ours to repair: that reader polls

    def close(self) -> None:
        self._socket.close()
        self._folder.close()


class WakeSocket:
    """A reader's side; binds when it is first waited on."""

    def __init__(self, journal: Path, reader: str, path: Path | None) -> None:
        """Bind ``path`` and name it in the journal's folder, or bind right there if it is None."""
        self._name = journal / WAKE_NAME / f"{reader}.sock"
        self._path = path or self._name
        self._socket: socket.socket | None = None
        self._is_refused = False

    async def wait(self, timeout_s: float) -> None:
        """Return when woken, after ``timeout_s`` at the latest.

        The first call returns at once: what was published before the socket was bound woke nobody.
        """
        if self._socket is None and not self._is_refused:
            self._bind()
            return
        if self._socket is None:
            await asyncio.sleep(timeout_s)
            return
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_recv(self._socket, 1)
        except TimeoutError:
            self._rebind_if_removed()
        else:
            self._drain(self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)
            self._name.unlink(missing_ok=True)

    @staticmethod
    def _drain(bound: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                bound.recv(1)

    def _rebind_if_removed(self) -> None:
        if not self._name.exists() and self._socket is not None:
            self._socket.close()
            self._socket = None
            self._bind()

    def _bind(self) -> None:
        bound = _datagram_socket()
        try:
            self._bind_at_path(bound)
        except OSError as error:
            bound.close()
            self._is_refused = True
            log.warning("journal.wake.refused", path=str(self._path), error=str(error))
        else:
            self._socket = bound

    def _bind_at_path(self, bound: socket.socket) -> None:
        folder = _Folder(self._path.parent)
        try:
            address = folder.address(self._path.name)
            if _is_alive(address):
                raise FileExistsError(f"another reader listens at {self._path}")
            self._path.unlink(missing_ok=True)
            bound.bind(address)
        finally:
            folder.close()
        if self._path != self._name:
            self._name.parent.mkdir(parents=True, exist_ok=True)
            self._name.unlink(missing_ok=True)
            self._name.symlink_to(self._path.absolute())


def _is_alive(address: str) -> bool:
    with _datagram_socket() as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
        return True
