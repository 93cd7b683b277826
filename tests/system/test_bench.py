"""`satomori bench ingest`: what it prints, on a small load; how fast it is decides nothing here."""

from __future__ import annotations

import json
import subprocess
import sys


def test_a_bench_run_accounts_for_every_reading() -> None:
    """A program can rely on the keys, and on `lost` and `repeated` being counted."""
    done = subprocess.run(
        [
            sys.executable, "-m", "satomori", "bench", "ingest",
            "--devices", "200", "--connections", "4", "--seconds", "6", "--rate", "1000", "--json",
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"messages", "seconds", "msgs_per_s", "cpu_s_per_100k", "rss_mb"} <= set(result)
    assert result["messages"] >= 5000
    assert (result["lost"], result["repeated"]) == (0, 0)
    assert result["alarms"] > 0
