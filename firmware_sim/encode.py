"""The firmware's own JSON writer: our payloads as a small device would build them.

    {"t":1792540800000,"n":17,"boot":3,"v":{"water.level":1.23,"radio.rssi":-92}}   one reading
    [{…},{…}]                                                                        several
    {"d":"trap-07","t":…,"n":…,"boot":…,"v":{…}}                              inside a gateway

``t`` ms UTC, ``n`` sequence number since start number ``boot``; each may be absent.
Never uses the decoder's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Publication:
    """A message to be published at ``at`` (ms UTC), QoS 1."""

    at: int
    topic: str
    payload: bytes


def element(
    values: Sequence[tuple[str, str]],
    *,
    measured_at: int | None,
    sequence: int | None = None,
    boot: int | None = None,
    device: str | None = None,
) -> str:
    """One reading as JSON text; ``values`` are (quantity, number already as JSON text)."""
    head = f'"d":"{device}",' if device is not None else ""
    if measured_at is not None:
        head += f'"t":{measured_at},'
    if sequence is not None:
        head += f'"n":{sequence},'
    if boot is not None:
        head += f'"boot":{boot},'
    body = ",".join([f'"{quantity}":{number}' for quantity, number in values])
    return f'{{{head}"v":{{{body}}}}}'


def message(elements: Sequence[str]) -> bytes:
    """A payload of one element, or an array of several in their order."""
    if len(elements) == 1:
        return elements[0].encode()
    return f"[{','.join(elements)}]".encode()


def number(value: float) -> str:
    """The shortest JSON number that reads back as ``value`` (finite); whole ones have no point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def status(*, boot: int, firmware: str, interval_s: int) -> bytes:
    """What a device says of itself when it starts."""
    return (
        f'{{"state":"online","boot":{boot},"firmware":"{firmware}","interval_s":{interval_s}}}'
    ).encode()


def up_topic(kind: str, device: str) -> str:
    """Where a device publishes its readings."""
    return f"field/v1/{kind}/{device}/up"


def gateway_topic(gateway: str, lane: str) -> str:
    """Where a gateway publishes what it carries, by lane (``urgent`` or ``routine``)."""
    return f"field/v1/gateway/{gateway}/up/{lane}"


def status_topic(kind: str, device: str) -> str:
    """Where a device says that it is there."""
    return f"field/v1/{kind}/{device}/status"
