"""Documents in the form of JMA's disaster prevention XML, written by us: names, codes and places
are facts, every sentence is our own. Times are given as ms UTC and written in Japan's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from xml.sax.saxutils import escape, quoteattr

JST = timezone(timedelta(hours=9))
CITY, CITY_NAME = "4621500", "薩摩川内市"
NEXT, NEXT_NAME = "4620800", "出水市"
REGION, REGION_NAME = "460010", "薩摩地方"
OFFICE, OTHER_OFFICE = "460100", "180000"
TOWNS = "気象警報・注意報（市町村等）"
NOTHING = "発表警報・注意報はなし"

_NS = "http://xml.kishou.go.jp/jmaxml1"


def jst(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, JST).isoformat(timespec="seconds")


def utc(at: int) -> str:
    return (
        datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )


@dataclass(frozen=True)
class Paper:
    """One document of the feed: its file name tells type and office."""

    id: str
    title: str
    listed_at: int
    xml: bytes


def file_id(type_: str, office: str, at: int) -> str:
    stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%d%H%M%S")
    return f"{stamp}_0_{type_}_{office}"


def kind(code: str, name: str, status: str, at: int | None = None) -> str:
    """One <Kind>; ``at`` as a summary gives it."""
    time = f"<DateTime>{jst(at)}</DateTime>" if at else ""
    return f"<Kind><Name>{name}</Name><Code>{code}</Code><Status>{status}</Status>{time}</Kind>"


def nothing() -> str:
    return f"<Kind><Status>{NOTHING}</Status></Kind>"


def item(code: str, name: str, *kinds: str) -> str:
    area = f"<Area><Name>{name}</Name><Code>{code}</Code></Area>"
    return f"<Item>{''.join(kinds) or nothing()}{area}</Item>"


def city(*kinds: str) -> str:
    return item(CITY, CITY_NAME, *kinds)


def neighbour(*kinds: str) -> str:
    return item(NEXT, NEXT_NAME, *kinds)


def report(
    at: int,
    body: str,
    *,
    title: str = "大雨に関する警戒レベル情報",
    status: str = "通常",
    info_type: str = "発表",
    event_id: str = "",
    headline: str = "",
    text: str = "",
    made_at: int | None = None,
    valid_until: int | None = None,
    publisher: str = "鹿児島地方気象台",
) -> bytes:
    """A whole document around ``body`` (inside <Body>) and ``headline`` (inside <Headline>)."""
    valid = f"<ValidDateTime>{jst(valid_until)}</ValidDateTime>" if valid_until else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Report xmlns="{_NS}/" xmlns:jmx="{_NS}/">
<Control>
<Title>{title}</Title><DateTime>{utc(made_at or at)}</DateTime><Status>{status}</Status>
<EditorialOffice>{publisher}</EditorialOffice><PublishingOffice>{publisher}</PublishingOffice>
</Control>
<Head xmlns="{_NS}/informationBasis1/">
<Title>鹿児島県{title}</Title><ReportDateTime>{jst(at)}</ReportDateTime>
<TargetDateTime>{jst(at)}</TargetDateTime>{valid}
<EventID>{event_id}</EventID><InfoType>{info_type}</InfoType><Serial/>
<InfoKind>気象警報・注意報</InfoKind><InfoKindVersion>1.5_0</InfoKindVersion>
<Headline><Text>{escape(text)}</Text>{headline}</Headline>
</Head>
<Body xmlns="{_NS}/body/meteorology1/" xmlns:jmx_eb="{_NS}/elementBasis1/">{body}</Body>
</Report>
""".encode()


def warnings(at: int, *items: str, section: str = TOWNS, **head: object) -> bytes:
    """A document of warnings; the wider sections repeat the same for the prefecture."""
    prefecture = item("460000", "鹿児島県", kind("03", "レベル３大雨警報", "発表"))
    wide = f'<Warning type="気象警報・注意報（府県予報区等）">{prefecture}</Warning>'
    towns = f"<Warning type={quoteattr(section)}>{''.join(items)}</Warning>"
    return report(at, wide + towns, **head)  # type: ignore[arg-type]  # keywords of report


def cancellation(at: int, made_at: int, **head: object) -> bytes:
    """Takes back what was reported at ``at``: an empty body, made later."""
    return report(at, "", info_type="取消", made_at=made_at, **head)  # type: ignore[arg-type]  # keywords of report


def rain_forecast(at: int, *towns: tuple[str, str, Sequence[float]], hours: int = 3) -> bytes:
    """Most rain in one hour for steps of ``hours`` from ``at`` on, for (code, name, values)."""
    steps = max(len(values) for _, _, values in towns)
    defines = "".join(
        f'<TimeDefine timeId="{n + 1}"><DateTime>{jst(at + n * hours * 3_600_000)}</DateTime>'
        f"<Duration>PT{hours}H</Duration><Name>その{n + 1}</Name></TimeDefine>"
        for n in range(steps)
    )
    items = "".join(_rain_item(*town) for town in towns)
    series = f"<TimeSeriesInfo><TimeDefines>{defines}</TimeDefines>{items}</TimeSeriesInfo>"
    body = f'<MeteorologicalInfos type="量的予想時系列（市町村等）">{series}</MeteorologicalInfos>'
    return report(at, body, title="警戒・注意事項時系列情報")


def _rain_item(code: str, name: str, values: Sequence[float]) -> str:
    amounts = "".join(
        f'<jmx_eb:Precipitation description="{value:g}ミリ" refID="{n + 1}"'
        f' type="１時間最大雨量" unit="mm">{value:g}</jmx_eb:Precipitation>'
        for n, value in enumerate(values)
    )
    risk = (
        "<Kind><Status>発表</Status><Property><Type>大雨浸水危険度</Type><SignificancyPart><Base>"
        '<Significancy refID="1" type="大雨浸水危険度"><Name>警戒レベル２</Name><Code>21</Code>'
        "</Significancy></Base></SignificancyPart></Property></Kind>"
    )
    rain = (
        "<Kind><Status>発表</Status><Property><Type>雨</Type><PrecipitationPart><Base>"
        f"{amounts}</Base></PrecipitationPart></Property></Kind>"
    )
    return f"<Item>{risk}{rain}<Area><Name>{name}</Name><Code>{code}</Code></Area></Item>"


def record_rain(at: int, mm: float, event_id: str = "KJPKG1", **head: object) -> bytes:
    """A bulletin of record short-time heavy rain near the city."""
    tag = (
        '<Information type="情報タグ"><Item><Kind><Name>情報タグ</Name>'
        '<Condition>記録雨</Condition></Kind><Areas codeType="細分区域">'
        f"<Area><Name>{REGION_NAME}</Name><Code>{REGION}</Code></Area></Areas></Item></Information>"
    )
    amount = (
        "<Item><Kind><Property><Type>雨の実況</Type><PrecipitationPart>"
        f'<jmx_eb:Precipitation condition="約" description="約{mm:g}ミリ" type="前１時間解析雨量"'
        f' unit="mm">{mm:g}</jmx_eb:Precipitation><Time>{jst(at)}</Time></PrecipitationPart>'
        f"</Property></Kind><Area><Name>{CITY_NAME}</Name><Code>{CITY}</Code></Area></Item>"
    )
    body = (
        '<MeteorologicalInfos type="観測実況"><MeteorologicalInfo>'
        f"<DateTime>{jst(at)}</DateTime>{amount}</MeteorologicalInfo></MeteorologicalInfos>"
    )
    return report(
        at, body, title="気象防災速報（記録的短時間大雨）", event_id=event_id, headline=tag,
        text="薩摩川内市付近で記録的な雨が観測されました（試験用の文）。", **head,  # type: ignore[arg-type]  # keywords of report
    )  # fmt: skip


def river(at: int, code: str, name: str, *, river_code: str = "890601000100") -> bytes:
    """A flood forecast of a designated river: the head says what, the body why."""
    headline = (
        '<Information type="指定河川洪水予報（予報区域）"><Item>'
        f"<Kind><Name>{name}</Name><Code>{code}</Code><Condition>{name}</Condition></Kind>"
        f"<Areas><Area><Name>川内川</Name><Code>{river_code}</Code></Area></Areas>"
        "</Item></Information>"
    )
    body = (
        '<Warning type="指定河川洪水予報"><Item><Kind><Property><Type>主文</Type>'
        "<Text>試験用の主文。</Text></Property></Kind></Item></Warning>"
    )
    return report(at, body, title="指定河川洪水予報", event_id=river_code, headline=headline)


def paper(
    type_: str, at: int, xml: bytes, *, office: str = OFFICE, title: str = "", listed_at: int = 0
) -> Paper:
    """A document as a feed lists it."""
    when = listed_at or at
    return Paper(file_id(type_, office, when), title or type_, when, xml)


def atom(papers: Sequence[Paper], base_url: str, updated_at: int) -> bytes:
    """A feed that lists ``papers``, the newest first."""
    entries = "".join(
        f"<entry><title>{one.title}</title><id>{base_url}/{one.id}.xml</id>"
        f"<updated>{utc(one.listed_at)}</updated><author><name>気象台</name></author>"
        f'<link type="application/xml" href="{base_url}/{one.id}.xml"/>'
        f'<content type="text">{one.title}</content></entry>'
        for one in sorted(papers, key=lambda one: one.listed_at, reverse=True)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom" lang="ja">'
        f"<title>高頻度（随時）</title><updated>{utc(updated_at)}</updated>"
        f"<id>{base_url}/feed</id>{entries}</feed>"
    ).encode()
