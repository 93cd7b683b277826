"""What a stranger, or one device gone wild, can fill is bounded, and hides nothing of others."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from devices.database import metadata, open_database
from devices.frames import Lane, SequenceGapFrame
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower
from ingest.quarantine import QuarantineWriter
from ingest.tables import quarantine, sequence_gap, web_position
from satomori.system import SAY_TROUBLE_AGAIN_S, SystemStatus
from tests.servers.satomori_system import wait_until

T0 = 1_790_000_000_000


def gaps(database: Engine) -> list[tuple[int, int]]:
    with database.connect() as connection:
        rows = connection.execute(select(sequence_gap.c.device, sequence_gap.c.first))
        return sorted((device, first) for device, first in rows)


async def test_a_device_that_skips_every_other_number_drops_only_its_own_oldest_gaps(
    tmp_path: Path,
) -> None:
    """A row a message for ever would fill the disk; the gaps of other devices stay as they are."""
    database = open_database(f"sqlite:///{tmp_path}/satomori.db")
    metadata.create_all(database, [quarantine, sequence_gap, web_position])
    journal = JournalWriter(tmp_path / "urgent", Lane.URGENT)
    follower = JournalFollower(tmp_path / "urgent", Lane.URGENT, "quarantine")
    wild = [SequenceGapFrame(1, T0, 2 * n, 2 * n, is_filled=False) for n in range(3000)]
    calm = [SequenceGapFrame(2, T0, n * 10, n * 10 + 1, is_filled=False) for n in range(5)]
    journal.append([*calm, *wild])
    writer = QuarantineWriter(database, {Lane.URGENT: follower}, keep_gaps=100)
    with capture_logs() as logs:
        task = asyncio.create_task(writer.run())
        await asyncio.to_thread(wait_until, lambda: (1, 5998) in gaps(database), "all is read")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    kept = gaps(database)
    assert Counter(device for device, _ in kept) == {1: 100, 2: 5}
    assert [first for device, first in kept if device == 1] == list(range(5800, 6000, 2))
    assert [line["event"] for line in logs] == ["quarantine.gaps.dropped"]
    follower.close()
    journal.close()
    database.dispose()


def test_a_flood_of_wrong_passwords_is_counted_and_logged_once_a_minute(tmp_path: Path) -> None:
    """Another kind of trouble is still said at once."""
    clock = [0.0]
    status = SystemStatus(tmp_path / "system.json", monotonic=lambda: clock[0])
    with capture_logs() as logs:
        for second in range(int(SAY_TROUBLE_AGAIN_S) + 1):
            clock[0] = float(second)
            for _ in range(10):
                status.broker_said("1: Client <unknown> disconnected, not authorised.")
        status.broker_said("2: Out of memory")
    assert [line["event"] for line in logs] == [
        "broker.client.not_authorised",
        "broker.client.not_authorised",
        "broker.client.out_of_memory",
    ]
    assert logs[1]["seen"] == 10 * int(SAY_TROUBLE_AGAIN_S) + 1
    assert '"not_authorised": 610' in (tmp_path / "system.json").read_text()
