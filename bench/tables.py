"""Results as the Markdown tables of docs/performance.md. Refuses to know how they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_INGEST = (
    ("msgs/s", "msgs_per_s"),
    ("to sink", "ratio_to_sink"),
    ("to paho", "ratio_to_paho"),
    ("CPU-s / 100k", "cpu_s_per_100k"),
    ("p99 urgent ms", "p99_urgent_alarm_ms"),
    ("p99 routine ms", "p99_routine_alarm_ms"),
    ("MB at most", "rss_mb_peak"),
    ("MB / min", "rss_growth_mb_per_min"),
    ("store behind", "store_lag_messages"),
    ("drain msgs/s", "store_drain_msgs_per_s"),
    ("lost", "lost"),
    ("repeated", "repeated"),
)
_STORM = (
    ("offered/s", "offered_msgs_per_s"),
    ("taken in", "share_taken_in"),
    ("p50 urgent ms", "p50_urgent_alarm_ms"),
    ("p99 urgent ms", "p99_urgent_alarm_ms"),
    ("max urgent ms", "max_urgent_alarm_ms"),
    ("urgent missing", "urgent_alarms_missing"),
    ("routine waiting", "routine_backlog_peak"),
    ("broker MB", "broker_rss_mb_peak"),
    ("drain s", "drain_s"),
    ("lost", "lost"),
    ("repeated", "repeated"),
)
_GROWTH = (
    ("devices", "devices"),
    ("rules", "rules"),
    ("msgs/s", "msgs_per_s"),
    ("CPU-s / 100k", "cpu_s_per_100k"),
    ("p99 alarm ms", "p99_alarm_ms"),
    ("MB at most", "rss_mb_peak"),
)


def growth_table(points: Iterable[Mapping[str, Any]]) -> str:
    """One row a point of growth."""
    return _table([title for title, _ in _GROWTH], (_cells(p, _GROWTH) for p in points))


def campaign_tables(runs: Iterable[Mapping[str, Any]]) -> str:
    """The tables of a campaign: ``runs`` are its lines, {"name", "command", "result"}."""
    ingest, storm, growth = [], [], []
    for run in runs:
        result, name = run["result"], f"`{run['command']}`"
        if result is None:
            ingest.append([name, f"failed: {run['error']}"] + [""] * (len(_INGEST) - 1))
        elif "points" in result:
            growth += result["points"]
        elif "throttle" in result:
            storm.append([name, *_cells(result, _STORM)])
        else:
            ingest.append([name, *_cells(result, _INGEST)])
    tables = []
    if ingest:
        tables.append(_table(["`satomori bench …`", *(title for title, _ in _INGEST)], ingest))
    if storm:
        tables.append(_table(["`satomori bench …`", *(title for title, _ in _STORM)], storm))
    if growth:
        tables.append(growth_table(growth))
    return "\n\n".join(tables)


def _cells(result: Mapping[str, Any], columns: Iterable[tuple[str, str]]) -> list[str]:
    return [_cell(result.get(key)) for _, key in columns]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float) and abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
