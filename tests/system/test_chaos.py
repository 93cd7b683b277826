"""Everything that a machine room does to a system, at random: nothing acknowledged is lost.

``SATOMORI_CHAOS_MINUTES`` says for how long, ``SATOMORI_CHAOS_SEED`` repeats a plan of calamities,
``SATOMORI_CHAOS_STORE`` and ``SATOMORI_CHAOS_DISKS`` (one, split) what else the seed chooses. The
seed is printed first, and then what was done when (``pytest -s``, or the output of a failure).
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from alerts.tables import delivery
from devices.frames import Lane, ReadingsFrame
from ingest.journal_follower import JournalFollower
from ingest.tables import quarantine
from tests.servers.influx import Influx, StartInflux
from tests.servers.satomori_system import wait_until
from tests.system.chaos_calamities import Calamity, drawn, each_once, possible
from tests.system.chaos_line import Message
from tests.system.chaos_load import Load
from tests.system.chaos_scene import Scene, left_behind, make_scene, may_mount, small_disks
from tests.system.chaos_verdict import findings

MOST_RSS_MIB = 450
READY_AGAIN_S = 90.0
BREATHE_EVERY = 6  # strikes between two waits for a system that is ready again

Plan = Iterator[tuple[Calamity, ...]]


def test_each_calamity_once_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """A short campaign of fixed order: every calamity that needs no long time comes once."""
    _campaign(tmp_path, seed=1, store="duckdb", minutes=None)


@pytest.mark.slow
def test_a_campaign_of_chaos_loses_and_repeats_nothing(
    tmp_path: Path, start_influx: StartInflux
) -> None:
    """Calamities by a seed, one or several at once, for an hour (or as long as asked for)."""
    minutes = float(os.environ.get("SATOMORI_CHAOS_MINUTES", "60"))
    seed = int(os.environ.get("SATOMORI_CHAOS_SEED") or secrets.randbelow(1_000_000))
    store = os.environ.get("SATOMORI_CHAOS_STORE") or random.Random(seed).choice(
        ("duckdb", "influxdb")
    )
    influx = start_influx("1.8") if store == "influxdb" else None
    _campaign(tmp_path, seed=seed, store=store, minutes=minutes, influx=influx)


def _campaign(
    folder: Path, *, seed: int, store: str, minutes: float | None, influx: Influx | None = None
) -> None:
    """Play it, let it come to rest, compare. ``minutes`` None plays each calamity once."""
    has = {store} | ({"mount"} if may_mount(folder) else set()) | ({"long"} if minutes else set())
    layout = _layout(seed) if "mount" in has else "none"
    calamities = possible(has)
    plan = drawn(seed, calamities) if minutes else each_once(seed, calamities)
    with small_disks(folder, layout) as disks:
        scene = make_scene(folder, disks, influx)
        scene.pace = 1.0 if minutes else 0.15
        scene.note(f"SATOMORI_CHAOS_SEED={seed} store={store} disks={layout} minutes={minutes}")
        try:
            messages = _play(scene, plan, seed, minutes)
            _come_to_rest(scene, messages)
            assert scene.system.stop() == 0
            found = findings(scene.system, messages)
        finally:
            scene.system.stop()
        _print_figures(scene, messages)
        assert not found, "\n".join([*found, *scene.diary])
        assert not left_behind(folder / "satomori.toml"), "a process outlived its supervisor"
        over = {name: mib for name, mib in scene.most_rss_mib.items() if mib > MOST_RSS_MIB}
        assert not over, f"over {MOST_RSS_MIB} MiB: {over}"
    if "mount" not in has:
        pytest.skip("all was well, but with no full disk: mounting is not permitted here")


def _layout(seed: int) -> str:
    given = os.environ.get("SATOMORI_CHAOS_DISKS")
    return given or random.Random(f"{seed}-disks").choice(("one", "split"))


def _play(scene: Scene, plan: Plan, seed: int, minutes: float | None) -> list[Message]:
    """Strike after strike under load, until the plan or the time is over."""
    scene.system.start()
    scene.load = Load(scene.system.broker_login(), seed, rate_per_s=80)
    over = threading.Event()
    end = time.monotonic() + minutes * 60 if minutes else float("inf")
    chance = random.Random(f"{seed}-pauses")
    scene.load.start()
    try:
        with ThreadPoolExecutor(8) as hands:
            keeping = hands.submit(_keep, scene, over)
            try:
                for number, strikes in enumerate(plan, 1):
                    if time.monotonic() > end or keeping.done():
                        break
                    _strike(scene, strikes, f"{seed}-{number}", hands)
                    over.wait(chance.uniform(0.1, 4) * scene.pace)
                    if minutes and number % BREATHE_EVERY == 0:
                        _wait_ready(scene)
                _wait_ready(scene)
            finally:
                over.set()
            keeping.result()
    finally:
        scene.load.stop()
    return scene.load.messages


def _strike(
    scene: Scene, strikes: tuple[Calamity, ...], seed: str, hands: ThreadPoolExecutor
) -> None:
    scene.note(" + ".join(calamity.name for calamity in strikes))
    doing = [
        hands.submit(calamity.strike, scene, random.Random(f"{seed}-{calamity.name}"))
        for calamity in strikes
    ]
    for done in doing:
        done.result()


def _keep(scene: Scene, over: threading.Event) -> None:
    """Be the service manager, and look at the memory."""
    while not over.wait(0.5):
        scene.keep_running()
        scene.measure()


def _wait_ready(scene: Scene) -> None:
    began = time.monotonic()
    wait_until(
        scene.system.says_ready,
        f"ready again by itself; log: {scene.system.log_tail()}",
        READY_AGAIN_S,
    )
    scene.note(f"ready after {time.monotonic() - began:.1f} s")


def _come_to_rest(scene: Scene, messages: list[Message]) -> None:
    """Until everything that was acknowledged has passed all readers, and everybody was told."""
    assert scene.load is not None
    *timed, stray = scene.load.last
    for lane, message in zip((Lane.URGENT, Lane.ROUTINE), timed, strict=True):
        value = message.readings[0][3]
        wait_until(lambda lane=lane, value=value: _is_journaled(scene, lane, value), f"{lane} in")  # type: ignore[misc]
    wait_until(lambda: _is_quarantined(scene, stray.payload), "bad messages in quarantine")
    scene.system.wait_for_readers(120)
    wait_until(lambda: _are_told(scene), "all deliveries ended", 60)
    _wait_ready(scene)


def _is_journaled(scene: Scene, lane: Lane, value: float) -> bool:
    follower = JournalFollower(scene.system.place.journal / lane, lane, "test-look")
    try:
        entries = follower.tail_entries(1 << 20)
    finally:
        follower.close()
    frames = [entry.frame for entry in entries if isinstance(entry.frame, ReadingsFrame)]
    return any(np.any(frame.readings.value == value) for frame in frames)


def _is_quarantined(scene: Scene, payload: bytes) -> bool:
    return bool(_rows(scene, select(quarantine.c.id).where(quarantine.c.payload == payload)))


def _are_told(scene: Scene) -> bool:
    return not _rows(
        scene, select(delivery.c.id).where(delivery.c.state.in_(["queued", "sending"]))
    )


def _rows(scene: Scene, query: object) -> list[object]:
    database = scene.system.database()
    with database.connect() as connection:
        rows: list[object] = list(connection.execute(query))  # type: ignore[call-overload]
    database.dispose()
    return rows


def _print_figures(scene: Scene, messages: list[Message]) -> None:
    sent = sum(message.attempts for message in messages)
    acknowledged = sum(message.is_acknowledged for message in messages)
    rss = {name: round(mib) for name, mib in scene.most_rss_mib.items()}
    scene.note(
        f"{len(messages)} messages, {acknowledged} acknowledged, {sent} sendings,"
        f" {scene.starts} starts by the service manager, most MiB: {rss}"
    )
