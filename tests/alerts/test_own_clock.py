"""The alarm of the alerts process's own clock: nobody feeds a lane any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import devices.tables  # noqa: F401 - the tables register themselves
from alerts.ledger import Alarm
from alerts.own_clock import AFTER_S, FALLBACK, OwnClock, is_own, with_fallback
from alerts.rules import NO_DATA, RuleError, default_rules_text, load_rules
from alerts.transitions import Transition
from devices.database import metadata, open_database
from devices.frames import Lane
from devices.registry import Registry, RegistrySnapshot

NOW = 1_767_225_600_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> RegistrySnapshot:
    folder: Path = tmp_path_factory.mktemp("own-clock")
    database = open_database(f"sqlite:///{folder / 'registry.db'}")
    metadata.create_all(database)
    found = Registry(database).register_installation(NOW)
    database.dispose()
    return found


class Process:
    """An alerts process that looks five times a second at lanes that may tick each second."""

    def __init__(self, registry: RegistrySnapshot) -> None:
        self.clock = OwnClock(Lane)
        self.registry = registry
        self.monotonic_s = 1000.0
        self.ticks: dict[Lane, int | None] = dict.fromkeys(Lane)

    def run(
        self, seconds: float, *, fed: tuple[Lane, ...] = tuple(Lane), has_news: bool = False
    ) -> list[Transition]:
        """What is told while ``seconds`` pass; only the lanes in ``fed`` tick."""
        told = []
        for step in range(round(seconds * 5)):
            self.monotonic_s += 0.2
            for lane in Lane:
                if lane in fed and step % 5 == 0:
                    self.ticks[lane] = (self.ticks[lane] or NOW) + 1000
                self.clock.look(
                    lane, self.ticks[lane], is_empty=not has_news, monotonic_s=self.monotonic_s
                )
            now = NOW + round(self.monotonic_s * 1000)
            told += self.clock.transitions(self.registry, "v1", now)
        return told


@pytest.fixture
def process(registry: RegistrySnapshot) -> Process:
    return Process(registry)


def test_ticks_that_stop_are_an_alarm_and_ticks_that_return_end_it(process: Process) -> None:
    assert process.run(60) == []
    assert process.run(AFTER_S - 1, fed=()) == []
    (opened,) = process.run(10, fed=())
    assert (opened.rule, opened.to_stage, opened.to_level) == (NO_DATA, "no-data", 4)
    assert opened.is_opening
    assert opened.device == process.registry.by_name["satomori"].id
    assert process.run(600, fed=()) == []
    (cleared,) = process.run(5)
    assert cleared.is_clearing
    assert cleared.alarm == opened.alarm


def test_a_lane_that_catches_up_is_fed(process: Process) -> None:
    """As long as its journal holds something new, nobody knows that no tick will come."""
    assert process.run(120, fed=(), has_news=True) == []


def test_without_routine_ticks_alone_it_is_less_grave(process: Process) -> None:
    """A full disk stops routine first; when urgent follows, the same alarm rises."""
    process.run(5)
    (opened,) = process.run(40, fed=(Lane.URGENT,))
    assert (opened.to_stage, opened.to_level) == ("no-routine-data", 2)
    (risen,) = process.run(40, fed=())
    assert (risen.from_level, risen.to_level, risen.alarm) == (2, 4, opened.alarm)


def test_time_in_which_we_slept_ourselves_counts_for_nobody(process: Process) -> None:
    process.run(5)
    process.monotonic_s += 3600
    assert process.run(AFTER_S / 2, fed=()) == []


def test_an_alarm_stays_open_over_a_restart_until_a_tick_is_run(process: Process) -> None:
    process.run(5)
    (opened,) = process.run(40, fed=())
    after = Process(process.registry)
    after.clock.stand([_row(opened)])
    assert after.run(20, fed=()) == []
    (cleared,) = after.run(2)
    assert cleared.alarm == opened.id
    assert cleared.is_clearing


def test_before_the_installation_is_registered_nothing_is_told() -> None:
    assert Process(RegistrySnapshot(0, {}, {}, {}, {})).run(60, fed=()) == []


def test_administrators_are_told_where_no_route_names_the_alarm() -> None:
    rules = load_rules(default_rules_text())
    assert with_fallback(rules.routes) == rules.routes
    others = tuple(route for route in rules.routes if NO_DATA not in route.rules)
    assert with_fallback(others) == (*others, FALLBACK)


def test_no_rule_set_may_take_the_rules_name() -> None:
    text = f'[[rules]]\nname = "{NO_DATA}"\nkind = "silence"\n'
    with pytest.raises(RuleError, match="twice"):
        load_rules(text)


def _row(opened: Transition) -> Alarm:
    row = Alarm(
        id=opened.id, revision=1, rule=opened.rule, rule_kind=opened.rule_kind,
        device=opened.device, series=None, state="active", level=opened.to_level,
        stage=opened.to_stage, value=None, peak_level=opened.to_level, peak_value=None,
        opened_at=opened.measured_at, changed_at=opened.measured_at, cleared_at=None,
        acknowledged_at=None, acknowledged_by=None, acknowledge_comment=None, is_verified=True,
        is_historic=False, is_exercise=False, acknowledged_by_name=None,
    )  # fmt: skip
    assert is_own(row)
    assert not is_own(replace(row, rule="river-stage"))
    return row
