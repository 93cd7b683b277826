"""The device list of the simulated city and its map."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from devices.csv_import import parse_devices
from devices.kinds import FIELD_KINDS
from firmware_sim import city
from firmware_sim.pace import DEMO, NATURAL

COUNTS = {
    "gateway": 11, "river-gauge": 40, "flood-sensor": 60, "weather-station": 15,
    "water-meter": 120, "zone-meter": 8, "pressure-logger": 12, "paddy-node": 60,
    "irrigation-gate": 25, "greenhouse-node": 30, "barn-node": 20, "collar": 40,
    "calving-thermometer": 15, "trap": 50,
}  # fmt: skip

Ring = list[tuple[float, float]]


def test_the_city_has_about_five_hundred_devices_of_all_kinds() -> None:
    """506, with names and labels of their own."""
    devices = city.devices()
    assert Counter(d.kind for d in devices) == COUNTS
    assert set(COUNTS) == set(FIELD_KINDS)
    assert len({d.name for d in devices}) == len(devices) == 506
    assert len({d.label for d in devices}) == len(devices)
    assert len({d.label_en for d in devices}) == len(devices)


def test_the_import_takes_the_whole_list_as_it_is() -> None:
    """The columns are those of devices.csv_import; nothing is refused or lost."""
    devices = city.devices()
    drafts, errors = parse_devices(city.to_csv(devices))
    assert errors == []
    given = [(d.name, d.kind, d.label, d.area) for d in devices]
    assert [(d.name, d.kind, d.label, d.area) for d in drafts] == given
    first = next(d for d in drafts if d.kind == "river-gauge")
    assert list(first.thresholds) == ["standby", "caution", "evacuation", "danger", "flooding"]
    assert list(first.thresholds.values()) == sorted(first.thresholds.values())


def test_what_hangs_on_a_gateway_names_one_that_exists() -> None:
    """Farm devices and traps are carried; flood gear speaks for itself."""
    devices = city.devices()
    gateways = {d.name for d in devices if d.kind == "gateway"}
    carried = {d.kind for d in devices if d.gateway}
    assert {d.gateway for d in devices if d.gateway} <= gateways
    assert "trap" in carried
    assert not carried & {"flood-sensor", "river-gauge", "gateway"}


def test_silence_follows_the_pace() -> None:
    """Every device may miss at least one report before it counts as silent."""
    for pace in (DEMO, NATURAL):
        for device in city.devices(pace=pace):
            assert device.silence_after_s >= 1.25 * device.interval_s
    assert {d.interval_s for d in city.devices(pace=NATURAL) if d.kind == "trap"} == {86_400}


def test_the_list_is_the_same_for_a_seed_and_differs_between_seeds() -> None:
    """Places move with the seed, names do not."""
    assert city.devices(seed=3) == city.devices(seed=3)
    one, two = city.devices(seed=3), city.devices(seed=4)
    assert [d.name for d in one] == [d.name for d in two]
    assert [d.latitude for d in one] != [d.latitude for d in two]


def test_nearly_all_devices_stand_within_the_real_city(shared_data: Path) -> None:
    """The drawing is rough; a few gauges upstream may lie beyond the border."""
    border = json.loads(
        (shared_data / "boundary_jp" / "satsumasendai_46215.geojson").read_text(encoding="utf-8")
    )
    rings = [polygon[0] for polygon in border["features"][0]["geometry"]["coordinates"]]
    outside = [
        d.name
        for d in city.devices()
        if not any(_is_inside(ring, d.longitude, d.latitude) for ring in rings)
    ]
    assert len(outside) <= 10, outside


def test_the_map_is_geojson_with_rivers_roads_places_and_outline() -> None:
    """Every feature has its kind and both names; polygons are closed."""
    drawn = json.loads(json.dumps(city.basemap()))
    assert drawn["type"] == "FeatureCollection"
    kinds = Counter(f["properties"]["kind"] for f in drawn["features"])
    assert kinds == {"outline": 4, "river": 9, "road": 6, "place": 13}
    for feature in drawn["features"]:
        assert feature["properties"]["name"]
        assert feature["properties"]["name_en"]
        if feature["geometry"]["type"] == "Polygon":
            ring = feature["geometry"]["coordinates"][0]
            assert ring[0] == ring[-1]


def _is_inside(ring: Ring, x: float, y: float) -> bool:
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise(ring):
        crossings += (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
    return crossings % 2 == 1
