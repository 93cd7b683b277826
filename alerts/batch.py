"""A batch of readings as the engine looks at it before any rule does. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.evaluator import Fresh
from devices.readings import (
    Indices,
    Int64s,
    Quality,
    Readings,
    grouped_rows,
    is_first_of_group,
    preceding,
)

_DRILL: Final = np.uint8(Quality.EXERCISE)


def by_our_clock(batch: Readings) -> Readings:
    """The same readings, none measured after we had it, in columns of their own.

    One that is ahead would make all that follow late, and rules blind, until our clock has come
    as far.
    """
    return replace(batch, measured_at=np.minimum(batch.measured_at, batch.received_at))


def fresh_of(batch: Readings, rows: Indices) -> Fresh:
    """Some readings of a batch, for rules to step with."""
    readings = batch if len(rows) == len(batch) else batch.take(rows)
    is_drill = (readings.quality & _DRILL) != 0
    is_suspect = readings.is_suspect
    return Fresh(rows, readings, is_suspect, is_drill, bool(is_suspect.any()), bool(is_drill.any()))


def is_in_order(batch: Readings, newest: Int64s) -> NDArray[np.bool_]:
    """Mask of the readings that are newer than the one before of their series.

    ``newest`` is the event time of the newest known reading by series id.
    """
    order = grouped_rows(batch.series)
    series, at = batch.series[order], batch.measured_at[order]
    before = np.where(is_first_of_group(series), newest[series], preceding(at))
    in_order = np.empty(len(batch), np.bool_)
    in_order[order] = at > before
    return in_order
