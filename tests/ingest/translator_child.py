"""Intake with a network server as a process of its own: ``translator_child.py DIRECTORY PORT``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.ingest.intake_process import run_until_stopped
from tests.ingest.radio import APPLICATION, FLOOD_APPLICATION, RadioTown


async def main(directory: Path, port: int) -> None:
    town = RadioTown(
        directory, port, keep_alive_s=5, urgent=(FLOOD_APPLICATION,), routine=(APPLICATION,)
    )
    await run_until_stopped(town)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
