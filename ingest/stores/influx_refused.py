"""Lines that InfluxDB will never take, kept as files that can be written to it again.

One file a database, ``refused/<database>.lp``: line protocol with the reason before it as a
comment, so that after the cause is mended it is posted as it stands. Refuses to know why a line
is refused. Bounded: above ``keep_bytes`` the file becomes ``….1.lp`` and the one before it goes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

KEEP_BYTES: Final = 64 << 20


class RefusedLines:
    """The files below ``directory``; one thread at a time."""

    def __init__(self, directory: Path, *, keep_bytes: int = KEEP_BYTES) -> None:
        self._directory, self._keep_bytes = directory, keep_bytes

    def add(self, database: str, lines: Sequence[str], reason: str) -> None:
        """Keep the lines for good (one sync); raises OSError where the disk does not take them."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(database)
        if path.exists() and path.stat().st_size > self._keep_bytes:
            path.replace(path.with_suffix(".1.lp"))
        comment = " ".join(reason.split())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(f"# {comment}\n" + "".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def _path(self, database: str) -> Path:
        name = "".join(c if c.isalnum() or c in "_-" else "_" for c in database)
        return self._directory / f"{name}.lp"
