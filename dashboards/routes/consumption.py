"""What flowed through a water meter, by the hour, day or month of Japan.

Personal, as the readings it comes from: only who may see these may see it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from dashboards.errors import Refusal, not_found
from dashboards.japan_time import Step, borders
from dashboards.parts import Parts, WithParts, WithVisitor
from dashboards.permissions import View, may_see_quantity
from devices.consumption import Consumption, MeterUnit, Remarkable, consumption, units_during
from devices.kinds import KINDS
from devices.registry import Device

router = APIRouter(prefix="/api")

MARGIN_MS: Final = 7 * 86_400_000
"""How far beyond the span readings are asked for, to know what flowed at its ends."""

_DAY_MS: Final = 86_400_000
_LONGEST_DAYS: Final = {"hour": 62, "day": 1100, "month": 1100}
_MOST_READINGS: Final = 1_000_000
_SHORTEST_STEP_MS: Final = 1_800_000
_MAX_MS: Final = 253_370_764_800_000  # 9999-01-01
_DIGITS: Final = 6  # a millilitre: finer than any register

Milliseconds = Annotated[int, Query(ge=0, le=_MAX_MS)]
Word = Literal["estimated", "gap", "rollover", "swap", "reset", "reversed", "left_out"]
WaterTotal = Literal["water.total", "water.reverseTotal"]


class ConsumptionInterval(BaseModel):
    """One interval [from, to), ms UTC. ``value_m3`` is null where nothing is known.

    ``share_measured`` is the part of the time (0..1) that is covered by readings; ``remarks`` what
    is to be said of the value (docs/consumption.md). With ``gap`` the value is the known part.
    """

    model_config = ConfigDict(populate_by_name=True)

    start_at: int = Field(validation_alias="from", serialization_alias="from")
    end_at: int = Field(validation_alias="to", serialization_alias="to")
    value_m3: float | None
    remarks: list[Word]
    share_measured: float


class StationConsumption(BaseModel):
    """The intervals of a span, one after the other; the first and last may be cut short."""

    station: str
    quantity: WaterTotal
    step: Step
    intervals: list[ConsumptionInterval]


@router.get("/stations/{name}/consumption")
def station_consumption(
    *,
    name: str,
    start_at: Annotated[Milliseconds, Query(alias="from")],
    end_at: Annotated[Milliseconds, Query(alias="to")],
    step: Step = "day",
    quantity: WaterTotal = "water.total",
    visitor: WithVisitor,
    parts: WithParts,
) -> StationConsumption:
    """What flowed through the meter; ``quantity`` water.reverseTotal gives what flowed back.

    ``from`` and ``to`` are ms UTC, intervals end at the hours, days or months of Japan (UTC+9). At
    most 62 days by the hour, 1,100 days by the day or month.
    """
    device, series = _meter(parts, visitor.view, name, quantity)
    _check_span(device, start_at, end_at, step)
    found = _consumption(parts, device, series, borders(start_at, end_at, step), quantity)
    return StationConsumption(
        station=device.name, quantity=quantity, step=step, intervals=_intervals(found)
    )


def _meter(parts: Parts, view: View, name: str, quantity: str) -> tuple[Device, int]:
    """The meter and its series, if they exist for this view."""
    registry = parts.live.board.registry
    device = registry.by_name.get(name) if registry else None
    if registry is None or device is None or device.id not in parts.live.board.seen(view):
        raise not_found("station")
    series = registry.series.get((device.id, quantity))
    if series is None or not may_see_quantity(view, device, quantity):
        raise not_found("meter")
    return device, series


def _check_span(device: Device, start_at: int, end_at: int, step: Step) -> None:
    if end_at <= start_at:
        raise Refusal(422, "invalid", "must be after from", path="query.to")
    days = _LONGEST_DAYS[step]
    if end_at - start_at > days * _DAY_MS:
        message = f"at most {days} days by the {step}; ask for a shorter span"
        raise Refusal(422, "too_long", message, path="query.to")
    readings = (end_at - start_at) // (device.interval_s * 1000)
    if readings > _MOST_READINGS:
        message = f"about {readings} readings, at most {_MOST_READINGS}; ask for a shorter span"
        raise Refusal(422, "too_long", message, path="query.to")


def _consumption(
    parts: Parts, device: Device, series: int, wanted: np.ndarray, quantity: str
) -> Consumption:
    first, last = int(wanted[0]) - MARGIN_MS, int(wanted[-1]) + MARGIN_MS
    samples = parts.readings.range(series, first, last)
    units = [
        MeterUnit(
            unit.installed_at,
            unit.removed_at,
            unit.rollover_at,
            unit.initial_reading if quantity == "water.total" else None,
            unit.final_reading if quantity == "water.total" else None,
        )
        for unit in parts.registry.units(device.id)
    ]
    kind = KINDS.get(device.kind)
    return consumption(
        samples.measured_at,
        samples.value,
        samples.quality,
        units_during(units, first, last),
        wanted,
        quantity=quantity,
        usual_register=(kind.rollover_at if kind else None) or 1e5,
        longest_step_ms=max(2000 * device.interval_s, _SHORTEST_STEP_MS),
    )


def _intervals(found: Consumption) -> list[ConsumptionInterval]:
    columns = (found.start_at, found.end_at, found.value, found.remarks, found.share_measured)
    return [
        ConsumptionInterval(
            start_at=start_at,
            end_at=end_at,
            value_m3=round(value, _DIGITS) if value == value else None,  # noqa: PLR0124 - not NaN
            remarks=_WORDS[remarks],
            share_measured=round(share, 4),
        )
        for start_at, end_at, value, remarks, share in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


_WORDS_BY_BIT: Final[dict[Remarkable, Word]] = {
    Remarkable.ESTIMATED: "estimated",
    Remarkable.GAP: "gap",
    Remarkable.ROLLOVER: "rollover",
    Remarkable.SWAP: "swap",
    Remarkable.RESET: "reset",
    Remarkable.REVERSED: "reversed",
    Remarkable.LEFT_OUT: "left_out",
}
_WORDS: Final = [[word for bit, word in _WORDS_BY_BIT.items() if bits & bit] for bits in range(128)]
"""What is said of an interval, by its bits."""
