"""CBOR (RFC 8949), as much of it as JSON can say: bytes → dicts, lists, strings, numbers.

The bytes are a stranger's. Therefore an own reader of a small part of the format: keys are text or
small integers (others can be chosen so that a dict of them takes minutes), a key stands once,
arrays and maps are at most MAX_DEPTH deep, a message has at most MAX_ITEMS items, and of tags only
"this is CBOR" (55799) and decimal fractions (4, which SenML may use) are read. Indefinite lengths
are read; undefined is null. What follows the first item is refused.

Refuses to know what a document means. No input raises.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, Final, TypeVar

from devices.outcomes import Rejected, shown

MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 100_000
"""Most items of one message, keys and values counted; with more it is ``too_large``."""
MAX_EXPONENT: Final = 400
"""Of a decimal fraction; a double has no number beyond."""
_MAX_KEY_INTEGER: Final = 1 << 16
_T = TypeVar("_T", bytes, str)

SELF_DESCRIBED: Final = b"\xd9\xd9\xf7"
"""Tag 55799, which says nothing but that CBOR follows."""

_LENGTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS: Final = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_SIMPLE: Final = {20: False, 21: True, 22: None, 23: None}
_INDEFINITE: Final = 31
_BREAK: Final = b"\xff"
_DECIMAL_FRACTION: Final = 4
_PAIR: Final = b"\x82"
_ALONE: Final = MAX_DEPTH + 1
"""Depth of an item that may have nothing inside: no array or map, no tag, no string in parts."""


class _Malformed(Exception):
    """Ends the reading; never leaves this module."""

    def __init__(self, at: int, what: str, reason: str = "bad_cbor") -> None:
        self.rejected = Rejected(reason, f"byte {at}: {what}")


def is_cbor(payload: bytes) -> bool:
    """Whether the first byte begins a CBOR array, map or tag; no JSON begins with any of them."""
    return 0x80 <= (payload[0] if payload else 0) < 0xE0


def decode(payload: bytes) -> Any:
    """The document in a message, or Rejected."""
    reader = _Reader(payload, len(SELF_DESCRIBED) if payload.startswith(SELF_DESCRIBED) else 0)
    try:
        document = reader.item(0)
    except _Malformed as malformed:
        return malformed.rejected
    if reader.at < len(payload):
        return Rejected("bad_cbor", f"byte {reader.at}: more follows after the end of the document")
    return document


class _Reader:
    """Reads one item after the other and knows where it is."""

    def __init__(self, payload: bytes, at: int) -> None:
        self.at = at
        self._payload = payload
        self._left = MAX_ITEMS

    def item(self, depth: int) -> Any:
        """The item that begins here, at ``depth`` arrays and maps inside the document."""
        start = self.at
        try:
            head = self._payload[start]
        except IndexError:
            raise _Malformed(start, "ends where an item should begin") from None
        if self._left == 0:
            raise _Malformed(start, f"over {MAX_ITEMS} items", "too_large")
        self._left -= 1
        self.at = start + 1
        return _READ[head >> 5](self, start, head & 31, depth)

    def _argument(self, start: int, info: int) -> int:
        """The number in and behind the head: a value, a length or a tag."""
        if info < 24:
            return info
        size = _LENGTHS.get(info)
        if size is None:
            raise _Malformed(start, f"an item of reserved size {info}")
        return int.from_bytes(self._take(start, size), "big")

    def _take(self, start: int, count: int) -> bytes:
        end = self.at + count
        if end > len(self._payload):
            what = f"ends inside the item that begins at byte {start}"
            raise _Malformed(len(self._payload), what)
        taken = self._payload[self.at : end]
        self.at = end
        return taken

    def _positive(self, start: int, info: int, _depth: int) -> int:
        return self._argument(start, info)

    def _negative(self, start: int, info: int, _depth: int) -> int:
        return -1 - self._argument(start, info)

    def _bytes(self, start: int, info: int, depth: int) -> bytes:
        if info == _INDEFINITE:
            return b"".join(self._parts(start, bytes, depth))
        return self._take(start, self._argument(start, info))

    def _text(self, start: int, info: int, depth: int) -> str:
        if info == _INDEFINITE:
            return "".join(self._parts(start, str, depth))
        raw = self._take(start, self._argument(start, info))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise _Malformed(start, f"text that is not UTF-8: {shown(raw)}") from None

    def _parts(self, start: int, of: type[_T], depth: int) -> Iterator[_T]:
        if depth == _ALONE:
            raise _Malformed(start, "a string in parts inside another one")
        while not self._is_break():
            at = self.at
            part = self.item(_ALONE)
            if not isinstance(part, of):
                raise _Malformed(at, f"no part of the string that begins at byte {start}")
            yield part

    def _is_break(self) -> bool:
        if self._payload[self.at : self.at + 1] == _BREAK:
            self.at += 1
            return True
        return False

    def _times(self, start: int, info: int) -> Iterable[None]:
        """As often as an array or map has entries."""
        if info == _INDEFINITE:
            return self._until_break()
        length = self._argument(start, info)
        if length > len(self._payload) - self.at:
            raise _Malformed(start, f"{length} entries in fewer bytes")
        return repeat(None, length)

    def _until_break(self) -> Iterator[None]:
        while not self._is_break():
            yield None

    def _array(self, start: int, info: int, depth: int) -> list[Any]:
        inside = self._inside(start, depth)
        return [self.item(inside) for _ in self._times(start, info)]

    def _map(self, start: int, info: int, depth: int) -> dict[str | int, Any]:
        inside = self._inside(start, depth)
        found: dict[str | int, Any] = {}
        for _ in self._times(start, info):
            at = self.at
            key = self.item(inside)
            if type(key) is not str and not _is_small_integer(key):
                what = f"a key that is neither text nor a small integer: {shown(key)}"
                raise _Malformed(at, what)
            if key in found:
                raise _Malformed(at, f"the key {shown(key)} stands twice")
            found[key] = self.item(inside)
        return found

    def _inside(self, start: int, depth: int) -> int:
        if depth >= MAX_DEPTH:
            raise _Malformed(start, f"an array or map where none may be, or over {MAX_DEPTH} deep")
        return depth + 1

    def _tagged(self, start: int, info: int, depth: int) -> float:
        tag = self._argument(start, info)
        if tag != _DECIMAL_FRACTION or depth == _ALONE:
            raise _Malformed(start, f"tag {tag} is not read")
        if self._payload[self.at : self.at + 1] != _PAIR:
            raise _Malformed(start, "a decimal fraction that is no pair")
        self.at += 1
        exponent, mantissa = self.item(_ALONE), self.item(_ALONE)
        if type(exponent) is not int or type(mantissa) is not int or abs(exponent) > MAX_EXPONENT:
            raise _Malformed(start, f"no decimal fraction: {shown(mantissa)} e {shown(exponent)}")
        return float(f"{mantissa}e{exponent}")

    def _simple(self, start: int, info: int, _depth: int) -> float | bool | None:
        form = _FLOATS.get(info)
        if form is not None:
            return form.unpack(self._take(start, form.size))[0]  # type: ignore[no-any-return] # a struct does not say what is in it
        if info not in _SIMPLE:
            what = "a break outside of anything" if info == _INDEFINITE else f"simple value {info}"
            raise _Malformed(start, what)
        return _SIMPLE[info]


def _is_small_integer(key: object) -> bool:
    return type(key) is int and abs(key) <= _MAX_KEY_INTEGER


_READ: Final = (
    _Reader._positive,
    _Reader._negative,
    _Reader._bytes,
    _Reader._text,
    _Reader._array,
    _Reader._map,
    _Reader._tagged,
    _Reader._simple,
)
