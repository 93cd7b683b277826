"""What a CSV would change in the registry as it stands, and that it changes that and no more."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.csv_import import COLUMNS, to_csv
from devices.database import metadata, open_database
from devices.datum import Datum
from devices.drafts import DeviceDraft
from devices.import_plan import Change, exported, plan
from devices.kinds import FIELD_KINDS
from devices.registry import Registry
from devices.units import UnitDraft

NOW = 1_767_225_600_000
GATEWAY = DeviceDraft("G-1", "gateway")
GAUGE = DeviceDraft(
    "R-001", "river-gauge", "太平橋", "Taihei bridge", "太平橋", "川内",
    31.8139, 130.3037, 86_400, None,
    {"standby": 2.0, "caution": 3.0}, ("bridge", "north"), "G-1", "haruko",
    serial_number="S1", dev_eui="0011223344556677", model="LDDS75", codec="dragino/ldds75",
    intervals={"normal": 86_400, "active": 600}, active_from=1.5, gauge_zero_m=2.5,
    mounting_height_m=6.0,
)  # fmt: skip
METER = DeviceDraft("M-1", "water-meter", rollover_at=1e4, owner="haruko")
OWNERS = frozenset({"haruko", "hunters"})


@pytest.fixture
def filled(registry: Registry) -> Registry:
    registry.register([GATEWAY, GAUGE, METER], NOW)
    registry.register_installation(NOW)
    return registry


def imported(registry: Registry, text: str, now: int = NOW + 1) -> None:
    planned = plan(text, registry.snapshot(), OWNERS)
    assert planned.errors == ()
    registry.register(planned.drafts, now)


def test_what_was_exported_changes_nothing(filled: Registry) -> None:
    before = filled.snapshot()
    planned = plan(to_csv(exported(before)), before, OWNERS)
    assert (planned.new, planned.changed, planned.unchanged) == ((), (), 3)
    assert (planned.errors, planned.notices, planned.drafts) == ((), (), ())


def test_what_was_exported_makes_the_same_devices_elsewhere(filled: Registry) -> None:
    with _empty() as other:
        imported(other, to_csv(exported(filled.snapshot())), NOW)
        assert exported(other.snapshot()) == exported(filled.snapshot())


def test_neither_the_installation_nor_what_is_out_of_service_is_exported(filled: Registry) -> None:
    filled.decommission("M-1", NOW + 1)
    assert [draft.name for draft in exported(filled.snapshot())] == ["G-1", "R-001"]


def test_a_plan_counts_new_changed_and_unchanged(filled: Registry) -> None:
    text = "name,kind,owner\nM-1,water-meter,haruko\nR-001,river-gauge,hunters\nT-1,trap,\n"
    planned = plan(text, filled.snapshot(), OWNERS)
    assert planned.new == ("T-1",)
    assert planned.changed == (Change(3, "R-001", ("owner",)),)
    assert planned.unchanged == 1
    assert [draft.name for draft in planned.drafts] == ["R-001", "T-1"]


def test_a_column_that_is_not_there_leaves_a_device_as_it_is(filled: Registry) -> None:
    """Nobody loses thresholds because a list of owners was imported."""
    before = exported(filled.snapshot())
    imported(filled, "name,kind,owner\nR-001,river-gauge,hunters\n")
    after = exported(filled.snapshot())
    assert after == [replace(d, owner="hunters") if d.name == "R-001" else d for d in before]


def test_an_empty_cell_takes_the_default(filled: Registry) -> None:
    header = "name,kind,label,thresholds,interval_s,intervals,owner,active_from,gateway,latitude"
    imported(filled, f"{header},longitude\nR-001,river-gauge,,,,,,,,,\n")
    device = filled.snapshot().by_name["R-001"]
    assert (device.label, device.thresholds, device.owner) == ("R-001", {}, None)
    assert (device.interval_s, device.intervals, device.silence_after_s) == (600, {}, 1800.0)
    assert (device.latitude, device.longitude, device.gateway) == (None, None, None)


def test_an_empty_cell_of_unit_and_heights_leaves_what_is_noted(filled: Registry) -> None:
    header = "name,kind,serial_number,dev_eui,model,codec,gauge_zero_m,mounting_height_m"
    planned = plan(f"{header}\nR-001,river-gauge,,,,,,\n", filled.snapshot(), OWNERS)
    assert (planned.unchanged, planned.errors) == (1, ())


def test_another_interval_brings_another_silence(filled: Registry) -> None:
    """A silence that nobody chose follows the interval; one that was chosen stays."""
    imported(filled, "name,kind,interval_s\nM-1,water-meter,600\n")
    assert filled.snapshot().by_name["M-1"].silence_after_s == 1800.0
    imported(filled, "name,kind,silence_after_s\nM-1,water-meter,2000\n")
    imported(filled, "name,kind,interval_s\nM-1,water-meter,700\n")
    assert filled.snapshot().by_name["M-1"].silence_after_s == 2000.0


def test_an_interval_of_the_calm_river_leaves_that_of_the_high_one(filled: Registry) -> None:
    imported(filled, "name,kind,interval_s\nR-001,river-gauge,43200\n")
    assert filled.snapshot().by_name["R-001"].intervals == {"normal": 43_200, "active": 600}
    imported(filled, "name,kind,intervals\nR-001,river-gauge,normal=3600;active=300\n")
    device = filled.snapshot().by_name["R-001"]
    assert (device.interval_s, device.intervals) == (3600, {"normal": 3600, "active": 300})


def test_other_heights_are_a_change_of_today(filled: Registry) -> None:
    imported(filled, "name,kind,gauge_zero_m\nR-001,river-gauge,2.61\n", NOW + 7)
    device = filled.snapshot().by_name["R-001"].id
    assert filled.snapshot().datums[device] == (Datum(0, 2.5, 6.0), Datum(NOW + 7, 2.61, 6.0))


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("R-001,river-gauge,0011223344556678,S1,G-1", "dev_eui", "0011223344556677 is in service"),
        ("R-001,river-gauge,,S2,G-1", "serial_number", "S1 is in service here"),
        ("T-1,trap,0011223344556677,,", "dev_eui", "in service in device R-001"),
        ("T-1,trap,,,G-2", "gateway", "no registered gateway"),
        ("T-1,trap,,,M-1", "gateway", "no registered gateway"),
        ("satomori,trap,,,", "name", "the installation itself"),
        ("M-1,no-kind,,,", "kind", "unknown kind"),
    ],
)
def test_what_the_registry_contradicts_is_named_by_its_line(
    filled: Registry, row: str, column: str, reason: str
) -> None:
    text = f"name,kind,dev_eui,serial_number,gateway\nT-0,trap,,,\n{row}\n"
    errors = plan(text, filled.snapshot(), OWNERS).errors
    assert [(error.line, error.column) for error in errors] == [(3, column)]
    assert reason in errors[0].reason


def test_hardware_is_in_one_place_of_a_file(filled: Registry) -> None:
    text = "name,kind,dev_eui\nT-1,trap,0011223344556600\nT-2,trap,00-11-22-33-44-55-66-00\n"
    (error,) = plan(text, filled.snapshot(), OWNERS).errors
    assert (error.line, error.column, error.reason) == (3, "dev_eui", "in service in device T-1")


def test_a_gateway_of_the_same_file_will_do(filled: Registry) -> None:
    text = "name,kind,gateway\nT-1,trap,G-2\nG-2,gateway,\n"
    imported(filled, text)
    assert filled.snapshot().by_name["T-1"].gateway == "G-2"


def test_what_may_be_a_mistake_is_said(filled: Registry) -> None:
    filled.decommission("M-1", NOW + 1)
    text = (
        "name,kind,area,site,owner\nM-1,water-meter,川內,,nobody\n"
        "R-001,flood-sensor,川内,太平橋,haruko\n"
    ).replace("flood-sensor", "weather-station")
    notices = plan(text, filled.snapshot(), OWNERS).notices
    assert notices == (
        "back in service: M-1",
        "another kind, hence other topics: R-001 (river-gauge to weather-station)",
        "new areas: 川內",
        "owners who are no person and no group: nobody",
    )


def test_the_unit_of_a_known_device_is_completed(filled: Registry) -> None:
    device = filled.snapshot().by_name["M-1"].id
    imported(filled, "name,kind,dev_eui,codec\nM-1,water-meter,A8-40-41-00-00-00-00-01,x/y\n")
    (unit,) = filled.units(device)
    assert (unit.dev_eui, unit.codec, unit.rollover_at) == ("A840410000000001", "x/y", 1e4)
    assert filled.snapshot().units["A840410000000001"] == unit
    imported(filled, "name,kind,codec\nM-1,water-meter,x/z\n")
    assert filled.snapshot().units["A840410000000001"].codec == "x/z"


def test_hardware_of_a_device_that_went_is_free(filled: Registry) -> None:
    filled.decommission("R-001", NOW + 1)
    imported(filled, "name,kind,dev_eui\nR-002,river-gauge,0011223344556677\n")
    assert filled.snapshot().units["0011223344556677"].device == (
        filled.snapshot().by_name["R-002"].id
    )


def test_a_replaced_unit_is_what_is_exported(filled: Registry) -> None:
    device = filled.snapshot().by_name["R-001"].id
    filled.install_unit(device, UnitDraft("S2", "0011223344556688", codec="x/y"), NOW + 5)
    (draft,) = (d for d in exported(filled.snapshot()) if d.name == "R-001")
    assert (draft.serial_number, draft.dev_eui, draft.codec) == ("S2", "0011223344556688", "x/y")


@contextmanager
def _empty() -> Iterator[Registry]:
    database = open_database("sqlite://")
    metadata.create_all(database, tables=[t for t in metadata.sorted_tables if t.name in _OWN])
    try:
        yield Registry(database)
    finally:
        database.dispose()


_OWN = {
    "registry_revision", "device", "unit", "series", "datum", "maintenance", "area", "site"
}  # fmt: skip
_cell = st.sampled_from(
    ["", "1", "600", "-1", "x", "values", "none", "00-11-22-33-44-55-66-77", "a=1;b=2", "active=60",
     "川内", "T-1", "G-1", "=1", "１", "6670", "river-gauge", "trap", "haruko", "cayenne-lpp"]
)  # fmt: skip


@st.composite
def _files(draw: st.DrawFn) -> str:
    columns = draw(st.lists(st.sampled_from(COLUMNS), unique=True, max_size=6))
    header = list(dict.fromkeys(["name", "kind", *columns]))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    for name in draw(st.lists(st.sampled_from(["T-1", "T-2", "G-1", "R-001"]), unique=True)):
        kind = draw(st.sampled_from(sorted(FIELD_KINDS)))
        writer.writerow([name, kind, *(draw(_cell) for _ in header[2:])])
    return out.getvalue()


@settings(max_examples=60)
@given(st.lists(_files(), min_size=1, max_size=4))
def test_what_a_plan_lets_pass_is_registered_as_it_says(files: list[str]) -> None:
    """No error in the plan: the registry takes it, and the same file again changes nothing.

    What the registry then exports is what it holds: to import that changes nothing either.
    """
    with _empty() as registry:
        for step, text in enumerate(files):
            before = registry.snapshot()
            planned = plan(text, before, OWNERS)
            if planned.errors:
                continue
            after = registry.register(planned.drafts, NOW + step)
            touched = {change.name for change in planned.changed} | set(planned.new)
            for name, device in after.by_name.items():
                assert name in touched or device == before.by_name[name]
            again = plan(text, after, OWNERS)
            assert (again.new, again.changed, again.errors) == ((), (), ())
            back = plan(to_csv(exported(after)), after, OWNERS)
            assert (back.new, back.changed, back.errors) == ((), (), ())
