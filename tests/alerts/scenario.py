"""Runs scenarios: plain text that a duty officer can read, checked against the engine.

A scenario has three parts. Rules as in a rule file, each under a line ``rule NAME``, indented.
Devices, one a line: ``device NAME KIND stage=value … silent-after=SECONDS``, with
``active-each=SECONDS active-from=VALUE`` if they report more often then. Then the night, a line an
event, ``TIME  EVENT``, where TIME is H:MM:SS (with .mmm if need be) and EVENT is one of::

    G1 reads 3.20            also: suspect | drill | measured TIME (sent later than measured)
    G1 says online           any word on its status topic; ``offline`` is said by the broker
    broker lost | broker back
    intake away until TIME   no ticks come in between
    G1 caution=2.5 …         the registry gives G1 other thresholds
    G1 taken out of service
    open: nothing
    open: RULE G1 STAGE [since TIME] [unverified] [drill] [historic], …
    were: RULE G1 TIME-TIME [up to PEAK], …      all alarms that ever stood, by their times
    told: G1 STAGE [withdrawn] [correction], …   what people were told since the last such line
    late: 2 inserted, 1 beyond, …                what became of late readings until now
    call it NAME | still open: NAME              an alarm keeps its identity

The broker is up from 0:00:00 and ticks come each second, before what happens in that second.
``open:`` lists everything that is open after all events of that moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from alerts.engine import Engine
from alerts.history import Insertion
from alerts.ledger import DeliveryDraft
from alerts.routing import drafts_for
from alerts.rules import Route, load_rules
from alerts.transitions import Change, transitions_of
from devices.frames import BrokerFrame, Lane, ReadingsFrame, StatusFrame, TickFrame
from devices.readings import Quality
from devices.registry import Device
from tests.alerts.book import Book
from tests.alerts.world import device, frame, registry, series

TELL_ALL = (Route(name="all", min_level=1, channels=("log",), send_clears=False),)

_TIME = re.compile(r"(\d+):(\d\d):(\d\d)(?:\.(\d{3}))?")


@dataclass(slots=True)
class Scenario:
    """What the file says, and how far it has been played."""

    text: str
    rules: str = ""
    devices: dict[str, Device] = field(default_factory=dict)
    events: list[tuple[int, int, str]] = field(default_factory=list)  # at, line number, event
    away_until: int = -1
    revision: int = 1
    book: Book = field(default_factory=Book)
    changes: list[Change] = field(default_factory=list)
    told: list[DeliveryDraft] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def by_id(self) -> dict[int, Device]:
        """The devices by registry id."""
        return {d.id: d for d in self.devices.values()}

    @property
    def quantity_of(self) -> dict[str, str]:
        """The quantity that a bare ``reads`` means, by kind of device."""
        return {
            "river-gauge": "water.level",
            "flood-sensor": "flood.depth",
            "trap": "trap.triggered",
            "paddy-node": "paddy.depth",
        }


def play(path: Path) -> Scenario:
    """Play a scenario; AssertionError names the line that does not hold."""
    scenario = _parsed(path.read_text("utf-8"))
    rules = load_rules(scenario.rules)
    engine = Engine(Lane.URGENT, rules, registry(scenario.devices.values()))
    _take(scenario, engine, engine.run([BrokerFrame(0, "a", is_up=True)]))
    clock = 0
    for at, number, event in scenario.events:
        while clock <= at:
            if clock > scenario.away_until:
                _take(scenario, engine, engine.run([TickFrame(clock)]))
            clock += 1000
        told = _happen(scenario, engine, at, event)
        _take(scenario, engine, told)
        if event.startswith("open:"):
            found = sorted(_found(scenario, event))
            assert found == sorted(_expected(event)), f"{path.name}:{number}: {event}"
        if event.startswith("were:"):
            were = list(_were(scenario))
            assert were == list(_expected(event)), f"{path.name}:{number}: {event}, not {were}"
        if event.startswith("told:"):
            told = list(_told(scenario))
            assert told == list(_expected(event)), f"{path.name}:{number}: {event}, not {told}"
            scenario.told.clear()
        if event.startswith("call it"):
            (name,) = scenario.book.open()
            scenario.names[event.split()[2]] = name
        if event.startswith("still open:"):
            assert set(scenario.book.open()) == {scenario.names[n] for n in event.split()[2:]}, (
                f"{path.name}:{number}: {event}"
            )
        if event.startswith("late:"):
            counts = {kind: engine.late[kind] for kind in Insertion if engine.late[kind]}
            found = [f"{count} {kind}" for kind, count in counts.items()] or ["nothing"]
            assert sorted(found) == sorted(event[5:].strip().split(", ")), (
                f"{path.name}:{number}: {event}, not {found}"
            )
    return scenario


def _parsed(text: str) -> Scenario:
    scenario = Scenario(text)
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#")[0].rstrip()
        if line.startswith("rule "):
            scenario.rules += f'[[rules]]\nname = "{line[5:].strip()}"\n'
        elif line.startswith((" ", "\t")) and not scenario.devices:
            scenario.rules += line.strip() + "\n"
        elif line.startswith("device "):
            _, name, kind, *rest = line.split()
            scenario.devices[name] = _device(len(scenario.devices) + 1, name, kind, rest)
        elif found := _TIME.match(line):
            scenario.events.append((_ms(found), number, line[found.end() :].strip()))
        else:
            assert not line, f"line {number} is not understood: {raw}"
    return scenario


def _device(number: int, name: str, kind: str, words: list[str]) -> Device:
    options = dict(word.split("=") for word in words)
    silent = float(options.pop("silent-after", 86_400))
    active_s, active_from = options.pop("active-each", None), options.pop("active-from", None)
    return device(
        number,
        kind,
        name=name,
        thresholds={stage: float(value) for stage, value in options.items()},
        silence_after_s=silent,
        intervals={"normal": 600, "active": int(active_s)} if active_s else None,
        active_from=float(active_from) if active_from else None,
    )


def _happen(scenario: Scenario, engine: Engine, at: int, event: str) -> list[Change]:
    words = event.split()
    if event.startswith(("open:", "were:", "told:", "late:", "call it", "still open:")):
        return []
    if words[0] == "broker":
        return engine.run([BrokerFrame(at, "a", is_up=words[1] == "back")])
    if event.startswith("intake away until"):
        scenario.away_until = _time(words[3])
        return []
    who = scenario.devices[words[0]]
    if words[1] == "reads":
        return engine.run([_reading(scenario, who, at, words[2:])])
    if words[1] == "says":
        return engine.run([StatusFrame(who.id, at, words[2].encode())])
    if event.endswith("taken out of service"):
        scenario.devices[who.name] = replace(who, decommissioned_at=at)
    else:
        thresholds = {w.split("=")[0]: float(w.split("=")[1]) for w in words[1:]}
        scenario.devices[who.name] = replace(who, thresholds=thresholds)
    scenario.revision += 1
    return engine.switch(engine.rules, registry(scenario.devices.values(), scenario.revision), at)


def _reading(scenario: Scenario, who: Device, at: int, words: list[str]) -> ReadingsFrame:
    measured_at = _time(words[words.index("measured") + 1]) if "measured" in words else at
    quality = Quality.SPIKE if "suspect" in words else Quality.GOOD
    quality |= Quality.EXERCISE if "drill" in words else Quality.GOOD
    own = series(who, scenario.quantity_of[who.kind])
    return frame([(own, measured_at, at, float(words[0]), int(quality))])


def _take(scenario: Scenario, engine: Engine, changes: list[Change]) -> None:
    scenario.book.note(changes, engine.take_peaks())
    scenario.book.agrees_with(engine)
    scenario.told += drafts_for(changes, TELL_ALL, scenario.by_id, (), ())
    scenario.changes += changes


def _expected(event: str) -> Iterator[str]:
    listed = event.partition(":")[2].strip()
    if listed != "nothing":
        yield from (" ".join(item.split()) for item in listed.split(","))


def _found(scenario: Scenario, event: str) -> Iterator[str]:
    """What is open, in the words of the scenario; times only where the line gives times."""
    names = {d.id: d.name for d in scenario.devices.values()}
    for one in scenario.book.open().values():
        words = [one.rule, names[one.device], one.to_stage]
        if "since" in event:
            words += ["since", _shown(one.measured_at)]
        words += ["unverified"] * (not one.is_verified)
        words += ["drill"] * one.is_exercise + ["historic"] * one.is_historic
        yield " ".join(words)


def _were(scenario: Scenario) -> Iterator[str]:
    names = {d.id: d.name for d in scenario.devices.values()}
    chains = scenario.book.alarms()
    for alarm, chain in sorted(chains.items(), key=lambda item: item[1][0].measured_at):
        first, last = chain[0], chain[-1]
        until = _shown(last.measured_at) if last.is_clearing else ""
        peak = scenario.book.peaks.get(alarm)
        words = [first.rule, names[first.device], f"{_shown(first.measured_at)}-{until}"]
        yield " ".join([*words, *([] if peak is None else [f"up to {peak:.2f}"])])


def _told(scenario: Scenario) -> Iterator[str]:
    names = {d.id: d.name for d in scenario.devices.values()}
    known = {t.id: t for t in transitions_of(scenario.changes)}
    for draft in scenario.told:
        one = known[draft.transition]
        words = [names[one.device], one.to_stage]
        words += ["withdrawn"] * draft.is_withdrawal
        words += ["correction"] * (one.is_correction and not draft.is_withdrawal)
        yield " ".join(words)


def _time(text: str) -> int:
    found = _TIME.fullmatch(text)
    assert found, f"{text} is no time"
    return _ms(found)


def _ms(found: re.Match[str]) -> int:
    hours, minutes, seconds, ms = (int(g or 0) for g in found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def _shown(at: int) -> str:
    seconds, ms = divmod(at, 1000)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}.{ms:03}" if ms else clock
