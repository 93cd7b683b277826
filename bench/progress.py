"""Long work shows progress: lines on stderr, so that stdout is for the result alone."""

from __future__ import annotations

import sys
import time


class Progress:
    """Says lines with the seconds since the start; ``now_and_then`` at most every 5 s."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next_at = 0.0

    def say(self, line: str) -> None:
        """Print a line."""
        sys.stderr.write(f"[{time.monotonic() - self._began:6.1f} s] {line}\n")
        sys.stderr.flush()

    def now_and_then(self, line: str) -> None:
        """Print a line if the last one of this sort is 5 s old."""
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + 5.0
            self.say(line)
