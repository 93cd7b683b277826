"""People as the command line and the demo add them: on record, and refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from dashboards.auth import visitor_of
from dashboards.tables import audit
from satomori.administration import access_token, add_person
from satomori.clock import now_ms
from satomori.demo import DEMO_PEOPLE, add_demo_people
from satomori.installation import Installation
from satomori.settings import Settings, SettingsError


def _settings(folder: Path) -> Settings:
    return Settings.model_validate({"paths": {"var": folder / "var"}})


def _added(settings: Settings) -> list[tuple[str, str]]:
    """(name, role) as the audit log has it."""
    database = Installation(settings).open_database()
    query = select(audit.c.subject, audit.c.detail).where(audit.c.action == "person.added")
    with database.connect() as connection:
        rows = connection.execute(query.order_by(audit.c.id)).all()
    database.dispose()
    return [(row.subject, row.detail) for row in rows]


def _add(settings: Settings, name: str, role: str = "admin") -> str:
    return add_person(settings, name, role=role, display_name="", mail=None, language="ja")


def test_a_person_added_at_the_command_line_is_in_the_audit_log(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    assert "/login/" in _add(settings, "joho")
    assert _added(settings) == [("joho", "admin")]


@pytest.mark.parametrize(
    ("name", "role", "said"), [("joho", "admin", "joho"), ("x", "mayor", "mayor")]
)
def test_a_person_who_cannot_be_added_is_refused_with_a_sentence(
    tmp_path: Path, name: str, role: str, said: str
) -> None:
    """A name that is taken, a role that is none; and nothing is on record of it."""
    settings = _settings(tmp_path)
    _add(settings, "joho")
    with pytest.raises(SettingsError, match=said):
        _add(settings, name, role)
    assert _added(settings) == [("joho", "admin")]


def test_the_people_of_a_demo_are_in_the_audit_log_once(tmp_path: Path) -> None:
    """A second start adds nobody."""
    settings = _settings(tmp_path)
    place = Installation(settings)
    place.prepare(1)
    add_demo_people(place, with_mail=False)
    add_demo_people(place, with_mail=True)
    assert _added(settings) == [(name, role) for name, _, role in DEMO_PEOPLE]


def test_a_program_acts_as_a_person_with_a_token_of_limited_life(tmp_path: Path) -> None:
    """Prometheus reads /metrics so; the token is good until its day and not after."""
    settings = _settings(tmp_path)
    _add(settings, "prometheus", role="disaster")
    token = access_token(settings, "prometheus", days=1)
    database = Installation(settings).open_database()
    visitor = visitor_of(database, token, now_ms())
    assert visitor is not None
    assert visitor.view.role == "disaster"
    assert visitor_of(database, token, now_ms() + 2 * 86_400_000) is None
    database.dispose()
