"""How web is served: whose address a caller has for the limits on logins."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from satomori import patience
from satomori.ports import free_port
from satomori.processes import server_options
from satomori.settings import Settings, SettingsError, load_settings


@asynccontextmanager
async def _serving(*proxies: str) -> AsyncIterator[httpx.AsyncClient]:
    """A server with our options that answers with the caller's address."""
    app = FastAPI()

    @app.get("/")
    async def address(request: Request) -> str:
        return request.client.host if request.client else ""

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.5)
        return "done"

    web = {"port": free_port(0), "trusted_proxies": proxies}
    settings = Settings.model_validate({"web": web})
    server = uvicorn.Server(server_options(settings, app))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]  # pytest's own
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web['port']}") as client:
        yield client
    server.should_exit = True
    await task


async def _seen(client: httpx.AsyncClient, forwarded_for: str) -> str:
    answer = await client.get("/", headers={"X-Forwarded-For": forwarded_for})
    return str(answer.json())


async def test_nobody_is_believed_about_an_address_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even this machine, whatever the environment says: or guessing would have no limit."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    async with _serving() as client:
        assert await _seen(client, "203.0.113.9") == "127.0.0.1"


async def test_a_trusted_proxy_says_who_the_caller_is() -> None:
    """The last address that is not a proxy's: what a caller puts before it is not believed."""
    async with _serving("127.0.0.1", "10.0.0.0/8") as client:
        assert await _seen(client, "203.0.113.9") == "203.0.113.9"
        assert await _seen(client, "198.51.100.1, 203.0.113.9, 10.1.2.3") == "203.0.113.9"


async def test_another_proxy_is_not_believed() -> None:
    async with _serving("192.0.2.7") as client:
        assert await _seen(client, "203.0.113.9") == "127.0.0.1"


@pytest.mark.parametrize("proxy", ["*", "proxy.example.jp", "10.0.0.0/33", ""])
def test_a_proxy_is_an_address_or_a_network(tmp_path: Path, proxy: str) -> None:
    """A name may change whom it means, and ``*`` is everybody."""
    file = tmp_path / "satomori.toml"
    file.write_text(f'[web]\ntrusted_proxies = ["{proxy}"]\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"web\.trusted_proxies"):
        load_settings(file, {})


def test_proxies_in_the_environment_stand_between_commas() -> None:
    settings = load_settings(None, {"SATOMORI__WEB__TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"})
    assert settings.web.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")


async def _ended_after(port: int, *parts: bytes) -> bool:
    """Whether the server hangs up on a caller who sends only this, within the deadlines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            while await reader.read(1000):
                pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
    return True


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"GET / HT",),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: 1\r\n"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"123"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT"),
    ],
)
async def test_a_caller_who_never_ends_a_request_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]
) -> None:
    """Nothing, half a head, half a body, half a second request: the connection ends."""
    monkeypatch.setattr(patience, "HEAD_S", 0.3)
    monkeypatch.setattr(patience, "BODY_S", 0.3)
    async with _serving() as client:
        assert await _ended_after(client.base_url.port or 0, *parts)
        assert (await client.get("/")).status_code == 200


async def test_more_connections_than_there_may_be_are_closed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that stand go on."""
    monkeypatch.setattr(patience, "connections_at_once", lambda: 1)
    async with _serving() as client:
        assert (await client.get("/")).status_code == 200  # and keeps its connection
        assert await _ended_after(client.base_url.port or 0)
        assert (await client.get("/")).status_code == 200


async def test_an_answer_that_takes_its_time_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deadlines are for what the caller owes, not for what we owe (event streams last for days)."""
    monkeypatch.setattr(patience, "HEAD_S", 0.1)
    monkeypatch.setattr(patience, "BODY_S", 0.1)
    async with _serving() as client:
        assert (await client.get("/slow")).json() == "done"
