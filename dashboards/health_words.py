"""Findings in plain words, Japanese and English: what is wrong, and what to do.

Refuses to know how a finding is made and who reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from devices.health.battery import Battery
from devices.health.findings import Code, Figures, Finding
from devices.quantities import QUANTITIES


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class SaidFinding:
    """A finding as people read it; ``severity`` 3: this week, 2: within weeks, 1: when there."""

    code: Code
    severity: int
    title: Words
    reason: Words
    todo: Words
    due_days: int | None


def said(finding: Finding) -> SaidFinding:
    """The finding in words."""
    title, reason, todo = _WORDS[finding.code](finding.figures)
    return SaidFinding(finding.code, finding.severity, title, reason, todo, finding.due_days)


def battery_words(battery: Battery) -> Words:
    """What can be said of a battery, also where nothing asks for a hand."""
    match battery.state:
        case "forecast":
            return _forecast(battery)
        case "lasting":
            return _lasting(battery)
        case "unsure":
            return _UNSURE[battery.why]
        case state:
            return _STATES[state]


def span_words(days: float) -> Words:
    """A length of time as people say it: days up to six weeks, months up to two years, years."""
    if days < 1:
        return Words("1日以内", "a day")
    if days < 45:
        n = round(days)
        return Words(f"{n}日", "1 day" if n == 1 else f"{n} days")
    if days < 700:
        n = max(round(days / 30.4), 1)
        return Words(f"{n}か月", f"{n} months")
    n = round(days / 365)
    return Words(f"{n}年", f"{n} years")


def _forecast(battery: Battery) -> Words:
    days = battery.days or 0
    likely, low = span_words(days), span_words(battery.days_low or 0)
    if battery.days_high is None:
        ja, en = f"早ければ約{low.ja}後", f"at the earliest in about {low.en}"
    else:
        high = span_words(battery.days_high)
        ja, en = f"{low.ja}～{high.ja}", f"{low.en} to {high.en}"
    if days < 1:
        return Words(f"電池はまもなく切れます（{ja}）", f"empty any day now ({en})")
    return Words(f"電池切れの目安: 約{likely.ja}後（{ja}）", f"empty in about {likely.en} ({en})")


def _lasting(battery: Battery) -> Words:
    low = span_words(battery.days_low or 0)
    return Words(f"電池は少なくとも約{low.ja}もつ見込み", f"lasts at least about {low.en}")


_UNSURE: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "": Words("予測できません", "no forecast"),
        "few_days": Words(
            "予測できません: 電池の記録が3週間に足りません",
            "no forecast: fewer than three weeks of battery readings",
        ),
        "swapped": Words(
            "予測できません: 電池交換から3週間たっていません",
            "no forecast: fewer than three weeks since the battery was changed",
        ),
        "flat_cell": Words(
            "予測できません: この種の電池は切れる直前まで電圧が下がりません",
            "no forecast: the voltage of such a cell hardly falls until shortly before its end",
        ),
        "rising": Words(
            "予測できません: 電圧が下がっていません", "no forecast: the level is not falling"
        ),
    }
)
_STATES: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "empty": Words("電池が切れています", "the battery is empty"),
        "recharged": Words("充電式（太陽電池など）です", "recharged (a solar panel or a charger)"),
        "external": Words("外部電源です", "external power"),
        "none": Words("電池の値を送っていません", "sends no battery reading"),
    }
)

_Three = tuple[Words, Words, Words]
_AT_ONCE_DAYS: Final = 14
_UNITS: Final = {"Cel": "°C", "%RH": "%", "deg": "°"}


def _number(figures: Figures, key: str) -> float:
    value = figures.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _percent(figures: Figures, key: str) -> str:
    return f"{100 * _number(figures, key):.0f} %"


def _level(figures: Figures, key: str) -> str:
    return f"{_number(figures, key):.3g} {figures.get('unit') or 'V'}"


def _clock_span(seconds: float) -> Words:
    if seconds < 90:
        return Words(f"{seconds:.0f}秒", f"{seconds:.0f} s")
    if seconds < 5400:
        return Words(f"{seconds / 60:.0f}分", f"{seconds / 60:.0f} min")
    if seconds < 172_800:
        return Words(f"{seconds / 3600:.0f}時間", f"{seconds / 3600:.0f} h")
    return span_words(seconds / 86_400)


_QUANTITIES: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "water.level": Words("水位", "water level"),
        "water.distance": Words("水面までの距離", "distance to water"),
        "flood.depth": Words("浸水深", "flood depth"),
        "paddy.depth": Words("湛水深", "paddy depth"),
        "water.pressure": Words("水圧", "water pressure"),
        "water.flow": Words("流量", "flow"),
        "water.temperature": Words("水温", "water temperature"),
        "water.ec": Words("水の電気伝導度", "conductivity of the water"),
        "air.temperature": Words("気温", "air temperature"),
        "air.relativeHumidity": Words("湿度", "humidity"),
        "air.pressure": Words("気圧", "air pressure"),
        "air.co2": Words("二酸化炭素", "CO2"),
        "light.intensity": Words("照度", "light"),
        "wind.speed": Words("風速", "wind speed"),
        "wind.direction": Words("風向", "wind direction"),
        "soil.temperature": Words("地温", "soil temperature"),
        "soil.moisture": Words("土壌水分", "soil moisture"),
        "soil.ec": Words("土壌の電気伝導度", "conductivity of the soil"),
        "animal.temperature": Words("体温", "body temperature"),
        "tilt.angle": Words("傾斜", "tilt"),
    }
)


def _quantity(figures: Figures) -> Words:
    name = str(figures.get("quantity") or "")
    return _QUANTITIES.get(name, Words(name, name))


def _unit(figures: Figures) -> str:
    known = QUANTITIES.get(str(figures.get("quantity") or ""))
    return _UNITS.get(known.unit, known.unit) if known else ""


def _silent(figures: Figures) -> _Three:
    span = _clock_span(_number(figures, "silent_s"))
    return (
        Words("受信途絶", "Silent"),
        Words(f"{span.ja}受信していません", f"not heard for {span.en}"),
        Words(
            "電源・電池、通信、ゲートウェイを順に確かめてください。",
            "Check power or battery, radio and gateway, in this order.",
        ),
    )


def _never_heard(_figures: Figures) -> _Three:
    return (
        Words("一度も受信していません", "Never heard of"),
        Words("登録後、一度も届いていません", "nothing has come since it was registered"),
        Words(
            "電源、機器の登録（DevEUI・認証情報）、電波の届く範囲を確かめてください。",
            "Check its power, its registration (DevEUI, credential) and the radio coverage.",
        ),
    )


def _battery_empty(figures: Figures) -> _Three:
    now, end = _level(figures, "level"), _level(figures, "end")
    return (
        Words("電池切れ", "Battery empty"),
        Words(f"いま{now}、動作の下限は約{end}", f"{now} now; devices stop at about {end}"),
        Words("すぐに電池を交換してください。", "Change the battery now."),
    )


def _battery_soon(figures: Figures) -> _Three:
    days, low = _number(figures, "days"), _number(figures, "low")
    high = figures.get("high")
    likely, first = span_words(days), span_words(low)
    last = span_words(high) if isinstance(high, int | float) else None
    ja = f"{first.ja}～{last.ja}" if last else f"早ければ約{first.ja}後"
    en = f"{first.en} to {last.en}" if last else f"at the earliest in about {first.en}"
    now = _level(figures, "level")
    return (
        Words(f"電池交換の目安: 約{likely.ja}後", f"Battery: about {likely.en} left"),
        Words(f"いま{now}、切れるまで{ja}の見込み", f"{now} now; empty in {en}"),
        _change_within(days, first),
    )


def _change_within(days: float, first: Words) -> Words:
    if days <= _AT_ONCE_DAYS:
        return Words(
            "できるだけ早く電池を交換してください。", "Change the battery as soon as possible."
        )
    return Words(
        f"電池の交換を計画してください（早ければ{first.ja}で切れます）。",
        f"Plan to change the battery (it may be empty in {first.en}).",
    )


def _stuck(figures: Figures) -> _Three:
    what, span = _quantity(figures), _clock_span(_number(figures, "still_s"))
    value = f"{_number(figures, 'value'):.4g} {_unit(figures)}"
    return (
        Words(f"{what.ja}が動かない", f"Stuck: {what.en}"),
        Words(
            f"{span.ja}、{value}のまま（ほかの機器は変化しています）",
            f"at {value} for {span.en}, while others change",
        ),
        Words(
            "センサーの詰まり・断線・固定を現地で確かめてください。値を信用しないでください。",
            "Check on site for dirt, a broken cable or a jam. Do not trust its value.",
        ),
    )


def _noisy(figures: Figures) -> _Three:
    what = _quantity(figures)
    noise, usual = _number(figures, "noise"), _number(figures, "usual")
    unit = _unit(figures)
    ja = f"揺れ幅 {noise:.2g} {unit}" + (f"（ふだんは {usual:.2g} {unit}）" if usual else "")
    en = f"noise {noise:.2g} {unit}" + (f" (usually {usual:.2g} {unit})" if usual else "")
    return (
        Words(f"{what.ja}が乱れている", f"Noisy: {what.en}"),
        Words(ja, en),
        Words(
            "配線・接地・センサー面を確かめてください（落雷や浸水の後に多い故障です）。",
            "Check cable, earthing and the sensor's face (often after lightning or water).",
        ),
    )


def _implausible(figures: Figures) -> _Three:
    what, share = _quantity(figures), _percent(figures, "share")
    return (
        Words(f"{what.ja}にありえない値が多い", f"Implausible values: {what.en}"),
        Words(f"3日間の値の{share}", f"{share} of the values of three days"),
        Words(
            "センサーの故障か設定（単位・換算）の誤りです。値と現地を見比べてください。",
            "A broken sensor, or wrong units. Compare its values with the site.",
        ),
    )


def _gaps(figures: Figures) -> _Three:
    came, gap = _percent(figures, "share"), _clock_span(_number(figures, "longest_gap_s"))
    return (
        Words("データが抜けている", "Data is missing"),
        Words(
            f"この1週間に届いたのは予定の{came}、最長{gap.ja}の欠測",
            f"{came} of a week's data came; longest gap {gap.en}",
        ),
        Words(
            "電波の状態と電源を確かめてください。",
            "Check the radio link and the power.",
        ),
    )


def _lost(figures: Figures) -> _Three:
    lost, share = f"{_number(figures, 'lost'):.0f}", _percent(figures, "share")
    return (
        Words("通信が失われている", "Messages are lost"),
        Words(
            f"この1週間に{lost}通（{share}）が届いていません",
            f"{lost} messages ({share}) of a week never came",
        ),
        Words(
            "アンテナの向き・障害物、またはゲートウェイの増設を検討してください。",
            "Check the antenna and what stands in the way, or add a gateway.",
        ),
    )


def _link_weak(figures: Figures) -> _Three:
    is_edge = figures.get("margin") == "edge"
    parts = [
        f"{name} {_number(figures, key):.0f} {unit}"
        for name, key, unit in (("RSSI", "rssi", "dBm"), ("SNR", "snr", "dB"))
        if figures.get(key) is not None
    ]
    measured = ", ".join(parts) or "-"
    return (
        Words("電波が届く限界" if is_edge else "電波が弱い", "Weak radio link"),
        Words(f"弱いとき（下位10 %）{measured}", f"in its weak hours (lowest tenth): {measured}"),
        Words(
            "アンテナを高く、見通しのよい所へ。雨や葉の茂る季節に途絶えるおそれがあります。",
            "Raise or move the antenna. Rain and leaves may silence it.",
        ),
    )


def _single_gateway(figures: Figures) -> _Three:
    name = str(figures.get("gateway") or "")
    return (
        Words("ゲートウェイ1台に依存", "Hangs on one gateway"),
        Words(f"{name} だけで受信しています", f"heard through {name} alone"),
        Words("そのゲートウェイが止まると途絶えます。", "When that gateway stops, it is silent."),
    )


def _clock_missing(figures: Figures) -> _Three:
    share = _percent(figures, "share")
    return (
        Words("時計が合っていない", "No usable clock"),
        Words(
            f"値の{share}に使える時刻がありません（受信時刻で記録）",
            f"{share} of its readings bring no usable time (kept by time of receipt)",
        ),
        Words(
            "時刻合わせと、時計用電池を確かめてください。",
            "Set the clock; check its backup battery.",
        ),
    )


def _clock_off(figures: Figures) -> _Three:
    late_s = _number(figures, "late_s")
    span = _clock_span(abs(late_s))
    ja, en = ("遅れ", "slow") if late_s > 0 else ("進み", "fast")
    return (
        Words(f"時計が{span.ja}{ja}", f"Clock {span.en} {en}"),
        Words(
            f"受信時刻と比べて{span.ja}{ja}（通信の遅れを含む）",
            f"{span.en} {en} against the time of receipt (transmission included)",
        ),
        Words("時刻を合わせてください。", "Set the clock."),
    )


def _clock_drift(figures: Figures) -> _Three:
    drift = _number(figures, "drift")
    ja, en = ("遅れ", "loses") if drift > 0 else ("進み", "gains")
    return (
        Words("時計がずれていく", "Clock drifts"),
        Words(f"1日に{abs(drift):.0f}秒の{ja}", f"{en} {abs(drift):.0f} s a day"),
        Words(
            "時刻の自動合わせ（NTP・ネットワーク）が働いているか確かめてください。",
            "Check that it sets its clock by the network.",
        ),
    )


def _interval_differs(figures: Figures) -> _Three:
    expected = _clock_span(_number(figures, "expected_s"))
    usual = _clock_span(_number(figures, "usual_s"))
    return (
        Words("送信間隔が登録と違う", "Interval differs from the registry"),
        Words(
            f"登録は{expected.ja}ごと、実際は{usual.ja}ごと",
            f"registered {expected.en}, really {usual.en}",
        ),
        Words(
            "登録か機器の設定を直してください。",
            "Correct the registry or the device's setting.",
        ),
    )


def _firmware_old(figures: Figures) -> _Three:
    version, newest = str(figures.get("version")), str(figures.get("newest"))
    return (
        Words("ファームウェアが古い", "Firmware is not the newest"),
        Words(
            f"{version}（同じ型の最新は {newest}）",
            f"{version} (others of the model have {newest})",
        ),
        Words("点検のときに更新してください。", "Update it at the next visit."),
    )


_WORDS: Final[Mapping[Code, Callable[[Figures], _Three]]] = MappingProxyType(
    {
        "silent": _silent,
        "never_heard": _never_heard,
        "battery_empty": _battery_empty,
        "battery_soon": _battery_soon,
        "stuck": _stuck,
        "noisy": _noisy,
        "implausible": _implausible,
        "gaps": _gaps,
        "lost": _lost,
        "link_weak": _link_weak,
        "single_gateway": _single_gateway,
        "clock_missing": _clock_missing,
        "clock_off": _clock_off,
        "clock_drift": _clock_drift,
        "interval_differs": _interval_differs,
        "firmware_old": _firmware_old,
    }
)
