"""A unit fresh from its box that asks to be admitted (docs/provisioning.md), as firmware would.

    choose a password ─▶ ask, listen, leave ─▶ (later) ask, listen ─▶ answer ─▶ log in by its name
                            short visits: the account is shared, some brokers let one in at once

Its hash is our own writing of mosquitto's ``$7$`` form, so that the two sides are held to the
format and not to each other. Refuses to know who accepts it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

ACCOUNT: Final = "enrolment"
VISIT_S: Final = 5.0
BETWEEN_VISITS_S: Final = 60.0
_ITERATIONS: Final = 101
_SALT_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Login:
    """What the unit logs in with from now on, and where it publishes."""

    username: str
    kind: str
    password: str

    @property
    def up_topic(self) -> str:
        """Where its readings go."""
        return f"field/v1/{self.kind}/{self.username}/up"


@dataclass(slots=True)
class EnrollingUnit:
    """One unit: what stands on its label, and the password that it chose itself.

    ``extra`` goes into the request as it is: ``model``, ``label``, ``dev_eui``, ``position``.
    """

    serial: str
    kind: str
    seed: int
    extra: Mapping[str, Any] = field(default_factory=dict)
    password: str = ""
    password_hash: str = ""

    def __post_init__(self) -> None:
        drawn = random.Random(f"{self.seed}/{self.serial}")
        self.password = drawn.randbytes(24).hex()
        self.password_hash = mosquitto_hash(self.password, drawn.randbytes(_SALT_BYTES))

    @property
    def fingerprint(self) -> str:
        """What its display or its serial console shows, for staff to compare."""
        return hashlib.sha256(self.password_hash.encode()).hexdigest()[:8]

    @property
    def request_topic(self) -> str:
        """Where it asks."""
        return f"field/v1/enrol/{self.serial}/up"

    @property
    def answer_topic(self) -> str:
        """Where it is answered, by a retained message."""
        return f"field/v1/enrol/{self.serial}/answer"

    def request(self) -> bytes:
        """What it says; the same each time."""
        said = {"kind": self.kind, "serial": self.serial, "password_hash": self.password_hash}
        return json.dumps({**said, **self.extra}).encode()

    def login(self, answer: bytes) -> Login | None:
        """What an answer means; None for one that says nothing (it was withdrawn)."""
        try:
            said = json.loads(answer)
            return Login(said["device"], said["kind"], self.password)
        except (ValueError, KeyError, TypeError):
            return None

    def visit(self, host: str, port: int, key: str, *, visit_s: float = VISIT_S) -> Login | None:
        """Ask once and wait a moment; None while nobody has accepted.

        Raises OSError where the broker is not there, PermissionError where the key is void.
        """
        heard: list[bytes] = []
        refused: list[str] = []
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self.serial, protocol=mqtt.MQTTv311
        )
        client.username_pw_set(ACCOUNT, key)
        client.on_connect = self._ask(client, refused)
        client.on_message = lambda _client, _userdata, message: heard.append(bytes(message.payload))
        client.connect(host, port)
        ends_at = time.monotonic() + visit_s
        while not heard and not refused and time.monotonic() < ends_at:
            client.loop(0.1)
        client.disconnect()
        client.loop(0.1)
        if refused:
            raise PermissionError(refused[0])
        return self.login(heard[0]) if heard else None

    def until_admitted(
        self, host: str, port: int, key: str, *, between_s: float = BETWEEN_VISITS_S
    ) -> Login:
        """Visit after visit until somebody has accepted, spread out so that many do not collide."""
        drawn = random.Random(f"{self.seed}/{self.serial}/pauses")
        while True:
            try:
                login = self.visit(host, port, key, visit_s=min(VISIT_S, between_s))
            except OSError:  # a broker away, or a key that is void: somebody may mend it
                login = None
            if login is not None:
                return login
            time.sleep(between_s * drawn.uniform(0.5, 1.5))

    def _ask(self, client: mqtt.Client, refused: list[str]) -> Callable[..., None]:
        def connected(_client: object, _data: object, _flags: object, code: Any, _: object) -> None:
            if code.is_failure:
                refused.append(str(code))
                return
            client.subscribe(self.answer_topic, 1)
            client.publish(self.request_topic, self.request(), qos=1)

        return connected


def mosquitto_hash(password: str, salt: bytes) -> str:
    """``$7$iterations$salt$digest``: PBKDF2 with SHA-512, 64 bytes, both in base64."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    parts = (base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
    return "$7$" + "$".join((str(_ITERATIONS), *parts))
