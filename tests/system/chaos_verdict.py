"""After a campaign: what is kept against what the broker acknowledged, one finding a difference.

The oracle is plain and shares no code with the product: sets of what was published, and one pass
over the stored values for the steps of alarms. The system is stopped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import select

from alerts.tables import delivery, transition
from devices.readings import Quality
from ingest.tables import quarantine, sequence_gap
from tests.servers.satomori_system import RunningSystem
from tests.system.chaos_line import Message
from tests.system.chaos_load import FLEET

RULES = ("river-stage", "paddy-stage", "barn-stage")


@dataclass(slots=True)
class Told:
    """How often something was sent, and whether the broker acknowledged it at least once."""

    attempts: int = 0
    is_acknowledged: bool = False
    first_at: int = 1 << 62

    def add(self, message: Message) -> None:
        self.attempts += message.attempts
        self.is_acknowledged |= message.is_acknowledged
        self.first_at = min(self.first_at, message.first_at)


@dataclass(frozen=True, slots=True)
class Row:
    """A stored reading."""

    device: str
    at: int
    received_at: int
    value: float
    quality: int


def findings(system: RunningSystem, messages: list[Message]) -> list[str]:
    """Everything that is not as it must be; [] when all is well."""
    rows = list(_stored(system))
    return [
        *_few("readings", _reading_findings(rows, messages)),
        *_few("alarms", _alarm_findings(system, rows)),
        *_few("deliveries", _delivery_findings(system)),
        *_few("quarantine", _quarantine_findings(system, messages)),
        *_few("gaps", _gap_findings(system, rows, messages)),
    ]


def _few(what: str, found: Iterable[str], most: int = 8) -> list[str]:
    every = list(found)
    more = [f"{what}: {len(every)} findings in all"] if len(every) > most else []
    return [f"{what}: {text}" for text in islice(every, most)] + more


def _stored(system: RunningSystem) -> Iterator[Row]:
    registry = system.registry()
    with system.store() as store:
        for device in FLEET:
            key = registry.by_name[device.name].id, device.quantity
            if key not in registry.series:
                continue
            for batch in store.scan([registry.series[key]], 0, 1 << 62):
                columns = (batch.measured_at, batch.received_at, batch.value, batch.quality)
                for row in zip(*(column.tolist() for column in columns), strict=True):
                    yield Row(device.name, *row)


# -- readings ----------------------------------------------------------------------------------


def _reading_findings(rows: list[Row], messages: list[Message]) -> Iterator[str]:
    timed: dict[tuple[str, int, float], Told] = defaultdict(Told)
    bare: dict[tuple[str, float], Told] = defaultdict(Told)
    for message in messages:
        for device, _, at, value in message.readings:
            told = bare[device, value] if at is None else timed[device, at, value]
            told.add(message)
    is_bare = {device.name: device.habit == "bare" for device in FLEET}
    yield from _timed_findings([row for row in rows if not is_bare[row.device]], timed)
    yield from _bare_findings([row for row in rows if is_bare[row.device]], bare)


def _timed_findings(rows: list[Row], told: dict[tuple[str, int, float], Told]) -> Iterator[str]:
    """Stored once where acknowledged, at most once where not, with the device's own time."""
    stored = Counter((row.device, row.at, row.value) for row in rows)
    for key, said in told.items():
        if said.is_acknowledged and not stored[key]:
            yield f"lost: {key}, sent {said.attempts} times"
    for key, count in stored.items():
        if key not in told:
            yield f"foreign: {key}"
        elif count > 1:
            yield f"stored {count} times: {key}"
    yield from (f"quality {row.quality}: {row}" for row in rows if row.quality != Quality.GOOD)


def _bare_findings(rows: list[Row], told: dict[tuple[str, float], Told]) -> Iterator[str]:
    """Without a time each sending is a reading of its own, marked *clock*."""
    stored = Counter((row.device, row.value) for row in rows)
    for key, said in told.items():
        if said.is_acknowledged and not stored[key]:
            yield f"lost: {key} without t, sent {said.attempts} times"
        if stored[key] > said.attempts:
            yield f"stored {stored[key]} times, sent {said.attempts} times: {key}"
    for row in rows:
        said_of_row = told.get((row.device, row.value))
        if said_of_row is None:
            yield f"foreign: {row}"
        elif row.quality != Quality.CLOCK:
            yield f"quality {row.quality}: {row}"
        elif row.received_at < said_of_row.first_at - 1_000:
            yield f"received before it was sent: {row}"


# -- alarms ------------------------------------------------------------------------------------


def _alarm_findings(system: RunningSystem, rows: list[Row]) -> Iterator[str]:
    names = {device.id: device.name for device in system.registry().devices.values()}
    taken = _all(system, transition)
    steps = Counter(
        (names[t.device], t.measured_at, t.to_level)
        for t in taken
        if t.rule in RULES and t.withdrawn_at is None
    )
    expected = _expected_steps(rows)
    if len(expected) < 5:
        yield f"only {len(expected)} steps: the load must make rules fire"
    yield from (f"missing: {step} ×{n}" for step, n in (expected - steps).items())
    yield from (f"too many: {step} ×{n}" for step, n in (steps - expected).items())


def _expected_steps(rows: list[Row]) -> Counter[tuple[str, int, int]]:
    """(device, time, level) of each change between below and above the threshold."""
    steps: Counter[tuple[str, int, int]] = Counter()
    for device in FLEET:
        level = 0
        for row in sorted((r for r in rows if r.device == device.name), key=lambda r: r.at):
            now = 4 if row.value >= device.threshold else 0
            if now != level:
                steps[device.name, row.at, now] += 1
            level = now
    return steps


def _delivery_findings(system: RunningSystem) -> Iterator[str]:
    """Of our rules: what the installation says of itself meanwhile has its own recipients."""
    steps = {step.id: step for step in _all(system, transition) if step.rule in RULES}
    rows = [row for row in _all(system, delivery) if row.transition in steps]
    for row in rows:
        if row.state != "sent":
            yield f"{row.state}: {row}"
    repeated = Counter((row.transition, row.is_withdrawal, row.person, row.channel) for row in rows)
    yield from (f"drawn up {n} times: {key}" for key, n in repeated.items() if n > 1)
    told = {row.transition for row in rows}
    for step in steps.values():
        is_plain = not (step.is_historic or step.is_correction or step.withdrawn_at)
        if step.to_level > 0 and is_plain and step.id not in told:
            yield f"nobody was told: {step}"


# -- quarantine and gaps -----------------------------------------------------------------------


def _quarantine_findings(system: RunningSystem, messages: list[Message]) -> Iterator[str]:
    kept = Counter(bytes(row.payload) for row in _all(system, quarantine))
    bad = {message.payload: message for message in messages if message.is_bad}
    for payload, message in bad.items():
        if message.is_acknowledged and not kept[payload]:
            yield f"lost: {message.topic} {payload!r}"
        if kept[payload] > message.attempts:
            yield f"kept {kept[payload]} times, sent {message.attempts} times: {payload!r}"
    yield from (f"foreign: {payload!r}" for payload in kept if payload not in bad)


def _gap_findings(system: RunningSystem, rows: list[Row], messages: list[Message]) -> Iterator[str]:
    """Of each device that numbers, the numbers missing between those stored are open gaps."""
    names = {device.id: device.name for device in system.registry().devices.values()}
    shown: dict[str, set[int]] = defaultdict(set)
    for gap in _all(system, sequence_gap):
        if not gap.is_filled:
            shown[names[gap.device]] |= set(range(gap.first, gap.last + 1))
    stored = {(row.device, row.at) for row in rows}
    came: dict[str, set[int]] = defaultdict(set)
    for message in messages:
        for device, _, at, _ in message.readings:
            if message.number is not None and (device, at) in stored:
                came[device].add(message.number)
    for device, numbers in came.items():
        missing = set(range(min(numbers), max(numbers) + 1)) - numbers
        if missing != shown[device]:
            yield f"{device}: {sorted(missing)} never came, {sorted(shown[device])} is shown"


def _all(system: RunningSystem, table: Any) -> list[Any]:
    database = system.database()
    with database.connect() as connection:
        rows = list(connection.execute(select(table)).all())
    database.dispose()
    return rows
