"""Quantiles and differences of many short groups at once, without a loop over the groups.

Rows of a group need not stand together. Refuses to know what the groups are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.readings import Float64s, Int64s, is_first_of_group

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Groups:
    """``count`` groups numbered from 0; ``of`` is the group of each row."""

    of: Int64s
    count: int

    def take(self, rows: Mask) -> Groups:
        """The same groups with the chosen rows; some may be empty now."""
        return Groups(self.of[rows], self.count)

    def sizes(self) -> Int64s:
        """How many rows each group has."""
        return np.bincount(self.of, minlength=self.count).astype(np.int64)


def groups_of(ids: Int64s) -> tuple[Int64s, Groups]:
    """The distinct ids, ascending, and the rows grouped by them."""
    distinct, of = np.unique(ids, return_inverse=True)
    return distinct, Groups(of.astype(np.int64), len(distinct))


def quantiles(values: Float64s, groups: Groups, *shares: float) -> list[Float64s]:
    """The quantiles ``shares`` (0..1, linear between rows) of each group; NaN of an empty one."""
    order = np.lexsort((values, groups.of))
    ordered = values[order]
    sizes = groups.sizes()
    starts = np.cumsum(sizes) - sizes
    found = []
    for share in shares:
        result = np.full(groups.count, np.nan)
        is_full = sizes > 0
        place = share * (sizes[is_full] - 1)
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        below, above = ordered[starts[is_full] + low], ordered[starts[is_full] + high]
        result[is_full] = below + (above - below) * (place - low)
        found.append(result)
    return found


def median(values: Float64s, groups: Groups) -> Float64s:
    """The median of each group; NaN of an empty one."""
    return quantiles(values, groups, 0.5)[0]


def firsts_and_lasts(ordered_groups: Int64s) -> tuple[Mask, Mask]:
    """Masks of the first and last row of each group, for rows that stand grouped."""
    is_first = is_first_of_group(ordered_groups)
    return is_first, np.append(is_first[1:], True)[: len(is_first)]
