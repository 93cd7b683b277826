"""Files of real measurements become publications: every row, in order, in the right unit."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from firmware_sim.files import (
    UK_EA,
    USGS,
    ColumnMap,
    FileError,
    file_devices,
    last_at,
    layout_of,
    read_file,
)

USGS_FILE = "river_usgs/01581752_5min_2018-05_2018-10.csv.gz"
EA_FILE = "river_uk_ea/polled_levels.csv.gz"
EA_HEADER = "polled_at_utc,station_id,station_name,river,value,timestamp,status\n"


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_usgs_season_is_published_row_by_row(shared_data: Path) -> None:
    """52,992 rows: time, level, discharge, temperature; feet exactly in metres."""
    path = shared_data / USGS_FILE
    rows, publications = _rows(path), list(read_file(path))
    assert len(publications) == len(rows) == 52_992
    for row, publication in zip(rows, publications, strict=True):
        assert publication.topic == "field/v1/river-gauge/usgs-01581752/up"
        decoded = json.loads(publication.payload)
        assert publication.at == decoded["t"] == _ms(row["datetime_utc"])
        assert set(decoded) == {"t", "v"}
        level, flow = Decimal(row["gage_height_ft"]), Decimal(row["discharge_cfs"])
        assert decoded["v"] == {
            "water.level": float(level * Decimal("0.3048")),
            "water.flow": float(flow * Decimal("0.028316846592")),
            "water.temperature": float(row["water_temp_c"]),
        }


def test_polls_are_published_as_they_came_repetitions_included(shared_data: Path) -> None:
    """58,417 rows of three stations; sent when polled, measured when the station said."""
    path = shared_data / EA_FILE
    rows, publications = _rows(path), list(read_file(path))
    assert len(publications) == len(rows) == 58_417
    for row, publication in zip(rows, publications, strict=True):
        assert publication.topic == f"field/v1/river-gauge/ea-{row['station_id']}/up"
        assert publication.at == _ms(row["polled_at_utc"])
        decoded = json.loads(publication.payload)
        assert decoded == {"t": _ms(row["timestamp"]), "v": {"water.level": float(row["value"])}}
    distinct = {(p.topic, p.payload) for p in publications}
    assert len(publications) - len(distinct) == 8_624


def test_the_devices_of_a_file_can_be_registered(shared_data: Path) -> None:
    """As rows of the CSV import, with the station's own name."""
    assert file_devices(shared_data / EA_FILE) == [
        {"name": f"ea-{station}", "kind": "river-gauge", "label": label, "interval_s": "900"}
        for station, label in (
            ("L1602", "Apperley Bridge"),
            ("L1705A", "Leeds Knostrop Weir Flood Alleviation Scheme"),
            ("L1707A", "Leeds Crown Point Flood Alleviation Scheme"),
        )
    ]
    assert [d["name"] for d in file_devices(shared_data / USGS_FILE)] == ["usgs-01581752"]


@pytest.fixture
def polls(tmp_path: Path) -> Path:
    return _write(
        tmp_path / "polls.csv",
        EA_HEADER + "2025-04-22T13:13:05Z,A,Bridge,R,0.002,2025-04-22T11:45:00Z,dropping\n"
        "2025-04-22T13:13:05Z,B,Weir,R,22.407,2025-04-22T11:45:00Z,rising\n"
        "2025-04-22T13:33:05Z,A,Bridge,R,,2025-04-22T12:15:00Z,stable\n"
        "2025-04-22T13:53:05Z,A,Bridge,R,-0.088,2025-04-22T12:30:00Z,stable\n",
    )


def test_layouts_are_recognised_by_their_header(polls: Path, tmp_path: Path) -> None:
    """Not by the file's name; a byte order mark does not matter."""
    assert layout_of(polls) is UK_EA
    header = "\ufeffdatetime_utc,gage_height_ft,discharge_cfs,water_temp_c\n"
    assert layout_of(_write(tmp_path / "x.csv", header)) is USGS


def test_an_empty_cell_is_no_value_and_a_row_without_values_no_message(polls: Path) -> None:
    """Three of the four rows have a level."""
    payloads = [p.payload for p in read_file(polls)]
    assert payloads == [
        b'{"t":1745322300000,"v":{"water.level":0.002}}',
        b'{"t":1745322300000,"v":{"water.level":22.407}}',
        b'{"t":1745325000000,"v":{"water.level":-0.088}}',
    ]


def test_times_can_be_shifted_to_now(polls: Path) -> None:
    """All by the same span; the last one is now."""
    now = 1_800_000_000_000
    shift_ms = now - last_at(polls)
    shifted = list(read_file(polls, shift_ms=shift_ms))
    assert shifted[-1].at == now
    plain = list(read_file(polls))
    assert [s.at - p.at for s, p in zip(shifted, plain, strict=True)] == [shift_ms] * 3
    assert json.loads(shifted[0].payload)["t"] == 1_745_322_300_000 + shift_ms


def test_several_rows_of_a_device_can_share_a_message_and_be_numbered(polls: Path) -> None:
    """Sent with the device's last row in it; what is left over is sent at the end."""
    first, rest = read_file(polls, rows_per_message=2, numbered=True)
    assert first.topic.endswith("/ea-A/up")
    assert [(e["n"], e["v"]["water.level"]) for e in json.loads(first.payload)] == [
        (1, 0.002),
        (2, -0.088),
    ]
    assert rest.topic.endswith("/ea-B/up")
    assert json.loads(rest.payload)["n"] == 1


def test_the_name_of_the_device_can_be_given(polls: Path) -> None:
    """For all rows."""
    assert {p.topic for p in read_file(polls, device="x-1")} == {"field/v1/river-gauge/x-1/up"}


def test_any_csv_can_be_read_by_a_column_map(tmp_path: Path) -> None:
    """Columns, units, kind and device as the map says; a time without offset is UTC."""
    path = _write(tmp_path / "m.csv", "when,id,level cm,flow\n2026-01-01 09:00+09:00,7,-12.5,3.6\n"
                  "2026-01-01 00:10,8,1e2,\n")  # fmt: skip
    columns = ColumnMap(
        time_column="when",
        values={"level cm": ("water.level", "cm"), "flow": ("water.flow", "m3/s")},
        device_column="id",
        device_prefix="st-",
        kind="zone-meter",
    )
    read = [(p.topic, p.payload) for p in read_file(path, columns=columns)]
    assert read == [
        (
            "field/v1/zone-meter/st-7/up",
            b'{"t":1767225600000,"v":{"water.level":-0.125,"water.flow":3.6}}',
        ),
        ("field/v1/zone-meter/st-8/up", b'{"t":1767226200000,"v":{"water.level":1}}'),
    ]


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        ("2025-04-22T13:13:05Z,A,N,R,abc,2025-04-22T11:45:00Z,s", "value", "abc"),
        ("2025-04-22T13:13:05Z,A,N,R,NaN,2025-04-22T11:45:00Z,s", "value", "NaN"),
        ("2025-04-22T13:13:05Z,A,N,R,1.0,yesterday,s", "timestamp", "yesterday"),
        ("noon,A,N,R,1.0,2025-04-22T11:45:00Z,s", "polled_at_utc", "noon"),
        ("2025-04-22T13:13:05Z,A,N,R,1.0", "timestamp", ""),
    ],
)
def test_a_bad_cell_is_named_with_line_column_and_value(
    tmp_path: Path, row: str, column: str, value: str
) -> None:
    """Nobody should have to search for it."""
    good = "2025-04-22T13:13:05Z,A,N,R,1.0,2025-04-22T11:45:00Z,s\n"
    path = _write(tmp_path / "bad.csv", EA_HEADER + good + row + "\n")
    with pytest.raises(FileError) as caught:
        list(read_file(path))
    error = caught.value
    assert (error.line, error.column, error.value) == (3, column, value)
    assert f"line 3, column {column}" in str(error)


def test_what_is_no_such_file_says_so(tmp_path: Path) -> None:
    """Missing, unknown header, broken gzip, unknown unit or quantity."""
    with pytest.raises(FileError, match="No such file"):
        list(read_file(tmp_path / "none.csv"))
    with pytest.raises(FileError, match="unknown layout, the header is 'a,b'"):
        list(read_file(_write(tmp_path / "a.csv", "a,b\n1,2\n")))
    broken = tmp_path / "b.csv.gz"
    broken.write_bytes(gzip.compress(EA_HEADER.encode() * 500)[:60])
    with pytest.raises(FileError, match="end-of-stream"):
        list(read_file(broken))
    for values, reason in (
        ({"b": ("water.leval", "m")}, "unknown quantity"),
        ({"b": ("water.level", "furlong")}, "cannot be converted to m"),
        ({"c": ("water.level", "m")}, "column is missing"),
    ):
        with pytest.raises(FileError, match=reason):
            list(read_file(tmp_path / "a.csv", columns=ColumnMap("a", values, device="d")))
