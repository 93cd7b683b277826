"""Intake with a network server as a process of its own: ``translator_child.py DIRECTORY PORT``."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.ingest.radio import APPLICATION, FLOOD_APPLICATION, RadioTown


async def main(directory: Path, port: int) -> None:
    town = RadioTown(
        directory, port, keep_alive_s=5, urgent=(FLOOD_APPLICATION,), routine=(APPLICATION,)
    )
    task = asyncio.create_task(town.intake().run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    town.close()
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
