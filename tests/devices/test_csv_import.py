"""Devices from a CSV file: good rows become drafts, bad cells are named by line and column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.csv_import import COLUMNS, RowError, decoded, parse_devices, to_csv
from devices.drafts import STAGES, DeviceDraft, faults
from devices.kinds import FIELD_KINDS
from devices.outcomes import shown

HEADER = ",".join(COLUMNS) + "\n"
ROW = (
    "R-001,river-gauge,太平橋,Taihei bridge,太平橋,川内,31.8139,130.3037,600,1800,"
    "caution=3.0;danger=4.5,bridge;north,G-1,city\n"
)


def test_a_full_row_becomes_a_draft() -> None:
    drafts, errors = parse_devices(HEADER + ROW)
    assert errors == []
    assert drafts == [
        DeviceDraft(
            "R-001", "river-gauge", "太平橋", "Taihei bridge", "太平橋", "川内",
            31.8139, 130.3037, 600, 1800.0,
            {"caution": 3.0, "danger": 4.5}, ("bridge", "north"), "G-1", "city",
        )
    ]  # fmt: skip


def test_columns_stand_in_any_order_and_may_be_left_out() -> None:
    drafts, errors = parse_devices("label, kind ,name\nわな,trap,T-1\n,trap,T-2\n")
    assert errors == []
    assert drafts == [DeviceDraft("T-1", "trap", "わな"), DeviceDraft("T-2", "trap")]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffname,kind\r\nT-1,trap\r\n\r\n ,\r\n",
        "name;kind\nT-1;trap\n",
        "name\tkind\nT-1\ttrap",
        '"name","kind"\n"T-1"," trap "\n',
        "\n\nname,kind,\nT-1,trap\n".replace("kind,", "kind"),
    ],
)
def test_a_file_may_come_from_any_spreadsheet(text: str) -> None:
    assert parse_devices(text) == ([DeviceDraft("T-1", "trap")], [])


def test_numbers_may_be_full_width() -> None:
    text = "name,kind,interval_s,latitude,longitude\nT-1,trap,６００,３１．５,１３０\n"
    (draft,), errors = parse_devices(text)
    assert errors == []
    assert (draft.interval_s, draft.latitude, draft.longitude) == (600, 31.5, 130.0)


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("name", "R 001", "1 to 64 of the characters"),
        ("name", "", "must not be empty"),
        ("name", "x" * 65, "1 to 64 of the characters"),
        ("kind", "rivergauge", "unknown kind"),
        ("label", "a\x07b", "printable"),
        ("latitude", "north", "a number expected"),
        ("latitude", "91", "degrees from -90 to 90"),
        ("latitude", "", "go together"),
        ("longitude", "nan", "a finite number"),
        ("interval_s", "1.5", "whole seconds"),
        ("interval_s", "0", "1 to"),
        ("silence_after_s", "60", "at least the interval of 600"),
        ("silence_after_s", "inf", "a finite number"),
        ("thresholds", "caution", "name=value;name=value"),
        ("thresholds", "caution=x", "caution: a number expected"),
        ("thresholds", "caution=1;caution=2", "more than once"),
        ("thresholds", "cuation=3", "unknown stage"),
        ("thresholds", "caution=5;danger=4", "stages must rise"),
        ("thresholds", "caution=4;danger=4", "stages must rise"),
        ("gateway", "G 1", "a device name expected"),
        ("gateway", "R-001", "its own gateway"),
        ("label", "x" * 201, "at most 200"),
        ("dev_eui", "00112233", "16 hexadecimal digits"),
        ("dev_eui", "7.01235E+15", "a spreadsheet made a number of it"),
        ("intervals", "active", "name=value"),
        ("intervals", "asleep=600", "unknown state"),
        ("intervals", "active=0", "1 to"),
        ("intervals", "active=601", "does not report less often"),
        ("intervals", "normal=900", "interval_s says 600"),
        ("active_from", "high", "a number expected"),
        ("active_from", "1.5", "needs an interval"),
        ("open_data", "all", "one of none, values"),
        ("gauge_zero_m", "4000.1", "metres from -4000"),
        ("mounting_height_m", "201", "metres from -200"),
    ],
)
def test_a_bad_cell_is_named_by_line_column_and_value(column: str, cell: str, reason: str) -> None:
    good = ROW.rstrip("\n").split(",")
    good += [""] * (len(COLUMNS) - len(good))
    bad = [cell if name == column else value for name, value in zip(COLUMNS, good, strict=True)]
    text = HEADER + "T-1,trap" + "," * (len(COLUMNS) - 2) + "\n" + ",".join(bad) + "\n"
    drafts, (error,) = parse_devices(text)
    assert [draft.name for draft in drafts] == ["T-1"]
    assert (error.line, error.column) == (3, column)
    assert column in ("thresholds", "intervals") or error.value == shown(cell)
    assert reason in error.reason


def test_every_bad_cell_of_a_row_is_named() -> None:
    _, errors = parse_devices("name,kind,latitude,interval_s\nT-1,trap,x,y\n,trap,1,2\n")
    assert [(error.line, error.column) for error in errors] == [
        (2, "latitude"),
        (2, "interval_s"),
        (3, "name"),
    ]


def test_the_register_of_a_meter_is_read_and_only_of_a_meter() -> None:
    text = (
        "name,kind,rollover_at\n"
        "M-1,water-meter,100000\nM-2,water-meter,\nZ-1,zone-meter,１０００００００\n"
        "M-3,water-meter,99.9\nM-4,water-meter,viele\nR-1,river-gauge,100000\n"
    )
    drafts, errors = parse_devices(text)
    assert [draft.rollover_at for draft in drafts] == [1e5, None, 1e7]
    assert [(e.line, e.column, e.value) for e in errors] == [
        (5, "rollover_at", "99.9"),
        (6, "rollover_at", "viele"),
        (7, "rollover_at", "100000"),
    ]
    assert "100 to 1e+10 m3 expected" in errors[0].reason
    assert errors[2].reason == "a river-gauge has no register"


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    text = 'name,kind,label\n\nT-1,trap,"two\nlines"\nT-2,no-kind,\n'
    _, errors = parse_devices(text)
    assert [(error.line, error.column) for error in errors] == [(3, "label"), (5, "kind")]


def test_a_name_stands_once() -> None:
    drafts, errors = parse_devices("name,kind\nT-1,trap\nT-2,trap\nT-1,collar\n")
    assert len(drafts) == 2
    assert errors == [RowError(4, "name", "T-1", "stands already in line 2")]


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, "name", "required"),
        ("name,label\nT-1,x\n", 1, "kind", "required"),
        ("name,kind,colour\nT-1,trap,red\n", 1, "colour", "unknown column"),
        ("name,kind,name\nT-1,trap,T-1\n", 1, "name", "more than once"),
        ("name,kind\nT-1,trap,5\n", 2, "", "3 cells for 2 columns"),
        ('name,kind\nT-1,"trap\n', 2, "", "no CSV"),
        ('name,kind\nT-1,"tr"ap\n', 2, "", "no CSV"),
    ],
)
def test_a_broken_file_is_refused_where_it_breaks(
    text: str, line: int, column: str, reason: str
) -> None:
    _, errors = parse_devices(text)
    assert (errors[0].line, errors[0].column) == (line, column)
    assert reason in errors[0].reason


def test_a_place_is_read_from_plane_coordinates() -> None:
    """X is north and Y is east; a zone is its EPSG code or its number."""
    text = (
        "name,kind,plane_epsg,plane_x_m,plane_y_m\n"
        "R-1,river-gauge,6670,-131000,-66000\nR-2,river-gauge,EPSG:6670,-131000,-66000\n"
        "R-3,river-gauge,２,－131000,-66000\nR-4,river-gauge,,,\n"
    )
    drafts, errors = parse_devices(text)
    assert errors == []
    assert {(d.latitude, d.longitude) for d in drafts} == {
        (31.81666441, 130.30285809),
        (None, None),
    }


@pytest.mark.parametrize(
    ("header", "cells", "line", "column", "reason"),
    [
        ("plane_epsg,plane_x_m", "6670,1", 1, "plane_y_m", "goes together with"),
        ("plane_epsg,plane_x_m,plane_y_m", "6670,1,", 2, "plane_y_m", "goes together with"),
        ("plane_epsg,plane_x_m,plane_y_m", "4326,1,2", 2, "plane_epsg", "6669 (zone I)"),
        ("plane_epsg,plane_x_m,plane_y_m", "six,1,2", 2, "plane_epsg", "6669 (zone I)"),
        ("plane_epsg,plane_x_m,plane_y_m", "6670,1,9e9", 2, "plane_epsg", "no zone reaches"),
        (
            "plane_epsg,plane_x_m,plane_y_m,latitude,longitude", "6670,1,2,31,130",
            2, "latitude", "plane coordinates, too",
        ),
    ],
)  # fmt: skip
def test_plane_coordinates_that_cannot_be_are_named(
    header: str, cells: str, line: int, column: str, reason: str
) -> None:
    drafts, errors = parse_devices(f"name,kind,{header}\nR-1,river-gauge,{cells}\n")
    assert (drafts, errors[0].line, errors[0].column) == ([], line, column)
    assert reason in errors[0].reason


def test_what_tells_of_people_and_traps_is_never_published() -> None:
    kinds = ("water-meter", "zone-meter", "collar", "trap", "river-gauge", "paddy-node")
    rows = "".join(f"D-{k},{kind},values\n" for k, kind in enumerate(kinds))
    drafts, errors = parse_devices("name,kind,open_data\n" + rows)
    assert [draft.kind for draft in drafts] == ["river-gauge", "paddy-node"]
    assert {error.column for error in errors} == {"open_data"}


@pytest.mark.parametrize(
    "label", ["=1+1", "+81", "-", "@SUM(A1)", "＝１", "'=1", "''", "'quoted'", "a=b", "''+x"]
)
def test_no_cell_is_a_formula(label: str) -> None:
    """A spreadsheet that opens the export computes nothing; what is read again is the same."""
    text = to_csv([DeviceDraft("-1", "trap", label, tags=("=x", "+y"), owner="@home")])
    cells = text.splitlines()[1].split(",")
    assert not any(cell.startswith(("=", "+", "-", "@", "＝")) for cell in cells)
    assert parse_devices(text)[0][0].label == label


def test_a_negative_number_is_a_number_and_no_formula() -> None:
    text = to_csv([DeviceDraft("G", "river-gauge", latitude=-31.5, longitude=-1.0)])
    assert ",-31.5,-1.0," in text


def test_a_dev_eui_is_written_so_that_no_spreadsheet_makes_a_number_of_it() -> None:
    text = to_csv([DeviceDraft("G", "river-gauge", dev_eui="00000000000012E5")])
    assert "00-00-00-00-00-00-12-E5" in text
    assert parse_devices(text)[0][0].dev_eui == "00000000000012E5"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
def test_a_file_is_read_in_the_encodings_of_spreadsheets(encoding: str) -> None:
    text = "name,kind,label\nT-1,trap,箱わな①髙\n"
    assert decoded(text.encode(encoding)) == text


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_text(body: bytes) -> None:
    assert isinstance(decoded(body), str)


_text = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Zs", "Cn", "Co"]),
    max_size=20,
)
_tags = st.lists(_text.filter(lambda tag: tag and ";" not in tag), unique=True).map(tuple)


@st.composite
def _drafts(draw: st.DrawFn) -> DeviceDraft:
    kind = draw(st.sampled_from(sorted(FIELD_KINDS)))
    stages = STAGES.get(kind, ("low", "high"))
    levels = draw(st.lists(st.floats(-100, 100), unique=True, max_size=len(stages)))
    has_place = draw(st.booleans())
    return DeviceDraft(
        name=draw(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
        kind=kind,
        label=draw(_text),
        label_en=draw(_text),
        site=draw(_text),
        area=draw(_text),
        latitude=draw(st.floats(-90, 90)) if has_place else None,
        longitude=draw(st.floats(-180, 180)) if has_place else None,
        interval_s=draw(st.none() | st.integers(1, 86_400)),
        silence_after_s=draw(st.none() | st.floats(86_400, 1e6)),
        thresholds=dict(zip(stages, sorted(levels), strict=False)),
        tags=draw(_tags),
        owner=draw(st.none() | _text.filter(bool)),
        serial_number=draw(st.none() | _text.filter(bool)),
        dev_eui=draw(st.none() | st.from_regex(r"[0-9A-F]{16}", fullmatch=True)),
        model=draw(st.none() | _text.filter(bool)),
        codec=draw(st.sampled_from([None, "cayenne-lpp", "dragino/ldds75"])),
        intervals=draw(st.sampled_from([{}, {"active": 1}])),
        open_data=draw(st.sampled_from([None, "none"])),
        gauge_zero_m=draw(st.none() | st.floats(-4000, 4000)),
        mounting_height_m=draw(st.none() | st.floats(-200, 200)),
    )


@given(st.lists(_drafts(), unique_by=lambda draft: draft.name, max_size=5))
def test_what_is_written_is_read(drafts: list[DeviceDraft]) -> None:
    assert all(not faults(draft) for draft in drafts)
    assert parse_devices(to_csv(drafts)) == (drafts, [])


@given(st.text() | st.text(st.sampled_from('namekid,"\n\r;=trap-1.')).map("name,kind\n".__add__))
def test_whatever_comes_is_a_draft_or_an_error(text: str) -> None:
    drafts, errors = parse_devices(text)
    assert all(not faults(draft) for draft in drafts)
    assert all(error.line >= 1 and error.reason for error in errors)
