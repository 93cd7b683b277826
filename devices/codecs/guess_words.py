"""What vendors call things: words of field names, English and Japanese, and what they speak for.

Vocabulary only; how a guess is made of it is `devices.codecs.guess`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SYNONYMS: Final = {
    "temperature": "temperature temp tempc temps temperatur temperatura température tmp celsius",
    "humidity": "humidity hum humi rh relhum humidité",
    "moisture": "moisture vwc volumetric moist",
    "battery": "battery bat batt vbat akku accu vdd",
    "voltage": "voltage volt volts spannung",
    "level": "level percent percentage pct soc charge remaining capacity lvl",
    "distance": "distance dist ullage ultrasonic sonar",
    "water": "water wasser",
    "soil": "soil ground earth substrate",
    "air": "air ambient room outdoor",
    "depth": "depth",
    "height": "height",
    "volume": "volume consumption totalizer totaliser volumen",
    "total": "total accumulated cumulative accumulation sum totalized cumulated acc",
    "reverse": "reverse backflow backward negative",
    "flow": "flow flowrate debit",
    "meter": "meter",
    "pressure": "pressure press baro barometer barometric pres atmospheric atmosphere atomsphere",
    "co2": "co2 carbondioxide eco2",
    "light": "light lux illuminance illumination illum brightness",
    "rain": "rain rainfall precipitation",
    "rate": "rate intensity hourly speed",
    "wind": "wind",
    "direction": "direction dir",
    "latitude": "latitude lat",
    "longitude": "longitude lon lng long",
    "conductivity": "ec conductivity conduct conductance",
    "leak": "leak leakage waterleak leaking",
    "flood": "flood flooding flooded",
    "door": "door contact magnet reed hall window magnetic",
    "open": "open opened opening",
    "closed": "close closed",
    "tamper": "tamper tampered tampering",
    "valve": "valve",
    "gate": "gate sluice",
    "pulse": "pulse pulses pulsecount",
    "angle": "angle inclination",
    "animal": "animal body rumen vaginal",
}
_JAPANESE: Final = {
    "電池電圧": "battery voltage", "電池残量": "battery level", "バッテリー残量": "battery level",
    "バッテリ残量": "battery level", "電池": "battery", "バッテリー": "battery",
    "バッテリ": "battery",
    "電圧": "voltage", "残量": "level", "気温": "air temperature", "水温": "water temperature",
    "地温": "soil temperature", "体温": "animal temperature", "温度": "temperature",
    "湿度": "humidity", "土壌水分": "soil moisture", "含水率": "soil moisture", "土壌": "soil",
    "水分": "moisture", "浸水深": "water depth", "水位": "water level", "水深": "water depth",
    "浸水": "flood", "冠水": "flood", "距離": "distance", "積算流量": "total volume",
    "積算": "total volume", "使用量": "volume", "指針": "volume", "検針": "volume",
    "瞬時流量": "flow", "流量": "flow", "逆流": "reverse", "漏水": "leak", "水圧": "water pressure",
    "気圧": "air pressure",
    "圧力": "pressure", "照度": "light", "二酸化炭素": "co2", "炭酸ガス": "co2", "雨量": "rain",
    "降水量": "rain", "風速": "wind rate", "風向": "wind direction", "緯度": "latitude",
    "経度": "longitude", "電気伝導度": "conductivity", "扉": "door", "ドア": "door", "開閉": "door",
    "弁": "valve", "水門": "gate", "開度": "open", "傾斜": "angle", "累計": "total",
    "累積": "total",
    "最大": "max", "最小": "min", "平均": "average", "閾値": "threshold", "警報": "alarm",
}  # fmt: skip

_NEUTRAL: Final = _split(
    """value values val data sensor sensors measured measurement measurements reading readings
    payload object decoded bytes result results current actual now present instant internal onboard
    sht sht2x sht3x ds ds18 b n x status state states is of the in a channel ch messages
    metering monitor external probe ext device app object info telemetry report detected detection
    relative rel environment content concentration tilt at onboard deg"""
)
"""Words that say nothing of what is measured."""

_FOREIGN: Final = _split(
    """alarm alarms alert threshold limit min max minimum maximum high low set setpoint target
    config configuration interval period mode type unit version change changed delta diff trend
    error fault raw adc calibration offset timestamp time date duration number id address delay
    board chip mcu cpu core processor history previous last old event events flag flags dew dewpoint
    point feels heat gust std stddev deviation enabled enable resolution sample samples debug name
    displayname motor return inlet outlet supply surface wall hysteresis switch mask times
    percentile variance crc rssi snr port serial firmware hardware calculated reference ref
    day month year hour minute second hours minutes seconds yesterday noise voc tvoc pm particulate
    radiation solar uv chlorine ph orp oxygen turbidity current_a ampere amp power energy
    frequency backlog queue retry buffer message counts trip count compensation
    coefficient gain slope factor divisor multiplier max_alarm limit_value quality accuracy
    occupancy people person weight load bounce button rotation tank fill filling failure
    inactivity lightning leaf head outer life eol payloadmask globe capacitor supercap circuit"""
)
"""Words that make of a value something else than the reading itself."""

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {word: concept for concept, words in _SYNONYMS.items() for word in words.split()}
)
_PIECES: Final = re.compile(
    r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-zà-öø-ÿ]+|[A-Z]+|\d+|[^\W\d_a-zA-Zà-öø-ÿ]+|%|°"
)
_JAPANESE_FIRST: Final = sorted(_JAPANESE, key=len, reverse=True)
_TOGETHER: Final = (
    (" co 2 ", " co2 "), (" pulse count ", " pulsecount "), (" m 3 ", " m3 "),
    (" mm h ", " mm/h "), (" us cm ", " us/cm "), (" dm 3 ", " l "), (" l h ", " lph "),
    (" l min ", " lpm "), (" m v ", " mv "), (" h pa ", " hpa "), (" k pa ", " kpa "),
    (" supply voltage ", " battery voltage "),
)  # fmt: skip
_UNITS: Final = _split(
    "mv v mm cm dm m ft l litre litres liter liters ml m3 gal gallons c degc f degf k hpa kpa pa "
    "mbar bar psi pct percent perc lux lx ppm mps kmh kph lph lpm lps mm/h us/cm"
)


def words_of(key: str) -> tuple[list[str], str]:
    """The words of a field's name in lower case, known ones as their concept, and its unit or "".

    ``TempC_SHT`` → ([temperature, sht], "c"); ``battery_mv`` → ([battery], "mv").
    """
    pieces = _joined([piece.lower() for piece in _PIECES.findall(key[:200])])
    unit = ""
    words: list[str] = []
    for number, piece in enumerate(pieces):
        if piece in _UNITS and number > 0 and (not unit or number == len(pieces) - 1):
            unit = piece
        else:
            words += _concepts(piece)
    return words, unit


def _joined(pieces: list[str]) -> list[str]:
    """``co 2`` → co2, ``m 3`` → m3, ``l h`` → lph; numbers otherwise say nothing."""
    text = f" {' '.join(pieces)} "
    for apart, joined in _TOGETHER:
        text = text.replace(apart, joined)
    return [piece for piece in text.split() if not piece.isdigit()]


def _concepts(piece: str) -> list[str]:
    if piece.isascii():
        return [_WORDS[piece]] if piece in _WORDS else _compound(piece)
    found = []
    for word in _JAPANESE_FIRST:
        if word in piece:
            found += _JAPANESE[word].split()
            piece = piece.replace(word, "")
    return found or [_WORDS.get(piece, piece)]


def _compound(piece: str) -> list[str]:
    """``waterlevel`` → [water, level]; what is no compound of known words stays as it is."""
    if not is_foreign(piece) and piece not in _NEUTRAL:
        for cut in range(2, len(piece) - 1):
            head, tail = piece[:cut], piece[cut:]
            if head in _WORDS and (tail in _WORDS or tail in _NEUTRAL or is_foreign(tail)):
                return [_WORDS[head], _WORDS.get(tail, tail)]
    return [piece]


def is_neutral(word: str) -> bool:
    """Whether a word says nothing of what is measured."""
    return word in _NEUTRAL or len(word) == 1


def is_foreign(word: str) -> bool:
    """Whether a word makes of a value something else than a reading: a limit, a setting."""
    return word in _FOREIGN
