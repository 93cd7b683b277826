"""How well a device is heard: its weakest hours of a week, and through how many gateways.

Refuses to know network servers. LoRa demodulates down to an SNR of -20 dB at SF12 and -7.5 dB at
SF7 (Semtech SX1276 data sheet, table 13); receivers end at about -137 to -123 dBm. The limits here
leave some decibels for rain, leaves and parked cars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from devices.health.days import SERIES
from devices.readings import Float64s

Margin = Literal["good", "fair", "weak", "edge"]
_ORDER: Final[tuple[Margin, ...]] = ("good", "fair", "weak", "edge")
_RSSI: Final = (-105.0, -113.0, -119.0)
_SNR: Final = (-3.0, -10.0, -15.0)
_MARGIN: Final = (10.0, 5.0, 2.0)  # LoRaWAN DevStatusAns, dB
_ALONE_SHARE: Final = 0.98
_FEWEST_UPLINKS: Final = 20.0


@dataclass(frozen=True, slots=True)
class GatewayLink:
    """How a device is heard through one gateway; ``share`` (0..1) of what all of them hear."""

    gateway: str
    share: float
    rssi: float | None = None
    snr: float | None = None
    last_heard_at: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A week's link: median and weak (10th percentile) RSSI (dBm) and SNR (dB).

    ``margin`` None: nothing is known. ``hangs_on`` names the gateway through which nearly all of it
    comes, where there are others that could be heard.
    """

    margin: Margin | None = None
    rssi: float | None = None
    rssi_weak: float | None = None
    snr: float | None = None
    snr_weak: float | None = None
    margin_db: float | None = None
    gateways: tuple[GatewayLink, ...] = ()
    hangs_on: str | None = None


def link(
    rssi_days: Float64s | None,
    snr_days: Float64s | None,
    *,
    gateways: Sequence[GatewayLink] = (),
    uplinks: float = 0.0,
    gateways_there: int = 0,
    margin_db: float | None = None,
) -> Link:
    """The link from the series-days (`days.SERIES_FIGURES`) of a week; None: no such series.

    ``uplinks`` is how many messages ``gateways`` stand for; ``gateways_there``: how many gateways
    the installation has. The worst of what is known decides.
    """
    rssi, rssi_weak = _of_week(rssi_days)
    snr, snr_weak = _of_week(snr_days)
    limits = ((rssi_weak, _RSSI), (snr_weak, _SNR), (margin_db, _MARGIN))
    known = [_rank(value, steps) for value, steps in limits if value is not None]
    is_alone = gateways_there > 1 and uplinks >= _FEWEST_UPLINKS
    best = max(gateways, key=lambda one: (one.share, one.gateway), default=None)
    return Link(
        _ORDER[max(known)] if known else None,
        rssi,
        rssi_weak,
        snr,
        snr_weak,
        margin_db,
        tuple(sorted(gateways, key=lambda one: (-one.share, one.gateway))),
        best.gateway if best and is_alone and best.share >= _ALONE_SHARE else None,
    )


def _rank(value: float, steps: tuple[float, ...]) -> int:
    return sum(value < step for step in steps)


def _of_week(days: Float64s | None) -> tuple[float | None, float | None]:
    """Median and 10th percentile of a week, from those of its days.

    Each day counts by its readings: a tenth of them stands at its low, eight tenths at its median,
    a tenth at its high.
    """
    if days is None or len(days) == 0:
        return None, None
    count = np.nan_to_num(days[:, SERIES["count"]])
    if count.sum() == 0:
        return None, None
    columns = [days[:, SERIES[name]] for name in ("low", "median", "high")]
    value = np.concatenate(columns)
    weight = np.concatenate([count * share for share in (0.2, 0.6, 0.2)])
    is_known = np.isfinite(value) & (weight > 0)
    return (
        weighted_quantile(value[is_known], weight[is_known], 0.5),
        weighted_quantile(value[is_known], weight[is_known], 0.1),
    )


def weighted_quantile(value: Float64s, weight: Float64s, share: float) -> float | None:
    """The lowest value below or at which at least ``share`` of the weight lies; None of none."""
    if len(value) == 0:
        return None
    order = np.argsort(value, kind="stable")
    reached = np.cumsum(weight[order])
    row = int(np.searchsorted(reached, share * reached[-1] * (1 - 1e-12)))
    return round(float(value[order][min(row, len(order) - 1)]), 1)
