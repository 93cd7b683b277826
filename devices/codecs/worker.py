"""The child process that runs codecs: calls in by stdin, answers out by stdout, nothing else.

Frames are a length (uint32, little-endian) and JSON. It has an empty environment (time zone UTC),
limits of the system beside those of the engine, and an alarm clock that ends it when a call takes
longer than the wall clock allows, also when nobody is left to kill it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
import time
from typing import Any, BinaryIO, Final

from devices.codecs.codec import Limits
from devices.codecs.engine import CallFailed, Engine

LENGTH: Final = struct.Struct("<I")


def main() -> None:
    """Serve until stdin ends; limits come as one JSON object in the first argument."""
    limits = Limits(**json.loads(sys.argv[1]))
    _confine(limits)
    serve(sys.stdin.buffer, sys.stdout.buffer, Engine(limits), limits)


def serve(requests: BinaryIO, answers: BinaryIO, engine: Engine, limits: Limits) -> None:
    """Answer each request in order; returns at the end of ``requests``."""
    scripts: dict[str, tuple[str, bool]] = {}
    while (frame := _read(requests)) is not None:
        if "script" in frame:
            scripts[frame["codec"]] = frame["script"], frame["may_reuse"]
            continue
        signal.setitimer(signal.ITIMER_REAL, limits.wall_s)
        began_s = time.process_time()
        answer = _answer(engine, scripts, frame) | {"cpu_s": time.process_time() - began_s}
        signal.setitimer(signal.ITIMER_REAL, 0)
        data = json.dumps(answer).encode()
        answers.write(LENGTH.pack(len(data)) + data)
        answers.flush()


def _answer(
    engine: Engine, scripts: dict[str, tuple[str, bool]], frame: dict[str, Any]
) -> dict[str, Any]:
    script, may_reuse = scripts[frame["codec"]]
    try:
        text = engine.call(frame["codec"], script, may_reuse, frame["call"], frame["given"])
    except CallFailed as failed:
        return {"reason": failed.reason, "detail": failed.detail}
    return {"text": text}


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    frame: dict[str, Any] = json.loads(stream.read(LENGTH.unpack(head)[0]))
    return frame


def _confine(limits: Limits) -> None:
    """No files to be made, no processes to be started, no more memory than allowed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us
    ours = [
        (resource.RLIMIT_AS, limits.process_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ]
    if os.geteuid() != 0:  # root has no such bound
        ours.append((resource.RLIMIT_NPROC, 0))
    for what, bound in ours:
        resource.setrlimit(what, (bound, bound))


if __name__ == "__main__":
    main()
