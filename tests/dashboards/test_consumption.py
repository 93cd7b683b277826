"""Consumption by the hour, day and month of Japan, for those who may see the meter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.japan_time import JAPAN, Step, borders
from devices.units import UnitDraft
from tests.dashboards.conftest import House
from tests.dashboards.test_api import SEEN, wait_for

HOUR = 3_600_000
DAY = 24 * HOUR
MIDNIGHT = round(datetime(2026, 4, 1, tzinfo=JAPAN).timestamp() * 1000)


def hourly(first: int, *values: float) -> tuple[tuple[int, float], ...]:
    return tuple((first + k * HOUR, value) for k, value in enumerate(values))


async def consumed(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    name = query.pop("name", "meter")
    return await client.get(f"/api/stations/{name}/consumption", params=query)


async def stored(client: httpx.AsyncClient, house: House, quantity: str, newest: int) -> None:
    """Wait until live and store know the newest reading."""
    series = house.series("meter", quantity)
    path = f"/api/series/{series}?start_at={newest}&end_at={newest + 1}"
    await wait_for(client, path, lambda c: c.get("value"))


async def test_a_day_is_a_day_of_japan(house: House) -> None:
    """Half a cubic metre before midnight and one after it: two days."""
    rows = hourly(MIDNIGHT - 2 * HOUR, 10.0, 10.5, 10.5, 11.0, 11.5)
    house.journal(house.readings("meter", "water.total", *rows))
    async with house.client("taro") as client:
        await stored(client, house, "water.total", rows[-1][0])
        query = {"from": MIDNIGHT - DAY, "to": MIDNIGHT + 2 * HOUR}
        answer = (await consumed(client, **query)).json()
        assert (answer["station"], answer["quantity"], answer["step"]) == (
            "meter", "water.total", "day",
        )  # fmt: skip
        assert answer["intervals"] == [
            {"from": MIDNIGHT - DAY, "to": MIDNIGHT, "value_m3": 0.5, "remarks": ["gap"],
             "share_measured": round(2 / 24, 4)},
            {"from": MIDNIGHT, "to": MIDNIGHT + 2 * HOUR, "value_m3": 1.0, "remarks": [],
             "share_measured": 1.0},
        ]  # fmt: skip
        hours = (await consumed(client, **query | {"step": "hour"})).json()["intervals"]
        assert [i["value_m3"] for i in hours] == [None] * 22 + [0.5, 0.0, 0.5, 0.5]
        months = (await consumed(client, **query | {"step": "month"})).json()["intervals"]
        assert [i["value_m3"] for i in months] == [0.5, 1.0]


async def test_a_meter_that_was_replaced_is_counted_through(house: House) -> None:
    rows = (*hourly(MIDNIGHT, 812.0, 812.5), *hourly(MIDNIGHT + 3 * HOUR, 0.4, 0.5))
    house.journal(house.readings("meter", "water.total", *rows))
    house.registry.install_unit(
        house.device("meter"), UnitDraft("S2", initial_reading=0.1), MIDNIGHT + 2 * HOUR,
        final_reading=812.9,
    )  # fmt: skip
    async with house.client("taro") as client:
        await stored(client, house, "water.total", rows[-1][0])
        query = {"from": MIDNIGHT, "to": MIDNIGHT + 4 * HOUR}
        (one,) = (await consumed(client, **query)).json()["intervals"]
        assert one == {**query, "value_m3": 1.3, "remarks": ["swap"], "share_measured": 1.0}


async def test_what_flowed_back_is_asked_for_apart(house: House) -> None:
    rows = hourly(MIDNIGHT, 0.0, 0.25)
    house.journal(house.readings("meter", "water.reverseTotal", *rows))
    async with house.client("taro") as client:
        await stored(client, house, "water.reverseTotal", rows[-1][0])
        query = {"from": MIDNIGHT, "to": MIDNIGHT + HOUR}
        (forward,) = (await consumed(client, **query)).json()["intervals"]
        assert (forward["value_m3"], forward["remarks"]) == (None, ["gap"])
        back = await consumed(client, **query, quantity="water.reverseTotal")
        assert [i["value_m3"] for i in back.json()["intervals"]] == [0.25]


async def test_consumption_is_as_personal_as_the_meter(house: House) -> None:
    """Waterworks, administrators and the owner; for all others there is no such meter."""
    async with house.client() as client:
        query = {"from": MIDNIGHT, "to": MIDNIGHT + HOUR}
        assert (await consumed(client, **query)).status_code == 401
        for person, seen in SEEN.items():
            headers = house.headers(person)
            for name, may_see in (
                ("meter", "meter" in seen),
                ("zone", "zone" in seen and person != "hanako"),
                ("gauge", False),
                ("nowhere", False),
            ):
                path = f"/api/stations/{name}/consumption"
                answer = await client.get(path, params=query, headers=headers)
                assert answer.status_code == (200 if may_see else 404), (person, name)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": 5, "to": 5}, "after from"),
        ({"from": 0, "to": 63 * DAY, "step": "hour"}, "at most 62 days by the hour"),
        ({"from": 0, "to": 1101 * DAY, "step": "day"}, "at most 1100 days by the day"),
        ({"from": 0, "to": 1101 * DAY, "step": "month"}, "at most 1100 days by the month"),
        ({"from": 0, "to": 1, "step": "week"}, "'hour', 'day' or 'month'"),
        ({"from": 0, "to": 1, "quantity": "battery.voltage"}, "water.total"),
        ({"from": -1, "to": 1}, "greater than or equal to 0"),
        ({"from": 0, "to": 10**30}, "less than"),
        ({"from": 0}, "required"),
        ({"from": "yesterday", "to": 1}, "integer"),
    ],
)
async def test_a_span_that_cannot_be_is_refused_with_a_sentence(
    house: House, query: dict[str, Any], words: str
) -> None:
    async with house.client("taro") as client:
        answer = await consumed(client, **query)
        assert answer.status_code == 422
        assert words in answer.json()["error"]["message"]


async def test_the_longest_spans_are_answered(house: House) -> None:
    async with house.client("taro") as client:
        for step, days, count in (("hour", 62, 1488), ("day", 1100, 1100)):
            query = {"from": MIDNIGHT, "to": MIDNIGHT + days * DAY, "step": step}
            answer = await consumed(client, **query)
            assert len(answer.json()["intervals"]) == count


@given(
    st.integers(0, 4_000_000_000_000),
    st.integers(1, 1000 * DAY),
    st.sampled_from(["day", "month"]),
)
def test_borders_are_midnights_of_japan(start_at: int, lasts_ms: int, step: Step) -> None:
    """Every midnight (of a first of the month) of the span is a border, and nothing else is."""
    found = borders(start_at, start_at + lasts_ms, step)
    assert (found[0], found[-1]) == (start_at, start_at + lasts_ms)
    assert (np.diff(found) > 0).all()
    for at in found[1:-1].tolist():
        moment = datetime.fromtimestamp(at / 1000, JAPAN)
        assert (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
        assert step == "day" or moment.day == 1
    assert np.diff(found).max() <= (DAY if step == "day" else 31 * DAY)


async def test_the_description_of_the_api_names_the_fields_as_they_are_sent(house: House) -> None:
    async with house.client("admin") as client:
        schemas = (await client.get("/api/openapi.json")).json()["components"]["schemas"]
        sent = {"from", "to", "value_m3", "remarks", "share_measured"}
        assert set(schemas["ConsumptionInterval"]["properties"]) == sent
