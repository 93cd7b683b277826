"""The whole list of measurements behind docs/performance.md, one after the other.

    python -m bench.campaign results.jsonl            # about 20 minutes
    python -m bench.campaign results.jsonl --quick    # a few seconds each: does everything run?
    python -m bench.campaign results.jsonl --long     # ten minutes at 5,000 messages a second
    python -m bench.campaign results.jsonl --table    # the Markdown tables of a file of results

Each run is a command as a person would type it; its line in the file is {"name", "command",
"result", "error"}. Runs that are in the file already are not run again. Refuses to know what the
commands do. The machine must be quiet, or the figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.tables import campaign_tables

_SHORT = "--seconds 15 --warm-up 3 --no-references"
RUNS = {
    "default": "ingest",
    "tls": f"ingest --tls {_SHORT}",
    "connections": f"ingest --connections 500 {_SHORT}",
    "devices": f"ingest --devices 50000 {_SHORT}",
    "batches": f"ingest --readings-per-message 10 {_SHORT}",
    "flood": f"ingest --backlog 0 {_SHORT}",
    "influxdb": f"ingest --store influxdb {_SHORT}",
    "latency": "ingest --rate 10000 --seconds 30 --no-references",
    "storm": "storm",
    "growth": "ingest-growth",
}
LONG = {"minutes": "ingest --rate 5000 --minutes 10 --no-references"}
_QUICK = {
    "ingest": "--devices 500 --connections 10 --seconds 3 --warm-up 1 --rate 2000",
    "storm": "--devices 1000 --connections 10 --seconds 6 --calibrate 6 --rate 6000",
    "ingest-growth": "--seconds 2 --warm-up 1 --rate 1000 --points 500x20,500x1",
}


def main() -> None:
    """Parse, run what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description="The measurements behind docs/performance.md.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true", help="a few seconds each")
    parser.add_argument("--long", action="store_true", help="the ten minutes, too")
    parser.add_argument("--only", nargs="*", default=[], help=f"of {', '.join({**RUNS, **LONG})}")
    parser.add_argument("--table", action="store_true", help="print the tables; run nothing")
    given = parser.parse_args()
    if given.table:
        sys.stdout.write(campaign_tables(read(given.file)) + "\n")
        return
    done = {run["name"] for run in read(given.file) if run["error"] is None}
    wanted = {**RUNS, **(LONG if given.long or "minutes" in given.only else {})}
    given.file.parent.mkdir(parents=True, exist_ok=True)
    names = [n for n in wanted if n not in done and (not given.only or n in given.only)]
    outcomes = [_run(name, wanted[name], given.file, is_quick=given.quick) for name in names]
    sys.exit(0 if all(outcomes) else 1)


def read(file: Path) -> list[Mapping[str, Any]]:
    """The newest run of each name, in the order of the campaign."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    newest = {run["name"]: run for run in map(json.loads, lines)}
    return [newest[name] for name in (*RUNS, *LONG) if name in newest]


def _run(name: str, words: str, file: Path, *, is_quick: bool) -> bool:
    command = words.split()
    if is_quick:
        command += _QUICK[command[0]].split()
    sys.stderr.write(f"=== {name}: satomori bench {shlex.join(command)}\n")
    done = subprocess.run(
        [sys.executable, "-m", "satomori", "bench", *command, "--json"],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    result = json.loads(done.stdout) if done.stdout else None
    error = None
    if done.returncode:
        error = "; ".join(result["failures"]) if result else f"exit code {done.returncode}"
    line = {"name": name, "command": shlex.join(command), "result": result, "error": error}
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    return error is None


if __name__ == "__main__":
    main()
