"""Named places where a test may kill the process, to prove that nothing is lost there.

``SATOMORI_FAILPOINT=name`` or ``name:k`` ends the process by SIGKILL when the place is passed for
the k-th time. ``SATOMORI_FAILPOINT=@file`` looks into a file at each place instead: while it names
the place, the process takes the file away and dies, once. Without the variable a place costs one
comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

FAILPOINTS: Final = (
    "journal.written",  # bytes handed to the kernel, not yet fsynced
    "journal.synced",  # durable, not yet published to readers
    "intake.journaled",  # published, not yet acknowledged to the broker
    "intake.acknowledged",  # PUBACKs handed to the socket
    "translator.decoded",  # a codec has answered, nothing is handed over
    "translator.journaled",  # translated messages are durable, the floor is where it was
    "translator.noted",  # the journal may go up to the new floor, the lanes still name what is done
    "engine.ran",  # transitions known, nothing committed
    "alarms.committed",  # transitions + outbox + position committed
    "engine.snapshot_written",  # snapshot file renamed
    "delivery.sending",  # marked as being sent, not yet sent
    "delivery.sent",  # the provider accepted, not yet noted
    "delivery.noted",  # noted as sent
    "store.written",  # rows written, position not yet saved
    "store.position_saved",  # rows and position saved
)


def _armed(setting: str) -> tuple[str, int]:
    if setting.startswith("@"):
        return setting, 1
    name, _, count = setting.partition(":")
    if name and name not in FAILPOINTS:
        raise ValueError(f"SATOMORI_FAILPOINT: unknown failpoint {name!r}")
    return name, int(count or 1)


_name, _left = _armed(os.environ.get("SATOMORI_FAILPOINT", ""))


def failpoint(name: str) -> None:
    """Die here, at once and without clean-up, if this failpoint is armed and its count is up."""
    global _left  # noqa: PLW0603 (a count of this process, set once from its environment)
    if name != _name and not _is_named_in_file(name):
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _is_named_in_file(name: str) -> bool:
    if not _name.startswith("@"):
        return False
    file = Path(_name[1:])
    try:
        if file.read_text(encoding="utf-8").strip() != name:
            return False
        file.unlink()
    except FileNotFoundError:  # not armed, or another process was first
        return False
    return True
