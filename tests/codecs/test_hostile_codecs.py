"""Whatever a codec does, it costs itself, and no message of another device."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.hostile_codecs import HOSTILE
from devices.codecs.codec import Answer, Call, Codec, Failure, Limits, Reason
from devices.codecs.pool import STRIKES, CodecPool

GOOD = Codec("good", "function decodeUplink(input) { return {data: {n: input.bytes[0]}} }")
GIVEN = {"bytes": [7, 9], "fPort": 1}
QUICK = replace(Limits(), wall_s=0.5)
UP = {Reason.TIME, Reason.ENDED}  # CPU time or, on a busy machine, the wall clock was up


async def ask(pool: CodecPool, codec: Codec) -> Answer | Failure:
    return await pool.run(codec, Call.DECODE_UPLINK, GIVEN)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SATOMORI_TEST_SECRET", "kawa-no-himitsu")
    return "kawa-no-himitsu"


async def test_every_hostile_codec_ends_in_a_failure_that_says_why(secret: str) -> None:
    """Within its limits, without an answer, and nothing of our environment is in what it says."""
    async with CodecPool(workers=1, limits=QUICK) as pool:
        for name, script in HOSTILE.items():
            outcome = await ask(pool, Codec(name, script))
            assert isinstance(outcome, Failure), f"{name}: {outcome}"
            assert outcome.detail, name
            assert secret not in outcome.detail
    assert len(HOSTILE) >= 26


async def test_good_messages_are_decoded_while_hostile_codecs_rage() -> None:
    """All hostile codecs at once, and a thousand good messages, each with its own answer."""
    async with CodecPool(workers=1, limits=QUICK) as pool:
        assert isinstance(await ask(pool, GOOD), Answer)
        bad = asyncio.gather(*(ask(pool, Codec(name, s)) for name, s in HOSTILE.items()))
        for number in range(1000):
            outcome = await pool.run(
                GOOD, Call.DECODE_UPLINK, {"bytes": [number % 256], "fPort": 1}
            )
            assert isinstance(outcome, Answer)
            assert outcome.data == {"n": number % 256}
        assert not bad.done()  # they were at it all the while
        assert all(isinstance(outcome, Failure) for outcome in await bad)


async def test_messages_behind_one_that_kills_its_worker_are_run_again() -> None:
    """Only the message that did it fails."""
    hang = Codec("hang", HOSTILE["joins a sparse array"])
    async with CodecPool(workers=1, limits=QUICK) as pool:
        first, *others = await asyncio.gather(ask(pool, hang), *(ask(pool, GOOD) for _ in range(9)))
    assert first == Failure(Reason.ENDED, "took too long, or its process died of it")
    assert [o.data for o in others if isinstance(o, Answer)] == [{"n": 7}] * 9


async def test_a_codec_that_hangs_again_and_again_is_suspended_for_a_while() -> None:
    """Then it is tried again: its maker may have been right about the next message."""
    now = [0.0]
    hang = Codec("hang", HOSTILE["loops for ever"])
    async with CodecPool(workers=1, limits=QUICK, clock=lambda: now[0]) as pool:
        reasons = [outcome.reason for _ in range(STRIKES + 1)
                   if isinstance(outcome := await ask(pool, hang), Failure)]  # fmt: skip
        assert set(reasons[:STRIKES]) <= UP
        assert reasons[STRIKES:] == [Reason.SUSPENDED]
        now[0] += 3600
        outcome = await ask(pool, hang)
    assert isinstance(outcome, Failure)
    assert outcome.reason in UP


async def test_a_codec_that_turns_bad_leaves_the_workers_of_the_good_ones() -> None:
    """After its first failure it is on probation until it answers again."""
    moody = Codec(
        "moody", "function decodeUplink(i) { if (i.bytes[0]) for (;;) {} return {data: {a: 1}} }"
    )
    async with CodecPool(workers=1, limits=QUICK) as pool:
        calm = {"bytes": [0], "fPort": 1}
        assert isinstance(await pool.run(moody, Call.DECODE_UPLINK, calm), Answer)
        assert isinstance(await ask(pool, moody), Failure)
        assert isinstance(await pool.run(moody, Call.DECODE_UPLINK, calm), Answer)


async def test_workers_are_started_when_they_are_needed() -> None:
    """An installation without codecs has no such processes."""
    before = _children()
    async with CodecPool(workers=2):
        await asyncio.sleep(0)
        assert _children() == before


async def test_a_codec_that_is_slow_is_kept_from_quick_ones() -> None:
    """It answers each time, within its limits; others need not wait for it."""
    slow = Codec(
        "slow", "function decodeUplink() { for (var i = 0, s = 0; i < 5e6; i++) s += i;"
        " return {data: {s: s}} }"
    )  # fmt: skip
    async with CodecPool(workers=1, limits=replace(Limits(), cpu_s=5.0, wall_s=10.0)) as pool:
        assert isinstance(await ask(pool, GOOD), Answer)
        for _ in range(4):
            assert isinstance(await ask(pool, slow), Answer)
        waiting = [asyncio.create_task(ask(pool, slow)) for _ in range(30)]
        await ask(pool, GOOD)
        assert not all(task.done() for task in waiting)
        await asyncio.gather(*waiting)


async def test_worker_processes_end_with_the_pool() -> None:
    """Also one that is in the middle of a hang."""
    before = _children()
    async with CodecPool(workers=2) as pool:
        await ask(pool, GOOD)
        hanging = asyncio.create_task(ask(pool, Codec("hang", HOSTILE["joins a sparse array"])))
        await asyncio.sleep(0)
        assert _children() - before
    hanging.cancel()
    assert _children() - before == set()


async def test_a_context_that_is_kept_serves_many_messages() -> None:
    """And what one codec leaves in its context is not in that of another."""
    counts = Codec("counts", "var n = 0; function decodeUplink() { return {data: {n: ++n}} }", True)
    other = Codec("other", "function decodeUplink() { return {data: {t: typeof n}} }", True)
    async with CodecPool(workers=1) as pool:
        await ask(pool, counts)
        told = [await ask(pool, counts) for _ in range(3)]
        assert [t.data["n"] for t in told if isinstance(t, Answer)] == [1, 2, 3]
        outcome = await ask(pool, other)
        assert isinstance(outcome, Answer)
        assert outcome.data == {"t": "undefined"}


def _children() -> set[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {int(pid) for pid in text.split()}
