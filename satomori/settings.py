"""Settings: parsed once, at the edge, into one frozen value.

``satomori.toml`` beside this package is the sample and holds the defaults; unknown keys and wrong
values are errors that give path, value and reason. Refuses to know what the options do.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from devices.access_card import AccessPoint
from devices.networks import NetworkKind, subscriptions

ENVIRONMENT_PREFIX = "SATOMORI__"
JMA_INTERVAL_S = 60


class SettingsError(Exception):
    """The settings cannot be used; the text names each path, value and reason. Mend and restart."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _network(address: str) -> str:
    """Names and ``*`` are refused: whom to trust must be certain."""
    try:
        ipaddress.ip_network(address)
    except ValueError:
        raise ValueError("an IP address or a network such as 10.0.0.0/8 is expected") from None
    return address


_Port = Annotated[int, Field(ge=0, le=65535)]
_Network = Annotated[str, AfterValidator(_network)]
_Positive = Annotated[int, Field(gt=0)]


def _listed(value: object) -> object:
    """The environment has no lists: there the parts stand between commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _is_local(host: str) -> bool:
    return host in ("127.0.0.1", "::1", "localhost")


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{url}: an https address is expected")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError(f"{url}: https is expected, so that nobody can say it instead of JMA")


def feed_name(url: str) -> str:
    """What a feed is called: its file without the ending."""
    return urlsplit(url).path.rpartition("/")[2].removesuffix(".xml")


_Words = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,20}$")], ...], BeforeValidator(_listed)
]


class Paths(_Section):
    var: Path = Path("./var")


class DatabaseSettings(_Section):
    url: str = ""


class BrokerSettings(_Section):
    mode: Literal["child", "external"] = "child"
    host: str = "127.0.0.1"
    port: _Port = 1883
    mqtt: Literal["5", "3.1.1"] = "5"
    username: str = "satomori-intake"
    password_file: str = ""
    tls_ca: str = ""
    devices_host: str = ""
    devices_port: _Port = 0
    devices_tls: bool = False


class NetworkSettings(_Section):
    """A network server. Without a ``host`` it publishes on our own broker."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    kind: NetworkKind
    host: str = ""
    port: _Port = 0
    username: str = ""
    password_file: str = ""
    tls_ca: str = ""
    applications: tuple[str, ...] = ()
    urgent_applications: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it publishes on our own broker."""
        return not self.host

    @model_validator(mode="after")
    def _can_be_subscribed(self) -> NetworkSettings:
        subscriptions(self.kind, (*self.applications, *self.urgent_applications))
        if self.is_ours and self.kind is NetworkKind.THE_THINGS_STACK:
            raise ValueError("The Things Stack has a broker of its own: give its host")
        if self.is_ours and (self.port or self.username or self.password_file or self.tls_ca):
            raise ValueError("port, username, password_file and tls_ca belong to a host")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file are given together")
        return self


class IntakeSettings(_Section):
    connections_per_lane: Annotated[int, Field(ge=1, le=8)] = 1
    session_expiry_s: _Positive = 604_800
    readings_per_minute_per_device: Annotated[int, Field(ge=0)] = 6_000


class JournalSettings(_Section):
    segment_mib: _Positive = 64
    keep_h: Annotated[int, Field(ge=0)] = 72
    low_water_mib: Annotated[int, Field(ge=0)] = 512
    reserve_mib: Annotated[int, Field(ge=0)] = 64


class InfluxSettings(_Section):
    url: str = "http://127.0.0.1:8086"
    database: str = "satomori"
    personal_database: str = "satomori_personal"
    org: str = ""
    username: str = ""
    secret_file: str = ""


class StoreSettings(_Section):
    kind: Literal["duckdb", "influxdb"] = "duckdb"
    flush_rows: _Positive = 50_000
    flush_s: Annotated[float, Field(gt=0)] = 5.0
    influxdb: InfluxSettings = InfluxSettings()


class AlertSettings(_Section):
    rules_file: str = ""


class MailSettings(_Section):
    host: str = ""
    port: _Port = 25
    security: Literal["none", "starttls", "tls"] = "none"
    sender: str = "satomori@localhost"
    username: str = ""
    password_file: str = ""


class WebhookSettings(_Section):
    secret_file: str = ""


class WebSettings(_Section):
    host: str = "127.0.0.1"
    port: _Port = 8000
    public_url: str = ""
    secure_cookies: bool = False
    trusted_proxies: tuple[_Network, ...] = ()

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _list_of_an_environment(cls, value: object) -> object:
        """The environment has no lists: there the addresses stand between commas."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value


class JmaSettings(_Section):
    enabled: bool = False
    areas: _Words = ()
    regions: _Words = ()
    offices: _Words = ()
    feeds: Annotated[tuple[str, ...], BeforeValidator(_listed)] = (
        "https://www.data.jma.go.jp/developer/xml/feed/extra.xml",
        "https://www.data.jma.go.jp/developer/xml/feed/regular.xml",
    )
    interval_s: _Positive = 60
    stale_s: _Positive = 600
    quiet_s: Annotated[int, Field(ge=0)] = 3_600
    timeout_s: Annotated[int, Field(gt=0, le=300)] = 30
    size_limit_mib: Annotated[int, Field(gt=0, le=256)] = 32
    names_file: str = ""
    proxy: str = ""
    tls_ca: str = ""

    @property
    def hosts(self) -> frozenset[str]:
        """Who may be asked: the hosts of the feeds."""
        return frozenset(urlsplit(feed).hostname or "" for feed in self.feeds)

    @field_validator("feeds")
    @classmethod
    def _feeds_are_safe(cls, feeds: tuple[str, ...]) -> tuple[str, ...]:
        names = [feed_name(feed) for feed in feeds]
        if not feeds or len(set(names)) < len(names):
            raise ValueError("feeds with file names of their own are expected")
        for feed in feeds:
            _check_address(feed)
        return feeds

    @model_validator(mode="after")
    def _is_complete(self) -> JmaSettings:
        if self.enabled and not (self.areas and self.offices):
            raise ValueError("areas (4621500) and offices (460100) are needed: docs/jma.md")
        if self.interval_s < JMA_INTERVAL_S and not all(map(_is_local, self.hosts)):
            raise ValueError(f"interval_s: JMA renews its feeds every {JMA_INTERVAL_S} s")
        return self


class MapSettings(_Section):
    center: tuple[float, float] = (130.30, 31.81)
    zoom: Annotated[float, Field(ge=0, le=22)] = 11.0
    tiles: str = ""
    attribution: str = ""

    @model_validator(mode="after")
    def _tiles_need_credit(self) -> MapSettings:
        if self.tiles and not self.attribution:
            raise ValueError("tiles need an attribution")
        return self


class ModelBattery(_Section):
    """The battery of a model of hardware; ``model`` "" is of all that are not named."""

    model: str = ""
    cell: Literal["straight", "alkaline", "li-mno2", "li-socl2", "li-ion"] = "straight"
    cells_in_series: Annotated[float, Field(ge=1, le=24)] = 1.0
    empty_at: Annotated[float | None, Field(ge=0, le=100)] = None


class HealthSettings(_Section):
    battery_soon_days: Annotated[int, Field(ge=1, le=730)] = 90
    battery_now_days: Annotated[int, Field(ge=0, le=730)] = 14
    batteries: tuple[ModelBattery, ...] = ()


class Settings(_Section):
    """All options, by section; ``source`` is the file they came from, if any."""

    networks: tuple[NetworkSettings, ...] = ()
    paths: Paths = Paths()
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    intake: IntakeSettings = IntakeSettings()
    journal: JournalSettings = JournalSettings()
    store: StoreSettings = StoreSettings()
    alerts: AlertSettings = AlertSettings()
    mail: MailSettings = MailSettings()
    webhook: WebhookSettings = WebhookSettings()
    web: WebSettings = WebSettings()
    map: MapSettings = MapSettings()
    health: HealthSettings = HealthSettings()
    jma: JmaSettings = JmaSettings()

    @model_validator(mode="after")
    def _networks_have_names_of_their_own(self) -> Settings:
        names = [network.name for network in self.networks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"networks: two are called {twice[0]}")
        return self

    @property
    def var(self) -> Path:
        """The folder of everything that is kept, absolute."""
        return self.paths.var.expanduser().resolve()

    @property
    def database_url(self) -> str:
        """The relational database's URL."""
        return self.database.url or f"sqlite:///{self.var / 'satomori.db'}"

    @property
    def access_point(self) -> AccessPoint:
        """Where devices in the field find the broker."""
        broker = self.broker
        return AccessPoint(
            broker.devices_host or broker.host,
            broker.devices_port or broker.port,
            broker.devices_tls,
        )

    @property
    def public_url(self) -> str:
        """The address that people use, without a slash at the end."""
        return (self.web.public_url or f"http://{self.web.host}:{self.web.port}").rstrip("/")


def load_settings(file: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file (or the defaults) with the environment laid over it.

    Raises SettingsError for a file that cannot be read, unknown keys and wrong values.
    """
    document = _read(file) if file else {}
    for key, text in sorted((environment if environment is not None else os.environ).items()):
        if key.startswith(ENVIRONMENT_PREFIX):
            _lay_over(document, key, text)
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise SettingsError(_describe(error, file)) from None


def read_secret(file: Path) -> str:
    """The secret in ``file``; raises SettingsError if others than its owner may read it."""
    try:
        mode = file.stat().st_mode
        if mode & 0o077:
            raise SettingsError(
                f"{file}: others may read this secret (mode {mode & 0o777:o}): chmod 600"
            )
        return file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no TOML, an endless number, nested too deeply
        raise SettingsError(f"{file}: {error}") from None


def _lay_over(document: dict[str, Any], key: str, text: str) -> None:
    *sections, option = key.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
    table = document
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{key}: {section!r} is not a section")
    table[option] = text


def _describe(error: ValidationError, file: Path | None) -> str:
    where = str(file) if file else "settings"
    lines = []
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        reason = "unknown option" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{where}: {path} = {problem['input']!r}: {reason}")
    return "\n".join(lines)
