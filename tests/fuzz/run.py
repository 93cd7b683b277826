"""Fuzz one target guided by coverage: ``python -m tests.fuzz.run TARGET [--minutes 10]``.

Needs atheris (`make fuzz` installs it). An input that breaks the target is written into
``var/fuzz/crashes``; put it under ``tests/fuzz/cases/TARGET`` with a name that says what it is, and
mend the code. docs/fuzzing.md tells what was run and found.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from pathlib import Path

import atheris
import structlog


def main() -> None:
    """Instrument, seed the corpus, run until the time is over or something breaks."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("target")
    asked.add_argument("--minutes", type=float, default=10.0)
    asked.add_argument("--folder", type=Path, default=Path("var/fuzz"))
    options = asked.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    packages = ["alerts", "dashboards", "devices", "firmware_sim", "ingest", "satomori"]
    with atheris.instrument_imports(include=packages, enable_loader_override=False):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    if options.target not in targets:
        sys.exit(f"no target {options.target!r}; there are {', '.join(targets)}")
    target = targets[options.target]
    corpus = options.folder / target.name
    crashes = options.folder / "crashes" / target.name
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = options.folder / f"{target.name}.dict"
    words.write_text(
        "".join(f'"{_escaped(token)}"\n' for token in target.tokens if len(token) < 60)
    )
    arguments = [
        sys.argv[0], str(corpus), f"-dict={words}", f"-artifact_prefix={crashes}/",
        f"-max_total_time={round(options.minutes * 60)}", "-max_len=8192", "-timeout=20",
        "-rss_limit_mb=2048", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup(arguments, target.run)
    atheris.Fuzz()


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


main()
