"""An HTTP server that plays JMA: feeds and documents, conditional answers, and every misbehaviour.

Runs in a thread of the test on 127.0.0.1. ``fault`` maps a path to what goes wrong there.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.jma_papers import Paper, atom

Fault = Callable[[BaseHTTPRequestHandler], None]


class FakeJma:
    """What is published, and what was asked for."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []  # in both extra.xml and extra_l.xml
        self.regular: list[Paper] = []
        self.only_long: list[Paper] = []
        self.faults: dict[str, Fault] = {}
        self.asked: Counter[str] = Counter()
        self.answered: Counter[int] = Counter()
        self.is_zipped = True
        self.url = ""

    def publish(self, *papers: Paper) -> None:
        self.papers += papers

    @property
    def feed(self) -> str:
        return f"{self.url}/feed/extra.xml"

    def content(self, path: str) -> bytes | None:
        """What stands at a path."""
        lists = {
            "/feed/extra.xml": self.papers,
            "/feed/extra_l.xml": self.papers + self.only_long,
            "/feed/regular.xml": self.regular,
            "/feed/regular_l.xml": self.regular,
        }
        if path in lists:
            newest = max((one.listed_at for one in lists[path]), default=0)
            return atom(lists[path], f"{self.url}/data", newest)
        every = self.papers + self.only_long + self.regular
        found = {f"/data/{one.id}.xml": one.xml for one in every}
        return found.get(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    jma: FakeJma

    def do_GET(self) -> None:
        self.jma.asked[self.path] += 1
        if fault := self.jma.faults.get(self.path):
            fault(self)
            return
        content = self.jma.content(self.path)
        if content is None:
            answer(self, 404, b"")
            return
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            answer(self, 304, b"", ETag=tag)
            return
        if self.jma.is_zipped and "gzip" in self.headers.get("Accept-Encoding", ""):
            packed = gzip.compress(content)
            answer(self, 200, packed, **{"ETag": tag, "Content-Encoding": "gzip"})
            return
        answer(self, 200, content, ETag=tag)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.server.jma.answered[status] += 1  # type: ignore[attr-defined]  # our own server
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    jma: FakeJma

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests want."""


@contextmanager
def playing(jma: FakeJma, port: int = 0) -> Iterator[FakeJma]:
    """``jma`` answers at ``jma.url`` while the block runs."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.jma = jma
    _Handler.jma = jma
    jma.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield jma
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- what can go wrong


def status(code: int, **headers: str) -> Fault:
    return lambda handler: answer(handler, code, b"no", **headers)


def body(content: bytes, **headers: str) -> Fault:
    return lambda handler: answer(handler, 200, content, **headers)


def redirect(to: str) -> Fault:
    return lambda handler: answer(handler, 302, b"", Location=to)


def dripping(content: bytes, every_s: float = 0.05) -> Fault:
    """A byte at a time: each read is quick, the whole never comes."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(every_s)

    return drip


def cut(content: bytes) -> Fault:
    """Half of the promised bytes, then the connection ends."""

    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.close_connection = True

    return half
