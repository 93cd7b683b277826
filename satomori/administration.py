"""What the command line does to an installation: devices, people, rules, broker files.

Each is one short write transaction on the same tables as the web process; see
docs/decisions/0004-commands-beside-a-running-system.md for why that is safe.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta, timezone
from pathlib import Path

from sqlalchemy import Engine

from alerts import groups
from alerts.people import person_named
from alerts.rule_store import save_rules, stored_rules
from alerts.rules import load_rules
from dashboards import auth, people_admin
from devices.database import writing
from satomori import migrations
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.settings import Settings, SettingsError

LINK_TTL_S = 3600.0
_JAPAN = timezone(timedelta(hours=9))  # no summer time since 1951


def write_broker_files(settings: Settings) -> str:
    """Bring password and ACL file into step with the registry; a running system reloads them."""
    place = Installation(settings)
    place.prepare(now_ms())
    _bring_access_into_step(place)
    return f"{place.broker / 'passwords'}\n{place.broker / 'acl'}"


def admit_simulator(settings: Settings) -> str:
    """Make the account of a simulated fleet; returns the file with its password."""
    place = Installation(settings)
    place.prepare(now_ms())
    file = place.admit_simulator()
    _bring_access_into_step(place)
    return str(file)


def add_person(
    settings: Settings, name: str, *, role: str, display_name: str, mail: str | None, language: str
) -> str:
    """Add a person and return a one-time login link."""
    with opened_database(settings) as database:
        try:
            person = people_admin.create_person(
                database,
                name,
                role=role,
                now=now_ms(),
                display_name=display_name,
                mail_address=mail,
                language=language,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None
        token = people_admin.create_login_link(database, person.id, now=now_ms(), ttl_s=LINK_TTL_S)
    return f"{settings.public_url}/login/{token}"


def login_link(settings: Settings, name: str) -> str:
    """A new one-time login link for a person."""
    with opened_database(settings) as database:
        person = person_named(database, name)
        if person is None:
            raise SettingsError(f"nobody is named {name!r}")
        token = people_admin.create_login_link(database, person.id, now=now_ms(), ttl_s=LINK_TTL_S)
    return f"{settings.public_url}/login/{token}"


def access_token(settings: Settings, name: str, days: int) -> str:
    """A token with which a program acts as a person (``Authorization: Bearer``), shown once."""
    with opened_database(settings) as database:
        person = person_named(database, name)
        if person is None:
            raise SettingsError(f"nobody is named {name!r}")
        return people_admin.create_access_token(
            database, person.id, now=now_ms(), ttl_s=days * 86_400
        )


def set_password(settings: Settings, name: str, password: str) -> None:
    """Give a person a password."""
    with opened_database(settings) as database:
        person = person_named(database, name)
        if person is None:
            raise SettingsError(f"nobody is named {name!r}")
        people_admin.set_password(database, person.id, password, now=now_ms())


def put_group(settings: Settings, name: str, display_name: str, members: list[str]) -> str:
    """Let a group have these members; they see its devices."""
    with opened_database(settings) as database:
        try:
            is_changed = groups.put_group(database, name, display_name, members)
        except groups.GroupError as error:
            raise SettingsError(str(error)) from None
        if is_changed:
            with writing(database) as connection:
                said = ", ".join(members)
                auth.note(connection, now_ms(), None, "group.changed", name, detail=said)
    return f"{name}: {len(members)} members"


def check_rules(file: Path) -> str:
    """Say that a rule file can be used; raises RuleError with path, value and reason."""
    rules = load_rules(_read_rules(file))
    return f"{file}: {len(rules.rules)} rules, version {rules.version[:12]}"


def load_rule_file(settings: Settings, file: Path) -> str:
    """Let the rules of ``file`` hold; every process switches at the next registry revision."""
    rules = load_rules(_read_rules(file))
    with opened_database(settings) as database:
        save_rules(database, rules, by="command line", now=now_ms())
    return f"{file}: {len(rules.rules)} rules hold, version {rules.version[:12]}"


def show_rules(settings: Settings) -> str:
    """The text of the rules that hold."""
    with opened_database(settings) as database:
        rules = stored_rules(database)
    return rules.text if rules else "no rules are loaded"


def _read_rules(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None


@contextmanager
def opened_database(settings: Settings) -> Iterator[Engine]:
    """The relational database with its tables as they are today."""
    place = Installation(settings)
    place.var.mkdir(parents=True, exist_ok=True, mode=0o700)
    migrations.upgrade(settings.database_url)
    database = place.open_database()
    try:
        yield database
    finally:
        database.dispose()


def _bring_access_into_step(place: Installation) -> None:
    database = place.open_database()
    try:
        is_changed = place.write_broker_access(database)
    finally:
        database.dispose()
    if is_changed:
        _reload_running_broker(place)


def _reload_running_broker(place: Installation) -> None:
    status = place.run / "system.json"
    if not status.exists():
        return
    pid = json.loads(status.read_text(encoding="utf-8"))["children"].get("broker")
    command = Path(f"/proc/{pid}/cmdline")
    if pid and command.exists() and b"mosquitto" in command.read_bytes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
