"""Fuzz targets of payload formats beside our own JSON: CBOR, SenML, Cayenne LPP."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from devices import cayenne, cbor
from devices.elements import MAX_REMARKS
from devices.outcomes import Rejected
from devices.payload import QUANTITY_NAMES, Decoded, decode
from devices.quantities import QUANTITIES
from tests.devices.test_cbor import encoded
from tests.devices.test_senml import RFC_MULTIPLE, as_cbor, as_json
from tests.fuzz.target import NUMBERS, Target
from tests.fuzz.wire import GOLDEN

_NOW = 1_792_540_900_000
_KINDS = ("", "flood-sensor", "paddy-node", "trap", "nothing")


def _hold(found: Decoded | Rejected, reasons: set[str]) -> None:
    """What is promised of every decoded message, and of every refused one."""
    if isinstance(found, Rejected):
        assert found.reason in reasons, found
        assert len(found.detail) < 5000
        return
    assert found.samples
    assert len(found.remarks) <= MAX_REMARKS + 1
    for sample in found.samples:
        assert sample.values.keys() <= set(QUANTITY_NAMES)
        assert all(isfinite(value) for value in sample.values.values())
        assert sample.measured_at is None or abs(sample.measured_at) <= 2**62


def cbor_document(data: bytes) -> None:
    """A document that is read can be written, and is then read the same."""
    document = cbor.decode(data)
    if isinstance(document, Rejected):
        assert document.reason in {"bad_cbor", "too_large"}
        assert document.detail.startswith("byte ")
        assert len(document.detail) < 300
    elif not _has_nan(document):
        assert cbor.decode(encoded(document)) == document
    _hold(decode(data, _NOW), {"bad_json", "bad_cbor", "bad_senml", "bad_shape", "no_values",
                               "too_large"})  # fmt: skip


def _has_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nan, value.values()))
    return any(map(_has_nan, value)) if isinstance(value, list) else value != value


def senml_pack(data: bytes) -> None:
    """A pack with the time of reception gives no less than one without."""
    found, without = decode(data, _NOW), decode(data)
    _hold(found, {"bad_json", "bad_cbor", "bad_senml", "bad_shape", "no_values", "too_large"})
    if isinstance(without, Decoded):
        assert isinstance(found, Decoded)
        assert len(found.samples) >= len(without.samples)


def cayenne_lpp(data: bytes) -> None:
    """First byte: the kind of the device; what follows is a payload."""
    fields = cayenne.decode(data[1:])
    if isinstance(fields, Rejected):
        assert fields.reason in {"bad_lpp", "too_large"}
        return
    assert 0 < len(fields) <= len(data)
    assert len(cayenne.named(fields)) <= len(fields)
    kind = _KINDS[data[0] % len(_KINDS)]
    _hold(cayenne.samples(fields, kind, _NOW), {"no_values"})


_DOCUMENTS = tuple(encoded(json.loads(text)) for text in GOLDEN)
_PACKS: tuple[list[dict[str, Any]], ...] = (
    RFC_MULTIPLE,
    [{"bn": "urn:dev:x:", "bt": 1.79254e9, "bu": "mm", "bver": 10, "n": "water.level", "v": 5},
     {"n": "water.level", "t": -60, "v": 1}, {"n": "tamper", "vb": True, "u": "/"}],
    [{"bn": "R-1/", "bv": 20, "bs": 1}, {"n": "air.temperature", "u": "K", "v": 1, "ut": 5},
     {"bn": "R-2/", "n": "air.temperature", "v": 1}, {"n": "tamper", "vs": "x"}],
)  # fmt: skip
_SENML_TOKENS = (
    *NUMBERS, *(f'"{label}":'.encode() for label in ("bn", "bt", "bu", "bv", "bver", "n", "u", "v",
                                                     "vb", "vs", "t", "x_")),
    *(f'"{q.unit}"'.encode() for q in list(QUANTITIES.values())[:12]), b'"mm"', b'"K"', b"},{",
)  # fmt: skip
_CBOR_TOKENS = (
    b"\x9f", b"\xbf", b"\xff", b"\x7f", b"\x5f", b"\xc4\x82", b"\xd9\xd9\xf7", b"\xd8\x1c", b"\xf7",
    b"\xf9\x7e\x00", b"\xfa\x7f\x80\x00\x00", b"\x1b" + b"\xff" * 8, b"\x9b" + b"\xff" * 8,
    b"\x81" * 40, b"\x20", b"\x21", b"\x22", b"\x61v", b"\x61t", b"\x61n", b"\xa1", b"\x80",
)  # fmt: skip
_FIELDS = (
    bytes.fromhex("0003670110056700FF"), bytes.fromhex("01018806765FF2960A0003E8"),
    bytes.fromhex("0102820000 04D2 0174 0168 0178 55"),
    bytes.fromhex("02018569A0C9000267FFD7010001"),
)  # fmt: skip

TARGETS = (
    Target("cbor", cbor_document, (*_DOCUMENTS, *map(as_cbor, _PACKS)), _CBOR_TOKENS),
    Target("senml", senml_pack, (*map(as_json, _PACKS), *map(as_cbor, _PACKS)),
           (*_SENML_TOKENS, *_CBOR_TOKENS)),
    Target("cayenne", cayenne_lpp, _FIELDS,
           tuple(bytes([1, code]) for code in cayenne.DATA_TYPES)),
)  # fmt: skip
