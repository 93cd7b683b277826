"""The store contract on every store, and what is particular to each."""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.frames import Lane, SeriesDefinition
from devices.readings import concatenate
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxStore
from ingest.stores.influx_http import InfluxAddress
from ingest.stores.influx_line import line_prefix, lines
from ingest.stores.series_store import Samples, StoreOutage, merge_samples, thin
from tests.ingest.store_contract import (
    DEFINITIONS,
    METER,
    RAIN,
    RIVER,
    T0,
    TRAP,
    StoreContract,
    at,
    pairs,
    rows,
)
from tests.servers.influx import GENERATIONS, Generation, Influx, StartInflux
from tests.servers.mosquitto import free_port


@dataclass
class DuckDBPlace:
    path: Path

    def open(self) -> DuckDBStore:
        return DuckDBStore(self.path)


class TestDuckDB(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> DuckDBPlace:
        return DuckDBPlace(tmp_path / "store" / "readings.duckdb")

    def test_changes_and_repeats_across_batches_are_counted(self, place: DuckDBPlace) -> None:
        store = place.open()
        store.append(rows((RIVER, 0, 1.0), (RIVER, 1, 2.0), (METER, 0, 3.0)), {})
        store.append(rows((RIVER, 0, 1.5), (RIVER, 1, 2.0), (RIVER, 2, 4.0)), {})
        counts = store.counts
        assert (counts.rows, counts.changed, counts.repeated) == (4, 1, 1)
        store.close()

    def test_a_second_process_is_an_outage_that_may_end(self, place: DuckDBPlace) -> None:
        store = place.open()
        script = (
            "import sys; from pathlib import Path; from ingest.stores.duckdb import DuckDBStore\n"
            "from ingest.stores.series_store import StoreOutage\n"
            "try: DuckDBStore(Path(sys.argv[1]))\n"
            "except StoreOutage as outage: sys.exit(7 if outage.can_retry else 8)\n"
        )
        child = subprocess.run(
            [sys.executable, "-c", script, str(place.path)], check=False, timeout=60
        )
        assert child.returncode == 7
        store.close()

    def test_a_failed_append_leaves_nothing_behind(self, place: DuckDBPlace) -> None:
        store = place.open()
        store.append(rows((RIVER, 0, 1.0)), at(Lane.URGENT, 1))
        other = store._root.cursor()
        other.execute("ALTER TABLE readings RENAME TO hidden")
        with pytest.raises(StoreOutage):
            store.append(rows((RIVER, 1, 2.0)), at(Lane.URGENT, 2))
        other.execute("ALTER TABLE hidden RENAME TO readings")
        other.close()
        assert store.positions() == at(Lane.URGENT, 1)
        store.append(rows((RIVER, 1, 2.0)), at(Lane.URGENT, 2))
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0), (1, 2.0)]
        assert store.counts.rows == 2
        store.close()

    def test_on_a_disk_that_is_low_nothing_is_appended(self, place: DuckDBPlace) -> None:
        """What is left is the urgent lane's: readings wait in the journal."""
        store = DuckDBStore(place.path, least_free_bytes=1 << 62)
        with pytest.raises(StoreOutage, match="disk left") as outage:
            store.append(rows((RIVER, 0, 1.0)), {})
        assert outage.value.can_retry
        assert store.counts.rows == 0
        store.close()

    @pytest.mark.parametrize("limit_bytes", [1_000_000, 3_000_000])
    @pytest.mark.parametrize("checkpoint", ["1MB", "64MB"])
    def test_a_full_disk_is_an_outage_and_nothing_is_lost(
        self, place: DuckDBPlace, limit_bytes: int, checkpoint: str
    ) -> None:
        """Full in the write-ahead log, and full in a checkpoint, which breaks the open database."""
        child = [sys.executable, "-m", "tests.ingest.full_disk_child", str(place.path)]
        subprocess.run([*child, str(limit_bytes), checkpoint], check=True, timeout=120)
        store = place.open()
        assert store.positions() == at(Lane.URGENT, 39)
        found = concatenate(list(store.scan(range(1, 21), 0, 2 * T0)))
        assert len(found) == 40 * 20_000
        assert found.value.sum() == found.series.sum()
        store.close()

    def test_a_bug_in_the_middle_of_a_transaction_leaves_the_store_usable(
        self, place: DuckDBPlace
    ) -> None:
        store = place.open()
        with pytest.raises(AttributeError):
            store.append(rows((RIVER, 0, 1.0)), {Lane.URGENT: None})  # type: ignore[dict-item]  # the bug
        store.append(rows((RIVER, 1, 2.0)), at(Lane.URGENT, 2))
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(1, 2.0)]
        store.close()

    def test_the_file_names_its_series(self, place: DuckDBPlace) -> None:
        store = place.open()
        store.define(DEFINITIONS)
        store.close()
        with duckdb.connect(str(place.path), read_only=True) as file:
            found = file.execute("SELECT series, name, quantity FROM series ORDER BY 1").fetchall()
        assert found == [(d.series, d.name, d.quantity) for d in DEFINITIONS]


_TIMES = st.lists(st.integers(0, 999), max_size=60, unique=True).map(sorted)


def _samples(times: list[int], value: float) -> Samples:
    n = len(times)
    return Samples(np.array(times, np.int64), np.full(n, value), np.zeros(n, np.uint8))


@given(_TIMES, _TIMES)
def test_merging_keeps_every_time_once_and_the_held_value(
    stored: list[int], held: list[int]
) -> None:
    merged = merge_samples(_samples(stored, 1.0), _samples(held, 2.0))
    expected = dict.fromkeys(stored, 1.0) | dict.fromkeys(held, 2.0)
    assert dict(zip(merged.measured_at.tolist(), merged.value.tolist(), strict=True)) == expected
    assert merged.measured_at.tolist() == sorted(expected)


@settings(max_examples=200)
@given(_TIMES, st.integers(2, 40), st.randoms(use_true_random=False))
def test_thinning_never_exceeds_its_limit_and_keeps_low_and_high(
    times: list[int], max_points: int, dice: object
) -> None:
    samples = _samples(times, 0.0)
    samples.value[:] = [dice.uniform(-5, 5) for _ in times]  # type: ignore[attr-defined]  # a Random
    thinned = thin(samples, 0, 1000, max_points)
    assert len(thinned) <= max_points
    assert (np.diff(thinned.measured_at) > 0).all()
    if times:
        assert thinned.value.max() == samples.value.max()
        assert thinned.value.min() == samples.value.min()


@dataclass
class InfluxPlace:
    address: InfluxAddress
    directory: Path

    def open(self) -> InfluxStore:
        return InfluxStore(self.address, self.directory)


class TestInflux(StoreContract):
    """Runs on every generation that is installed: databases of its own for each test."""

    @pytest.fixture
    def place(self, influx: Influx, tmp_path: Path) -> InfluxPlace:
        name = f"t{uuid.uuid4().hex[:12]}"
        address = replace(influx.address, database=name, personal_database=f"{name}_personal")
        return InfluxPlace(address, tmp_path)

    def test_personal_readings_are_not_in_the_public_database(
        self, place: InfluxPlace, influx: Influx
    ) -> None:
        store = place.open()
        store.define(DEFINITIONS)
        store.append(rows((METER, 0, 3.25), (RIVER, 0, 1.0)), {})
        store.close()
        assert "water.total" not in influx.query("SHOW MEASUREMENTS", place.address.database)
        personal = influx.query("SHOW MEASUREMENTS", place.address.personal_database)
        assert "water.total" in personal
        assert "water.level" not in personal

    def test_points_are_laid_out_as_documented(self, place: InfluxPlace, influx: Influx) -> None:
        store = place.open()
        store.define(DEFINITIONS)
        store.append(rows((RIVER, 0, 3.0), quality=4), {})
        store.close()
        table = influx.query('SELECT * FROM "water.level"', place.address.database)
        header, row = table.strip().splitlines()
        assert header == "name,tags,time,device,kind,quality,received_at,value"
        assert row == f"water.level,,{T0},RG-01,river-gauge,4,{T0 + 1000},3"

    def test_lines_that_the_server_refuses_do_not_keep_the_others_out(
        self, place: InfluxPlace
    ) -> None:
        """The field ``value`` exists as text in one measurement, so its floats are refused."""
        store = place.open()
        store.define(DEFINITIONS)
        store.append(rows((METER, 0, 1.0)), {})
        store._server.write(place.address.database, [f'rain.intensity,device=x value="a" {T0}'])
        store.append(
            rows(*((s, t * 1000, float(t)) for t in range(300) for s in (RIVER, RAIN, TRAP))),
            at(Lane.URGENT, 3),
        )
        assert len(store.range(RIVER, T0, T0 + 300_000)) == 300
        assert len(store.range(TRAP, T0, T0 + 300_000)) == 300
        assert store.counts.refused == 300
        assert "rain.intensity" in store.counts.refusals[-1]
        assert store.positions() == at(Lane.URGENT, 3)
        store.close()

    def test_readings_without_a_definition_are_refused_and_named(self, place: InfluxPlace) -> None:
        store = place.open()
        store.define(DEFINITIONS)
        store.append(rows((RIVER, 0, 1.0), (77, 0, 1.0)), {})
        assert (store.counts.rows, store.counts.refused) == (1, 1)
        assert "77" in store.counts.refusals[0]
        store.close()

    def test_another_database_starts_from_the_beginning(self, place: InfluxPlace) -> None:
        """The position of one server says nothing of what another one has."""
        store = place.open()
        store.append(rows(), at(Lane.URGENT, 9))
        store.close()
        elsewhere = InfluxPlace(replace(place.address, database="elsewhere"), place.directory)
        store = elsewhere.open()
        assert store.positions() == {}
        store.close()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_server_that_is_away_is_an_outage_until_it_is_back(
    start_influx: StartInflux, tmp_path: Path, generation: Generation
) -> None:
    """Killed and started again: the call that failed succeeds, what was acknowledged is there."""
    server = start_influx(generation)
    store = InfluxStore(server.address, tmp_path)
    store.define(DEFINITIONS)
    store.append(rows((RIVER, 0, 1.0), (METER, 0, 2.0)), at(Lane.URGENT, 1))
    server.kill()
    with pytest.raises(StoreOutage) as outage:
        store.append(rows((RIVER, 1, 1.1)), at(Lane.URGENT, 2))
    assert outage.value.can_retry
    with pytest.raises(StoreOutage):
        store.range(RIVER, T0, T0 + 10)
    assert store.positions() == at(Lane.URGENT, 1)
    server.start()
    store.append(rows((RIVER, 1, 1.1)), at(Lane.URGENT, 2))
    assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0), (1, 1.1)]
    assert pairs(store.range(METER, T0, T0 + 10)) == [(0, 2.0)]
    store.close()


def test_a_wrong_token_is_an_outage_that_somebody_must_end(
    start_influx: StartInflux, tmp_path: Path
) -> None:
    server = start_influx("2")
    store = InfluxStore(replace(server.address, secret="not-the-token"), tmp_path)
    store.define(DEFINITIONS)
    with pytest.raises(StoreOutage) as outage:
        store.append(rows((RIVER, 1, 1.1)), {})
    assert not outage.value.can_retry
    assert "401" in outage.value.reason
    store.close()


def test_nobody_at_the_address_is_an_outage_that_may_end(tmp_path: Path) -> None:
    store = InfluxStore(InfluxAddress(f"http://127.0.0.1:{free_port()}"), tmp_path)
    store.define(DEFINITIONS)
    assert store.positions() == {}
    with pytest.raises(StoreOutage) as outage:
        store.append(rows((RIVER, 0, 1.0)), at(Lane.URGENT, 1))
    assert outage.value.can_retry
    assert store.positions() == {}
    store.close()


@pytest.mark.parametrize("name", ["back\\slash", "line\nbreak", ""])
def test_names_that_no_line_can_carry_are_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match="series 1"):
        line_prefix(SeriesDefinition(1, 1, name, "trap", "trap.triggered"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_line_holds_the_value_to_the_last_bit_and_as_a_float(value: float) -> None:
    (line,) = lines(rows((1, 0, value)), {1: "m,device=d,kind=k "})
    text = line.removeprefix("m,device=d,kind=k value=").split(",")[0]
    assert float(text) == value
    assert not text.endswith("i")
