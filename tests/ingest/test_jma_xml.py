"""What a document says, and which documents are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.outcomes import Rejected
from ingest.feeds.atom import read_feed
from ingest.feeds.jma_xml import Change, Document, read_document
from ingest.feeds.moments import moment_ms, span_ms
from ingest.feeds.names import Names, NamesError, default_names_text, load_names
from ingest.feeds.xml_tree import MAX_DEPTH, read_xml
from tests.servers import jma_papers as jp

NAMES = load_names(default_names_text())
OURS = frozenset({jp.CITY, jp.REGION, "890601000100"})
AT = 1_795_400_000_000
HOUR = 3_600_000


def _read(xml: bytes, type_: str = "VPWW55", names: Names = NAMES) -> Document | Rejected:
    kind = names.document(type_)
    assert kind is not None
    return read_document(xml, kind, names, OURS)


def _good(xml: bytes, type_: str = "VPWW55", names: Names = NAMES) -> Document:
    found = _read(xml, type_, names)
    assert isinstance(found, Document), found
    return found


def _refused(xml: bytes, type_: str = "VPWW55") -> str:
    found = _read(xml, type_)
    assert isinstance(found, Rejected), found
    return found.reason


def test_a_warning_is_read_with_code_level_and_the_name_that_jma_gives_it() -> None:
    xml = jp.warnings(AT, jp.city(jp.kind("43", "レベル４大雨危険警報", "発表")), jp.neighbour())
    document = _good(xml)
    (area,) = document.areas
    (kind,) = area.kinds
    assert (area.code, area.name) == (jp.CITY, jp.CITY_NAME)
    assert (kind.code, kind.level, kind.group, kind.is_in_force) == ("43", 4, "rain", True)
    assert kind.name == "レベル４大雨危険警報"
    assert (document.reported_at, document.change, document.is_exercise) == (
        AT, Change.ISSUED, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "status", ["継続", "特別警報から危険警報", "警報から注意報", "まだ誰も知らない状態"]
)
def test_every_status_but_lifted_is_in_force(status: str) -> None:
    """A word that is new tomorrow must not take a warning off the page."""
    xml = jp.warnings(AT, jp.city(jp.kind("03", "レベル３大雨警報", status)))
    assert _good(xml).areas[0].kinds[0].is_in_force


def test_lifted_and_nothing_are_said_of_the_area_and_not_in_force() -> None:
    lifted = _good(jp.warnings(AT, jp.city(jp.kind("03", "レベル３大雨警報", "解除"))))
    assert [kind.is_in_force for kind in lifted.areas[0].kinds] == [False]
    none = _good(jp.warnings(AT, jp.city()))
    assert none.areas[0].kinds == ()


def test_a_kind_that_the_table_does_not_know_is_shown_as_it_comes_and_remarked() -> None:
    xml = jp.warnings(AT, jp.city(jp.kind("77", "レベル４竜巻危険警報", "発表")))
    document = _good(xml)
    (kind,) = document.areas[0].kinds
    assert (kind.name, kind.level, kind.is_in_force) == ("レベル４竜巻危険警報", None, True)
    assert "77" in document.remarks[0]


def test_a_kind_without_name_takes_the_tables() -> None:
    xml = jp.warnings(AT, jp.city(jp.kind("43", "", "発表")))
    assert _good(xml).areas[0].kinds[0].name == "レベル４大雨危険警報"


@pytest.mark.parametrize(("word", "is_exercise"), [("通常", False), ("訓練", True), ("試験", True)])
def test_a_drill_is_known_by_its_status(word: str, *, is_exercise: bool) -> None:
    document = _good(jp.warnings(AT, jp.city(), status=word))
    assert (document.is_exercise, document.status) == (is_exercise, word)


def test_a_document_that_is_neither_actual_nor_a_drill_is_refused() -> None:
    assert _refused(jp.warnings(AT, jp.city(), status="通常？")) == "unknown_status"
    assert _refused(jp.warnings(AT, jp.city(), info_type="延期")) == "unknown_info_type"


def test_corrections_and_cancellations_are_told_apart() -> None:
    assert _good(jp.warnings(AT, jp.city(), info_type="訂正")).change is Change.CORRECTED
    assert _good(jp.cancellation(AT, AT + HOUR)).change is Change.CANCELLED


def test_other_areas_take_no_place() -> None:
    """A thousand towns go by; the document keeps one."""
    others = [jp.item(f"47{n:05}", "どこか", jp.kind("03", "x", "発表")) for n in range(1000)]
    document = _good(jp.warnings(AT, *others, jp.city(jp.kind("03", "レベル３大雨警報", "継続"))))
    assert [area.code for area in document.areas] == [jp.CITY]


def test_an_area_that_stands_there_twice_has_all_its_kinds() -> None:
    xml = jp.warnings(
        AT,
        jp.city(jp.kind("14", "雷注意報", "発表")),
        jp.city(jp.kind("20", "濃霧注意報", "継続")),
    )
    assert [k.code for k in _good(xml, "VPWW61").areas[0].kinds] == ["14", "20"]


def test_names_codes_and_sections_of_before_can_be_read_by_another_table() -> None:
    """The documents until 2026, by configuration alone."""
    text = default_names_text().replace(
        'type = "VPWW55"', 'type = "VPWW54"'
    ).replace('groups = ["rain"]  ', 'groups = ["rain", "flood"]  ')  # fmt: skip
    text += '\n[[kinds]]\ncode = "04"\ngroup = "flood"\nlevel = 3\nname = "洪水警報"\n'
    old = load_names(text)
    xml = jp.warnings(
        AT, jp.city(jp.kind("04", "洪水警報", "発表"), jp.kind("03", "大雨警報", "継続"))
    )
    kinds = _good(xml, "VPWW54", old).areas[0].kinds
    assert [(k.name, k.group, k.level) for k in kinds] == [
        ("洪水警報", "flood", 3), ("大雨警報", "rain", 3),
    ]  # fmt: skip


def test_a_table_with_faults_names_them() -> None:
    with pytest.raises(NamesError, match=r"kinds.*level"):
        load_names(default_names_text().replace("level = 5", "level = 9", 1))
    with pytest.raises(NamesError, match="twice"):
        load_names(default_names_text() + '\n[[kinds]]\ncode = "43"\ngroup = "rain"\nname = "x"\n')
    with pytest.raises(NamesError):
        load_names("not toml")


def test_a_river_is_read_from_the_head_and_lifted_by_its_code() -> None:
    danger = _good(jp.river(AT, "40", "レベル４氾濫危険警報"), "VXKO70")
    (kind,) = danger.areas[0].kinds
    assert (kind.level, kind.is_in_force, danger.areas[0].name) == (4, True, "川内川")
    lifted = _good(jp.river(AT, "10", "レベル２氾濫注意報解除"), "VXKO70")
    assert not lifted.areas[0].kinds[0].is_in_force


def test_rain_that_is_expected_is_read_by_time_step() -> None:
    xml = jp.rain_forecast(AT, (jp.NEXT, jp.NEXT_NAME, [5]), (jp.CITY, jp.CITY_NAME, [40, 0, 25]))
    rain = _good(xml, "VPWP50").rain
    assert [(r.value_mm, r.from_at - AT, r.to_at - AT) for r in rain] == [
        (40.0, 0, 3 * HOUR), (0.0, 3 * HOUR, 6 * HOUR), (25.0, 6 * HOUR, 9 * HOUR),
    ]  # fmt: skip
    assert {r.quantity for r in rain} == {"１時間最大雨量"} and all(r.is_forecast for r in rain)


def test_a_bulletin_gives_what_fell_and_where() -> None:
    document = _good(jp.record_rain(AT, 120), "VPBS50")
    (amount,) = document.rain
    assert (amount.value_mm, amount.area_code, amount.is_forecast) == (120.0, jp.CITY, False)
    assert [tag.condition for tag in document.tags] == ["記録雨"]
    assert "記録的な雨" in document.headline


def test_a_document_without_its_section_is_refused() -> None:
    """JMA changed its form: half a page would be a false calm."""
    assert _refused(jp.warnings(AT, jp.city(), section="気象警報・注意報（新）")) == "no_section"


def test_a_kind_without_status_is_refused() -> None:
    assert _refused(jp.warnings(AT, jp.city("<Kind><Name>大雨</Name></Kind>"))) == "bad_kind"
    assert _refused(jp.warnings(AT, jp.city("<Kind><Status>発表</Status></Kind>"))) == "bad_kind"


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><Report>&b;</Report>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<Report>&x;</Report>"""


@pytest.mark.parametrize("hostile", [BOMB, OUTSIDE])
def test_a_doctype_is_refused_before_an_entity_is_read(hostile: bytes) -> None:
    assert _refused(hostile) == "refused_xml"
    assert isinstance(read_feed(hostile), Rejected)


def test_depth_elements_and_text_are_bounded() -> None:
    deep = b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1)
    many = b"<a>" + b"<b/>" * 300_000 + b"</a>"
    long = b"<a>" + b"x" * (2 << 20) + b"</a>"
    for hostile in (deep, many, long):
        found = read_xml(hostile)
        assert isinstance(found, Rejected) and found.reason == "refused_xml"


def test_every_truncation_of_a_document_is_refused() -> None:
    xml = jp.warnings(AT, jp.city(jp.kind("43", "レベル４大雨危険警報", "発表"))).rstrip()
    for size in range(len(xml)):
        assert isinstance(_read(xml[:size]), Rejected), size


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_no_bytes_bring_the_reader_down(payload: bytes) -> None:
    assert isinstance(_read(payload), Rejected)
    assert isinstance(read_feed(payload), Rejected)


@settings(max_examples=300)
@given(st.data())
def test_a_document_with_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    xml = bytearray(jp.warnings(AT, jp.city(jp.kind("43", "大雨", "発表"))))
    for _ in range(data.draw(st.integers(1, 4))):
        xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(_read(bytes(xml)), Document | Rejected)


@pytest.mark.parametrize(
    "text",
    ["", "10:00", "2026-11-22T10:00:00", "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59Z"],
)
def test_a_time_that_says_no_moment_is_none(text: str) -> None:
    assert moment_ms(text) is None


@pytest.mark.parametrize(
    ("text", "hours"),
    [("PT3H", 3), ("P1D", 24), ("P1DT12H", 36), ("P", None), ("PT", None), ("P1M", None)],
)
def test_spans_are_days_hours_minutes(text: str, hours: int | None) -> None:
    assert span_ms(text) == (hours * HOUR if hours else None)


def test_a_feed_lists_each_document_once_the_newest_first() -> None:
    one, two = (jp.paper("VPWW55", AT + n * HOUR, b"") for n in range(2))
    feed = read_feed(jp.atom([one, two, one], "http://x/data", AT))
    assert not isinstance(feed, Rejected)
    assert [(e.type, e.office, e.listed_at) for e in feed.entries] == [
        ("VPWW55", jp.OFFICE, AT + HOUR), ("VPWW55", jp.OFFICE, AT),
    ]  # fmt: skip
    assert feed.newest_at == AT + HOUR


def test_an_entry_that_cannot_be_read_spoils_no_other() -> None:
    good = jp.paper("VPWW55", AT, b"")
    text = jp.atom([good], "http://x/data", AT).decode()
    bad = "<entry><title>x</title><updated>gestern</updated><id>[</id></entry>"
    feed = read_feed(text.replace("</feed>", bad + "</feed>").encode())
    assert not isinstance(feed, Rejected)
    assert (len(feed.entries), feed.unreadable) == (1, 1)
