"""JMA's feeds wired from the settings: the process that asks, and what the page shows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dashboards.weather import WeatherView
from ingest.feeds import service
from ingest.feeds.names import Names, NamesError, default_names_text, load_names
from ingest.feeds.poller import Plan, Source
from satomori.clock import now_ms
from satomori.installation import Installation
from satomori.settings import Settings, SettingsError, feed_name

_MIB: Final = 1 << 20


async def run_feeds(settings: Settings) -> None:
    """JMA's feeds → what is in force, until cancelled."""
    place = Installation(settings)
    jma = settings.jma
    access = service.Access(
        hosts=jma.hosts,
        agent="Satomori (municipal field monitoring)",
        size_limit=jma.size_limit_mib * _MIB,
        deadline_s=float(jma.timeout_s),
        proxy=jma.proxy,
        tls_ca=jma.tls_ca,
    )
    await service.run_feeds(
        place.open_database(),
        feed_plan(settings),
        access,
        unread_dir=place.feeds,
        status_path=place.run / "feeds.json",
        now=now_ms,
    )


def feed_plan(settings: Settings) -> Plan:
    """What is asked of JMA; raises SettingsError for a table of names that cannot be used."""
    jma = settings.jma
    return Plan(
        sources=tuple(
            Source(feed_name(url), url, f"{url.removesuffix('.xml')}_l.xml") for url in jma.feeds
        ),
        names=jma_names(settings),
        areas=frozenset((*jma.areas, *jma.regions)),
        offices=frozenset(jma.offices),
        interval_s=float(jma.interval_s),
        quiet_ms=jma.quiet_s * 1000,
    )


def jma_names(settings: Settings) -> Names:
    """The table of names of the settings; raises SettingsError where it cannot be used."""
    file = settings.jma.names_file
    try:
        if not file:
            return load_names(default_names_text())
        return load_names(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError, NamesError) as error:
        raise SettingsError(f"jma.names_file = {file!r}: {error}") from None


def weather_view(settings: Settings) -> WeatherView | None:
    """What the page shows of JMA; None where no feed is set up."""
    jma = settings.jma
    if not jma.enabled:
        return None
    return WeatherView(
        areas=jma.areas,
        regions=jma.regions,
        feeds=tuple(map(feed_name, jma.feeds)),
        names=jma_names(settings),
        stale_ms=jma.stale_s * 1000,
    )
