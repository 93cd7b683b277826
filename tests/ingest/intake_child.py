"""Intake as a process of its own: ``intake_child.py DIRECTORY PORT``; it may have a failpoint."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.ingest.field import Town
from tests.ingest.intake_process import run_until_stopped


async def main(directory: Path, port: int) -> None:
    town = Town(directory, port, keep_alive_s=5)
    await run_until_stopped(town)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
