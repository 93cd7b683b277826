"""A name to offer for a device that nobody has named. A proposal, never a decision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from devices.drafts import NAME

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]+")
_SHORT: Final[Mapping[str, str]] = {
    "flood-sensor": "uf", "river-gauge": "rg", "water-meter": "wm", "zone-meter": "zm",
    "pressure-logger": "pl", "paddy-node": "pn", "irrigation-gate": "ig",
    "greenhouse-node": "gh", "barn-node": "bn", "collar": "co", "calving-thermometer": "ct",
    "trap": "tr", "weather-station": "ws", "gateway": "gw",
}  # fmt: skip
_TAIL: Final = 6


def suggested_name(hints: Mapping[str, Any], identity: str, kind: str | None) -> str:
    """Its own name where that fits a topic; else its kind and the end of its identity."""
    own = _UNFIT.sub("-", str(hints.get("name") or "")).strip("-")[:64]
    if NAME.fullmatch(own):
        return own
    if NAME.fullmatch(identity) and not hints.get("dev_eui") and len(identity) <= 24:
        return identity
    tail = _UNFIT.sub("", identity)[-_TAIL:].lower()
    return f"{_SHORT.get(kind or '', 'device')}-{tail}"
