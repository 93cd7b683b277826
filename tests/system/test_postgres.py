"""The whole system with its relational state in a real PostgreSQL."""

from __future__ import annotations

import json
import time
from pathlib import Path

from sqlalchemy import select

from alerts.people import add_person
from alerts.tables import alarm, delivery
from firmware_sim.publisher import Broker, Publisher
from tests.servers.satomori_system import RunningSystem, wait_until


def test_an_alarm_is_raised_and_told_with_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """Registry, rules, people, alarms, outbox and positions all live in PostgreSQL."""
    system = RunningSystem(tmp_path, sections={"database": {"url": postgres_url}})
    try:
        system.register(
            "name,kind,label,site,area,thresholds\npg-1,river-gauge,橋,橋,川内,caution=2;danger=3\n"
        )
        database = system.database()
        add_person(database, "hanako", role="disaster")
        system.start()
        with Publisher(Broker(*system.broker_login()), client_id="postgres") as publisher:
            for level in (1.0, 2.5, 3.5):
                at = time.time_ns() // 1_000_000
                message = {"t": at, "n": int(level), "v": {"water.level": level}}
                publisher.publish("field/v1/river-gauge/pg-1/up", json.dumps(message).encode())
                wait_until(lambda at=at: time.time_ns() // 1_000_000 > at, "time goes on")  # type: ignore[misc]
            publisher.drain(10)

        def is_told() -> bool:
            with database.connect() as connection:
                levels = connection.scalars(select(alarm.c.level)).all()
                told = select(delivery.c.state).where(delivery.c.channel == "log")
                states = connection.scalars(told).all()
            return levels == [4] and states == ["sent", "sent"]

        wait_until(is_told, "an alarm of level 4, told at each step")
        database.dispose()
    finally:
        assert system.stop() == 0
