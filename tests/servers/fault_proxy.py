"""A network between two programs that does what networks and tired servers do, on command.

``FaultProxy`` stands before a real server, in a thread of its own. ``fault`` holds from the moment
it is set, for what comes then; ``None`` heals. ``struck`` counts how often a fault was met, so that
a test can wait until it really happened.

    client ──▶ proxy ──▶ server          vanish_up: swallowed on the way to the server
    client ◀── proxy ◀── server          vanish_down: swallowed on the way back (both: half-open)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal[
    "refuse",  # connections are reset
    "hang",  # requests are taken and never answered
    "delay",  # every chunk of an answer comes `seconds` later
    "cut_request",  # the connection ends after `size` bytes of a request
    "cut_answer",  # the server does its work, and the connection ends before its answer comes
    "answer",  # `status` and `body` in place of the server's, which hears nothing (HTTP only)
    "vanish_up",
    "vanish_down",
    "vanish",
    "cut_packet",  # the connection ends after `size` bytes of what the server sends
    "slow",  # at most `size` bytes in `seconds`, in each direction
]
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; ``only``: bytes that the first line of an HTTP request must hold to meet it."""

    kind: Kind
    seconds: float = 0.0
    size: int = 1000
    status: int = 503
    body: str = ""
    retry_after_s: int | None = None
    only: bytes = b""

    def answer(self) -> bytes:
        """The whole HTTP answer."""
        body = self.body.encode()
        wait = f"Retry-After: {self.retry_after_s}\r\n" if self.retry_after_s is not None else ""
        head = (
            f"HTTP/1.1 {self.status} Fault\r\nContent-Type: application/json\r\n{wait}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class _Talk:
    """One connection: the first line of the HTTP request that is under way, if it is HTTP.

    ``dead``: the fault that swallowed bytes of it. Such a connection stays silent when the network
    heals: TCP gives all bytes in order or none, never those after a hole.
    """

    request: bytes = b""
    dead: Fault | None = None

    def meets(self, fault: Fault | None) -> Fault | None:
        if self.dead is not None:
            return self.dead
        return fault if fault is not None and fault.only in self.request else None


class FaultProxy:
    """Listens on ``port`` and speaks to ``target``; `close` ends all connections."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target, self.fault, self.struck, self.connections = target, None, 0, 0
        self.fault: Fault | None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End all connections at once, in the middle of whatever they carry."""
        self._call(self._abort_all())

    def close(self) -> None:
        """Stop listening and end everything."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- in the proxy's thread

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _abort_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        await self._abort_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connection(reader, writer)
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._meets("refuse"):
            _reset(writer)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._open.add(far_writer)
        talk = _Talk()
        pumps = [
            asyncio.ensure_future(self._up(talk, reader, far_writer, writer)),
            asyncio.ensure_future(self._down(talk, far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            if self.fault is None or not self.fault.kind.startswith("vanish"):
                far_writer.transport.abort()
                self._open.discard(far_writer)  # else the server never hears that it has ended

    async def _up(
        self,
        talk: _Talk,
        reader: asyncio.StreamReader,
        far: asyncio.StreamWriter,
        near: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(_CHUNK):
            if data.startswith((b"POST ", b"GET ")):
                talk.request = data.partition(b"\r\n")[0]
            fault = talk.meets(self.fault)
            match fault.kind if fault else None:
                case "hang":
                    self.struck += 1
                    continue
                case "vanish_up" | "vanish":
                    self.struck += 1
                    talk.dead = fault
                    continue
                case "refuse":
                    self.struck += 1
                    return
                case "cut_request":
                    assert fault
                    self.struck += 1
                    far.write(data[: fault.size])
                    await far.drain()
                    return
                case "answer":
                    assert fault
                    await self._answer(fault, data, reader, near)
                    return
                case "slow":
                    assert fault
                    await self._drip(fault, data, far)
                    continue
            far.write(data)
            await far.drain()

    async def _down(
        self, talk: _Talk, far: asyncio.StreamReader, near: asyncio.StreamWriter
    ) -> None:
        while data := await far.read(_CHUNK):
            fault = talk.meets(self.fault)
            match fault.kind if fault else None:
                case "cut_answer":
                    self.struck += 1
                    return
                case "cut_packet":
                    assert fault
                    self.struck += 1
                    near.write(data[: fault.size])
                    await near.drain()
                    return
                case "vanish_down" | "vanish":
                    self.struck += 1
                    talk.dead = fault
                    continue
                case "delay":
                    assert fault
                    self.struck += 1
                    await asyncio.sleep(fault.seconds)
                case "slow":
                    assert fault
                    await self._drip(fault, data, near)
                    continue
            near.write(data)
            await near.drain()

    async def _answer(
        self, fault: Fault, data: bytes, reader: asyncio.StreamReader, near: asyncio.StreamWriter
    ) -> None:
        """Read the whole request, as a server does, and say what the fault says."""
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.partition(b":")[2]) for line in head.split(b"\r\n")
             if line.lower().startswith(b"content-length:")), 0,
        )  # fmt: skip
        while len(body) < length and (more := await reader.read(_CHUNK)):
            body += more
        near.write(fault.answer())
        self.struck += 1
        await near.drain()
        near.close()
        await near.wait_closed()

    async def _drip(self, fault: Fault, data: bytes, writer: asyncio.StreamWriter) -> None:
        self.struck += 1
        for at in range(0, len(data), fault.size):
            writer.write(data[at : at + fault.size])
            await writer.drain()
            await asyncio.sleep(fault.seconds)

    def _meets(self, kind: Kind) -> bool:
        is_so = self.fault is not None and self.fault.kind == kind
        self.struck += is_so
        return is_so


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


@contextmanager
def fault_proxy(target: int, port: int = 0) -> Iterator[FaultProxy]:
    """A proxy before the server on port ``target`` of this machine while the block runs."""
    proxy = FaultProxy(target, port)
    try:
        yield proxy
    finally:
        proxy.close()
