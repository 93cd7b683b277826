"""Run as a process of its own: ``journal_child.py write|read DIRECTORY ...``; speaks on stdout.

``write DIRECTORY FIRST COUNT`` appends ticks FIRST, FIRST+1… in groups of three and prints each
group's last number once it is acknowledged. ``read DIRECTORY LAST`` follows until tick LAST and
prints every tick.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from devices.frames import Lane, TickFrame
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower

GROUP = 3


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def write(directory: Path, first: int, count: int) -> None:
    writer = JournalWriter(directory, Lane.URGENT, segment_bytes=2000)
    say("open")
    for at in range(first, first + count, GROUP):
        writer.append([TickFrame(at + i) for i in range(GROUP)])
        say(at + GROUP - 1)
    writer.close()


async def read(directory: Path, last: int) -> None:
    follower = JournalFollower(directory, Lane.URGENT, "child", None)
    after = None
    seen = -1
    while seen < last:
        entries = follower.read(after)
        for entry in entries:
            after = entry.position
            if isinstance(entry.frame, TickFrame):
                seen = entry.frame.at
                say(seen)
        if not entries:
            await follower.wait(5.0)
    follower.close()


if __name__ == "__main__":
    command, place, *numbers = sys.argv[1:]
    if command == "write":
        write(Path(place), *map(int, numbers))
    else:
        asyncio.run(read(Path(place), *map(int, numbers)))
