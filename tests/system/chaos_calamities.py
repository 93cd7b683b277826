"""What may befall a machine room: a table of small functions, each over when it returns.

A calamity leaves nothing behind that somebody would have to mend: what it stopped goes on, what it
filled is empty again. Refuses to know what must hold afterwards.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.system.chaos_scene import PROCESSES, Scene


def _for_s(scene: Scene, chance: random.Random, least: float, most: float) -> float:
    """How long a calamity lasts."""
    return chance.uniform(least, most) * scene.pace


Strike = Callable[[Scene, random.Random], None]


@dataclass(frozen=True, slots=True)
class Calamity:
    """``weight`` is how often it is drawn; ``needs`` what must be there: mount, influxdb, duckdb,
    long (a campaign that has the time)."""

    name: str
    weight: int
    strike: Strike
    needs: frozenset[str] = frozenset()


def _kill(name: str) -> Strike:
    def strike(scene: Scene, chance: random.Random) -> None:
        scene.signal(name, signal.SIGKILL)

    return strike


def _pause(name: str) -> Strike:
    def strike(scene: Scene, chance: random.Random) -> None:
        scene.pause(name, _for_s(scene, chance, 1, 10))

    return strike


def _kill_all(scene: Scene, chance: random.Random) -> None:
    for name in chance.sample(PROCESSES, 3):
        scene.signal(name, signal.SIGKILL)


def _kill_again_and_again(scene: Scene, chance: random.Random) -> None:
    """A process that dies at each start, wherever that has come to."""
    name = chance.choice(PROCESSES)
    for _ in range(chance.randint(2, 5)):
        scene.signal(name, signal.SIGKILL)
        time.sleep(_for_s(scene, chance, 0, 1.5))


def _kill_supervisor(scene: Scene, chance: random.Random) -> None:
    scene.signal("supervisor", signal.SIGKILL)
    time.sleep(_for_s(scene, chance, 0, 3))


def _restart_broker(scene: Scene, chance: random.Random) -> None:
    scene.signal("broker", signal.SIGTERM)


def _restart_broker_behind_intake(scene: Scene, chance: random.Random) -> None:
    """What waits for intake in the broker lives through the restart."""
    stopped = threading.Thread(target=scene.pause, args=("intake", _for_s(scene, chance, 3, 8)))
    stopped.start()
    time.sleep(scene.pace)
    scene.signal("broker", signal.SIGTERM)
    stopped.join()


def _long_pause_of_intake(scene: Scene, chance: random.Random) -> None:
    """Longer than its keep-alive: the broker ends the connection."""
    scene.pause("intake", 33)


def _long_pause_of_web(scene: Scene, chance: random.Random) -> None:
    """Nothing is stored: the journal keeps it."""
    scene.pause("web", chance.uniform(20, 40))


def _lose_power(scene: Scene, chance: random.Random) -> None:
    if scene.load is not None:
        scene.load.lose_power()


def _lock_database(scene: Scene, chance: random.Random) -> None:
    scene.lock_database(_for_s(scene, chance, 0.5, 12))


def _register_device(scene: Scene, chance: random.Random) -> None:
    """A new device is registered: all processes switch to a new registry."""
    number = chance.randrange(1_000_000)
    scene.register(f"name,kind,label,site,area,interval_s\nnew-{number},trap,n,s,a,86400\n")


def _store_outage(scene: Scene, chance: random.Random) -> None:
    assert scene.influx is not None
    end = scene.influx.kill if chance.random() < 0.5 else scene.influx.stop
    end()
    time.sleep(_for_s(scene, chance, 1, 8))
    scene.influx.start()


def _fill(scene: Scene, chance: random.Random) -> Iterator[None]:
    """Fill one disk or all; between the yields they are full."""
    disks = scene.disks if chance.random() < 0.3 else [chance.choice(scene.disks)]
    leave = chance.choice((0, 0, 4_096, 65_536, 1 << 20))
    scene.note(f"  full: {[str(d.path.name) for d in disks]}, {leave} bytes left")
    end = time.monotonic() + _for_s(scene, chance, 2, 9)
    try:
        while time.monotonic() < end:
            for disk in disks:
                disk.fill(leave)
            yield
            time.sleep(0.1)
    finally:
        for disk in disks:
            disk.free()


def _disk_full(scene: Scene, chance: random.Random) -> None:
    for _ in _fill(scene, chance):
        pass


def _disk_full_and_kills(scene: Scene, chance: random.Random) -> None:
    """Processes die and start again while there is no room."""
    for _ in _fill(scene, chance):
        if chance.random() < 0.05:
            scene.signal(chance.choice(PROCESSES), signal.SIGKILL)


def _disk_low(scene: Scene, chance: random.Random) -> None:
    """Below low water: routine is refused, urgent goes on."""
    for disk in scene.disks:
        disk.fill(4 << 20)
    time.sleep(_for_s(scene, chance, 2, 9))
    for disk in scene.disks:
        disk.free()


_MOUNT, _INFLUX, _LONG = frozenset({"mount"}), frozenset({"influxdb"}), frozenset({"long"})

CALAMITIES: Final = (
    *(Calamity(f"kill {name}", 6, _kill(name)) for name in PROCESSES),
    *(Calamity(f"stop {name} for seconds", 4, _pause(name)) for name in (*PROCESSES, "broker")),
    Calamity("stop the supervisor for seconds", 1, _pause("supervisor")),
    Calamity("kill all three", 3, _kill_all),
    Calamity("kill again and again", 3, _kill_again_and_again),
    Calamity("kill the supervisor", 2, _kill_supervisor),
    Calamity("restart the broker", 5, _restart_broker),
    Calamity("restart the broker behind a stopped intake", 3, _restart_broker_behind_intake),
    Calamity("stop intake beyond its keep-alive", 1, _long_pause_of_intake, _LONG),
    Calamity("stop web for long", 1, _long_pause_of_web, _LONG),
    Calamity("devices lose power", 3, _lose_power),
    Calamity("lock the database", 3, _lock_database),
    Calamity("register a device", 3, _register_device),
    Calamity("store outage", 6, _store_outage, _INFLUX),
    Calamity("disk full", 6, _disk_full, _MOUNT),
    Calamity("disk full and kills", 4, _disk_full_and_kills, _MOUNT),
    Calamity("disk low", 2, _disk_low, _MOUNT),
)  # fmt: skip
"""Everything that a campaign draws from."""


def possible(has: set[str]) -> tuple[Calamity, ...]:
    """The calamities whose needs are met."""
    return tuple(calamity for calamity in CALAMITIES if calamity.needs <= has)


def each_once(seed: int, calamities: tuple[Calamity, ...]) -> Iterator[tuple[Calamity, ...]]:
    """Every calamity once, in an order drawn from the seed."""
    order = list(calamities)
    random.Random(f"{seed}-order").shuffle(order)
    yield from ((calamity,) for calamity in order)


def drawn(seed: int, calamities: tuple[Calamity, ...]) -> Iterator[tuple[Calamity, ...]]:
    """For ever: one, or several at once, by weight."""
    chance = random.Random(f"{seed}-order")
    weights = [calamity.weight for calamity in calamities]
    while True:
        count = chance.choice((1, 1, 1, 1, 2, 3))
        yield tuple(dict.fromkeys(chance.choices(calamities, weights, k=count)))
