"""The whole system on an InfluxDB that goes away and is back: lag is seen, nothing is lost."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import httpx

from firmware_sim.publisher import Broker, Publisher
from tests.servers.fault_proxy import Fault, fault_proxy
from tests.servers.influx import StartInflux
from tests.servers.satomori_system import RunningSystem, wait_until

DEVICES = """name,kind,label,area,interval_s
gauge-1,river-gauge,水位計,川内,86400
paddy-1,paddy-node,田,川内,86400
"""
KINDS = {"gauge-1": ("river-gauge", "water.level"), "paddy-1": ("paddy-node", "paddy.depth")}

Reading = tuple[str, int, float]


class Field:
    """Publishes a reading of each device a round; ``sent`` is what the broker acknowledged."""

    def __init__(self, system: RunningSystem) -> None:
        self.sent: Counter[Reading] = Counter()
        self._publisher = Publisher(Broker(*system.broker_login()), client_id="field")
        self._publisher.connect()
        self._at = time.time_ns() // 1_000_000

    def publish(self, rounds: int, **more: float) -> None:
        """So many rounds, and the broker's word for all; ``more`` values beside the first."""
        for _ in range(rounds):
            self._at += 1
            for name, (kind, quantity) in KINDS.items():
                value = self._at % 1000 / 4000
                self.sent[name, self._at, value] += 1
                body = json.dumps({"t": self._at, "v": {quantity: value, **more}})
                self._publisher.publish(f"field/v1/{kind}/{name}/up", body.encode())
        self._publisher.drain(20)
        assert self._publisher.acknowledged == sum(self.sent.values())

    def close(self) -> None:
        self._publisher.close()


def _stored(system: RunningSystem) -> Counter[Reading]:
    registry = system.registry()
    rows: Counter[Reading] = Counter()
    with system.store() as store:
        for name, (_, quantity) in KINDS.items():
            series = registry.series[registry.by_name[name].id, quantity]
            for batch in store.scan([series], 0, 1 << 62):
                pairs = zip(batch.measured_at.tolist(), batch.value.tolist(), strict=True)
                rows.update((name, at, value) for at, value in pairs)
    return rows


def _figure(metrics: str, name: str) -> float:
    """A figure of /metrics, the sum over its labels."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    assert found, f"{name} is not in /metrics"
    return sum(map(float, found))


def test_while_influxdb_is_away_readings_come_in_and_the_lag_is_seen_by_people_and_programs(
    start_influx: StartInflux, tmp_path: Path
) -> None:
    """Down, then full, then a part refused: at the end the store has everything, once."""
    server = start_influx("1.8")
    with fault_proxy(server.port) as proxy:
        system = RunningSystem(
            tmp_path,
            sections={
                "store": {"kind": "influxdb", "flush_s": 0.2},
                "store.influxdb": {"url": f"http://127.0.0.1:{proxy.port}"},
            },
        )
        system.register(DEVICES)
        system.add_person("joho", role="admin")
        try:
            system.start()
            field = Field(system)
            field.publish(20)
            system.wait_for_readers()

            server.kill()
            field.publish(50)
            with system.visit("joho") as api:

                def reasons() -> str:
                    answer = httpx.get(f"{system.url}/api/ready")
                    is_down = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
                    return " ".join(answer.json()["reasons"]) if is_down else ""

                wait_until(lambda: "InfluxDB at http" in reasons(), "readiness says it")
                wait_until(
                    lambda: _figure(api.get("/metrics").text, "satomori_store_lag_frames") > 0,
                    "metrics show the lag",
                )
                server.start()
                proxy.fault = Fault("answer", status=500, body="no space left on device")
                field.publish(50)
                wait_until(lambda: "no space left on device" in reasons(), "another reason", 60)
                proxy.fault = None
                wait_until(lambda: reasons() == "", "all is well again", 60)
                system.wait_for_readers()

                httpx.post(
                    f"{server.address.url}/write",
                    params={"db": "satomori", "precision": "ms"},
                    content=f"battery.voltage,device=x value=1i {time.time_ns() // 1_000_000}",
                    trust_env=False,
                ).raise_for_status()
                field.publish(20, **{"battery.voltage": 3.5})
                system.wait_for_readers()
                refused = "satomori_store_refused_rows_total"
                wait_until(lambda: _figure(api.get("/metrics").text, refused) == 40, "counted")
                aside = (system.place.store / "refused" / "satomori.lp").read_text()
                assert aside.count("battery.voltage,device=") == 40
                assert "field type conflict" in aside
                assert reasons() == "", "nothing is held up"
            field.close()
            assert system.stop() == 0
            assert _stored(system) == field.sent
        finally:
            system.stop()
