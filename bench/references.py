"""What the figures are to be read beside: the same load into a plain sink, and into paho-mqtt.

Refuses to know Satomori's figures. Each reference has a fresh broker with the same configuration,
accounts and subscriptions, and its run ends when the last acknowledged message was consumed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.broker import Broker, Certificates
from bench.compiled import compile_program, has_compiler
from bench.drive import publish
from bench.load import Load, Target
from bench.options import BenchError, Options, Servers
from bench.progress import Progress
from bench.subject import Installation
from bench.talk import Talk
from devices.frames import Lane
from ingest.topics import subscriptions

_END_S = 120.0


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference did with the measured part of its run."""

    name: Literal["sink", "paho"]
    program: str
    messages: int
    seconds: float
    msgs_per_s: float
    publish_msgs_per_s: float
    repeated: int


@dataclass(frozen=True, slots=True)
class _Command:
    """The program of a reference, and the words that start it against a broker."""

    program: str
    words: Callable[[Target], Sequence[str]]


class _Other:
    """A consumer that is no Satomori, behind a `Talk`."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def messages(self) -> int:
        return int(self._talk.newest.get("messages", 0))

    def check(self) -> None:
        self._talk.check()

    def until(self, messages: int) -> Mapping[str, Any]:
        """Its last words, once it has consumed so many messages."""
        self._talk.tell(f"until {messages}")
        end = time.monotonic() + _END_S
        while not self._talk.newest.get("done"):
            if time.monotonic() > end:
                raise BenchError(f"{self._talk.name}: {self.messages()} of {messages} came")
            time.sleep(0.02)
        return self._talk.newest


def run_sink(
    place: Installation,
    servers: Servers,
    certificates: Certificates | None,
    options: Options,
    progress: Progress,
) -> Reference:
    """The ceiling: a C program that reads and acknowledges, on two connections like intake."""
    clients = {
        f"bench-sink-{lane}": [name for name, _ in subscriptions(lane, 0, 1)] for lane in Lane
    }
    own = replace(options, seconds=options.reference_seconds or options.seconds)
    if has_compiler():
        command = _c_sink(place, clients, certificates)
    elif shutil.which("mosquitto_sub"):
        command = _sub_sink(clients)
    else:
        raise BenchError("the sink needs a C compiler or mosquitto_sub; or --no-references")
    return _run("sink", command, place, servers, certificates, own, progress)


def _c_sink(
    place: Installation, clients: Mapping[str, list[str]], certificates: Certificates | None
) -> _Command:
    folder = place.folder / "sink"
    folder.mkdir()
    program = str(compile_program("csink", folder, with_tls=certificates is not None))
    words = [f"{name}={','.join(filters)}" for name, filters in clients.items()]
    return _Command("csink", lambda target: [program, *target.arguments(), *words])


def _sub_sink(clients: Mapping[str, list[str]]) -> _Command:
    def command(target: Target) -> Sequence[str]:
        words = json.dumps({**_login(target), "clients": clients})
        return [sys.executable, "-m", "bench.sub_sink", words]

    return _Command("mosquitto_sub", command)


def run_paho(
    place: Installation,
    servers: Servers,
    certificates: Certificates | None,
    options: Options,
    progress: Progress,
) -> Reference:
    """The floor: paho-mqtt, json, DuckDB. Shorter, since it takes so long to catch up."""
    file = place.folder / "paho.duckdb"
    filters = [name for lane in Lane for name, _ in subscriptions(lane, 0, 1)]

    def command(target: Target) -> Sequence[str]:
        words = {
            **_login(target), "filters": filters, "file": str(file), "flush_s": options.flush_s,
        }  # fmt: skip
        return [sys.executable, "-m", "bench.paho_consumer", json.dumps(words)]

    own = replace(options, seconds=min(options.seconds, options.paho_seconds))
    return _run("paho", _Command("paho-mqtt", command), place, servers, certificates, own, progress)


def _login(target: Target) -> dict[str, Any]:
    return {
        "port": target.port, "username": target.username, "password": target.password,
        "authority": str(target.authority) if target.authority else None,
    }  # fmt: skip


def _run(
    name: Literal["sink", "paho"],
    command: _Command,
    place: Installation,
    servers: Servers,
    certificates: Certificates | None,
    options: Options,
    progress: Progress,
) -> Reference:
    progress.say(f"reference: {name}, {options.seconds:.0f} s")
    folder = place.folder / f"{name}-broker"
    broker = Broker(servers, folder, place.broker_folder, certificates)
    authority = certificates.authority if certificates else None
    talk = Talk(name, command.words(place.consumer(broker.port, authority)), place.folder)
    try:
        talk.until_ready()
        target = place.target(authority, broker.port)
        found = _measure(name, _Other(talk), target, place, options, progress)
        return replace(found, program=command.program)
    finally:
        talk.close()
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(
    name: Literal["sink", "paho"],
    other: _Other,
    target: Target,
    place: Installation,
    options: Options,
    progress: Progress,
) -> Reference:
    load = Load(target, options, place.folder)
    try:
        warm = publish(load, other, options, min(options.warm_up_s, 2.0), progress)
        published = publish(load, other, options, options.seconds, progress)
        last = other.until(published.acknowledged)
    finally:
        load.close()
    messages = published.acknowledged - warm.acknowledged
    seconds = float(last["at"]) - published.began
    return Reference(
        name=name,
        program="",
        messages=messages,
        seconds=round(seconds, 2),
        msgs_per_s=round(messages / seconds, 1),
        publish_msgs_per_s=round(messages / (published.ended - published.began), 1),
        repeated=int(last["repeated"]),
    )
