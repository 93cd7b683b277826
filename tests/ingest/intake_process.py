"""The intake process of a test as a child that may be killed, and what such a child runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.ingest.field import Town

Links = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""Which links of intake's status must be up while it is at work."""


class IntakeProcess:
    """``SCRIPT DIRECTORY PORT`` as a process of its own; may be started again and again."""

    def __init__(self, script: Path, directory: Path, port: int, links: Links) -> None:
        self._arguments = [sys.executable, str(script), str(directory), str(port)]
        self._status_path, self._links = directory / "intake.json", links
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str = "") -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SATOMORI_FAILPOINT": failpoint}
        self.process = subprocess.Popen(self._arguments, env=environment)

    def is_dead(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def is_at_work(self) -> bool:
        """Whether this very process has what it is to hear."""
        assert self.process is not None
        try:
            status = json.loads(self._status_path.read_text())
        except FileNotFoundError:
            return False
        links = self._links(status)
        return status["pid"] == self.process.pid and set(links.values()) == {"up"}

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(15)


async def run_until_stopped(town: Town) -> None:
    """What the child does: intake over a town, until SIGTERM."""
    task = asyncio.create_task(town.intake().run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    town.close()
    if not task.cancelled():
        task.result()
