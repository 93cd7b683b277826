"""One lane after a crash: its engine is behind the ledger, catches up, and goes on there."""

from __future__ import annotations

from pathlib import Path

from alerts.engine import Engine
from alerts.follower import LaneFollower, Switch
from alerts.rules import load_rules
from alerts.snapshot import LaneSnapshot
from alerts.transitions import Transition
from devices.frames import Lane, TickFrame
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from tests.alerts import world

RULES = load_rules("""
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
stages = [{ name = "danger", level = 4, value = 3.0 }]
""")


def test_what_opens_in_the_read_that_ends_the_catching_up_is_told_once(tmp_path: Path) -> None:
    """The ledger is asked about its open alarms before anything new is run, not after."""
    gauge = world.device(1, "river-gauge")
    known = world.registry([gauge])
    series = world.series(gauge, "water.level")
    with JournalWriter(tmp_path, Lane.URGENT, reserve_bytes=0) as journal:
        before = journal.append([TickFrame(1)])
        committed = journal.append([world.frame([(series, 1000, 1000, 1.0, 0)])])
        journal.append([world.frame([(series, 2000, 2000, 3.5, 0)])])
        reader = JournalFollower(tmp_path, Lane.URGENT, "alerts")
        follower = LaneFollower(reader, RULES, known, committed)
        state = Engine(Lane.URGENT, RULES, known).state()
        assert follower.restore(LaneSnapshot(before, RULES.version, state), RULES, known)
        assert follower.is_catching_up

        told: list[Transition] = []

        def step() -> None:
            while follower.read(1 << 20):
                said = follower.run(lambda: Switch(RULES, known))
                if follower.is_to_be_reconciled:
                    assert not follower.reconcile([], known, 0)
                told.extend(said)

        step()
        journal.append([world.frame([(series, 3000, 3000, 3.6, 0)])])
        step()
        reader.close()
    assert [(t.measured_at, t.from_level, t.to_level) for t in told] == [(2000, 0, 4)]
