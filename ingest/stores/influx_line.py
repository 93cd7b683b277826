"""Readings as InfluxDB line protocol, in bulk.

Refuses to know sockets and servers. One line::

    water.level,device=RG-01,kind=river-gauge value=1.23,quality=0i,received_at=1790000001000i 1790000000000
    measurement tags (sorted by key)          fields: value always float, the others integer   measured_at, ms

Escaping: https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
"""  # noqa: E501 - one line of the protocol is one line

from __future__ import annotations

from collections.abc import Mapping

from devices.frames import SeriesDefinition
from devices.readings import Readings

_IN_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ "})
_IN_TAG = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})


def line_prefix(definition: SeriesDefinition) -> str:
    """All of a line that stands before its fields.

    Raises ValueError for a name that line protocol cannot carry (line breaks, backslashes, empty).
    """
    for text in (definition.quantity, definition.name, definition.kind):
        if not text or not text.isprintable() or "\\" in text:
            raise ValueError(f"series {definition.series}: cannot be written: {text!r}")
    measurement = definition.quantity.translate(_IN_MEASUREMENT)
    device, kind = definition.name.translate(_IN_TAG), definition.kind.translate(_IN_TAG)
    return f"{measurement},device={device},kind={kind} "


def lines(readings: Readings, prefixes: Mapping[int, str]) -> list[str]:
    """One line a reading, in order; every series needs a prefix and every value is finite.

    The shortest decimal that gives the same float64 back is written.
    """
    return [
        f"{prefixes[series]}value={value!r},quality={quality}i,received_at={received_at}i {at}"
        for series, at, received_at, value, quality in zip(
            readings.series.tolist(),
            readings.measured_at.tolist(),
            readings.received_at.tolist(),
            readings.value.tolist(),
            readings.quality.tolist(),
            strict=True,
        )
    ]
