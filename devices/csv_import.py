"""Devices from a CSV file, as a spreadsheet writes it: every bad row is named, none is guessed at.

Refuses to know files and the registry: text in, rows and errors out. What rows mean to the devices
that are there already is `devices.import_plan`'s.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from devices import dev_eui
from devices.csv_cells import READERS, read_text, written
from devices.drafts import DeviceDraft, Fault, faults
from devices.outcomes import shown
from devices.planar import to_degrees

COLUMNS: Final = tuple(field.name for field in fields(DeviceDraft))
"""Columns by their header; ``name`` and ``kind`` are required, the others may be left out."""

PLANE: Final = ("plane_epsg", "plane_x_m", "plane_y_m")
"""Read instead of latitude and longitude: EPSG code of the zone, metres north, metres east."""

_REQUIRED: Final = ("name", "kind")
_LISTS: Final = ("thresholds", "intervals", "tags")  # the part that is bad is shown, not the cell
_POINT: Final = ("latitude", "longitude")


@dataclass(frozen=True, slots=True)
class RowError:
    """What stands where and cannot be: ``line`` counts lines of the file from 1 (the header)."""

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row whose cells could be read: its line, what it says, and of which columns it says it.

    ``as_written`` shows the cells to people, by column.
    """

    line: int
    draft: DeviceDraft
    columns: frozenset[str]
    as_written: dict[str, str]

    def error(self, fault: Fault) -> RowError:
        """What is wrong with the row, with the cell as it stands in the file."""
        value = fault.value
        if fault.column not in _LISTS:
            value = self.as_written.get(fault.column, value)
        return RowError(self.line, fault.column, value, fault.reason)


def decoded(body: bytes) -> str:
    """Text as spreadsheets in Japan write it: UTF-8, UTF-16 with its mark, else CP932.

    What is none of these is escaped, and named where it stands.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "backslashreplace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp932", "backslashreplace")


def parse_devices(text: str) -> tuple[list[DeviceDraft], list[RowError]]:
    """The drafts of all good rows and the errors of all bad ones, each row taken by itself."""
    rows, errors = parse_rows(text)
    drafts: list[DeviceDraft] = []
    for row in rows:
        found = [row.error(fault) for fault in faults(row.draft)]
        errors.extend(found)
        if not found:
            drafts.append(row.draft)
    return drafts, sorted(errors, key=lambda error: error.line)


def parse_rows(text: str) -> tuple[list[CsvRow], list[RowError]]:
    """All rows whose cells can be read, and the errors of the others.

    Header row first, columns in any order; ``thresholds`` as ``caution=3.0;danger=4.5``, ``tags``
    as ``bridge;north``; an empty cell takes the default; empty rows are passed over. Comma,
    semicolon or tab, with or without byte order mark. Numbers may be full-width.
    """
    lines = list(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    reader = csv.reader(lines, delimiter=_delimiter(lines), strict=True)
    records = _records(reader)
    header_line, header = next(records, (1, []))
    if isinstance(header, RowError):
        return [], [header]
    columns = [cell.strip() for cell in header]
    if found := list(_header_errors(header_line, columns)):
        return [], found
    rows: list[CsvRow] = []
    errors: list[RowError] = []
    first_lines: dict[str, int] = {}
    for line, cells in records:
        read = cells if isinstance(cells, RowError) else _row(line, columns, cells)
        if isinstance(read, RowError):
            errors.append(read)
        elif isinstance(read, list):
            errors.extend(read)
        elif read.draft.name in first_lines:
            reason = f"stands already in line {first_lines[read.draft.name]}"
            errors.append(RowError(line, "name", shown(read.draft.name), reason))
        else:
            first_lines[read.draft.name] = line
            rows.append(read)
    return rows, errors


def to_csv(drafts: Iterable[DeviceDraft]) -> str:
    """The text that is read as these drafts."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for draft in drafts:
        writer.writerow([_cell(draft, column) for column in COLUMNS])
    return out.getvalue()


def _cell(draft: DeviceDraft, column: str) -> str:
    value = getattr(draft, column)
    if column == "dev_eui" and value is not None:
        return dev_eui.hyphened(value)
    return written(value)


def _delimiter(lines: list[str]) -> str:
    header = next((line for line in lines if line.strip()), "")
    return max(",;\t", key=header.count)


def _records(reader: Any) -> Iterator[tuple[int, list[str] | RowError]]:
    """Rows that are not empty, each with the line on which it begins."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, RowError(line, "", "", f"no CSV: {error}")
            return  # where the next row begins is not known
        if any(cell.strip() for cell in cells):
            yield line, cells


def _header_errors(line: int, columns: list[str]) -> Iterator[RowError]:
    known = (*COLUMNS, *PLANE)
    for column in columns:
        if column not in known:
            reason = f"unknown column; {', '.join(known)} are known"
            yield RowError(line, shown(column), shown(column), reason)
    for column in known:
        if columns.count(column) > 1:
            yield RowError(line, column, column, "stands more than once")
    for column in _REQUIRED:
        if column not in columns:
            yield RowError(line, column, "", "this column is required")
    if given := [column for column in PLANE if column in columns]:
        for column in PLANE:
            if column not in given:
                yield RowError(line, column, "", f"goes together with {', '.join(given)}")


def _row(line: int, columns: list[str], cells: list[str]) -> CsvRow | list[RowError]:
    if len(cells) > len(columns):
        extra = shown(cells[len(columns)])
        return [RowError(line, "", extra, f"{len(cells)} cells for {len(columns)} columns")]
    texts = {c: t for c, cell in zip(columns, cells, strict=False) if (t := cell.strip())}
    given: dict[str, Any] = {}
    errors: list[RowError] = []
    for column, text in texts.items():
        try:
            given[column] = READERS.get(column, read_text)(text)
        except ValueError as error:
            errors.append(RowError(line, column, shown(text), str(error)))
    if errors:
        return errors
    if empty := [column for column in _REQUIRED if column not in given]:
        return [RowError(line, column, "", "must not be empty") for column in empty]
    if found := _place_by_plane(line, given):
        return [found]
    said = {*columns, *(_POINT if PLANE[0] in columns else ())}.difference(PLANE)
    as_written = {column: shown(texts.get(column, "")) for column in columns}
    return CsvRow(line, DeviceDraft(**given), frozenset(said), as_written)


def _place_by_plane(line: int, given: dict[str, Any]) -> RowError | None:
    """Put degrees in the place of plane coordinates; what is wrong with them, if anything is."""
    plane = {column: given.pop(column) for column in PLANE if column in given}
    if not plane:
        return None
    for column in PLANE:
        if column not in plane:
            return RowError(line, column, "", f"goes together with {', '.join(plane)}")
    for column in _POINT:
        if column in given:
            reason = "the row has plane coordinates, too; leave one of them empty"
            return RowError(line, column, str(given[column]), reason)
    try:
        point = to_degrees(*plane.values())
    except ValueError as error:
        return RowError(line, PLANE[0], str(plane[PLANE[0]]), str(error))
    given.update(latitude=point.latitude, longitude=point.longitude)
    return None
