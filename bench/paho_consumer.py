"""The floor: a plain paho-mqtt consumer with manual acknowledgement, as one writes it in an hour.

Decodes with json, stores into DuckDB in the same way as Satomori (50,000 readings or 5 s, rows and
position in one transaction), acknowledges after the commit. Speaks like `csink`: `{"ready": true}`,
then how many messages are committed; told `until N` it ends with "done": true.

    python -m bench.paho_consumer '{"port": …, "username": …, "password": …, "authority": null,
                                    "filters": […], "file": "…", "flush_s": 5}'
"""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

import duckdb
import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

FLUSH_ROWS = 50_000


class PahoConsumer:
    """Gathers rows and message ids; one transaction and then the acknowledgements."""

    def __init__(self, file: str, flush_s: float) -> None:
        self._flush_s = flush_s
        self._database = duckdb.connect(file)
        self._database.execute(
            "CREATE TABLE readings (series INTEGER, measured_at BIGINT, received_at BIGINT,"
            " value DOUBLE, quality UTINYINT)"
        )
        self._database.execute("CREATE TABLE position (messages BIGINT)")
        self._series: dict[tuple[str, str], int] = {}
        self._rows: list[tuple[int, int, int, float, int]] = []
        self._ids: list[int] = []
        self._due_at = 0.0
        self.committed = 0
        self.repeated = 0
        self.newest_at = 0.0  # when the newest message was acknowledged

    def on_message(self, client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        """Decode one message; store and acknowledge when a step is full."""
        if not self._ids:
            self._due_at = time.monotonic() + self._flush_s
        received_at = time.time_ns() // 1_000_000
        device = message.topic.split("/")[3]
        document = json.loads(message.payload)
        for item in document if isinstance(document, list) else [document]:
            for quantity, value in item["v"].items():
                series = self._series.setdefault((device, quantity), len(self._series))
                self._rows.append((series, item["t"], received_at, float(value), 0))
        self._ids.append(message.mid)
        self.repeated += message.dup
        if len(self._rows) >= FLUSH_ROWS:
            self.store(client)

    def store_if_due(self, client: mqtt.Client) -> None:
        """Store what has waited long enough."""
        if self._ids and time.monotonic() >= self._due_at:
            self.store(client)

    def store(self, client: mqtt.Client) -> None:
        """Rows and position in one transaction, then the acknowledgements in order of arrival."""
        table = np.array(self._rows, np.float64)
        batch = {
            "series": table[:, 0].astype(np.int32),
            "measured_at": table[:, 1].astype(np.int64),
            "received_at": table[:, 2].astype(np.int64),
            "value": table[:, 3],
            "quality": table[:, 4].astype(np.uint8),
        }
        self._database.begin()
        self._database.register("batch", batch)
        self._database.execute("INSERT INTO readings BY NAME SELECT * FROM batch")
        self._database.unregister("batch")
        self.committed += len(self._ids)
        self._database.execute("DELETE FROM position")
        self._database.execute("INSERT INTO position VALUES (?)", (self.committed,))
        self._database.commit()
        for mid in self._ids:
            client.ack(mid, 1)
        self._rows, self._ids = [], []
        self.newest_at = time.monotonic()


def main() -> None:
    """Consume until told that all is there."""
    given = json.loads(sys.argv[1])
    consumer = PahoConsumer(given["file"], given["flush_s"])
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, "bench-paho", clean_session=False, manual_ack=True
    )
    client.username_pw_set(given["username"], given["password"])
    if given["authority"]:
        client.tls_set(given["authority"])
    client.on_message = consumer.on_message
    client.on_connect = lambda c, *_: c.subscribe([(name, 1) for name in given["filters"]])
    client.on_subscribe = lambda *_: _say({"ready": True})
    client.connect("127.0.0.1", given["port"])
    wanted, newest = None, 0.0
    while wanted is None or consumer.committed < wanted:
        client.loop(0.1)
        consumer.store_if_due(client)
        if select.select([sys.stdin], [], [], 0)[0]:
            order = sys.stdin.readline().split()
            if not order:
                return
            wanted = int(order[1])
        if time.monotonic() - newest > 0.5:
            newest = time.monotonic()
            _say({"done": False, "messages": consumer.committed, "repeated": consumer.repeated})
    while client.want_write():
        client.loop(0.1)
    _say({
        "done": True, "messages": consumer.committed, "repeated": consumer.repeated,
        "at": consumer.newest_at,
    })  # fmt: skip
    client.disconnect()


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
