"""A helper process that takes orders on stdin and answers with JSON lines on stdout.

Refuses to know what is said. Its death is an error wherever somebody waits for it.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.options import BenchError


class Talk:
    """Runs ``command``; ``newest`` is the last thing it said."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self._complaints = folder / f"{name}.stderr"
        with self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
            )
        self.newest: dict[str, Any] = {}
        self._is_ready = threading.Event()
        self._hearing = threading.Thread(target=self._hear, name=f"hear-{name}", daemon=True)
        self._hearing.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def until_ready(self, deadline_s: float = 60.0) -> None:
        """Until it has said something for the first time."""
        end = time.monotonic() + deadline_s
        while not self._is_ready.wait(0.05):
            self.check()
            if time.monotonic() > end:
                raise BenchError(f"{self.name} is not ready after {deadline_s:.0f} s")

    def tell(self, order: str) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{order}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            self.check()

    def check(self) -> None:
        """Raise BenchError with its own words if it has ended."""
        if (code := self._process.poll()) is not None:
            words = self._complaints.read_text(errors="replace").strip()[-500:]
            raise BenchError(f"{self.name} ended with {code}: {words or 'no word why'}")

    def close(self) -> None:
        """End it: no more orders, then SIGTERM."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait(10)
        self._hearing.join(5)
        self._process.stdout.close()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.newest = json.loads(line)
            self._is_ready.set()
