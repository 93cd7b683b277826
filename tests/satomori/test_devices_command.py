"""The device commands: what a city's IT does to the registry from a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from dashboards.tables import audit
from devices.database import open_database
from satomori.cli import app
from satomori.settings import SettingsError

CSV = (
    "name,kind,label,area,thresholds,dev_eui,owner\n"
    "R-001,river-gauge,太平橋,川内,caution=3.0,A8-40-41-00-00-00-00-01,city\n"
    "G-1,gateway,中継機,川内,,,\n"
)


class Terminal:
    """One installation at its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._config = folder / "satomori.toml"
        self._config.write_text(f'[paths]\nvar = "{folder / "var"}"\n')

    def run(self, *words: str, ends_with: int = 0, given: bytes | None = None) -> str:
        command = ["devices", *words, "--config", str(self._config)]
        result = CliRunner().invoke(app, command, input=given)
        if isinstance(result.exception, SettingsError):
            raise result.exception
        assert result.exit_code == ends_with, result.output
        return result.output

    def file(self, text: str, encoding: str = "utf-8") -> str:
        path = self.folder / "devices.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    def noted(self) -> list[tuple[str, str]]:
        (path,) = (self.folder / "var").glob("**/satomori.db")
        database = open_database(f"sqlite:///{path}")
        with database.connect() as connection:
            rows = connection.execute(select(audit).order_by(audit.c.id)).all()
        database.dispose()
        return [(row.action, row.subject) for row in rows]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    yield Terminal(tmp_path)


def test_a_dry_run_changes_nothing_and_says_what_would_change(terminal: Terminal) -> None:
    file = terminal.file(CSV, "cp932")
    said = terminal.run("import", file, "--dry-run")
    assert "2 devices would be registered: 2 new, 0 changed, 0 unchanged" in said
    assert "note: new areas: 川内" in said
    assert terminal.run("list").strip() == ""
    assert "2 devices registered" in terminal.run("import", file)
    assert "太平橋" in terminal.run("list")
    changed = terminal.file(CSV.replace("caution=3.0", "caution=3.5"))
    assert "line 2, R-001: thresholds" in terminal.run("import", changed, "--dry-run")
    assert '"caution": 3.0' in terminal.run("show", "R-001", "--json")


def test_every_bad_row_is_named_and_nothing_is_done(terminal: Terminal) -> None:
    text = CSV + "R 2,river-gauge,,,,,\nT-1,trap,,,,A8-40-41-00-00-00-00-01,\n"
    said = terminal.run("import", terminal.file(text), ends_with=1)
    assert "line 4, name = 'R 2'" in said
    assert "line 5, dev_eui = 'A8-40-41-00-00-00-00-01': in service in device R-001" in said
    assert "2 errors: nothing was changed" in said
    outcome = json.loads(terminal.run("import", terminal.file(text), "--json", ends_with=1))
    assert [error["line"] for error in outcome["errors"]] == [4, 5]
    assert json.loads(terminal.run("list", "--json")) == {"devices": []}


def test_what_is_exported_imports_to_the_same(terminal: Terminal) -> None:
    terminal.run("import", terminal.file(CSV))
    exported = terminal.run("export")
    said = terminal.run("import", "-", given=exported.encode())
    assert "0 new, 0 changed, 2 unchanged" in said
    file = terminal.folder / "out.csv"
    terminal.run("export", "--output", str(file))
    assert file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n") == exported
    assert terminal.noted() == [("devices.imported", "2 devices")]


def test_a_device_is_shown_with_its_history(terminal: Terminal) -> None:
    terminal.run("import", terminal.file(CSV))
    terminal.run("datum", "R-001", "--gauge-zero", "2.5", "--since", "2026-04-01T10:30")
    terminal.run("correct", "R-001", "--serial", "S1")
    terminal.run("replace", "R-001", "--serial", "S2", "--codec", "dragino/ldds75")
    terminal.run("maintenance", "R-001", "--until", "2999-01-01T00:00", "--reason", "点検",
                 "--start", "2998-12-31T00:00", "--by", "鈴木")  # fmt: skip
    said = terminal.run("show", "R-001")
    assert "since 2026-04-01 10:30: zero T.P. 2.5 m" in said
    assert "serial S1, DevEUI A840410000000001" in said
    assert "serial S2, codec dragino/ldds75" in said
    assert "点検 (鈴木)" in said
    assert "has ended" in terminal.run("maintenance", "R-001", "--cancel", "1")
    assert [action for action, _ in terminal.noted()] == [
        "devices.imported", "datum.added", "unit.corrected", "unit.replaced",
        "maintenance.planned", "maintenance.cancelled",
    ]  # fmt: skip


def test_a_device_is_taken_out_of_service(terminal: Terminal) -> None:
    terminal.run("import", terminal.file(CSV))
    terminal.run("import", terminal.file("name,kind,gateway\nT-1,trap,G-1\n"))
    said = terminal.run("decommission", "G-1")
    assert "1 devices name it as their gateway still: T-1" in said
    assert "G-1" not in terminal.run("list")
    assert "(out of service)" in terminal.run("list", "--service", "out")
    with pytest.raises(SettingsError, match="out of service already"):
        terminal.run("decommission", "G-1")
    with pytest.raises(SettingsError, match="out of service"):
        terminal.run("replace", "G-1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "nothing"), "not registered"),
        (("decommission", "satomori"), "not registered"),
        (("correct", "G-1", "--serial", "x"), "has no unit in service"),
        (("correct", "R-001", "--dev-eui", "7"), "16 hexadecimal digits"),
        (("datum", "R-001", "--gauge-zero", "1", "--since", "2999-01-01T00:00"), "still to come"),
        (("datum", "R-001", "--gauge-zero", "9999"), "metres from -4000"),
        (("maintenance", "R-001"), "--until and --reason"),
        (("maintenance", "R-001", "--cancel", "7"), "no window 7"),
        (("maintenance", "R-001", "--until", "tomorrow", "--reason", "x"), "a time such as"),
        (("maintenance", "R-001", "--until", "2020-01-01", "--reason", "x"), "must be after"),
        (("import", "/nowhere.csv"), "/nowhere.csv"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    terminal: Terminal, words: tuple[str, ...], said: str
) -> None:
    terminal.run("import", terminal.file(CSV))
    with pytest.raises(SettingsError, match=said):
        terminal.run(*words)
