"""Hours, days and months as people in Japan count them. Refuses to know what happened in them.

The whole of Japan is at UTC+9 and has had no summer time since 1951, so that a constant is exact
where a time zone database would only be slower.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final, Literal

import numpy as np

from devices.readings import Int64s

JAPAN: Final = timezone(timedelta(hours=9), "Asia/Tokyo")
Step = Literal["hour", "day", "month"]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_OFFSET_MS: Final = 9 * _HOUR_MS


def borders(start_at: int, end_at: int, step: Step) -> Int64s:
    """``start_at``, every border of an hour, day or month between the two, ``end_at`` (ms UTC)."""
    if step == "month":
        inner = _months(start_at, end_at)
    else:
        width = _HOUR_MS if step == "hour" else _DAY_MS
        first = ((start_at + _OFFSET_MS) // width + 1) * width - _OFFSET_MS
        inner = np.arange(first, end_at, width, dtype=np.int64)
    return np.concatenate(([start_at], inner, [end_at])).astype(np.int64)


def _months(start_at: int, end_at: int) -> Int64s:
    """Beginnings of months in (start_at, end_at)."""
    begun = datetime.fromtimestamp(start_at / 1000, JAPAN)
    year, month = begun.year, begun.month
    found: list[int] = []
    while True:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        at = round(datetime(year, month, 1, tzinfo=JAPAN).timestamp() * 1000)
        if at >= end_at:
            return np.array(found, np.int64)
        if at > start_at:
            found.append(at)
