"""Runs the examples that come with codecs, and says which hold.

The comparison is that of the published repositories: deep equality, where an absent list of
warnings or errors is an empty one, and numbers are equal to within 1e-9 of their size.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from devices.codecs.codec import Answer, Call, Codec, Failure, Outcome
from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, Vector, loose_vectors

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Miss:
    """An example that does not hold, and why."""

    codec: str
    call: Call
    title: str
    problem: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a codec's examples; ``answers`` is what it said to its uplinks.

    ``unread`` are lists of examples that cannot be read; they are among the ``misses``.
    """

    published: Published
    misses: tuple[Miss, ...]
    answers: tuple[Answer, ...] = ()
    unread: tuple[Miss, ...] = ()

    @property
    def has_passed(self) -> bool:
        """True if every example holds (a codec without any has nothing to fail)."""
        return not self.misses

    def count(self, *, is_uplink: bool) -> tuple[int, int]:
        """(examples, passed) of uplinks, or of downlinks; a list that cannot be read is one that
        does not pass."""
        vectors = [v for v in self.published.vectors if _is_uplink(v.call) is is_uplink]
        missed = [m for m in self.misses if _is_uplink(m.call) is is_uplink]
        unread = [m for m in self.unread if _is_uplink(m.call) is is_uplink]
        examples = len(vectors) + len(unread)
        return examples, examples - len(missed)


async def try_one(published: Published, pool: CodecPool) -> Trial:
    """Run all examples of a codec."""
    published, unread = await _with_loose(published, pool)
    outcomes = await asyncio.gather(
        *(pool.run(published.codec, vector.call, vector.given) for vector in published.vectors)
    )
    tried = list(zip(published.vectors, outcomes, strict=True))
    misses = [
        Miss(published.codec.name, vector.call, vector.title, problem)
        for vector, outcome in tried
        if (problem := _problem(vector, outcome))
    ]
    answers = [o for v, o in tried if _is_uplink(v.call) and isinstance(o, Answer)]
    return Trial(published, (*unread, *misses), tuple(answers), unread)


async def _with_loose(published: Published, pool: CodecPool) -> tuple[Published, tuple[Miss, ...]]:
    """The codec with all its examples read, and what of them could not be."""
    name = published.codec.name
    vectors, unread = list(published.vectors), []
    for call, text in published.loose:
        literal = Codec(
            f"{name} examples", f"function decodeUplink() {{ return {{ data: (\n{text}\n) }} }}"
        )
        outcome = await pool.run(literal, Call.DECODE_UPLINK, {})
        if isinstance(outcome, Answer) and isinstance(outcome.data, list):
            vectors += loose_vectors(call, [e for e in outcome.data if isinstance(e, dict)])
        else:
            unread.append(Miss(name, call, "examples", f"cannot be read: {_why(outcome)}"))
    return replace(published, vectors=tuple(vectors), loose=()), tuple(unread)


def _why(outcome: Outcome) -> str:
    return outcome.detail if isinstance(outcome, Failure) else "no list"


def _problem(vector: Vector, outcome: Outcome) -> str:
    """What is wrong with what the codec makes of an example; "" if nothing is."""
    if isinstance(outcome, Failure):
        if outcome.reason == "threw" and vector.expected.get("errors"):
            return ""
        return f"{outcome.reason}: {outcome.detail}"
    problem = difference(_plain(vector.expected), _plain(outcome.raw))
    if not problem and vector.expects_normalized is not None:
        problem = _normalized_problem(vector.expects_normalized, outcome)
    return problem


def _normalized_problem(expected: Any, answer: Answer) -> str:
    wanted = expected if isinstance(expected, list) else [expected]
    said: Sequence[Mapping[str, Any]] = answer.normalized or ()
    return difference(wanted, list(said), "normalized")


def _plain(output: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing: absent values, empty lists of warnings and errors."""
    return {
        key: value
        for key, value in output.items()
        if value is not None and not (key in ("warnings", "errors") and not value)
    }


def difference(expected: Any, found: Any, path: str = "output") -> str:
    """The first place where the two differ, in a sentence; "" where they are equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return next(_differences_of_objects(expected, found, path), "")
    if isinstance(expected, list) and isinstance(found, list):
        return next(_differences_of_lists(expected, found, path), "")
    if _is_same(expected, found):
        return ""
    return f"{path} is {_shown(found)} where {_shown(expected)} is expected"


def _differences_of_objects(
    expected: Mapping[str, Any], found: Mapping[str, Any], path: str
) -> Iterator[str]:
    """A value that is absent and one that is null say the same."""
    for key in [*expected, *(k for k in found if k not in expected)]:
        before, after = expected.get(key), found.get(key)
        if after is None and before is not None:
            yield f"{path}.{key} is missing"
        elif before is None and after is not None:
            yield f"{path}.{key} is not expected: {_shown(after)}"
        elif text := difference(before, after, f"{path}.{key}"):
            yield text


def _differences_of_lists(expected: list[Any], found: list[Any], path: str) -> Iterator[str]:
    if len(expected) != len(found):
        yield f"{path} has {len(found)} elements where {len(expected)} are expected"
        return
    for i, (before, after) in enumerate(zip(expected, found, strict=True)):
        if text := difference(before, after, f"{path}[{i}]"):
            yield text


def _is_same(expected: Any, found: Any) -> bool:
    if _is_number(expected) and _is_number(found):
        return math.isclose(expected, found, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return type(expected) is type(found) and bool(expected == found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_uplink(call: Call) -> bool:
    return call is Call.DECODE_UPLINK


def _shown(value: Any) -> str:
    return repr(value)[:100]
