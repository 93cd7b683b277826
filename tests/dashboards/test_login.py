"""Coming in: passwords, one-time links, sessions, and what an attacker meets."""

from __future__ import annotations

import http.cookies

import httpx
import pytest
from sqlalchemy import select, update

from alerts.tables import person
from dashboards import auth, people_admin
from dashboards.parts import COOKIE
from dashboards.tables import audit, login_token, password, session
from dashboards.throttle import LoginGuard, Throttle
from dashboards.tokens import token_hash
from devices.database import writing
from tests.dashboards.conftest import START, Clock, House

PASSWORD = "川内川は今日も静かです"


@pytest.fixture
def house_with_password(house: House) -> House:
    people_admin.set_password(house.database, house.people["hanako"], PASSWORD, now=START)
    return house


async def log_in(client: httpx.AsyncClient, name: str, given: str) -> httpx.Response:
    return await client.post("/api/login", json={"name": name, "password": given})


async def test_right_password_opens_a_session_and_logout_ends_it(
    house_with_password: House,
) -> None:
    async with house_with_password.client() as client:
        answer = await log_in(client, "hanako", PASSWORD)
        assert answer.status_code == 200
        me = {"name": "hanako", "role": "disaster", "display_name": "hanako", "language": "ja"}
        assert answer.json().items() >= me.items()
        assert (await client.get("/api/me")).json() == answer.json()
        token = client.cookies[COOKIE]
        assert (await client.post("/api/logout")).status_code == 204
        client.cookies.set(COOKIE, token)
        assert (await client.get("/api/me")).status_code == 401


async def test_cookie_is_http_only_and_same_site(house_with_password: House) -> None:
    async with house_with_password.client() as client:
        answer = await log_in(client, "hanako", PASSWORD)
    morsel = http.cookies.SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert morsel["httponly"]
    assert morsel["samesite"] == "lax"
    assert morsel["path"] == "/"


async def test_wrong_name_and_wrong_password_look_the_same(house_with_password: House) -> None:
    async with house_with_password.client() as client:
        wrong = await log_in(client, "hanako", "something else")
        nobody = await log_in(client, "nobody", "something else")
        without_password = await log_in(client, "taro", "something else")
    assert {a.status_code for a in (wrong, nobody, without_password)} == {401}
    assert wrong.content == nobody.content == without_password.content


async def test_sixth_wrong_try_has_to_wait(house_with_password: House, clock: Clock) -> None:
    """Five failures a minute for a name from an address, also with the right password then."""
    async with house_with_password.client() as client:
        for _ in range(5):
            assert (await log_in(client, "hanako", "wrong wrong")).status_code == 401
        refused = await log_in(client, "hanako", PASSWORD)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) <= 60
        clock.at += 61_000
        assert (await log_in(client, "hanako", PASSWORD)).status_code == 200


async def test_success_forgets_the_failures(house_with_password: House) -> None:
    async with house_with_password.client() as client:
        for _ in range(3):
            for _ in range(4):
                assert (await log_in(client, "hanako", "wrong wrong")).status_code == 401
            assert (await log_in(client, "hanako", PASSWORD)).status_code == 200


async def test_link_opens_one_session_once(house: House) -> None:
    token = auth.create_login_link(house.database, house.people["hanako"], START, 600)
    async with house.client() as client:
        answer = await client.get(f"/login/{token}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await client.get("/api/me")).json()["name"] == "hanako"
        client.cookies.clear()
        again = await client.get(f"/login/{token}")
        assert again.headers["location"] == "/?login=link_refused"
        assert "set-cookie" not in again.headers
        assert (await client.get("/api/me")).status_code == 401


async def test_looking_at_a_link_does_not_spend_it(house: House) -> None:
    """Mail scanners send HEAD before the person clicks."""
    token = auth.create_login_link(house.database, house.people["hanako"], START, 600)
    async with house.client() as client:
        await client.head(f"/login/{token}")
        assert (await client.get(f"/login/{token}")).headers["location"] == "/"


async def test_link_expires(house: House, clock: Clock) -> None:
    token = auth.create_login_link(house.database, house.people["hanako"], START, 600)
    clock.at += 600_000
    assert auth.use_login_link(house.database, token, clock()) is None


async def test_session_expires(house_with_password: House, clock: Clock) -> None:
    async with house_with_password.client() as client:
        await log_in(client, "hanako", PASSWORD)
        clock.at += auth.SESSION_TTL_MS - 1
        assert (await client.get("/api/me")).status_code == 200
        clock.at += 1
        assert (await client.get("/api/me")).status_code == 401


async def test_no_table_holds_a_token_or_password_itself(house_with_password: House) -> None:
    database = house_with_password.database
    link = auth.create_login_link(database, 1, START, 600)
    access = auth.create_access_token(database, 1, START, 600)
    with database.connect() as connection:
        kept = [
            str(row)
            for table in (session, login_token, password, audit)
            for row in connection.execute(select(table))
        ]
    assert any(token_hash(link) in row for row in kept)
    assert not any(secret in row for row in kept for secret in (link, access, PASSWORD))


async def test_person_who_left_is_out_at_once(house: House) -> None:
    async with house.client("hanako") as client:
        assert (await client.get("/api/me")).status_code == 200
        people_admin.deactivate(house.database, "hanako", now=START)
        assert (await client.get("/api/me")).status_code == 401
    link = auth.create_login_link(house.database, house.people["hanako"], START, 600)
    assert auth.use_login_link(house.database, link, START) is None


async def test_new_password_ends_open_sessions(house_with_password: House) -> None:
    async with house_with_password.client("hanako") as client:
        people_admin.set_password(
            house_with_password.database, house_with_password.people["hanako"], PASSWORD, now=START
        )
        assert (await client.get("/api/me")).status_code == 401


async def test_unknown_role_sees_what_the_public_sees(house: House) -> None:
    with writing(house.database) as connection:
        connection.execute(update(person).where(person.c.name == "hanako").values(role="mayor"))
    async with house.client("hanako") as client:
        names = {s["name"] for s in (await client.get("/api/stations")).json()["stations"]}
    assert names == {"gauge", "road", "rain"}


@pytest.mark.parametrize("path", ["/api/login", "/api/logout", "/api/alarms/x/acknowledge"])
async def test_change_without_the_header_is_taken_for_forged(house: House, path: str) -> None:
    async with house.client("hanako") as client:
        del client.headers["X-Satomori"]
        answer = await client.post(path, json={})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forged"


async def test_large_bodies_are_refused(house: House) -> None:
    async def endless():  # type: ignore[no-untyped-def]  # an async generator for httpx
        for _ in range(100):
            yield b"x" * 10_000

    async with house.client() as client:
        announced = await client.post("/api/login", content=b"x" * 70_000)
        assert announced.status_code == 413
        counted = await client.post("/api/login", content=endless())
        assert counted.status_code == 413


@pytest.mark.parametrize("weak", ["short", "aaaaaaaaaaaa", "password12", "x" * 201])
async def test_weak_passwords_are_refused(house: House, weak: str) -> None:
    with pytest.raises(ValueError, match="password"):
        people_admin.set_password(house.database, 1, weak, now=START)


async def test_who_came_in_is_on_record(house_with_password: House) -> None:
    async with house_with_password.client() as client:
        await log_in(client, "hanako", "wrong wrong")
        await log_in(client, "hanako", PASSWORD)
        await client.post("/api/logout")
    with house_with_password.database.connect() as connection:
        actions = connection.execute(select(audit.c.action).order_by(audit.c.id)).scalars().all()
    assert actions == ["person.password_set", "login.refused", "login.accepted", "logout"]


def test_throttle_forgets_rather_than_grows() -> None:
    throttle = Throttle(3, 1000, max_keys=100)
    for k in range(1000):
        throttle.tried(f"key {k}", 0)
    assert len(throttle._failures) == 100


async def test_few_passwords_are_hashed_at_a_time() -> None:
    """Beyond the places where hashing waits, one is told to come again: memory stays bounded."""
    guard = LoginGuard(max_waiting=1)
    async with guard.turn() as first, guard.turn() as second:
        assert (first, second) == (True, False)
