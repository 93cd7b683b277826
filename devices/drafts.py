"""A device as somebody wishes to register it, and what is wrong with that wish.

Refuses to know files and databases: `devices.csv_import` and `devices.registry` bring those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from types import MappingProxyType
from typing import Final

from devices.kinds import FIELD_KINDS, INSTALLATION
from devices.outcomes import shown

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Device names: fit for a topic level, a file name and an URL without escaping."""

STAGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "river-gauge": ("standby", "caution", "evacuation", "danger", "flooding"),
        "flood-sensor": ("caution", "closed"),
    }
)
"""Stage names by kind, in rising order; other kinds name their thresholds freely."""

_MAX_INTERVAL_S: Final = 31 * 86_400
_MAX_TEXT: Final = 200
_SMALLEST_REGISTER: Final = 100.0
_LARGEST_REGISTER: Final = 1e10


@dataclass(frozen=True, slots=True)
class DeviceDraft:
    """What a person says of a device; None for an interval takes the kind's own."""

    name: str
    kind: str
    label: str = ""
    label_en: str = ""
    site: str = ""
    area: str = ""
    latitude: float | None = None
    longitude: float | None = None
    interval_s: int | None = None
    silence_after_s: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    gateway: str | None = None
    owner: str | None = None
    rollover_at: float | None = None  # m3 at which the register of its meter begins anew


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a draft: the column, what stands there (cut), and why it cannot be."""

    column: str
    value: str
    reason: str


class DraftError(ValueError):
    """Raised by the registry for a draft that `faults` would have named; nothing was written.

    The caller shows ``faults`` to the person; trying again cannot help.
    """

    def __init__(self, name: str, faults: tuple[Fault, ...]) -> None:
        self.name = name
        self.faults = faults
        said = "; ".join(f"{f.column}: {f.reason} ({f.value})" for f in faults)
        super().__init__(f"device {shown(name)}: {said}")


def faults(draft: DeviceDraft) -> tuple[Fault, ...]:
    """Everything wrong with the draft by itself; empty when it may be registered."""
    return tuple(
        Fault(column, shown(value), reason)
        for check in _CHECKS
        for column, value, reason in check(draft)
    )


_Found = Iterator[tuple[str, object, str]]


def _check_names(draft: DeviceDraft) -> _Found:
    if not NAME.fullmatch(draft.name):
        yield "name", draft.name, "1 to 64 of the characters A-Z a-z 0-9 _ - expected"
    if draft.name == INSTALLATION.name:
        yield "name", draft.name, "this is the name of the installation itself"
    if draft.kind not in FIELD_KINDS:
        yield "kind", draft.kind, f"unknown kind; one of {', '.join(FIELD_KINDS)} expected"
    if draft.gateway is not None and not NAME.fullmatch(draft.gateway):
        yield "gateway", draft.gateway, "a device name expected"
    if draft.gateway is not None and draft.gateway == draft.name:
        yield "gateway", draft.gateway, "a device cannot be its own gateway"


def _check_texts(draft: DeviceDraft) -> _Found:
    for column in ("label", "label_en", "site", "area", "owner"):
        text = getattr(draft, column) or ""
        if len(text) > _MAX_TEXT or not text.isprintable():
            yield column, text, f"at most {_MAX_TEXT} printable characters expected"
    for tag in draft.tags:
        if not tag or len(tag) > _MAX_TEXT or not tag.isprintable() or ";" in tag:
            yield "tags", tag, f"1 to {_MAX_TEXT} printable characters without ; expected"


def _check_point(draft: DeviceDraft) -> _Found:
    for column, value, limit in (
        ("latitude", draft.latitude, 90.0),
        ("longitude", draft.longitude, 180.0),
    ):
        if value is not None and not -limit <= value <= limit:
            yield column, value, f"degrees from -{limit:g} to {limit:g} expected"
    if (draft.latitude is None) != (draft.longitude is None):
        missing = "latitude" if draft.latitude is None else "longitude"
        yield missing, "", "latitude and longitude go together"


def _check_times(draft: DeviceDraft) -> _Found:
    interval, silence = draft.interval_s, draft.silence_after_s
    if interval is not None and not 1 <= interval <= _MAX_INTERVAL_S:
        yield "interval_s", interval, f"1 to {_MAX_INTERVAL_S} seconds expected"
        return
    kind = FIELD_KINDS.get(draft.kind)
    shortest = interval if interval is not None else kind.interval_s if kind else 0
    if silence is not None and not (shortest <= silence <= 100 * _MAX_INTERVAL_S):
        yield "silence_after_s", silence, f"at least the interval of {shortest} seconds expected"


def _check_register(draft: DeviceDraft) -> _Found:
    size, kind = draft.rollover_at, FIELD_KINDS.get(draft.kind)
    if size is None or kind is None:
        return
    if kind.rollover_at is None:
        yield "rollover_at", size, f"a {draft.kind} has no register"
    elif not _SMALLEST_REGISTER <= size <= _LARGEST_REGISTER:
        reason = f"{_SMALLEST_REGISTER:g} to {_LARGEST_REGISTER:g} m3 expected"
        yield "rollover_at", size, f"{reason}: 100000 for a register of five digits"


def _check_thresholds(draft: DeviceDraft) -> _Found:
    for stage, value in draft.thresholds.items():
        if not isfinite(value):
            yield "thresholds", f"{stage}={value}", "a finite number expected"
    known = STAGES.get(draft.kind)
    if known is None:
        return
    for stage in draft.thresholds:
        if stage not in known:  # a misspelt stage would never warn anybody
            yield "thresholds", stage, f"unknown stage; one of {', '.join(known)} expected"
    rising = [(stage, draft.thresholds[stage]) for stage in known if stage in draft.thresholds]
    for (low, below), (high, above) in pairwise(rising):
        if below >= above:
            yield "thresholds", f"{low}={below:g};{high}={above:g}", "stages must rise"


_CHECKS: Final[tuple[Callable[[DeviceDraft], _Found], ...]] = (
    _check_names,
    _check_texts,
    _check_point,
    _check_times,
    _check_register,
    _check_thresholds,
)
