"""All devices of a city over time: which message leaves when. Deterministic, no clock, no network.

``step`` may be called with any step size; the publications are the same. What waits to leave is a
heap by time (``outgoing``); when devices wake is an array, so that those due are measured together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.kinds import KINDS
from devices.readings import Indices, Int64s
from firmware_sim import encode, noise
from firmware_sim.city import CityDevice
from firmware_sim.encode import Publication
from firmware_sim.firmware import Clocks, Coverage, is_dead, traits_of, wants_attention
from firmware_sim.forcing import Forcing
from firmware_sim.outgoing import Outgoing
from firmware_sim.pace import DEMO, Pace
from firmware_sim.signals import DROWNS_M, Signals, Values

_WINDOW_MS = 30_000  # devices due within one window are measured together
_FIRMWARE = ("1.4.2", "1.5.0", "2.0.3")
_SWITCHED_OFF = np.iinfo(np.int64).max
_NEVER = -(2**60)


@dataclass(slots=True)
class _Memory:
    """What one device remembers: how often it started, how far it has numbered."""

    boot: int
    sequence: int = 0
    has_said_hello: bool = False
    was_dead: bool = False

    def start_anew(self) -> None:
        self.boot, self.sequence, self.has_said_hello = self.boot + 1, 0, False


class Fleet:
    """Devices from ``start_at`` (ms UTC) on.

    ``pace`` must be the one the city was made with; ``calm`` keeps the weather dry; ``flawless``
    leaves out loss, repetition, gaps of coverage and deaths; ``only`` switches on these devices
    alone.
    """

    def __init__(
        self,
        city: Sequence[CityDevice],
        *,
        seed: int,
        start_at: int,
        pace: Pace = DEMO,
        calm: bool = False,
        flawless: bool = False,
        only: Sequence[str] | None = None,
    ) -> None:
        self._city = tuple(city)
        self._seed = seed
        self._is_flawless = flawless
        self._signals = Signals(city, seed=seed, pace=pace, epoch_at=start_at, calm=calm)
        self._traits = traits_of(city, seed, pace)
        self._clocks = Clocks(city, self._traits, start_at)
        self._coverage = Coverage(seed, pace, start_at)
        self._forcing = Forcing({d.name: i for i, d in enumerate(city)})
        self._outgoing = Outgoing(self._city, seed=seed, is_flawless=flawless)
        self._is_kind = {k: np.array([d.kind == k for d in city], np.bool_) for k in KINDS}
        self._wake_at = self._first_wakes(start_at, pace, only)
        self._reported_at = np.full(len(city), _NEVER, np.int64)
        self._is_active = np.zeros(len(city), np.bool_)
        boot = start_at // 1000 % 10_000_000  # a later run of the same city is a later start
        self._memories = [_Memory(boot) for _ in city]
        self._collected: dict[int, list[str]] = {}
        self._now_at = start_at

    def force(self, device: str, quantity: str, value: float, ramp_s: float = 0.0) -> None:
        """From now on the device measures ``value`` (reached linearly in ``ramp_s`` seconds).

        It speaks at once, then at its active interval, and nothing it sends is lost. KeyError
        names a device or quantity that does not exist.
        """
        number = self._forcing.force(device, quantity, value, self._now_at, ramp_s)
        self._wake_at[number] = min(self._wake_at[number], self._now_at + 1)
        self._reported_at[number] = _NEVER

    def release(self, device: str) -> None:
        """Let the device measure nature again."""
        self._forcing.release(device)

    def step(self, until_at: int) -> list[Publication]:
        """What leaves after the last step up to ``until_at`` (inclusive), ordered by time."""
        while self._now_at < until_at:
            edge = min(until_at, self._now_at + _WINDOW_MS)
            while len(due := np.flatnonzero(self._wake_at <= edge)):
                self._wake(due)
            self._now_at = edge
        return self._outgoing.take(until_at)

    def _first_wakes(self, start_at: int, pace: Pace, only: Sequence[str] | None) -> Int64s:
        spread_ms = np.minimum(self._traits.calm_ms, pace.first_report_s * 1000.0)
        draw = noise.uniform(self._seed, 821, np.arange(len(self._city)))
        wake_at = start_at + 1 + np.round(draw * spread_ms).astype(np.int64)
        if only is not None:
            chosen = set(only)
            wake_at[[d.name not in chosen for d in self._city]] = _SWITCHED_OFF
        return wake_at

    def _wake(self, due: Indices) -> None:
        for kind, is_kind in self._is_kind.items():
            device = due[is_kind[due]]
            if len(device):
                self._wake_kind(kind, device)

    def _wake_kind(self, kind: str, device: Indices) -> None:
        """Measure, decide, report, set the next alarm clock; all devices of one kind."""
        at = self._wake_at[device]
        self._wake_at[device] = at + self._sleep_ms(device, at)
        values = self._signals.measure(kind, device, at)
        self._forcing.watch(device, values)
        is_forced = self._forcing.apply(device, at, values)
        is_due = self._decide(kind, device, at, values, is_forced)
        is_silent = self._is_silent(kind, device, at) & ~is_forced
        rows = np.flatnonzero((is_due | self._traits.is_batched[device]) & ~is_silent)
        if len(rows):
            chosen = {name: column[rows] for name, column in values.items()}
            self._report(device[rows], at[rows], chosen, is_due[rows], is_forced[rows])

    def _sleep_ms(self, device: Indices, at: Int64s) -> Int64s:
        """Until the next waking; the first time any part of it, so that the fleet spreads out."""
        draw = noise.uniform(self._seed, 822, device, at)
        is_first = self._reported_at[device] == _NEVER
        share = np.where(is_first, 0.05 + 0.95 * draw, 0.99 + 0.02 * draw)
        return np.round(self._traits.sense_ms[device] * share).astype(np.int64)

    def _decide(
        self, kind: str, device: Indices, at: Int64s, values: Values, is_forced: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Whether each device reports now: its state has changed or its interval is over."""
        rain = self._signals.rain_mm_h(device, at)
        is_active = wants_attention(kind, values, rain) | is_forced
        has_changed = is_active != self._is_active[device]
        self._is_active[device] = is_active
        traits = self._traits
        interval_ms = np.where(is_active, traits.active_ms[device], traits.calm_ms[device])
        waited_ms = at - self._reported_at[device]
        is_due = has_changed | (waited_ms >= interval_ms - 0.5 * traits.sense_ms[device])
        self._reported_at[device[is_due]] = at[is_due]
        return np.asarray(is_due, np.bool_)

    def _is_silent(self, kind: str, device: Indices, at: Int64s) -> NDArray[np.bool_]:
        """Dead, or with its aerial under water. Who comes back from the dead starts anew."""
        if self._is_flawless:
            return np.zeros(len(device), np.bool_)
        dead = is_dead(self._traits, device, self._signals.physical_s(at))
        for i, is_dead_now in zip(device.tolist(), dead.tolist(), strict=True):
            memory = self._memories[i]
            if memory.was_dead and not is_dead_now:
                memory.start_anew()
            memory.was_dead = is_dead_now
        if kind == "flood-sensor":
            dead = dead | (self._signals.depth_over_contact_m(device, at) > DROWNS_M)
        return np.asarray(dead, np.bool_)

    def _report(
        self,
        device: Indices,
        at: Int64s,
        values: Values,
        is_due: NDArray[np.bool_],
        is_forced: NDArray[np.bool_],
    ) -> None:
        told_at = self._clocks.read(device, at).tolist()
        back_at = self._back_at(device, at, is_forced).tolist()
        delays_ms = self._outgoing.delays_ms(device, at, is_forced)
        columns = [(name, column.tolist()) for name, column in values.items()]
        for row, (i, now_at) in enumerate(zip(device.tolist(), at.tolist(), strict=True)):
            elements = [*self._collected.pop(i, ()), self._element(i, told_at[row], columns, row)]
            if not is_due[row]:
                self._collected[i] = elements
            elif back_at[row]:
                self._outgoing.hold(i, now_at, elements, back_at[row])
            else:
                self._say_hello(i, now_at)
                self._outgoing.send(i, now_at, elements, delays_ms[row])

    def _back_at(self, device: Indices, at: Int64s, is_forced: NDArray[np.bool_]) -> Int64s:
        if self._is_flawless:
            return np.zeros(len(device), np.int64)
        link = self._traits.link[device]
        is_poor = self._traits.is_poor[device] & ~is_forced
        return self._coverage.back_at(link, is_poor, at)

    def _element(
        self, number: int, told_at: int, columns: list[tuple[str, list[float]]], row: int
    ) -> str:
        device, memory = self._city[number], self._memories[number]
        is_numbered = bool(self._traits.is_numbered[number])
        memory.sequence += is_numbered
        values = [
            (name, encode.number(column[row]))
            for name, column in columns
            if column[row] == column[row]  # NaN: not measured
        ]
        return encode.element(
            values,
            measured_at=told_at if self._traits.has_clock[number] else None,
            sequence=memory.sequence if is_numbered else None,
            boot=memory.boot if is_numbered else None,
            device=device.name if device.gateway else None,
        )

    def _say_hello(self, number: int, at: int) -> None:
        device, memory = self._city[number], self._memories[number]
        if memory.has_said_hello or device.gateway:
            return
        memory.has_said_hello = True
        payload = encode.status(
            boot=memory.boot, firmware=_FIRMWARE[number % 3], interval_s=device.interval_s
        )
        topic = encode.status_topic(device.kind, device.name)
        self._outgoing.post(number, Publication(at, topic, payload))
