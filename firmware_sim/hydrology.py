"""Rain becomes rivers, flooded roads, wet paddies: linear reservoirs stepped on a fixed grid.

A pure function of (weather, places, physical time), computed in blocks of steps that are kept for
a while; asking for an older time than is kept computes it again from the beginning, with the same
result. Time before the beginning is the state at the beginning.

Rivers: each gauge is a node. Rain on its slopes passes two linear reservoirs (a Nash cascade,
n = 2) into the channel, a third one that also takes what flows out of the channels above:

    slope₁ → slope₂ → channel → next channel downstream → …
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import numpy as np

from devices.readings import Float64s, Indices
from firmware_sim import noise
from firmware_sim.geography import ENTRY_AT, ENTRY_KM2, RIVERS, Point, along, length_km
from firmware_sim.storm import Float64Grid, Weather

STEP_S = 30.0
_BLOCK = 64
_KEPT_BLOCKS = 96
_RUNOFF = 0.65  # share of the rain that reaches the river, wet-season soil
_SLOPE_S = 840.0  # time constant of each slope reservoir
_CELERITY_M_S = 2.2  # of a flood wave in these channels
_DESIGN_MM_H = 52.0  # rain on a small catchment that just fills its channel, sustained
_EXPONENT = 0.6  # depth ~ flow^0.6 in a wide channel (Manning)


@dataclass(frozen=True, slots=True)
class Node:
    """A river gauge: where it stands, what drains to it and where its water goes next.

    ``km2`` own slopes; ``above_km2`` all the area upstream, own included; ``reach_s`` time
    constant of its channel; ``downstream`` node number or None.
    """

    river: str
    river_en: str
    place: str
    place_en: str
    at: Point
    rain_at: Point
    km2: float
    above_km2: float
    bankfull_m: float
    reach_s: float
    downstream: int | None


@cache
def nodes() -> tuple[Node, ...]:
    """The 40 gauges, upper before lower, tributaries before the main river."""
    first: dict[str, int] = {}
    count = 0
    for river in RIVERS:
        first[river.name] = count
        count += len(river.gauges)
    return tuple(_with_areas([n for river in RIVERS for n in _nodes_of(river.name, first)]))


def _nodes_of(name: str, first: dict[str, int]) -> list[Node]:
    river = next(r for r in RIVERS if r.name == name)
    count = len(river.gauges)
    made = []
    for i, (place, place_en) in enumerate(river.gauges):
        at = along(river.line, (i + 0.6) / count)
        is_entry = river.joins is None and i == 0
        last = i == count - 1
        made.append(
            Node(
                river.name, river.name_en, place, place_en, at, ENTRY_AT if is_entry else at,
                ENTRY_KM2 if is_entry else river.hill_km2, 0.0, river.bankfull_m,
                length_km(river.line) / count * 1000.0 / _CELERITY_M_S * (3.0 if is_entry else 1.0),
                (_confluence(river.joins, river.line[-1], first) if last else first[name] + i + 1),
            )
        )  # fmt: skip
    return made


def _confluence(joins: str | None, mouth: Point, first: dict[str, int]) -> int | None:
    """The first node of the receiving river that lies below the mouth."""
    if joins is None:
        return None
    river = next(r for r in RIVERS if r.name == joins)
    count = len(river.gauges)
    shares = [k / 400 for k in range(401)]
    distances = [sum((a - b) ** 2 for a, b in zip(along(river.line, s), mouth, strict=True))
                 for s in shares]  # fmt: skip
    share = shares[distances.index(min(distances))]
    below = [i for i in range(count) if (i + 0.6) / count >= share]
    return first[joins] + (below[0] if below else count - 1)


def _with_areas(made: list[Node]) -> list[Node]:
    above = [node.km2 for node in made]
    for i in range(len(made)):  # tributaries come first, so one pass suffices
        j = made[i].downstream
        if j is not None:
            above[j] += above[i]
    return [
        Node(n.river, n.river_en, n.place, n.place_en, n.at, n.rain_at, n.km2, area,
             n.bankfull_m, n.reach_s, n.downstream)
        for n, area in zip(made, above, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ponds:
    """Places where rain gathers, arrays of one length: roads that flood, paddies that fill.

    ``gain``: how many times the rain on it runs together there; ``drain_mm_h``: what pumps and
    drains take of the rain; ``cap_m``: where it spills over; ``rest_m``/``rest_s``: the depth it
    goes back to (sluice and irrigation) and the time constant of that.
    """

    longitude: Float64s
    latitude: Float64s
    gain: Float64s
    drain_mm_h: Float64s
    cap_m: Float64s
    rest_m: Float64s
    rest_s: Float64s


class Hydrology:
    """Columns over time: river depth (40), pond depth, rain fallen at ``rain_at`` (mm)."""

    def __init__(self, weather: Weather, ponds: Ponds, rain_at: tuple[Float64s, Float64s]) -> None:
        self._weather = weather
        self._ponds = ponds
        self._nodes = nodes()
        n, p = len(self._nodes), len(ponds.gain)
        self.rivers = np.arange(n)
        self.ponds = np.arange(n, n + p)
        self.rainfall = np.arange(n + p, n + p + len(rain_at[0]))
        self._longitude = np.concatenate(
            [np.array([m.rain_at[0] for m in self._nodes]), ponds.longitude, rain_at[0]]
        )
        self._latitude = np.concatenate(
            [np.array([m.rain_at[1] for m in self._nodes]), ponds.latitude, rain_at[1]]
        )
        self._matrix, self._leave = _routing(self._nodes)
        self._into = np.array([m.km2 for m in self._nodes]) * _RUNOFF / 3.6 * STEP_S
        self._bankfull_m = np.array([m.bankfull_m for m in self._nodes])
        self._bankfull_m3_s = np.array([_bankfull_m3_s(m) for m in self._nodes])
        self._reset()

    def at(self, column: Indices, s: Float64s) -> Float64s:
        """Value of ``column[i]`` at physical second ``s[i]``, linear between grid points."""
        position = np.maximum(s, 0.0) / STEP_S
        step = np.floor(position).astype(np.int64)
        fraction = position - step
        block = step // _BLOCK
        out = np.empty(len(s))
        for number in np.unique(block):
            rows = np.flatnonzero(block == number)
            grid = self._block(int(number))
            row = step[rows] - number * _BLOCK
            low = grid[row, column[rows]]
            out[rows] = low + (grid[row + 1, column[rows]] - low) * fraction[rows]
        return out

    def _reset(self) -> None:
        self._next = 0
        self._kept: OrderedDict[int, Float64Grid] = OrderedDict()
        self._channel = np.zeros(3 * len(self._nodes))
        self._pond = self._ponds.rest_m.copy()
        self._fallen = np.zeros(len(self.rainfall))

    def _block(self, number: int) -> Float64Grid:
        if number < self._next and number not in self._kept:
            self._reset()
        while number >= self._next:
            self._kept[self._next] = self._compute(self._next)
            self._next += 1
            if len(self._kept) > _KEPT_BLOCKS:
                self._kept.popitem(last=False)
        return self._kept[number]

    def _compute(self, number: int) -> Float64Grid:
        """Rows of all columns at the block's grid points and the first one after it."""
        s = (number * _BLOCK + np.arange(_BLOCK) + 0.5)[:, None].astype(np.float64) * STEP_S
        rain = self._weather.rain_mm_h(self._longitude, self._latitude, s)
        grid = np.empty((_BLOCK + 1, len(self._longitude)))
        self._route(rain[:, self.rivers], grid[:, self.rivers[0] : self.rivers[-1] + 1])
        self._fill(rain[:, self.ponds], grid[:, self.ponds[0] : self.ponds[-1] + 1])
        columns = grid[:, self.rainfall[0] : self.rainfall[-1] + 1]
        columns[0] = self._fallen
        columns[1:] = self._fallen + np.cumsum(rain[:, self.rainfall], axis=0) * (STEP_S / 3600)
        self._fallen = columns[-1].copy()
        return grid

    def _route(self, rain: Float64Grid, out: Float64Grid) -> None:
        n = len(self._nodes)
        inflow = rain * self._into
        state = self._channel
        out[0] = state[2 * n :]
        for i in range(_BLOCK):
            state = self._matrix @ state
            state[:n] += inflow[i]
            out[i + 1] = state[2 * n :]
        self._channel = state
        share = np.maximum(out * self._leave, 0.0) / self._bankfull_m3_s
        out[:] = self._bankfull_m * share**_EXPONENT

    def _fill(self, rain: Float64Grid, out: Float64Grid) -> None:
        ponds = self._ponds
        change = ponds.gain * (rain - ponds.drain_mm_h) * (STEP_S / 3.6e6)
        pull = STEP_S / ponds.rest_s
        depth = self._pond
        out[0] = depth
        for i in range(_BLOCK):
            depth = np.clip(depth + change[i] + (ponds.rest_m - depth) * pull, 0.0, ponds.cap_m)
            out[i + 1] = depth
        self._pond = depth


def _routing(made: tuple[Node, ...]) -> tuple[Float64Grid, Float64s]:
    """The matrix that steps stored volumes (m3); the share that leaves a channel a second."""
    n = len(made)
    slope = np.array([_SLOPE_S * (6.0 if m.km2 >= ENTRY_KM2 else 1.0) for m in made])
    reach = np.array([m.reach_s for m in made])
    rates = np.zeros((3 * n, 3 * n))
    i = np.arange(n)
    rates[i, i] = -1 / slope
    rates[n + i, i] = 1 / slope
    rates[n + i, n + i] = -1 / slope
    rates[2 * n + i, n + i] = 1 / slope
    rates[2 * n + i, 2 * n + i] = -1 / reach
    for k, node in enumerate(made):
        if node.downstream is not None:
            rates[2 * n + node.downstream, 2 * n + k] = 1 / reach[k]
    return np.eye(3 * n) + rates * STEP_S, 1 / reach


def _bankfull_m3_s(node: Node) -> float:
    """Flow that fills the channel; larger catchments never get the design rain everywhere.

    Channels differ: some are built for nearly twice what others take.
    """
    areal = min(1.0, float((node.above_km2 / 12.0) ** -0.16))
    spread = 0.9 + 0.9 * float(noise.uniform(7, 211, round(node.at[0] * 1e4))[0])
    return node.above_km2 * _DESIGN_MM_H * areal * spread * _RUNOFF / 3.6
