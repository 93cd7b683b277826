"""A unit is replaced at the command line: series go on, readings are kept, passwords end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from dashboards.tables import audit
from devices.drafts import DeviceDraft
from devices.registry import Registry
from devices.units import Unit
from satomori.cli import app
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.provisioning import make_credential
from satomori.settings import Settings, SettingsError

METER = DeviceDraft("M-1", "water-meter", rollover_at=1e4)


class Office:
    """An installation with one meter, as somebody at its command line sees it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.model_validate({"paths": {"var": folder / "var"}})
        self._config = folder / "satomori.toml"
        self._config.write_text(f'[paths]\nvar = "{folder / "var"}"\n')
        place = Installation(self.settings)
        place.prepare(1)
        self.database = place.open_database()
        self.registry = Registry(self.database)
        self.registry.register([METER], now_ms() - 86_400_000)

    def replace(self, *options: str) -> str:
        words = ["devices", "replace", "M-1", *options, "--config", str(self._config)]
        result = CliRunner().invoke(app, words)
        if isinstance(result.exception, SettingsError):
            raise result.exception
        return result.output

    def units(self) -> tuple[Unit, ...]:
        return self.registry.units(self.registry.snapshot().by_name["M-1"].id)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.database.dispose()


def test_a_meter_is_replaced_and_its_series_goes_on(office: Office) -> None:
    before = office.registry.snapshot()
    said = office.replace("--serial", "S2", "--final-reading", "812.9",
                          "--initial-reading", "0.2", "--rollover-at", "100000")  # fmt: skip
    assert said.startswith("M-1: replaced ")
    old, new = office.units()
    assert (old.final_reading, new.initial_reading) == (812.9, 0.2)
    assert (new.serial_number, new.rollover_at) == ("S2", 1e5)
    assert old.removed_at == new.installed_at
    after = office.registry.snapshot()
    assert after.series == before.series
    assert after.revision > before.revision
    with office.database.connect() as connection:
        rows = connection.execute(select(audit.c.subject, audit.c.detail)
                                  .where(audit.c.action == "unit.replaced")).all()  # fmt: skip
    assert [tuple(row) for row in rows] == [("M-1", "S2")]


def test_a_replacement_may_be_noted_afterwards_in_the_time_of_japan(office: Office) -> None:
    at = now_ms() - 3_600_000
    japan = datetime.fromtimestamp(at / 1000, timezone(timedelta(hours=9)))
    office.replace("--at", japan.strftime("%Y-%m-%dT%H:%M"))
    assert office.units()[1].installed_at == at // 60_000 * 60_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--at", "2020-01-01T00:00"), "not after"),
        (("--at", "2126-01-01T00:00"), "still to come"),
        (("--at", "yesterday"), "expected"),
        (("--dev-eui", "12"), "16 hexadecimal digits"),
        (("--initial-reading", "100000", "--rollover-at", "10000"), "register ends"),
    ],
)
def test_a_replacement_that_cannot_be_is_refused(
    office: Office, options: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        office.replace(*options)
    assert len(office.units()) == 1


def test_the_password_of_the_old_unit_is_void(office: Office) -> None:
    make_credential(office.settings, "M-1")
    passwords = Installation(office.settings).broker / "passwords"
    assert "M-1:" in passwords.read_text()
    assert "satomori devices credential M-1" in office.replace()
    assert "M-1:" not in passwords.read_text()
