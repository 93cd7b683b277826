"""Fuzz targets of what lies on disk: journal, snapshots, status files, and people's files."""

from __future__ import annotations

import atexit
import csv
import gzip
import io
import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from alerts.rules import RuleError, default_rules_text, load_rules
from alerts.snapshot import LaneSnapshot, load_snapshot, save_snapshot
from dashboards.metrics import metrics_text
from dashboards.processes import PROCESSES, clock, read_statuses
from dashboards.routes.devices import decoded
from devices.csv_import import COLUMNS, parse_devices, to_csv
from devices.drafts import faults
from devices.frames import (
    BrokerFrame,
    Lane,
    Position,
    RejectedFrame,
    RevisionFrame,
    SequenceGapFrame,
    SeriesFrame,
    StatusFrame,
    TickFrame,
)
from firmware_sim.files import FileError, read_file
from firmware_sim.scenario import ScenarioError, read_scenario
from ingest.frame_codec import FrameUnreadable, decode_frame, encode_frame
from ingest.journal import JournalWriter
from ingest.journal_follower import JournalFollower, PositionLost
from ingest.journal_recovery import recover
from ingest.journal_tail import TAIL_NAME, TailFile
from ingest.segments import JournalDamaged, list_segments
from satomori.settings import SettingsError, load_settings
from tests.fuzz.target import NUMBERS, Target, memory_folder
from tests.ingest.journal_frames import RIVER, readings_frame

_open = ExitStack()
atexit.register(_open.close)
FOLDER = _open.enter_context(memory_folder())

# --- frames and segments of the journal ----------------------------------------------------------

_FRAMES = (
    readings_frame(5),
    RejectedFrame("field/v1/x", b"{", 1_760_000_000_000, "bad_json", "at 1"),
    StatusFrame(3, 1_760_000_000_000, b"online"),
    SequenceGapFrame(3, 1_760_000_000_000, 7, 9, False),
    TickFrame(1_760_000_000_000),
    BrokerFrame(1_760_000_000_000, "intake-urgent-0", True),
    RevisionFrame(1_760_000_000_000, 12),
    SeriesFrame((RIVER,)),
)


def journal_frame(data: bytes) -> None:
    """First byte: the type code. What is read once is written and read the same again."""
    try:
        frame = decode_frame(data[0] if data else 0, data[1:])
    except FrameUnreadable:
        return
    code, written = encode_frame(frame)
    assert encode_frame(decode_frame(code, written)) == (code, written)


def _written_journal() -> tuple[bytes, bytes]:
    """Segment file and tail file of a small journal."""
    folder = FOLDER / "written"
    writer = JournalWriter(
        folder, Lane.URGENT, segment_bytes=1 << 20, definitions=lambda: (RIVER,),
        reserve_bytes=0, low_water_bytes=0,
    )  # fmt: skip
    for frame in _FRAMES:
        writer.append([frame])
    writer.close()
    (segment,) = list_segments(folder)
    return segment.path.read_bytes(), (folder / TAIL_NAME).read_bytes()


_SEGMENT, _TAIL = _written_journal()


def journal(data: bytes) -> None:
    """The tail file and a segment behind it, as a disk may give them back: nothing is invented."""
    folder = FOLDER / "damaged"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / TAIL_NAME).write_bytes(data[: len(_TAIL)])
    (folder / f"{1:020d}.seg").write_bytes(data[len(_TAIL) :])
    _read_journal(folder)
    tail_file = TailFile(folder, is_writable=False)
    try:
        found = recover(folder, Lane.URGENT, tail_file.read())
    except (JournalDamaged, ValueError):
        return
    finally:
        tail_file.close()
    assert found.epoch > 0
    assert 1 <= found.next_n <= 2**64


def _read_journal(folder: Path) -> None:
    follower = JournalFollower(folder, Lane.URGENT, "fuzz")
    after: Position | None = None
    try:
        for _ in range(len(_FRAMES) + 70):
            try:
                entries = follower.read(after)
            except JournalDamaged as damaged:
                if damaged.resume_after is None:
                    return
                after = damaged.resume_after
                continue
            except PositionLost:
                return
            if not entries:
                return
            assert all(entry.position.n > (after.n if after else 0) for entry in entries)
            after = entries[-1].position
        raise AssertionError("reading never ends")
    finally:
        follower.close()


# --- what people write ---------------------------------------------------------------------------

_DEVICES = (
    b"name,kind,label,latitude,longitude,interval_s,thresholds,tags,rollover_at\n"
    b"R-1,river-gauge,\xe5\xa4\xaa\xe5\xb9\xb3\xe6\xa9\x8b,31.8,130.3,600,caution=3.0;danger=4.5,a;b,\n"
    b"M-1,water-meter,,,,3600,,,100000\n"
)


def device_csv(data: bytes) -> None:
    """Drafts without a fault, or errors that say where; what was read is written and read again."""
    drafts, errors = parse_devices(decoded(data))
    for error in errors:
        assert error.line >= 1
        assert error.reason
        assert len(error.value) <= 80
    assert not any(faults(draft) for draft in drafts)
    assert parse_devices(to_csv(drafts)) == (drafts, [])


def rules(data: bytes) -> None:
    """A rule set, or a RuleError; the same text gives the same version."""
    text = data.decode("utf-8", "replace")
    try:
        found = load_rules(text)
    except RuleError as error:
        assert error.problems
        return
    assert load_rules(text).version == found.version


def settings(data: bytes) -> None:
    """Settings, or a SettingsError."""
    path = FOLDER / "satomori.toml"
    path.write_bytes(data)
    try:
        load_settings(path, {})
    except SettingsError as error:
        assert str(error)


def scenario(data: bytes) -> None:
    """A scenario, or a ScenarioError."""
    path = FOLDER / "scenario.toml"
    path.write_bytes(data)
    try:
        read_scenario(path)
    except ScenarioError as error:
        assert str(error)


def measurements(data: bytes) -> None:
    """A file of readings that the simulator plays: rows, or a FileError."""
    path = FOLDER / "01581752_x.csv"
    path.write_bytes(data)
    try:
        for publication in read_file(path):
            assert len(publication.payload) < 1000
    except FileError as error:
        assert len(str(error)) < 1000


# --- what our processes write --------------------------------------------------------------------


def status_files(data: bytes) -> None:
    """All status files say this: the pages and the metrics stand."""
    folder = FOLDER / "run"
    folder.mkdir(exist_ok=True)
    for name in PROCESSES:
        (folder / f"{name}.json").write_bytes(data)
    statuses = read_statuses(folder)
    seen = clock(statuses, 1_760_000_000_000)
    metrics_text(statuses, seen, is_ready=True)
    assert seen.broker


def engine_snapshot(data: bytes) -> None:
    """The engine's state file, or nothing; damage is no reason to stay down."""
    path = FOLDER / "engine.npz"
    path.write_bytes(data)
    load_snapshot(path)


def _saved_engine() -> bytes:
    path = FOLDER / "saved.npz"
    lane = LaneSnapshot(Position(5, 9), "v", {"level": np.arange(3.0)})
    save_snapshot(path, {Lane.URGENT: lane})
    return path.read_bytes()


def _csv_rows(*rows: tuple[object, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


_USGS = _csv_rows(
    ("datetime_utc", "gage_height_ft", "discharge_cfs", "water_temp_c"),
    ("2018-06-01T00:00:00+00:00", "1.13", "4.2", "18.5"),
    ("2018-06-01T00:05:00+00:00", "1.66", "", "18.4"),
)
_UK = _csv_rows(
    ("polled_at_utc", "station_id", "station_name", "timestamp", "value"),
    ("2024-01-01T00:10:00Z", "L1705", "A bridge", "2024-01-01T00:00:00Z", "0.412"),
)
_SCENARIO = (
    b'calm = true\nonly = ["river-08"]\n[[step]]\nat_s = 5\ndevice = "river-08"\n'
    b'quantity = "water.level"\nvalue = 4.2\nramp_s = 10\n'
)
_STATUS = json.dumps(
    {"at": 1_760_000_000_000, "pid": 1, "broker": {"urgent-0": "up"}, "counts": {"rows": 5},
     "lanes": {"urgent": {"rate": 1.5, "journal_error": None, "rejected": {"bad_json": 3}}}}
).encode()  # fmt: skip
_TOML_TOKENS = (*NUMBERS, b"[[rules]]", b"[[routes]]", b"[", b"]", b"=", b"\n", b"1979-05-27",
                b'"""', b"'", b"{", b"}", b"kind = ")  # fmt: skip
_RULES = default_rules_text().encode()

TARGETS = (
    Target(
        "journal_frame", journal_frame,
        tuple(bytes((code,)) + text for code, text in map(encode_frame, _FRAMES)), NUMBERS,
    ),
    Target("journal", journal, (_TAIL + _SEGMENT,), (b"SATOJRNL", b"\xff" * 4, b"\0" * 8)),
    Target("device_csv", device_csv, (_DEVICES, (",".join(COLUMNS) + "\n").encode()),
           (*NUMBERS, b",", b";", b"\t", b'"', b"\n", b"\r", b"=", b"trap", b"name,kind\n")),
    Target("rules", rules, (_RULES, b'{"rules": []}', b"rules = []\n"), _TOML_TOKENS, ("alerts",)),
    Target("settings", settings, (Path("satomori.toml").read_bytes(), b"[web]\nport = 80\n"),
           _TOML_TOKENS, ("satomori.settings",)),
    Target("scenario", scenario, (_SCENARIO,), _TOML_TOKENS, ("firmware_sim.scenario",)),
    Target("measurements", measurements, (_USGS, _UK, gzip.compress(_USGS, mtime=0)),
           (*NUMBERS, b",", b'"', b"\n", b"2018-06-01", b"9999-12-31T23:59:59-14:00"),
           ("firmware_sim.files",)),
    Target("status_files", status_files, (_STATUS, b"{}"),
           (*NUMBERS, b"[", b"{", b'"at":', b'"pid":'),
           ("dashboards.processes", "dashboards.metrics")),
    Target("engine_snapshot", engine_snapshot, (_saved_engine(),), (b"\x93NUMPY", b"PK\x03\x04"),
           ("alerts.snapshot",)),
)  # fmt: skip
