"""One day of readings as a few figures a series and a device: what all judgements are made of.

Readings are looked at once; weeks and years are looked at through their days::

    readings of a day ──▶ SeriesDays  count, low, median, high, noise, when it changed …
                      └─▶ DeviceDays  samples, gaps, how late, whether it has a clock

A day is one of UTC: [day x 86,400,000, +86,400,000) ms. Pure: the same readings in any order, and
repeated ones, give the same. Refuses to know what the figures mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.health.grouped import Groups, firsts_and_lasts, groups_of, median, quantiles
from devices.readings import Float64s, Int32s, Int64s, Quality, Readings

DAY_MS: Final = 86_400_000
PROMPT_S: Final = 60.0
"""How much later than the day's most prompt messages one may come and still tell of the clock."""

_NOT_MEASURED: Final = np.uint8(Quality.RANGE | Quality.EXERCISE)
_IMPLAUSIBLE: Final = np.uint8(Quality.RANGE | Quality.SPIKE)
_MAD: Final = 1.4826
_LATE_SHARE: Final = 0.1

SERIES_FIGURES: Final = (
    "count", "low", "median", "high", "noise", "implausible", "first", "last",
    "first_change_s", "last_change_s",
)  # fmt: skip
"""Columns of a series-day. ``low`` and ``high``: 10th and 90th percentile; ``noise``: a standard
deviation from second differences; ``implausible``: share of readings out of range or spikes;
``first_change_s`` and ``last_change_s``: seconds into the day of the first and last reading that
differs from the one before it, NaN where none does."""

DEVICE_FIGURES: Final = (
    "samples", "first_s", "last_s", "usual_gap_s", "longest_gap_s", "missing", "late_s", "prompt",
    "without_clock",
)  # fmt: skip
"""Columns of a device-day. ``samples``: distinct times of measurement; ``first_s``, ``last_s``:
seconds into the day; gaps between samples; ``missing``: samples that did not come between first and
last; ``late_s``: received_at - measured_at, median of ``prompt`` messages; ``without_clock``:
share of readings that brought no usable time."""

SERIES: Final = {name: column for column, name in enumerate(SERIES_FIGURES)}
DEVICE: Final = {name: column for column, name in enumerate(DEVICE_FIGURES)}


def day_of(at: int) -> int:
    """The day (UTC, since 1970) of a moment in ms UTC."""
    return at // DAY_MS


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one day: a row of ``SERIES_FIGURES`` a series, of ``DEVICE_FIGURES`` a device."""

    day: int
    series: Int64s
    of_series: Float64s
    device: Int64s
    of_device: Float64s


def summarise(readings: Readings, day: int, device_of: Int32s, expected_gap_s: Float64s) -> Summary:
    """The figures of one day, from the readings measured on it (others are left out).

    ``device_of`` gives the device id by series id (-1: none), ``expected_gap_s`` the interval at
    which a device is expected to measure, by device id.
    """
    start_at = day * DAY_MS
    is_of_day = (readings.measured_at >= start_at) & (readings.measured_at < start_at + DAY_MS)
    is_of_day &= np.isfinite(readings.value)
    is_of_day &= device_of[readings.series] >= 0
    chosen = readings.take(is_of_day)
    series, of_series = _series_days(chosen, start_at)
    device, of_device = _device_days(chosen, start_at, device_of, expected_gap_s)
    return Summary(day, series, _as_kept(of_series), device, _as_kept(of_device))


def _as_kept(figures: Float64s) -> Float64s:
    """Seven digits, as they are kept: so that today's figures compare with yesterday's."""
    return figures.astype(np.float32).astype(np.float64)


def _series_days(readings: Readings, start_at: int) -> tuple[Int64s, Float64s]:
    distinct, everything = groups_of(readings.series.astype(np.int64))
    figures = np.full((len(distinct), len(SERIES_FIGURES)), np.nan)
    is_doubted = (readings.quality & _IMPLAUSIBLE) != 0
    sizes = np.maximum(everything.sizes(), 1)
    figures[:, SERIES["implausible"]] = everything.take(is_doubted).sizes() / sizes
    is_measured = (readings.quality & _NOT_MEASURED) == 0
    order = np.lexsort((readings.value, readings.measured_at, everything.of))
    order = order[is_measured[order]]
    groups = Groups(everything.of[order], len(distinct))
    at_s = (readings.measured_at[order] - start_at) / 1000.0
    value = readings.value[order]
    figures[:, SERIES["count"]] = groups.sizes()
    low, mid, high = quantiles(value, groups, 0.1, 0.5, 0.9)
    for name, column in (("low", low), ("median", mid), ("high", high)):
        figures[:, SERIES[name]] = column
    figures[:, SERIES["noise"]] = _noise(at_s, value, groups)
    _note_ends(figures, at_s, value, groups)
    return distinct, figures


def _noise(at_s: Float64s, value: Float64s, groups: Groups) -> Float64s:
    """Standard deviation of the noise, from how far a reading is off the line of its neighbours.

    A ramp, however steep, has none; a flood is curved only where it turns, and the median does not
    see that. Needs rows that stand grouped and by time; NaN with fewer than three.
    """
    if len(value) < 3:
        return np.full(groups.count, np.nan)
    before, here, after = slice(None, -2), slice(1, -1), slice(2, None)
    span = at_s[after] - at_s[before]
    is_inside = (groups.of[before] == groups.of[after]) & (span > 0)
    share = np.divide(at_s[here] - at_s[before], span, out=np.zeros_like(span), where=is_inside)
    line = value[before] + share * (value[after] - value[before])
    spread = np.sqrt(1.0 + share**2 + (1.0 - share) ** 2)
    off = np.abs(value[here] - line) / spread
    return _MAD * median(off[is_inside], Groups(groups.of[here][is_inside], groups.count))


def _note_ends(figures: Float64s, at_s: Float64s, value: Float64s, groups: Groups) -> None:
    """First and last value, and when it changed first and last; rows grouped and by time."""
    if len(value) == 0:
        return
    is_first, is_last = firsts_and_lasts(groups.of)
    figures[groups.of[is_first], SERIES["first"]] = value[is_first]
    figures[groups.of[is_last], SERIES["last"]] = value[is_last]
    is_change = ~is_first
    is_change[1:] &= value[1:] != value[:-1]
    of, at = groups.of[is_change], at_s[is_change]
    if len(of):
        is_first, is_last = firsts_and_lasts(of)
        figures[of[is_first], SERIES["first_change_s"]] = at[is_first]
        figures[of[is_last], SERIES["last_change_s"]] = at[is_last]


def _device_days(
    readings: Readings, start_at: int, device_of: Int32s, expected_gap_s: Float64s
) -> tuple[Int64s, Float64s]:
    device = device_of[readings.series].astype(np.int64)
    distinct, groups = groups_of(device)
    figures = np.full((len(distinct), len(DEVICE_FIGURES)), np.nan)
    _note_gaps(figures, groups, readings.measured_at - start_at, expected_gap_s[distinct])
    has_no_clock = (readings.quality & np.uint8(Quality.CLOCK)) != 0
    sizes = np.maximum(groups.sizes(), 1)
    figures[:, DEVICE["without_clock"]] = groups.take(has_no_clock).sizes() / sizes
    timed = groups.take(~has_no_clock)
    late_s, prompt = _lateness(readings.take(~has_no_clock), timed)
    figures[:, DEVICE["late_s"]] = late_s
    figures[:, DEVICE["prompt"]] = prompt
    return distinct, figures


def _note_gaps(figures: Float64s, groups: Groups, at_ms: Int64s, expected_s: Float64s) -> None:
    """Samples and the gaps between them. A gap of three intervals lacks two samples."""
    keys = np.unique(groups.of * DAY_MS + at_ms)
    of, at_s = keys // DAY_MS, (keys % DAY_MS) / 1000.0
    figures[:, DEVICE["samples"]] = np.bincount(of, minlength=groups.count)
    if len(of) == 0:
        return
    is_first, is_last = firsts_and_lasts(of)
    figures[of[is_first], DEVICE["first_s"]] = at_s[is_first]
    figures[of[is_last], DEVICE["last_s"]] = at_s[is_last]
    gap_s = np.diff(at_s)[~is_first[1:]]
    gaps = Groups(of[1:][~is_first[1:]], groups.count)
    usual, longest = quantiles(gap_s, gaps, 0.5, 1.0)
    figures[:, DEVICE["usual_gap_s"]] = usual
    figures[:, DEVICE["longest_gap_s"]] = longest
    missing = missing_samples(gap_s, expected_s[gaps.of])
    figures[:, DEVICE["missing"]] = np.bincount(gaps.of, missing, minlength=groups.count)


def missing_samples(gap_s: Float64s, expected_s: Float64s | float) -> Float64s:
    """How many samples should have come inside each gap, at the expected interval."""
    missing: Float64s = np.maximum(np.round(gap_s / expected_s) - 1.0, 0.0)
    return missing


def _lateness(readings: Readings, groups: Groups) -> tuple[Float64s, Float64s]:
    """Median of received - measured (s) over the prompt messages, and how many they are.

    Of a message with several samples the newest one tells; a message that waited for coverage is
    not prompt::

        late by   2  2  3  2 | 7,400  3,600  |  2  3       the clock is about 2 s behind ours
                             └ a backlog
    """
    order = np.lexsort((readings.measured_at, readings.received_at, groups.of))
    of = groups.of[order]
    received_at = readings.received_at[order]
    is_newest = np.ones(len(order), np.bool_)
    if len(order):
        is_newest[:-1] = (of[1:] != of[:-1]) | (received_at[1:] != received_at[:-1])
    newest = Groups(of[is_newest], groups.count)
    late_s = (received_at - readings.measured_at[order])[is_newest] / 1000.0
    promptest = quantiles(late_s, newest, _LATE_SHARE)[0]
    is_prompt = np.abs(late_s - promptest[newest.of]) <= PROMPT_S
    prompt = newest.take(is_prompt)
    return median(late_s[is_prompt], prompt), prompt.sizes().astype(np.float64)
