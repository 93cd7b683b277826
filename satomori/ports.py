"""TCP ports of this machine: which one is free, and waiting until one is.

Refuses to know who wants to listen there.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from satomori.settings import SettingsError

ANY_TIME_NOW_S = 5.0
"""How long a port may still be held by what is just stopping, of a run that was killed."""


def free_port(wanted: int, host: str = "127.0.0.1") -> int:
    """``wanted``, or the next port above it on which nobody listens; 0 asks for any."""
    for port in range(wanted, wanted + 50) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SettingsError(f"no free port from {wanted} to {wanted + 49} on {host}")


async def until_free(option: str, host: str, port: int) -> None:
    """Wait until somebody may listen on ``host``:``port``, which the settings call ``option``.

    Raises SettingsError when the port stays taken, or nobody here can ever listen there.
    """
    for _ in range(int(ANY_TIME_NOW_S / 0.1)):
        if not _is_taken(option, host, port):
            return
        await asyncio.sleep(0.1)
    raise SettingsError(f"{option} = {port}: somebody else listens there, on {host}")


def _is_taken(option: str, host: str, port: int) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise SettingsError(f"{option} = {port}, on {host!r}: {error.strerror}") from None
    return False
