"""A store writer in a process of its own, for tests that kill it.

``python -m tests.ingest.store_child JOURNALS STORE_JSON``: writes all that the journals hold into
the store, then ends with code 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from devices.frames import Lane
from ingest.journal_follower import JournalFollower
from ingest.store_writer import StoreWriter
from ingest.stores import open_store


async def _write_all(journals: Path, options: dict[str, str]) -> None:
    store = open_store(
        "duckdb" if options["kind"] == "duckdb" else "influxdb",
        **{k: v for k, v in options.items() if k not in ("kind", "directory")},
        directory=Path(options["directory"]),
    )
    followers = {lane: JournalFollower(journals / lane, lane, "store") for lane in Lane}
    writer = StoreWriter(store, followers, flush_rows=400, flush_s=0.05, read_bytes=6000)
    task = asyncio.create_task(writer.run())
    while not task.done():
        lag = writer.lag()
        if lag.held_rows == 0 and all(behind == 0 for behind in lag.frames.values()):
            task.cancel()
        await asyncio.sleep(0.01)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    store.close()
    for follower in followers.values():
        follower.close()


if __name__ == "__main__":
    asyncio.run(_write_all(Path(sys.argv[1]), json.loads(sys.argv[2])))
