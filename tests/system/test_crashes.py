"""kill -9 anywhere: every acknowledged reading is stored once, no alarm is lost or repeated."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import select

from alerts.tables import delivery, transition
from devices.failpoints import FAILPOINTS
from firmware_sim.publisher import Broker, Publisher, Receipt
from ingest.tables import sequence_gap
from tests.servers.influx import StartInflux
from tests.servers.satomori_system import RunningSystem, wait_until
from tests.system.rule_text import danger_rules

DEVICES = 20
THRESHOLD = 2.0

RULES = danger_rules(
    [
        ("river-stage", "river-gauge", "water.level", THRESHOLD),
        ("paddy-stage", "paddy-node", "paddy.depth", THRESHOLD / 10),
    ]
)

Reading = tuple[str, int, float]  # device, measured_at, value

STEPS = [name for name in FAILPOINTS if not name.startswith("translator.")]
"""Those of a system without a network server; the others: `ingest/test_translator_crashes.py`."""


class Load:
    """Publishes numbered readings of DEVICES devices; remembers what the broker acknowledged.

    One in eight, the one that crosses the threshold, is held back and sent rounds later.
    """

    def __init__(self, login: tuple[str, int, str, str], seed: int) -> None:
        self._publisher = Publisher(
            Broker(*login), client_id=f"load-{seed}", window=200, on_receipt=self._on_receipt
        )
        self._sent: list[Reading] = []
        self._receipts: list[Receipt] = []
        self._numbers: Counter[str] = Counter()
        self._published: Counter[str] = Counter()
        self._values = {name: random.Random(f"{seed}-{name}") for name, _ in fleet()}
        self._last_at: dict[str, int] = {}
        self._held: list[tuple[str, Reading]] = []  # kind, reading
        self.late = 0
        self.skipped: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._publisher.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._publisher.close()

    @property
    def acknowledged(self) -> set[Reading]:
        """What the broker has taken upon itself."""
        return {self._sent[r.number] for r in self._receipts if r.is_acknowledged}

    def publish_round(self, skip: str = "") -> None:
        """One reading of each device; the number of device ``skip`` jumps by one."""
        for name, kind in fleet():
            self._numbers[name] += 1
            if name == skip:
                self._published[name] += 1
                self.skipped[name] = self._published[name]
            is_gauge = kind == "river-gauge"
            is_high = (self._numbers[name] // 8 + len(self._values) * is_gauge) % 2
            level = self._values[name].uniform(1.0, 1.9) + is_high  # crosses every 8 readings
            value = round(level / (1 if is_gauge else 10), 4)
            measured_at = max(time.time_ns() // 1_000_000, self._last_at.get(name, 0) + 1)
            self._last_at[name] = measured_at
            reading = (name, measured_at, value)
            if self._numbers[name] % 8 == 0:  # the one that crosses
                self._held.append((kind, reading))
            else:
                self._publish(kind, reading)
        if len(self._held) > DEVICES:
            self._send_held()

    def _publish(self, kind: str, reading: Reading) -> None:
        name, measured_at, value = reading
        self._published[name] += 1
        quantity = "water.level" if kind == "river-gauge" else "paddy.depth"
        message = {"t": measured_at, "n": self._published[name], "v": {quantity: value}}
        self._sent.append(reading)
        self._publisher.publish(f"field/v1/{kind}/{name}/up", json.dumps(message).encode())

    def _send_held(self) -> None:
        """The newest first, as a gateway would that was cut off."""
        held, self._held = self._held, []
        self.late += len(held)
        for kind, reading in reversed(held):
            self._publish(kind, reading)

    def wait_acknowledged(self) -> None:
        """Until the broker has acknowledged everything, and somebody had subscribed to it."""
        self._send_held()
        self._publisher.drain(30)
        assert self._publisher.unheard == 0, "published while nobody had subscribed"

    def _on_receipt(self, receipt: Receipt) -> None:
        self._receipts.append(receipt)


def fleet() -> list[tuple[str, str]]:
    """(name, kind) of all devices: half of them in each lane."""
    kinds = ("river-gauge", "paddy-node")
    return [(f"crash-{number:02d}", kinds[number % 2]) for number in range(DEVICES)]


def _prepare(folder: Path, sections: dict[str, dict[str, object]]) -> RunningSystem:
    rules = folder / "rules.toml"
    rules.write_text(RULES, encoding="utf-8")
    system = RunningSystem(folder, sections={"alerts": {"rules_file": str(rules)}, **sections})
    rows = "".join(f"{name},{kind},{name},site,area,86400\n" for name, kind in fleet())
    system.register("name,kind,label,site,area,interval_s\n" + rows)
    return system


def _stored(system: RunningSystem) -> Counter[Reading]:
    registry = system.registry()
    rows: Counter[Reading] = Counter()
    with system.store() as store:
        for name, kind in fleet():
            quantity = "water.level" if kind == "river-gauge" else "paddy.depth"
            series = registry.series[registry.by_name[name].id, quantity]
            for batch in store.scan([series], 0, 1 << 62):
                rows.update(
                    (name, at, value)
                    for at, value in zip(
                        batch.measured_at.tolist(), batch.value.tolist(), strict=True
                    )
                )
    return rows


def _expected_steps(readings: set[Reading]) -> Counter[tuple[str, int, int]]:
    """The oracle: (device, time, level) of each change between below and above the threshold."""
    kinds = dict(fleet())
    steps: Counter[tuple[str, int, int]] = Counter()
    for name, kind in kinds.items():
        threshold = THRESHOLD if kind == "river-gauge" else THRESHOLD / 10
        level = 0
        for _, at, value in sorted(r for r in readings if r[0] == name):
            now = 4 if value >= threshold else 0
            if now != level:
                steps[name, at, now] += 1
            level = now
    return steps


def _steps(system: RunningSystem) -> Counter[tuple[str, int, int]]:
    names = {device.id: device.name for device in system.registry().devices.values()}
    database = system.database()
    with database.connect() as connection:
        rows = connection.execute(
            select(transition.c.device, transition.c.measured_at, transition.c.to_level).where(
                transition.c.withdrawn_at.is_(None)
            )
        ).all()
    database.dispose()
    return Counter((names[device], at, level) for device, at, level in rows)


def _assert_nothing_lost(system: RunningSystem, load: Load) -> None:
    """The invariant of every test here; the system is stopped."""
    stored = _stored(system)
    missing = load.acknowledged - set(stored)
    assert not missing, f"{len(missing)} of {len(load.acknowledged)} acknowledged readings are lost"
    repeated = {reading: n for reading, n in stored.items() if n > 1}
    assert not repeated, f"stored more than once: {dict(list(repeated.items())[:5])}"
    assert set(stored) == load.acknowledged, "a reading that nobody sent"
    assert load.late > 10, "the load must be out of order"
    steps = _steps(system)
    expected = _expected_steps(set(stored))
    assert len(expected) > 10, "the load must make rules fire"
    assert steps == expected, f"missing {expected - steps}, too many {steps - expected}"
    _assert_gaps_are_shown(system, load)
    _assert_everybody_was_told(system)


def _assert_gaps_are_shown(system: RunningSystem, load: Load) -> None:
    names = {device.id: device.name for device in system.registry().devices.values()}
    database = system.database()
    with database.connect() as connection:
        rows = connection.execute(
            select(sequence_gap.c.device, sequence_gap.c.first, sequence_gap.c.last).where(
                ~sequence_gap.c.is_filled
            )
        ).all()
    database.dispose()
    shown = {names[device]: (first, last) for device, first, last in rows}
    assert shown == {name: (number, number) for name, number in load.skipped.items()}


def _assert_everybody_was_told(system: RunningSystem) -> None:
    database = system.database()
    with database.connect() as connection:
        states = Counter(connection.scalars(select(delivery.c.state)))
        twice = connection.execute(
            select(
                delivery.c.transition,
                delivery.c.is_withdrawal,
                delivery.c.person,
                delivery.c.channel,
            )
        ).all()
    database.dispose()
    assert set(states) == {"sent"}, states
    assert len(twice) == len(set(twice))


@pytest.fixture(params=["duckdb", "influxdb"])
def sections(
    request: pytest.FixtureRequest, start_influx: StartInflux
) -> dict[str, dict[str, object]]:
    """Settings of the store under test; InfluxDB is a real server of this test's own."""
    if request.param == "duckdb":
        return {"store": {"kind": "duckdb", "flush_s": 0.3}}
    server = start_influx("1.8")
    return {
        "store": {"kind": "influxdb", "flush_s": 0.3},
        "store.influxdb": {"url": f"http://127.0.0.1:{server.port}"},
    }


def _add_listener(system: RunningSystem) -> None:
    from alerts.people import add_person

    database = system.database()
    add_person(database, "disaster", role="disaster")
    database.dispose()


def test_a_death_at_any_step_loses_and_repeats_nothing(
    sections: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    """While readings come in, the process that does a step dies there, for each step in turn."""
    system = _prepare(tmp_path, sections)
    _add_listener(system)
    armed = tmp_path / "failpoint"
    try:
        system.start({"SATOMORI_FAILPOINT": f"@{armed}"})
        with Load(system.broker_login(), seed=1) as load:
            for number, name in enumerate(STEPS):
                _publish_rounds(load, 3)
                before = _deaths(system)
                armed.write_text(name, encoding="utf-8")
                _publish_until(load, lambda: not armed.exists(), f"death at {name}")
                wait_until(lambda b=before: _deaths(system) == b + 1, f"{name} noticed")  # type: ignore[misc]
                load.publish_round(skip="crash-03" if number == 5 else "")
            load.wait_acknowledged()
        system.wait_ready()
        system.wait_for_readers()
        _wait_all_told(system)
        assert system.stop() == 0
        assert _deaths(system) == len(STEPS)
        _assert_nothing_lost(system, load)
    finally:
        system.stop()


def _deaths(system: RunningSystem) -> int:
    return system.log.read_text(encoding="utf-8", errors="replace").count("supervise.child.ended")


def _publish_rounds(load: Load, count: int) -> None:
    for _ in range(count):
        load.publish_round()
        threading.Event().wait(0.05)


def _publish_until(load: Load, is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, f"not within 30 s: {what}"
        _publish_rounds(load, 1)


def _wait_all_told(system: RunningSystem) -> None:
    database = system.database()

    def are_told() -> bool:
        with database.connect() as connection:
            return set(connection.scalars(select(delivery.c.state))) <= {"sent", "failed"}

    wait_until(are_told, "all deliveries ended")
    database.dispose()


def _campaign(system: RunningSystem, kills_each: int, seed: int) -> Load:
    """Random kill -9 of each process under load; returns what the broker acknowledged."""
    chance = random.Random(seed)
    victims = ["intake", "alerts", "web"] * kills_each
    chance.shuffle(victims)
    killed_at_work: Counter[str] = Counter()
    system.start()
    with Load(system.broker_login(), seed) as load:
        for number, victim in enumerate(victims):
            for _ in range(chance.randint(3, 12)):
                load.publish_round(skip="crash-04" if number == 2 and not load.skipped else "")
                threading.Event().wait(0.02)
            # Three in four die at work, the others wherever their start has come to.
            is_up = system.is_at_work if chance.random() < 0.75 else system.pid
            _publish_until(load, lambda v=victim, up=is_up: bool(up(v)), f"{victim} is up")  # type: ignore[misc]
            assert system.kill(victim) is not None
            killed_at_work[victim] += is_up == system.is_at_work
        load.publish_round()
        load.wait_acknowledged()
    assert min(killed_at_work[name] for name in ("intake", "alerts", "web")) > kills_each // 3
    system.wait_ready()
    system.wait_for_readers()
    _wait_all_told(system)
    assert system.stop() == 0
    return load


def test_random_kills_under_load_lose_and_repeat_nothing(
    sections: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    """Each of the three processes is killed five times."""
    system = _prepare(tmp_path, sections)
    _add_listener(system)
    try:
        load = _campaign(system, kills_each=5, seed=7)
        _assert_nothing_lost(system, load)
    finally:
        system.stop()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_long_campaign_of_kills_loses_and_repeats_nothing(
    seed: int, sections: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    """Each of the three processes is killed twenty times."""
    system = _prepare(tmp_path, sections)
    _add_listener(system)
    try:
        load = _campaign(system, kills_each=20, seed=100 + seed)
        _assert_nothing_lost(system, load)
    finally:
        system.stop()
