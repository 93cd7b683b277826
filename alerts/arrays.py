"""State as named arrays, and whether arrays from a file can be such a state at all.

A snapshot of another release may lack arrays, have others, or have them in other shapes; it must
be refused before anything is built from it. Refuses to know what the arrays mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
"""State as named arrays, for the snapshot file."""


class OtherLayout(ValueError):
    """These arrays are no state that this release wrote: go on without them."""


def expect_layout(arrays: Mapping[str, NDArray[Any]], like: Mapping[str, NDArray[Any]]) -> None:
    """Raise OtherLayout unless names, kinds and dimensions are those of ``like``."""
    if different := sorted(arrays.keys() ^ like.keys()):
        raise OtherLayout(f"missing or unknown: {', '.join(different[:5])}")
    for name, wanted in like.items():
        found = arrays[name]
        if found.dtype.kind != wanted.dtype.kind or found.ndim != wanted.ndim:
            raise OtherLayout(f"{name} is {found.dtype} in {found.ndim} dimensions")


def expect_shapes(arrays: Mapping[str, NDArray[Any]], **shapes: tuple[int, ...]) -> None:
    """Raise OtherLayout unless the named arrays have these shapes."""
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise OtherLayout(f"{name} is {arrays[name].shape}, not {shape}")
