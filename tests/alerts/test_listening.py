"""The listening clock: when it runs, and when it does not."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.listening import Listening
from devices.frames import BrokerFrame

SECOND = 1000


def _ticks(listening: Listening, seconds: Iterable[int]) -> int:
    """Tick at these seconds; returns by how much the clock advanced, in seconds."""
    before = listening.clock_ms
    for second in seconds:
        listening.tick(second * SECOND)
    return (listening.clock_ms - before) // SECOND


def test_the_clock_runs_only_while_every_connection_is_up() -> None:
    """A shard that is down hears nothing of its devices: none of them grows silent by that."""
    listening = Listening()
    assert _ticks(listening, range(10)) == 0, "no connection is known yet"
    listening.broker(BrokerFrame(9 * SECOND, "a", is_up=True))
    assert _ticks(listening, range(10, 20)) == 10
    listening.broker(BrokerFrame(19 * SECOND, "b", is_up=False))
    assert _ticks(listening, range(20, 30)) == 0
    listening.broker(BrokerFrame(29 * SECOND, "b", is_up=True))
    assert _ticks(listening, range(30, 40)) == 10


def test_time_without_ticks_is_not_listened() -> None:
    """A gap of 5 s still counts, a longer one does not, and time that goes back neither."""
    listening = Listening()
    listening.broker(BrokerFrame(0, "a", is_up=True))
    assert _ticks(listening, [0, 5, 11, 12, 3, 4]) == 5 + 0 + 1 + 0 + 1


def test_a_connection_that_never_comes_back_does_not_forbid_silence_for_ever() -> None:
    """After ten minutes down it has no say, unless it is the only one."""
    listening = Listening()
    for name in ("a", "b"):
        listening.broker(BrokerFrame(0, name, is_up=True))
    listening.broker(BrokerFrame(0, "b", is_up=False))
    assert _ticks(listening, range(601)) == 0
    assert _ticks(listening, range(601, 700)) == 98
    listening.broker(BrokerFrame(700 * SECOND, "a", is_up=False))
    assert _ticks(listening, range(700, 2000)) == 0
