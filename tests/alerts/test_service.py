"""The alerts process on a real journal: what it commits, whom it tells, and kill -9 anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select

from alerts.channels.log import LogChannel
from alerts.delivery import Channel
from alerts.engine import Engine as RuleEngine
from alerts.ledger import AlarmBook, Ledger
from alerts.people import add_person
from alerts.rule_store import save_rules
from alerts.rules import load_rules
from alerts.service import AlertService
from alerts.tables import delivery, transition
from alerts.transitions import Transition
from devices.database import writing
from devices.frames import BrokerFrame, Frame, Lane, ReadingsFrame, RevisionFrame, TickFrame
from devices.registry import DeviceDraft, Registry, RegistrySnapshot
from ingest.journal import JournalWriter
from tests.alerts.alerts_child import now_ms, service
from tests.alerts.receivers import mail_server, until, web_server
from tests.alerts.world import frame

RULES = load_rules("""
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
hysteresis = 0.2
stages = [{ name = "caution", level = 2, value = 3.0 }, { name = "danger", level = 4, value = 4.0 }]
[[rules]]
name = "paddy"
kind = "stages"
quantity = "paddy.depth"
stages = [{ name = "caution", level = 2, value = 0.1 }]
[[rules]]
name = "silence"
kind = "silence"
[[routes]]
name = "staff"
rules = ["river", "paddy"]
roles = ["disaster"]
channels = ["mail", "webhook"]
""")
CHILD = Path(__file__).parent / "alerts_child.py"
FAILPOINTS = [
    "engine.ran:1", "engine.ran:4", "alarms.committed:1", "alarms.committed:5",
    "engine.snapshot_written:1", "delivery.sending:2", "delivery.sent:1", "delivery.sent:3",
    "delivery.noted:2",
]  # fmt: skip


class House:
    """Database, registry and journals under one folder, as the supervisor would leave them."""

    def __init__(self, directory: Path, database: Engine) -> None:
        self.directory, self.database = directory, database
        self.registry = Registry(database)
        drafts = [DeviceDraft(f"gauge-{n}", "river-gauge") for n in range(4)]
        drafts += [DeviceDraft(f"paddy-{n}", "paddy-node") for n in range(4)]
        self.known: RegistrySnapshot = self.registry.register(drafts, now=1)
        save_rules(database, RULES, by="test", now=1)
        self.known = self.registry.snapshot()
        self.start = now_ms()
        self.journals = {
            lane: JournalWriter(directory / "journal" / lane, lane, reserve_bytes=0)
            for lane in Lane
        }
        self.book = AlarmBook(database)

    def series(self, name: str, quantity: str) -> int:
        return self.known.series[self.known.by_name[name].id, quantity]

    def river(self, second: float, **levels: float) -> ReadingsFrame:
        """Levels of gauges (``gauge_0=3.5``), measured and received ``second`` s after start."""
        at = self.start + round(second * 1000)
        return frame(
            (self.series(name.replace("_", "-"), "water.level"), at, at, level, 0)
            for name, level in levels.items()
        )

    def paddies(self, second: float, depth: float) -> ReadingsFrame:
        at = self.start + round(second * 1000)
        return frame((self.series(f"paddy-{n}", "paddy.depth"), at, at, depth, 0) for n in range(4))

    def tick(self, second: float) -> TickFrame:
        return TickFrame(self.start + round(second * 1000))

    def write(self, lane: Lane, *frames: Frame) -> None:
        self.journals[lane].append(frames)

    def is_read(self) -> bool:
        """True when the ledger has everything that is in the journals (that hold anything)."""
        positions = Ledger(self.database).positions()
        return all(
            positions.get(lane) == journal.position
            for lane, journal in self.journals.items()
            if journal.position.n
        )

    def is_urgent_read(self) -> bool:
        """True when the ledger has everything that is in the urgent journal."""
        position = Ledger(self.database).positions().get(Lane.URGENT)
        return position == self.journals[Lane.URGENT].position

    def transitions(self) -> list[tuple[str, str, str]]:
        """(id, alarm, stage) as committed, in order."""
        query = select(transition.c.id, transition.c.alarm, transition.c.to_stage)
        with self.database.connect() as connection:
            rows = connection.execute(query.order_by(transition.c.seq)).all()
        return [(row.id, row.alarm, row.to_stage) for row in rows]

    def undelivered(self) -> int:
        query = select(delivery.c.id).where(delivery.c.state.in_(("queued", "sending")))
        with self.database.connect() as connection:
            return len(connection.execute(query).all())

    def close(self) -> None:
        for journal in self.journals.values():
            journal.close()


@pytest.fixture
def house(tmp_path: Path, sqlite: Engine) -> Iterable[House]:
    one = House(tmp_path, sqlite)
    yield one
    one.close()


@asynccontextmanager
async def running(house: House, **channels: Channel) -> AsyncIterator[AlertService]:
    """The service at work in this process; ended in order."""
    with service(house.directory, {"log": LogChannel(), **channels}) as one:
        task = asyncio.create_task(one.run())
        try:
            yield one
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_rise_is_committed_and_the_position_with_it(house: House) -> None:
    """Reading in the journal → alarm in the database, with the position in the same transaction."""
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=3.5))
        await until(lambda: bool(house.book.open_alarms()))
        (opened,) = house.book.open_alarms()
        assert (opened.stage, opened.value, opened.state) == ("caution", 3.5, "active")
        assert Ledger(house.database).positions()["urgent"] == house.journals[Lane.URGENT].position


@pytest.mark.parametrize("is_snapshot_lost", [False, True])
async def test_the_peak_is_in_the_ledger_within_seconds_and_lives_through_a_restart(
    house: House, is_snapshot_lost: bool
) -> None:
    """3.5 opens, 3.9 is measured: web sees a new revision; 3.8 after a restart is no peak."""
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=3.5))
        await until(lambda: bool(house.book.open_alarms()))
        opened = house.book.open_alarms()[0]
        house.write(Lane.URGENT, house.river(1, gauge_0=3.9))
        await until(lambda: house.book.open_alarms()[0].peak_value == 3.9, 3)
        assert [a.id for a in house.book.alarms_after(opened.revision)] == [opened.id]
    if is_snapshot_lost:
        (house.directory / "alerts" / "snapshot.npz").unlink()
    house.write(Lane.URGENT, house.river(2, gauge_0=3.8), house.river(3, gauge_0=1.0))
    async with running(house):
        await until(lambda: not house.book.open_alarms())
    cleared = house.book.alarm(opened.id)
    assert cleared is not None
    assert (cleared.value, cleared.peak_value, cleared.peak_level) == (1.0, 3.9, 2)


async def test_an_acknowledgement_is_applied_within_a_second(house: House) -> None:
    """Web puts it into the inbox; the service applies it while nothing else happens."""
    aki = add_person(house.database, "aki", role="disaster", display_name="秋山")
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=3.5))
        await until(lambda: bool(house.book.open_alarms()))
        (opened,) = house.book.open_alarms()
        house.book.post_to_inbox(
            person=aki.id, command="acknowledge", alarm=opened.id, comment=None, now=now_ms()
        )
        await until(lambda: house.book.open_alarms()[0].acknowledged_at is not None, 1.0)
        assert house.book.open_alarms()[0].revision > opened.revision


async def test_urgent_is_drained_before_routine(house: House) -> None:
    """A backlog of both: the flood is committed before any paddy."""
    for second in range(300):
        house.write(Lane.ROUTINE, house.paddies(second, 0.2 * (second % 2)))
    for second in range(20):
        house.write(Lane.URGENT, house.river(second, gauge_0=5.0 * (second % 2)))
    async with running(house):
        await until(house.is_read, 60)
    with house.database.connect() as connection:
        rules = connection.scalars(select(transition.c.rule).order_by(transition.c.seq)).all()
    assert rules == ["river"] * 19 + ["paddy"] * 4 * 299


async def test_new_rules_hold_from_the_revision_frame_on(house: House) -> None:
    """State is kept where rule and place stay; what the new rules do not know is withdrawn."""
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=3.5, gauge_1=3.5))
        await until(lambda: len(house.book.open_alarms()) == 2)
        text = RULES.text.replace("value = 3.0", "value = 3.6")
        save_rules(house.database, load_rules(text), by="aki", now=now_ms())
        revision = house.registry.revision()
        house.write(
            Lane.URGENT,
            RevisionFrame(house.start + 1000, revision),
            house.river(2, gauge_0=3.5, gauge_1=3.3, gauge_2=3.5),
        )
        await until(lambda: len(house.book.open_alarms()) == 1)
        empty = load_rules('[[rules]]\nname = "silence"\nkind = "silence"\n')
        save_rules(house.database, empty, by="aki", now=now_ms())
        house.write(Lane.URGENT, RevisionFrame(house.start + 3000, house.registry.revision()))
        await until(lambda: not house.book.open_alarms())
    assert [stage for _, _, stage in house.transitions()] == [
        "caution", "caution", "normal", "withdrawn",
    ]  # fmt: skip


@pytest.mark.parametrize("loss", ["kept", "lost", "torn", "of another release"])
async def test_an_alarm_that_is_open_over_a_restart_clears_afterwards(
    house: House, loss: str
) -> None:
    """With the snapshot, and where it cannot be used: the ledger's open alarms are taken over."""
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=4.5))
        await until(lambda: bool(house.book.open_alarms()))
    snapshot = house.directory / "alerts" / "snapshot.npz"
    if loss == "lost":
        snapshot.unlink()
    elif loss == "torn":
        snapshot.write_bytes(snapshot.read_bytes()[:100])
    elif loss == "of another release":
        with np.load(snapshot) as file:
            arrays = {name: file[name] for name in file.files if "down_since" not in name}
        np.savez(snapshot, allow_pickle=False, **arrays)
    house.write(Lane.URGENT, house.river(1, gauge_0=3.9), house.river(2, gauge_0=1.0))
    async with running(house):
        await until(lambda: not house.book.open_alarms())
    assert [stage for _, _, stage in house.transitions()] == ["danger", "normal"]
    assert len({a for _, a, _ in house.transitions()}) == 1


async def test_silence_goes_on_counting_over_a_restart(house: House) -> None:
    """The listening clock is in the snapshot, together with who was heard when."""
    limit_s = 1800
    house.write(Lane.URGENT, BrokerFrame(house.start, "a", is_up=True), house.tick(0))
    house.write(Lane.URGENT, *[house.tick(s) for s in range(1, limit_s - 5)])
    async with running(house):
        await until(house.is_read)
    house.write(Lane.URGENT, house.river(limit_s - 5, gauge_0=1.0))
    house.write(Lane.URGENT, *[house.tick(s) for s in range(limit_s - 5, limit_s + 5)])
    async with running(house):
        await until(lambda: len(house.book.open_alarms()) == 3)
    silent = {house.known.devices[a.device].name for a in house.book.open_alarms()}
    assert silent == {"gauge-1", "gauge-2", "gauge-3"}
    assert {a.opened_at for a in house.book.open_alarms()} == {house.start + limit_s * 1000}


async def test_the_status_file_says_how_far_the_process_has_come(house: House) -> None:
    """Positions, revision, open alarms, ticks: once a second."""
    path = house.directory / "alerts.json"
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=4.5), TickFrame(now_ms()))

        def says_open() -> bool:
            return path.exists() and json.loads(path.read_text())["lanes"]["urgent"]["open_alarms"]

        await until(says_open, 5)
    said = json.loads(path.read_text())
    assert said["process"] == "alerts"
    assert said["lanes"]["urgent"]["is_fed"] is True
    assert said["lanes"]["routine"]["is_fed"] is False


async def test_what_the_database_refused_is_run_again_until_it_takes_it(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full database stops no process: neither position nor snapshot goes past the reading, and
    the alarm is there as soon as there is room."""
    refusal = (
        "CREATE TRIGGER refusal BEFORE INSERT ON transition"
        " BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    with writing(house.database) as connection:
        connection.exec_driver_sql(refusal)
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=3.5))
        said = ""

        def is_refused() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return "alerts.database.refused" in said

        await until(is_refused)
        assert not house.transitions()
        with writing(house.database) as connection:
            connection.exec_driver_sql("DROP TRIGGER refusal")
        await until(lambda: bool(house.transitions()))
        await until(house.is_read)
    assert [stage for _, _, stage in house.transitions()] == ["caution"]


async def test_a_status_file_that_cannot_be_written_stops_no_alarm(house: House) -> None:
    """A full disk of the status file: alarms go on, and the file is written when it can be."""
    path = house.directory / "alerts.json"
    path.with_suffix(".new").mkdir()
    async with running(house):
        house.write(Lane.URGENT, house.river(0, gauge_0=3.5))
        await until(lambda: bool(house.book.open_alarms()))
        house.write(Lane.URGENT, house.river(1, gauge_0=1.0))
        await until(lambda: not house.book.open_alarms())
        path.with_suffix(".new").rmdir()
        await until(path.exists, 5)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_killed_anywhere_no_alarm_is_lost_or_repeated_and_everybody_is_told(
    house: House, failpoint: str
) -> None:
    """kill -9 at a failpoint, then a start without: the ledger is what an undisturbed engine says.

    Each webhook key arrives, and no two documents under different keys are the same matter; a mail
    may arrive twice only where it is marked, and then under the same Message-ID.
    """
    night = _night(house)
    expected = [(t.id, t.alarm, t.to_stage) for t in _undisturbed(house, night)]
    async with mail_server() as box, web_server() as hook:
        add_person(
            house.database, "aki", role="disaster", display_name="秋山",
            mail_address="aki@example.jp", webhook_url=hook.url,
        )  # fmt: skip
        first = await _child(house, box.port, failpoint)
        for one in night:
            house.write(Lane.URGENT, one)
            await until(lambda: house.is_urgent_read() or first.returncode is not None)
        assert await asyncio.wait_for(first.wait(), 30) == -9, "killed at the failpoint"
        second = await _child(house, box.port, "")
        await until(lambda: house.is_read() and not house.undelivered(), 30)
        second.terminate()
        await second.wait()
    assert house.transitions() == expected
    assert _peaks(house) == _highest_while_open(house, night)
    _each_was_told(house, [h["idempotency-key"] for h, _ in hook.requests],
                   [str(m["Message-ID"]) for m in box.mails])  # fmt: skip


def _each_was_told(house: House, keys: list[str], message_ids: list[str]) -> None:
    with house.database.connect() as connection:
        rows = connection.execute(select(delivery)).all()
        raised = connection.execute(
            select(transition.c.id).where(transition.c.to_level > transition.c.from_level)
        ).all()
    assert len(rows) == 2 * len(raised)
    assert {row.state for row in rows} == {"sent"}
    hooks = {f"delivery-{r.id}-{r.transition}" for r in rows if r.channel == "webhook"}
    assert set(keys) == hooks
    told = Counter(message_ids)
    for row in rows:
        if row.channel == "mail":
            times = told.pop(f"<delivery-{row.id}-{row.transition}@city.example.jp>")
            assert times == 1 or row.maybe_repeated
    assert not told


def _night(house: House) -> list[Frame]:
    """Rises and falls of four gauges; each odd second is above, each even one below."""
    levels = [1.0, 3.5, 4.5, 4.8, 3.9, 1.0, 4.2, 2.9, 3.1, 2.0]
    return [
        house.river(s, **{f"gauge_{n}": levels[(s + n) % len(levels)] for n in range(4)})
        for s in range(12)
    ]


def _peaks(house: House) -> dict[str, float | None]:
    return {a.id: a.peak_value for a in house.book.recent_alarms(1000)}


def _highest_while_open(house: House, night: list[Frame]) -> dict[str, float | None]:
    """By reading the night anew: one value a gauge a second, each alarm from its opening on."""
    values = {
        (int(r.series[i]), int(r.measured_at[i])): float(r.value[i])
        for f in night
        if isinstance(f, ReadingsFrame)
        for r in [f.readings]
        for i in range(len(r))
    }
    return {
        a.id: max(
            value
            for (series, at), value in values.items()
            if series == a.series and a.opened_at <= at and at <= (a.cleared_at or at)
        )
        for a in house.book.recent_alarms(1000)
    }


def _undisturbed(house: House, night: list[Frame]) -> list[Transition]:
    return RuleEngine(Lane.URGENT, RULES, house.known).run(night)


async def _child(house: House, port: int, failpoint: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "SATOMORI_FAILPOINT": failpoint}
    root = str(CHILD.parents[2])
    environment["PYTHONPATH"] = root
    return await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(house.directory), str(port),
        env=environment, cwd=root, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
