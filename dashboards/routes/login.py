"""Coming in and leaving: password, one-time link, logout, who am I."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from dashboards import auth
from dashboards.auth import SESSION_TTL_MS, Visitor
from dashboards.errors import Refusal
from dashboards.parts import COOKIE, Parts, WithParts, WithVisitor

router = APIRouter()

RoleName = Literal["admin", "disaster", "waterworks", "agriculture", "owner", "public"]
_LINK_REFUSED: Final = "/?login=link_refused"


class Login(BaseModel):
    """Name and password of a person."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=1000)]


class Me(BaseModel):
    """The person who is logged in."""

    id: int
    name: str
    display_name: str
    role: RoleName
    language: str


@router.post("/api/login", responses={401: {}, 429: {}})
async def log_in(login: Login, request: Request, response: Response, parts: WithParts) -> Me:
    """Open a session; 401 for a wrong name and a wrong password alike, 429 after too many."""
    address = request.client.host if request.client else ""
    wait_ms = parts.login_guard.wait_ms(login.name, address, parts.now())
    if wait_ms:
        raise _too_many(wait_ms)
    parts.login_guard.tried(login.name, address, parts.now())
    async with parts.login_guard.turn() as has_turn:
        if not has_turn:
            raise _too_many(1000)
        opened = await run_in_threadpool(
            auth.log_in, parts.database, login.name, login.password, parts.now()
        )
    if opened is None:
        raise Refusal(401, "login_refused", "name or password is wrong")
    parts.login_guard.succeeded(login.name, address)
    _set_cookie(response, opened[0], parts)
    return _me(opened[1])


@router.get("/login/{token}", status_code=303, response_class=RedirectResponse)
def use_link(token: str, parts: WithParts) -> RedirectResponse:
    """Open a session by a one-time link, and go to the page; a spent link leads to the login."""
    opened = auth.use_login_link(parts.database, token, parts.now()) if len(token) <= 200 else None
    response = RedirectResponse("/" if opened else _LINK_REFUSED, status_code=303)
    response.headers["Cache-Control"] = "no-store"
    if opened:
        _set_cookie(response, opened[0], parts)
    return response


@router.post("/api/logout", status_code=204)
def log_out(visitor: WithVisitor, response: Response, parts: WithParts) -> None:
    """End the session and every event stream that it holds open."""
    auth.log_out(parts.database, visitor, parts.now())
    parts.run_soon(parts.live.hub.end_session, visitor.session)
    response.delete_cookie(COOKIE, path="/")


@router.get("/api/me")
def who_am_i(visitor: WithVisitor) -> Me:
    """The person of this session."""
    return _me(visitor)


def _me(visitor: Visitor) -> Me:
    return Me(
        id=visitor.id,
        name=visitor.name,
        display_name=visitor.display_name,
        role=visitor.view.role.value,
        language=visitor.language,
    )


def _set_cookie(response: Response, token: str, parts: Parts) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_TTL_MS // 1000,
        path="/",
        httponly=True,
        secure=parts.secure_cookies,
        samesite="lax",
    )


def _too_many(wait_ms: int) -> Refusal:
    wait_s = -(-wait_ms // 1000)
    return Refusal(
        429, "too_many_attempts", f"try again in {wait_s} s", headers={"Retry-After": str(wait_s)}
    )
