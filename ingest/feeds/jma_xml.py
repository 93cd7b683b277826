"""JMA's disaster prevention XML (気象庁防災情報XML): bytes → plain values, or why not. Pure.

What is read: who says what about which of our areas, since when, and whether it is a drill. Names,
codes and document types come from the table (``names``). A document that cannot be understood is
refused as a whole: half a warning is worse than one that is said to be missing. Refuses to know
what was said before (``standing``), the network and the tables.

Structure (https://xml.kishou.go.jp/tec_material.html)::

    Report ─ Control  Title, DateTime (made, UTC), Status 通常|訓練|試験, PublishingOffice
           ─ Head     ReportDateTime, ValidDateTime?, EventID, InfoType 発表|訂正|取消, Headline
           ─ Body     Warning type=section ─ Item ─ Kind* (Name Code Status DateTime?), Area
                      MeteorologicalInfos type=section ─ TimeSeriesInfo | MeteorologicalInfo
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Final

from devices.outcomes import Rejected, shown
from ingest.feeds.moments import moment_ms, span_ms
from ingest.feeds.names import DocumentType, Names
from ingest.feeds.xml_tree import Node, one_line, read_xml

MAX_NAME_CHARS: Final = 100
MAX_TEXT_CHARS: Final = 1_000
MAX_AMOUNTS: Final = 2_000
_TAGS: Final = "情報タグ"


class Change(StrEnum):
    """What a document does (Head/InfoType)."""

    ISSUED = "issued"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SaidKind:
    """One warning for one area: in force, or said to be no more.

    ``name`` is JMA's own. ``level`` is None for a kind that the table does not know. ``stated_at``
    is the time of this warning where the document repeats others, else None.
    """

    code: str
    group: str
    name: str
    name_en: str
    level: int | None
    status: str
    is_in_force: bool
    stated_at: int | None


@dataclass(frozen=True, slots=True)
class SaidArea:
    """What a document says about one area: all warnings of its groups, none when it is empty."""

    code: str
    name: str
    kinds: tuple[SaidKind, ...]


@dataclass(frozen=True, slots=True)
class RainAmount:
    """An amount of rain in an area, expected between two times or measured until one.

    ``words`` is how JMA writes the value (約１００ミリ); ``place`` a station or empty.
    """

    area_code: str
    area_name: str
    place: str
    quantity: str
    from_at: int
    to_at: int
    value_mm: float
    words: str
    is_forecast: bool


@dataclass(frozen=True, slots=True)
class SaidTag:
    """What a bulletin is about, and where."""

    condition: str
    area_code: str
    area_name: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document as far as it is about our areas. Times are ms UTC."""

    title: str
    publisher: str
    change: Change
    is_exercise: bool
    status: str
    reported_at: int
    made_at: int
    valid_until: int | None
    event_id: str
    headline: str
    areas: tuple[SaidArea, ...]
    rain: tuple[RainAmount, ...]
    tags: tuple[SaidTag, ...]
    remarks: tuple[str, ...]


def read_document(
    payload: bytes, kind: DocumentType, names: Names, areas: frozenset[str]
) -> Document | Rejected:
    """What a document of this type says about ``areas`` (codes of towns, regions and rivers)."""
    root = read_xml(payload, is_wanted=_only_about(areas))
    if isinstance(root, Rejected):
        return root
    control, head, body = root.at("Control"), root.at("Head"), root.at("Body")
    if root.name != "Report" or control is None or head is None or body is None:
        return Rejected("not_a_report", "Control, Head or Body is missing")
    return _Reading(control, head, body, kind, names, areas).document()


@dataclass(slots=True)
class _Reading:
    """One document while it is read."""

    control: Node
    head: Node
    body: Node
    kind: DocumentType
    names: Names
    wanted: frozenset[str]

    def document(self) -> Document | Rejected:
        """Head first, then what its role says."""
        change, is_exercise = self._change(), self._is_exercise()
        if isinstance(change, Rejected):
            return change
        if isinstance(is_exercise, Rejected):
            return is_exercise
        reported_at = moment_ms(self.head.said("ReportDateTime"))
        made_at = moment_ms(self.control.said("DateTime"))
        if reported_at is None or made_at is None:
            return Rejected("bad_time", "Head/ReportDateTime or Control/DateTime is no time")
        found = self._content(change)
        if isinstance(found, Rejected):
            return found
        areas, rain, tags, remarks = found
        return Document(
            title=_name(self.head.said("Title")),
            publisher=_name(self.control.said("PublishingOffice")),
            change=change,
            is_exercise=is_exercise,
            status=_name(self.control.said("Status")),
            reported_at=reported_at,
            made_at=made_at,
            valid_until=moment_ms(self.head.said("ValidDateTime")),
            event_id=_name(self.head.said("EventID")),
            headline=one_line(self.head.said("Headline/Text"))[:MAX_TEXT_CHARS],
            areas=areas,
            rain=rain,
            tags=tags,
            remarks=remarks,
        )

    def _change(self) -> Change | Rejected:
        said, words = self.head.said("InfoType"), self.names.statuses
        for change, known in (
            (Change.ISSUED, words.issued),
            (Change.CORRECTED, words.corrected),
            (Change.CANCELLED, words.cancelled),
        ):
            if said in known:
                return change
        return Rejected("unknown_info_type", f"Head/InfoType {shown(said)}")

    def _is_exercise(self) -> bool | Rejected:
        """A drill is never taken for real, nor the other way round: an unknown word is refused."""
        said, words = self.control.said("Status"), self.names.statuses
        if said in words.actual:
            return False
        if said in words.exercise:
            return True
        return Rejected("unknown_status", f"Control/Status {shown(said)}")

    def _content(
        self, change: Change
    ) -> (
        tuple[tuple[SaidArea, ...], tuple[RainAmount, ...], tuple[SaidTag, ...], tuple[str, ...]]
        | Rejected
    ):
        if change is Change.CANCELLED:  # its body is empty: it takes another document back
            return (), (), (), ()
        if self.kind.role == "warnings":
            said = self._warnings()
            if isinstance(said, Rejected):
                return said
            remarks = [
                f"unknown kind {shown(kind.code)} {shown(kind.name)} in {self.kind.type}"
                for area in said
                for kind in area.kinds
                if kind.level is None and kind.is_in_force
            ]
            return said, (), (), tuple(dict.fromkeys(remarks))
        rain = self._rain()
        if isinstance(rain, Rejected):
            return rain
        return (), rain, tuple(self._tags()), ()

    # -- warnings

    def _warnings(self) -> tuple[SaidArea, ...] | Rejected:
        sections = list(self._sections())
        if not sections:
            return Rejected("no_section", f"no section {shown(self.kind.section)}")
        said: dict[str, SaidArea] = {}
        for item in (item for section in sections for item in section.all("Item")):
            kinds = [self._said_kind(kind) for kind in item.all("Kind")]
            faults = [kind for kind in kinds if isinstance(kind, Rejected)]
            if faults:
                return faults[0]
            found = tuple(kind for kind in kinds if isinstance(kind, SaidKind))
            for code, name in self._areas_of(item):
                before = said[code].kinds if code in said else ()
                said[code] = SaidArea(code, name, before + found)
        return tuple(said.values())

    def _sections(self) -> Iterator[Node]:
        if self.kind.place == "headline":
            headline = self.head.at("Headline")
            found = headline.all("Information") if headline else iter(())
        else:
            found = self.body.all("Warning")
        return (node for node in found if node.attributes.get("type") == self.kind.section)

    def _said_kind(self, node: Node) -> SaidKind | Rejected | None:
        """None: the item says that there is nothing."""
        code, name, status = (node.said(key) for key in ("Code", "Name", "Status"))
        words = self.names.statuses
        known = self.names.kind(code, self.kind.groups)
        is_lifted = (
            status in words.lifted
            or code in words.lifted_codes
            or (known is not None and known.is_lifted)
        )
        if not code and not name:
            return None if is_lifted else Rejected("bad_kind", f"status {shown(status)} of nothing")
        if not is_lifted and not status and self.kind.place == "body":
            return Rejected("bad_kind", f"{shown(name or code)} without status")
        if code in words.lifted_codes and known is None:
            return None
        return SaidKind(
            code=code[:MAX_NAME_CHARS] or name[:MAX_NAME_CHARS],
            group=known.group if known else self.kind.groups[0],
            name=_name(name) or (known.name if known else _name(code)),
            name_en=known.name_en if known else "",
            level=known.level if known else None,
            status=_name(status),
            is_in_force=not is_lifted,
            stated_at=moment_ms(node.said("DateTime")),
        )

    def _areas_of(self, item: Node) -> Iterator[tuple[str, str]]:
        """(code, name) of the item's areas that are ours: ``Area``, or ``Areas/Area``."""
        nodes = [*item.all("Area"), *(a for group in item.all("Areas") for a in group.all("Area"))]
        for node in nodes:
            code = node.said("Code")
            if code in self.wanted:
                yield code, _name(node.said("Name")) or code

    # -- rain and bulletins

    def _rain(self) -> tuple[RainAmount, ...] | Rejected:
        sections = [
            node
            for node in self.body.all("MeteorologicalInfos")
            if node.attributes.get("type") == self.kind.section
        ]
        if not sections and self.kind.role == "rain":
            return Rejected("no_section", f"no section {shown(self.kind.section)}")
        found = [amount for section in sections for amount in self._amounts(section)]
        if len(found) > MAX_AMOUNTS:
            return Rejected("too_large", f"{len(found)} amounts of rain")
        return tuple(found)

    def _amounts(self, section: Node) -> Iterator[RainAmount]:
        for series in section.all("TimeSeriesInfo"):
            spans = dict(_spans(series))
            for item, amount in self._precipitation(series):
                span = spans.get(amount.attributes.get("refID", ""))
                if span is not None:
                    yield from self._of_item(item, amount, span, is_forecast=True)
        for moment in section.all("MeteorologicalInfo"):
            observed_at = moment_ms(moment.said("DateTime"))
            for item, amount in self._precipitation(moment):
                times = (moment_ms(time.text.strip()) for time in item.below("Time"))
                at = next(filter(None, times), observed_at)
                if at is not None:
                    yield from self._of_item(item, amount, (at, at), is_forecast=False)

    def _precipitation(self, parent: Node) -> Iterator[tuple[Node, Node]]:
        for item in parent.all("Item"):
            for property_ in item.below("Property"):
                if property_.said("Type") in self.names.rain.properties:
                    yield from ((item, amount) for amount in property_.below("Precipitation"))

    def _of_item(
        self, item: Node, amount: Node, span: tuple[int, int], *, is_forecast: bool
    ) -> Iterator[RainAmount]:
        value = _number(amount.text)
        if value is None or amount.attributes.get("unit") != self.names.rain.unit:
            return
        station = item.at("Station")
        for code, name in self._areas_of(item):
            yield RainAmount(
                area_code=code,
                area_name=name,
                place=_name(station.said("Name")) if station else "",
                quantity=_name(amount.attributes.get("type", "")),
                from_at=span[0],
                to_at=span[1],
                value_mm=value,
                words=_name(amount.attributes.get("description", "")),
                is_forecast=is_forecast,
            )

    def _tags(self) -> Iterator[SaidTag]:
        headline = self.head.at("Headline")
        for information in headline.all("Information") if headline else ():
            if information.attributes.get("type") != _TAGS:
                continue
            for item in information.all("Item"):
                conditions = [_name(kind.said("Condition")) for kind in item.all("Kind")]
                for code, name in self._areas_of(item):
                    yield from (SaidTag(one, code, name) for one in conditions if one)


def _only_about(areas: frozenset[str]) -> Callable[[Node], bool]:
    """Drops an ``Item`` that is about other areas the moment it ends."""

    def is_wanted(node: Node) -> bool:
        if node.name != "Item":
            return True
        codes = [code for area in node.below("Area") if (code := area.said("Code"))]
        return not codes or not areas.isdisjoint(codes)

    return is_wanted


def _spans(series: Node) -> Iterator[tuple[str, tuple[int, int]]]:
    """timeId → (from, to), half open, of a TimeSeriesInfo."""
    for definition in series.below("TimeDefine"):
        begin = moment_ms(definition.said("DateTime"))
        span = span_ms(definition.said("Duration"))
        if begin is not None and span is not None:
            yield definition.attributes.get("timeId", ""), (begin, begin + span)


def _name(text: str) -> str:
    return one_line(text)[:MAX_NAME_CHARS]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
