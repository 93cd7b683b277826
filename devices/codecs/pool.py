"""Runs codecs in worker processes: bounded, killed when they hang, kept apart when they misbehave.

::

    call ──▶ proven codecs  ──▶ worker 1 … n      many calls in flight, answers in order
         └─▶ others         ──▶ probation worker  new codecs, and those that have hung before

A codec is *proven* by its first answer. One that hangs, bursts or kills its worker goes back to
probation, and so does one that is slow, for as long as it is. After ``STRIKES`` such failures in a
row it is *suspended* for ``SUSPENDED_S`` and not run at all. So a bad codec costs other codecs one
killed worker at most, and good ones nothing thereafter. Refuses to know what codecs say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from devices.codecs.codec import Answer, Call, Codec, Failure, Limits, Outcome, Reason
from devices.codecs.worker import LENGTH

STRIKES: Final = 3
SUSPENDED_S: Final = 600.0
SLOW_CPU_S: Final = 0.02
SLOW_CALLS: Final = 8
"""A codec that takes more than SLOW_CPU_S a call on (moving) average is kept from quick ones."""

WINDOW: Final = 16
"""Calls that wait in a worker at once: they wait again when one of them kills it."""

GRACE_S: Final = 1.0
"""The worker's own alarm clock comes first; after this the parent kills."""

RESTART_S: Final = 1.0
"""Between two attempts to start a worker that the system refuses."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));from devices.codecs.worker import main; main()"
)
"""Isolated Python (-I) looks for packages in its own places only, so it is told where we are."""

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_GRAVE: Final = frozenset({Reason.TIME, Reason.MEMORY, Reason.ENDED})


@dataclass(slots=True)
class _Job:
    """A call, and whoever waits for it."""

    codec: Codec
    call: Call
    given: str
    done: asyncio.Future[Outcome]
    cpu_s: float = 0.0


@dataclass(slots=True)
class _Record:
    """How a codec has behaved."""

    is_proven: bool = False
    strikes: int = 0
    suspended_until: float = 0.0
    cpu_s: float = 0.0

    @property
    def is_trusted(self) -> bool:
        return self.is_proven and not self.strikes and self.cpu_s < SLOW_CPU_S


@dataclass(slots=True)
class _Lane:
    """Calls that wait for the workers of one lane; bounded by who asks (each awaits its answer)."""

    waiting: deque[_Job] = field(default_factory=deque)
    has_work: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, job: _Job) -> None:
        self.waiting.append(job)
        self.has_work.set()

    def put_back(self, jobs: list[_Job]) -> None:
        self.waiting.extendleft(reversed(jobs))
        if jobs:
            self.has_work.set()

    def give_up(self, error: BaseException | None) -> None:
        """Nobody will answer what waits: its callers get the error, or are cancelled."""
        for job in self.waiting:
            if job.done.done():
                continue
            if error is None:
                job.done.cancel()
            else:
                job.done.set_exception(error)
        self.waiting.clear()


class CodecPool:
    """Use as ``async with CodecPool() as pool``; ``run`` may be called by many tasks at once."""

    def __init__(
        self,
        workers: int = 2,
        limits: Limits | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._proven, self._probation = _Lane(), _Lane()
        self._lanes = [self._proven] * workers + [self._probation]
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: BaseException | None = None

    async def __aenter__(self) -> Self:
        for number, lane in enumerate(self._lanes):
            task = asyncio.create_task(self._serve(lane), name=f"codecs-{number}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in (self._proven, self._probation):
            lane.give_up(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A lane that ends by itself is a bug of ours: whoever waits gets it, for ever after."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
            for lane in (self._proven, self._probation):
                lane.give_up(error)

    async def run(self, codec: Codec, call: Call, given: Mapping[str, Any]) -> Outcome:
        """Ask a codec. Never raises for what a codec does.

        ``given`` is TS013's input: ``bytes`` (list of int) and ``fPort`` for decoding, ``data`` for
        encoding, and ``recvTime`` (ISO 8601 text; the codec gets a Date) and ``variables``.
        """
        record = self._records.setdefault(codec.digest, _Record())
        if record.suspended_until > self._now():
            return Failure(Reason.SUSPENDED, f"hung {record.strikes} times in a row")
        if self._broken is not None:
            raise self._broken
        job = _Job(codec, call, json.dumps(given), asyncio.get_running_loop().create_future())
        lane = self._proven if record.is_trusted else self._probation
        lane.put(job)
        outcome = await job.done
        record.cpu_s += (job.cpu_s - record.cpu_s) / SLOW_CALLS
        self._judge(record, outcome)
        return outcome

    @property
    def broken(self) -> BaseException | None:
        """Why a lane ended by itself, if one did: get another pool."""
        return self._broken

    def cost_s(self, codec: Codec) -> float:
        """CPU seconds that a call of this codec takes of late (moving average)."""
        record = self._records.get(codec.digest)
        return record.cpu_s if record is not None else 0.0

    def _judge(self, record: _Record, outcome: Outcome) -> None:
        if isinstance(outcome, Answer):
            record.is_proven, record.strikes = True, 0
        elif outcome.reason in _GRAVE:
            record.strikes += 1
            if record.strikes >= STRIKES:
                record.suspended_until = self._now() + SUSPENDED_S

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    async def _serve(self, lane: _Lane) -> None:
        """One worker process after another, for ever; calls wait while none can be started."""
        while True:
            await lane.has_work.wait()
            try:
                worker = await _Worker.start(self._limits)
            except OSError:  # no memory, no descriptors: what is left may come back
                await asyncio.sleep(RESTART_S)
                continue
            try:
                await self._feed(lane, worker)
            finally:
                lane.put_back(list(worker.in_hand))
                await worker.end()

    async def _feed(self, lane: _Lane, worker: _Worker) -> None:
        """Calls in, answers out, until the process ends; the first one unanswered is to blame."""
        while True:
            while lane.waiting and len(worker.in_hand) < WINDOW:
                worker.send(lane.waiting.popleft())
            if not worker.in_hand:
                lane.has_work.clear()
                await lane.has_work.wait()
                continue
            answer = await worker.answer()
            if answer is None:
                lane.put_back(worker.give_up())
                return
            job = worker.in_hand.popleft()
            job.cpu_s = answer["cpu_s"]
            _settle(job, _outcome(answer))


class _Worker:
    """One process: what it knows, and the calls that it has."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a worker is spoken to by pipes")
        self._process, self._limits = process, limits
        self._calls, self._answers = process.stdin, process.stdout
        self._known: set[str] = set()
        self._head: bytes | None = None  # of an answer whose body has not come
        self.in_hand: deque[_Job] = deque()

    @classmethod
    async def start(cls, limits: Limits) -> _Worker:
        """A process of its own with nothing of our environment in it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", "-c", _START, str(_ROOT), json.dumps(asdict(limits)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={"TZ": "UTC"},
        )  # fmt: skip
        return cls(process, limits)

    def send(self, job: _Job) -> None:
        """Hand a call to the process, with its script if that is new there."""
        digest = job.codec.digest
        if digest not in self._known:
            self._known.add(digest)
            self._write(
                {"codec": digest, "script": job.codec.script, "may_reuse": job.codec.may_reuse}
            )
        self._write({"codec": digest, "call": job.call, "given": job.given})
        self.in_hand.append(job)

    def _write(self, frame: Mapping[str, Any]) -> None:
        data = json.dumps(frame).encode()
        self._calls.write(LENGTH.pack(len(data)) + data)

    async def answer(self) -> Mapping[str, Any] | None:
        """The answer to the oldest call in hand; None when the process has ended or hangs.

        In two steps: where we stood still for longer than the first, it has come by the second.
        """
        for patience_s in (self._limits.wall_s, GRACE_S):
            try:
                async with asyncio.timeout(patience_s):
                    return await self._read()
            except TimeoutError:
                continue
            except (asyncio.IncompleteReadError, ConnectionError):
                break
        return None

    async def _read(self) -> Mapping[str, Any]:
        if self._head is None:
            self._head = await self._answers.readexactly(LENGTH.size)
        body = await self._answers.readexactly(LENGTH.unpack(self._head)[0])
        self._head = None
        found: Mapping[str, Any] = json.loads(body)
        return found

    def give_up(self) -> list[_Job]:
        """End the call that the process ended in; returns the others, to be run again."""
        guilty, *others = self.in_hand
        self.in_hand.clear()
        _settle(guilty, Failure(Reason.ENDED, "took too long, or its process died of it"))
        return others

    async def end(self) -> None:
        """Kill the process (not by ``Process.kill``, which takes its end from who waits for it)."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    """A worker's answer as what the codec said, or why it said nothing."""
    if "reason" in answer:
        return Failure(Reason(answer["reason"]), _unicode(answer["detail"]))
    return _said(answer["text"])


def _said(text: str) -> Outcome:
    """Our glue's JSON → what the codec said; a script that plays with JSON may say anything."""
    try:
        said = _plain(text)
    except (ValueError, RecursionError) as error:
        return Failure(Reason.ANSWER, f"no JSON: {str(error)[:200]}")
    output = said.get("output") if isinstance(said, dict) else None
    if not isinstance(output, dict):
        return Failure(Reason.ANSWER, f"no object but {type(output).__name__}")
    try:
        frame = _frame(output)
    except (TypeError, ValueError, OverflowError):
        return Failure(Reason.ANSWER, "bytes are no numbers")
    return Answer(
        data=output.get("data"),
        normalized=_objects(said.get("normalized")),
        frame=frame,
        warnings=_texts(output.get("warnings")),
        errors=_texts(output.get("errors")),
        raw=output,
    )


def _plain(text: str) -> Any:
    """JSON as values whose texts are all Unicode: half a surrogate pair could not be kept."""
    said = json.loads(text)
    if _SURROGATE.search(text):
        return json.loads(_unicode(json.dumps(said, ensure_ascii=False)))
    return said


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _frame(output: Mapping[str, Any]) -> tuple[int | None, bytes] | None:
    if not isinstance(output.get("bytes"), list):
        return None
    port = output.get("fPort")
    return (None if port is None else int(port)), bytes(int(b) & 0xFF for b in output["bytes"])


def _objects(said: Any) -> tuple[Mapping[str, Any], ...] | None:
    found = said.get("data") if isinstance(said, dict) else None
    found = found if isinstance(found, list) else [found]
    objects = tuple(one for one in found if isinstance(one, dict))
    return objects or None


def _texts(said: Any) -> tuple[str, ...]:
    if said is None:
        return ()
    return tuple(str(one) for one in (said if isinstance(said, list) else [said]))


def _settle(job: _Job, outcome: Outcome) -> None:
    if not job.done.done():
        job.done.set_result(outcome)
