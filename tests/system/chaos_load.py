"""The load of a chaos campaign: a fleet that publishes all the time, and the record of it.

Every message is kept with what it says, how often it was sent, and whether the broker acknowledged
it. Refuses to know what is done to the system meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.system.chaos_line import Line, Message, Reading
from tests.system.rule_text import danger_rules

THRESHOLD: Final = 2.0
WINDOW: Final = 60
GATEWAY: Final = "gw-1"
LATE_MS: Final = 8_000
"""Far fewer readings than alerts keep of a series to run it again."""

RULES: Final = danger_rules(
    [
        ("river-stage", "river-gauge", "water.level", THRESHOLD),
        ("paddy-stage", "paddy-node", "paddy.depth", THRESHOLD / 10),
        ("barn-stage", "barn-node", "air.temperature", THRESHOLD * 5),
    ]
)


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the fleet. ``habit`` is how it speaks: numbered, bare, late or carried."""

    name: str
    kind: str
    habit: str

    @property
    def quantity(self) -> str:
        """What it measures."""
        by_kind = {"river-gauge": "water.level", "paddy-node": "paddy.depth"}
        return by_kind.get(self.kind, "air.temperature")

    @property
    def threshold(self) -> float:
        """Where its rule's stage begins."""
        by_kind = {"river-gauge": THRESHOLD, "paddy-node": THRESHOLD / 10}
        return by_kind.get(self.kind, THRESHOLD * 5)


def _fleet() -> Iterator[Device]:
    for number in range(6):
        yield Device(f"gauge-{number}", "river-gauge", "numbered")
        yield Device(f"paddy-{number}", "paddy-node", "numbered")
    for number in range(2):
        yield Device(f"bare-gauge-{number}", "river-gauge", "bare")
        yield Device(f"bare-paddy-{number}", "paddy-node", "bare")
        yield Device(f"carried-gauge-{number}", "river-gauge", "carried")
        yield Device(f"carried-paddy-{number}", "paddy-node", "carried")
        yield Device(f"late-{number}", "barn-node", "late")


FLEET: Final = tuple(_fleet())


def registration() -> str:
    """The fleet as a CSV text for the registry."""
    rows = ["name,kind,label,site,area,interval_s,gateway", f"{GATEWAY},gateway,g,s,a,86400,"]
    for device in FLEET:
        carrier = GATEWAY if device.habit == "carried" else ""
        rows.append(f"{device.name},{device.kind},{device.name},site,area,86400,{carrier}")
    return "\n".join(rows) + "\n"


def now_ms() -> int:
    """Wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


class Speaker:
    """What one device has to say, message by message."""

    def __init__(self, device: Device, seed: int) -> None:
        self.device = device
        self._chance = random.Random(f"{seed}-{device.name}")
        self._number = 0
        self._last_at = 0
        self._told: dict[int, float] = {}  # of a late device: what it said of which moment
        speak: dict[str, Callable[[], Message]] = {
            "numbered": self._numbered,
            "carried": self._numbered,
            "bare": self._bare,
            "late": self._late,
        }
        self.speak = speak[device.habit]

    def _value(self) -> float:
        """Crosses the threshold every 8 messages; no two values of a device are the same."""
        self._number += 1
        return self._level((self._number // 8) % 2)

    def _level(self, is_high: int) -> float:
        level = 1.2 + is_high + self._chance.uniform(0, 0.4)
        scale = {"river-gauge": 1.0, "paddy-node": 0.1}.get(self.device.kind, 5.0)
        return round(round(level * scale, 2) + self._number * 1e-8, 8)

    def _time(self) -> int:
        self._last_at = max(now_ms(), self._last_at + 1)
        return self._last_at

    def _numbered(self) -> Message:
        value, at = self._value(), self._time()
        body: dict[str, object] = {"t": at, "n": self._number, "v": {self.device.quantity: value}}
        if self.device.habit == "carried":
            body["d"] = self.device.name
        return self._message(body, ((at, value),), self._number)

    def _bare(self) -> Message:
        value = self._value()
        return self._message({"v": {self.device.quantity: value}}, ((None, value),))

    def _late(self) -> Message:
        """Some readings of the last seconds out of order, now and then one told again. The curve
        crosses its threshold every 3 s, whenever that is told."""
        said = {}
        for _ in range(self._chance.randint(1, 4)):
            at = now_ms() - self._chance.randrange(LATE_MS)
            self._number += 1
            said[at] = self._told.setdefault(at, self._level(at // 3_000 % 2))
        self._told = {at: v for at, v in self._told.items() if at > now_ms() - LATE_MS}
        if self._told and self._chance.random() < 0.2:
            at = self._chance.choice(list(self._told))
            said[at] = self._told[at]
        body = [{"t": at, "v": {self.device.quantity: value}} for at, value in said.items()]
        return self._message(body, tuple(said.items()))

    def _message(
        self, body: object, said: tuple[tuple[int | None, float], ...], number: int | None = None
    ) -> Message:
        device = self.device
        topic = f"field/v1/{device.kind}/{device.name}/up"
        if device.habit == "carried":
            lane = "urgent" if device.kind == "river-gauge" else "routine"
            topic = f"field/v1/gateway/{GATEWAY}/up/{lane}"
        readings: tuple[Reading, ...] = tuple(
            (device.name, device.quantity, at, value) for at, value in said
        )
        return Message(topic, json.dumps(body).encode(), readings, number)


_BAD: Final = (
    ("field/v1/river-gauge/gauge-0/up", "no JSON {mark}"),
    ("field/v1/river-gauge/nobody/up", '{{"v": {{"water.level": 1}}, "x": "{mark}"}}'),
    ("field/v1/paddy-node/gauge-1/up", '{{"v": {{"paddy.depth": 1}}, "x": "{mark}"}}'),
    ("field/v1/paddy-node/paddy-0/up", '{{"v": {{}}, "x": "{mark}"}}'),
    ("field/v1/volcano/etna/up", '{{"v": {{"water.level": 1}}, "x": "{mark}"}}'),
    (f"field/v1/gateway/{GATEWAY}/up/urgent",
     '{{"d": "gauge-2", "v": {{"water.level": 1}}, "x": "{mark}"}}'),
)  # fmt: skip

STRAY: Final = 4  # of the above, the one that comes by a connection of its own


def bad_message(number: int) -> Message:
    """One of several messages that must be refused; its payload is like no other."""
    topic, text = _BAD[number % len(_BAD)]
    return Message(topic, text.format(mark=f"bad-{number}").encode(), is_bad=True)


class Load:
    """Publishes from a thread of its own until ``stop``; ``messages`` is the record."""

    def __init__(self, login: tuple[str, int, str, str], seed: int, *, rate_per_s: float) -> None:
        self.messages: list[Message] = []
        self.last: list[Message] = []
        self._rate_per_s = rate_per_s
        self._chance = random.Random(f"{seed}-load")
        self._lines = [
            Line(login, f"chaos-{seed}-{k}", patience_s=self._chance.uniform(4, 16))
            for k in range(4)
        ]
        self._speakers = [Speaker(device, seed) for device in FLEET]
        self._bad = 0
        self._is_stopping = threading.Event()
        self._to_forget = threading.Event()
        self._deadline_s = 0.0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def lose_power(self) -> None:
        """One connection's devices forget what is not acknowledged."""
        self._to_forget.set()

    def stop(self, deadline_s: float = 120.0) -> None:
        """Publish no more and wait until the broker has acknowledged everything."""
        self._deadline_s = deadline_s
        self._is_stopping.set()
        self._thread.join()
        unanswered = sum(line.waiting for line in self._lines)
        assert unanswered == 0, f"{unanswered} messages without an answer of the broker"

    @property
    def acknowledged(self) -> int:
        """How many messages the broker has taken upon itself."""
        return sum(message.is_acknowledged for message in self.messages)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            lines = [tasks.create_task(line.run(), name="line") for line in self._lines]
            while not self._is_stopping.is_set():
                self._publish_round()
                if self._to_forget.is_set():
                    self._to_forget.clear()
                    self._chance.choice(self._lines).forget()
                await asyncio.sleep(len(FLEET) / self._rate_per_s)
            await self._drain()
            self._publish_last()
            await self._drain()
            for line in lines:
                line.cancel()

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._deadline_s):
                while any(line.waiting for line in self._lines):
                    await asyncio.sleep(0.05)

    def _publish_round(self) -> None:
        """Most devices say something, each over its own connection; now and then one talks bad."""
        for k, speaker in enumerate(self._speakers):
            line = self._lines[k % len(self._lines)]
            if line.waiting < WINDOW and self._chance.random() < 0.8:
                self._publish(line, speaker.speak())
        line = self._lines[self._bad % len(self._lines)]
        if line.waiting < WINDOW and self._chance.random() < 0.1:
            self._publish(line, bad_message(self._bad))
            self._bad += 1

    def _publish_last(self) -> None:
        """One message of each way through intake: when they are there, everything is."""
        for speaker in self._speakers[:2]:  # one of each lane
            self._publish(self._lines[0], speaker.speak())
        self._publish(self._lines[0], bad_message(STRAY + len(_BAD) * self._bad))
        self.last = self.messages[-3:]

    def _publish(self, line: Line, message: Message) -> None:
        self.messages.append(message)
        line.publish(message)
