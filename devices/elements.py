"""What every payload format is read into, and the bounds and remarks that all of them share.

Refuses to know formats: JSON, CBOR and SenML are read elsewhere and end here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from devices.outcomes import Remark, shown
from devices.quantities import QUANTITIES

MAX_PAYLOAD_BYTES: Final = 1 << 20
MAX_SAMPLES: Final = 10_000
"""Most elements of one message; an array with more is refused as ``too_large``."""
MAX_REMARKS: Final = 16
"""Most remarks made on one message; the last one then says ``more_remarks``."""

NOT_GIVEN: Final = -1
"""Stands for a sequence or boot number that was not sent."""
NO_TIME: Final = -(2**63)
"""Stands for a time that was not sent."""
FURTHEST: Final = 2**62
"""Bound of times and numbers: keeps differences of two times inside int64."""

QUANTITY_NAMES: Final = tuple(name for name, q in QUANTITIES.items() if not q.is_own)
"""Names by code of the quantities that a device may send: ``QUANTITY_NAMES[batch.quantity[i]]``."""
QUANTITY_CODES: Final[Mapping[str, int]] = MappingProxyType(
    {name: code for code, name in enumerate(QUANTITY_NAMES)}
)
"""The small integer that stands for a quantity in a batch; holds within one process only."""
SENDABLE: Final = frozenset(QUANTITY_NAMES)
"""The same names, to ask whether one is among them."""

_Time = Annotated[int, msgspec.Meta(ge=-FURTHEST, le=FURTHEST)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=FURTHEST)]


class Element(msgspec.Struct, gc=False):
    """One timestamped set of values as our JSON has it; absent fields hold their sentinels."""

    v: dict[str, float | bool]
    t: _Time = NO_TIME
    n: _Number = NOT_GIVEN
    d: str = ""
    boot: _Number = NOT_GIVEN


@dataclass(frozen=True, slots=True)
class Elements:
    """The good part of a message, at least one element, and remarks on the rest.

    ``relative``: indices of the elements whose time was given as so long before (or after) the
    message was received. ``sender``: what the message calls whom all of it is about, "" where it
    calls nobody or several (who then stand in ``d``).
    """

    found: list[Element]
    remarks: list[Remark]
    relative: Collection[int] = ()
    sender: str = ""


class Remarks(list[Remark]):
    """Remarks on one message, bounded."""

    @property
    def is_full(self) -> bool:
        """Whether another one would change nothing."""
        return len(self) > MAX_REMARKS

    def add(self, path: str, value: object, reason: str) -> None:
        """Note what was left out; past the bound only that there is more."""
        if len(self) < MAX_REMARKS:
            self.append(Remark(path, shown(value), reason))
        elif len(self) == MAX_REMARKS:
            self.append(Remark("", f"more than {MAX_REMARKS}", "more_remarks"))


def summary(remarks: Iterable[Remark]) -> str:
    """The remarks in one line, for a message of which nothing was left."""
    return "; ".join(f"{r.path or 'message'}: {r.reason} ({r.value})" for r in remarks)
