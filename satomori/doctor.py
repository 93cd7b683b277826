"""`satomori doctor`: looks at an installation and says what is wrong with it, changing nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy.exc import SQLAlchemyError

from alerts.ledger import AlarmBook
from alerts.rule_store import stored_rules
from alerts.rules import RuleError
from alerts.texts import stage_label
from devices.kinds import INSTALLATION
from devices.registry import Registry, RegistrySnapshot
from satomori.broker import find_mosquitto
from satomori.installation import Installation
from satomori.settings import Settings, SettingsError, read_secret

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: ``subject`` what, ``is_well`` the verdict, ``detail`` the fact."""

    subject: str
    is_well: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one examination."""

    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.is_well for finding in self.findings)

    def as_json(self) -> str:
        """``{"is_healthy", "findings": [{subject, is_well, detail}]}``."""
        rows = [asdict(finding) for finding in self.findings]
        return json.dumps({"is_healthy": self.is_healthy, "findings": rows}, ensure_ascii=False)

    def as_text(self) -> str:
        """A line a finding."""
        return "\n".join(
            f"{'ok  ' if f.is_well else 'BAD '} {f.subject:<12} {f.detail}" for f in self.findings
        )


def examine(settings: Settings) -> Report:
    """Examine the installation that ``settings`` describe."""
    place = Installation(settings)
    looks: tuple[Callable[[Settings, Installation], Iterator[Finding]], ...] = (
        _folder,
        _broker,
        _secrets,
        _tables,
        _system,
    )
    return Report(tuple(finding for look in looks for finding in look(settings, place)))


def _folder(settings: Settings, place: Installation) -> Iterator[Finding]:
    if not place.var.is_dir():
        yield Finding("var", False, f"{place.var} is not there: nothing has run here yet")
        return
    free_mib = shutil.disk_usage(place.var).free // _MIB
    low_mib = settings.journal.low_water_mib
    yield Finding("disk", free_mib > low_mib, f"{free_mib} MiB free, low water {low_mib} MiB")


def _broker(settings: Settings, _place: Installation) -> Iterator[Finding]:
    if settings.broker.mode != "child":
        return
    binary = find_mosquitto()
    detail = str(binary) if binary else "mosquitto is not installed; only a demo runs without it"
    yield Finding("mosquitto", binary is not None, detail)


def _secrets(_settings: Settings, place: Installation) -> Iterator[Finding]:
    for file in (place.intake_password_file, place.webhook_secret_file):
        if file.exists():
            yield _secret(file)


def _secret(file: Path) -> Finding:
    try:
        read_secret(file)
    except SettingsError as error:
        return Finding("secret", False, str(error))
    return Finding("secret", True, f"{file.name} is private")


def _tables(_settings: Settings, place: Installation) -> Iterator[Finding]:
    database = place.open_database()
    try:
        snapshot = Registry(database).snapshot()
        yield Finding(
            "registry", True, f"{len(snapshot.devices)} devices, revision {snapshot.revision}"
        )
        rules = stored_rules(database)
        detail = (
            f"{len(rules.rules)} rules, version {rules.version[:12]}" if rules else "none loaded"
        )
        yield Finding("rules", rules is not None, detail)
        yield from _own_alarms(AlarmBook(database), snapshot)
    except SQLAlchemyError as error:
        yield Finding("database", False, str(error).splitlines()[0])
    except RuleError as error:
        yield Finding("rules", False, str(error))
    finally:
        database.dispose()


def _own_alarms(book: AlarmBook, registry: RegistrySnapshot) -> Iterator[Finding]:
    """What the installation says of itself: each open alarm, or that there is none."""
    itself = registry.by_name.get(INSTALLATION.name)
    mine = [alarm for alarm in book.open_alarms() if itself and alarm.device == itself.id]
    for alarm in mine:
        since = datetime.fromtimestamp(alarm.opened_at / 1000, UTC).astimezone()
        said = stage_label(alarm.stage, INSTALLATION.name, "en")
        detail = f"{said}, since {since:%Y-%m-%d %H:%M} ({alarm.rule})"
        yield Finding("itself", False, detail)
    if itself and not mine:
        yield Finding("itself", True, "no alarm of its own is open")


def _system(settings: Settings, _place: Installation) -> Iterator[Finding]:
    url = f"http://{settings.web.host}:{settings.web.port}/api/ready"
    try:
        answer = httpx.get(url, timeout=3)
    except httpx.HTTPError as error:
        yield Finding("web", False, f"{url}: {error}")
        return
    yield Finding("web", answer.status_code == httpx.codes.OK, answer.text[:300])
