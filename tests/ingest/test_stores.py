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

from devices.frames import Lane
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxStore
from ingest.stores.influx_http import InfluxAddress
from ingest.stores.series_store import Samples, StoreOutage, merge_samples, thin
from tests.ingest.store_contract import (
    DEFINITIONS,
    METER,
    RIVER,
    T0,
    StoreContract,
    at,
    pairs,
    rows,
)
from tests.servers.influx import Influx


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
