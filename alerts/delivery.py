"""Tells people: takes what is due from the outbox, sends it, notes what became of it.

At least once, and exactly once where the receiver recognises the key; after a crash what was being
sent is sent again. Refuses to know who is told (``alerts.routing``) and any protocol
(``alerts.channels``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from alerts.outbox import Claimed, Outbox
from alerts.texts import Message, Subject, message
from devices.failpoints import failpoint
from devices.registry import Device, RegistrySnapshot

log = structlog.get_logger()

IN_FLIGHT: Final = 16
"""Deliveries that one channel sends at a time; the others wait in the outbox."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What a channel sends. ``key`` is the same for each attempt at the same delivery."""

    key: str
    address: str
    message: Message
    about: Subject


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver has taken it."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """It was not taken; ``can_retry`` says whether trying again can help, and from when."""

    detail: str
    can_retry: bool
    retry_after_s: float = 0.0


Outcome = Sent | NotSent


class Channel(Protocol):
    """One way to reach people.

    ``send`` never raises for what the outside does: it says what became of it, within its own
    time limit.
    """

    @property
    def is_repeatable(self) -> bool:
        """Whether the receiver recognises a repetition by the key."""

    async def send(self, letter: Letter) -> Outcome:
        """Send one letter to one address."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays double from ``first_s`` to ``longest_s``, spread by half, until ``max_age_s``."""

    first_s: float = 1.0
    longest_s: float = 300.0
    max_age_s: float = 6 * 3600.0

    def delay_s(self, attempts: int, outcome: NotSent, spread: float) -> float:
        """Seconds until the next attempt after ``attempts``; ``spread`` is random in 0..1."""
        doubled = min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        return max(outcome.retry_after_s, doubled * (0.5 + spread))


class Courier:
    """Serves every channel at once, so that a slow one holds up no other."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        *,
        now: Callable[[], int],
        registry: Callable[[], RegistrySnapshot],
        public_url: str = "",
        policy: RetryPolicy | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._now = now
        self._registry = registry
        self._public_url = public_url
        self._policy = policy or RetryPolicy()
        self._spread = spread
        self._nudges = {name: asyncio.Event() for name in channels}

    def nudge(self) -> None:
        """Look at the outbox at once (call it in the event loop's thread)."""
        for event in self._nudges.values():
            event.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is being sent then is tried again after the next start."""
        repeatable = [name for name, channel in self._channels.items() if channel.is_repeatable]
        again = await asyncio.to_thread(
            self._outbox.recover, list(self._channels), repeatable, self._now()
        )
        if again:
            log.warning("alerts.delivery.resumed", deliveries=again)
        async with asyncio.TaskGroup() as tasks:
            for name in self._channels:
                tasks.create_task(self._serve(name), name=f"alerts.delivery.{name}")

    async def _serve(self, name: str) -> None:
        sending: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._nudges[name].clear()
                room = IN_FLIGHT - len(sending)
                claimed = await asyncio.to_thread(self._outbox.claim, name, self._now(), room)
                for one in claimed:
                    failpoint("delivery.sending")
                    task = tasks.create_task(self._deliver(name, one))
                    sending.add(task)
                    task.add_done_callback(sending.discard)
                    task.add_done_callback(lambda _: self._nudges[name].set())
                if not claimed or len(sending) >= IN_FLIGHT:
                    await self._wait(name, has_room=len(sending) < IN_FLIGHT)

    async def _wait(self, name: str, *, has_room: bool) -> None:
        """Until nudged, or the next retry is due."""
        due = await asyncio.to_thread(self._outbox.next_due_at, name) if has_room else None
        timeout = None if due is None else max(0.0, (due - self._now()) / 1000)
        try:
            async with asyncio.timeout(timeout):
                await self._nudges[name].wait()
        except TimeoutError:
            return

    async def _deliver(self, name: str, one: Claimed) -> None:
        outcome = await self._channels[name].send(self._letter(one))
        failpoint("delivery.sent")
        await asyncio.to_thread(self._note, one, outcome)
        failpoint("delivery.noted")

    def _letter(self, one: Claimed) -> Letter:
        registry = self._registry()
        series = one.transition.series
        definition = None if series is None else registry.definitions.get(series)
        device = registry.devices.get(one.transition.device)
        about = Subject(
            one.transition,
            device,
            definition.quantity if definition else None,
            _link(self._public_url, device),
            one.now_stage if one.delivery.is_withdrawal else None,
        )
        key = f"delivery-{one.delivery.id}-{one.transition.id}"
        text = message(about, "en" if one.language == "en" else "ja")
        return Letter(key, one.delivery.address, text, about)

    def _note(self, one: Claimed, outcome: Outcome) -> None:
        now = self._now()
        row = one.delivery
        if isinstance(outcome, Sent):
            self._outbox.note_sent(row.id, now)
            return
        attempts = row.attempts + 1
        at = now + round(1000 * self._policy.delay_s(attempts, outcome, self._spread()))
        is_over = at - row.created_at > self._policy.max_age_s * 1000
        if outcome.can_retry and not is_over:
            self._outbox.note_retry(row.id, outcome.detail, at)
            if attempts == 1:
                log.warning("alerts.delivery.delayed", delivery=row.id, reason=outcome.detail)
            return
        detail = f"given up after {attempts} attempts: {outcome.detail}"
        self._outbox.note_failed(row.id, detail if outcome.can_retry else outcome.detail)
        log.error("alerts.delivery.failed", delivery=row.id, reason=outcome.detail)


def _link(public_url: str, device: Device | None) -> str:
    """Where the place is shown on the map; nothing where we have no address of our own."""
    if not public_url or device is None:
        return public_url
    return f"{public_url.rstrip('/')}/#station={device.name}"
