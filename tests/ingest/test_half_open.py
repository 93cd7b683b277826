"""A link that dies silently is found out even while the consumer reads nothing from it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest


def _needs_own_network() -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare and ip are not installed")
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no right to a network of its own (unshare -n)")


def test_a_link_that_dies_under_backpressure_is_lost() -> None:
    """Its pings are not acknowledged by the peer's host, so that the connection ends."""
    _needs_own_network()
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "tests.ingest.half_open_child", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("20")]
    assert [line.split()[0] for line in lines] == ["paused", "lost"], done.stderr
