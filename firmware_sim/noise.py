"""Randomness without state: hashes of (seed, stream, keys), so that any order of asking agrees.

All functions work elementwise on arrays of one length (or length 1). Refuses to know what is
random: a ``stream`` is just a number that keeps two uses of the same keys apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.readings import Float64s

_MASK = (1 << 64) - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014); wraps by design."""
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


@lru_cache(maxsize=4096)
def _start(seed: int, stream: int) -> NDArray[np.uint64]:
    start = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 1) & _MASK
    mixed = _mix(np.array([start], np.uint64))
    mixed.flags.writeable = False
    return mixed


def _keys(value: ArrayLike) -> NDArray[np.uint64]:
    return np.atleast_1d(np.asarray(value, np.int64)).view(np.uint64)


def uniform(seed: int, stream: int, *keys: ArrayLike) -> Float64s:
    """Numbers in [0, 1) that depend on seed, stream and the integer keys alone."""
    x = _start(seed, stream)
    for key in keys:
        x = _mix(x + _GOLDEN * (_keys(key) + np.uint64(1)))
    return (x >> _S11).astype(np.float64) * 2.0**-53


def between(low: float, high: float, seed: int, stream: int, *keys: ArrayLike) -> Float64s:
    """Numbers in [low, high)."""
    return low + (high - low) * uniform(seed, stream, *keys)


def normal(seed: int, stream: int, *keys: ArrayLike) -> Float64s:
    """Standard normal numbers (Box-Muller), at most 8.6 from zero."""
    u = 1.0 - uniform(seed, stream, 1, *keys)
    v = uniform(seed, stream, 2, *keys)
    return np.asarray(np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v), np.float64)


def smooth(seed: int, stream: int, key: ArrayLike, time: Float64s, period: float) -> Float64s:
    """Noise in [-1, 1] that wanders over ``time`` (any unit) with knots every ``period``."""
    position = time / period
    knot = np.floor(position)
    fraction = position - knot
    number = knot.astype(np.int64)
    blend = fraction * fraction * (3.0 - 2.0 * fraction)
    low = uniform(seed, stream, key, number)
    high = uniform(seed, stream, key, number + 1)
    return 2.0 * (low + (high - low) * blend) - 1.0
