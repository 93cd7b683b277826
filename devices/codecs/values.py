"""Numbers, states and times as vendors write them, read strictly: what is not clear is nothing.

Refuses to know paths and quantities.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, Final

_NUMBER: Final = re.compile(
    r"\s*(?P<number>[-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][-+]?\d{1,3})?)"
    r"\s*(?P<unit>[^\d\s.,+\-][^\d]{0,15}?)?\s*"
)

_ON: Final = frozenset({
    "true", "yes", "on", "open", "opened", "active", "triggered", "alarm", "alarmed", "detected",
    "leak", "leaking", "leaked", "leakage", "leak detected", "water leak", "water leakage",
    "wet", "flood", "flooded", "flooding", "water", "water detected", "tampered", "removed",
    "異常", "警報", "検知", "検出", "作動", "開", "浸水", "漏水", "あり", "有", "有り", "オン",
})  # fmt: skip
_OFF: Final = frozenset({
    "false", "no", "off", "close", "closed", "inactive", "normal", "none", "ok", "idle", "clear",
    "cleared", "dry", "installed", "not triggered", "not detected", "no alarm", "no leak",
    "no leakage", "no water leak", "no water",
    "正常", "未検知", "未検出", "解除", "閉", "なし", "無", "無し", "オフ",
})  # fmt: skip

_EARLIEST_MS: Final = 946_684_800_000  # 2000: a clock that was never set says 1970
_LATEST_MS: Final = 4_102_444_800_000  # 2100
_MS_FROM: Final = 1e11  # as seconds this would be the year 5138


def number(value: Any, unit: str = "") -> float | None:
    """A finite number, or a text that is one followed by exactly ``unit``; a boolean is none."""
    if isinstance(value, str):
        text, found_unit = split_unit(value)
        return text if text is not None and found_unit == unit else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return _finite(value)


def split_unit(text: str) -> tuple[float | None, str]:
    """``"3.6 V"`` as (3.6, "V"); (None, "") for a text that is no number."""
    found = _NUMBER.fullmatch(text) if len(text) <= 80 else None
    if found is None:
        return None, ""
    return _finite(float(found["number"])), (found["unit"] or "").strip()


def state(value: Any) -> float | None:
    """A boolean, 0, 1 or a word for one of both as 0.0 or 1.0; None for all else."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        word = " ".join(value.replace("_", " ").split()).lower()
        return 1.0 if word in _ON else 0.0 if word in _OFF else None
    found = number(value)
    return found if found in (0.0, 1.0) else None


def moment(value: Any) -> int | None:
    """A time as ms UTC: RFC 3339 text (UTC where it names no zone), seconds or milliseconds.

    None for what is no time between 2000 and 2100.
    """
    at_ms: float | None
    if isinstance(value, str) and split_unit(value)[0] is None:
        at_ms = _from_text(value)
    else:
        at_ms = number(value)
        if at_ms is not None and at_ms < _MS_FROM:
            at_ms *= 1000
    return round(at_ms) if at_ms is not None and _EARLIEST_MS <= at_ms < _LATEST_MS else None


def _from_text(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text.strip()[:40])
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.timestamp() * 1000


def _finite(value: float) -> float | None:
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
