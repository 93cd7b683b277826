"""What a place on the map says: its state, from latest values, open alarms and silence.

Plain values in, plain values out. Refuses to know where they come from and who looks; the
dataclasses here are the API's types as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from devices.frames import Lane
from devices.kinds import KINDS
from devices.quantities import QUANTITIES
from devices.readings import SUSPECT

if TYPE_CHECKING:
    from alerts.ledger import Alarm as AlarmRow
    from devices.registry import Device

StationState = Literal[
    "normal",
    "standby",
    "caution",
    "evacuation",
    "danger",
    "flooding",
    "closed",
    "triggered",
    "unknown",
    "suspect",
]
AlarmState = Literal["active", "cleared"]

_STAGE_STATES: Final[Mapping[str, StationState]] = MappingProxyType(
    {
        "standby": "standby",
        "caution": "caution",
        "evacuation": "evacuation",
        "danger": "danger",
        "flooding": "flooding",
        "closed": "closed",
        "triggered": "triggered",
    }
)
_LEVEL_STATES: Final[tuple[StationState, ...]] = (
    "normal",
    "standby",
    "caution",
    "evacuation",
    "danger",
    "flooding",
)
SILENCE: Final = "silence"
"""The rule kind whose alarms say that a device is not heard, not that something is severe."""
_WITHOUT_MAIN: Final = frozenset({"collar", "gateway", "satomori"})

OVERDUE_GRACE_MS: Final = 15_000
"""How long the alerts process has to say that a device is silent before the map says it itself.

::

    last heard |--- silence_after_s ---|--- grace ---| overdue: state unknown →
                                       ^ the silence alarm is due here

The map must not stay calm when the process that raises silence alarms is itself down.
"""


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of one series of a station."""

    series: int
    value: float
    measured_at: int
    quality: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """One open (or closed) matter at one place, as people see it.

    ``withdrawn_at`` is when a late reading said that it never was (our clock); null else.
    """

    id: str
    device: int
    device_name: str
    label: str
    label_en: str
    area: str
    rule: str
    rule_kind: str
    state: AlarmState
    level: int
    stage: str
    value: float | None
    peak_level: int
    peak_value: float | None
    opened_at: int
    changed_at: int
    cleared_at: int | None
    acknowledged_at: int | None
    acknowledged_by: str | None
    acknowledge_comment: str | None
    is_verified: bool
    is_historic: bool
    is_exercise: bool
    withdrawn_at: int | None


@dataclass(frozen=True, slots=True)
class Station:
    """One place in service, as the map shows it."""

    id: int
    name: str
    kind: str
    lane: Lane
    label: str
    label_en: str
    site: str
    area: str
    latitude: float | None
    longitude: float | None
    state: StationState
    level: int
    state_since: int | None
    last_received_at: int | None
    interval_s: int
    latest: Mapping[str, Latest]
    rise_per_h: float | None
    main: str | None
    thresholds: Mapping[str, float]
    alarm_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a view sees; only active alarms. ``revision`` rises with every change."""

    revision: int
    at: int
    stations: tuple[Station, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """State, level 0..5 and since when (event time; None where nobody knows)."""

    state: StationState
    level: int
    since: int | None


def main_quantity(kind: str) -> str | None:
    """The quantity that a station of this kind is about, None where there is none."""
    known = KINDS.get(kind)
    return known.quantities[0] if known and kind not in _WITHOUT_MAIN else None


def is_level(quantity: str | None) -> bool:
    """Whether a rise in metres per hour means something for the quantity."""
    known = QUANTITIES.get(quantity or "")
    return known is not None and known.unit == "m"


def condition(
    alarms: Sequence[AlarmRow], main: Latest | None, *, is_silent: bool, cleared_at: int | None
) -> Condition:
    """What the station's state is, from its active alarms and the quality of its main reading.

    Silence (an alarm of that kind, or ``is_silent``) makes it unknown but keeps the level; then
    the highest alarm counts; then a suspect reading. Alarms of an exercise never colour a
    station: drills and reality do not mix.
    """
    real = [alarm for alarm in alarms if not alarm.is_exercise]
    silences = [alarm for alarm in real if alarm.rule_kind == SILENCE]
    matters = [alarm for alarm in real if alarm.rule_kind != SILENCE]
    worst = max(matters, key=lambda alarm: (alarm.level, alarm.changed_at), default=None)
    level = worst.level if worst else 0
    if silences or is_silent:
        return Condition("unknown", level, min((a.opened_at for a in silences), default=None))
    if worst:
        return Condition(_state_of(worst), level, worst.changed_at)
    if main and main.quality & SUSPECT:
        return Condition("suspect", 0, main.measured_at)
    return Condition("normal", 0, cleared_at)


def _state_of(alarm: AlarmRow) -> StationState:
    return _STAGE_STATES.get(alarm.stage) or _LEVEL_STATES[min(max(alarm.level, 1), 5)]


def alarm_shown(row: AlarmRow, device: Device | None, *, shows_people: bool) -> Alarm:
    """An alarm with its place's names; without the names and words of people if they are hidden."""
    return Alarm(
        id=row.id,
        device=row.device,
        device_name=device.name if device else "",
        label=device.label if device else "",
        label_en=device.label_en if device else "",
        area=device.area if device else "",
        rule=row.rule,
        rule_kind=row.rule_kind,
        state="active" if row.state == "active" else "cleared",
        level=row.level,
        stage=row.stage,
        value=row.value,
        peak_level=row.peak_level,
        peak_value=row.peak_value,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        cleared_at=row.cleared_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by_name if shows_people else None,
        acknowledge_comment=row.acknowledge_comment if shows_people else None,
        is_verified=row.is_verified,
        is_historic=row.is_historic,
        is_exercise=row.is_exercise,
        withdrawn_at=row.withdrawn_at,
    )


def station(
    device: Device,
    latest: Mapping[str, Latest],
    alarm_ids: tuple[str, ...],
    now_is: Condition,
    *,
    last_received_at: int | None,
    rise_per_h: float | None,
) -> Station:
    """One station from its parts. An unknown state has no rise: nobody knows."""
    return Station(
        id=device.id,
        name=device.name,
        kind=device.kind,
        lane=KINDS[device.kind].lane,
        label=device.label,
        label_en=device.label_en,
        site=device.site,
        area=device.area,
        latitude=device.latitude,
        longitude=device.longitude,
        state=now_is.state,
        level=now_is.level,
        state_since=now_is.since,
        last_received_at=last_received_at,
        interval_s=device.interval_s,
        latest=latest,
        rise_per_h=None if now_is.state == "unknown" else rise_per_h,
        main=main_quantity(device.kind),
        thresholds=dict(device.thresholds),
        alarm_ids=alarm_ids,
    )
