"""What is in force now, from all that JMA has said: which document holds for which area. Pure.

A document says everything about its groups for each area that it lists: what it does not name is
not in force. So the newest one holds, whole, for an area and a group; the order in which they came
does not matter, a repetition changes nothing, and one that was taken back leaves what was before::

    VPWW55  10:00  heavy rain warning          ── holds until ──┐
    VPWW55  11:40  heavy rain danger warning   ◀── holds ───────┘   taken back: 10:00 holds again
    VPWS50  11:50  (summary) rain: as of 11:40 ── the same time: the document itself holds

A summary gathers what others said some minutes before. What it does *not* name may be younger than
its gathering, so its silence counts ``SUMMARY_LAG_MS`` earlier: a warning is never taken off the
page by a list that was made before it. Drills have a standing of their own. Refuses to know tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ingest.feeds.jma_xml import SaidKind

SUMMARY_LAG_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Said:
    """What one document, not taken back, says about one area. Times are ms UTC."""

    document: str
    area_code: str
    area_name: str
    groups: frozenset[str]
    kinds: tuple[SaidKind, ...]
    reported_at: int
    made_at: int
    valid_until: int | None
    is_summary: bool
    is_exercise: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """The document that holds for an area and a group, and what is in force by it."""

    group: str
    said: Said
    in_force: tuple[SaidKind, ...]


def holding(said: Iterable[Said]) -> tuple[Holding, ...]:
    """For each area, group and (actual or drill) the document that holds now."""
    best: dict[tuple[bool, str, str], tuple[tuple[int, bool, int, str], Said]] = {}
    for one in said:
        for group in one.groups:
            key = (one.is_exercise, one.area_code, group)
            rank = (_as_of(one, group), not one.is_summary, one.made_at, one.document)
            if key not in best or rank > best[key][0]:
                best[key] = (rank, one)
    return tuple(
        Holding(group, one, tuple(k for k in one.kinds if k.group == group and k.is_in_force))
        for (_, _, group), (_, one) in sorted(best.items(), key=lambda item: item[0])
    )


def unknown_groups(found: Iterable[Holding], area: str, groups: frozenset[str]) -> frozenset[str]:
    """Groups of which no actual document has said anything about ``area``."""
    known = {one.group for one in found if one.said.area_code == area and not one.said.is_exercise}
    return groups - known


def _as_of(said: Said, group: str) -> int:
    """When that was so which the document says about the group."""
    if not said.is_summary:
        return said.reported_at
    named = [kind for kind in said.kinds if kind.group == group]
    if not named:
        return said.reported_at - SUMMARY_LAG_MS
    return max(kind.stated_at or said.reported_at for kind in named)
