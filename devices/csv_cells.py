"""Cells of the device CSV: what a person or a spreadsheet writes in one, and what we write.

Refuses to know rows and files. A parser raises ValueError with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

from devices import dev_eui
from devices.outcomes import shown
from devices.planar import FIRST_EPSG

# Full-width signs begin a formula, too, in spreadsheets set to Japanese.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_ESCAPED: Final = re.compile(r"'+[=+\-@\t\r＝＋－＠]")


def read_text(cell: str) -> str:
    """The text of a cell, without the apostrophe that kept a spreadsheet from computing it."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def written(value: Any) -> str:
    """The cell that is read as this value; never one that a spreadsheet would compute."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        text = ";".join(f"{name}={number!r}" for name, number in value.items())
    else:
        text = ";".join(chain(value)) if isinstance(value, tuple) else str(value)
    return f"'{text}" if _FORMULA.match(text) else text


def read_number(text: str) -> float:
    """A finite number; full-width digits are digits."""
    try:
        value = float(unicodedata.normalize("NFKC", text))
    except ValueError:
        raise ValueError("a number expected") from None
    if value - value != 0.0:
        raise ValueError("a finite number expected")
    return value


def read_seconds(text: str) -> int:
    """Whole seconds."""
    value = read_number(text)
    if value != int(value):
        raise ValueError("whole seconds expected")
    return int(value)


def read_epsg(text: str) -> int:
    """``6670``, ``EPSG:6670`` or the zone's number, ``2``."""
    plain = unicodedata.normalize("NFKC", text).upper().removeprefix("EPSG:").strip()
    if not (plain.isascii() and plain.isdecimal() and len(plain) <= 5):
        raise ValueError("6669 (zone I) to 6687 (zone XIX) expected")
    number = int(plain)
    return number + FIRST_EPSG - 1 if number < 20 else number


def read_pairs(text: str, read: Callable[[str], Any]) -> Mapping[str, Any]:
    """``name=value;name=value``, each name once."""
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            raise ValueError("name=value;name=value expected")
        if name in found:
            raise ValueError(f"{shown(name)} stands more than once")
        try:
            found[name] = read(value)
        except ValueError as error:
            raise ValueError(f"{shown(name)}: {error}") from None
    return found


def read_tags(text: str) -> tuple[str, ...]:
    """``tag;tag``, each once."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(";")))))


def _thresholds(text: str) -> Mapping[str, float]:
    return read_pairs(read_text(text), read_number)


def _intervals(text: str) -> Mapping[str, int]:
    return read_pairs(text, read_seconds)


def _tags(text: str) -> tuple[str, ...]:
    return read_tags(read_text(text))


READERS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "latitude": read_number,
        "longitude": read_number,
        "interval_s": read_seconds,
        "intervals": _intervals,
        "active_from": read_number,
        "silence_after_s": read_number,
        "thresholds": _thresholds,
        "tags": _tags,
        "rollover_at": read_number,
        "dev_eui": dev_eui.parsed,
        "gauge_zero_m": read_number,
        "mounting_height_m": read_number,
        "plane_epsg": read_epsg,
        "plane_x_m": read_number,
        "plane_y_m": read_number,
    }
)
"""How the cells of a column are read; of all others, as text."""
