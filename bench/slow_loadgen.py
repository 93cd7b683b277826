"""The load generator where there is no C compiler: `loadgen.c` in Python, some ten times slower.

Takes the same options, orders and gives the same answers (see there). TLS through ``ssl``.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import selectors
import socket
import ssl
import sys
import time
from typing import Any, Final

_PATIENCE_S: Final = 120.0
_OUT_BYTES: Final = 64 * 1024
_NOW: Final = 1e-3


class _Connection:
    """One publisher with a window of unacknowledged messages; devices ``number``, + c, + 2c, …"""

    def __init__(self, given: argparse.Namespace, number: int, swing: _Swing) -> None:
        self._given, self._number, self._swing = given, number, swing
        self.socket = _log_in(given, f"slow-load-{os.getpid()}-{number}")
        self._device, self._round, self._packet_id = number, 0, 0
        self.sent = self.sent_urgent = self.acknowledged = 0
        self._newest_at = self._previous_round_at = 0
        self._out = bytearray()
        self._in = bytearray()

    @property
    def in_flight(self) -> int:
        return self.sent - self.acknowledged

    def fill(self, share: int) -> None:
        while self.sent < share and self.in_flight < self._given.w and len(self._out) < _OUT_BYTES:
            self._out += self._message()
            self.sent += 1

    def flush(self) -> None:
        if self._out:
            try:
                del self._out[: self.socket.send(self._out)]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return

    def take_answers(self) -> None:
        try:
            read = self.socket.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        if not read:
            sys.exit("closed by the broker")
        self._in += read
        while len(self._in) >= 4 and len(self._in) >= 2 + self._in[1]:
            self.acknowledged += self._in[0] >> 4 == 4
            del self._in[: 2 + self._in[1]]

    def _message(self) -> bytes:
        given, device = self._given, self._device
        is_urgent = device % given.u == 0
        kind = "river-gauge" if is_urgent else "paddy-node"
        topic = f"field/v1/{kind}/load-{device:05d}/up".encode()
        self._packet_id = self._packet_id % 65_535 + 1
        payload = self._payload(device, is_urgent=is_urgent).encode()
        body = b"%b%b%b%b" % (
            len(topic).to_bytes(2, "big"), topic, self._packet_id.to_bytes(2, "big"), payload,
        )  # fmt: skip
        self.sent_urgent += is_urgent
        self._device += given.c
        if self._device >= given.d:
            self._device, self._round = self._number, self._round + 1
            self._previous_round_at = self._newest_at
        return b"\x32" + _length(len(body)) + body

    def _payload(self, device: int, *, is_urgent: bool) -> str:
        count = self._given.b
        first_at = max(time.time_ns() // 1_000_000 - count + 1, self._previous_round_at + 1)
        self._newest_at = max(self._newest_at, first_at + count - 1)
        level = self._swing.level(device, self._round, first_at, is_urgent=is_urgent)
        name = "water.level" if is_urgent else "paddy.depth"
        value = level if is_urgent else level / 4
        items = [
            f'{{"t":{first_at + k},"n":{self._round * count + k},"v":{{"{name}":{value:.3f},'
            '"battery.voltage":3.605,"radio.rssi":-97}}'
            for k in range(count)
        ]
        return items[0] if count == 1 else f"[{','.join(items)}]"


class _Swing:
    """Which devices cross levels, and how often they did."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._is_high: dict[int, bool] = {}
        self.crossings = {"urgent": 0, "routine": 0}

    def level(self, device: int, round_: int, at_ms: int, *, is_urgent: bool) -> float:
        if device % self._given.f != (not is_urgent):
            return 1.0 + round_ % 100 * 0.001
        is_high = bool((at_ms + device * 997) // self._given.s % 2)
        if is_high != self._is_high.get(device, False):
            self._is_high[device] = is_high
            self.crossings["urgent" if is_urgent else "routine"] += 1
        return 1.0 + is_high * 1.8


class _Run:
    """All connections, and what stdin says."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._swing = _Swing(given)
        self._all = [_Connection(given, n, self._swing) for n in range(given.c)]
        self._ears = selectors.DefaultSelector()
        for connection in self._all:
            self._ears.register(connection.socket, selectors.EVENT_READ, connection)
        self._allowed, self._said_at, self._orders = 1 << 40, 0.0, bytearray()

    def follow_orders(self) -> None:
        _say({"ready": True})
        while (order := self._order(is_patient=True)) is not None:
            if order[0] == "run":
                self._publish(float(order[1]), float(order[2]))

    def _order(self, *, is_patient: bool) -> list[str] | None:
        """The next line; [] where none has come yet, None at the end. `allow` is taken here."""
        while b"\n" not in self._orders:
            if not is_patient and not select.select([0], [], [], 0)[0]:
                return []
            read = os.read(0, 4096)
            if not read:
                return None
            self._orders += read
        line, _, self._orders = self._orders.partition(b"\n")
        words = line.decode().split()
        if words[0] == "allow":
            self._allowed = int(words[1])
        return words

    def _publish(self, seconds: float, rate: float) -> None:
        began = end = time.monotonic()
        before = sum(c.sent for c in self._all)
        while (passed := time.monotonic() - began) < seconds or self._is_open():
            while self._order(is_patient=False):
                continue
            total = 0 if passed >= seconds else self._allowed
            if rate > 0:
                total = min(total, before + int(passed * rate))
            for n, connection in enumerate(self._all):
                connection.fill(total // len(self._all) + (n < total % len(self._all)))
                connection.flush()
            if passed > seconds + _PATIENCE_S:
                sys.exit("not all is acknowledged")
            for key, _ in self._ears.select(_NOW):
                key.data.take_answers()
                end = time.monotonic()
            if time.monotonic() - self._said_at > 0.5:
                self._report(began, time.monotonic(), is_done=False)
        self._report(began, end, is_done=True)

    def _is_open(self) -> bool:
        return any(c.in_flight for c in self._all)

    def _report(self, began: float, end: float, *, is_done: bool) -> None:
        self._said_at = time.monotonic()
        _say({
            "done": is_done, "sent": sum(c.sent for c in self._all),
            "sent_urgent": sum(c.sent_urgent for c in self._all),
            "acknowledged": sum(c.acknowledged for c in self._all), "began": began, "ended": end,
            "crossings": self._swing.crossings,
            "connections": [c.acknowledged for c in self._all] if is_done else [],
        })  # fmt: skip


def _log_in(given: argparse.Namespace, name: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", given.p))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if given.A:
        context = ssl.create_default_context(cafile=given.A)
        connection = context.wrap_socket(connection, server_hostname="localhost")
    texts = ("MQTT", name, given.U, given.P)
    protocol, *rest = (len(t).to_bytes(2, "big") + t.encode() for t in texts)
    body = protocol + b"\x04\xc2\0\0" + b"".join(rest)
    connection.sendall(b"\x10" + _length(len(body)) + body)
    answer = connection.recv(4)
    if len(answer) < 4 or answer[3]:
        sys.exit(f"refused: connack {answer!r}")
    connection.setblocking(False)
    return connection


def _length(length: int) -> bytes:
    found = bytearray()
    while True:
        length, low = length >> 7, length & 127
        found.append(low | (128 if length else 0))
        if not length:
            return bytes(found)


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Parse `loadgen`'s options and do as told."""
    parser = argparse.ArgumentParser()
    numbers = {"p": 1883, "c": 50, "w": 400, "d": 20_000, "u": 20, "f": 1000, "s": 10_000, "b": 1}
    for letter, default in numbers.items():
        parser.add_argument(f"-{letter}", type=int, default=default)
    for letter in "UPA":
        parser.add_argument(f"-{letter}", default="")
    _Run(parser.parse_args()).follow_orders()


if __name__ == "__main__":
    main()
