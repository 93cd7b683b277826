"""A message in our own form that is not good throughout, field by field: what is good is kept.

Works on what a JSON or CBOR reader gives (dicts, lists, strings, numbers). Refuses to know either
encoding and what a batch is. No input raises.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from devices.elements import (
    FURTHEST,
    MAX_SAMPLES,
    NO_TIME,
    NOT_GIVEN,
    SENDABLE,
    Element,
    Elements,
    Remarks,
    summary,
)
from devices.outcomes import Rejected, shown


def mend(document: Any) -> Elements | Rejected:
    """The good elements of an object or an array of objects; Rejected where there is none."""
    if not isinstance(document, (dict, list)):
        return Rejected("bad_shape", f"object or array expected, found {shown(document)}")
    found = document if isinstance(document, list) else [document]
    if len(found) > MAX_SAMPLES:
        return Rejected("too_large", f"{len(found)} elements, at most {MAX_SAMPLES}")
    remarks = Remarks()
    paths = (f"[{i}]" for i in range(len(found))) if isinstance(document, list) else iter([""])
    elements = [
        element
        for path, raw in zip(paths, found, strict=True)
        if (element := _element(path, raw, remarks)) is not None
    ]
    if not elements:
        return Rejected("no_values", summary(remarks) or "no element")
    return Elements(elements, remarks)


def _element(path: str, raw: object, remarks: Remarks) -> Element | None:
    """The good part of an element, or None when no value is left."""
    if not isinstance(raw, dict):
        remarks.add(path, raw, "bad_type")
        return None
    dot = f"{path}." if path else ""
    device = raw.get("d")
    if device is not None and not isinstance(device, str):
        remarks.add(f"{dot}d", device, "bad_type")  # whose values these are is not known
        return None
    values = _values(f"{dot}v", raw.get("v"), remarks)
    if not values:
        return None
    return Element(
        v=values,
        t=_integer(f"{dot}t", raw.get("t"), (-FURTHEST, NO_TIME), remarks),
        n=_integer(f"{dot}n", raw.get("n"), (0, NOT_GIVEN), remarks),
        d=device or "",
        boot=_integer(f"{dot}boot", raw.get("boot"), (0, NOT_GIVEN), remarks),
    )


def _values(path: str, raw: object, remarks: Remarks) -> dict[str, float | bool]:
    if not isinstance(raw, dict):
        remarks.add(path, "nothing" if raw is None else raw, "bad_type")
        return {}
    if not raw:
        remarks.add(path, raw, "empty")
    values: dict[str, float | bool] = {}
    for name, value in raw.items():
        reason = _fault(name, value)
        if reason and remarks.is_full:
            continue
        if reason:
            remarks.add(f'{path}["{shown(name)}"]', value, reason)
        else:
            values[name] = float(value)
    return values


def _fault(name: object, value: object) -> str | None:
    if name not in SENDABLE:
        return "unknown_quantity"
    if not isinstance(value, (int, float)):
        return "bad_type"
    return None if isfinite(value) else "not_finite"


def _integer(path: str, raw: object, low_absent: tuple[int, int], remarks: Remarks) -> int:
    """The integer, or ``absent`` with a remark. A whole float is an integer: JSON has numbers."""
    low, absent = low_absent
    if raw is None:
        return absent
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        remarks.add(path, raw, "bad_type")
    elif not isfinite(raw):
        remarks.add(path, raw, "not_finite")
    elif raw != int(raw):
        remarks.add(path, raw, "bad_type")
    elif not low <= raw <= FURTHEST:
        remarks.add(path, raw, "out_of_range")
    else:
        return int(raw)
    return absent
