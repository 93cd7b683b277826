"""Fields of network servers' JSON as plain values: texts, times, bytes, numbers, positions.

Both servers write protobuf's JSON mapping (protobuf.dev, "ProtoJSON"): a field that is absent has
its default, times are RFC 3339 with up to nine decimals, bytes are base64, floats may be the texts
"NaN" and "Infinity". Refuses to know which message a field stands in.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, TypeVar

import msgspec

from devices.networks.messages import Reception
from devices.outcomes import Rejected, shown

MAX_MESSAGE_BYTES: Final = 256 << 10
"""A message has 1 KiB a gateway, and what the server's own codec made of 242 bytes."""
MAX_FRM_PAYLOAD_BYTES: Final = 255
"""The PHY payload of LoRaWAN has 255 bytes at most; 242 of them are the application's."""
MAX_RECEPTIONS: Final = 32
NAME_CHARS: Final = 100
DETAIL_CHARS: Final = 300

Number = float | str | None
"""A float as it may stand in JSON; `number` reads it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_CLOCK_BEFORE: Final = 1_420_070_400_000
"""2015-01-01, the year of LoRaWAN 1.0: a gateway that says an earlier time has no clock."""
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_DEV_EUI = re.compile(r"[0-9A-F]{16}")
_URL_SAFE = str.maketrans("-_", "+/")

T = TypeVar("T")


class FieldError(ValueError):
    """A field cannot be what it is; becomes a Rejected of ``bad_shape`` (or ``reason``)."""

    def __init__(self, where: str, what: str, reason: str = "bad_shape") -> None:
        super().__init__(f"{where}: {what}")
        self.reason = reason

    def rejected(self) -> Rejected:
        """The same as a value."""
        return Rejected(self.reason, str(self))


def decoded(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """The message; raises FieldError where it is no JSON, or not of the shape."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise FieldError(
            "message", f"{len(payload)} bytes, at most {MAX_MESSAGE_BYTES}", "too_large"
        )
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise FieldError("message", clean(str(error), DETAIL_CHARS)) from None
    except RecursionError:
        raise FieldError("message", "nested too deeply", "bad_json") from None
    except ValueError as error:  # DecodeError, UnicodeDecodeError
        hint = "" if payload[:1] == b"{" else "; is the server set to JSON, not to Protobuf?"
        text = f"{clean(str(error), DETAIL_CHARS)}{hint}"
        raise FieldError("message", text, "bad_json") from None


def clean(text: str, most_chars: int) -> str:
    """The text on one line, printable, at most ``most_chars`` long."""
    cut = text if len(text) <= most_chars else text[: most_chars - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in cut).strip()


def dev_eui(text: str, where: str) -> str:
    """16 hexadecimal digits, upper case."""
    found = text.upper()
    if not _DEV_EUI.fullmatch(found):
        raise FieldError(where, f"{shown(text)!r} is no DevEUI (16 hexadecimal digits)")
    return found


def time_ms(text: str, where: str) -> int | None:
    """An RFC 3339 time as ms UTC, cut below; None where absent, or where the clock was not set."""
    if not text:
        return None
    found = _TIME.fullmatch(text) if len(text) <= 64 else None
    try:
        at = None if found is None else _at(found)
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise FieldError(where, f"{shown(text)!r} is no RFC 3339 time")
    return at if at >= _NO_CLOCK_BEFORE else None


def _at(found: re.Match[str]) -> int:
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    zone = UTC
    if found[8]:
        offset = timedelta(hours=int(found[9]), minutes=int(found[10]))
        zone = timezone(offset if found[8] == "+" else -offset)
    moment = datetime(year, month, day, hour, minute, min(second, 59) if second == 60 else second,
                      tzinfo=zone)  # fmt: skip
    ms = int((found[7] or "0")[:3].ljust(3, "0"))
    return (moment - _EPOCH) // timedelta(milliseconds=1) + ms


def payload_bytes(text: str, where: str) -> bytes:
    """Base64, standard or URL-safe, padded or not, as ProtoJSON allows."""
    if len(text) > 2 * MAX_FRM_PAYLOAD_BYTES:
        raise FieldError(where, f"{len(text)} characters of base64", "too_large")
    padded = text.rstrip("=").translate(_URL_SAFE)
    try:
        found = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise FieldError(where, f"{shown(text)!r} is no base64") from None
    if len(found) > MAX_FRM_PAYLOAD_BYTES:
        raise FieldError(
            where, f"{len(found)} bytes, a LoRaWAN frame has {MAX_FRM_PAYLOAD_BYTES}", "too_large"
        )
    return found


def number(value: Number) -> float | None:
    """A finite float, or None."""
    try:
        found = float(value) if value is not None else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def place(latitude: Number, longitude: Number) -> tuple[float, float] | None:
    """A position (WGS84, degrees); None where it cannot be, or is 0, 0: both servers' *not set*."""
    lat, lon = number(latitude), number(longitude)
    if lat is None or lon is None or not (-90 <= lat <= 90 and -180 <= lon <= 180):
        return None
    return None if lat == lon == 0 else (lat, lon)


def best_first(receptions: Iterable[Reception]) -> tuple[Reception, ...]:
    """By SNR, then RSSI, unknown ones last; of a gateway with several antennas the best alone."""
    found: dict[str, Reception] = {}
    for one in sorted(receptions, key=_order):
        found.setdefault(one.gateway, one)
    return tuple(found.values())[:MAX_RECEPTIONS]


def _order(one: Reception) -> tuple[float, float]:
    return (
        math.inf if one.snr is None else -one.snr,
        math.inf if one.rssi is None else -one.rssi,
    )
