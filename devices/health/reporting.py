"""Whether a device reports as often as it should: share of a week, longest gap, lost numbers.

Silence and its alarms are the engine's; here is what a week looked like. Refuses to know rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.health.days import DAY_MS, DEVICE, day_of, missing_samples
from devices.readings import Float64s, Int64s

WEEK_DAYS: Final = 7
_CALM_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Reporting:
    """``share`` (0..1) of the expected samples that came since ``since`` (ms UTC, at most a week).

    ``expected_s``: the interval they are expected at; ``usual_s``: what it really is. ``lost``:
    numbered messages (or radio frames) that never came; ``lost_share`` of all, where known.
    ``silent_s``: for how long it has not been heard.
    """

    share: float | None = None
    since: int | None = None
    expected_s: float | None = None
    usual_s: float | None = None
    longest_gap_s: float | None = None
    silent_s: float | None = None
    lost: int = 0
    lost_share: float | None = None


def expected_interval_s(
    device_days: Float64s, interval_s: float, silence_after_s: float, *, is_adaptive: bool
) -> float:
    """The interval at which samples are to be expected.

    A device whose interval follows its state (a gauge that reports once a day when the river is
    low) is measured by what it usually does, within what the registry allows.
    """
    if not is_adaptive:
        return interval_s
    gaps = device_days[:, DEVICE["usual_gap_s"]]
    gaps = gaps[np.isfinite(gaps)]
    usual = float(np.quantile(gaps, _CALM_SHARE)) if len(gaps) else interval_s
    return float(np.clip(usual, interval_s, max(silence_after_s / 2.0, interval_s)))


def reporting(
    day: Int64s,
    device_days: Float64s,
    *,
    now: int,
    in_service_since: int,
    expected_s: float,
    heard_at: int | None,
    lost: int = 0,
    frames: int = 0,
) -> Reporting:
    """Judge the last seven days from device-days; gaps across midnight and the present one count.

    ``frames``: how many numbered frames came beside the ``lost`` ones, 0 where not known.
    """
    silent_s = None if heard_at is None else max(now - heard_at, 0) / 1000.0
    start = max(now - WEEK_DAYS * DAY_MS, in_service_since)
    is_week = (day >= day_of(start)) & (day <= day_of(now))
    at, figures = day[is_week], device_days[is_week]
    lost_share = lost / (lost + frames) if frames else None
    said = Reporting(
        expected_s=expected_s, silent_s=silent_s, lost=lost, lost_share=lost_share, since=start
    )
    if now - start < 2000 * expected_s:
        return Reporting(silent_s=silent_s, lost=lost, lost_share=lost_share)
    samples = np.nan_to_num(figures[:, DEVICE["samples"]])
    has_any = samples > 0
    gaps = _gaps_between_days(at[has_any], figures[has_any], start, now)
    inside = np.nan_to_num(figures[has_any][:, DEVICE["missing"]]).sum()
    missing = float(inside + missing_samples(gaps, expected_s).sum())
    expected = (now - start) / 1000.0 / expected_s
    longest = np.nan_to_num(figures[has_any][:, DEVICE["longest_gap_s"]])
    usual = figures[has_any][:, DEVICE["usual_gap_s"]]
    usual = usual[np.isfinite(usual)]
    return Reporting(
        share=round(float(np.clip(1.0 - missing / expected, 0.0, 1.0)), 4),
        since=start,
        expected_s=expected_s,
        usual_s=round(float(np.median(usual)), 1) if len(usual) else None,
        longest_gap_s=round(max(float(longest.max(initial=0.0)), float(gaps.max(initial=0.0))), 1),
        silent_s=said.silent_s,
        lost=lost,
        lost_share=None if lost_share is None else round(lost_share, 4),
    )


def _gaps_between_days(day: Int64s, figures: Float64s, start: int, now: int) -> Float64s:
    """Gaps (s) that no single day holds: before the first day, over midnights, up to now."""
    first = day * (DAY_MS / 1000.0) + figures[:, DEVICE["first_s"]]
    last = day * (DAY_MS / 1000.0) + figures[:, DEVICE["last_s"]]
    begins = np.append(start / 1000.0, last)
    ends = np.append(first, now / 1000.0)
    gaps: Float64s = np.maximum(ends - begins, 0.0)
    return gaps
