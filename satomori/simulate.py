"""`satomori simulate`: joins the simulator's publications to a broker.

With a network server some devices of the city speak LoRaWAN, and its messages leave by an account
of its own. The city and scenarios live now; files keep their own times unless they are shifted.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from firmware_sim import city, files, lorawan_city
from firmware_sim.fleet import Fleet
from firmware_sim.network_dialects import ChirpStack, Dialect, TheThingsStack
from firmware_sim.network_servers import NetworkServer, OverNetworkServer
from firmware_sim.player import Schedule, live_async, play_async
from firmware_sim.publisher import Broker, BrokerUnavailableError, Publisher, UnacknowledgedError
from firmware_sim.scenario import ScenarioError, ScenarioFleet, read_scenario
from satomori.clock import now_ms
from satomori.settings import SettingsError, read_secret

LAST_ANSWER_S = 60.0
CHIRPSTACK_APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
THINGS_APPLICATION = "field@sendai"
NetworkName = Literal["chirpstack", "the-things-stack"]


@dataclass(frozen=True, slots=True)
class Target:
    """The broker to publish to and as whom."""

    host: str
    port: int
    username: str
    password_file: Path | None
    mqtt: Literal["5", "3.1.1"] = "5"

    @property
    def broker(self) -> Broker:
        """As the publisher wants it; raises SettingsError when the password cannot be read."""
        password = read_secret(self.password_file) if self.password_file else None
        return Broker(self.host, self.port, self.username or None, password, mqtt=self.mqtt)


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a file: messages published, acknowledged by the broker, heard by nobody."""

    file: str
    published: int
    acknowledged: int
    unheard: int
    refused: int
    seconds: float

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """One line."""
        return (
            f"{self.file}: {self.acknowledged} of {self.published} messages acknowledged "
            f"in {self.seconds:.1f} s, {self.refused} refused, {self.unheard} heard by nobody"
        )


async def play_file(
    file: Path, target: Target, *, device: str = "", shift_to_now: bool = False, rate: float = 0.0
) -> Played:
    """Publish a file's readings in file order, as fast as the broker acknowledges or at ``rate``.

    Raises SettingsError naming file, line, column and value of what cannot be read.
    """
    began = time.monotonic()
    try:
        shift_ms = now_ms() - files.last_at(file) if shift_to_now else 0
        publications = files.read_file(file, device=device, shift_ms=shift_ms)
        with Publisher(target.broker, client_id="simulate-file", rate_per_s=rate) as publisher:
            await play_async(publications, publisher)
            publisher.drain(LAST_ANSWER_S)
            return Played(
                file=file.name,
                published=publisher.published,
                acknowledged=publisher.acknowledged,
                unheard=publisher.unheard,
                refused=publisher.refused,
                seconds=round(time.monotonic() - began, 3),
            )
    except files.FileError as error:
        raise SettingsError(str(error)) from None
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror or error}") from None
    except (BrokerUnavailableError, UnacknowledgedError) as error:
        raise SettingsError(f"broker {target.host}:{target.port}: {error}") from None


@dataclass(frozen=True, slots=True)
class ByNetwork:
    """A simulated network server, and where and as whom it publishes."""

    kind: NetworkName
    target: Target


async def play_city(
    target: Target, *, seed: int, scenario: Path | None = None, network: ByNetwork | None = None
) -> None:
    """Let the simulated city, or a scenario in it, live until cancelled."""
    try:
        with Publisher(target.broker, client_id="simulate-city") as publisher:
            schedule = _schedule(seed, scenario)
            if network is None:
                await live_async(schedule, publisher, now=now_ms)
            else:
                await _live_by_network(schedule, publisher, network, seed)
    except ScenarioError as error:
        raise SettingsError(str(error)) from None
    except BrokerUnavailableError as error:
        raise SettingsError(f"broker {target.host}:{target.port}: {error}") from None


async def _live_by_network(
    schedule: Schedule, publisher: Publisher, network: ByNetwork, seed: int
) -> None:
    devices = city.devices(seed=seed)
    server = NetworkServer(
        _dialect(network.kind), lorawan_city.stations(devices), lorawan_city.gateways(devices),
        seed=seed,
    )  # fmt: skip
    with Publisher(
        network.target.broker, client_id="simulate-network", hears=(server.dialect.commands,),
        on_message=server.hear,
    ) as own:  # fmt: skip
        await live_async(OverNetworkServer(schedule, server), _Parted(publisher, own), now=now_ms)


def _dialect(kind: NetworkName) -> Dialect:
    if kind == "chirpstack":
        return ChirpStack(CHIRPSTACK_APPLICATION)
    return TheThingsStack(THINGS_APPLICATION)


@dataclass(frozen=True, slots=True)
class _Parted:
    """Devices and the network server each on a connection of their own."""

    devices: Publisher
    network: Publisher

    def publish(self, topic: str, payload: bytes) -> object:
        """By the topic's first level."""
        way = self.devices if topic.startswith("field/") else self.network
        return way.publish(topic, payload)


def _schedule(seed: int, scenario: Path | None) -> Schedule:
    devices = city.devices(seed=seed)
    if scenario is None:
        return Fleet(devices, seed=seed, start_at=now_ms())
    return ScenarioFleet(read_scenario(scenario), devices, seed=seed, start_at=now_ms())
