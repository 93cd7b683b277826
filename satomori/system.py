"""The whole system as one process tree: broker, intake, alerts, web, and what a demo adds.

`run_system` is the table of contents: prepare, start in order, wait, stop in reverse order.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

import httpx
import structlog

from satomori.broker import (
    BrokerLog,
    find_mosquitto,
    write_child_files,
)
from satomori.broker_access import keep_in_step
from satomori.broker_saves import save_often
from satomori.clock import now_ms
from satomori.feeds import jma_names
from satomori.installation import Installation
from satomori.ports import until_free
from satomori.processes import used_processes
from satomori.settings import Settings, SettingsError
from satomori.supervise import Child, Supervisor

log = structlog.get_logger()

START_DEADLINE_S = 60.0
WARNING_PAUSE_S = 2.0
"""How long what stands between a sensor and a warning is left down at most, however it fails."""
SAY_TROUBLE_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Extras:
    """What a demo adds to a system: a store's server first, the simulator last.

    ``may_embed_broker``: where mosquitto is missing, one that is for trying out only stands in.
    """

    first: tuple[Child, ...] = ()
    last: tuple[Child, ...] = ()
    may_embed_broker: bool = False


async def run_system(
    settings: Settings,
    *,
    extras: Extras | None = None,
    on_ready: Callable[[Settings], Awaitable[None] | None] | None = None,
) -> None:
    """Run broker, intake, alerts and web until SIGINT or SIGTERM; then stop them in order.

    Raises SettingsError when the system cannot be started as it is set up.
    """
    extras = extras or Extras()
    _check_authority("broker.tls_ca", settings.broker.tls_ca)
    _check_jma(settings)
    await _until_ports_are_free(settings)
    place = Installation(settings)
    place.prepare(now_ms())
    settings_file = _hand_down(settings, place)
    status = SystemStatus(place.run / "system.json")
    supervisor = Supervisor(status.child_changed)
    stopping = _stop_signal()
    beside: list[asyncio.Task[None]] = []
    try:
        for child in extras.first:
            await supervisor.start(child)
        if settings.broker.mode == "child":
            await supervisor.start(
                _broker_child(settings, place, status, may_embed=extras.may_embed_broker)
            )
            await _until_listening(settings.broker.host, settings.broker.port)
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, supervisor.signal, "broker", signal.SIGHUP
            )
            beside.append(asyncio.create_task(_keep_saving(place, supervisor), name="broker-saves"))
        beside.append(asyncio.create_task(_keep_access(place, supervisor), name="broker-access"))
        for name in used_processes(settings):
            await supervisor.start(process_child(name, settings_file))
        ready = asyncio.create_task(_announce(settings, extras, supervisor, on_ready), name="ready")
        await stopping.wait()
        ready.cancel()
    finally:
        for task in beside:
            task.cancel()
        await supervisor.stop()
        status.remove()


async def _keep_saving(place: Installation, supervisor: Supervisor) -> None:
    if find_mosquitto() is None:
        return  # the embedded broker keeps nothing and knows no such signal
    await save_often(
        place.broker / "mosquitto.db",
        lambda: supervisor.pid("broker"),
        lambda: supervisor.signal("broker", signal.SIGUSR1),
    )


def _check_jma(settings: Settings) -> None:
    """Here as well: a child that ends at once would only say it again and again."""
    if settings.jma.enabled:
        jma_names(settings)
        _check_authority("jma.tls_ca", settings.jma.tls_ca)


async def _keep_access(place: Installation, supervisor: Supervisor) -> None:
    """An external broker has no process of ours: its files are kept in step, too."""
    await keep_in_step(place, lambda: supervisor.signal("broker", signal.SIGHUP))


def _check_authority(option: str, file: str) -> None:
    """An authority that cannot be read is a wrong setting; trying again would not help."""
    try:
        ssl.create_default_context(cafile=file or None)
    except OSError as error:
        raise SettingsError(f"{option} = {file!r}: {error.strerror or error}") from None


async def _until_ports_are_free(settings: Settings) -> None:
    """Before anything is touched: another system may run here, on the same files."""
    if settings.broker.mode == "child":
        await until_free("broker.port", settings.broker.host, settings.broker.port)
    await until_free("web.port", settings.web.host, settings.web.port)


def process_child(name: str, settings_file: Path) -> Child:
    """One of our own processes as a supervised child."""
    command = (sys.executable, "-m", "satomori", "process", name, "--settings", str(settings_file))
    if name == "web":
        return Child(name, command)
    return Child(name, command, longest_pause_s=WARNING_PAUSE_S)


class SystemStatus:
    """``var/run/system.json``: which children run, and what the broker's log complained of."""

    def __init__(self, file: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file, self._monotonic = file, monotonic
        self._say_again_at: dict[str, float] = {}
        self._pids: dict[str, int | None] = {}
        self._broker_log = BrokerLog()
        self._is_unwritten = False
        self._write()

    def child_changed(self, name: str, pid: int | None) -> None:
        """Note that a child started (its pid) or ended (None)."""
        self._pids[name] = pid
        self._write()

    def broker_said(self, line: str) -> None:
        """Take in a line of mosquitto's log; trouble is counted, and each kind logged at times.

        Strangers make the broker write such lines as fast as they like.
        """
        if trouble := self._broker_log.read(line):
            self._write()
            now = self._monotonic()
            if now >= self._say_again_at.get(trouble, now):
                self._say_again_at[trouble] = now + SAY_TROUBLE_AGAIN_S
                seen = self._broker_log.counts[trouble]
                log.warning(f"broker.client.{trouble}", line=line[:300], seen=seen)

    def remove(self) -> None:
        """The system has stopped in order."""
        self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        document = {
            "children": self._pids,
            "broker_log": {"counts": dict(self._broker_log.counts), "last": self._broker_log.last},
        }
        temporary = self._file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
            temporary.replace(self._file)
        except OSError as error:  # a full disk: no child may stay down for a status
            if not self._is_unwritten:
                log.error("system.status.not_written", path=str(self._file), error=str(error))
            self._is_unwritten = True
        else:
            self._is_unwritten = False


def _broker_child(
    settings: Settings, place: Installation, status: SystemStatus, *, may_embed: bool
) -> Child:
    database = place.open_database()
    accounts = place.broker_accounts(database)
    database.dispose()
    config = write_child_files(place.broker, port=settings.broker.port, accounts=accounts)
    record = _LineFile(place.broker / "mosquitto.log")

    def on_line(line: str) -> None:
        record.write(line)
        status.broker_said(line)

    binary = find_mosquitto()
    if binary is not None:
        command: tuple[str, ...] = (str(binary), "-c", str(config))
        return Child("broker", command, on_line=on_line, longest_pause_s=WARNING_PAUSE_S)
    if not may_embed:
        raise SettingsError(
            "broker: mosquitto is not installed (apt-get install mosquitto); "
            'or [broker] mode = "external" for one that somebody else runs'
        )
    command = _embedded_command(place.broker, settings.broker.port)
    return Child("broker", command, on_line=on_line)


def _embedded_command(directory: Path, port: int) -> tuple[str, ...]:
    try:
        from satomori.embedded_broker import embedded_command
    except ModuleNotFoundError as error:
        raise SettingsError(
            "broker: mosquitto is not installed (apt-get install mosquitto), and neither is the "
            f"embedded one: pip install 'satomori[embedded-broker]' ({error})"
        ) from None
    return embedded_command(directory, port)


class _LineFile:
    """A log file of bounded size that somebody else's lines go to."""

    def __init__(self, file: Path) -> None:
        import logging

        self._handler = RotatingFileHandler(file, maxBytes=10 << 20, backupCount=2, delay=True)
        self._record = logging.LogRecord
        self._level = logging.INFO

    def write(self, line: str) -> None:
        self._handler.emit(self._record("broker", self._level, "", 0, line, None, None))


def _hand_down(settings: Settings, place: Installation) -> Path:
    """The resolved settings as a file for the children, so that all mean the same."""
    file = place.run / "settings.json"
    resolved = settings.model_copy(
        update={"paths": settings.paths.model_copy(update={"var": place.var})}
    )
    file.write_text(resolved.model_dump_json(indent=1), encoding="utf-8")
    return file


def _stop_signal() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _announce(
    settings: Settings,
    extras: Extras,
    supervisor: Supervisor,
    on_ready: Callable[[Settings], Awaitable[None] | None] | None,
) -> None:
    await _until_ready_however_long(settings)
    for child in extras.last:
        await supervisor.start(child)
    if on_ready is not None:
        said = on_ready(settings)
        if said is not None:
            await said


async def _until_ready_however_long(settings: Settings) -> None:
    while True:
        try:
            return await until_ready(settings)
        except TimeoutError as error:
            log.error("system.start.not_ready", reasons=str(error))


async def until_ready(settings: Settings, deadline_s: float = START_DEADLINE_S) -> None:
    """Until web says that intake, alerts and store are up; raises TimeoutError with its reasons."""
    url = f"http://{settings.web.host}:{settings.web.port}/api/ready"
    reasons = "web does not answer"
    async with httpx.AsyncClient(timeout=2.0) as client:
        for attempt in range(int(deadline_s / 0.1)):
            try:
                answer = await client.get(url)
            except httpx.HTTPError:
                pass
            else:
                if answer.status_code == httpx.codes.OK:
                    return
                reasons = answer.text
            if attempt == 100:
                log.warning("system.start.slow", reasons=reasons)
            await asyncio.sleep(0.1)
    raise TimeoutError(f"not ready after {deadline_s:.0f} s: {reasons}")


async def _until_listening(host: str, port: int, deadline_s: float = 10.0) -> None:
    for _ in range(int(deadline_s / 0.02)):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise SettingsError(f"broker: nobody listens on {host}:{port} after {deadline_s:.0f} s")
