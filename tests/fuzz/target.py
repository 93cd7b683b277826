"""What a fuzz target is, and how valid inputs are bent. Knows neither Hypothesis nor atheris."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

MAX_INPUT_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` takes any bytes; whatever leaves it is a fault, an AssertionError too.

    ``seeds`` are valid inputs, ``tokens`` words of the grammar; ``packages`` what is instrumented
    when coverage guides.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes] = ()
    packages: Sequence[str] = ("devices", "ingest")


def bent(random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """A valid input after one to eight changes: flips, cuts, copies, words of the grammar."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, 8)):
        random.choice(_CHANGES)(random, data, seeds, tokens)
    return bytes(data[:MAX_INPUT_BYTES])


def _span(random: Random, data: bytearray) -> slice:
    start = random.randint(0, len(data))
    return slice(start, min(len(data), start + random.choice((1, 2, 4, 8, 40))))


def _flip(
    random: Random, data: bytearray, _seeds: Sequence[bytes], _tokens: Sequence[bytes]
) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _put(
    random: Random, data: bytearray, _seeds: Sequence[bytes], _tokens: Sequence[bytes]
) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(
            (0, 1, 127, 128, 255, random.randrange(256))
        )


def _cut(
    random: Random, data: bytearray, _seeds: Sequence[bytes], _tokens: Sequence[bytes]
) -> None:
    del data[_span(random, data)]


def _end(
    random: Random, data: bytearray, _seeds: Sequence[bytes], _tokens: Sequence[bytes]
) -> None:
    del data[random.randint(0, len(data)) :]


def _copy(
    random: Random, data: bytearray, _seeds: Sequence[bytes], _tokens: Sequence[bytes]
) -> None:
    piece = bytes(data[_span(random, data)]) * random.choice((1, 1, 2, 50))
    at = random.randint(0, len(data))
    data[at:at] = piece[:MAX_INPUT_BYTES]


def _join(
    random: Random, data: bytearray, seeds: Sequence[bytes], _tokens: Sequence[bytes]
) -> None:
    other = random.choice(seeds)
    at = random.randint(0, len(data))
    data[at:] = other[random.randint(0, len(other)) :]


def _say(random: Random, data: bytearray, _seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    if tokens:
        data[_span(random, data)] = random.choice(tokens)


_CHANGES = (_flip, _put, _cut, _end, _copy, _join, _say, _say)

NUMBERS = (
    b"0", b"-1", b"1.5", b"NaN", b"nan", b"inf", b"-Infinity", b"1e999", b"1e-999", b"9" * 30,
    b"1e99999999", b"1e-99999999", b"9223372036854775808", b"null", b"true", b"[]", b"{}", b'""',
    b"\xff\xfe", b"\0", b"9" * 400, b"9" * 4500, b"[" * 3000, b'{"a":' * 700,
)  # fmt: skip
"""What stands badly where a number is expected."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder that needs no disk, if the machine has one."""
    shm = Path("/dev/shm")
    place = Path(
        tempfile.mkdtemp(prefix="satomori-fuzz-", dir=shm if os.access(shm, os.W_OK) else None)
    )
    try:
        yield place
    finally:
        shutil.rmtree(place)
