"""What is wrong in the field or the settings is said with path and value, and disturbs nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from devices.readings import Quality
from tests.servers.satomori_system import RunningSystem, free_ports, wait_until

HEADER = "name,kind,label,area,interval_s\n"
GAUGE = "field/v1/river-gauge/bad-in/up"
Y2100 = 4_102_444_800_000


class Client:
    """A device's MQTT 5 connection; every publication waits for the broker's answer."""

    def __init__(self, system: RunningSystem, user: str | None = None, password: str = "") -> None:
        host, port, fleet, fleet_password = system.broker_login()
        self._answers: list[ReasonCode] = []
        self._greetings: list[ReasonCode] = []
        self.ends: list[ReasonCode] = []
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, f"test-{time.monotonic_ns()}", protocol=mqtt.MQTTv5
        )
        self._client.username_pw_set(user or fleet, password or fleet_password)
        self._client.on_connect = lambda *given: self._greetings.append(given[3])
        self._client.on_publish = lambda *given: self._answers.append(given[3])
        self._client.on_disconnect = lambda *given: self.ends.append(given[3])
        self._client.connect(host, port)
        self._client.loop_start()
        wait_until(lambda: bool(self._greetings), "an answer to CONNECT", 10)

    @property
    def is_welcome(self) -> bool:
        """Whether the broker let us in."""
        return not self._greetings[0].is_failure

    def publish(self, topic: str, payload: bytes | str) -> bool:
        """Whether the broker took it."""
        before = len(self._answers)
        self._client.publish(topic, payload, qos=1)
        wait_until(lambda: len(self._answers) > before, f"an answer on {topic}", 10)
        return not self._answers[-1].is_failure

    def publish_and_be_thrown_out(self, topic: str, payload: bytes) -> None:
        """For what the broker does not even read."""
        self._client.publish(topic, payload, qos=1)
        wait_until(lambda: bool(self.ends), "thrown out", 20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """One running system for all tests of this file; each uses devices of its own."""
    started = RunningSystem(tmp_path_factory.mktemp("bad-input"))
    started.register(
        HEADER
        + "bad-in,river-gauge,悪い入力,川内,86400\n"
        + "too-much,river-gauge,大きすぎる,川内,86400\n"
        + "own,river-gauge,自分,川内,86400\n"
        + "other,river-gauge,他人,川内,86400\n"
    )
    started.add_person("joho", role="admin")
    started.start()
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.log_tail(1 << 20)


@pytest.fixture
def client(system: RunningSystem) -> Iterator[Client]:
    connected = Client(system)
    yield connected
    connected.close()


@pytest.fixture
def api(system: RunningSystem) -> Iterator[httpx.Client]:
    with system.visit("joho") as visitor:
        yield visitor


def _quarantine(api: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/api/quarantine?limit=1000").raise_for_status().json()
    return found


def _remarks(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/api/remarks").raise_for_status().json()["remarks"]
    return found


def _metric(api: httpx.Client, name: str, **labels: str) -> float:
    """A figure of /metrics, 0 where it does not stand there yet; lanes are summed up."""
    total = 0.0
    for line in api.get("/metrics").raise_for_status().text.splitlines():
        match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        given = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")) if match else {}
        if match and labels.items() <= given.items():
            total += float(match[2])
    return total


def _stored(api: httpx.Client, system: RunningSystem, device: str) -> list[tuple[int, float, int]]:
    """(measured_at, value, quality) of all water levels that the API knows of a device."""
    registry = system.registry()
    series = registry.series[registry.by_name[device].id, "water.level"]
    asked = {"start_at": 0, "end_at": 1 << 52, "max_points": 5000}
    found = api.get(f"/api/series/{series}", params=asked).raise_for_status().json()
    return list(zip(found["measured_at"], found["value"], found["quality"], strict=True))


def _level(at: int, value: float) -> str:
    return json.dumps({"t": at, "v": {"water.level": value}})


# -- messages ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """A message that cannot be kept, why, and what its detail must name."""

    payload: bytes | str
    reason: str
    names: tuple[str, ...]
    topic: str = GAUGE


REJECTED = [
    Bad(_level(1, 1.0), "unknown_device", ("nobody",), "field/v1/river-gauge/nobody/up"),
    Bad(_level(1, 1.0), "kind_mismatch", ("bad-in", "river-gauge", "trap"),
        "field/v1/trap/bad-in/up"),
    Bad('{"v": {"water.level": 1.2', "bad_json", ("character 25",)),
    Bad("水位は 1.2 m です", "bad_json", ("character 0", "水位は")),
    Bad(b"\x00\xff\xfe", "bad_json", ("byte 1",)),
    Bad("", "bad_json", ("the end",)),
    Bad("[]", "no_values", ()),
    Bad("17", "bad_shape", ("17",)),
    Bad('{"v": {"water.level": NaN}}', "no_values", ('v["water.level"]', "not_finite", "nan")),
    Bad('{"v": {"water.level": "high"}}', "no_values", ('v["water.level"]', "bad_type", "high")),
    Bad('{"v": {"water.level": [1, 2]}}', "no_values", ('v["water.level"]', "list of 2")),
    Bad('{"v": [1.2]}', "no_values", ("v", "bad_type", "list of 1")),
    Bad('{"level": 1.2}', "no_values", ("v", "nothing")),
    Bad('{"v": {"wasserstand": 1.2}}', "no_values", ('v["wasserstand"]', "unknown_quantity")),
]  # fmt: skip


def test_what_cannot_be_kept_is_quarantined_with_path_and_value_and_nothing_else_is_touched(
    system: RunningSystem, client: Client, api: httpx.Client
) -> None:
    """A good message between every two bad ones: all good ones are stored as they were sent."""
    counts = _quarantine(api)["counts"]
    figures = {b.reason: _rejected(api, b.reason) for b in REJECTED}
    began = time.time_ns() // 1_000_000
    good = []
    for number, bad in enumerate(REJECTED):
        good.append((began + number, 1.0 + number / 100))
        assert client.publish(GAUGE, _level(*good[-1]))
        assert client.publish(bad.topic, bad.payload)
    last = (began + len(REJECTED), 2.0)
    assert client.publish(GAUGE, _level(*last))

    expected = [(at, value, 0) for at, value in [*good, last]]
    wait_until(lambda: _stored(api, system, "bad-in") == expected, "all good readings", 20)

    def quarantined() -> list[dict[str, Any]]:
        return [r for r in reversed(_quarantine(api)["rows"]) if r["received_at"] >= began]

    wait_until(lambda: len(quarantined()) == len(REJECTED), "all bad messages in quarantine", 20)
    for bad, row in zip(REJECTED, quarantined(), strict=True):
        assert (row["topic"], row["reason"]) == (bad.topic, bad.reason), row
        assert all(name in row["detail"] for name in bad.names), row
        if isinstance(bad.payload, str):
            assert row["payload_text"] == bad.payload
    for reason in figures:
        new = sum(bad.reason == reason for bad in REJECTED)
        assert _quarantine(api)["counts"][reason] == counts.get(reason, 0) + new
        wait_until(lambda r=reason, n=new: _rejected(api, r) == figures[r] + n,  # type: ignore[misc]  # mypy: default of a lambda
                   f"{reason} in /metrics", 10)  # fmt: skip
    assert '"reason": "kind_mismatch"' in system.log_tail(100_000)


def _rejected(api: httpx.Client, reason: str) -> float:
    return _metric(api, "satomori_intake_rejected_messages_total", reason=reason)


def test_a_topic_of_no_known_kind_is_quarantined(
    system: RunningSystem, client: Client, api: httpx.Client
) -> None:
    """The broker accepted the message, so it is not lost, and its sender can be found."""
    topic = "field/v1/banana/bad-in/up"
    assert client.publish(topic, _level(1, 1.0))

    def found() -> list[dict[str, Any]]:
        return [row for row in _quarantine(api)["rows"] if row["topic"] == topic]

    wait_until(lambda: len(found()) == 1, "the stray message in quarantine", 10)
    assert found()[0]["reason"] == "unknown_topic"
    assert "banana" in found()[0]["detail"]


@dataclass(frozen=True)
class Flawed:
    """A message that is kept but for one field: what of it is stored, and the remark."""

    payload: str
    reason: str
    path: str
    value: str
    has_own_time: bool = False


def _flawed(now: int) -> list[Flawed]:
    return [
        Flawed('{"t": 1000, "v": {"water.level": 1.01}}', "clock_past", "t", "1000"),
        Flawed(f'{{"t": {Y2100}, "v": {{"water.level": 1.02}}}}', "clock_future", "t", str(Y2100)),
        Flawed('{"t": "noon", "v": {"water.level": 1.03}}', "bad_type", "t", "noon"),
        Flawed(f'{{"t": {now}, "v": {{"water.level": 1.04, "battery.voltage": NaN}}}}',
               "not_finite", 'v["battery.voltage"]', "nan", has_own_time=True),
        Flawed(f'{{"t": {now + 1}, "v": {{"water.level": 1.05, "water.levle": 2}}}}',
               "unknown_quantity", 'v["water.levle"]', "2", has_own_time=True),
        Flawed(f'{{"t": {now + 2}, "n": -4, "v": {{"water.level": 1.06}}}}',
               "out_of_range", "n", "-4", has_own_time=True),
    ]  # fmt: skip


def test_one_bad_field_is_remarked_with_path_and_value_and_the_rest_is_kept(
    system: RunningSystem, client: Client, api: httpx.Client
) -> None:
    """A time of 1970 or 2100 becomes ours, with the quality *clock*; a bad value is left out."""
    system.register(HEADER + "flawed,river-gauge,一部不良,川内,86400\n")
    _wait_for_revision(system, api)
    now = time.time_ns() // 1_000_000
    flawed = _flawed(now)
    figures = {f.reason: _remarked(api, f.reason) for f in flawed}
    for one in flawed:
        assert client.publish("field/v1/river-gauge/flawed/up", one.payload)
    wait_until(lambda: len(_stored(api, system, "flawed")) == len(flawed), "all stored", 20)
    done = time.time_ns() // 1_000_000
    stored = {value: (at, quality) for at, value, quality in _stored(api, system, "flawed")}
    for number, one in enumerate(flawed):
        at, quality = stored[round(1.01 + number / 100, 2)]
        assert (quality & Quality.CLOCK == 0) is one.has_own_time, one
        assert now - 1000 <= at <= done, "never in 1970, never in 2100"
    for one in flawed:
        said = {"device": "flawed", "reason": one.reason, "path": one.path, "value": one.value}
        wait_until(lambda s=said: any(s.items() <= r.items() for r in _remarks(api)),  # type: ignore[misc]  # mypy: default of a lambda
                   f"{said} in {_remarks(api)}", 10)  # fmt: skip
        wait_until(lambda r=one.reason: _remarked(api, r) == figures[r] + 1,  # type: ignore[misc]  # mypy: default of a lambda
                   f"{one.reason} in /metrics", 10)  # fmt: skip
    logged = [line for line in _log_lines(system) if line.get("device") == "flawed"]
    assert {(line["reason"], line["path"], line["value"]) for line in logged} == {
        (one.reason, one.path, one.value) for one in flawed
    }


def _remarked(api: httpx.Client, reason: str) -> float:
    return _metric(api, "satomori_intake_left_out_fields_total", reason=reason)


def _log_lines(system: RunningSystem) -> list[dict[str, Any]]:
    text = system.log.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _wait_for_revision(system: RunningSystem, api: httpx.Client) -> None:
    """Until intake knows the registry as it is now."""
    wanted = system.registry().revision
    name = "satomori_intake_registry_revision"
    wait_until(lambda: _metric(api, name) == wanted, "the new registry", 10)


# -- resubmission ------------------------------------------------------------------------------


def test_a_quarantined_message_counts_once_its_device_is_registered_and_it_is_resubmitted(
    system: RunningSystem, client: Client, api: httpx.Client, tmp_path: Path
) -> None:
    """Stored once, with the device's time; without one, with the time at which it first came."""
    topic = "field/v1/river-gauge/latecomer/up"
    measured_at = time.time_ns() // 1_000_000 - 60_000
    assert client.publish(topic, _level(measured_at, 3.25))
    assert client.publish(topic, '{"v": {"water.level": 3.5}}')

    def waiting() -> list[dict[str, Any]]:
        return [row for row in _quarantine(api)["rows"] if row["topic"] == topic]

    wait_until(lambda: len(waiting()) == 2, "both in quarantine", 10)
    timeless, timed = waiting()
    devices = tmp_path / "devices.csv"
    devices.write_text(HEADER + "latecomer,river-gauge,遅れて登録,川内,86400\n", encoding="utf-8")
    done = system.command("devices", "import", str(devices))
    assert done.stdout == "1 devices registered: 1 new, 0 changed, 0 unchanged\n", done.stderr
    _wait_for_revision(system, api)
    for row in (timed, timeless, timed):  # the third time by a second, impatient click
        api.post(f"/api/quarantine/{row['id']}/resubmit").raise_for_status()

    expected = [
        (measured_at, 3.25, 0),
        (timeless["received_at"], 3.5, int(Quality.CLOCK)),
    ]
    wait_until(lambda: _stored(api, system, "latecomer") == expected, "both stored, once", 20)
    assert all(row["resubmitted_at"] for row in waiting())
    # A reading behind the third one: whatever the third did is done when this one is stored.
    assert client.publish(topic, _level(measured_at + 90_000, 3.75))
    expected.append((measured_at + 90_000, 3.75, 0))
    wait_until(lambda: _stored(api, system, "latecomer") == expected, "nothing twice", 20)


# -- the broker --------------------------------------------------------------------------------


def test_a_message_of_ten_megabytes_is_refused_by_the_broker_and_reported_from_its_log(
    system: RunningSystem, api: httpx.Client
) -> None:
    """Who sends it is thrown out; a good message of the same device goes in as ever."""
    topic = "field/v1/river-gauge/too-much/up"
    sender = Client(system)
    sender.publish_and_be_thrown_out(topic, b"[" + b" " * 10_000_000 + b"]")
    sender.close()
    wait_until(lambda: system.broker_log()["counts"].get("too_large", 0) != 0, "its log read", 10)
    assert "oversize" in str(system.broker_log()["last"]["too_large"])
    assert any(line["event"] == "broker.client.too_large" for line in _log_lines(system))
    wait_until(lambda: _metric(api, "satomori_broker_log_events_total", event="too_large") >= 1,
               "counted in /metrics", 10)  # fmt: skip
    again = Client(system)
    at = time.time_ns() // 1_000_000
    assert again.publish(topic, _level(at, 1.5))
    again.close()
    wait_until(lambda: _stored(api, system, "too-much") == [(at, 1.5, 0)], "stored", 20)


def test_a_device_with_its_own_credential_is_heard_on_its_own_topic_alone(
    system: RunningSystem, api: httpx.Client
) -> None:
    """Whatever it publishes elsewhere is neither stored nor quarantined."""
    password = system.credential("own")
    assert not _is_let_in(system, "own", "wrong-password")
    assert not _is_let_in(system, "other", password)
    wait_until(lambda: _is_let_in(system, "own", password), "the broker knows the password", 10)
    device = Client(system, "own", password)
    at = time.time_ns() // 1_000_000
    known = _quarantine(api)["counts"]
    for topic in ("field/v1/river-gauge/other/up", "field/v1/river-gauge/other/status",
                  "field/v1/gateway/other/up/urgent"):  # fmt: skip
        assert not device.publish(topic, _level(at, 9.0))
    assert device.publish("field/v1/river-gauge/own/up", _level(at, 1.5))
    device.close()
    wait_until(lambda: _stored(api, system, "own") == [(at, 1.5, 0)], "its own reading", 20)
    assert _stored(api, system, "other") == []
    assert _quarantine(api)["counts"] == known


def _is_let_in(system: RunningSystem, user: str, password: str) -> bool:
    client = Client(system, user, password)
    client.close()
    return client.is_welcome


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web]\nprot = 8001\n", "web.prot = 8001: unknown option"),
        ("[brokr]\nport = 1883\n", "brokr = {'port': 1883}: unknown option"),
        ('[web]\nport = "many"\n', "web.port = 'many'"),
        ('[alerts]\nrules_file = "/nonexistent/rules.toml"\n', "/nonexistent/rules.toml"),
        ('[broker]\npassword_file = "/nonexistent/password"\n', "/nonexistent/password"),
        ('[database]\nurl = "nonsense"\n', "database.url: "),
        ('[database]\nurl = "postgresql+psycopg://me:kept@127.0.0.1:1/x"\n', "database.url: "),
        ('[web]\nhost = "192.0.2.1"\n', ", on '192.0.2.1': Cannot assign"),
        ("[web\n", "line 1"),
    ],
)
def test_wrong_settings_end_the_command_with_path_and_value(
    tmp_path: Path, text: str, said: str
) -> None:
    """Exit code 2, one sentence, no traceback; nothing is started."""
    config = tmp_path / "satomori.toml"
    config.write_text(f'{text}[paths]\nvar = "{tmp_path}/var"\n', encoding="utf-8")
    done = _run(config, is_port_given="port = " in text)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "kept" not in done.stderr, "a password is never said"


def test_a_folder_that_cannot_be_used_ends_the_command_with_its_path(tmp_path: Path) -> None:
    config = tmp_path / "satomori.toml"
    config.write_text(f'[paths]\nvar = "{config}"\n', encoding="utf-8")
    done = _run(config)
    assert (done.returncode, done.stderr) == (2, f"paths.var = {str(config)!r}: File exists\n")


@pytest.mark.parametrize("section", ["broker", "web"])
def test_a_port_that_is_taken_ends_the_command_with_its_number(
    system: RunningSystem, tmp_path: Path, section: str
) -> None:
    """Somebody else's broker must never be taken for ours."""
    taken = {"broker": system.settings.broker.port, "web": system.settings.web.port}[section]
    other = RunningSystem(tmp_path, sections={section: {"port": taken}})
    done = _run(other.config, is_port_given=True)
    assert done.returncode == 2, done.stderr
    assert f"{section}.port = {taken}" in done.stderr
    assert "Traceback" not in done.stderr


def _run(config: Path, *, is_port_given: bool = False) -> subprocess.CompletedProcess[str]:
    ports = dict(zip(("BROKER", "WEB"), map(str, free_ports(2)), strict=True))
    free = {} if is_port_given else {f"SATOMORI__{k}__PORT": port for k, port in ports.items()}
    return subprocess.run(
        [sys.executable, "-m", "satomori", "run", "--config", str(config)],
        env={**os.environ, **free}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
