"""What the installation says of itself, as quantities of a device of its own. Pure.

Figures of the broker (`$SYS`), of status files and disks go in, values by quantity come out; what
is not known is left out, never zero. Refuses to know sockets, files and the journal
(``ingest.self_watch``), and which of it is an alarm (the rules).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

MIB: Final = 1 << 20
MINUTE_MS: Final = 60_000

SYS_TOPICS: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        b"$SYS/broker/uptime": "uptime",
        b"$SYS/broker/clients/connected": "connected",
        b"$SYS/broker/publish/messages/dropped": "dropped",
        b"$SYS/broker/publish/messages/received": "received",
        b"$SYS/broker/store/messages/count": "stored",
        b"$SYS/broker/store/messages/bytes": "stored_bytes",
        b"$SYS/broker/retained messages/count": "retained",
    }
)
"""What mosquitto 2.0 tells: topic → our word. It comes each ``sys_interval`` in which it changed.

``uptime`` ("10 seconds") comes each time, before the others. ``received`` counts every PUBLISH,
denied ones too; ``dropped`` those given up for full queues;
``stored`` all messages kept for somebody, the retained ones (`$SYS` itself) among them.
"""

_ESTIMATE_SLACK: Final = 0.001
"""Share of the traffic that may be on its way at the moment of a sample."""
_ESTIMATE_NOISE: Final = 2.0
_FEW: Final = 2


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system that we write to: what an ordinary process may still write, in bytes."""

    free_bytes: int


def sys_figure(topic: bytes, payload: bytes) -> tuple[str, int] | None:
    """(our word, number) of a `$SYS` message; None for what we do not look at or cannot read."""
    word = SYS_TOPICS.get(topic)
    text = payload.removesuffix(b" seconds")
    return (word, int(text)) if word and text.isdigit() and len(text) <= 18 else None


def of_broker(figures: Mapping[str, int]) -> dict[str, float]:
    """Queue and connections. Messages on their way to us count as queued until acknowledged."""
    found: dict[str, float] = {}
    if "connected" in figures:
        found["broker.connections"] = figures["connected"]
    if "stored" in figures:
        found["broker.messagesQueued"] = _queued(figures)
    if "stored_bytes" in figures:
        found["broker.bytesQueued"] = figures["stored_bytes"] / MIB
    return found


def of_disks(disks: Iterable[Disk], low_water_bytes: int) -> dict[str, float]:
    """Of the fullest one; ``disk.lowWater`` is 1 where routine traffic stops, 0.5 at twice that."""
    free = min((disk.free_bytes for disk in disks), default=None)
    if free is None:
        return {}
    near = low_water_bytes / max(free, 1)
    return {"disk.free": free / MIB, "disk.lowWater": min(near, 1000.0)}


def of_lags(
    now: int,
    started_at: int,
    intake_lag_ms: int,
    alerts: Mapping[str, Any] | None,
    web: Mapping[str, Any] | None,
) -> dict[str, float]:
    """How far the processes are behind, in seconds, from what their status files say.

    ``alerts.lag`` is the age of the oldest tick that a lane has come to; ``store.lag`` how long the
    store has not taken anything. A process that no longer writes its status lags by its silence,
    counted from our own start at most, so that an orderly start of all is no lag.
    """
    return {
        "intake.lag": intake_lag_ms / 1000,
        "alerts.lag": _alerts_lag_ms(now, started_at, alerts) / 1000,
        "store.lag": _store_lag_ms(now, started_at, web) / 1000,
    }


def of_feed(now: int, started_at: int, feeds: Mapping[str, Any] | None) -> dict[str, float]:
    """Seconds since the feed that is furthest behind was good, from the status of its process.

    A feed that never was good is as old as our own watching; so is one whose process says nothing,
    unless it said of an older good answer. ``feeds`` need not be fresh: its silence is its age.
    """
    good_at = _int((feeds or {}).get("good_at"), started_at)
    return {"feed.age": max(0, now - good_at) / 1000}


class PerMinute:
    """Growth of totals within the last minute; a total that falls began anew at zero.

    ``before`` are totals as they stood when an earlier process looked last: what grew while nobody
    looked counts now.
    """

    def __init__(self, before: Mapping[str, float], window_ms: int = MINUTE_MS) -> None:
        self._last = dict(before)
        self._grown: deque[tuple[int, str, float]] = deque()
        self._window_ms = window_ms

    @property
    def totals(self) -> Mapping[str, float]:
        """The totals as they were given last, for the next process."""
        return self._last

    def add(self, at: int, totals: Mapping[str, float]) -> dict[str, float]:
        """Note totals at ``at`` (ms UTC); returns how much each has grown in the last minute."""
        for name, total in totals.items():
            before = self._last.get(name, 0.0)
            grown = total - before if total >= before else total
            if grown > 0:
                self._grown.append((at, name, grown))
            self._last[name] = total
        while self._grown and self._grown[0][0] <= at - self._window_ms:
            self._grown.popleft()
        found = dict.fromkeys(totals, 0.0)
        for _, name, grown in self._grown:
            if name in found:
                found[name] += grown
        return found


@dataclass(frozen=True, slots=True)
class Traffic:
    """Totals at one moment: what the broker received and dropped and what it keeps; what reached
    us of it, what we published ourselves, and what of the kept is with us already (``pending``)."""

    received: int
    dropped: int
    queued: int
    taken: int
    published: int
    pending: int

    @property
    def surplus(self) -> int:
        """Messages that the broker received and that went nowhere, and a few on their way."""
        waiting = max(0, self.queued - self.pending)
        return self.received - self.published - self.taken - self.dropped - waiting


class Unaccounted:
    """How many PUBLISHes a minute the broker takes and gives to nobody: those that its ACL denies.

    An estimate, valid only where the ACL lets devices publish on our topics alone. mosquitto counts
    a denied PUBLISH as received and tells its publisher of success (3.1.1) or 0x87 (5); it logs it
    at log_type debug only. The two sides of the account are read at slightly different moments, so
    that each sample may be too high by what is on its way: the lowest of a minute is compared with
    the lowest of the minute before. ::

        surplus    _____________/‾‾‾‾‾‾‾‾‾‾‾‾‾        denied ones come
        lowest of  |-- before --|---- now ----|       the difference is told

    Wills, which nobody published, lower it. Below three, or a thousandth of the traffic, it says 0:
    a single device that publishes where it may not is found by its silence instead.
    """

    def __init__(self, window_ms: int = MINUTE_MS) -> None:
        self._window_ms = window_ms
        self._samples: deque[tuple[int, Traffic]] = deque()

    def forget(self) -> None:
        """A connection was lost or the broker restarted: the account begins anew."""
        self._samples.clear()

    def add(self, at: int, traffic: Traffic) -> None:
        """Take a sample at ``at`` (ms UTC)."""
        if self._samples and traffic.received < self._samples[-1][1].received:
            self.forget()
        self._samples.append((at, traffic))
        while self._samples[0][0] < at - 2 * self._window_ms:
            self._samples.popleft()

    def per_minute(self, at: int) -> float | None:
        """The estimate, None until there are two minutes to compare."""
        border = at - self._window_ms
        before = [sample for when, sample in self._samples if when <= border]
        now = [sample for when, sample in self._samples if when > border]
        if len(before) < _FEW or len(now) < _FEW:
            return None
        grown = min(s.surplus for s in now) - min(s.surplus for s in before)
        traffic = now[-1].received - before[0].received
        slack = max(_ESTIMATE_NOISE, _ESTIMATE_SLACK * traffic)
        return float(grown) if grown > slack else 0.0


def _queued(figures: Mapping[str, int]) -> int:
    return max(0, figures["stored"] - figures.get("retained", 0))


def traffic_of(
    figures: Mapping[str, int], *, taken: int, published: int, pending: int
) -> Traffic | None:
    """The account at this moment; None while the broker has not told its side."""
    if "received" not in figures or "stored" not in figures:
        return None
    dropped = figures.get("dropped", 0)
    return Traffic(figures["received"], dropped, _queued(figures), taken, published, pending)


def denied_in_log(system: Mapping[str, Any] | None) -> dict[str, float]:
    """Publishes refused since the supervisor's start, from its status: exact where it has the log.

    ``publish_denied`` is there at log_type debug only, and then beside ``publish_refused``.
    """
    counts = _mapping(_mapping((system or {}).get("broker_log")).get("counts"))
    found = [_int(counts.get(name), 0) for name in ("publish_refused", "publish_denied")]
    return {"broker.publishesDenied": max(found)} if "broker_log" in (system or {}) else {}


def _alerts_lag_ms(now: int, started_at: int, alerts: Mapping[str, Any] | None) -> int:
    lanes = _mapping((alerts or {}).get("lanes")).values()
    ticks = [_int(_mapping(lane).get("last_tick_at"), started_at) for lane in lanes]
    ticks = ticks or [started_at]
    return max(0, now - min(ticks))


def _store_lag_ms(now: int, started_at: int, web: Mapping[str, Any] | None) -> int:
    if web is None:
        return max(0, now - started_at)
    silent_ms = max(0, now - _int(web.get("at"), started_at))
    store = _mapping(web.get("store"))
    outage_s = store.get("outage_s", 0.0) if store.get("outage") else 0.0
    is_silent = silent_ms > _STATUS_EVERY_MS
    return round(outage_s * 1000) + (silent_ms if is_silent else 0)


_STATUS_EVERY_MS: Final = 5_000


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _int(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
