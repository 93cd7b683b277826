"""Firmware as arrays: when each device wakes, whether it speaks, what goes wrong on the way.

One state machine for all kinds, vectorised over devices:

    wake every sense_s ─▶ calm ──(water, rain, sprung)──▶ active ─▶ report every active_s
                            ▲───────(dry again)────────────┘         calm: every calm_s
                          a change of state or of a contact is reported at once

Chance (loss, repetition, no coverage, death) is hashed from seed, device and time, so that it does
not depend on how the run is cut into steps. Refuses to know topics and payloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.kinds import KINDS
from devices.readings import Float64s, Indices, Int64s
from firmware_sim import noise
from firmware_sim.city import CityDevice
from firmware_sim.pace import Pace

Bools = NDArray[np.bool_]

LOSS = 0.006
"""Share of messages that never arrive."""
REPETITION = 0.004
"""Share of messages that a radio sends twice."""
_OUTAGE_SLOT_S = 300.0  # at compression 60 or more; natural slots are two hours
_NATURAL_SLOT_S = 7200.0
_OUTAGE_SHARE = 0.3
_OUTAGE_CHANCE = 0.12
_POOR_LINKS = ("里", "上甑", "鹿島", "下甑")

_DEATHS_S = {
    "flood-23": 1.8 * 3600, "flood-41": 2.6 * 3600, "river-17": 2.2 * 3600,
    "paddy-05": 1.2 * 3600, "trap-12": 2.0 * 3600, "meter-033": 3.0 * 3600,
}  # fmt: skip
"""Devices that die silently in the first storm: physical seconds after the world began."""
_REPAIRED_AFTER_S = 40 * 3600.0
_LOST_CLOCK = "barn-11"
"""A device whose clock battery is empty: it counts from 1970 since it was switched on."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is fixed for each device; arrays over the city.

    ``clock_error_ms`` at the start and ``drift_ppm`` after it; ``has_clock``/``is_numbered``:
    whether it sends ``t``/``n``; ``dies_s`` physical seconds (inf: never); ``link``: the device
    whose coverage it shares (itself or its gateway); ``is_poor``: that link breaks at times.
    """

    sense_ms: Float64s
    active_ms: Float64s
    calm_ms: Float64s
    is_batched: Bools
    has_clock: Bools
    is_numbered: Bools
    clock_error_ms: Float64s
    drift_ppm: Float64s
    dies_s: Float64s
    link: Indices
    is_poor: Bools


def traits_of(city: Sequence[CityDevice], seed: int, pace: Pace) -> Traits:
    """Draw the fixed traits of every device."""
    number = np.arange(len(city))
    index = {d.name: i for i, d in enumerate(city)}
    timings = [pace.timings[d.kind] for d in city]
    is_collar = np.array([d.kind == "collar" for d in city])
    is_urgent = np.array([KINDS[d.kind].lane == "urgent" for d in city])
    is_gateway = np.array([d.kind == "gateway" for d in city])
    is_cheap = np.array([d.kind == "flood-sensor" and "contact" in d.tags for d in city])
    no_battery_clock = is_cheap & (noise.uniform(seed, 801, number) < 0.4)
    is_island = np.array([d.area in _POOR_LINKS for d in city])
    return Traits(
        sense_ms=np.array([t.sense_s * 1000.0 for t in timings]),
        active_ms=np.array([t.active_s * 1000.0 for t in timings]),
        calm_ms=np.array([t.calm_s * 1000.0 for t in timings]),
        is_batched=np.array([t.is_batched for t in timings]),
        has_clock=~no_battery_clock,
        is_numbered=(is_urgent | (noise.uniform(seed, 802, number) < 0.7)) & ~no_battery_clock
        & ~is_gateway,
        clock_error_ms=np.clip(400.0 * noise.normal(seed, 803, number), -1500.0, 1500.0),
        drift_ppm=np.clip(12.0 * noise.normal(seed, 804, number), -30.0, 30.0),
        dies_s=np.array([_DEATHS_S.get(d.name, np.inf) for d in city]),
        link=np.array([index.get(d.gateway, i) for i, d in enumerate(city)], np.intp),
        is_poor=is_island | is_collar,
    )  # fmt: skip


class Clocks:
    """What devices believe the time is (ms UTC)."""

    def __init__(self, city: Sequence[CityDevice], traits: Traits, start_at: int) -> None:
        self._traits = traits
        self._start_at = start_at
        self._is_lost = np.array([d.name == _LOST_CLOCK for d in city])

    def read(self, device: Indices, at: Int64s) -> Int64s:
        """The device's own time at ``at``; set right each day, wandering in between."""
        since_ms = (at - self._start_at) % 86_400_000
        error = (
            self._traits.clock_error_ms[device] + since_ms * self._traits.drift_ppm[device] / 1e6
        )
        told = at + np.round(error).astype(np.int64)
        return np.where(self._is_lost[device], at - self._start_at, told)


class Coverage:
    """When a link (a device's own or its gateway's) has no way out, and until when."""

    def __init__(self, seed: int, pace: Pace, start_at: int) -> None:
        slot_s = _OUTAGE_SLOT_S if pace.compression >= 60 else _NATURAL_SLOT_S
        self._slot_ms = round(slot_s * 1000)
        self._seed = seed
        self._start_at = start_at

    def back_at(self, link: Indices, is_poor: Bools, at: Int64s) -> Int64s:
        """When the coverage returns that is missing at ``at``; 0 where there is coverage."""
        slot = (at - self._start_at) // self._slot_ms
        is_out = noise.uniform(self._seed, 811, link, slot) < _OUTAGE_CHANCE
        back_at = self._start_at + slot * self._slot_ms + round(self._slot_ms * _OUTAGE_SHARE)
        is_missing = is_poor & is_out & (slot > 0) & (at < back_at)
        return np.where(is_missing, back_at, 0)


def is_dead(traits: Traits, device: Indices, s: Float64s) -> Bools:
    """Silent for good, until somebody brings a new one (40 h of physical time later)."""
    dies = traits.dies_s[device]
    return (s >= dies) & (s < dies + _REPAIRED_AFTER_S)


def wants_attention(kind: str, values: dict[str, Float64s], rain_mm_h: Float64s) -> Bools:
    """Whether what is measured puts the firmware into its active state; NaN never does."""
    if kind == "flood-sensor":
        wet = np.fmax(values["flood.depth"], values["flood.detected"])
        return (wet > 0.02) | (rain_mm_h > 10.0)
    if kind == "river-gauge":
        return (values["water.level"] > 0.9) | (rain_mm_h > 10.0)
    if kind == "weather-station":
        return rain_mm_h > 1.0
    if kind == "trap":
        return values["trap.triggered"] > 0
    return np.zeros(len(rain_mm_h), np.bool_)
