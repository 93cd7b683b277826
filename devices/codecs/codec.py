"""Plain values around a codec: what it is, what it is asked, what it answers.

A *codec* is one script of a vendor that turns a device's bytes into named values (uplink) and
commands into bytes (downlink): LoRa Alliance TS013-1.0.0, and the two older forms that network
servers had before it. Refuses to know processes and engines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MAX_SCRIPT_BYTES: Final = 2 << 20
"""The largest published codec has about 0.3 MB."""

MAX_ANSWER_BYTES: Final = 256 << 10
"""A LoRaWAN payload has 242 bytes at most; what is made of it may be a thousand times as long."""


class Call(StrEnum):
    """What a codec can be asked."""

    DECODE_UPLINK = "decodeUplink"
    ENCODE_DOWNLINK = "encodeDownlink"
    DECODE_DOWNLINK = "decodeDownlink"


class Reason(StrEnum):
    """Why a codec gave no answer."""

    SCRIPT = "script"  # its text cannot be loaded
    MISSING = "missing"  # it has no function for this call
    THREW = "threw"  # it threw an exception
    TIME = "time"  # CPU time or wall-clock time was up
    MEMORY = "memory"  # heap or stack was used up
    ANSWER = "answer"  # too large, or no object
    ENDED = "ended"  # its process died
    SUSPENDED = "suspended"  # it hung too often and is not run any more


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use. ``wall_s`` is kept by the parent, which kills; all else by the engine.

    ``process_bytes`` is the address space of a worker process: what the engine's own heap limit
    does not count.
    """

    cpu_s: float = 0.1
    wall_s: float = 2.0
    heap_bytes: int = 16 << 20
    stack_bytes: int = 256 << 10
    answer_bytes: int = MAX_ANSWER_BYTES
    process_bytes: int = 512 << 20


@dataclass(frozen=True, slots=True)
class Codec:
    """One script. ``may_reuse``: a self-test has shown that one context may serve many messages."""

    name: str
    script: str
    may_reuse: bool = False
    digest: str = field(init=False, repr=False)
    """What identifies the script and how it is run; 32 hex digits."""

    def __post_init__(self) -> None:
        """Hash once: a script is long, and every message asks."""
        text = f"{self.may_reuse:d}\n{self.script}".encode("utf-8", "surrogatepass")
        object.__setattr__(self, "digest", hashlib.blake2b(text, digest_size=16).hexdigest())


@dataclass(frozen=True, slots=True)
class Answer:
    """What a codec said.

    ``data`` is the object of an uplink or decoded downlink, None where it gave none; ``normalized``
    what its ``normalizeUplink`` made of it (a list of objects), None where it has no such function;
    ``frame`` is (fPort, bytes) of an encoded downlink.
    """

    data: Any = None
    normalized: tuple[Mapping[str, Any], ...] | None = None
    frame: tuple[int | None, bytes] | None = None
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, in a word and in a sentence."""

    reason: Reason
    detail: str


Outcome = Answer | Failure
