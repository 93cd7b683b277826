"""Which topics belong to which lane and connection, and where a device is answered.

    field/v1/{kind}/{device}/up | status | ack        field/v1/gateway/{gateway}/up/urgent | routine

Refuses to know what is in messages and which devices there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devices import enrolment
from devices.frames import Lane
from devices.kinds import FIELD_KINDS

_QOS_1: Final = 0x01
_NO_RETAINED: Final = 0x20  # a retained reading is an old one, not a new one
_RETAINED_IF_NEW: Final = 0x10  # what a device last said of itself, once


def subscriptions(lane: Lane, shard: int, shards: int) -> list[tuple[str, int]]:
    """(filter, options) of one of a lane's ``shards`` connections; together they cover the lane.

    Whole kinds go to one connection, so that the order of a device's messages is kept.
    """
    kinds = [kind.name for kind in FIELD_KINDS.values() if kind.lane is lane]
    found = [(f"field/v1/gateway/+/up/{lane}", _QOS_1 | _NO_RETAINED)] if shard == 0 else []
    if lane is Lane.ROUTINE and shard == 0:
        found.append((f"field/v1/{enrolment.LEVEL}/+/up", _QOS_1 | _NO_RETAINED))
    for name in kinds[shard::shards]:
        found.append((f"field/v1/{name}/+/up", _QOS_1 | _NO_RETAINED))
        found.append((f"field/v1/{name}/+/status", _QOS_1 | _RETAINED_IF_NEW))
    return found


def stray_subscriptions() -> list[tuple[str, int]]:
    """(filter, options) of all below our prefix; the broker's ACL leaves the strays of it."""
    return [("field/v1/#", _QOS_1 | _NO_RETAINED)]


def network_subscriptions(filters: Iterable[str]) -> list[tuple[str, int]]:
    """(filter, options) of a network server's topics."""
    return [(one, _QOS_1 | _NO_RETAINED) for one in filters]


def retired(lane: Lane, shard: int, shards: int) -> list[str]:
    """Filters that this connection had, had there been another number of connections."""
    own = {name for name, _ in subscriptions(lane, shard, shards)}
    return [name for name, _ in subscriptions(lane, 0, 1) if name not in own]


def lane_of(topic: str) -> Lane:
    """The lane that takes a message of this topic in; routine for what is no topic of ours."""
    parts = topic.split("/")
    if len(parts) == 6 and parts[2] == "gateway" and parts[5] in tuple(Lane):
        return Lane(parts[5])
    kind = FIELD_KINDS.get(parts[2]) if len(parts) > 2 else None
    return kind.lane if kind else Lane.ROUTINE


def ack_topic(kind: str, device: str) -> str:
    """Where a device that numbers its messages learns what is kept."""
    return f"field/v1/{kind}/{device}/ack"
