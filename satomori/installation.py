"""One installation on disk: its folders, secrets, tables and broker files.

Everything here may be run again: it makes what is missing and leaves what is there.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from alerts.rule_store import save_rules, stored_rules
from alerts.rules import default_rules_text, load_rules
from devices import enrolment_key
from devices.credentials import ENROLMENT_ACCOUNT
from devices.database import open_database
from devices.registry import DraftError, Registry
from satomori import migrations
from satomori.broker import (
    Account,
    enrolment_account,
    intake_account,
    known_lines,
    network_account,
    network_username,
    simulator_account,
    strays_account,
    write_access_files,
)
from satomori.settings import Settings, SettingsError, read_secret

STRAYS = "satomori-strays"
"""Broker account of intake's ear for topics of no known kind."""

SIMULATOR = "demo-simulator"
"""Broker account of a simulated fleet."""


class Installation:
    """Paths and secrets of one installation; opens its database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.var = settings.var
        self.run = self.var / "run"
        self.broker = self.var / "broker"
        self.journal = self.var / "journal"
        self.store = self.var / "store"
        self.alerts = self.var / "alerts"
        self.feeds = self.var / "feeds"

    def prepare(self, now: int) -> None:
        """Make folders, secrets and tables, and the first rule set where there is none yet.

        Raises SettingsError where a path of the settings cannot be used.
        """
        try:
            self.var.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.run, self.broker, self.journal, self.store, self.alerts):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsError(f"paths.var = {str(self.var)!r}: {error.strerror}") from None
        self._make_secret(self.intake_password_file)
        self._make_secret(self.webhook_secret_file)
        self._make_secret(self.client_secret_file)
        for network in self._networks_here:
            self._make_secret(self.network_password_file(network))
        migrations.upgrade(self.settings.database_url)
        self._register_itself(now)
        self._seed_rules(now)

    def open_database(self) -> Engine:
        """The relational database of this installation."""
        return open_database(self.settings.database_url)

    @property
    def intake_password_file(self) -> Path:
        """Where intake's broker password is kept."""
        given = self.settings.broker.password_file
        return Path(given) if given else self.broker / "intake.password"

    @property
    def webhook_secret_file(self) -> Path:
        """Where the key that signs webhooks is kept."""
        given = self.settings.webhook.secret_file
        return Path(given) if given else self.var / "webhook.secret"

    def intake_password(self) -> str:
        """Intake's broker password; raises SettingsError when it cannot be read."""
        return read_secret(self.intake_password_file)

    @property
    def client_secret_file(self) -> Path:
        """What makes intake's client ids unguessable; a new one would leave a session behind."""
        return self.broker / "intake.client-secret"

    def client_secret(self) -> str:
        """The end of intake's client ids at the broker."""
        return read_secret(self.client_secret_file)

    def broker_accounts(self, database: Engine) -> list[Account]:
        """Everybody who may log in to the broker: intake, and each unit in service.

        A device that has the name of one of our own accounts does not come in: it would have its
        rights.
        """
        password, intake = self.intake_password(), self.settings.broker.username
        networks = self._networks_here
        own = {intake, STRAYS, SIMULATOR, ENROLMENT_ACCOUNT, *map(network_username, networks)}
        known = known_lines(self.broker, own)
        accounts = [
            intake_account(intake, password, known, has_network=bool(networks)),
            strays_account(STRAYS, password, known),
        ]
        for network in networks:
            password = read_secret(self.network_password_file(network))
            accounts.append(network_account(network, password, known))
        if self.simulator_password_file.exists():
            password = read_secret(self.simulator_password_file)
            accounts.append(simulator_account(SIMULATOR, password, known))
        if (line := enrolment_key.password_line(database)) is not None:
            accounts.append(enrolment_account(line))
        credentials = Registry(database).credentials()
        return accounts + [
            Account(c.device, c.password_line) for c in credentials if c.device not in own
        ]

    def write_broker_access(self, database: Engine) -> bool:
        """Bring password and ACL file into step with the registry; False if they were.

        One writer at a time: none puts an older state over a newer one.
        """
        with self._access_lock():
            return write_access_files(self.broker, self.broker_accounts(database))

    @contextmanager
    def _access_lock(self) -> Iterator[None]:
        handle = os.open(self.broker / "access.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def network_password_file(self, network: str) -> Path:
        """The password by which a network server logs in to our broker."""
        return self.broker / f"network-{network}.password"

    @property
    def _networks_here(self) -> list[str]:
        """Network servers that publish on our own broker, by their names."""
        return [network.name for network in self.settings.networks if network.is_ours]

    @property
    def simulator_password_file(self) -> Path:
        """The password of a demo's fleet; the account exists only where a demo made this file."""
        return self.broker / "simulator.password"

    def admit_simulator(self) -> Path:
        """Make the account of a fleet that does not exist; returns its password file."""
        self._make_secret(self.simulator_password_file)
        return self.simulator_password_file

    def _make_secret(self, file: Path) -> None:
        """Write a new secret to ``file`` (mode 0600) where there is none."""
        if file.exists():
            return
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}") from None
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_hex(32))

    def _register_itself(self, now: int) -> None:
        """The installation is a device, too: what it says of itself has a history and alarms."""
        database = self.open_database()
        try:
            Registry(database).register_installation(now)
        except DraftError as error:
            raise SettingsError(str(error)) from None
        finally:
            database.dispose()

    def _seed_rules(self, now: int) -> None:
        database = self.open_database()
        if stored_rules(database) is None:
            given = self.settings.alerts.rules_file
            text = _rules_text(Path(given)) if given else default_rules_text()
            save_rules(database, load_rules(text), by="installation", now=now)
        database.dispose()


def _rules_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"alerts.rules_file = {str(file)!r}: {error}") from None
