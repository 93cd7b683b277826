"""Fuzz targets of what another server answers, and of what is computed from stored readings."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import httpx
import numpy as np

from devices.consumption import MeterUnit, consumption
from devices.frames import SeriesDefinition
from ingest.stores.influx_http import InfluxAddress, InfluxServer, Table
from ingest.stores.influx_query import InfluxReader
from ingest.stores.series_store import StoreOutage
from tests.fuzz.target import NUMBERS, Target

_DEFINITIONS: Mapping[int, SeriesDefinition] = {
    1: SeriesDefinition(1, 1, "R-1", "river-gauge", "water.level")
}


class _Answering(InfluxServer):
    """A server that answers every statement with the same bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(InfluxAddress("http://influx.example"))
        self._content = content

    def select(self, database: str, statement: str) -> list[Table]:
        return self._answer(httpx.Response(200, content=self._content))


def influx_answer(data: bytes) -> None:
    """Whatever stands where InfluxDB should stand: readings, or a StoreOutage."""
    reader = InfluxReader(_Answering(data), _DEFINITIONS, lambda _: "db")
    for ask in (
        lambda: reader.range(1, 0, 2**41),
        lambda: reader.latest(),
        lambda: reader.count_before("db", 2**41),
        lambda: next(reader.scan([1], 0, 2**41), None),
    ):
        try:
            ask()
        except StoreOutage as outage:
            assert outage.reason


_ROW = struct.Struct("<IfBx")
_MOST_ROWS = 40
_UNITS = (
    (),
    (MeterUnit(0, rollover_at=1e4),),
    (MeterUnit(0, 6_000_000, 1e4, 0.0, 812.5), MeterUnit(6_000_000, None, 1e5, 0.25)),
    (MeterUnit(5_000, 9_000_000), MeterUnit(12_000_000, 80_000_000, None, None, 3.5)),
)


def meter_readings(data: bytes) -> None:
    """Rows of a time, a value and flags: the parts are the whole, nothing is negative."""
    units = _UNITS[data[0] % len(_UNITS)] if data else ()
    text = data[1 : 1 + _MOST_ROWS * _ROW.size]
    rows = list(_ROW.iter_unpack(text[: len(text) // _ROW.size * _ROW.size]))
    columns = (
        np.array([at for at, _, _ in rows], np.int64),
        np.array([value for _, value, _ in rows], np.float64),
        np.array([flags for _, _, flags in rows], np.uint8),
    )
    borders = np.array([0, 1_000_000, 6_000_000, 60_000_000, 2**32 + 1], np.int64)
    how = {"quantity": "water.total", "usual_register": 1e5}
    parts = consumption(*columns, units, borders, **how)  # type: ignore[arg-type]  # of two types
    whole = consumption(*columns, units, borders[[0, -1]], **how)  # type: ignore[arg-type]  # as above
    assert not (parts.value < 0).any()
    total = np.nansum(whole.value)
    assert abs(np.nansum(parts.value) - total) <= 1e-6 + 1e-9 * total
    assert ((parts.share_measured >= 0) & (parts.share_measured <= 1)).all()


_ANSWER = (
    b'{"results":[{"statement_id":0,"series":[{"name":"water.level","tags":{"device":"R-1"},'
    b'"columns":["time","value","quality","received_at"],'
    b'"values":[[1760000000000,1.5,0,1760000000040],[1760000060000,null,2,1760000060040]]}]}]}'
)
_METER = bytes((1,)) + b"".join(
    _ROW.pack(k * 3_600_000, v, 0) for k, v in enumerate((9999.5, 9999.75, 0.25, 0.5, 0.5, 812.0))
)

TARGETS = (
    Target(
        "influx_answer", influx_answer,
        (_ANSWER, b'{"results":[{"statement_id":0}]}', b'{"error":"timeout"}',
         _ANSWER.replace(b"value", b"count")),
        (*NUMBERS, b"1e300", b'"columns":[', b'"values":[', b'"tags":', b"[", b"]",
         b'"time"'),
        ("ingest.stores",),
    ),
    Target(
        "meter_readings", meter_readings, (_METER, b"\x00" + _METER[1:], b"\x02" + _METER[1:]),
        (_ROW.pack(7_200_000, 0.0, 0), _ROW.pack(7_200_000, float("nan"), 4), b"\0" * 10),
        ("devices.consumption", "devices.counter_chain"),
    ),
)  # fmt: skip
