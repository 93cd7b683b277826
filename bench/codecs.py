"""`satomori bench codecs`: what a codec costs, in a fresh context and in one that is kept.

Of our own small codec, by the same pool and worker processes that serve messages. Times are of one
call in the engine; the rates are of the whole way through pipes, with calls of many devices at
once: undisturbed, and while every codec of `bench.hostile_codecs` does its worst.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from bench.hostile_codecs import HOSTILE
from devices.codecs.codec import Call, Codec, Failure, Limits
from devices.codecs.engine import Engine
from devices.codecs.pool import CodecPool

_CALLS: Final = 2_000
_MESSAGES: Final = 20_000
_AT_ONCE: Final = 64
_SCRIPT: Final = """
function decodeUplink(input) {
  var data = {}, b = input.bytes;
  for (var i = 0; i + 3 < b.length; i += 4) {
    var value = (b[i + 2] << 8 | b[i + 3]) / 100;
    if (b[i] === 1) data.level = value;
    else if (b[i] === 2) data.temperature = value - 50;
    else data['channel' + b[i]] = value;
  }
  data.battery = b[b.length - 1] / 50;
  return { data: data };
}
"""
_GIVEN: Final = {"bytes": [1, 0, 1, 44, 2, 0, 27, 88, 3, 0, 0, 7, 180], "fPort": 10}


@dataclass(frozen=True, slots=True)
class Result:
    """Times in µs of one call; ``messages_per_s`` through ``workers`` processes, contexts kept.

    ``beside_hostile_per_s`` is the same rate while hostile codecs rage, ``hostile_calls`` how many
    of their calls were contained, ``slowest_beside_hostile_ms`` what a good message waited at most.
    """

    fresh_us_p50: float
    fresh_us_p95: float
    warm_us_p50: float
    messages_per_s: float
    fresh_messages_per_s: float
    beside_hostile_per_s: float
    slowest_beside_hostile_ms: float
    hostile_calls: int
    workers: int

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """A line a figure."""
        return "\n".join(f"{key:<26} {value}" for key, value in asdict(self).items())


def run(workers: int = 2) -> Result:
    """Measure. Raises RuntimeError if the codec does not answer."""
    codec = Codec("bench", _SCRIPT, may_reuse=True)
    fresh = _times(replace(codec, may_reuse=False))
    warm = _times(codec)
    beside = asyncio.run(_beside_hostile(codec, workers))
    return Result(
        fresh_us_p50=_percentile(fresh, 50),
        fresh_us_p95=_percentile(fresh, 95),
        warm_us_p50=_percentile(warm, 50),
        messages_per_s=asyncio.run(_rate(codec, workers)),
        fresh_messages_per_s=asyncio.run(_rate(replace(codec, may_reuse=False), workers)),
        beside_hostile_per_s=beside[0],
        slowest_beside_hostile_ms=beside[1],
        hostile_calls=beside[2],
        workers=workers,
    )


def _times(codec: Codec) -> list[float]:
    engine, given, times = Engine(Limits()), json.dumps(_GIVEN), []
    for _ in range(_CALLS):
        began = time.perf_counter()
        engine.call(codec.digest, codec.script, codec.may_reuse, Call.DECODE_UPLINK, given)
        times.append((time.perf_counter() - began) * 1e6)
    return times


async def _rate(codec: Codec, workers: int) -> float:
    async with CodecPool(workers) as pool:
        await _ask(pool, codec, 1)  # workers are up, the codec is proven
        began = time.perf_counter()
        await asyncio.gather(*(_ask(pool, codec, _MESSAGES // _AT_ONCE) for _ in range(_AT_ONCE)))
        return round(_MESSAGES / (time.perf_counter() - began), 1)


async def _beside_hostile(codec: Codec, workers: int) -> tuple[float, float, int]:
    """Good messages a second, the longest that one waited (ms), and hostile calls meanwhile."""
    contained, waits = [0], [0.0]
    async with CodecPool(workers, replace(Limits(), wall_s=0.5)) as pool:
        await _ask(pool, codec, 1)
        raging = asyncio.create_task(_rage(pool, contained))
        began = time.perf_counter()
        count = 0
        while contained[0] < len(HOSTILE):  # each of them once at least
            asked = time.perf_counter()
            await asyncio.gather(*(_ask(pool, codec, 1) for _ in range(_AT_ONCE)))
            waits.append(time.perf_counter() - asked)
            count += _AT_ONCE
        took = time.perf_counter() - began
        raging.cancel()
        await asyncio.gather(raging, return_exceptions=True)
    return round(count / took, 1), round(max(waits) * 1e3, 1), contained[0]


async def _rage(pool: CodecPool, contained: list[int]) -> None:
    """Every hostile codec, a few at once, again and again; each time as one never seen before."""
    for again in itertools.count():
        names = iter(HOSTILE.items())
        while some := list(itertools.islice(names, 4)):
            codecs = [Codec(name, f"{script}\n// {again}") for name, script in some]
            outcomes = await asyncio.gather(
                *(pool.run(one, Call.DECODE_UPLINK, _GIVEN) for one in codecs)
            )
            for one, outcome in zip(codecs, outcomes, strict=True):
                if not isinstance(outcome, Failure):
                    raise TypeError(f"{one.name} got away with an answer")
                contained[0] += 1


async def _ask(pool: CodecPool, codec: Codec, times: int) -> None:
    for _ in range(times):
        outcome = await pool.run(codec, Call.DECODE_UPLINK, _GIVEN)
        if isinstance(outcome, Failure):
            raise RuntimeError(f"the codec of the bench failed: {outcome.detail}")  # noqa: TRY004 (no wrong type: a failure)


def _percentile(values: list[float], share: float) -> float:
    return round(float(np.percentile(values, share)), 1)
