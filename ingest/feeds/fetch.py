"""One GET of what a publisher offers: conditional, bounded in time and size, never led elsewhere.

Only hosts that the settings name are asked, also after a redirect, and over TLS nobody leads back
to plain HTTP. Compressed answers are unpacked piece by piece and end where they grow too large.
Refuses to know what the bytes mean and when to ask again.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

MAX_REDIRECTS: Final = 3
_PIECE: Final = 64 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LASTING: Final = frozenset({400, 401, 404, 410, 414, 451})


class FetchFailed(Exception):
    """Nothing usable came; ``is_lasting``: asking the same again is not likely to help.

    ``wait_s`` is how long the publisher asks us to stay away (Retry-After), if it does.
    """

    def __init__(self, reason: str, *, is_lasting: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.is_lasting = is_lasting
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Validators:
    """What the publisher gave to ask again with (ETag, Last-Modified); empty where it gave none."""

    etag: str = ""
    last_modified: str = ""


NO_VALIDATORS: Final = Validators()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: ``payload`` None for "not modified"."""

    payload: bytes | None
    validators: Validators


class Fetcher:
    """Asks the publishers; open it with ``opened``."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        hosts: frozenset[str],
        *,
        size_limit: int,
        deadline_s: float,
    ) -> None:
        self._client, self._hosts = client, hosts
        self._size_limit, self._deadline_s = size_limit, deadline_s
        self.bytes_received = 0

    async def get(self, url: str, validators: Validators = NO_VALIDATORS) -> Answer:
        """GET ``url``; raises FetchFailed, with one short line of why."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._follow(url, validators)
        except TimeoutError:
            raise FetchFailed(f"no whole answer within {self._deadline_s:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise FetchFailed(_in_a_line(error)) from None

    async def _follow(self, url: str, validators: Validators) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            async with self._client.stream("GET", url, headers=_headers(validators)) as answer:
                if answer.status_code not in _REDIRECTS:
                    return await self._read(answer)
                there = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(there).scheme != "https":
                raise FetchFailed("redirected from https to plain http", is_lasting=True)
            url = there
        raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")

    def _check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            where = parts.hostname or ""
        except ValueError:
            raise FetchFailed("no address", is_lasting=True) from None
        if parts.scheme not in ("https", "http") or where not in self._hosts:
            raise FetchFailed(f"led to {where[:100] or 'nowhere'}", is_lasting=True)

    async def _read(self, answer: httpx.Response) -> Answer:
        status = answer.status_code
        said = Validators(
            answer.headers.get("etag", "")[:200], answer.headers.get("last-modified", "")[:200]
        )
        if status == httpx.codes.NOT_MODIFIED:
            return Answer(None, said)
        if status != httpx.codes.OK:
            wait_s = _seconds(answer.headers.get("retry-after", ""))
            raise FetchFailed(f"HTTP {status}", is_lasting=status in _LASTING, wait_s=wait_s)
        pieces = [piece async for piece in self._unpacked(answer)]
        return Answer(b"".join(pieces), said)

    async def _unpacked(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise FetchFailed(f"content-encoding {encoding[:30]}", is_lasting=True)
        unpacker = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        size = 0
        async for raw in answer.aiter_raw():
            self.bytes_received += len(raw)
            for piece in _pieces(unpacker, raw):
                size += len(piece)
                if size > self._size_limit:
                    raise FetchFailed(f"larger than {self._size_limit} bytes", is_lasting=True)
                yield piece
        if unpacker is not None and not unpacker.eof:
            raise FetchFailed("the compressed answer ends in the middle")


@asynccontextmanager
async def opened(
    hosts: frozenset[str],
    *,
    agent: str,
    size_limit: int,
    deadline_s: float,
    proxy: str = "",
    tls_ca: str = "",
) -> AsyncIterator[Fetcher]:
    """A Fetcher for these hosts. TLS is verified, by the system's authorities or ``tls_ca``'s.

    Proxies and authorities come from the settings alone, never from the environment.
    """
    client = httpx.AsyncClient(
        headers={"User-Agent": agent, "Accept-Encoding": "gzip"},
        timeout=httpx.Timeout(deadline_s),
        limits=httpx.Limits(max_connections=2, max_keepalive_connections=2),
        follow_redirects=False,
        trust_env=False,
        proxy=proxy or None,
        verify=ssl.create_default_context(cafile=tls_ca or None),
    )
    async with client:
        yield Fetcher(client, hosts, size_limit=size_limit, deadline_s=deadline_s)


def _pieces(unpacker: zlib._Decompress | None, raw: bytes) -> Iterator[bytes]:
    """Raw bytes unpacked, each piece small, whatever they grow to."""
    if unpacker is None:
        yield raw
        return
    try:
        piece = unpacker.decompress(raw, _PIECE)
        while piece:
            yield piece
            piece = unpacker.decompress(unpacker.unconsumed_tail, _PIECE)
    except zlib.error as error:
        raise FetchFailed(f"cannot be unpacked: {error}") from None


def _headers(validators: Validators) -> dict[str, str]:
    said = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {key: value for key, value in said.items() if value}


def _seconds(text: str) -> float:
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0


def _in_a_line(error: Exception) -> str:
    text = str(error).partition("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
