"""Which of the listed documents are worth reading. Pure.

A document of warnings says all about its groups, so that of each type and office the newest few are
enough; older ones of the same list are passed over. Refuses to know the network and the tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.feeds.atom import Entry
from ingest.feeds.names import DocumentType, Names

MAX_AT_ONCE = 100
"""Documents read in one poll, all types together: the rest waits for the next one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to read (the newest of each type first) and what is passed over for good."""

    read: tuple[tuple[Entry, DocumentType], ...]
    passed_over: tuple[Entry, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing that should be read is left for the next poll."""
        return len(self.read) < MAX_AT_ONCE


def wanted(
    entries: Iterable[Entry],
    names: Names,
    offices: frozenset[str],
    known: frozenset[str],
    last_read: Mapping[str, int],
    *,
    is_all_needed: bool,
) -> Choice:
    """Choose among ``entries`` (newest first).

    ``known`` are ids that are done with; ``last_read`` is when (listed, ms UTC) the newest of a
    type was read. ``is_all_needed``: after a start or a gap no type waits for its ``every_s``.
    An empty ``offices`` means every office.
    """
    read: list[tuple[Entry, DocumentType]] = []
    passed_over: list[Entry] = []
    count: dict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        kind = names.document(entry.type)
        if kind is None:
            continue
        if kind.offices == "ours" and offices and entry.office not in offices:
            continue
        place = (kind.type, entry.office if kind.offices == "ours" else "")
        count[place] += 1
        if entry.id in known:
            continue
        if not is_all_needed and _is_early(entry, kind, last_read):
            continue
        if count[place] <= kind.newest:
            read.append((entry, kind))
        else:
            passed_over.append(entry)
    return Choice(tuple(read[:MAX_AT_ONCE]), tuple(passed_over))


def _is_early(entry: Entry, kind: DocumentType, last_read: Mapping[str, int]) -> bool:
    before = last_read.get(kind.type) if kind.every_s else None
    return before is not None and entry.listed_at - before < kind.every_s * 1000
