"""DevEUIs: the 64-bit names of LoRaWAN hardware, however a person or a spreadsheet writes them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_PLAIN: Final = re.compile(r"[0-9A-F]{16}")
_SPOILT: Final = re.compile(r"[0-9][0-9.,]*E[+-]?[0-9]+")


def parsed(text: str) -> str:
    """16 hexadecimal digits, upper case, of ``70-B3-D5…``, ``70:b3:d5…`` or ``70b3d5…``.

    Raises ValueError that says what is wrong.
    """
    plain = re.sub(r"[-: ]", "", unicodedata.normalize("NFKC", text)).upper()
    if _PLAIN.fullmatch(plain):
        return plain
    if _SPOILT.fullmatch(plain):
        raise ValueError("a spreadsheet made a number of it: write it with hyphens, 70-B3-D5-…")
    raise ValueError("16 hexadecimal digits expected")


def hyphened(dev_eui: str) -> str:
    """As IEEE writes it, 70-B3-D5-…: of this no spreadsheet makes a number."""
    return "-".join(dev_eui[at : at + 2] for at in range(0, len(dev_eui), 2))
