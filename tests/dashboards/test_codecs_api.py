"""Administrators enable codecs and confirm how they are read; every change is written down."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from dashboards.tables import audit
from devices.codecs.library import Library
from satomori.codecs_import import import_codecs
from tests.dashboards.conftest import START, House

CODECS = Path(__file__).parents[1] / "codecs"
NAME = {"name": "mizu/pulse"}


async def take_in(house: House) -> None:
    for folder in ("ttn", "chirpstack"):
        await import_codecs(house.database, CODECS / folder, "", START, lambda _done, _name: None)


async def test_codecs_are_listed_and_shown(house: House) -> None:
    """With models, failures, what they said, and how that is read."""
    await take_in(house)
    async with house.client("admin") as client:
        listed = (await client.get("/api/codecs")).json()["codecs"]
        shown = (await client.get("/api/codecs/codec", params={"name": "mizu/level-codec"})).json()
        wrong = (await client.get("/api/codecs/codec", params={"name": "mizu/wrong-codec"})).json()
    enabled = {one["name"]: one["is_enabled"] for one in listed}
    assert enabled["mizu/level-codec"]
    assert not enabled["mizu/wrong-codec"]
    assert shown["models"] == ["WL-100 Water Level"]
    assert shown["mapping"] == ["normalizeUplink"]
    assert shown["unmapped"] == ["water.level"]
    assert wrong["failures"][0]["problem"] == "output.data.b is missing"


async def test_a_guess_is_sent_back_to_be_confirmed(house: House) -> None:
    """Until then nothing holds."""
    await take_in(house)
    library = Library(house.database)
    async with house.client("admin") as client:
        guess = (await client.get("/api/codecs/codec/guess", params=NAME)).json()
        assert all(entry["reason"] for entry in guess["entries"])
        found = library.codec("mizu/pulse")
        assert found is not None
        assert not found.is_mapped
        sent = {"mapping": guess["mapping"]}
        answer = await client.put("/api/codecs/codec/mapping", params=NAME, json=sent)
    assert answer.status_code == 200
    assert answer.json()["is_mapped"]
    assert answer.json()["mapped_by"] == "admin"
    found = library.codec("mizu/pulse")
    assert found is not None
    assert found.is_mapped


async def test_a_codec_is_disabled_and_enabled(house: House) -> None:
    """And the audit log says by whom."""
    await take_in(house)
    async with house.client("admin") as client:
        for is_enabled in (False, True):
            body = {"is_enabled": is_enabled}
            answer = await client.put("/api/codecs/codec/enabled", params=NAME, json=body)
            assert answer.json()["is_enabled"] is is_enabled
            assert answer.json()["decided_by"] == "admin"
    with house.database.connect() as connection:
        actions = connection.scalars(
            select(audit.c.action).where(
                audit.c.person == house.people["admin"], audit.c.subject == "mizu/pulse"
            )
        ).all()
    assert {"codec.disabled", "codec.enabled"} <= set(actions)


async def test_what_cannot_be_is_refused_with_its_reason(house: House) -> None:
    """A mapping to no quantity, a codec that is not there, a kind that is none."""
    await take_in(house)
    async with house.client("admin") as client:
        bad = await client.put(
            "/api/codecs/codec/mapping", params=NAME, json={"mapping": ["a=water.deep"]}
        )
        nowhere = await client.get("/api/codecs/codec", params={"name": "no/such"})
        no_kind = await client.get("/api/codecs/codec/guess", params={**NAME, "kind": "boat"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "bad_mapping")
    assert "water.deep" in bad.json()["error"]["message"]
    assert nowhere.status_code == 404
    assert no_kind.status_code == 422


async def test_codecs_are_suggested_for_a_model(house: House) -> None:
    """For the waiting list."""
    await take_in(house)
    said = {"brand": "mizu", "model": "wl-100"}
    async with house.client("admin") as client:
        answer = await client.get("/api/codecs/suggestions", params=said)
    assert answer.json() == {"codecs": ["mizu/level-codec"]}


async def test_codecs_are_an_administrators_matter(house: House) -> None:
    """What decodes decides what everybody sees."""
    await take_in(house)
    async with house.client("hanako") as client:
        assert (await client.get("/api/codecs")).status_code == 403
        body = {"is_enabled": True}
        answer = await client.put("/api/codecs/codec/enabled", params=NAME, json=body)
        assert answer.status_code == 403
    async with house.client() as client:
        assert (await client.get("/api/codecs")).status_code == 401
