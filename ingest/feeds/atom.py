"""JMA's Atom feeds: which documents there are. Pure.

An entry gives nothing but where a document is and when it was listed; what it says, whether it is a
drill and how old it is stands in the document alone. Refuses to know documents and the network.

Feeds: https://xml.kishou.go.jp/xmlpull.html (high frequency: at least the last 10 minutes, renewed
each minute; long: several days, renewed each hour).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from devices.outcomes import Rejected
from ingest.feeds.moments import moment_ms
from ingest.feeds.xml_tree import Node, read_xml

MAX_ENTRIES: Final = 100_000
_MAX_URL_CHARS: Final = 500
_FILE: Final = re.compile(r"^([0-9A-Za-z_-]{1,80}_([A-Z]{4}[0-9]{2})_([0-9]{6}))\.xml$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One document that a feed lists.

    ``id`` is its file name, ``20260830024006_0_VPWW55_180000``: what makes it the same document
    wherever it is listed. ``type`` and ``office`` (of the prefecture) are read from it.
    ``listed_at`` is ms UTC.
    """

    id: str
    url: str
    type: str
    office: str
    title: str
    listed_at: int


@dataclass(frozen=True, slots=True)
class AtomFeed:
    """A feed as it was answered; ``newest_at`` is the newest entry of all (ms UTC, 0: empty).

    ``unreadable`` counts entries whose link or time nobody can read.
    """

    entries: tuple[Entry, ...]
    newest_at: int
    unreadable: int


def read_feed(payload: bytes) -> AtomFeed | Rejected:
    """The entries of an Atom feed, each document once, the newest first."""
    gathered = _Gathered()
    root = read_xml(payload, is_wanted=gathered.take)
    if isinstance(root, Rejected):
        return root
    if root.name != "feed":
        return Rejected("not_a_feed", f"the root is <{root.name}>"[:200])
    if gathered.count > MAX_ENTRIES:
        return Rejected("too_large", f"{gathered.count} entries")
    newest_first = sorted(gathered.entries.values(), key=_age_of, reverse=True)
    return AtomFeed(tuple(newest_first), gathered.newest_at, gathered.unreadable)


def _age_of(entry: Entry) -> tuple[int, str]:
    return entry.listed_at, entry.id


class _Gathered:
    """Entries, taken out of the tree as they end."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.count = self.unreadable = self.newest_at = 0

    def take(self, node: Node) -> bool:
        """Keep what is no entry; read an entry and drop it."""
        if node.name != "entry":
            return True
        self.count += 1
        url, listed_at = _link(node), moment_ms(node.said("updated"))
        if listed_at is None or not 0 < len(url) <= _MAX_URL_CHARS or self.count > MAX_ENTRIES:
            self.unreadable += 1
            return False
        self.newest_at = max(self.newest_at, listed_at)
        if named := _FILE.match(_file_name(url)):
            title = node.said("title")[:200]
            entry = Entry(named[1], url, named[2], named[3], title, listed_at)
            self.entries.setdefault(entry.id, entry)
        return False


def _file_name(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2]
    except ValueError:  # brackets that are no address
        return ""


def _link(node: Node) -> str:
    links = [link.attributes.get("href", "") for link in node.all("link")]
    return next(filter(None, links), "") or node.said("id")
