"""XML of strangers as a small tree, within limits, without anything that XML can do beyond text.

A document with a DOCTYPE is refused before an entity can be declared, so that no entity grows and
nothing outside is opened; depth, number of elements and text are bounded. An element that the
caller has no use for is dropped the moment it ends, so that a document about a whole country takes
the memory of one town. Refuses to know what the elements mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat  # no DOCTYPE passes, see _no_doctype

from devices.outcomes import Rejected

MAX_DEPTH: Final = 40
MAX_ELEMENTS: Final = 5_000_000
MAX_KEPT_ELEMENTS: Final = 200_000
"""At any moment: a town in a forecast of all elements takes some 1,000."""
MAX_TEXT_CHARS: Final = 1 << 20
"""Of all that is kept: JMA's longest texts are some thousand characters."""

_NAMESPACE_END: Final = "\n"  # stands in no namespace and in no name
_SPACES: Final = re.compile(r"[ \t\r\n]+")


@dataclass(slots=True)
class Node:
    """One element: its name without namespace, attributes, own text, children in order."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Node]:
        """Children of this name."""
        return (child for child in self.children if child.name == name)

    def at(self, path: str) -> Node | None:
        """The first child at a path such as ``Head/InfoType``."""
        node: Node | None = self
        for name in path.split("/"):
            node = next(node.all(name), None) if node is not None else None
        return node

    def said(self, path: str) -> str:
        """The text at a path, spaces at its ends removed; empty where there is none."""
        node = self.at(path)
        return node.text.strip() if node is not None else ""

    def below(self, name: str) -> Iterator[Node]:
        """All descendants of this name, in document order."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.below(name)


class _Refused(Exception):
    """Parsing stops here; the text says why."""


def read_xml(payload: bytes, *, is_wanted: Callable[[Node], bool] | None = None) -> Node | Rejected:
    """The root element of ``payload``, or why it is refused.

    ``is_wanted`` is asked of each element when it ends; False drops it with all below it.
    """
    builder = _Builder(is_wanted)
    try:
        builder.parser.Parse(payload, True)
    except expat.ExpatError as error:
        return Rejected("bad_xml", f"line {error.lineno}: {expat.ErrorString(error.code)}")
    except _Refused as refusal:
        return Rejected("refused_xml", f"line {builder.parser.CurrentLineNumber}: {refusal}")
    except (UnicodeError, LookupError, ValueError) as error:  # an encoding that nobody knows
        return Rejected("bad_xml", str(error)[:200])
    return builder.root or Rejected("bad_xml", "no element")


class _Builder:
    """Gathers the tree from expat's events."""

    def __init__(self, is_wanted: Callable[[Node], bool] | None) -> None:
        self.root: Node | None = None
        self._is_wanted = is_wanted
        self._open: list[Node] = []
        self._elements = 0
        self._kept_elements = 0
        self._kept_chars = 0
        self.parser = expat.ParserCreate(namespace_separator=_NAMESPACE_END)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _no_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        self._kept_elements += 1
        if self._elements > MAX_ELEMENTS or self._kept_elements > MAX_KEPT_ELEMENTS:
            raise _Refused(f"too many elements ({self._elements})")
        if len(self._open) >= MAX_DEPTH:
            raise _Refused(f"deeper than {MAX_DEPTH} elements")
        self._spend(sum(len(value) for value in attributes.values()))
        node = Node(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(node)
        self._open.append(node)

    def _end(self, _name: str) -> None:
        node = self._open.pop()
        if not self._open:
            self.root = node
        elif self._is_wanted is not None and not self._is_wanted(node):
            self._open[-1].children.pop()
            elements, chars = _size(node)
            self._kept_elements -= elements
            self._kept_chars -= chars

    def _text(self, text: str) -> None:
        if not self._open or not text.strip():
            return
        self._spend(len(text))
        self._open[-1].text += text

    def _spend(self, chars: int) -> None:
        self._kept_chars += chars
        if self._kept_chars > MAX_TEXT_CHARS:
            raise _Refused(f"more than {MAX_TEXT_CHARS} characters of text")


def one_line(text: str) -> str:
    """Text with each run of spaces and line ends as one space."""
    return _SPACES.sub(" ", text).strip()


def _size(node: Node) -> tuple[int, int]:
    """How many elements and characters the node and all below it hold."""
    elements = 1
    chars = len(node.text) + sum(len(value) for value in node.attributes.values())
    for child in node.children:
        below = _size(child)
        elements, chars = elements + below[0], chars + below[1]
    return elements, chars


def _local(name: str) -> str:
    return name.rpartition(_NAMESPACE_END)[2]


def _no_doctype(*_: object) -> None:
    raise _Refused("a DOCTYPE is not accepted")
