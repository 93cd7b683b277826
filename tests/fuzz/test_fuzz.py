"""Whatever comes, from the field, from a disk or from another server: no exception escapes.

The targets say what must hold (tests/fuzz/wire.py, files.py, answers.py). docs/fuzzing.md tells of
the longer runs that are guided by coverage.
"""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Target, bent
from tests.fuzz.targets import TARGETS

CASES = Path(__file__).parent / "cases"
WARM_UP = 1_000
ROUNDS = 4


@pytest.fixture(autouse=True)
def _silent_log() -> Iterator[None]:
    """What is said of each damaged file is for its own tests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_pass(name: str) -> None:
    """Else the mutations begin at rubbish."""
    assert TARGETS[name].seeds
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)
    TARGETS[name].run(b"")


@pytest.mark.parametrize(
    "path", sorted(CASES.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_was_found_once_is_never_found_again(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_no_exception_escapes(name: str) -> None:
    """Any bytes, and valid inputs that were bent along their grammar."""
    target = TARGETS[name]

    @settings(max_examples=400, database=None)
    @given(
        st.binary(max_size=200)
        | st.randoms(use_true_random=False).map(
            lambda random: bent(random, target.seeds, target.tokens)
        )
    )
    def holds(data: bytes) -> None:
        target.run(data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("inputs", [1_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow(name: str, inputs: int) -> None:
    """What would be kept of each input would be kept in every round.

    In most of four rounds no more than 16 KiB and 8 bytes an input is left: a table of the
    interpreter that grows once in a while is no leak.
    """
    target, random = TARGETS[name], Random(name)
    _feed(target, random, WARM_UP)
    left: list[int] = []
    tracemalloc.start(1)
    try:
        _feed(target, random, WARM_UP // 10)
        for _ in range(ROUNDS):
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            _feed(target, random, inputs // ROUNDS)
            gc.collect()
            left.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    bound = 16_384 + 8 * inputs // ROUNDS
    assert median(left) <= bound, f"bytes left by {inputs // ROUNDS} inputs each: {left}"


def _feed(target: Target, random: Random, count: int) -> None:
    for _ in range(count):
        target.run(bent(random, target.seeds, target.tokens))
