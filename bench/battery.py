"""How far off the battery forecast is, on simulated lives: ``python -m bench.battery``.

For each kind of cell many lives of 1 to 6 years; at 20, 40, 60, 80 and 90 % of each life the
forecast is made from the days so far and compared with the day on which it truly ended.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from devices.health.battery import HORIZON_DAYS, Battery, Cell, forecast
from firmware_sim.discharge import CHEMISTRIES, Life, live

AT = (0.2, 0.4, 0.6, 0.8, 0.9)
CURVES = {"two alkaline": ("alkaline", 2.0), "LiMnO2": ("li-mno2", 1.0),
          "Li-ion": ("li-ion", 1.0), "LiSOCl2": ("li-socl2", 1.0)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """What is told of the battery: its model's curve or not, the temperature of the days or not."""

    name: str
    has_curve: bool
    has_temperature: bool


CASES = (
    Case("nothing known", False, False),
    Case("temperature known", False, True),
    Case("curve and temperature known", True, True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Of ``lives``: shares (0..1) by what was said, and the errors where a day was named.

    ``median_error``: |said - true| / true remaining; ``inside``: true end within the interval;
    ``too_late``: even the earliest day said was later than the true one (also of "lasts at least").
    """

    cell: str
    case: str
    at: float
    lives: int
    named: float
    lasting: float
    unsure: float
    median_error: float | None
    inside: float | None
    too_late: float


def rows(lives: int, seed: int = 1) -> Iterator[Row]:
    """All rows, by cell, case and share of life."""
    chance = np.random.default_rng(seed)
    for cell in CHEMISTRIES:
        known = [
            live(cell, float(chance.uniform(365, 2190)), seed * 10_000 + i,
                 first_day=20_000 + int(chance.integers(365)))
            for i in range(lives)
        ]  # fmt: skip
        for case in CASES:
            if case.has_curve and cell not in CURVES:
                continue
            for at in AT:
                yield _row(cell, case, at, known)


def _row(cell: str, case: Case, at: float, lives: list[Life]) -> Row:
    said = [(_said(cell, case, at, life), _left(life, at)) for life in lives]
    named = [(b, left) for b, left in said if b.state == "forecast" and b.days is not None]
    lasting = [left for b, left in said if b.state == "lasting"]
    errors = [abs((b.days or 0) - left) / left for b, left in named]
    inside = [
        (b.days_low or 0) <= left <= (b.days_high if b.days_high is not None else np.inf)
        for b, left in named
    ]
    too_late = sum((b.days_low or 0) > left for b, left in said)
    return Row(
        cell,
        case.name,
        at,
        len(lives),
        len(named) / len(lives),
        len(lasting) / len(lives),
        sum(b.state in ("unsure", "recharged", "none") for b, _ in said) / len(lives),
        float(np.median(errors)) if errors else None,
        float(np.mean(inside)) if inside else None,
        too_late / len(lives),
    )


def _today(life: Life, at: float) -> int:
    return int(life.day[0] + at * (life.end_day - life.day[0]))


def _left(life: Life, at: float) -> int:
    return life.end_day - _today(life, at)


def _said(cell: str, case: Case, at: float, life: Life) -> Battery:
    today = _today(life, at)
    chemistry = CHEMISTRIES[cell]
    known = life.day < today
    curve, in_series = CURVES[cell] if case.has_curve else ("straight", 1.0)
    return forecast(
        life.day[known],
        life.level[known],
        today=today,
        unit="%" if chemistry.unit == "%" else "V",
        cell=Cell(chemistry.end, curve, in_series),
        temperature=life.temperature[known] if case.has_temperature else None,
    )


def table(found: list[Row]) -> str:
    """The rows as Markdown."""
    head = (
        "| cell | told of it | at | named a day | lasts | cannot say | median error | inside | "
        "too late |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {r.cell} | {r.case} | {r.at:.0%} | {r.named:.0%} | {r.lasting:.0%} | {r.unsure:.0%} | "
        f"{_percent(r.median_error)} | {_percent(r.inside)} | {r.too_late:.0%} |\n"
        for r in found
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = list(rows(options.lives))
    if options.json:
        from dataclasses import asdict

        sys.stdout.write(json.dumps([asdict(row) for row in found]))
        return
    sys.stdout.write(f"lives of 1 to 6 years, {options.lives} a cell; horizon {HORIZON_DAYS} d\n\n")
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
