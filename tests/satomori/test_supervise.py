"""The supervisor with real processes: each returns alone, all stop in order, none stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from satomori.supervise import Child, Supervisor
from satomori.system import SystemStatus
from tests.servers.satomori_system import wait_until

ROOT = Path(__file__).resolve().parents[2]
FOR_EVER = "import signal; signal.pause()"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
TALKATIVE = """
import signal, sys
def go(*_):
    print("x" * 1_000_000)
    print("saved", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, go)
print("ready", flush=True)
signal.pause()
"""


def _child(name: str, code: str, **options: object) -> Child:
    return Child(name, (sys.executable, "-c", code), **options)  # type: ignore[arg-type]  # as given


async def _until(is_so: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not is_so():
            await asyncio.sleep(0.01)
    assert is_so(), what


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


class Watched(Supervisor):
    """A supervisor that remembers what it said of its children."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, int | None]] = []
        super().__init__(lambda name, pid: self.changes.append((name, pid)))

    def starts_of(self, name: str) -> list[int]:
        return [pid for one, pid in self.changes if one == name and pid is not None]


@pytest.fixture
async def supervisor() -> AsyncIterator[Watched]:
    started = Watched()
    yield started
    await started.stop()


async def test_a_killed_child_returns_alone(supervisor: Watched) -> None:
    await supervisor.start(_child("one", FOR_EVER))
    await supervisor.start(_child("two", FOR_EVER))
    first, other = supervisor.pid("one"), supervisor.pid("two")
    assert first and other
    with capture_logs() as logs:
        os.kill(first, signal.SIGKILL)
        await _until(lambda: supervisor.pid("one") not in (first, None), "started again")
    assert supervisor.pid("two") == other
    assert [change[1] is None for change in supervisor.changes if change[0] == "one"] == [
        False, True, False,
    ]  # fmt: skip
    assert [(e["event"], e["child"], e["code"]) for e in logs] == [
        ("supervise.child.ended", "one", -signal.SIGKILL)
    ]


async def test_a_child_that_keeps_failing_is_started_ever_more_rarely(supervisor: Watched) -> None:
    """0.2 s, 0.4 s, 0.8 s … so that a broken process does not eat the machine."""
    with capture_logs() as logs:
        await supervisor.start(_child("broken", "raise SystemExit(3)"))
        await _until(lambda: len(logs) >= 3, "three ends")
    assert [e["again_in_s"] for e in logs[:3]] == [0.2, 0.4, 0.8]
    assert {e["code"] for e in logs} == {3}


async def test_a_child_is_never_left_down_longer_than_its_longest_pause(
    supervisor: Watched,
) -> None:
    """Intake and alerts return within seconds, whatever they died of before."""
    child = replace(_child("broken", "raise SystemExit(3)"), longest_pause_s=0.3)
    with capture_logs() as logs:
        await supervisor.start(child)
        await _until(lambda: len(logs) >= 4, "four ends")
    assert [e["again_in_s"] for e in logs[:4]] == [0.2, 0.3, 0.3, 0.3]


async def test_a_child_that_cannot_be_started_again_at_once_is_tried_again(
    supervisor: Watched, tmp_path: Path
) -> None:
    """No memory, no process ids, a program under upgrade: it returns when it can."""
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    await supervisor.start(Child("one", (str(program), "-c", FOR_EVER)))
    first = supervisor.pid("one")
    assert first
    program.unlink()
    with capture_logs() as logs:
        os.kill(first, signal.SIGKILL)
        await _until(lambda: any("start" in e["event"] for e in logs), "said")
        program.symlink_to(sys.executable)
        await _until(lambda: supervisor.pid("one") not in (first, None), "started again")


async def test_a_full_disk_keeps_no_child_down(tmp_path: Path) -> None:
    """The status file cannot be written: that is said once, and the child returns all the same."""
    file = tmp_path / "system.json"
    supervisor = Supervisor(SystemStatus(file).child_changed)
    file.with_suffix(".new").mkdir()
    with capture_logs() as logs:
        await supervisor.start(_child("one", FOR_EVER))
        first = supervisor.pid("one")
        assert first
        os.kill(first, signal.SIGKILL)
        await _until(lambda: supervisor.pid("one") not in (first, None), "started again")
    await supervisor.stop()
    assert [e["event"] for e in logs].count("system.status.not_written") == 1


async def test_a_child_that_is_not_to_be_restarted_ends_for_good(supervisor: Watched) -> None:
    await supervisor.start(_child("once", "pass", is_restarted=False))
    async with asyncio.timeout(10):
        await supervisor.wait("once")
    assert supervisor.pid("once") is None
    assert len(supervisor.starts_of("once")) == 1


async def test_children_stop_in_the_reverse_order_of_their_start(supervisor: Watched) -> None:
    """Readers go after their writers, the broker last."""
    told: list[str] = []
    for name in ("broker", "web", "intake"):
        code = TALKATIVE.replace("saved", f"{name} saved").replace("ready", f"{name} ready")
        await supervisor.start(_child(name, code, on_line=told.append))
    await _until(lambda: len(told) == 3, "all ready")
    await supervisor.stop()
    assert [line for line in told if "saved" in line] == [
        "intake saved", "web saved", "broker saved",
    ]  # fmt: skip


async def test_the_last_words_of_a_child_are_heard_whatever_it_says_before(
    supervisor: Watched,
) -> None:
    """A line longer than any buffer neither blocks the child nor hides what comes after."""
    told: list[str] = []
    await supervisor.start(_child("talkative", TALKATIVE, on_line=told.append, stop_s=8.0))
    await _until(lambda: told == ["ready"], "ready")
    with capture_logs() as logs:
        await supervisor.stop()
    assert told[-1] == "saved"
    assert not logs, "it stopped by itself"


async def test_a_child_that_does_not_stop_is_killed_and_that_is_said(supervisor: Watched) -> None:
    told: list[str] = []
    await supervisor.start(_child("stubborn", STUBBORN, on_line=told.append, stop_s=0.2))
    await _until(lambda: told == ["ready"], "ready")
    pid = supervisor.pid("stubborn")
    assert pid
    with capture_logs() as logs:
        await supervisor.stop()
    assert [(e["event"], e["child"]) for e in logs] == [("supervise.child.killed", "stubborn")]
    assert not _is_alive(pid)


async def test_stopping_does_not_wait_for_a_child_that_is_down(supervisor: Watched) -> None:
    with capture_logs() as logs:
        await supervisor.start(_child("broken", "raise SystemExit(1)"))
        await _until(lambda: len(logs) >= 2, "ended twice")
        async with asyncio.timeout(2):
            await supervisor.stop()
    assert supervisor.pid("broken") is None


async def test_a_signal_reaches_the_child_that_runs_now(supervisor: Watched) -> None:
    told: list[str] = []
    code = """
import signal
signal.signal(signal.SIGHUP, lambda *_: print("reloaded", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""
    await supervisor.start(_child("broker", code, on_line=told.append))
    await _until(lambda: told == ["ready"], "ready")
    supervisor.signal("broker", signal.SIGHUP)
    await _until(lambda: told == ["ready", "reloaded"], "reloaded")
    supervisor.signal("nobody", signal.SIGHUP)


async def test_ctrl_c_reaches_the_supervisor_alone(supervisor: Watched) -> None:
    """The terminal sends SIGINT to its process group; children are stopped in order instead."""
    await supervisor.start(_child("one", FOR_EVER))
    pid = supervisor.pid("one")
    assert pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_children_die_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """kill -9 of `satomori run` leaves nobody behind that would hold the journal."""
    code = f"""
import asyncio, sys
from satomori.supervise import Child, Supervisor
from satomori.system import SystemStatus
async def main():
    supervisor = Supervisor(lambda _name, pid: print(pid, flush=True))
    for name in ("one", "two"):
        await supervisor.start(Child(name, (sys.executable, "-c", {FOR_EVER!r})))
    await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(map(_is_alive, pids))
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    wait_until(lambda: not any(map(_is_alive, pids)), "children gone", 10)
