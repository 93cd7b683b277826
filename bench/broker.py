"""A mosquitto of the bench's own, with the configuration that Satomori ships, plain or with TLS.

Refuses to know who talks to it. Accounts and rights are those of an installation.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.options import BenchError, Servers
from bench.processes import free_port


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority and a server's certificate for localhost, valid for two days."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Made with openssl's command; raises BenchError where there is none."""
    folder.mkdir(parents=True)
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=bench authority", "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
    _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
             "-CAcreateserial", "-days", "2", "-extfile", "names",
             "-out", "server.crt")  # fmt: skip
    return Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")


class Broker:
    """Runs until ``close``; its sessions and messages are in ``folder``."""

    def __init__(
        self, servers: Servers, folder: Path, access: Path, certificates: Certificates | None
    ) -> None:
        """``access`` is the folder of an installation's ``passwords`` and ``acl``."""
        folder.mkdir(parents=True)
        self.port, self._log = free_port(), folder / "mosquitto.log"
        config = folder / "mosquitto.conf"
        config.write_text(
            broker_config(servers.mosquitto_config, self.port, folder, access, certificates)
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(servers.mosquitto), "-c", str(config)], stdout=log, stderr=log
            )
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            self._until_listening()
            on_failure.pop_all()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self) -> None:
        """Stop it; what it keeps goes with its folder, so it need not write it down."""
        self._process.kill()
        self._process.wait()

    def _until_listening(self, deadline_s: float = 10.0) -> None:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise BenchError(f"mosquitto does not listen: {self._log.read_text()[-500:]}")


def broker_config(
    template: str, port: int, folder: Path, access: Path, certificates: Certificates | None
) -> str:
    """The shipped configuration with port, paths and certificates of a broker of the bench."""
    own = {
        "listener": f"{port} 127.0.0.1",
        "password_file": str(access / "passwords"),
        "acl_file": str(access / "acl"),
        "persistence_location": f"{folder}/",
    }
    lines: list[str] = []
    for line in template.splitlines():
        option = line.split(" ", 1)[0]
        lines.append(f"{option} {own[option]}" if option in own else line)
        if option == "listener" and certificates is not None:
            lines += [
                f"certfile {certificates.certificate}",
                f"keyfile {certificates.key}",
                "tls_version tlsv1.2",
            ]
    if os.geteuid() == 0:
        lines.append("user root")
    return "\n".join(lines) + "\n"


def _openssl(folder: Path, *arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"TLS needs certificates, and openssl cannot make them: {error}") from None
