"""mosquitto as a child: its configuration, password and ACL files, and what its log tells.

The shipped ``mosquitto.conf`` is the one truth; a child differs from it only in port and paths.
Refuses to know how processes are supervised (``satomori.supervise``).
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from devices import enrolment
from devices.credentials import ENROLMENT_ACCOUNT, is_password, mosquitto_password_line
from devices.kinds import FIELD_KINDS

BINARY_PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")

_NONE: Mapping[str, str] = MappingProxyType({})

_EVENTS = "application/+/device/+/event/+"
_DOWNLINKS = "application/+/device/+/command/down"
"""Topics of ChirpStack."""

_DEVICE_ACL = """\
# A device publishes and listens on its own topics only; %u is the name it logged in with.
pattern write field/v1/+/%u/up
pattern write field/v1/+/%u/status
pattern write field/v1/gateway/%u/up/urgent
pattern write field/v1/gateway/%u/up/routine
pattern read field/v1/+/%u/down
pattern read field/v1/+/%u/ack
"""


def find_mosquitto() -> Path | None:
    """The mosquitto binary, also where ``PATH`` lacks ``/usr/sbin``; None if there is none.

    ``SATOMORI_MOSQUITTO`` comes first: a path, or ``none`` to do as if there were none.
    """
    given = os.environ.get("SATOMORI_MOSQUITTO")
    if given:
        return None if given == "none" else Path(given)
    found = shutil.which("mosquitto")
    if found:
        return Path(found)
    return next((Path(p) for p in BINARY_PLACES if os.access(p, os.X_OK)), None)


def shipped_config() -> str:
    """The text of the ``mosquitto.conf`` that comes with Satomori."""
    here = Path(__file__).resolve().parent
    for place in (here / "mosquitto.conf", here.parent / "mosquitto.conf"):
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise FileNotFoundError("mosquitto.conf is missing from this installation")


def child_config(template: str, *, port: int, directory: Path) -> str:
    """``template`` with the port and paths of a child that keeps everything in ``directory``.

    As root mosquitto would change to an account of its own that cannot write there: the child
    stays who it is.
    """
    own = {
        "listener": f"{port} 127.0.0.1",
        "password_file": str(directory / "passwords"),
        "acl_file": str(directory / "acl"),
        "persistence_location": f"{directory}/",
    }
    lines = [_own_line(line, own) for line in template.splitlines()]
    if os.geteuid() == 0:
        lines.append("user root")
    return "\n".join(lines) + "\n"


def _own_line(line: str, own: dict[str, str]) -> str:
    """``line``, or ours; each option once: a TLS listener that was switched on stays as it is."""
    option = line.split(" ", 1)[0]
    return f"{option} {own.pop(option)}" if option in own else line


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in to the broker; ``topics`` are ACL lines beyond a device's own."""

    name: str
    password_line: str
    topics: tuple[str, ...] = ()


def account_line(name: str, password: str, known: Mapping[str, str]) -> str:
    """The line of one of our own accounts: that in the file, as long as it is for this password.

    A new salt each time would be a new file each time, and the broker would be told for nothing.
    """
    line = known.get(name, "")
    return line if line and is_password(line, password) else mosquitto_password_line(name, password)


def intake_account(
    name: str,
    password: str,
    known: Mapping[str, str] = _NONE,
    *,
    has_network: bool = False,
) -> Account:
    """Intake: reads all field topics and the broker's state, answers on ``ack`` and ``down``.

    ``has_network``: a network server publishes here, too, is heard and given downlinks.
    """
    topics: tuple[str, ...] = (
        "topic read field/v1/#",
        "topic write field/v1/+/+/ack",
        "topic write field/v1/+/+/down",
        "topic write field/v1/enrol/+/answer",
        "topic read $SYS/#",
    )
    if has_network:
        topics += (f"topic read {_EVENTS}", f"topic write {_DOWNLINKS}")
    return Account(name, account_line(name, password, known), topics)


def strays_account(name: str, password: str, known: Mapping[str, str] = _NONE) -> Account:
    """Intake's ear for topics of no known kind: it may read what no other connection does."""
    denied = tuple(f"topic deny field/v1/{level}/#" for level in (*FIELD_KINDS, enrolment.LEVEL))
    return Account(name, account_line(name, password, known), ("topic read field/v1/#", *denied))


def simulator_account(name: str, password: str, known: Mapping[str, str] = _NONE) -> Account:
    """A fleet that does not exist, in demos: publishes for every device. Never made by `run`."""
    topics = (
        "topic write field/v1/#",
        "topic read field/v1/+/+/down",
        "topic read field/v1/+/+/ack",
    )
    return Account(name, account_line(name, password, known), topics)


def network_account(network: str, password: str, known: Mapping[str, str] = _NONE) -> Account:
    """A ChirpStack that publishes on this broker: it writes its events and reads downlinks."""
    name = network_username(network)
    topics = (f"topic write {_EVENTS}", f"topic read {_DOWNLINKS}")
    return Account(name, account_line(name, password, known), topics)


def network_username(network: str) -> str:
    """The broker account of a network server, by its name in the settings."""
    return f"network-{network}"


def enrolment_account(password_line: str) -> Account:
    """Devices that nobody knows yet, all of them: they ask to be admitted, and hear the answer."""
    topics = (
        f"topic write {enrolment.request_topic('+')}",
        f"topic read {enrolment.answer_topic('+')}",
    )
    return Account(ENROLMENT_ACCOUNT, password_line, topics)


def known_lines(directory: Path, names: Collection[str]) -> dict[str, str]:
    """The lines of these accounts in the password file as it is."""
    found: dict[str, str] = {}
    for line in _text_of(directory / "passwords").splitlines():
        name = line.partition(":")[0]
        if name in names:
            found[name] = line
    return found


def write_access_files(directory: Path, accounts: Iterable[Account]) -> bool:
    """Write ``passwords`` and ``acl`` (mode 0600); mosquitto reads them anew at SIGHUP.

    False if all of it stood there already: nothing was written.
    """
    accounts = list(accounts)
    passwords = "".join(f"{account.password_line}\n" for account in accounts)
    own = [(f"user {account.name}", *account.topics) for account in accounts if account.topics]
    acl = [_DEVICE_ACL, *("\n".join(lines) + "\n" for lines in own)]
    wanted = {directory / "passwords": passwords, directory / "acl": "\n".join(acl)}
    changed = [(file, text) for file, text in wanted.items() if _text_of(file) != text]
    changed += [(file, text) for file, text in wanted.items() if not text and not file.exists()]
    for file, text in changed:
        _write_private(file, text)
    return bool(changed)


def write_child_files(directory: Path, *, port: int, accounts: Iterable[Account]) -> Path:
    """Everything a child broker needs in ``directory``; returns its configuration file."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_access_files(directory, accounts)
    config = directory / "mosquitto.conf"
    _write_private(config, child_config(shipped_config(), port=port, directory=directory))
    return config


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)


_TROUBLE = (
    ("too_large", re.compile(r"Client (?P<client>.+) disconnected due to oversize packet")),
    ("protocol_error", re.compile(r"Client (?P<client>.+) disconnected due to protocol error")),
    ("malformed", re.compile(r"Client (?P<client>.+) disconnected due to malformed packet")),
    ("not_authorised", re.compile(r"Client (?P<client>.+) disconnected, not authorised")),
    # With max_queued_messages 0 mosquitto 2.0.11 answers a PUBLISH that its ACL refuses, then ends
    # the connection with this line; "Denied" it says at log_type debug only.
    ("publish_refused", re.compile(r"read/write on client (?P<client>.+): Unknown error")),
    ("publish_denied", re.compile(r"Denied PUBLISH from (?P<client>\S+)")),
    ("dropped", re.compile(r"Outgoing messages are being dropped for client (?P<client>.+?)\.?$")),
    ("taken_over", re.compile(r"Client (?P<client>.+) already connected, closing old connection")),
    ("out_of_memory", re.compile(r"Out of memory")),
    ("disk_full", re.compile(r"Error: No space left on device")),  # its state is not saved
)


@dataclass(slots=True)
class BrokerLog:
    """What mosquitto's log tells of refusals and losses: counts, and the last example of each."""

    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> str | None:
        """Take in one line; returns the kind of trouble it reports, or None for a healthy one."""
        for kind, pattern in _TROUBLE:
            if pattern.search(line):
                self.counts[kind] += 1
                self.last[kind] = line[:300]
                return kind
        return None
