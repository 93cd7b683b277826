"""A broker from PyPI for machines where mosquitto cannot be had: for trying out only.

amqtt speaks MQTT 3.1.1, carries a demo's traffic (measured before: 2,000 messages a second), does
not deliver again what was not acknowledged, and keeps nothing over a restart. It reads the same
password file as mosquitto; topics are not bound to devices here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


def embedded_command(directory: Path, port: int) -> tuple[str, ...]:
    """The command that runs this broker with the access files in ``directory``."""
    return (sys.executable, "-m", "satomori.embedded_broker", str(directory), str(port))


class PasswordFilePlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is not typed
    """Admits who stands in mosquitto's password file."""

    @dataclass
    class Config:
        """``file``: path of the password file."""

        file: str

    async def authenticate(self, *, session: Session) -> bool | None:
        """Whether the session's name and password are in the file."""
        lines = Path(self.config.file).read_text(encoding="utf-8").splitlines()
        known = dict(line.partition(":")[::2] for line in lines if line)
        stored = known.get(session.username or "")
        return stored is not None and is_password(session.password or "", stored)


def is_password(password: str, stored: str) -> bool:
    """Whether ``password`` gives the hash ``$7$iterations$salt$hash`` (PBKDF2-HMAC-SHA512)."""
    _, scheme, iterations, salt, expected = stored.split("$", 4)
    if scheme != "7":
        return False
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(made, base64.b64decode(expected))


async def serve(directory: Path, port: int) -> None:
    """Run the broker on loopback until SIGTERM."""
    plugin = f"{PasswordFilePlugin.__module__}.{PasswordFilePlugin.__qualname__}"
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {plugin: {"file": str(directory / "passwords")}},
        }
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await broker.start()
    await stopping.wait()
    await broker.shutdown()


def main() -> None:
    """Entry point of the child process."""
    # Under `-m` this module is named __main__; amqtt imports the plugin by its real name.
    from satomori.embedded_broker import serve as serve_by_name

    directory, port = sys.argv[1:3]
    asyncio.run(serve_by_name(Path(directory), int(port)))


if __name__ == "__main__":
    main()
