"""Documents that could not be read are kept for people, in a folder that never grows large.

Refuses to know why (the reason is in the file's name and in ``feed_document``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

KEEP_FILES: Final = 100
KEEP_BYTES: Final = 64 << 20
_ODD: Final = re.compile(r"[^0-9A-Za-z_.-]")


class UnreadFolder:
    """The newest of what could not be read, up to ``KEEP_FILES`` and ``KEEP_BYTES``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, reason: str, payload: bytes) -> None:
        """Keep the bytes; raises OSError where the disk does not take them."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(payload) > KEEP_BYTES // 4:
            payload = payload[: KEEP_BYTES // 4]
        file = self._folder / f"{_ODD.sub('-', name)[:120]}.{_ODD.sub('-', reason)[:40]}.xml"
        file.write_bytes(payload)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        files = [file for file in self._folder.iterdir() if file.is_file()]
        newest_first = sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)
        total = 0
        for number, file in enumerate(newest_first):
            total += file.stat().st_size
            if number >= KEEP_FILES or total > KEEP_BYTES:
                file.unlink(missing_ok=True)
