"""Files of real measurements as publications, row by row in the order of the file.

Known layouts are recognised by their header (USGS water data, UK Environment Agency polls); any
other CSV is read by a ColumnMap. ``.csv`` or ``.csv.gz``. Units are converted in decimal, so that
1.13 ft is exactly 0.344424 m. Refuses to know the broker and the pace of playing.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

from devices.kinds import FIELD_KINDS
from devices.quantities import QUANTITIES
from firmware_sim import encode
from firmware_sim.encode import Publication

_LONGEST_NUMBER = 60
"""Digits before or after the point: written out, 1e99999999 would fill the memory."""
_FACTORS: Mapping[str, Decimal] = {
    "ft": Decimal("0.3048"),  # exact by definition of 1959
    "cm": Decimal("0.01"),
    "mm": Decimal("0.001"),
    "cfs": Decimal("0.028316846592"),  # 0.3048 cubed
    "l/s": Decimal("0.001"),
    "m3/h": Decimal(1) / Decimal(3600),
    "l": Decimal("0.001"),
    "kPa": Decimal(1000),
}
"""What a value in this unit is multiplied with to be in the quantity's own unit."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """How to read a CSV file with a header row.

    ``values``: column -> (quantity, unit), the unit one of the quantity's own or ft, cfs, cm, mm,
    l/s, m3/h, l, kPa. ``time_column`` holds when it was measured, ``at_column`` (default: the same)
    when it became known: ISO 8601, UTC where no offset is given. ``device`` names the device of all
    rows, or ``device_column`` the column that does, with ``device_prefix`` before it.
    """

    time_column: str
    values: Mapping[str, tuple[str, str]]
    device: str = ""
    device_column: str = ""
    device_prefix: str = ""
    at_column: str = ""
    label_column: str = ""
    kind: str = "river-gauge"


USGS = ColumnMap(
    time_column="datetime_utc",
    values={
        "gage_height_ft": ("water.level", "ft"),
        "discharge_cfs": ("water.flow", "cfs"),
        "water_temp_c": ("water.temperature", "Cel"),
    },
    device_prefix="usgs-",
)
"""USGS National Water Information System; the file's name begins with the site number."""

UK_EA = ColumnMap(
    time_column="timestamp",
    at_column="polled_at_utc",
    values={"value": ("water.level", "m")},
    device_column="station_id",
    device_prefix="ea-",
    label_column="station_name",
)
"""Polls of the UK Environment Agency's flood monitoring API: a row is one answer."""

_LAYOUTS = (USGS, UK_EA)


class FileError(ValueError):
    """A file cannot be read as measurements; ``line`` counts from 1 (the header), 0: the file."""

    def __init__(self, path: Path, line: int, column: str, value: str, reason: str) -> None:
        where = f"{path}, line {line}" if line else str(path)
        what = f", column {column:.80}: {value!r:.80}" if column else ""
        super().__init__(f"{where}{what}: {reason}")
        self.path = path
        self.line = line
        self.column = column
        self.value = value
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Row:
    """One row with something in it: SI values as decimals, times in ms UTC."""

    line: int
    device: str
    label: str
    at: int
    measured_at: int
    values: tuple[tuple[str, Decimal], ...]


@dataclass(slots=True)
class _Batch:
    elements: list[str] = field(default_factory=list)
    at: int = 0


def read_file(
    path: Path,
    *,
    columns: ColumnMap | None = None,
    device: str = "",
    shift_ms: int = 0,
    rows_per_message: int = 1,
    numbered: bool = False,
) -> Iterator[Publication]:
    """Yield the file as publications in its own order, repetitions included.

    ``columns`` None: by the header. ``device`` overrides the device's name. ``shift_ms`` is added
    to all times. Up to ``rows_per_message`` rows of a device go into one message (published at the
    time of its last row). ``numbered``: rows carry sequence numbers from 1 for each device.
    FileError names line, column and value of the first row that cannot be read.
    """
    layout = columns or layout_of(path)
    waiting: dict[str, _Batch] = {}
    counts: dict[str, int] = {}
    for row in read_rows(path, columns=layout, device=device):
        counts[row.device] = counts.get(row.device, 0) + 1
        batch = waiting.setdefault(row.device, _Batch())
        batch.at = row.at + shift_ms
        batch.elements.append(
            encode.element(
                [(quantity, _json_number(value)) for quantity, value in row.values],
                measured_at=row.measured_at + shift_ms,
                sequence=counts[row.device] if numbered else None,
            )
        )
        if len(batch.elements) >= rows_per_message:
            yield _publication(layout.kind, row.device, waiting.pop(row.device))
    for name, batch in waiting.items():
        yield _publication(layout.kind, name, batch)


def read_rows(path: Path, *, columns: ColumnMap | None = None, device: str = "") -> Iterator[Row]:
    """Yield rows with at least one value; an empty cell is no value. FileError as `read_file`."""
    layout = columns or layout_of(path)
    _check(layout, path)
    fixed = device or layout.device or ("" if layout.device_column else _site(path, layout))
    with _open(path) as file:
        reader = csv.DictReader(file)
        _require(path, layout, reader.fieldnames or ())
        for cells in reader:
            row = _row(path, reader.line_num, cells, layout, fixed)
            if row.values:
                yield row


def file_devices(
    path: Path, *, columns: ColumnMap | None = None, device: str = "", interval_s: int = 900
) -> list[dict[str, str]]:
    """The devices in a file as rows of the CSV import (name, kind, label, interval_s), by name."""
    layout = columns or layout_of(path)
    labels = {row.device: row.label for row in read_rows(path, columns=layout, device=device)}
    return [
        {"name": name, "kind": layout.kind, "label": label, "interval_s": str(interval_s)}
        for name, label in sorted(labels.items())
    ]


def last_at(path: Path, *, columns: ColumnMap | None = None) -> int:
    """The newest time in a file (ms UTC), to shift its end to now. FileError if it has no rows."""
    times = [max(row.at, row.measured_at) for row in read_rows(path, columns=columns)]
    if not times:
        raise FileError(path, 0, "", "", "no rows with values")
    return max(times)


def layout_of(path: Path) -> ColumnMap:
    """The known layout whose columns all stand in the header; FileError names the header."""
    with _open(path) as file:
        header = next(csv.reader(file), [])
    for layout in _LAYOUTS:
        if not _missing(layout, header):
            return layout
    raise FileError(path, 1, "", "", f"unknown layout, the header is {','.join(header)!r:.200}")


def _missing(layout: ColumnMap, header: list[str] | tuple[str, ...]) -> list[str]:
    wanted = (layout.time_column, layout.at_column, layout.device_column, *layout.values)
    return [column for column in wanted if column and column not in header]


def _require(path: Path, layout: ColumnMap, header: object) -> None:
    columns = [str(c) for c in header] if isinstance(header, (list, tuple)) else []
    if missing := _missing(layout, columns):
        raise FileError(path, 1, missing[0], "", "column is missing in the header")


def _check(layout: ColumnMap, path: Path) -> None:
    if layout.kind not in FIELD_KINDS:
        raise FileError(path, 0, "", "", f"unknown kind {layout.kind!r}")
    for column, (quantity, unit) in layout.values.items():
        known = QUANTITIES.get(quantity)
        if known is None:
            raise FileError(path, 0, column, quantity, "unknown quantity")
        if unit != known.unit and unit not in _FACTORS:
            raise FileError(path, 0, column, unit, f"cannot be converted to {known.unit}")


def _row(path: Path, line: int, cells: Mapping[str, str], layout: ColumnMap, fixed: str) -> Row:
    values = []
    for column, (quantity, unit) in layout.values.items():
        text = (cells[column] or "").strip()
        if text:
            number = _decimal(path, line, column, text)
            values.append((quantity, number * _factor(quantity, unit)))
    name = fixed or layout.device_prefix + (cells[layout.device_column] or "").strip()
    label = cells.get(layout.label_column) or name
    measured_at = _time(path, line, layout.time_column, cells)
    at = _time(path, line, layout.at_column, cells) if layout.at_column else measured_at
    return Row(line, name, label, at, measured_at, tuple(values))


def _factor(quantity: str, unit: str) -> Decimal:
    return Decimal(1) if unit == QUANTITIES[quantity].unit else _FACTORS[unit]


def _decimal(path: Path, line: int, column: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise FileError(path, line, column, text, "not a number") from None
    if not number.is_finite():
        raise FileError(path, line, column, text, "not a finite number")
    if len(text) > _LONGEST_NUMBER or abs(int(number.as_tuple().exponent)) > _LONGEST_NUMBER:
        raise FileError(path, line, column, text, "no such number is measured")
    return number


def _time(path: Path, line: int, column: str, cells: Mapping[str, str]) -> int:
    text = (cells[column] or "").strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise FileError(path, line, column, text, "not an ISO 8601 time") from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _site(path: Path, layout: ColumnMap) -> str:
    """The device of a file without a device column: from the first word of the file's name."""
    word = path.name.split(".")[0].split("_")[0]
    return layout.device_prefix + word


def _json_number(value: Decimal) -> str:
    """The decimal's own digits, without an exponent; never ``NaN``."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _publication(kind: str, device: str, batch: _Batch) -> Publication:
    return Publication(batch.at, encode.up_topic(kind, device), encode.message(batch.elements))


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """The text of a plain or gzipped file; FileError if it cannot be had."""
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            packed = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            with io.TextIOWrapper(packed, encoding="utf-8-sig", newline="") as text:
                yield text
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise FileError(path, 0, "", "", str(error)) from error
