"""A real PostgreSQL for tests: own directory, free port, trust on 127.0.0.1, ends with the session.

``postgres_url`` is the URL of a database of the test's own, empty. Skipped by name where
PostgreSQL is not installed. It refuses root: as root we run it as ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pg8000.native import Connection, DatabaseError, InterfaceError
from sqlalchemy import Engine

from devices.database import metadata, open_database
from tests.servers.mosquitto import free_port

_numbers = count(1)


def _directory_of_binaries() -> Path:
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    places = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda place: float(place.parts[4]),
    )
    if not places:
        pytest.skip("PostgreSQL is not installed")
    return places[-1].parent


def _account() -> dict[str, Any]:
    """Who the server is to be, as arguments of Popen: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL cannot run as root, and there is no account for it")


def _connect(port: int) -> Connection:
    return Connection("satomori", host="127.0.0.1", port=port, database="postgres", timeout=10)


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"postgres ended at start with status {server.returncode}")
        try:
            _connect(port).close()
        except (InterfaceError, DatabaseError):  # not listening yet; listening, but starting up
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """Port of a running server, where ``satomori`` may do everything."""
    binaries, account = _directory_of_binaries(), _account()
    with tempfile.TemporaryDirectory(prefix="satomori-postgres-") as name:
        place = Path(name)
        if account:
            os.chown(place, account["user"], account["group"])
        run: dict[str, Any] = {"cwd": place, "stdin": subprocess.DEVNULL, **account}
        data = str(place / "data")
        initdb = [str(binaries / "initdb"), "-D", data, "-U", "satomori", "-A", "trust"]
        made = subprocess.run(
            [*initdb, "-E", "UTF8", "--no-locale", "--no-sync"],
            check=False, capture_output=True, text=True, **run,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        port = free_port()
        options = ["-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", name, "-F"]
        with (place / "log").open("wb") as log:
            server = subprocess.Popen([str(binaries / "postgres"), *options], stderr=log, **run)
        try:
            _wait_until_it_answers(server, port)
            yield port
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown: connections are closed, then it ends
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture
def postgres_url(postgres_port: int) -> str:
    """SQLAlchemy URL of an empty database that belongs to this test alone."""
    name = f"test_{next(_numbers)}"
    connection = _connect(postgres_port)
    connection.run(f"CREATE DATABASE {name}")
    connection.close()
    return f"postgresql+pg8000://satomori@127.0.0.1:{postgres_port}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database with all tables that were imported, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'satomori.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    engine = open_database(url)
    metadata.create_all(engine)
    yield engine
    engine.dispose()
