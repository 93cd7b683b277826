"""Runs the console blocks of a page of the docs, and compares what is printed with what it says.

In a block ```` ```console ```` a line that begins with ``$ `` is a command (``> `` goes on with
it), what follows is what it prints. ``…`` stands for anything within a line, a line of ``…`` alone
for any lines. All commands of a page are typed into one shell, as a reader would.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Final

_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END: Final = "--- end of command"
_ANYTHING: Final = "…"


@dataclass(frozen=True, slots=True)
class Typed:
    """A command of the page, on which line it stands, and the lines that it is said to print."""

    line: int
    command: str
    printed: tuple[str, ...]


def typed(page: str) -> list[Typed]:
    """All commands of a page in order."""
    return [one for block in _BLOCK.finditer(page) for one in _of_block(page, block)]


def _of_block(page: str, block: re.Match[str]) -> Iterator[Typed]:
    first = page.count("\n", 0, block.start(1)) + 1
    command: list[str] = []
    printed: list[str] = []
    began = first
    for number, line in enumerate(block.group(1).splitlines(), first):
        if line.startswith("$ "):
            if command:
                yield Typed(began, "\n".join(command), tuple(printed))
            command, printed, began = [line[2:]], [], number
        elif line.startswith(">") and not printed:
            command.append(line[2:])
        else:
            printed.append(line)
    if command:
        yield Typed(began, "\n".join(command), tuple(printed))


def is_as_said(said: tuple[str, ...], found: list[str]) -> bool:
    """Whether ``found`` is what the page says, ``…`` standing for anything."""
    lines = ["(?:.*\n)*" if line.strip() == _ANYTHING else _line(line) for line in said]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in found)) is not None


def _line(said: str) -> str:
    return "[^\n]*".join(re.escape(part) for part in said.rstrip().split(_ANYTHING)) + "[ ]*\n"


class Console:
    """One shell in a folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder, env=dict(environment), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._keys: IO[str] = self._shell.stdin
        self._printed: SimpleQueue[str | None] = SimpleQueue()  # None: the shell has ended
        self._reader = Thread(target=self._read, args=(self._shell.stdout,))
        self._reader.start()

    def run(self, one: Typed, deadline_s: float) -> list[str]:
        """What the command prints; fails where it ends with an error or does not end."""
        self._keys.write(f"{one.command}\nprintf '\\n{_END} %s\\n' $?\n")
        self._keys.flush()
        what = f"line {one.line}: {one.command!r}"
        found: list[str] = []
        while True:
            try:
                line = self._printed.get(timeout=deadline_s)
            except Empty:
                raise AssertionError(f"{what} does not end: {found}") from None
            assert line is not None, f"{what} ended the shell: {found}"
            if line.startswith(_END):
                break
            found.append(line)
        assert line.split()[-1] == "0", f"{what} failed: {found}"
        while found and not found[-1].strip():
            found.pop()
        return found

    def _read(self, printed: IO[str]) -> None:
        for line in printed:
            self._printed.put(line.rstrip("\n"))
        self._printed.put(None)

    def close(self) -> None:
        """End the shell and what it left running."""
        self._keys.write("kill -TERM $(jobs -p) 2>/dev/null; wait; exit\n")
        self._keys.close()
        self._shell.wait(60)
        self._reader.join()
        assert self._shell.stdout is not None
        self._shell.stdout.close()


@contextmanager
def console(folder: Path, environment: Mapping[str, str]) -> Iterator[Console]:
    """A shell while the block runs."""
    shell = Console(folder, environment)
    try:
        yield shell
    finally:
        shell.close()


def walk(page: Path, shell: Console, deadline_s: float = 60.0) -> int:
    """Type all commands of a page; how many there were. Fails at the first that is not as said."""
    commands = typed(page.read_text(encoding="utf-8"))
    for one in commands:
        found = shell.run(one, deadline_s)
        if one.printed or found:
            assert is_as_said(one.printed, found), (
                f"{page.name}, line {one.line}: {one.command}\n"
                + "said:\n  " + "\n  ".join(one.printed) + "\nfound:\n  " + "\n  ".join(found)
            )  # fmt: skip
    return len(commands)
