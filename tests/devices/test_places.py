"""Sites and areas: there as soon as a device names them, described by people afterwards."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from devices.drafts import DeviceDraft
from devices.places import Area, PlaceError, Site, lineage
from devices.registry import Registry

NOW = 1_767_225_600_000
GAUGE = DeviceDraft("R-001", "river-gauge", site="太平橋", area="川内")


def test_a_place_that_a_device_names_is_there(registry: Registry) -> None:
    snapshot = registry.register([GAUGE, DeviceDraft("T-1", "trap")], NOW)
    assert snapshot.areas == {"川内": Area("川内", "川内", "川内")}
    assert snapshot.sites == {"太平橋": Site("太平橋", "太平橋", "太平橋", "川内")}


def test_a_place_is_described_and_keeps_its_description(
    registry: Registry, database: Engine
) -> None:
    other = Registry(database)
    registry.register([GAUGE], NOW)
    site = Site(
        "太平橋", "太平橋（右岸）", "Taihei bridge", "川内", 31.8, 130.3, "東開聞町", "鍵は\n土木課"
    )
    assert other.snapshot() == registry.snapshot()
    assert registry.put_site(site)
    assert not registry.put_site(site), "it stands so"
    assert registry.put_area(Area("川内", "川内地域", "Sendai"))
    registry.register([DeviceDraft("R-002", "river-gauge", site="太平橋", area="川内")], NOW + 1)
    assert other.snapshot().sites == {"太平橋": site}
    assert other.snapshot().areas["川内"] == Area("川内", "川内地域", "Sendai")
    assert other.snapshot() == Registry(database).snapshot()


def test_an_area_lies_in_another(registry: Registry) -> None:
    registry.put_area(Area("川内"))
    registry.put_area(Area("平佐", parent="川内"))
    registry.put_area(Area("天辰", parent="平佐"))
    areas = registry.snapshot().areas
    assert lineage(areas, "天辰") == ("天辰", "平佐", "川内")
    assert lineage(areas, "樋脇") == ("樋脇",), "what nobody described lies in nothing"


def test_areas_do_not_lie_in_each_other(registry: Registry) -> None:
    registry.put_area(Area("川内"))
    registry.put_area(Area("平佐", parent="川内"))
    with pytest.raises(PlaceError, match="川内 < 平佐 < 川内 goes in a circle"):
        registry.put_area(Area("川内", parent="平佐"))
    with pytest.raises(PlaceError, match="no other area"):
        registry.put_area(Area("川内", parent="川内"))
    with pytest.raises(PlaceError, match="no other area"):
        registry.put_area(Area("入来", parent="薩摩"))


def test_areas_are_not_nested_without_end(registry: Registry) -> None:
    registry.put_area(Area("0"))
    for k in range(1, 8):
        registry.put_area(Area(str(k), parent=str(k - 1)))
    with pytest.raises(PlaceError, match="at most 8"):
        registry.put_area(Area("8", parent="7"))


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (Site(""), "must not be empty"),
        (Site("x", label="a\tb"), "printable"),
        (Site("x", label=" a"), "without spaces"),
        (Site("x" * 201), "at most 200"),
        (Site("x", latitude=91.0, longitude=0.0), "degrees"),
        (Site("x", latitude=float("nan"), longitude=0.0), "degrees"),
        (Site("x", longitude=130.0), "go together"),
        (Site("x", note="\x00"), "note"),
        (Site("x", note="x" * 2001), "note"),
    ],
)
def test_a_site_that_cannot_be_is_refused(registry: Registry, site: Site, words: str) -> None:
    with pytest.raises(PlaceError, match=words):
        registry.put_site(site)
    assert registry.revision() == 0
