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

from devices import datum, dev_eui, open_data
from devices.credentials import ENROLMENT_ACCOUNT
from devices.kinds import FIELD_KINDS, INSTALLATION
from devices.open_data import OpenData
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

INTERVAL_STATES: Final = ("normal", "active")
"""What a device's reporting interval may depend on: ``active`` from its ``active_from`` on."""

_MAX_INTERVAL_S: Final = 31 * 86_400
_MAX_TEXT: Final = 200
_MAX_TAGS: Final = 50
_MAX_THRESHOLDS: Final = 20
_TEXTS: Final = ("label", "label_en", "site", "area", "owner", "serial_number", "model", "codec")
_SMALLEST_REGISTER: Final = 100.0
_LARGEST_REGISTER: Final = 1e10


@dataclass(frozen=True, slots=True)
class DeviceDraft:
    """What a person says of a device; None takes the kind's own, or nothing.

    ``intervals`` (seconds by state) is for a device that reports more often once the value of its
    main quantity reaches ``active_from`` (None: its lowest threshold). The heights are those of
    today (`devices.datum`), ``rollover_at`` to ``codec`` those of the unit in service
    (`devices.units.UnitDraft`): of both None leaves what is noted.
    """

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
    serial_number: str | None = None
    dev_eui: str | None = None
    model: str | None = None
    codec: str | None = None
    intervals: Mapping[str, int] = field(default_factory=dict)
    active_from: float | None = None
    open_data: OpenData | None = None
    gauge_zero_m: float | None = None
    mounting_height_m: float | None = None


def is_own_account(name: str) -> bool:
    """Whether an account of ours at the broker may have this name: a device would have its rights.

    Intake may have another name in the settings; that one the broker's files leave out.
    """
    return name in {ENROLMENT_ACCOUNT, "demo-simulator"} or name.startswith("satomori-")


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
    elif is_own_account(draft.name):
        yield "name", draft.name, "an account of Satomori's at the broker has this name"
    if draft.kind not in FIELD_KINDS:
        yield "kind", draft.kind, f"unknown kind; one of {', '.join(FIELD_KINDS)} expected"
    if draft.gateway is not None and not NAME.fullmatch(draft.gateway):
        yield "gateway", draft.gateway, "a device name expected"
    if draft.gateway is not None and draft.gateway == draft.name:
        yield "gateway", draft.gateway, "a device cannot be its own gateway"


def _check_texts(draft: DeviceDraft) -> _Found:
    for column in _TEXTS:
        text = getattr(draft, column) or ""
        if len(text) > _MAX_TEXT or not text.isprintable():
            yield column, text, f"at most {_MAX_TEXT} printable characters expected"
        elif text != text.strip():
            yield column, text, "spaces around it"
    if len(draft.tags) > _MAX_TAGS:
        yield "tags", f"{len(draft.tags)} tags", f"at most {_MAX_TAGS} expected"
    for tag in draft.tags:
        if not _is_word(tag) or ";" in tag:
            yield "tags", tag, f"1 to {_MAX_TEXT} printable characters without ; expected"


def _is_word(text: str) -> bool:
    is_bare = text == text.strip()
    return 0 < len(text) <= _MAX_TEXT and text.isprintable() and is_bare


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
    yield from _check_intervals(draft)
    shortest = normal_interval_s(draft)
    if silence is not None and not (shortest <= silence <= 100 * _MAX_INTERVAL_S):
        yield "silence_after_s", silence, f"at least the interval of {shortest} seconds expected"


def _check_intervals(draft: DeviceDraft) -> _Found:
    for state, seconds in draft.intervals.items():
        if state not in INTERVAL_STATES:
            known = ", ".join(INTERVAL_STATES)
            yield "intervals", state, f"unknown state; one of {known} expected"
        elif not 1 <= seconds <= _MAX_INTERVAL_S:
            yield "intervals", f"{state}={seconds}", f"1 to {_MAX_INTERVAL_S} seconds expected"
    normal, active = (draft.intervals.get(state) for state in INTERVAL_STATES)
    if normal is not None and draft.interval_s not in (None, normal):
        yield "intervals", f"normal={normal}", f"interval_s says {draft.interval_s}"
    elif active is not None and active > normal_interval_s(draft):
        yield "intervals", f"active={active}", "an active device does not report less often"
    if draft.active_from is not None and not isfinite(draft.active_from):
        yield "active_from", draft.active_from, "a finite number expected"
    elif draft.active_from is not None and active is None:
        yield "active_from", draft.active_from, "needs an interval: intervals = active=600"


def normal_interval_s(draft: DeviceDraft) -> int:
    """How often the device reports as long as it is not active; 0 where its kind is unknown."""
    if draft.interval_s is not None:
        return draft.interval_s
    kind = FIELD_KINDS.get(draft.kind)
    return draft.intervals.get("normal", kind.interval_s if kind else 0)


def _check_register(draft: DeviceDraft) -> _Found:
    size, kind = draft.rollover_at, FIELD_KINDS.get(draft.kind)
    if size is None or kind is None:
        return
    if kind.rollover_at is None:
        yield "rollover_at", size, f"a {draft.kind} has no register"
    elif not _SMALLEST_REGISTER <= size <= _LARGEST_REGISTER:
        reason = f"{_SMALLEST_REGISTER:g} to {_LARGEST_REGISTER:g} m3 expected"
        yield "rollover_at", size, f"{reason}: 100000 for a register of five digits"


def _check_unit(draft: DeviceDraft) -> _Found:
    if draft.dev_eui is not None:
        try:
            dev_eui.parsed(draft.dev_eui)
        except ValueError as error:
            yield "dev_eui", draft.dev_eui, str(error)


def _check_open_data(draft: DeviceDraft) -> _Found:
    if draft.open_data is not None and draft.open_data not in open_data.CHOICES:
        reason = f"one of {', '.join(open_data.CHOICES)} expected"
        yield "open_data", draft.open_data, reason
    elif draft.open_data == "values" and draft.kind in open_data.NEVER_OPEN:
        yield "open_data", draft.open_data, f"a {draft.kind} is never published"


def _check_heights(draft: DeviceDraft) -> _Found:
    yield from datum.faults(draft.gauge_zero_m, draft.mounting_height_m)


def _check_thresholds(draft: DeviceDraft) -> _Found:
    if len(draft.thresholds) > _MAX_THRESHOLDS:
        reason = f"at most {_MAX_THRESHOLDS} expected"
        yield "thresholds", f"{len(draft.thresholds)} thresholds", reason
    for stage, value in draft.thresholds.items():
        if not _is_word(stage) or "=" in stage or ";" in stage:
            yield "thresholds", stage, "a name without = and ; expected"
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
    _check_unit,
    _check_open_data,
    _check_heights,
    _check_thresholds,
)
