"""What heights are measured from has a history, and nothing in it is rewritten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from devices.datum import Datum, DatumError, at, merged
from devices.drafts import DeviceDraft
from devices.registry import Registry

NOW = 1_767_225_600_000
GAUGE = DeviceDraft("R-001", "river-gauge", gauge_zero_m=2.5)


def test_the_first_heights_hold_from_the_beginning(registry: Registry) -> None:
    """Nobody knew others, and a reading of before the registration is of the same staff."""
    snapshot = registry.register([GAUGE], NOW)
    assert snapshot.datums == {snapshot.by_name["R-001"].id: (Datum(0, 2.5, None),)}


def test_another_zero_holds_from_now_on_and_leaves_the_one_before(registry: Registry) -> None:
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    assert registry.add_datum(device, Datum(NOW, 2.61, None))
    assert registry.add_datum(device, Datum(NOW + 5, None, 4.0)), "a height that is None stays"
    assert registry.snapshot().datums[device] == (
        Datum(0, 2.5, None),
        Datum(NOW, 2.61, None),
        Datum(NOW + 5, 2.61, 4.0),
    )
    assert not registry.add_datum(device, Datum(NOW, 2.61, None)), "it stands there"


def test_a_datum_of_the_same_moment_is_corrected(registry: Registry) -> None:
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    registry.add_datum(device, Datum(NOW, 26.1, 4.0))
    assert registry.add_datum(device, Datum(NOW, 2.61, None))
    assert registry.snapshot().datums[device][1:] == (Datum(NOW, 2.61, 4.0),)


def test_an_import_with_other_heights_is_a_datum_of_now(registry: Registry) -> None:
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    registry.register([DeviceDraft("R-001", "river-gauge", mounting_height_m=4.0)], NOW + 9)
    registry.register([DeviceDraft("R-001", "river-gauge", gauge_zero_m=2.5)], NOW + 10)
    assert registry.snapshot().datums[device] == (Datum(0, 2.5, None), Datum(NOW + 9, 2.5, 4.0))


def test_every_process_sees_every_datum(registry: Registry, database: Engine) -> None:
    other = Registry(database)
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    assert other.snapshot() == registry.snapshot()
    for since in (NOW + 3, NOW + 1, NOW + 3):
        registry.add_datum(device, Datum(since, float(since - NOW), since / NOW))
        assert other.snapshot().datums == registry.snapshot().datums
    assert other.snapshot() == Registry(database).snapshot()


@pytest.mark.parametrize(
    "datum",
    [
        Datum(NOW, 4001.0, None),
        Datum(NOW, float("nan"), None),
        Datum(NOW, None, -201.0),
        Datum(NOW, None, float("inf")),
    ],
)
def test_heights_that_cannot_be_are_refused(registry: Registry, datum: Datum) -> None:
    snapshot = registry.register([GAUGE], NOW)
    with pytest.raises(DatumError, match="metres from -"):
        registry.add_datum(snapshot.by_name["R-001"].id, datum)
    with pytest.raises(KeyError):
        registry.add_datum(99, Datum(NOW, 1.0, 1.0))
    assert registry.snapshot() is snapshot


_datums = st.lists(
    st.builds(Datum, st.integers(0, 9), st.floats(-5, 5), st.none() | st.floats(0, 9)), max_size=8
)


@given(_datums, st.integers(-1, 10))
def test_the_newest_that_had_begun_holds(given_ones: list[Datum], moment: int) -> None:
    kept: tuple[Datum, ...] = ()
    for datum in given_ones:
        kept = merged(kept, datum)
    assert [d.since for d in kept] == sorted({d.since for d in given_ones})
    begun = {d.since: d for d in given_ones if d.since <= moment}
    assert at(kept, moment) == (begun[max(begun)] if begun else None)
