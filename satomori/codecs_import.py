"""What `satomori codecs import` does with a folder, and says of it.

Refuses to know engines (`devices.codecs`) and how the command line is spelt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from dashboards import auth
from devices.codecs import codec_store
from devices.codecs.codec_store import Record
from devices.codecs.importing import Decision, decided, examined
from devices.codecs.repositories import Unreadable
from devices.database import writing
from devices.registry import Registry

_AT_ONCE: Final = 16  # records a write transaction: 50 ms at most


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one codec. ``needs_mapping``: enabled, but nobody confirmed how it is read.

    ``unmapped`` are quantities that could be read from it and are not.
    """

    codec: str
    what: str
    text: str
    is_enabled: bool
    needs_mapping: bool
    unmapped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of all codecs of a folder; vectors as `satomori codecs check` counts them."""

    codecs: int
    enabled: int
    new: int
    changed: int
    needs_mapping: int
    uplink_vectors: int
    uplink_passed: int
    downlink_vectors: int
    downlink_passed: int
    outcomes: tuple[Outcome, ...]
    unreadable: tuple[tuple[str, str], ...]

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def as_text(self) -> str:
        """For people: what is not simply new and enabled by name, then the sums."""
        lines = [f"{file}: {problem}" for file, problem in self.unreadable]
        lines += [f"{o.codec}: {o.text}" for o in self.outcomes if _is_said(o)]
        lines += [
            f"{self.codecs} codecs: {self.enabled} enabled, {self.new} new, {self.changed} changed",
            f"uplink examples: {self.uplink_passed} of {self.uplink_vectors} pass",
            f"downlink examples: {self.downlink_passed} of {self.downlink_vectors} pass",
        ]
        if self.needs_mapping:
            lines.append(
                f"{self.needs_mapping} of the enabled ones wait for a confirmed mapping: "
                "satomori codecs guess NAME --accept"
            )
        partly = [o for o in self.outcomes if o.unmapped and o.is_enabled and not o.needs_mapping]
        lines += [
            f"{o.codec}: normalizeUplink or its mapping leaves out {', '.join(o.unmapped)}; "
            f"satomori codecs guess {o.codec}"
            for o in partly
        ]
        return "\n".join(lines)


def _is_said(outcome: Outcome) -> bool:
    return outcome.what == "changed" or outcome.text not in {"enabled", "disabled"}


async def import_codecs(
    database: Engine, path: Path, only: str, now: int, progress: Callable[[int, str], None]
) -> Summary:
    """Try all codecs at ``path`` and keep them. ``progress`` gets how many are done, and a name.

    The registry's revision is raised once, also where the import is broken off. Raises
    FileNotFoundError where there is no codec.
    """
    kept = {record.name: record for record in codec_store.records(database)}
    decisions: list[Decision] = []
    unreadable: list[tuple[str, str]] = []
    waiting: list[Record] = []
    try:
        async for one in examined(path, only, now):
            if isinstance(one, Unreadable):
                unreadable.append((f"{one.file.parent.name}/{one.file.name}", one.problem))
                continue
            decision = decided(one, kept.get(one.name))
            decisions.append(decision)
            waiting.append(decision.record)
            progress(len(decisions), one.name)
            if len(waiting) >= _AT_ONCE:
                _keep(database, waiting)
    finally:
        _keep(database, waiting)
        _note(database, decisions, path, now)
    return _summary(decisions, unreadable)


def _keep(database: Engine, waiting: list[Record]) -> None:
    with writing(database) as connection:
        codec_store.save(connection, waiting)
    waiting.clear()


def _note(database: Engine, decisions: Sequence[Decision], path: Path, now: int) -> None:
    if not decisions:
        return
    with writing(database) as connection:
        said = f"{len(decisions)} codecs"
        auth.note(connection, now, None, "codecs.imported", path.name, detail=said)
    Registry(database).bump_revision()


def _summary(decisions: Sequence[Decision], unreadable: Sequence[tuple[str, str]]) -> Summary:
    records = [decision.record for decision in decisions]
    outcomes = tuple(
        Outcome(
            d.record.name, d.word, d.text, d.record.is_enabled,
            d.record.is_enabled and not d.record.is_mapping_confirmed, d.unmapped,
        )
        for d in decisions
    )  # fmt: skip
    return Summary(
        codecs=len(records),
        enabled=sum(r.is_enabled for r in records),
        new=sum(d.word == "new" for d in decisions),
        changed=sum(d.word == "changed" for d in decisions),
        needs_mapping=sum(o.needs_mapping for o in outcomes),
        uplink_vectors=sum(r.uplink_vectors for r in records),
        uplink_passed=sum(r.uplink_passed for r in records),
        downlink_vectors=sum(r.downlink_vectors for r in records),
        downlink_passed=sum(r.downlink_passed for r in records),
        outcomes=outcomes,
        unreadable=tuple(unreadable),
    )
