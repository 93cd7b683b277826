"""Devices from a CSV file, as a spreadsheet writes it: every bad row is named, none is guessed at.

Refuses to know files, encodings and the registry: text in, drafts and errors out.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, Final

from devices.drafts import DeviceDraft, faults
from devices.outcomes import shown

COLUMNS: Final = tuple(field.name for field in fields(DeviceDraft))
"""Columns by their header; ``name`` and ``kind`` are required, the others may be left out."""
_REQUIRED: Final = ("name", "kind")
_LISTS: Final = ("thresholds", "tags")  # of these the part that is bad is shown, not the cell


@dataclass(frozen=True, slots=True)
class RowError:
    """What stands where and cannot be: ``line`` counts lines of the file from 1 (the header)."""

    line: int
    column: str
    value: str
    reason: str


def parse_devices(text: str) -> tuple[list[DeviceDraft], list[RowError]]:
    """The drafts of all good rows and the errors of all bad ones.

    Header row first, columns in any order; ``thresholds`` as ``caution=3.0;danger=4.5``, ``tags``
    as ``bridge;north``; an empty cell takes the default; empty rows are passed over. Comma,
    semicolon or tab, with or without byte order mark. Numbers may be full-width.
    """
    lines = list(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    reader = csv.reader(lines, delimiter=_delimiter(lines), strict=True)
    rows = _rows(reader)
    header_line, header = next(rows, (1, []))
    if isinstance(header, RowError):
        return [], [header]
    columns = [cell.strip() for cell in header]
    if found := list(_header_errors(header_line, columns)):
        return [], found
    drafts: list[DeviceDraft] = []
    errors: list[RowError] = []
    first_lines: dict[str, int] = {}
    for line, cells in rows:
        read = cells if isinstance(cells, RowError) else _draft(line, columns, cells)
        if isinstance(read, RowError):
            errors.append(read)
        elif isinstance(read, list):
            errors.extend(read)
        elif read.name in first_lines:
            reason = f"stands already in line {first_lines[read.name]}"
            errors.append(RowError(line, "name", read.name, reason))
        else:
            first_lines[read.name] = line
            drafts.append(read)
    return drafts, errors


def to_csv(drafts: Iterable[DeviceDraft]) -> str:
    """The text that `parse_devices` reads as these drafts."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for draft in drafts:
        writer.writerow([_cell(getattr(draft, column)) for column in COLUMNS])
    return out.getvalue()


def _delimiter(lines: list[str]) -> str:
    header = next((line for line in lines if line.strip()), "")
    return max(",;\t", key=header.count)


def _rows(reader: Any) -> Iterator[tuple[int, list[str] | RowError]]:
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
    for column in columns:
        if column not in COLUMNS:
            reason = f"unknown column; {', '.join(COLUMNS)} are known"
            yield RowError(line, shown(column), shown(column), reason)
    for column in COLUMNS:
        if columns.count(column) > 1:
            yield RowError(line, column, column, "stands more than once")
    for column in _REQUIRED:
        if column not in columns:
            yield RowError(line, column, "", "this column is required")


def _draft(line: int, columns: list[str], cells: list[str]) -> DeviceDraft | list[RowError]:
    if len(cells) > len(columns):
        extra = shown(cells[len(columns)])
        return [RowError(line, "", extra, f"{len(cells)} cells for {len(columns)} columns")]
    given: dict[str, Any] = {}
    errors: list[RowError] = []
    for column, cell in zip(columns, cells, strict=False):
        text = cell.strip()
        if not text:
            continue
        try:
            given[column] = _PARSERS.get(column, str)(text)
        except ValueError as error:
            errors.append(RowError(line, column, shown(text), str(error)))
    if errors:
        return errors
    if empty := [column for column in _REQUIRED if column not in given]:
        return [RowError(line, column, "", "must not be empty") for column in empty]
    draft = DeviceDraft(**given)
    as_written = {
        column: shown(cell.strip())
        for column, cell in zip(columns, cells, strict=False)
        if column not in _LISTS
    }
    return [
        RowError(line, f.column, as_written.get(f.column, f.value), f.reason) for f in faults(draft)
    ] or draft


def _number(text: str) -> float:
    try:
        value = float(unicodedata.normalize("NFKC", text))
    except ValueError:
        raise ValueError("a number expected") from None
    if value - value != 0.0:
        raise ValueError("a finite number expected")
    return value


def _seconds(text: str) -> int:
    value = _number(text)
    if value != int(value):
        raise ValueError("whole seconds expected")
    return int(value)


def _thresholds(text: str) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        stage, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not stage:
            raise ValueError("stage=value;stage=value expected")
        if stage in found:
            raise ValueError(f"{shown(stage)} stands more than once")
        try:
            found[stage] = _number(value)
        except ValueError as error:
            raise ValueError(f"{shown(stage)}: {error}") from None
    return found


def _tags(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(";")))))


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "latitude": _number,
    "longitude": _number,
    "interval_s": _seconds,
    "silence_after_s": _number,
    "thresholds": _thresholds,
    "tags": _tags,
    "rollover_at": _number,
}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ";".join(f"{stage}={number!r}" for stage, number in value.items())
    if isinstance(value, tuple):
        return ";".join(chain(value))
    return repr(value) if isinstance(value, float) else str(value)
