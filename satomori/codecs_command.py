"""`satomori codecs`: what is in a folder of vendors' codecs, and which of them may decode.

The sub-commands and what they print. Refuses to know engines.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, Unreadable, find
from devices.codecs.reuse import may_reuse
from devices.codecs.vectors import Trial, try_one
from satomori.clock import now_ms
from satomori.options import Config, Json
from satomori.settings import load_settings

codecs_app = typer.Typer(no_args_is_help=True, help="Vendors' payload codecs: check, import, map.")


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
    as_json: Json = False,
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


@codecs_app.command("import")
def codecs_import(
    path: Annotated[Path, typer.Argument(help="A repository, a vendor's folder, or one .js.")],
    only: Annotated[str, typer.Option(help="One vendor of it, as its folder is named.")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try the codecs at PATH on their examples, keep them, and enable those that pass."""
    from satomori.administration import opened_database
    from satomori.codecs_import import import_codecs

    with opened_database(load_settings(config)) as database:
        try:
            work = import_codecs(database, path, only, now_ms(), _show_progress)
            summary = asyncio.run(work)
        except FileNotFoundError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
    if sys.stderr.isatty():
        typer.echo("", err=True)
    typer.echo(summary.as_json() if as_json else summary.as_text())


def _show_progress(done: int, name: str) -> None:
    """A line that is written over on a terminal, a line every 50 codecs elsewhere."""
    if sys.stderr.isatty():
        typer.echo(f"\r{done} codecs, {name[:60]:<60}", err=True, nl=False)
    elif done % 50 == 0:
        typer.echo(f"{done} codecs tried", err=True)


@codecs_app.command("list")
def codecs_list(config: Config = None, as_json: Json = False) -> None:
    """List the codecs that are kept: enabled or not, examples, mapping."""
    from satomori import codecs_administration as administration

    with opened(config) as database:
        listing = administration.listing(database)
    typer.echo(listing.as_json() if as_json else listing.as_text())


@codecs_app.command("show")
def codecs_show(name: str, config: Config = None, as_json: Json = False) -> None:
    """Show a codec: models, examples that fail, what it said, how that is read."""
    from satomori import codecs_administration as administration

    with opened(config) as database:
        shown = administration.shown(database, name)
    typer.echo(shown.as_json() if as_json else shown.as_text())


@codecs_app.command("enable")
def codecs_enable(name: str, config: Config = None) -> None:
    """Let a codec decode, also one whose examples do not all hold."""
    _enable(name, config, is_enabled=True)


@codecs_app.command("disable")
def codecs_disable(name: str, config: Config = None) -> None:
    """Let a codec decode no more; what comes for it waits in quarantine."""
    _enable(name, config, is_enabled=False)


def _enable(name: str, config: Path | None, *, is_enabled: bool) -> None:
    from satomori import codecs_administration as administration

    with opened(config) as database:
        typer.echo(administration.enable(database, name, is_enabled))


@codecs_app.command("map")
def codecs_map(
    name: str,
    entries: Annotated[
        list[str],
        typer.Argument(help="path=quantity[*scale][+offset] …, normalizeUplink; docs/codecs.md."),
    ],
    config: Config = None,
) -> None:
    """Say how a codec's answers are read, in place of what was said before."""
    from satomori import codecs_administration as administration

    with opened(config) as database:
        typer.echo(administration.map_codec(database, name, entries))


@codecs_app.command("guess")
def codecs_guess(
    name: str,
    kind: Annotated[str, typer.Option(help="For devices of this kind: river-gauge …")] = "",
    accept: Annotated[bool, typer.Option("--accept", help="Confirm the proposal.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Propose from names, units and examples how a codec's answers are read, with reasons."""
    from satomori import codecs_administration as administration

    with opened(config) as database:
        proposal = administration.propose(database, name, kind, is_accepted=accept)
    typer.echo(proposal.as_json() if as_json else proposal.as_text())


@contextmanager
def opened(config: Path | None) -> Iterator[Engine]:
    """The database of an installation; what cannot be asked of it ends the command with 1."""
    from devices.codecs.codec_store import UnknownCodec
    from devices.codecs.mapping import MappingError
    from satomori.administration import opened_database

    with opened_database(load_settings(config)) as database:
        try:
            yield database
        except (UnknownCodec, MappingError) as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


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
