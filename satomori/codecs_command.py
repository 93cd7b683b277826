"""`satomori codecs`: what is in a folder of vendors' codecs, and whether their examples hold.

The sub-commands and what they print. Refuses to know engines.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, Unreadable, find
from devices.codecs.reuse import may_reuse
from devices.codecs.vectors import Trial, try_one

codecs_app = typer.Typer(no_args_is_help=True, help="Vendors' payload codecs: check.")


@dataclass(frozen=True, slots=True)
class Problem:
    """An example that does not hold, or a file that cannot be read."""

    codec: str
    call: str
    example: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all codecs of a folder. ``reusable`` counts those that one context can serve;
    ``passed`` those of whose examples none failed."""

    codecs: int
    passed: int
    reusable: int
    uplink_vectors: int
    uplink_passed: int
    downlink_vectors: int
    downlink_passed: int
    failures: tuple[Problem, ...]
    unreadable: tuple[Problem, ...]

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def as_text(self) -> str:
        """For people: each problem by name, then the sums."""
        lines = [f"{p.codec}: {p.problem}" for p in self.unreadable]
        lines += [f"{p.codec}: {p.call} {p.example!r}: {p.problem}" for p in self.failures]
        lines += [
            f"{self.codecs} codecs, {self.passed} without a failing example, "
            f"{self.reusable} may keep their context",
            f"uplink examples: {self.uplink_passed} of {self.uplink_vectors} pass",
            f"downlink examples: {self.downlink_passed} of {self.downlink_vectors} pass",
        ]
        return "\n".join(lines)


@codecs_app.callback()
def codecs() -> None:
    """Vendors' payload codecs."""


@codecs_app.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="A repository, a vendor's folder, or one .js.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Run every example that comes with the codecs at PATH; ends with 1 if one does not hold.

    Reads the layouts of TheThingsNetwork/lorawan-devices and of chirpstack-device-profiles.
    """
    try:
        report = asyncio.run(check_codecs(path))
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(report.as_json() if as_json else report.as_text())
    if report.failures or report.unreadable:
        raise typer.Exit(1)


async def check_codecs(path: Path) -> Report:
    """Try all codecs at ``path``. Raises FileNotFoundError where there is none."""
    found = list(find(path))
    published = [one for one in found if isinstance(one, Published)]
    async with CodecPool() as pool:
        trials = [await try_one(one, pool) for one in published]
    async with CodecPool(workers=1) as pool:  # what is kept between two calls meets both
        reusable = [t for t in trials if t.has_passed and await may_reuse(t.published, pool)]
    return _report(trials, len(reusable), [one for one in found if isinstance(one, Unreadable)])


def _report(trials: Sequence[Trial], reusable: int, unreadable: Sequence[Unreadable]) -> Report:
    uplinks = [trial.count(is_uplink=True) for trial in trials]
    downlinks = [trial.count(is_uplink=False) for trial in trials]
    return Report(
        codecs=len(trials),
        passed=sum(trial.has_passed for trial in trials),
        reusable=reusable,
        uplink_vectors=sum(count for count, _ in uplinks),
        uplink_passed=sum(passed for _, passed in uplinks),
        downlink_vectors=sum(count for count, _ in downlinks),
        downlink_passed=sum(passed for _, passed in downlinks),
        failures=tuple(
            Problem(m.codec, m.call, m.title, m.problem) for t in trials for m in t.misses
        ),
        unreadable=tuple(
            Problem(f"{u.file.parent.name}/{u.file.name}", "", "", u.problem) for u in unreadable
        ),
    )
