"""Times and spans as XML writes them (ISO 8601), in milliseconds. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_SPAN: Final = re.compile(r"^P(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?$")
_SPAN_UNITS_MS: Final = (86_400_000, 3_600_000, 60_000, 1_000)


def moment_ms(text: str) -> int | None:
    """Milliseconds UTC; None for no time, one without offset, or one outside 1970 to 2199."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None or not 1970 < at.year < 2200:
        return None
    return round(at.timestamp() * 1000)


def span_ms(text: str) -> int | None:
    """``PT3H``, ``P1DT12H``; None for no span, or one in months and years."""
    found = _SPAN.match(text)
    if found is None:
        return None
    parts = zip(found.groups(), _SPAN_UNITS_MS, strict=True)
    total = sum(int(digits) * unit for digits, unit in parts if digits)
    return total or None
