"""What people read: subject and body of a message, in Japanese and English.

A sensor never tells anybody to leave: the text says what was measured, where and when; people
decide. What is unverified or a drill says so first. Refuses to know channels and addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final, Literal

from alerts import own_texts
from alerts.transitions import WITHDRAWN, Transition
from devices.kinds import INSTALLATION
from devices.quantities import QUANTITIES
from devices.registry import Device

Language = Literal["ja", "en"]

JST: Final = timezone(timedelta(hours=9), "JST")


@dataclass(frozen=True, slots=True)
class Message:
    """A subject of one line and a body of several."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message is about: the transition, its place, its quantity (None for silence).

    ``now_stage`` is the present stage where the message says that the transition does not hold.
    """

    transition: Transition
    device: Device | None
    quantity: str | None
    link: str
    now_stage: str | None = None


_STAGES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "standby": ("水防団待機水位", "flood team standby level"),
        "caution": ("氾濫注意水位", "flood caution level"),
        "evacuation": ("避難判断水位", "evacuation judgement level"),
        "danger": ("氾濫危険水位", "flood danger level"),
        "flooding": ("氾濫発生水位", "flooding level"),
        "closed": ("通行止基準", "road closure depth"),
        "wet": ("浸水検知", "water detected"),
        "triggered": ("作動", "triggered"),
        "silent": ("通信途絶", "not heard"),
        "normal": ("平常", "normal"),
        WITHDRAWN: ("監視終了", "no longer watched"),
    }
)
_STAGES_OF_KIND: Final[Mapping[tuple[str, str], tuple[str, str]]] = MappingProxyType(
    {
        ("flood-sensor", "caution"): ("冠水注意基準", "road flooding caution depth"),
        ("trap", "triggered"): ("わな作動", "trap sprung"),
    }
)
_QUANTITIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "water.level": ("水位", "Water level"),
        "flood.depth": ("浸水深", "Flood depth"),
        "flood.detected": ("浸水検知", "Water detected"),
        "trap.triggered": ("わな", "Trap"),
    }
)
_UNITS: Final[Mapping[str, str]] = MappingProxyType({"Cel": "℃", "m3/s": "m³/s", "m3": "m³"})


def message(about: Subject, language: Language) -> Message:
    """The message on a transition; times are given in JST."""
    return _letter(about, _JAPANESE if language == "ja" else _ENGLISH)


def stage_label(stage: str, kind: str | None, language: Language) -> str:
    """What people call a stage at a kind of device; its own name where we know no other."""
    own = own_texts.STAGES.get(stage) if kind == INSTALLATION.name else None
    labels = (
        (own.happened if own else None)
        or _STAGES_OF_KIND.get((kind or "", stage))
        or _STAGES.get(stage)
        or (stage, stage)
    )
    return labels[0 if language == "ja" else 1]


@dataclass(frozen=True, slots=True)
class _Words:
    """What a letter says in one language; ``{}`` is the stage."""

    language: Language
    exercise_mark: str
    correction_mark: str
    unverified_mark: str
    withdrawn: str
    cleared: str
    fell: str
    reached: str
    place: str
    measured: str
    stage: str
    time: str
    exercise: str
    correction: str
    withdrawal: str
    unverified: str
    closing: str
    to_do: str
    own_closing: str


_JAPANESE = _Words(
    language="ja",
    exercise_mark="【訓練】",
    correction_mark="【訂正】",
    unverified_mark="【未確認】",
    withdrawn="{}は取り消します",
    cleared="{}（解除）",
    fell="{}まで下がりました",
    reached="{}に達しました",
    place="場所",
    measured="測定値",
    stage="段階",
    time="時刻",
    exercise="これは訓練です。実際の状況ではありません。",
    correction="遅れて届いた測定値により、先の状況を訂正します。",
    withdrawal="遅れて届いた測定値により、先のお知らせを取り消します。現在の段階: {}",
    unverified="値が疑わしいため未確認です。現地またはほかの情報で確かめてください。",
    closing="センサーの測定値をお知らせしています。",
    to_do="対処",
    own_closing=f"Satomori が自身の状態をお知らせしています。手引き: {own_texts.GUIDE}",
)
_ENGLISH = _Words(
    language="en",
    exercise_mark="[EXERCISE] ",
    correction_mark="[CORRECTION] ",
    unverified_mark="[UNVERIFIED] ",
    withdrawn="{} withdrawn",
    cleared="{} (cleared)",
    fell="fell to {}",
    reached="{} reached",
    place="Place",
    measured="Measured",
    stage="Stage",
    time="Time",
    exercise="This is an exercise. It does not describe the real situation.",
    correction="A reading that arrived late corrects what was said before.",
    withdrawal="A reading that arrived late shows that the earlier message does not hold."
    " Stage now: {}",
    unverified="The value is doubtful and unverified: please check on site or elsewhere.",
    closing="This message says what a sensor measured.",
    to_do="To do",
    own_closing=f"This is Satomori speaking of itself. Guide: {own_texts.GUIDE}",
)


def _letter(about: Subject, words: _Words) -> Message:
    t, device, language = about.transition, about.device, words.language
    kind = device.kind if device else None
    place = _place(about, language)
    before, stage = (stage_label(name, kind, language) for name in (t.from_stage, t.to_stage))
    is_withdrawal = about.now_stage is not None
    marks = [
        words.exercise_mark * t.is_exercise,
        words.correction_mark * (t.is_correction or is_withdrawal),
        words.unverified_mark * (not t.is_verified and not is_withdrawal),
    ]
    measured = _measured(about, language)
    lines = [
        f"{words.place}: {place}",
        *([f"{words.measured}: {measured}"] if measured else []),
        f"{words.stage}: {before} → {stage}",
        f"{words.time}: {_time(t.measured_at)}",
        *([words.exercise] if t.is_exercise else []),
        *_correction(about, kind, words),
        *([] if t.is_verified or is_withdrawal else [words.unverified]),
        *_closing(about, words),
    ]
    what = (words.withdrawn if is_withdrawal else _what_happened(t, device, words)).format(stage)
    return Message(f"{''.join(marks)}{place}: {what}", _body(lines, about.link))


def _correction(about: Subject, kind: str | None, words: _Words) -> list[str]:
    if about.now_stage is not None:
        return [words.withdrawal.format(stage_label(about.now_stage, kind, words.language))]
    return [words.correction] if about.transition.is_correction else []


def _closing(about: Subject, words: _Words) -> list[str]:
    if not _is_own(about.device):
        return [words.closing]
    own = own_texts.STAGES.get(about.transition.to_stage)
    to_do = [f"{words.to_do}: {own.to_do[words.language == 'en']}"] if own else []
    return [*to_do, words.own_closing]


def _is_own(device: Device | None) -> bool:
    return device is not None and device.kind == INSTALLATION.name


def _what_happened(t: Transition, device: Device | None, words: _Words) -> str:
    if t.to_level and _is_own(device):
        return "{}"  # a sentence
    if t.to_level == 0:
        return words.cleared
    if t.to_level < t.from_level:
        return words.fell
    return words.reached if t.rule_kind == "stages" else "{}"


def _place(about: Subject, language: Language) -> str:
    device = about.device
    if device is None:
        return f"#{about.transition.device}"
    label = (device.label if language == "ja" else device.label_en) or device.label or device.name
    if not device.area:
        return label
    return f"{label}（{device.area}）" if language == "ja" else f"{label} ({device.area})"


def _measured(about: Subject, language: Language) -> str:
    value, quantity = about.transition.value, about.quantity
    if value is None or quantity is None or QUANTITIES[quantity].is_flag:
        return ""
    labels = _QUANTITIES.get(quantity) or own_texts.QUANTITIES.get(quantity, (quantity, quantity))
    unit = QUANTITIES[quantity].unit
    own_unit = own_texts.UNITS.get(unit)
    unit = own_unit[language == "en"] if own_unit else _UNITS.get(unit, unit)
    return f"{labels[0 if language == 'ja' else 1]} {value:.2f} {unit}".rstrip()


def _time(at: int) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC).astimezone(JST)
    return moment.strftime("%Y-%m-%d %H:%M:%S JST")


def _body(lines: list[str], link: str) -> str:
    return "\n".join([*lines, *([link] if link else [])]) + "\n"
