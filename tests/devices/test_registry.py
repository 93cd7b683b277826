"""The contract of the registry, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
from sqlalchemy import Engine, delete, insert, select

from devices import tables
from devices.database import writing
from devices.drafts import DeviceDraft, DraftError
from devices.frames import SeriesDefinition
from devices.kinds import KINDS
from devices.payload import QUANTITY_CODES
from devices.registry import NO_SERIES, Registry, series_by_code
from devices.units import UnitDraft, UnitError

NOW = 1_767_225_600_000
GAUGE = DeviceDraft(
    "R-001", "river-gauge", "太平橋", "Taihei bridge", "太平橋", "川内",
    31.8139, 130.3037, 600, 1800.0,
    {"standby": 2.0, "caution": 3.0, "danger": 4.5}, ("bridge", "north"), None, "city",
    intervals={"normal": 600, "active": 60}, active_from=1.5, open_data="none",
)  # fmt: skip
OF_UNIT_AND_DATUM = {
    "rollover_at", "serial_number", "dev_eui", "model", "codec", "gauge_zero_m", "mounting_height_m"
}  # fmt: skip


def test_what_was_registered_is_in_the_snapshot(registry: Registry) -> None:
    snapshot = registry.register([GAUGE], NOW)
    device = snapshot.by_name["R-001"]
    assert snapshot.devices == {device.id: device}
    for field in fields(DeviceDraft):
        if field.name in OF_UNIT_AND_DATUM:
            continue
        assert getattr(device, field.name) == getattr(GAUGE, field.name), field.name
    assert (device.registered_at, device.decommissioned_at) == (NOW, None)


def test_a_kind_gives_interval_silence_label_and_series(registry: Registry) -> None:
    snapshot = registry.register([DeviceDraft("T-1", "trap")], NOW)
    device = snapshot.by_name["T-1"]
    assert (device.interval_s, device.silence_after_s) == (86_400, 108_000.0)
    assert (device.label, device.label_en) == ("T-1", "T-1")
    quantities = KINDS["trap"].quantities
    assert set(snapshot.series) == {(device.id, quantity) for quantity in quantities}
    for (owner, quantity), series in snapshot.series.items():
        expected = SeriesDefinition(series, owner, "T-1", "trap", quantity)
        assert snapshot.definitions[series] == expected


def test_an_empty_registry_is_revision_zero(registry: Registry) -> None:
    assert registry.revision() == 0
    assert registry.snapshot().devices == {}


def test_every_change_raises_the_revision_and_nothing_else_does(registry: Registry) -> None:
    seen = [registry.revision()]

    def rises() -> bool:
        seen.append(registry.revision())
        assert registry.snapshot().revision == seen[-1]
        return seen[-1] > seen[-2]

    registry.register([GAUGE], NOW)
    assert rises()
    registry.register([GAUGE], NOW + 1)
    assert not rises()
    registry.register([replace(GAUGE, thresholds={"danger": 5.0})], NOW + 2)
    assert rises()
    device = registry.snapshot().by_name["R-001"].id
    registry.add_series([(device, "water.level")])
    assert not rises()
    registry.add_series([(device, "water.temperature")])
    assert rises()
    registry.set_credential(device, "R-001:$7$…", NOW + 3)
    assert rises()
    assert registry.decommission("R-001", NOW + 4)
    assert rises()
    assert not registry.decommission("R-001", NOW + 5)
    assert not rises()
    assert registry.bump_revision() == seen[-1] + 1
    assert rises()


def test_an_update_keeps_id_series_and_registration(registry: Registry) -> None:
    before = registry.register([GAUGE], NOW)
    after = registry.register([replace(GAUGE, label="新しい橋", tags=(), area="隈之城")], NOW + 9)
    old, new = before.by_name["R-001"], after.by_name["R-001"]
    assert (new.id, new.registered_at) == (old.id, NOW)
    assert (new.label, new.tags, new.area) == ("新しい橋", (), "隈之城")
    assert after.series == before.series


def test_a_snapshot_never_changes(registry: Registry) -> None:
    before = registry.register([GAUGE], NOW)
    registry.register([replace(GAUGE, label="other"), DeviceDraft("R-002", "river-gauge")], NOW)
    assert before.by_name["R-001"].label == "太平橋"
    assert len(before.devices) == 1
    assert all(definition.name == "R-001" for definition in before.definitions.values())


def test_two_processes_see_each_others_changes(registry: Registry, database: Engine) -> None:
    """What another registry over the same database reads step by step is what a new one reads."""
    other = Registry(database)
    registry.register([GAUGE, DeviceDraft("G-1", "gateway")], NOW)
    assert other.snapshot() == registry.snapshot()
    device = registry.snapshot().by_name["R-001"].id
    registry.register([replace(GAUGE, kind="flood-sensor", thresholds={}, gateway="G-1")], NOW)
    other.add_series([(device, "water.temperature")])
    assert registry.snapshot() == other.snapshot() == Registry(database).snapshot()
    assert {d.kind for d in other.snapshot().definitions.values() if d.device == device} == {
        "flood-sensor"
    }


def test_one_bad_draft_and_nothing_is_registered(registry: Registry) -> None:
    with pytest.raises(DraftError) as caught:
        registry.register([GAUGE, replace(GAUGE, name="x y", latitude=91.0)], NOW)
    assert [fault.column for fault in caught.value.faults] == ["name", "latitude"]
    assert registry.revision() == 0
    assert registry.snapshot().devices == {}


def test_a_gateway_must_be_registered_as_one(registry: Registry) -> None:
    with pytest.raises(DraftError, match="no registered gateway"):
        registry.register([replace(GAUGE, gateway="G-1")], NOW)
    registry.register([GAUGE], NOW)
    with pytest.raises(DraftError, match="no registered gateway"):
        registry.register([replace(GAUGE, name="R-002", gateway="R-001")], NOW)
    carried = [replace(GAUGE, gateway="G-1"), DeviceDraft("G-1", "gateway")]
    assert registry.register(carried, NOW).by_name["R-001"].gateway == "G-1"


def test_a_device_registered_again_is_back_in_service(registry: Registry) -> None:
    registry.register([GAUGE], NOW)
    registry.decommission("R-001", NOW + 1)
    assert registry.snapshot().by_name["R-001"].decommissioned_at == NOW + 1
    assert registry.register([GAUGE], NOW + 2).by_name["R-001"].decommissioned_at is None


def test_added_series_are_defined_in_the_order_asked_for(registry: Registry) -> None:
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    wanted = [(device, "water.temperature"), (device, "water.level"), (device, "rain.intensity")]
    definitions = registry.add_series(wanted)
    assert [(d.device, d.quantity) for d in definitions] == wanted
    assert registry.add_series(wanted) == definitions
    assert registry.add_series([]) == ()


def test_series_of_strangers_are_refused(registry: Registry) -> None:
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    with pytest.raises(KeyError):
        registry.add_series([(device, "water.level"), (device + 1, "water.level")])
    with pytest.raises(KeyError):
        registry.add_series([(device, "water.colour")])


def test_a_series_id_is_never_given_twice(registry: Registry, database: Engine) -> None:
    device = registry.register([GAUGE], NOW).by_name["R-001"].id
    last = registry.add_series([(device, "water.temperature")])[0].series
    with writing(database) as connection:
        connection.execute(delete(tables.series).where(tables.series.c.id == last))
    assert Registry(database).add_series([(device, "rain.intensity")])[0].series > last


def test_many_registering_at_once_lose_nothing(registry: Registry, database: Engine) -> None:
    def register(worker: int) -> None:
        own = Registry(database)
        for k in range(5):
            own.register([DeviceDraft(f"W{worker}-{k}", "trap")], NOW)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(register, range(4)))
    snapshot = registry.snapshot()
    assert len(snapshot.devices) == 20
    assert snapshot.revision == 20
    assert len(set(snapshot.series.values())) == 20 * len(KINDS["trap"].quantities)


def test_the_series_matrix_says_what_the_snapshot_says(registry: Registry) -> None:
    snapshot = registry.register([GAUGE, DeviceDraft("T-1", "trap")], NOW)
    matrix = series_by_code(snapshot)
    assert matrix.dtype == np.int32
    for device in snapshot.devices:
        for quantity, code in QUANTITY_CODES.items():
            assert matrix[device, code] == snapshot.series.get((device, quantity), NO_SERIES)


def test_the_replaced_unit_ends_when_the_next_begins(registry: Registry) -> None:
    snapshot = registry.register([GAUGE], NOW)
    device = snapshot.by_name["R-001"].id
    first = registry.install_unit(device, UnitDraft("S1", "00-11-22-33-44-55-66-77"), NOW)
    second = registry.install_unit(device, UnitDraft("S2", model="M"), NOW + 10)
    assert first.dev_eui == "0011223344556677"
    assert registry.units(device) == (replace(first, removed_at=NOW + 10), second)
    assert registry.snapshot().series == snapshot.series
    assert registry.remove_unit(device, NOW + 20)
    assert not registry.remove_unit(device, NOW + 30)


def test_a_unit_that_cannot_be_is_refused(registry: Registry) -> None:
    snapshot = registry.register([GAUGE, replace(GAUGE, name="R-002")], NOW)
    one, two = (snapshot.by_name[name].id for name in ("R-001", "R-002"))
    registry.install_unit(one, UnitDraft(dev_eui="0011223344556677"), NOW)
    with pytest.raises(UnitError, match="in service in device R-001"):
        registry.install_unit(two, UnitDraft(dev_eui="0011223344556677"), NOW)
    with pytest.raises(UnitError, match="16 hexadecimal digits"):
        registry.install_unit(two, UnitDraft(dev_eui="00112233"), NOW)
    with pytest.raises(UnitError, match="not after"):
        registry.install_unit(one, UnitDraft(), NOW)
    with pytest.raises(KeyError):
        registry.install_unit(two + 1, UnitDraft(), NOW)
    registry.remove_unit(one, NOW + 1)
    assert registry.install_unit(two, UnitDraft(dev_eui="0011223344556677"), NOW + 2).device == two


METER = DeviceDraft("M-1", "water-meter", rollover_at=1e4)


def test_the_register_of_a_meter_is_its_units(registry: Registry) -> None:
    """An import notes it at the unit in service; the next unit may have another."""
    device = registry.register([METER], NOW).by_name["M-1"].id
    assert [unit.rollover_at for unit in registry.units(device)] == [1e4]
    revision = registry.revision()
    assert registry.register([METER], NOW + 5).revision == revision, "nothing is new"
    assert registry.register([replace(METER, rollover_at=1e5)], NOW + 6).revision > revision
    assert registry.register([replace(METER, rollover_at=None)], NOW + 7)
    assert [(u.installed_at, u.rollover_at) for u in registry.units(device)] == [(NOW, 1e5)]


def test_a_meter_leaves_its_last_reading_and_the_next_brings_its_first(registry: Registry) -> None:
    device = registry.register([METER], NOW).by_name["M-1"].id
    revision = registry.revision()
    registry.install_unit(
        device, UnitDraft("S2", rollover_at=1e5, initial_reading=0.2), NOW + 9, final_reading=812.9
    )
    old, new = registry.units(device)
    assert (old.rollover_at, old.final_reading, old.removed_at) == (1e4, 812.9, NOW + 9)
    assert (new.rollover_at, new.initial_reading, new.final_reading) == (1e5, 0.2, None)
    assert registry.revision() > revision
    assert registry.snapshot().series[device, "water.total"], "its series goes on"


def test_the_last_reading_of_a_unit_that_nobody_noted_is_kept(registry: Registry) -> None:
    device = registry.register([replace(METER, rollover_at=None)], NOW).by_name["M-1"].id
    registry.install_unit(device, UnitDraft("S2"), NOW + 9, final_reading=812.9)
    old, new = registry.units(device)
    assert (old.installed_at, old.removed_at, old.final_reading) == (NOW, NOW + 9, 812.9)
    assert new.serial_number == "S2"


@pytest.mark.parametrize(
    ("draft", "final_reading", "words"),
    [
        (UnitDraft(initial_reading=-1.0), None, "initial_reading -1"),
        (UnitDraft(initial_reading=float("nan")), None, "initial_reading nan"),
        (UnitDraft(), float("inf"), "final_reading inf"),
        (UnitDraft(rollover_at=0.0), None, "more than nothing"),
        (UnitDraft(rollover_at=1e4, initial_reading=1e4), None, "the register ends at 10000"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(
    registry: Registry, draft: UnitDraft, final_reading: float | None, words: str
) -> None:
    device = registry.register([METER], NOW).by_name["M-1"].id
    with pytest.raises(UnitError, match=words):
        registry.install_unit(device, draft, NOW + 9, final_reading=final_reading)
    assert len(registry.units(device)) == 1


def test_a_credential_ends_with_its_unit_and_its_device(registry: Registry) -> None:
    snapshot = registry.register([GAUGE, replace(GAUGE, name="R-002")], NOW)
    one, two = (snapshot.by_name[name].id for name in ("R-001", "R-002"))
    registry.set_credential(one, "R-001:$7$a", NOW)
    registry.set_credential(two, "R-002:$7$b", NOW)
    registry.set_credential(two, "R-002:$7$c", NOW + 1)
    lines = [(c.device, c.password_line) for c in registry.credentials()]
    assert lines == [("R-001", "R-001:$7$a"), ("R-002", "R-002:$7$c")]
    registry.install_unit(one, UnitDraft("S2"), NOW + 2)
    registry.decommission("R-002", NOW + 3)
    assert registry.credentials() == ()


def test_a_broken_transaction_leaves_nothing(registry: Registry, database: Engine) -> None:
    registry.register([GAUGE], NOW)
    with pytest.raises(KeyboardInterrupt), writing(database) as connection:
        connection.execute(
            insert(tables.series).values(device=1, quantity="rain.intensity", changed_in=99)
        )
        raise KeyboardInterrupt
    with database.connect() as connection:
        quantities = connection.execute(select(tables.series.c.quantity)).scalars().all()
    assert sorted(quantities) == sorted(KINDS["river-gauge"].quantities)
