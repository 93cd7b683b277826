"""Shows whether one context may serve many messages of a codec, or each needs a fresh one.

A codec that keeps something between two calls (a counter, a buffer, a global that it forgot to
declare) answers otherwise the second time. So the same inputs are asked in fresh contexts and then
twice through contexts that are kept, forwards and backwards: every answer must be the same.
Inputs are the codec's own examples, and examples that were cut, changed, and sent to other ports.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from devices.codecs.codec import Call, Codec, Failure, Outcome, Reason
from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published

_VARIANTS: Final = 4
_MOST: Final = 60
_SEED: Final = 1


async def may_reuse(published: Published, pool: CodecPool) -> bool:
    """True if no answer depends on what was asked before.

    False for a codec without uplink examples (nothing was shown), and for one that hangs or bursts.
    """
    inputs = _inputs(published)
    if not inputs:
        return False
    fresh = await _ask(replace(published.codec, may_reuse=False), inputs, pool)
    if any(isinstance(o, Failure) and o.reason is not Reason.THREW for o in fresh):
        return False
    kept = replace(published.codec, may_reuse=True)
    forwards = await _ask(kept, inputs, pool)
    backwards = await _ask(kept, inputs[::-1], pool)
    return forwards == fresh and backwards[::-1] == fresh


async def _ask(codec: Codec, inputs: Sequence[Mapping[str, Any]], pool: CodecPool) -> list[Outcome]:
    """One after the other: what one leaves behind, the next one meets."""
    return [await pool.run(codec, Call.DECODE_UPLINK, given) for given in inputs]


def _inputs(published: Published) -> list[Mapping[str, Any]]:
    examples = [v.given for v in published.vectors if v.call is Call.DECODE_UPLINK]
    chance = random.Random(_SEED)  # noqa: S311 (varies test inputs, guards nothing)
    inputs = []
    for given in examples[: _MOST // (_VARIANTS + 1)]:
        inputs.append(given)
        inputs += [_varied(given, chance) for _ in range(_VARIANTS)]
    return inputs


def _varied(given: Mapping[str, Any], chance: random.Random) -> Mapping[str, Any]:
    payload = [b for b in given.get("bytes") or [] if isinstance(b, int)]
    payload = payload[: chance.randint(0, len(payload))]
    if payload and chance.random() < 0.5:
        payload[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
    port = given.get("fPort") if chance.random() < 0.7 else chance.randint(1, 223)
    return {**given, "bytes": payload, "fPort": port}
