"""One codec call in quickjs, within limits. Runs in a worker process, and nowhere else.

A context has the language and nothing beyond: no files, no network, no environment, no timers.
Refuses to know pipes and pools.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import _quickjs

from devices.codecs.codec import Limits, Reason

WARM_CONTEXTS: Final = 64
WARM_CALLS: Final = 10_000
"""A context that serves many messages is given up after so many, whatever the self-test said."""

_HERE: Final = Path(__file__).parent
_GLUE: Final = (_HERE / "glue.js").read_text(encoding="utf-8")
_BUFFER: Final = (_HERE / "buffer.js").read_text(encoding="utf-8")
_NAMES_BUFFER: Final = re.compile(r"\bBuffer\b")
_NAMES_CONSOLE: Final = re.compile(r"\bconsole\b")
_CONSOLE: Final = (
    "var console = {};"
    "['log', 'info', 'warn', 'error', 'debug', 'trace'].forEach(function (name) {"
    " console[name] = function () {} });"
)
"""Many vendors forget a line of debugging: it goes nowhere, and costs no message."""

_MODULE: Final = "var module = { exports: {} }; var exports = module.exports;"
_NAMED: Final = re.compile(r"'?(module|exports|require)'? is not defined")
_EXPORTED: Final = "".join(
    f"if (typeof {name} !== 'function' && typeof module.exports.{name} === 'function')"
    f" globalThis.{name} = module.exports.{name};"
    for name in ("decodeUplink", "encodeDownlink", "decodeDownlink", "normalizeUplink")
)


@dataclass(slots=True)
class _Context:
    """A loaded script; ``ask`` is our glue in it."""

    context: Any
    ask: Any
    calls: int = 0


class CallFailed(Exception):
    """No answer; ``reason`` and ``detail`` say why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Engine:
    """Runs calls of many codecs, each in a fresh context unless it may reuse its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._warm: OrderedDict[str, _Context] = OrderedDict()

    def call(self, digest: str, script: str, may_reuse: bool, call: str, given: str) -> str:
        """The answer as JSON text: ``{"output": …, "normalized": …}``.

        ``given`` is the input as JSON text. Raises CallFailed; MemoryError if the process has come
        to its own limit.
        """
        if not may_reuse:
            return self._ask(self._load(script), call, given)
        warm = self._warm.pop(digest, None) or self._load(script)
        answer = self._ask(warm, call, given)  # after a failure the context is not kept
        warm.calls += 1
        if warm.calls < WARM_CALLS:
            self._warm[digest] = warm
            if len(self._warm) > WARM_CONTEXTS:
                self._warm.popitem(last=False)
        return answer

    def _load(self, script: str) -> _Context:
        try:
            return self._evaluate(script, prelude="", finish="")
        except CallFailed as failed:
            if _NAMED.search(failed.detail):
                return self._evaluate(script, prelude=_MODULE, finish=_EXPORTED)
            raise

    def _evaluate(self, script: str, *, prelude: str, finish: str) -> _Context:
        context = _quickjs.Context()
        context.set_memory_limit(self._limits.heap_bytes)
        context.set_max_stack_size(self._limits.stack_bytes)
        context.set_time_limit(self._limits.cpu_s)
        try:
            if _NAMES_BUFFER.search(script):
                context.eval(_BUFFER)
            if _NAMES_CONSOLE.search(script):
                context.eval(_CONSOLE)
            for part in (prelude, script, finish):
                if part:
                    context.eval(part)
            return _Context(context, context.eval(_GLUE))
        except _quickjs.JSException as error:
            raise _failed(error, Reason.SCRIPT) from None
        except UnicodeError as error:
            raise CallFailed(Reason.SCRIPT, f"no text: {error}") from None
        except TypeError as error:  # a value that the binding does not know
            raise CallFailed(Reason.SCRIPT, f"no value: {error}") from None

    def _ask(self, loaded: _Context, call: str, given: str) -> str:
        try:
            answer = loaded.ask(call, given)
        except _quickjs.JSException as error:
            raise _failed(error, Reason.THREW) from None
        except TypeError as error:
            raise CallFailed(Reason.ANSWER, f"no value: {error}") from None
        if not isinstance(answer, str):
            raise CallFailed(Reason.ANSWER, "the answer is no JSON")
        if not answer:
            raise CallFailed(Reason.MISSING, f"the script has no {call}")
        if len(answer) > self._limits.answer_bytes:
            raise CallFailed(Reason.ANSWER, f"the answer has {len(answer)} characters")
        return answer


def _failed(error: Exception, otherwise: Reason) -> CallFailed:
    text = str(error).strip().partition("\n")[0][:500]
    if "InternalError: interrupted" in text:
        return CallFailed(Reason.TIME, "CPU time is up")
    if "out of memory" in text or text == "null":  # no room left for the exception itself
        return CallFailed(Reason.MEMORY, "the heap is used up")
    if "stack overflow" in text or "Maximum call stack" in text:
        return CallFailed(Reason.MEMORY, "the stack is used up")
    return CallFailed(otherwise, text)
