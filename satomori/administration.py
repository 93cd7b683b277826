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
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sqlalchemy import Engine

from alerts.people import person_named
from alerts.rule_store import save_rules, stored_rules
from alerts.rules import load_rules
from dashboards import auth, people_admin
from devices.csv_import import RowError, parse_devices
from devices.database import writing
from devices.registry import Device, Registry
from devices.units import UnitDraft, UnitError
from satomori import migrations
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.settings import Settings, SettingsError

LINK_TTL_S = 3600.0
_JAPAN = timezone(timedelta(hours=9))  # no summer time since 1951


@dataclass(frozen=True, slots=True)
class Import:
    """What an import did, or would do."""

    devices: int
    errors: tuple[RowError, ...]
    is_dry_run: bool

    def as_json(self) -> str:
        """``{"devices", "errors": [{line, column, value, reason}], "is_dry_run"}``."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def as_text(self) -> str:
        """For people: every bad row by name, then what was done."""
        lines = [f"line {e.line}, {e.column} = {e.value!r}: {e.reason}" for e in self.errors]
        if self.errors:
            lines.append(f"{len(self.errors)} errors: nothing was changed")
        else:
            done = "would be registered" if self.is_dry_run else "registered"
            lines.append(f"{self.devices} devices {done}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Listing:
    """The devices in service."""

    devices: tuple[Device, ...]

    def as_json(self) -> str:
        """``{"devices": [{name, kind, label, area, …}]}``."""
        rows = [
            {
                "id": d.id, "name": d.name, "kind": d.kind, "label": d.label, "site": d.site,
                "area": d.area, "interval_s": d.interval_s, "thresholds": dict(d.thresholds),
            }
            for d in self.devices
        ]  # fmt: skip
        return json.dumps({"devices": rows}, ensure_ascii=False)

    def as_text(self) -> str:
        """For people: a line a device."""
        return "\n".join(f"{d.name:<24} {d.kind:<20} {d.area:<10} {d.label}" for d in self.devices)


def import_devices(settings: Settings, file: Path, *, dry_run: bool) -> Import:
    """Register all devices of a CSV file, or none and every bad row."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    drafts, errors = parse_devices(text)
    if not errors and not dry_run:
        with opened_database(settings) as database:
            Registry(database).register(drafts, now=now_ms())
    return Import(len(drafts), tuple(errors), dry_run)


def list_devices(settings: Settings) -> Listing:
    """All devices in service, by name."""
    with opened_database(settings) as database:
        devices = Registry(database).snapshot().devices.values()
        return Listing(tuple(sorted(devices, key=lambda d: d.name)))


def replace_unit(
    settings: Settings,
    name: str,
    draft: UnitDraft,
    *,
    final_reading: float | None = None,
    at: str = "",
) -> str:
    """Put another unit into device ``name``; its series go on. The old unit's password is void.

    ``at`` is ISO 8601 (Japan's time where it has no offset), by default now; ``final_reading``
    what the meter that goes showed (m3). Raises SettingsError for what cannot be.
    """
    replaced_at = _moment(at) if at else now_ms()
    if replaced_at > now_ms():
        raise SettingsError(f"{at!r} is still to come: note a replacement when it is done")
    with opened_database(settings) as database:
        registry = Registry(database)
        device = registry.snapshot().by_name.get(name)
        if device is None:
            raise SettingsError(f"device {name!r} is not registered")
        had_password = name in {credential.device for credential in registry.credentials()}
        try:
            registry.install_unit(device.id, draft, replaced_at, final_reading=final_reading)
        except UnitError as error:
            raise SettingsError(f"device {name!r}: {error}") from None
        with writing(database) as connection:
            auth.note(connection, now_ms(), None, "unit.replaced", name,
                      detail=draft.serial_number or "")  # fmt: skip
    said = f"{name}: replaced {datetime.fromtimestamp(replaced_at / 1000, _JAPAN):%Y-%m-%d %H:%M}"
    if not had_password:
        return said
    write_broker_files(settings)
    return f"{said}; the old password is void: satomori devices credential {name}"


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r}: a time such as 2026-04-01T10:30 expected") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=_JAPAN)
    return round(aware.timestamp() * 1000)


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
