"""What every SeriesStore must do, whatever stands behind it.

A class that names its store as the fixture ``place`` inherits StoreContract and is tested so.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pytest

from devices.frames import Lane, Position, SeriesDefinition
from devices.readings import Quality, Readings, concatenate, readings_from_columns
from ingest.stores.series_store import Samples, SeriesStore

T0 = 1_790_000_000_000
RIVER, RAIN, METER, ODD, TRAP = 1, 2, 3, 4, 5
DEFINITIONS = (
    SeriesDefinition(RIVER, 10, "RG-01", "river-gauge", "water.level"),
    SeriesDefinition(RAIN, 11, "WS-01", "weather-station", "rain.intensity"),
    SeriesDefinition(METER, 12, "WM-0001", "water-meter", "water.total"),
    SeriesDefinition(ODD, 13, "odd, with=signs 'and' \"quotes\" 里", "river-gauge", "water.level"),
    SeriesDefinition(TRAP, 14, "TR-01", "trap", "trap.triggered"),
)


class Place(Protocol):
    """Where a store is kept: opening it again gives what was there."""

    def open(self) -> SeriesStore: ...


def rows(*columns: tuple[int, int, float], quality: int = 0) -> Readings:
    """Readings of (series, ms after T0, value), received a second after they were measured."""
    return readings_from_columns(
        [c[0] for c in columns],
        [T0 + c[1] for c in columns],
        [T0 + c[1] + 1000 for c in columns],
        [c[2] for c in columns],
        [quality] * len(columns),
    )


def at(lane: Lane, n: int) -> dict[Lane, Position]:
    return {lane: Position(77, n)}


def pairs(samples: Samples) -> list[tuple[int, float]]:
    return [
        (int(t) - T0, float(v)) for t, v in zip(samples.measured_at, samples.value, strict=True)
    ]


class StoreContract:
    """Inherit, and give a fixture ``place``."""

    @pytest.fixture
    def store(self, place: Place) -> Iterator[SeriesStore]:
        store = place.open()
        store.define(DEFINITIONS)
        yield store
        store.close()

    def test_what_was_appended_is_in_the_range(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 0, 1.5), (RIVER, 1000, 1.6), (RAIN, 0, 12.0)), {})
        assert pairs(store.range(RIVER, T0, T0 + 2000)) == [(0, 1.5), (1000, 1.6)]
        assert pairs(store.range(RAIN, T0, T0 + 2000)) == [(0, 12.0)]

    def test_a_range_holds_its_start_and_not_its_end(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 0, 1.0), (RIVER, 1, 2.0), (RIVER, 2, 3.0)), {})
        assert pairs(store.range(RIVER, T0, T0 + 2)) == [(0, 1.0), (1, 2.0)]
        assert pairs(store.range(RIVER, T0 + 1, T0 + 1)) == []

    def test_an_empty_store_answers_with_nothing(self, store: SeriesStore) -> None:
        assert len(store.range(RIVER, 0, T0)) == 0
        assert list(store.scan([RIVER, RAIN], 0, T0)) == []
        assert len(store.latest()) == 0
        assert store.positions() == {}
        assert len(store.range(99_999, 0, T0)) == 0

    def test_values_come_back_to_the_last_bit(self, store: SeriesStore) -> None:
        values = [0.1, -0.3048, 1e-300, 1e22, 3.0, -13.498 * 0.3048, 5e-324, 1.7976931348623157e308]
        store.append(rows(*((RIVER, i, v) for i, v in enumerate(values))), {})
        assert store.range(RIVER, T0, T0 + 100).value.tolist() == values

    def test_quality_and_received_at_are_kept(self, store: SeriesStore) -> None:
        flags = Quality.SPIKE | Quality.EXERCISE
        store.append(rows((RIVER, 5, 9.0), quality=int(flags)), {})
        assert store.range(RIVER, T0, T0 + 10).quality.tolist() == [int(flags)]
        (batch,) = store.scan([RIVER], T0, T0 + 10)
        assert batch.received_at.tolist() == [T0 + 1005]
        assert batch.quality.tolist() == [int(flags)]

    def test_the_same_reading_twice_is_stored_once(self, store: SeriesStore) -> None:
        batch = rows((RIVER, 0, 1.5), (RIVER, 0, 1.5), (RIVER, 1000, 1.6))
        store.append(batch, {})
        store.append(batch, {})
        assert pairs(store.range(RIVER, T0, T0 + 2000)) == [(0, 1.5), (1000, 1.6)]

    def test_another_value_for_the_same_time_wins(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 0, 1.0), (RIVER, 500, 5.0), (RIVER, 1000, 2.0)), {})
        store.append(rows((RIVER, 500, 6.0)), {})
        store.append(rows((RIVER, 1000, 2.5), (RIVER, 1000, 3.0)), {})
        assert pairs(store.range(RIVER, T0, T0 + 2000)) == [(0, 1.0), (500, 6.0), (1000, 3.0)]

    def test_a_change_within_one_batch_is_counted(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 0, 1.0), (RIVER, 0, 2.0), (RIVER, 0, 2.0)), {})
        assert (store.counts.changed, store.counts.repeated) == (1, 1)

    def test_late_readings_find_their_place(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 5000, 5.0)), {})
        store.append(rows((RIVER, 1000, 1.0), (RIVER, 6000, 6.0)), {})
        assert pairs(store.range(RIVER, T0, T0 + 10_000)) == [(1000, 1.0), (5000, 5.0), (6000, 6.0)]

    def test_what_is_not_finite_is_refused_and_the_rest_stored(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 0, 1.0), (RIVER, 1, np.nan), (RIVER, 2, np.inf)), {})
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0)]
        assert store.counts.refused == 2
        assert store.counts.refusals

    def test_names_with_special_signs_are_kept_apart(self, store: SeriesStore) -> None:
        store.append(rows((ODD, 0, 7.0), (RIVER, 0, 1.0)), {})
        assert pairs(store.range(ODD, T0, T0 + 10)) == [(0, 7.0)]
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0)]
        assert store.latest().series.tolist() == [RIVER, ODD]

    def test_personal_quantities_are_stored_like_the_others(self, store: SeriesStore) -> None:
        store.append(rows((METER, 0, 1234.5), (RIVER, 0, 1.0)), {})
        assert pairs(store.range(METER, T0, T0 + 10)) == [(0, 1234.5)]

    def test_the_latest_is_the_newest_of_each_series(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 9000, 9.0), (METER, 1000, 3.0)), {})
        store.append(rows((RIVER, 8000, 8.0), (METER, 2000, 4.0)), {})
        latest = store.latest()
        assert latest.series.tolist() == [RIVER, METER]
        assert latest.value.tolist() == [9.0, 4.0]
        assert latest.measured_at.tolist() == [T0 + 9000, T0 + 2000]
        assert latest.received_at.tolist() == [T0 + 10_000, T0 + 3000]

    def test_opened_again_it_holds_everything(self, place: Place) -> None:
        store = place.open()
        store.define(DEFINITIONS)
        store.append(rows((RIVER, 0, 1.0), (METER, 0, 2.0)), at(Lane.URGENT, 5))
        store.append(rows((RIVER, 1, 1.1)), at(Lane.ROUTINE, 9))
        store.close()
        store = place.open()
        assert store.positions() == {Lane.URGENT: Position(77, 5), Lane.ROUTINE: Position(77, 9)}
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0), (1, 1.1)]
        assert store.latest().value.tolist() == [1.1, 2.0]
        store.append(rows((RIVER, 0, 1.0), (RIVER, 1, 1.1), (RIVER, 2, 1.2)), {})
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0), (1, 1.1), (2, 1.2)]
        store.close()

    def test_positions_move_without_readings_too(self, store: SeriesStore) -> None:
        store.append(rows(), at(Lane.URGENT, 1))
        store.append(rows(), at(Lane.URGENT, 2))
        assert store.positions() == at(Lane.URGENT, 2)

    def test_definitions_may_be_repeated(self, store: SeriesStore) -> None:
        store.define(DEFINITIONS)
        store.define(DEFINITIONS[:1])
        store.define(())
        store.append(rows((RIVER, 0, 1.0)), {})
        assert pairs(store.range(RIVER, T0, T0 + 10)) == [(0, 1.0)]

    def test_a_scan_gives_all_series_by_time(self, store: SeriesStore) -> None:
        written = rows(
            *((s, t * 60_000, float(t + s)) for t in range(200) for s in (RIVER, RAIN, METER))
        )
        store.append(written, {})
        scanned = concatenate(list(store.scan([METER, RIVER], T0, T0 + 100 * 60_000)))
        assert (np.diff(scanned.measured_at) >= 0).all()
        assert set(scanned.series.tolist()) == {RIVER, METER}
        assert len(scanned) == 200
        for series in (RIVER, METER):
            of_it = scanned.take(scanned.series == series)
            assert of_it.value.tolist() == [float(t + series) for t in range(100)]

    def test_a_scan_passes_over_long_gaps(self, store: SeriesStore) -> None:
        year = 365 * 86_400_000
        store.append(rows((RIVER, 0, 1.0), (RIVER, year, 2.0)), {})
        scanned = concatenate(list(store.scan([RIVER], 0, T0 + 3 * year)))
        assert scanned.value.tolist() == [1.0, 2.0]

    def test_thinning_keeps_the_extremes_as_they_were_measured(self, store: SeriesStore) -> None:
        wave = [10.0 * np.sin(i / 30) for i in range(5000)]
        wave[1234], wave[4321] = 99.0, -99.0
        store.append(rows(*((RIVER, i * 1000, float(v)) for i, v in enumerate(wave))), {})
        thinned = store.range(RIVER, T0, T0 + 5_000_000, max_points=100)
        assert 50 <= len(thinned) <= 100
        assert (np.diff(thinned.measured_at) > 0).all()
        found = dict(pairs(thinned))
        assert (found[1_234_000], found[4_321_000]) == (99.0, -99.0)
        assert all(wave[t // 1000] == v for t, v in found.items())

    def test_few_points_are_not_thinned(self, store: SeriesStore) -> None:
        store.append(rows(*((RIVER, i, float(i)) for i in range(50))), {})
        assert len(store.range(RIVER, T0, T0 + 10_000_000, max_points=50)) == 50

    def test_what_is_older_than_the_limit_is_forgotten(self, store: SeriesStore) -> None:
        store.append(rows((RIVER, 0, 1.0), (RIVER, 1000, 2.0), (METER, 0, 3.0)), {})
        assert store.forget_before(T0 + 1000) == 2
        assert pairs(store.range(RIVER, T0, T0 + 2000)) == [(1000, 2.0)]
        assert store.latest().series.tolist() == [RIVER]
        assert store.forget_before(T0 + 1000) == 0

    def test_batching_order_and_duplicates_change_nothing(self, place: Place) -> None:
        """Readings with one value a time, cut, shuffled and repeated at will: the same range."""
        dice = random.Random(20260718)
        store = place.open()
        store.define(DEFINITIONS)
        truth = [(s, t * 1000, round(t * 0.37 + s, 3)) for s in (RIVER, METER) for t in range(300)]
        deliveries = truth + dice.sample(truth, 200)
        dice.shuffle(deliveries)
        while deliveries:
            n = dice.choice((1, 2, 17, 90))
            store.append(rows(*deliveries[:n]), {})
            deliveries = deliveries[n:]
        for series in (RIVER, METER):
            expected = [(t, v) for s, t, v in truth if s == series]
            assert pairs(store.range(series, T0, T0 + 1_000_000)) == expected
        assert store.latest().measured_at.tolist() == [T0 + 299_000] * 2
        store.close()

    def test_readers_are_not_disturbed_by_the_writer(self, store: SeriesStore) -> None:
        """While batches of 100 are appended, a reader never sees a gap or a time twice."""
        failures: list[str] = []
        is_done = threading.Event()

        def read() -> None:
            while not is_done.is_set():
                values = store.range(RIVER, T0, T0 + 100_000).value
                if values.tolist() != list(range(len(values))):
                    failures.append(str(values))

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for k in range(20):
            store.append(rows(*((RIVER, i, float(i)) for i in range(k * 100, k * 100 + 100))), {})
        is_done.set()
        for reader in readers:
            reader.join()
        assert failures == []
        assert len(store.range(RIVER, T0, T0 + 100_000)) == 2000
